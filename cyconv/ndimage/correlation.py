"""Correlation and convolution with any kernel, along all axes or one."""

from collections.abc import Iterable

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from cyconv.algorithms import chains
from cyconv.algorithms.recall import recalled
from cyconv.ndimage.arguments import (
    bools,
    border_mode,
    chosen_axes,
    flipped,
    per_axis,
    real_number,
    result_array,
    window,
)
from cyconv.ndimage.passes import EPS, reached, run_kernel, run_passes
from cyconv.ndimage.sums import correlate_by_tiles, correlate_into
from cyconv.problem.operands import on_host

LARGE = 80  # taps of a plane's kernel; with fewer, one sweep is faster than any transform


@recalled
def correlate(input, weights, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    r"""Correlate an array with a kernel.

    .. math:: y[p] = \sum_r w[r] \, x[p + r - \lfloor k / 2 \rfloor - origin]

    Parameters
    ----------
    input : array_like
    weights : array_like, one axis for each of `axes`
        Complex weights are conjugated. Taps of at most 2.2e-16 are left out.
    output : array or dtype, optional
        Where to write, or what to return; default input's dtype.
    mode : {'reflect', 'mirror', 'nearest', 'wrap', 'constant'}
        What lies outside input; 'grid-mirror' is 'reflect', 'grid-wrap' is 'wrap' and
        'grid-constant' is 'constant'.
    cval : number, default 0.0
        What lies outside with mode 'constant'.
    origin : int or one int per axis, default 0
        Moves the kernel; 0 centres it, an even one a cell to the left.
    axes : int or ints, optional
        Default all.

    Returns
    -------
    array of input's shape

    Raises
    ------
    RuntimeError
        For a mode, a dtype or numbers of axes that do not fit.
    TypeError, ValueError
        For an origin, an axis or a cval that is wrong.

    Notes
    -----
    Sums are kept in float64 and cast once; integers are truncated, and wrap.

    Examples
    --------
    >>> cyconv.ndimage.correlate(np.arange(5), [1, 2, 3])
    array([ 3,  8, 14, 20, 23])
    """
    return bools(_correlate(input, weights, output, mode, cval, origin, axes, flip=False))


@recalled
def convolve(input, weights, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    r"""Convolve an array with a kernel.

    .. math:: y[p] = \sum_r w[r] \, x[p - r + \lfloor k / 2 \rfloor + origin]

    Parameters
    ----------
    input, weights, output, mode, cval, origin, axes
        As for :func:`correlate`; complex weights are not conjugated.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> cyconv.ndimage.convolve(np.arange(5), [1, 2, 3], mode="constant")
    array([ 1,  4, 10, 16, 17])
    """
    return bools(_correlate(input, weights, output, mode, cval, origin, axes, flip=True))


def _correlate(x, w, output, mode, cval, origin, axes, flip):
    x, w = on_host("input", x), on_host("weights", w)
    if x.dtype.kind == "c" or w.dtype.kind == "c":
        w = w if flip else w.conj()
        output = result_array(output, x, complex_result=True)

        def part(x, w, output, cval):
            return _correlate(x, w, output, mode, cval, origin, axes, flip)

        return by_parts(part, x, w, output, cval)

    w = np.asarray(w, np.float64)
    ndim = x.ndim
    axes = chosen_axes(axes, ndim)
    origins = per_axis("origin", origin, len(axes))
    if len(axes) < ndim:
        if w.ndim != len(axes):
            raise RuntimeError(f"weights.ndim ({w.ndim}) must match len(axes) ({len(axes)})")
        w = np.expand_dims(w, tuple(axis for axis in range(x.ndim) if axis not in axes))
        given = dict(zip(axes, origins, strict=True))
        origins = [given.get(axis, 0) for axis in range(x.ndim)]
    if w.ndim != x.ndim or w.size == 0:
        raise RuntimeError(
            f"weights.ndim ({w.ndim}) must match len(axes) ({len(axes)}), with cells along each, "
            f"got shape {w.shape}"
        )
    if flip:
        w = np.flip(w)
        origins = [flipped(o, k) for o, k in zip(origins, w.shape, strict=True)]
    widths = [window(o, k) for o, k in zip(origins, w.shape, strict=True)]
    output = result_array(output, x)
    if not isinstance(mode, str) and isinstance(mode, Iterable):
        raise RuntimeError(f"mode must be one for all axes, got {mode!r}")
    mode, cval = border_mode(mode), real_number(cval)
    first, last = reached(w.shape)
    taps = np.where(np.abs(w) > EPS, w, 0.0)
    if last - first > 1 or not x.ndim:
        correlate_into(output, x, taps, widths, mode, cval)
    elif (
        w.size < LARGE
        or output.dtype.kind in "biu"
        or not correlate_by_tiles(output, x, taps, widths, mode, cval)
    ):
        run_kernel(output, x, w, widths, mode, cval)
    return output


@recalled
def correlate1d(input, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    r"""Correlate the lines of an array along one axis with a kernel.

    .. math:: y[p] = \sum_r w[r] \, x[p + r - \lfloor k / 2 \rfloor - origin]

    Parameters
    ----------
    input : array_like
    weights : array_like of one axis
        Complex weights are conjugated.
    axis : int, default -1
    output, mode, cval
        As for :func:`correlate`.
    origin : int, default 0

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> cyconv.ndimage.correlate1d(np.eye(3, dtype=int), [1, 2, 3], axis=0)
    array([[3, 3, 0],
           [1, 2, 3],
           [0, 1, 5]])
    """
    return bools(along_axis(input, weights, axis, output, mode, cval, origin))


@recalled
def convolve1d(input, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    r"""Convolve the lines of an array along one axis with a kernel.

    .. math:: y[p] = \sum_r w[r] \, x[p - r + \lfloor k / 2 \rfloor + origin]

    Parameters
    ----------
    input, weights, axis, output, mode, cval, origin
        As for :func:`correlate1d`; complex weights are not conjugated.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> cyconv.ndimage.convolve1d(np.array([0, 0, 1, 0, 0]), [1, 2, 3])
    array([0, 1, 2, 3, 0])
    """
    weights = on_host("weights", weights)[::-1]
    origin = flipped(origin, len(weights))
    weights = weights.conj() if weights.dtype.kind == "c" else weights
    return bools(along_axis(input, weights, axis, output, mode, cval, origin))


def along_axis(x, w, axis, output, mode, cval, origin):
    """:func:`correlate1d`, its bools still bytes."""
    x, w = on_host("input", x), on_host("weights", w)
    if x.dtype.kind == "c" or w.dtype.kind == "c":
        w = w.conj()
        output = result_array(output, x, complex_result=True)

        def part(x, w, output, cval):
            return along_axis(x, w, axis, output, mode, cval, origin)

        return by_parts(part, x, w, output, cval)

    output = result_array(output, x)
    w = np.asarray(w, np.float64)
    if w.ndim != 1 or w.size == 0:
        raise RuntimeError(f"weights must have one axis, not empty, got shape {w.shape}")
    axis = normalize_axis_index(axis, x.ndim)
    before, _ = window(origin, w.size)
    run_passes(output, x, [(axis, chains.line(w, before), border_mode(mode))], cval)
    return output


def by_parts(part, x, w, output, cval):
    """A complex filter from ``part(x, w, output, cval)`` of real and imaginary parts.

    (a + ib)(c + id) = (ac - bd) + i (ad + bc)
    """
    if x.dtype.kind != "c" and np.iscomplexobj(cval):
        raise ValueError(f"cval must be real where input is, got {cval!r}")
    if x.dtype.kind != "c":
        part(x, w.real, output.real, cval)
        part(x, w.imag, output.imag, cval)
        return output
    real, imag = (float(f(cval)) for f in (np.real, np.imag))
    if w.dtype.kind != "c":
        part(x.real, w, output.real, real)
        part(x.imag, w, output.imag, imag)
        return output
    x = x.copy() if np.may_share_memory(x, output) else x
    part(x.real, w.real, output.real, real)
    output.real -= part(x.imag, w.imag, None, imag)
    part(x.real, w.imag, output.imag, real)
    output.imag += part(x.imag, w.real, None, imag)
    return output
