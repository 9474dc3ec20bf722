"""The rewrite rules: every problem becomes a few primitive forms that kernels solve.

A primitive problem is forward, batched, channels first, of two or more spatial axes, zero padded,
not flipped, and of a dtype that kernels have. Each rule below takes one feature away. It knows the
problems it leaves (``children``), how their weights come from the problem's (``weights``), and how
their results make the problem's (``run``); a chain of rules is applied outermost first.
"""

from dataclasses import replace

import numpy as np

KERNEL_DTYPES = tuple(np.dtype(name) for name in ("float32", "float64"))


class Rule:
    """One rewriting of one problem.

    Attributes
    ----------
    children : tuple of Problem
        What is left to solve.
    epilogue : bool
        Whether bias and activation may be applied to the children's results instead.
    """

    epilogue = True

    def __init__(self, problem, *children):
        self.problem = problem
        self.children = children

    @staticmethod
    def applies(problem):
        """Whether this rule has something to take away."""
        raise NotImplementedError

    def weights(self, w):
        """The children's weights."""
        return (w,)

    def run(self, x, y, solve):
        """Fill y from x; ``solve(i, x_i, y_i)`` solves child i with its weights."""
        raise NotImplementedError

    def __str__(self):
        return self.__doc__.splitlines()[0].rstrip(".")


class Unbatched(Rule):
    """unbatched input -> a batch of one."""

    def __init__(self, problem):
        super().__init__(problem, replace(problem, x_shape=(1, *problem.x_shape)))

    @staticmethod
    def applies(problem):  # noqa: D102
        return not problem.batched

    def run(self, x, y, solve):  # noqa: D102
        solve(0, x[None], y[None])


class ChannelsLast(Rule):
    """channels last -> channels first, through strides."""

    def __init__(self, problem):
        n, *spatial, c = problem.x_shape
        super().__init__(
            problem, replace(problem, x_shape=(n, c, *spatial), data_format="channels_first")
        )

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.channels_last

    def run(self, x, y, solve):  # noqa: D102
        solve(0, np.moveaxis(x, -1, 1), np.moveaxis(y, -1, 1))


class Cast(Rule):
    """storage dtype -> the dtype of the sums; one rounding at the end."""

    epilogue = True

    def __init__(self, problem):
        self.dtype = np.promote_types(problem.dtype, problem.out_dtype)
        super().__init__(problem, replace(problem, dtype=self.dtype, out_dtype=self.dtype))

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.dtype != problem.out_dtype

    def weights(self, w):  # noqa: D102
        return (w.astype(self.dtype, copy=False),)

    def run(self, x, y, solve):  # noqa: D102
        sums = y if y.dtype == self.dtype else np.empty(y.shape, self.dtype)
        solve(0, x.astype(self.dtype, copy=False), sums)
        if sums is not y:
            y[...] = sums


class Flip(Rule):
    """true convolution -> cross-correlation with the kernel rotated by 180 degrees."""

    def __init__(self, problem):
        super().__init__(problem, replace(problem, flip=False))

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.flip

    def weights(self, w):  # noqa: D102
        return (np.flip(w, tuple(range(2, w.ndim))),)

    def run(self, x, y, solve):  # noqa: D102
        solve(0, x, y)


class Border(Rule):
    """padding mode -> an explicit border, then no padding."""

    NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap",
                   "symmetric": "symmetric"}  # fmt: skip

    def __init__(self, problem):
        padded = tuple(
            n + lo + hi for n, (lo, hi) in zip(problem.spatial, problem.padding, strict=True)
        )
        super().__init__(
            problem,
            replace(
                problem, x_shape=problem.x_shape[:2] + padded, padding=0, padding_mode="zeros"
            ),
        )

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.padding_mode != "zeros"

    def run(self, x, y, solve):  # noqa: D102
        mode = self.NUMPY_MODES[self.problem.padding_mode]
        solve(0, np.pad(x, ((0, 0), (0, 0), *self.problem.padding), mode), y)


class OneAxis(Rule):
    """one spatial axis -> two, of height 1."""

    def __init__(self, problem):
        n, c, length = problem.x_shape
        super().__init__(
            problem,
            replace(
                problem,
                x_shape=(n, c, 1, length),
                w_shape=(*problem.w_shape[:2], 1, problem.w_shape[2]),
                stride=(1, *problem.stride),
                dilation=(1, *problem.dilation),
                padding=((0, 0), *problem.padding),
            ),
        )

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.rank == 1

    def weights(self, w):  # noqa: D102
        return (w[:, :, None],)

    def run(self, x, y, solve):  # noqa: D102
        solve(0, x[:, :, None], y[:, :, None])


RULES = (Unbatched, ChannelsLast, Cast, Flip, Border, OneAxis)
"""In the order in which they are tried: each takes away a feature that those after need not know."""


def lower(problem):
    """The first rule that applies to `problem`, or None if it is primitive."""
    for rule in RULES:
        if rule.applies(problem):
            return rule(problem)
    return None


def primitives(problem):
    """The primitive problems that `problem` becomes."""
    rule = lower(problem)
    if rule is None:
        yield problem
    else:
        for child in rule.children:
            yield from primitives(child)
