"""Convolution over some of the axes by products of spectra."""

from operator import index

import numpy as np

from cyconv.problem.operands import on_host
from cyconv.signal.slices import check_valid, convolved, slices


def fftconvolve(in1, in2, mode="full", axes=None):
    r"""Convolve two arrays over some of their axes, by FFT.

    .. math:: y = F^{-1}[F[in1] \, F[in2]]

    Parameters
    ----------
    in1, in2 : array_like, the same number of axes
        They broadcast along the others.
    mode : {'full', 'valid', 'same'}
        As for :func:`convolve`.
    axes : int or ints, optional
        Default all.

    Returns
    -------
    array, floating point
        float32 and float16 give float32; integers give float64.

    Raises
    ------
    ValueError
        For arguments that do not fit.

    Notes
    -----
    The transforms are taken of overlapping tiles, as long as is fastest, so this is
    :func:`oaconvolve` too. Where the sums themselves take less time than their transforms, as those
    of short operands do, they are taken as they stand.

    Examples
    --------
    >>> cyconv.signal.fftconvolve(np.ones(4), np.ones(2)).round(6)
    array([1., 2., 2., 2., 1.])
    """
    return convolved_in_floats(in1, in2, mode, axes, "auto")


def convolved_in_floats(in1, in2, mode, axes, algorithm):
    """:func:`fftconvolve` by an algorithm of :func:`cyconv.conv`."""
    a, b = on_host("in1", in1), on_host("in2", in2)
    if a.ndim == b.ndim == 0:
        return a * b
    check_axes_match(a.shape, b.shape)
    if 0 in (a.size, b.size):
        return np.array([])
    axes = convolved_axes(a.shape, b.shape, mode, axes)
    window = slices(mode, a.shape, b.shape, axes)
    if axes:
        dtype = np.result_type(spectral_dtype(a.dtype), spectral_dtype(b.dtype))
        a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
        y = convolved(a, b, axes, window, algorithm)
    else:
        y = a * b
    if mode == "same":
        y = middle(y, a.shape, axes)
    return np.ascontiguousarray(y)


def oaconvolve(in1, in2, mode="full", axes=None):
    """Convolve two arrays over some of their axes, by FFT of overlapping tiles.

    Parameters
    ----------
    in1, in2, mode, axes
        As for :func:`fftconvolve`.

    Returns
    -------
    array, floating point

    Examples
    --------
    >>> cyconv.signal.oaconvolve(np.ones(10**5), np.ones(100)).shape
    (100099,)
    """
    return fftconvolve(in1, in2, mode, axes)


def middle(y, shape, axes):
    """The part of `shape`, in1's, of a result along `axes`.

    Of another axis, along which only in1 was broadcast, it is the middle.
    """
    start = [0 if axis in axes else (y.shape[axis] - n) // 2 for axis, n in enumerate(shape)]
    return y[tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))]


def check_axes_match(shape_a, shape_b):
    """Refuse operands of different numbers of axes."""
    if len(shape_a) != len(shape_b):
        raise ValueError(
            f"in1 and in2 should have the same dimensionality, got shapes {shape_a} and {shape_b}"
        )


def convolved_axes(shape_a, shape_b, mode, axes):
    """The axes of `axes` along which both operands have more than one cell; the others broadcast.

    Raises
    ------
    ValueError
        For shapes that do not fit.
    """
    chosen = _chosen_axes(axes, len(shape_a))
    chosen = [axis for axis in chosen if 1 not in (shape_a[axis], shape_b[axis])]
    for axis, sizes in enumerate(zip(shape_a, shape_b, strict=True)):
        if axis not in chosen and sizes[0] != sizes[1] and 1 not in sizes:
            raise ValueError(
                f"incompatible shapes for in1 and in2: {shape_a} and {shape_b}, along axis {axis}"
            )
    if mode == "valid":
        check_valid(shape_a, shape_b, chosen)
    return chosen


def _chosen_axes(axes, ndim):
    """`axes` as a list of different axes >= 0; None is all of them."""
    if axes is None:
        return list(range(ndim))
    try:
        given = [index(axis) for axis in (axes if np.iterable(axes) else [axes])]
    except TypeError:
        raise ValueError(f"axes must be a scalar or iterable of integers, got {axes!r}") from None
    if not given:
        raise ValueError("when provided, axes cannot be empty")
    chosen = [axis + ndim if axis < 0 else axis for axis in given]
    if not all(0 <= axis < ndim for axis in chosen):
        raise ValueError(f"axes exceeds dimensionality of input, {ndim}, got {axes!r}")
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"all axes must be unique, got {axes!r}")
    return chosen


def spectral_dtype(dtype):
    """The dtype in which an operand is transformed."""
    if dtype.kind not in "fc":
        return np.dtype(np.float64)
    return np.dtype(np.float32) if dtype.char == "e" else dtype
