"""Kernels over more axes than two, and large ones: a convolution over an explicit border."""

from functools import lru_cache
from math import prod

import numpy as np

from cyconv import api
from cyconv.lowering.borders import extended
from cyconv.lowering.taps import sum_of_taps
from cyconv.ndimage.arguments import as_bytes, check_dtype, store
from cyconv.ndimage.passes import EPS, reached
from cyconv.planning.plan import plan
from cyconv.problem import MAX_RANK, Problem

FLOATS = {np.dtype(name) for name in ("f4", "f8")}
STORED = FLOATS | {np.dtype(name) for name in ("u1", "i1", "u2", "i2", "u4", "i4")}
"""Types whose cells float64 holds."""

REMEMBERED = 1 << 16
"""Bytes of weights, up to which the last ones' spectra are kept: of some MiB each."""


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
    if _bordered(output, x, w, widths, mode, cval):
        return
    x = extended(as_bytes(x), widths, mode, cval, np.float64)
    whole = output.dtype.kind in "biu"
    direct = output.dtype == np.float64 and output.dtype.isnative and output.flags.c_contiguous
    y = output if direct and output.flags.writeable else np.empty(output.shape)
    _correlate_inside(y, x, w, "direct" if whole else "auto")
    if whole:
        _settle(y, x, w)
    if y is not output:
        store(output, y)


def _bordered(output, x, w, widths, mode, cval):
    """:func:`correlate_into`, where tiles of transforms read x and its border as they lie.

    Returns whether they do: nothing is written where not.
    """
    if not (
        x.ndim
        and x.dtype in STORED
        and output.dtype in FLOATS
        and x.flags.c_contiguous
        and x.flags.aligned
        and output.flags.carray
        and not np.may_share_memory(x, output)
        and np.isfinite(cval)
    ):
        return False
    padded = [n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)]
    shape, kernel = _planes(padded, w.shape)
    image, _ = _planes(x.shape, w.shape)
    if len(kernel) > MAX_RANK or (not w.all() and not np.isfinite(x.sum(dtype=np.float64))):
        return False
    first, last = reached(w.shape)
    around = ((0, 0), *widths[first : last + 1], (0, 0))
    begin = 0 if first == last == x.ndim - 1 else 1
    chosen = plan(Problem((shape[0], 1, *shape[1:]), (1, 1, *kernel), np.float64))
    if chosen.algorithm != "fft":
        return False
    pack = _packed if w.nbytes <= REMEMBERED else _packed.__wrapped__
    return pack(chosen, w.tobytes()).of_bordered(
        x.reshape(image[0], 1, *image[1:]),
        (around[begin : begin + len(kernel)], mode, cval),
        output.reshape(image[0], 1, *image[1:]),
    )


@lru_cache(maxsize=4)
def _packed(plan, data):
    """Weights given as bytes: on a small image their spectra take as long as all else."""
    return plan.pack(np.frombuffer(data).reshape(plan.problem.w_shape))


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
