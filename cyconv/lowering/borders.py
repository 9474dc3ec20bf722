"""Borders: which cell stands where the image has none, by a map of indices; their rules."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from cyconv.lowering.rule import Rule

SCIPY_NAMES = {
    "reflect": "mirror",
    "replicate": "nearest",
    "circular": "wrap",
    "symmetric": "reflect",
}
"""SciPy's names of the padding modes, which are the keys of BORDERS."""

NUMPY_NAMES = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}
"""``numpy.pad``'s names, which arrays of devices know too."""

BORDERS = {
    "reflect": lambda i, n: _folded(i % (2 * n), 2 * n - 1),
    "mirror": lambda i, n: _folded(i % max(2 * n - 2, 1), 2 * n - 2),
    "nearest": lambda i, n: np.clip(i, 0, n - 1),
    "wrap": lambda i, n: i % n,
    "constant": None,
}
"""Which of n cells stands at position i < 0 or >= n, by SciPy's name of the border::

    reflect   d c b a | a b c d | d c b a       mirror   d c b | a b c d | c b a
    nearest   a a a a | a b c d | d d d d       wrap     b c d | a b c d | a b c
"""


def _folded(i, last):
    """Positions past the middle of a period, counted back from its `last`."""
    return np.minimum(i, last - i)


def _sources(mode, n, first, last):
    """Which of n cells stand at the positions from `first` to `last`."""
    return BORDERS[mode](np.arange(first, last), n)


NARROW = 64  # cells of a border whose sources are remembered
_remembered = lru_cache(maxsize=256)(_sources)


def extended(x, widths, mode, cval=0.0, dtype=None):
    """`x` with its border of any width made explicit.

    Parameters
    ----------
    x : array
    widths : sequence of (before, after), one pair per axis
    mode : key of BORDERS
    cval : number
        What a constant border holds.
    dtype : dtype, optional
        Of the result; default x's.

    Returns
    -------
    array, a new one unless there is nothing to add or to convert
    """
    dtype = x.dtype if dtype is None else np.dtype(dtype)
    if not any(before or after for before, after in widths):
        return x.astype(dtype, copy=False)
    result = np.empty([n + sum(pair) for n, pair in zip(x.shape, widths, strict=True)], dtype)
    result[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, widths, strict=True))] = x
    for axis, (n, (before, after)) in enumerate(zip(x.shape, widths, strict=True)):
        cells = result.swapaxes(0, axis)
        inside = cells[before : before + n]
        for first, last in ((-before, 0), (n, n + after)):
            if first < last:
                beyond = cells[before + first : before + last]
                if mode == "constant":
                    beyond[...] = cval
                else:
                    sources = _remembered if last - first <= NARROW else _sources
                    beyond[...] = inside[sources(mode, n, first, last)]
    return result


class Border(Rule):
    """padding mode -> an explicit border, then no padding."""

    def __init__(self, problem):
        padded = tuple(
            n + lo + hi for n, (lo, hi) in zip(problem.spatial, problem.padding, strict=True)
        )
        super().__init__(
            problem,
            replace(problem, x_shape=problem.x_shape[:2] + padded, padding=0, padding_mode="zeros"),
        )
        self.map = SCIPY_NAMES[problem.padding_mode]

    @staticmethod
    def applies(problem):
        return problem.padding_mode != "zeros" and problem.direction != "grad_input"

    def run(self, a, out, solve):
        widths = ((0, 0), (0, 0), *self.problem.padding)
        if type(a) is np.ndarray:  # by the map, which np.pad takes longer to follow
            padded = extended(a, widths, self.map)
        else:
            padded = np.pad(a, widths, NUMPY_NAMES[self.problem.padding_mode])
        solve(0, padded, out)

    def __str__(self):
        return f"padding mode {self.problem.padding_mode} -> an explicit border, no padding"


class BorderAdjoint(Border):
    """gradient of a padding mode -> the border's gradient is added to the cells it copied."""

    epilogue = False

    @staticmethod
    def applies(problem):
        return problem.padding_mode != "zeros"

    def run(self, a, out, solve):
        sums = np.empty_like(out, shape=self.children[0].x_shape)
        solve(0, a, sums)
        for axis, (size, pair) in enumerate(
            zip(self.problem.spatial, self.problem.padding, strict=True), 2
        ):
            source = _sources(self.map, size, -pair[0], size + pair[1])
            folded = sums[(slice(None),) * axis + (slice(pair[0], pair[0] + size),)]
            moved, border = np.moveaxis(folded, axis, 0), np.moveaxis(sums, axis, 0)
            for i in (*range(pair[0]), *range(pair[0] + size, len(source))):
                moved[source[i]] += border[i]
            sums = folded
        out[...] = sums

    def __str__(self):
        return f"padding mode {self.problem.padding_mode} -> its border's gradient, folded back"
