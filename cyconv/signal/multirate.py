"""Filters that change the rate of a signal."""

from functools import lru_cache
from math import gcd

import numpy as np

from cyconv.ndimage.arguments import real_number
from cyconv.problem.operands import on_host
from cyconv.signal.extension import MODES, extended_lines
from cyconv.signal.phases import filtered

DTYPES = "fdFD"
"""Characters of the dtypes in which signals are filtered."""

BACKGROUNDS = {"mean": np.mean, "median": np.median, "minimum": np.min, "maximum": np.max}
"""What :func:`resample_poly` can take from a line before it is filtered, and add again."""


def upfirdn(h, x, up=1, down=1, axis=-1, mode="constant", cval=0):
    r"""Put up - 1 zeros after each cell, convolve with `h`, and keep every down-th result.

    .. math:: y[m] = \sum_k h[m \, down - k \, up] \, x[k]

    Parameters
    ----------
    h : array_like of one axis
    x : array_like
    up, down : int, default 1
    axis : int, default -1
    mode : str, default 'constant'
        What lies outside x: 'constant', 'wrap', 'edge', 'symmetric' and 'reflect' as ``numpy.pad``
        has them; 'antisymmetric' and 'antireflect', the mirrored cells with their signs or turned
        about the end; 'smooth' and 'line', straight lines by the slope of the last two cells or
        from the first cell to the last.
    cval : number, default 0
        What lies there with mode 'constant'.

    Returns
    -------
    array of the promoted dtype, float32 at least
        ((n - 1) up + k - 1) // down + 1 results along the axis, of n cells and k taps.

    Raises
    ------
    ValueError
        For a filter, a rate or a mode that is none.
    IndexError, TypeError
        For an axis, a cval or a dtype that is wrong.

    Examples
    --------
    >>> upfirdn([0.5, 1, 0.5], [1, 2, 3], up=2)
    array([0.5, 1. , 1.5, 2. , 2.5, 3. , 1.5])
    >>> cyconv.signal.upfirdn([1, 1, 1], [1, 2, 3], up=3)  # every sample three times
    array([1., 1., 1., 2., 2., 2., 3., 3., 3.])
    >>> cyconv.signal.upfirdn([1, 1], [1, 2, 3, 4], down=2)
    array([1., 5., 4.])
    """
    h, x = on_host("h", h), on_host("x", x)
    check_filter(h)
    up, down = int(up), int(down)
    if up < 1 or down < 1:
        raise ValueError(f"upfirdn: up and down must be >= 1, got {up} and {down}")
    count = ((x.shape[axis] - 1) * up + len(h) - 1) // down + 1
    return _resampled(x, h, axis, up, down, 0, count, mode.lower(), cval)


def resample_poly(x, up, down, axis=0, window=("kaiser", 5.0), padtype="constant", cval=None):
    r"""Change the rate of a signal by up / down, with a low-pass filter of zero phase.

    .. math:: y[m] = up \sum_k h[\lfloor (K - 1) / 2 \rfloor + m \, down - k \, up] \, x[k]

    Parameters
    ----------
    x : array_like
    up, down : int
        Without their common divisors.
    axis : int, default 0
    window : str, tuple, float or array_like of one axis
        An array is the filter h, of K taps. Of a window's name, as ``scipy.signal.get_window``
        takes it, h is ``scipy.signal.firwin``'s, K = 20 max(up, down) + 1.
    padtype : str, default 'constant'
        What lies outside x: a mode of :func:`upfirdn`; or 'mean', 'median', 'minimum' or 'maximum'
        of each line.
    cval : number, optional
        What lies there with padtype 'constant'; default 0.

    Returns
    -------
    array of the dtype that :func:`upfirdn` gives
        ceil(n up / down) results along the axis.

    Raises
    ------
    ValueError
        For rates, a window or a padtype that is none.
    IndexError, TypeError
        For an axis, a cval or a dtype that is wrong.

    Notes
    -----
    Filters that were designed are remembered.

    Examples
    --------
    >>> cyconv.signal.resample_poly(np.ones(8), 3, 2, padtype="line").round(2)
    array([1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1.])
    """
    x = on_host("x", x)
    for name, rate in (("up", up), ("down", down)):
        if rate != int(rate):
            raise ValueError(f"resample_poly: {name} must be an integer, got {rate!r}")
    up, down = int(up), int(down)
    if up < 1 or down < 1:
        raise ValueError(f"resample_poly: up and down must be >= 1, got {up} and {down}")
    if cval is not None and padtype != "constant":
        raise ValueError(f"resample_poly: cval has no effect when padtype is {padtype!r}")
    up, down = up // gcd(up, down), down // gcd(up, down)
    if up == down:
        return np.array(x)
    count = -(-x.shape[axis] * up // down)
    h = _low_pass(window, up, down, x.dtype)
    background = None
    if padtype in BACKGROUNDS:
        background = BACKGROUNDS[padtype](x, axis=axis, keepdims=True)
        x, padtype = x - background, "constant"
    elif padtype not in MODES:
        known = ", ".join((*BACKGROUNDS, *MODES))
        raise ValueError(f"resample_poly: padtype must be one of {known}, got {padtype!r}")
    middle = max(len(h) - 1, 0) // 2
    h = h if h.size else np.zeros(1, h.dtype)
    y = _resampled(x, h, axis, up, down, middle, count, padtype, 0 if cval is None else cval)
    if background is not None:
        y += background
    return y


def _resampled(x, h, axis, up, down, first, count, mode, cval):
    """:func:`.phases.filtered` in the promoted dtype, with what `mode` puts outside."""
    dtype = np.result_type(h.dtype, x.dtype, np.float32)
    if dtype.char not in DTYPES:
        raise TypeError(f"no filter for h of dtype {h.dtype} and x of dtype {x.dtype}")
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    cval = complex(cval) if np.iscomplexobj(cval) and dtype.kind == "c" else real_number(cval)
    axis %= x.ndim
    if count < 0:
        raise ValueError(f"no results of {x.shape[axis]} cells, {len(h)} taps and rate {up}")
    extend = None
    if mode != "constant" or cval != 0:
        if mode != "constant" and not x.shape[axis]:
            raise ValueError(f"mode {mode!r} continues a line, got shape {x.shape}, axis {axis}")

        def extend(lines, before, after):
            return extended_lines(lines, before, after, mode, cval)

    h = h.astype(dtype if h.dtype.kind == "c" else dtype.char.lower())
    if not np.isfinite(h).all():
        return _by_scipy(h, x.astype(dtype), axis, up, down, first, count, mode, cval)
    return filtered(x.astype(dtype, copy=False), h, axis, up, down, first, count, extend)


def _by_scipy(h, x, axis, up, down, first, count, mode, cval):
    """SciPy's sums, which do not multiply an infinite tap with the zeros outside."""
    from scipy.signal import upfirdn

    h = np.concatenate([np.zeros(-first % down, h.dtype), h])
    skipped = -(-first // down)
    missing = (skipped + count - 1) * down + 1 - (x.shape[axis] - 1) * up - len(h)
    h = np.append(h, np.zeros(max(missing, 0), h.dtype))
    y = upfirdn(h, x, up, down, axis, mode, cval)
    return y[(slice(None),) * axis + (slice(skipped, skipped + count),)]


def check_filter(h):
    """Refuse a filter that is not a line of taps."""
    if h.ndim != 1 or h.size == 0:
        raise ValueError(f"upfirdn: h must be 1-D with non-zero length, got shape {h.shape}")


def _low_pass(window, up, down, dtype):
    """The filter of :func:`resample_poly`."""
    if not isinstance(window, (str, tuple, float, int, type(None))):
        h = np.array(on_host("window", window))
        if h.ndim != 1:
            kind = IndexError if h.ndim == 0 else ValueError
            raise kind(f"resample_poly: window must be 1-D, got shape {h.shape}")
        h *= up
        return h
    dtype = dtype if dtype.kind in "fc" else np.dtype(np.float64)
    try:
        hash(window)
    except TypeError:
        return _designed.__wrapped__(window, up, max(up, down), dtype)
    return _designed(window, up, max(up, down), dtype)


@lru_cache(maxsize=32)
def _designed(window, up, rate, dtype):
    """A low-pass filter of firwin's, cut off at 1 / rate, times up."""
    from scipy.signal import firwin

    h = firwin(20 * rate + 1, 1 / rate, window=window)
    if dtype.kind == "c":  # its imaginary part is zero
        dtype = np.empty(0, dtype).real.dtype
    return h.astype(dtype) * dtype.type(up)
