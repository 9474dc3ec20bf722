"""Kernels over more axes than two, and large ones: a convolution over an explicit border."""

from math import prod

import numpy as np

from cyconv import api
from cyconv.algorithms.bordered import tiles
from cyconv.algorithms.chains import note_more
from cyconv.lowering.borders import extended
from cyconv.lowering.taps import sum_of_taps
from cyconv.ndimage.arguments import as_bytes, check_dtype, store
from cyconv.ndimage.passes import EPS, FEW, deliver, operands, reached
from cyconv.problem import MAX_RANK

STORED = {np.dtype(name) for name in ("f4", "f8", "?", "u1", "i1", "u2", "i2", "u4", "i4")}
"""Types whose cells float64 holds."""


def correlate_into(output, x, w, widths, mode, cval):
    """output = w correlated with x's extension, summed in float64 and cast once.

    Parameters
    ----------
    output, x : arrays of one shape
    w : array of float64, of as many axes
        Its zeros are left out: a non-finite cell reaches only what the other taps hold.
    widths : sequence of (before, after), one pair per axis
        Of the border; before + after + 1 is w's size.
    mode, cval
        See :func:`cyconv.lowering.borders.extended`.
    """
    check_dtype("input", x.dtype)
    check_dtype("output", output.dtype)
    if x.size == 0:
        return
    whole = output.dtype.kind in "biu"
    if not whole and correlate_by_tiles(output, x, w, widths, mode, cval):
        return
    x = extended(as_bytes(x), widths, mode, cval, np.float64)
    direct = output.dtype == np.float64 and output.dtype.isnative and output.flags.c_contiguous
    y = output if direct and output.flags.writeable else np.empty(output.shape)
    _correlate_inside(y, x, w, "direct" if whole else "auto")
    if whole:
        _settle(y, x, w)
    if y is not output:
        store(output, y)


def correlate_by_tiles(output, x, w, widths, mode, cval):
    """:func:`correlate_into` an output of floats, where tiles of transforms read x and its border.

    Returns whether they are the fastest: nothing is written where not.
    """
    if not x.size or not x.ndim or not np.isfinite(cval):
        return False
    source, target = operands(output, x)
    if source.dtype not in STORED:
        source = source.astype(np.float64)
    shape, kernel = _planes(x.shape, w.shape)
    skips = not w.all()
    if len(kernel) > MAX_RANK or (skips and not np.isfinite(source.sum(dtype=np.float64))):
        return False
    first, last = reached(w.shape)
    around = ((0, 0), *widths[first : last + 1], (0, 0))
    begin = 0 if first == last == x.ndim - 1 else 1
    step = 1
    if first == 0 and len(kernel) > last + 1 and shape[-1] <= FEW:  # a pixel's elements
        *shape, step = shape
        kernel = kernel[:-1]
    found = tiles(
        (*shape, step), w.reshape(kernel), around[begin : begin + len(kernel)], mode, cval
    )
    if found is None:
        return False
    if skips:
        note_more()
    found.run(source, target)
    deliver(output, target)
    return True


def _correlate_inside(y, x, w, algorithm):
    """y = the correlation of x with w where w lies inside x."""
    shape, kernel = _planes(x.shape, w.shape)
    if len(kernel) > MAX_RANK or (not w.all() and not np.isfinite(x.sum())):
        full = sum_of_taps(x, np.flip(w), skip_zeros=True)
        y[...] = full[tuple(slice(k - 1, n) for n, k in zip(x.shape, w.shape, strict=True))]
        return
    sizes = [n - k + 1 for n, k in zip(shape[1:], kernel, strict=True)]
    api.conv(
        x.reshape(shape[0], 1, *shape[1:]),
        w.reshape(1, 1, *kernel),
        algorithm=algorithm,
        out=y.reshape(shape[0], 1, *sizes),
    )


def _planes(shape, kernel):
    """(batch, *spatial) and the kernel's sizes: the same sums over few axes, with no data moved.

    Axes before the first that the kernel reaches along are images of a batch, or, where it reaches
    along the last axis only, the rows of one image; axes after the last that it reaches are one.
    """
    if not shape:
        return (1, 1), (1,)
    first, last = reached(kernel)
    last += 1
    before, after = prod(shape[:first]), prod(shape[last:])
    if first + 1 == len(shape):
        return (1, before, shape[-1]), (1, kernel[-1])
    if last == len(shape):
        return (before, *shape[first:]), kernel[first:]
    return (before, *shape[first:last], after), (*kernel[first:last], 1)


def _settle(y, x, w):
    """Sum again, in SciPy's order, the cells of `y` that truncation may take either way.

    Truncation is not continuous: where the exact sum is an integer, the last rounding decides.
    """
    reach = np.abs(w).sum() * np.abs(x).max()
    if reach < 2**53 and (w == np.rint(w)).all() and (x == np.rint(x)).all():
        return
    doubtful = np.flatnonzero(np.abs(y - np.rint(y)) <= 4 * w.size * EPS * reach)
    if not doubtful.size:
        return
    offsets = np.ravel_multi_index(np.unravel_index(np.arange(w.size), w.shape), x.shape)
    cells = np.ravel_multi_index(np.unravel_index(doubtful, y.shape), x.shape)
    line, sums = x.reshape(-1), np.zeros(doubtful.size)
    for tap in np.flatnonzero(w):
        sums += line[cells + offsets[tap]] * w.flat[tap]
    y.flat[doubtful] = sums
