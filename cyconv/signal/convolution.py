"""Convolution and correlation over all axes, and the choice between the methods."""

from math import log, prod
from timeit import Timer

import numpy as np

from cyconv.problem.operands import on_host
from cyconv.signal.slices import CONV_DTYPES, check_valid, convolved, slices
from cyconv.signal.spectral import check_axes_match, convolved_in_floats


def convolve(in1, in2, mode="full", method="auto"):
    r"""Convolve two arrays.

    .. math:: y[p] = \sum_r in1[p - r] \, in2[r]

    Parameters
    ----------
    in1, in2 : array_like, the same number of axes
    mode : {'full', 'valid', 'same'}
        All sums, those that need no zeros beyond the operands (one of which must then hold the
        other), or as many as in1 has, in the middle.
    method : {'auto', 'direct', 'fft'}
        Sums as they stand, products of spectra, or the library's choice between all algorithms.

    Returns
    -------
    array of the promoted dtype
        Integers are exact and wrap, except by 'fft', which rounds float64.

    Raises
    ------
    ValueError
        For arguments that do not fit, and where a sum would have no terms.

    Examples
    --------
    >>> cyconv.signal.convolve([1, 2, 3, 0, 1], [1, 2, 3])
    array([ 1,  4, 10, 12, 10,  2,  3])
    """
    return _convolve(on_host("in1", in1), on_host("in2", in2), mode, method)


def correlate(in1, in2, mode="full", method="auto"):
    r"""Cross-correlate two arrays.

    .. math:: y[p] = \sum_r in1[p + r - (k - 1)] \, \overline{in2[r]}

    Parameters
    ----------
    in1, in2, mode, method
        As for :func:`convolve`. k is in2's size along each axis.

    Returns
    -------
    array of the promoted dtype

    Examples
    --------
    >>> cyconv.signal.correlate([1, 2, 3, 0, 1], [1, 2, 3], mode="valid")
    array([14,  8,  6])
    """
    in1, in2 = on_host("in1", in1), on_host("in2", in2)
    in2 = in2.conj() if in2.dtype.kind == "c" else in2
    return _convolve(in1, np.flip(in2), mode, method)


def _convolve(a, b, mode, method):
    if a.ndim == b.ndim == 0:
        return a * b
    check_axes_match(a.shape, b.shape)
    axes = range(a.ndim)
    if mode == "valid":
        check_valid(a.shape, b.shape, axes)
    window = slices(mode, a.shape, b.shape, axes)
    if method not in ("auto", "direct", "fft"):
        raise ValueError(f"method must be 'auto', 'direct' or 'fft', got {method!r}")
    dtype = np.result_type(a, b)
    summed = dtype.char in CONV_DTYPES and dtype.char != "e"  # for any axes and mode
    if not summed and (
        method == "direct" or (method == "auto" and choose_conv_method(a, b, mode) == "direct")
    ):
        check_direct(dtype, a, b, mode)
    if 0 in (a.size, b.size):
        return np.zeros(_empty_shape(a, b, mode, window), dtype)
    if method == "fft":
        y = convolved_in_floats(a, b, mode, None, "fft")
        return (np.rint(y) if dtype.kind in "biu" else y).astype(dtype, copy=False)
    a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    return convolved(a, b, axes, window, method)


def check_direct(dtype, in1, in2, mode):
    """Refuse what SciPy has no direct sum for.

    Text and dates; bool, float16 and objects where NumPy's sums along one axis do not serve.
    """
    one_line = in1.ndim == 1 and (mode != "same" or in1.size >= in2.size)
    if dtype.kind in "SUVMm" or (dtype.char in "?eO" and not one_line):
        raise ValueError(f"no direct method for dtype {dtype} and these axes and mode")


def _empty_shape(a, b, mode, window):
    """Shape of a result without terms, where there is one."""
    if (mode == "valid" and a.ndim > 1) or (mode == "same" and b.size):
        return [size for _, size in window]
    raise ValueError(f"in1 and in2 must not be empty, got shapes {a.shape} and {b.shape}")


# SciPy's cost of one operation in seconds by FFT and by direct sums, and what the choice of FFT has
# to save, from its measurements on a 2.5 GHz Intel i7 of 2014 (scipy 1.17, signal.convolve): with
# them the answers of choose_conv_method are SciPy's.
_COST = {
    1: {
        "full": (1.7649070e-9, 2.1414831e-10, 1e-3),
        "valid": (1.89095737e-9, 2.1364985e-10, 1e-3),
        "same": (3.2646654e-9, 2.8478277e-10, 1e-3),
        "same, in2 larger": (3.21635404e-9, 1.1773253e-8, 1e-5),
    },
    2: {
        "full": (1.99817e-9, 1.66174e-8, 1e-4),
        "valid": (1.85927e-9, 2.11242e-8, 1e-4),
        "same": (2.04735e-9, 1.55367e-8, 1e-4),
    },
}


def choose_conv_method(in1, in2, mode="full", measure=False):
    """The faster method of :func:`convolve`, as SciPy estimates it.

    Parameters
    ----------
    in1, in2, mode
        As for :func:`convolve`.
    measure : bool, default False
        Run both and time them.

    Returns
    -------
    method : {'direct', 'fft'}
        'direct' wherever float64 might not hold the sums of integers.
    times : dict of str to float
        Seconds of each method; only if `measure`.

    Notes
    -----
    :func:`convolve` itself, by 'auto', takes the fastest of the library's algorithms, which may be
    another.

    Examples
    --------
    >>> cyconv.signal.choose_conv_method(np.ones(10**5), np.ones(10**4))
    'fft'
    """
    a, b = on_host("in1", in1), on_host("in2", in2)
    if measure:
        times = {method: _seconds(a, b, mode, method) for method in ("fft", "direct")}
        return min(times, key=times.get), times
    kinds = a.dtype.kind + b.dtype.kind
    if set(kinds) & set("iu"):
        largest = int(np.abs(a).max()) * int(np.abs(b).max()) * min(a.size, b.size)
        if largest > 2 ** np.finfo(np.float64).nmant - 1:
            return "direct"
    if kinds == "bb" or not set(kinds) <= set("biufc"):
        return "direct"
    return "fft" if _fft_is_faster(a.shape, b.shape, mode) else "direct"


def _fft_is_faster(shape, taps, mode):
    """Whether three transforms of the full result cost less than the products of direct sums."""
    outputs = prod(size for _, size in slices(mode, shape, taps, range(min(len(shape), len(taps)))))
    n, k = prod(shape), prod(taps)
    cost = _COST[min(len(shape), 2)]
    products = min(n, k) * outputs
    if mode == "same":
        products = n * k
        if len(shape) == 1 and n >= k:
            products -= (k // 2) * ((k + 1) // 2)
        elif len(shape) == 1:
            mode = "same, in2 larger"
    full = prod(one + other - 1 for one, other in zip(shape, taps, strict=False))
    if full < 1:
        return False
    by_fft, direct, saving = cost[mode]
    return by_fft * 3 * full * log(full) < direct * products - saving


def _seconds(a, b, mode, method):
    """Seconds of one call: the best of three runs of at least 5 ms."""
    timer, count, run = Timer(lambda: _convolve(a, b, mode, method)), 1, 0.0
    while run < 5e-3:
        run, count = timer.timeit(count), 2 * count
    return min(2 * run, *timer.repeat(2, count)) / count


def correlation_lags(in1_len, in2_len, mode="full"):
    """The lags of :func:`correlate` along one axis.

    Parameters
    ----------
    in1_len, in2_len : int
        Sizes of the operands.
    mode : {'full', 'valid', 'same'}

    Returns
    -------
    array of int
        ``correlate(in1, in2, mode)[i]`` pairs ``in1[j + lags[i]]`` with ``in2[j]``.

    Examples
    --------
    >>> correlation_lags(3, 2)
    array([-1,  0,  1,  2])
    """
    if mode == "full":
        return np.arange(1 - in2_len, in1_len)
    if mode == "valid":
        return np.arange(min(in1_len - in2_len, 0), max(in1_len - in2_len, 0) + 1)
    if mode != "same":
        raise ValueError(f"Mode {mode} is invalid; it must be 'full', 'same' or 'valid'")
    full = np.arange(1 - in2_len, in1_len)
    start = full.size // 2 - in1_len // 2
    return full[start : start + in1_len]
