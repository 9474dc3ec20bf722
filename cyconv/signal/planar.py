"""Convolution and correlation of two matrices, with a boundary."""

from math import isfinite, trunc

import numpy as np

from cyconv.lowering.borders import extended
from cyconv.problem.operands import on_host
from cyconv.signal.slices import check_valid, convolved, slices

BOUNDARIES = {
    "fill": "constant",
    "pad": "constant",
    "wrap": "wrap",
    "circular": "wrap",
    "symm": "reflect",
    "symmetric": "reflect",
}
"""SciPy's boundaries and their synonyms, as borders."""

CAST = "could not cast `fillvalue` directly to the output dtype"


def convolve2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    r"""Convolve two matrices.

    .. math:: y[p] = \sum_r in1[p - r] \, in2[r]

    Parameters
    ----------
    in1, in2 : array_like of two axes
    mode : {'full', 'valid', 'same'}
        As for :func:`convolve`.
    boundary : {'fill', 'wrap', 'symm'}
        What lies outside in1: `fillvalue`, in1 again, in1 mirrored; 'pad', 'circular' and
        'symmetric' are the same three.
    fillvalue : number, default 0
        Truncated where the operands are integers.

    Returns
    -------
    array of the promoted dtype; integers wrap

    Raises
    ------
    ValueError
        For arguments that do not fit.

    Examples
    --------
    >>> cyconv.signal.convolve2d([[1, 2], [3, 4]], [[1, 1]])
    array([[1, 3, 2],
           [3, 7, 4]])
    """
    return _planar(in1, in2, mode, boundary, fillvalue, correlated=False)


def correlate2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    r"""Cross-correlate two matrices.

    .. math:: y[p] = \sum_r in1[p + r - (k - 1)] \, \overline{in2[r]}

    Parameters
    ----------
    in1, in2, mode, boundary, fillvalue
        As for :func:`convolve2d`. k is in2's size along each axis.

    Returns
    -------
    array of the promoted dtype; integers wrap

    Notes
    -----
    As in SciPy, 'valid' with in2 the larger gives the conjugate: in1's is taken.

    Examples
    --------
    >>> cyconv.signal.correlate2d(np.arange(9).reshape(3, 3), [[-1, 1]], mode="valid")
    array([[1, 1],
           [1, 1],
           [1, 1]])
    """
    return _planar(in1, in2, mode, boundary, fillvalue, correlated=True)


def _planar(in1, in2, mode, boundary, fillvalue, correlated):
    a, b = on_host("in1", in1), on_host("in2", in2)
    if not a.ndim == b.ndim == 2:
        raise ValueError(f"in1 and in2 must have two axes, got shapes {a.shape} and {b.shape}")
    if mode == "valid":
        check_valid(a.shape, b.shape, range(2))
    swapped = mode == "valid" and (a.shape[0] < b.shape[0] or a.shape[1] < b.shape[1])
    if swapped:
        a, b = b, a
    window = slices(mode, a.shape, b.shape, range(2))
    if boundary not in BOUNDARIES:
        raise ValueError(f"boundary must be one of {', '.join(BOUNDARIES)}, got {boundary!r}")
    if correlated:
        b = np.flip(b.conj())
        if mode == "same":  # of an even number, the later of the two middles
            window = [(k // 2, n) for n, k in zip(a.shape, b.shape, strict=True)]
    dtype = np.result_type(a, b)
    if dtype.kind in "OSUVMmb" or dtype.char == "e":
        raise ValueError(f"in1 and in2 must not promote to dtype {dtype}")
    fill = _fill(fillvalue, dtype)
    a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    if 0 in (a.size, b.size) or (BOUNDARIES[boundary] == "constant" and fill == 0):
        y = _over_zeros(a, b, window)
    else:
        y = _over_border(a, b, window, BOUNDARIES[boundary], fill)
    return y[::-1, ::-1] if swapped and correlated else y


def _over_zeros(a, b, window):
    if 0 in (a.size, b.size):
        return np.zeros([size for _, size in window], a.dtype)
    return convolved(a, b, range(2), window, "auto")


def _over_border(a, b, window, border, fill):
    widths = [
        (k - 1 - start, start + size - n)
        for n, k, (start, size) in zip(a.shape, b.shape, window, strict=True)
    ]
    a = extended(a, widths, border, fill)
    return convolved(a, b, range(2), slices("valid", a.shape, b.shape, range(2)), "auto")


def _fill(value, dtype):
    """`value` in `dtype`: an array must be safe to cast, a number is truncated to an integer."""
    array = on_host("fillvalue", value)
    if array.size != 1:
        raise ValueError(f"`fillvalue` must be scalar or an array with one element, got {value!r}")
    if isinstance(value, np.ndarray):
        if not np.can_cast(array.dtype, dtype):
            raise ValueError(f"{CAST} {dtype}: {value!r} is not safe to cast")
        return array.reshape(())[()]
    item = array.item()
    number = complex(np.nan if item is None else item)
    if dtype.kind == "c":
        return number
    if isinstance(item, complex) or number.imag:
        raise ValueError(f"{CAST} {dtype}: {value!r} is not real")
    if dtype.kind not in "iu":
        return number.real
    info = np.iinfo(dtype)
    if not isfinite(number.real) or not info.min <= trunc(number.real) <= info.max:
        raise ValueError(f"{CAST} {dtype}: {value!r} is out of range")
    return trunc(number.real)
