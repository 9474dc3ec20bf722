"""A lowered problem: a tree of rewrite rules, whose leaves algorithms solve."""

import numpy as np

from cyconv.lowering.rule import Views
from cyconv.lowering.types import is_narrow
from cyconv.problem.operands import Residual, deliver, finish, strided


class Leaf:
    """A primitive problem and the algorithm that solves it."""

    measured, source = {}, "named by caller"

    def __init__(self, problem, algorithm, seconds):
        self.problem, self.algorithm, self.seconds = problem, algorithm, seconds
        self.clamps = problem.dtype.kind == "f"  # in the kernels
        self.narrow = is_narrow(problem)

    def leaves(self):
        """The primitive problems with their algorithms."""
        return (self,)

    def calls(self):
        """What computes: see :meth:`Branch.calls`."""
        return (self.algorithm,)

    def chain(self):
        """The rules that lead here: none."""
        return ()

    def pack(self, w, once=False):
        """The weights as `run` reads them; if only `once`, perhaps packed as they are read."""
        if self.narrow and not self.algorithm.stored:
            w = w.astype(self.algorithm.dtype)
        return self.algorithm.lend(w) if once else self.algorithm.pack(w)

    def run(self, x, packed, y, bias, clamp, threads, add=None):
        """y = clamp(x correlated with the packed weights + bias + add); `add` a Residual."""
        if not y.size:
            return
        now = clamp if self.clamps else None
        if self.narrow and x.dtype not in self.algorithm.stored:
            x = x.astype(self.algorithm.dtype)
        self.algorithm.run(strided(x), packed, y, bias, now, threads, self.seconds, add)
        if clamp is not now:
            finish(y, None, clamp)


def seen_by_leaf(node, packed, x, y):
    """The leaf below rules that only look at the arrays in another way, its weights, and x and y
    as it sees them; None where a rule does more.
    """
    while isinstance(node, Branch):
        if isinstance(node.rule, Views):
            x, y = node.rule.view("x", x), node.rule.view("y", y)
        else:
            return None
        (packed,), _ = packed
        (node,) = node.children
    return node, packed, x, y


class Branch:
    """A rewritten problem: its rule, and the plans of what the rule leaves."""

    def __init__(self, rule, children):
        self.rule, self.children = rule, children
        self.together = self._together()  # one call for all children, or None

    def _together(self):
        if not all(isinstance(child, Leaf) for child in self.children):
            return None
        algorithms = [child.algorithm for child in self.children]
        if self.rule.stored:
            stores, problem = getattr(algorithms[0], "stores", None), self.rule.problem
            return algorithms[0] if stores and stores(problem.dtype, problem.out_dtype) else None
        kinds = set(map(type, algorithms))
        together = getattr(kinds.pop(), "together", None) if len(kinds) == 1 else None
        return together and together(self.rule, algorithms)

    def leaves(self):
        """The leaves below."""
        return tuple(leaf for child in self.children for leaf in child.leaves())

    def calls(self):
        """What has the workspace of a call of the kernels, and says whether it can fail."""
        if self.together is not None:
            return (self.together,)
        return tuple(call for child in self.children for call in child.calls())

    def chain(self):
        """The rules from here down to the first leaf."""
        first = str(self.rule) + (", in one pass" if self.together is not None else "")
        return (first, *(self.children[0].chain() if self.children else ()))

    def pack(self, w, once=False):
        """As :meth:`Leaf.pack`, and where the weights need mending."""
        w, unsound = self.rule.sound(w)
        operands = self.rule.second(w)
        children = tuple(c.pack(b, once) for c, b in zip(self.children, operands, strict=True))
        return children, unsound

    def run(self, x, packed, y, bias, clamp, threads, add=None):
        """As :meth:`Leaf.run`."""
        packed, unsound = packed
        early = self.rule.epilogue and unsound is None
        inner = (bias, clamp) if early else (None, None)
        inner_add = add if early else None

        target = y if unsound is None else np.empty_like(y)  # mending may stop half-way

        def solve(i, x, y):
            # Kernels write rows that follow each other: in short, scattered ones lanes are empty.
            scattered = self.rule.phases and y.shape != target.shape
            part = np.empty(y.shape, y.dtype) if scattered else y
            residual = inner_add and inner_add.of(y, target)
            if residual and scattered:
                residual = Residual(residual.at(y), part)
            self.children[i].run(x, packed[i], part, *inner, threads, residual)
            deliver(y, part)

        if self.together is None:
            self.rule.run(x, target, solve)
        elif y.size:
            seconds = sum(child.seconds for child in self.children)
            operand = packed[0] if self.rule.stored else packed
            self.together.run(strided(x), operand, target, *inner, threads, seconds, inner_add)
        if unsound is not None:
            self.rule.mend(x, target, unsound)
        if not early:
            finish(target, bias, clamp, None if add is None else Residual(add.at(y), target))
        deliver(y, target)
