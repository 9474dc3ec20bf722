"""What the SciPy faces share: borders made explicit, and the sums for what kernels do not have."""

from functools import lru_cache

import numpy as np

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


def sum_of_taps(x, w, skip_zeros=False):
    r"""The full convolution of `x` with `w`, tap by tap, in their own arithmetic.

    .. math:: y[p] = \sum_r w[r] \, x[p - r], \quad 0 <= p < n + k - 1

    For dtypes and numbers of axes that :func:`cyconv.conv` does not have. With `skip_zeros` a tap
    that is zero is left out: a non-finite cell of x reaches only what the other taps hold.
    """
    dtype = np.result_type(x, w)
    y = np.zeros([n + k - 1 for n, k in zip(x.shape, w.shape, strict=True)], dtype)
    for tap in zip(*np.nonzero(w), strict=True) if skip_zeros else np.ndindex(*w.shape):
        y[tuple(slice(r, r + n) for r, n in zip(tap, x.shape, strict=True))] += w[tap] * x
    return y
