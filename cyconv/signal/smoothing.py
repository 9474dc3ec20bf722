"""Savitzky and Golay's filters: the values and derivatives of polynomials fitted to each window."""

from functools import lru_cache
from operator import index

import numpy as np
from numpy.polynomial import legendre

from cyconv.ndimage import convolve1d
from cyconv.problem.operands import on_host

MODES = ("mirror", "constant", "nearest", "interp", "wrap")


def savgol_coeffs(
    window_length, polyorder, deriv=0, delta=1.0, pos=None, use="conv", *, xp=None, device=None
):
    """The taps of a filter by Savitzky and Golay: ``scipy.signal.savgol_coeffs``.

    Parameters
    ----------
    window_length : int
        Cells that a polynomial is fitted to.
    polyorder : int
        Its order, less than `window_length`.
    deriv : int, default 0
        The derivative that is taken of it.
    delta : float, default 1.0
        From one cell to the next.
    pos : int or float, optional
        Where in the window; default the middle.
    use : {'conv', 'dot'}
        For a convolution or, in reverse, for a product with the cells as they lie.
    xp, device : optional
        Of SciPy's array API, from SciPy 1.16 on.

    Returns
    -------
    array of float64, `window_length` taps

    Examples
    --------
    >>> (35 * cyconv.signal.savgol_coeffs(5, 2)).round(6)  # Savitzky and Golay's first table
    array([-3., 12., 17., 12., -3.])
    """
    from scipy.signal import savgol_coeffs

    place = {name: value for name, value in (("xp", xp), ("device", device)) if value is not None}
    return savgol_coeffs(window_length, polyorder, deriv, delta, pos, use, **place)


def savgol_filter(
    x, window_length, polyorder, deriv=0, delta=1.0, axis=-1, mode="interp", cval=0.0
):
    r"""Fit a polynomial to each window of a line, and take its value in the middle.

    .. math:: y[p] = \sum_r c[r] \, x[p - r + \lfloor k / 2 \rfloor],

    with the taps c of :func:`savgol_coeffs`.

    Parameters
    ----------
    x : array_like
    window_length, polyorder, deriv, delta
        As for :func:`savgol_coeffs`.
    axis : int, default -1
    mode : {'interp', 'mirror', 'nearest', 'wrap', 'constant'}
        What lies outside x, as for :func:`cyconv.ndimage.convolve1d`; with 'interp' nothing does,
        and the first and the last half window are values of the first and the last polynomial.
    cval : number, default 0.0
        What lies outside with mode 'constant'.

    Returns
    -------
    array of x's shape, float32 if x is, else float64

    Raises
    ------
    ValueError
        For a mode or a polynomial that is none, and where 'interp' has no whole window.
    IndexError, TypeError
        For an axis, a size or a cval that is wrong.

    Notes
    -----
    Fits are computed in float64 and cast once. Taps are remembered.

    Examples
    --------
    >>> square = np.arange(6.0) ** 2  # a parabola is left as it is
    >>> np.allclose(cyconv.signal.savgol_filter(square, 5, 2), square)
    True
    """
    x = on_host("x", x)
    if mode not in MODES:
        raise ValueError(f"savgol_filter: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64)
    fit = tuple(_number(value) for value in (window_length, polyorder, deriv, delta))
    taps = _taps(*fit)
    if mode != "interp":
        return convolve1d(x, taps, axis=axis, mode=mode, cval=cval)
    if window_length > x.shape[axis]:
        raise ValueError(
            "savgol_filter: with mode 'interp' window_length must be less than or equal to the "
            f"size of x, {x.shape[axis]} along axis {axis}, got {window_length}"
        )
    k, half = index(window_length), window_length // 2
    y = convolve1d(x, taps, axis=axis, mode="constant")
    lines, results = (np.moveaxis(array, axis, -1) for array in (x, y))
    if half:
        first, last = _ends(*fit)
        n = lines.shape[-1]
        results[..., :half] = lines[..., :k] @ first
        results[..., n - half :] = lines[..., n - k :] @ last
    return y


def _number(value):
    """`value`, or the one number of an array without axes, which can be a key."""
    return value[()] if isinstance(value, np.ndarray) and not value.ndim else value


@lru_cache(maxsize=64, typed=True)
def _taps(window_length, polyorder, deriv, delta):
    taps = savgol_coeffs(window_length, polyorder, deriv, delta)
    taps.flags.writeable = False
    return taps


@lru_cache(maxsize=64, typed=True)
def _ends(window_length, polyorder, deriv, delta):
    """What takes the first window to the first half's results, and the last one to the last's.

    With Legendre polynomials P of the window's cells t in [-1, 1] and the derivatives D of those at
    the results' cells, it is the transpose of D P^+.
    """
    t = np.linspace(-1, 1, window_length)
    fitted = np.linalg.pinv(legendre.legvander(t, polyorder))
    derived = legendre.legder(np.eye(polyorder + 1), deriv, axis=0)
    scale = np.float64(2 / (window_length - 1)) ** deriv / delta**deriv
    values = legendre.legvander(t[: window_length // 2], len(derived) - 1) @ derived
    first = np.ascontiguousarray((scale * values @ fitted).T)
    return first, first[::-1, ::-1] * (-1) ** deriv
