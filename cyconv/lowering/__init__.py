"""The rewrite rules: every problem becomes a few primitive forms that kernels solve.

A convolution has three arrays, x, w and y, in three roles, and is bilinear in the two that are
given. Its direction says which:

    forward      x, w -> y          grad_input   y, w -> x          grad_weight   x, y -> w

A primitive problem is forward, batched, channels first, of two or more spatial axes, zero padded,
not flipped, and of a dtype that kernels have. Each rule takes one feature away. It knows the
problems it leaves (``children``), how their second operand comes from the problem's (``second``),
and how their results make the problem's (``run``). Rules are tried in the order of ``RULES``.

    rule.py        what a rule is
    views.py       axes and their order: batch, channels last, flip, 1-D
    types.py       dtypes: half precision, narrow integers, complex
    borders.py     padding modes as maps of indices, and their gradients
    gradients.py   grad_input (by phases: polyphase.py, side_by_side.pyx) and grad_weight
    transposed.py  transposed convolution: which forward problem's gradient it is
    tree.py        what the rules leave: a tree whose leaves algorithms solve
    taps.py        direct summation in NumPy, for what no kernel has
"""

from cyconv.lowering.borders import Border, BorderAdjoint
from cyconv.lowering.gradients import GradInput, GradWeight, ImageByImage, Interleaved, OneCell
from cyconv.lowering.rule import Rule
from cyconv.lowering.types import KERNEL_DTYPES, Cast, Complex, ComplexStrict, Stored, is_narrow
from cyconv.lowering.views import ChannelsLast, Flip, OneAxis, Unbatched

__all__ = [
    "KERNEL_DTYPES",
    "RULES",
    "ImageByImage",
    "Interleaved",
    "OneCell",
    "Stored",
    "is_narrow",
    "lower",
    "primitives",
]


class NoFilters(Rule):
    """no filters -> nothing to solve."""

    @staticmethod
    def applies(problem):
        return problem.direction == "forward" and not problem.filters

    def second(self, b):
        return ()

    def run(self, a, out, solve):
        """`out` has no cells."""


RULES = (
    NoFilters, Unbatched, ChannelsLast, Cast, Flip, Border, BorderAdjoint, Complex, OneAxis,
    ImageByImage, GradWeight, OneCell, Interleaved, GradInput, Stored,
)  # fmt: skip


def lower(problem, strict=False, without=(), stored=is_narrow):
    """The first rule that applies to `problem`, or None if it is primitive.

    `strict` forbids rewrites that add to the error, `without` the rules that it holds; `stored`
    says of which problems algorithms read and write the cells as they are stored.
    """
    if is_primitive(problem):
        return None
    for rule in RULES:
        if rule in without or not rule.applies(problem):
            continue
        if rule is Cast and (
            (Stored not in without and Stored.applies(problem))  # to convert is left to the kernels
            or stored(problem)
        ):
            continue
        return (ComplexStrict if strict and rule is Complex else rule)(problem)
    return None


def is_primitive(problem):
    """Whether no rule applies to `problem`, as to most: found without asking each."""
    p = problem
    return (
        p.direction == "forward"
        and p.rank > 1
        and p.filters > 0
        and p.padding_mode == "zeros"
        and p.batched
        and not (p.channels_last or p.flip)
        and p.dtype is p.out_dtype is p.sum_dtype
        and p.dtype in KERNEL_DTYPES
    )


def primitives(problem, without=(), stored=is_narrow):
    """The primitive problems that `problem` becomes."""
    rule = lower(problem, without=without, stored=stored)
    if rule is None:
        yield problem
    else:
        for child in rule.children:
            yield from primitives(child, without, stored)
