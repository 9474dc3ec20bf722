"""What lies outside a line, by the modes of `scipy.signal.upfirdn`."""

import numpy as np

from cyconv.lowering.borders import extended

BORDER = {
    "constant": "constant",
    "wrap": "wrap",
    "edge": "nearest",
    "symmetric": "reflect",
    "reflect": "mirror",
    "antisymmetric": "reflect",
    "antireflect": "mirror",
}
"""The border whose cells each mode takes, the last two before they are turned."""

SLOPED = ("smooth", "line")
"""Straight lines go on, by the slope of the last two cells or from the first cell to the last."""

MODES = (*BORDER, *SLOPED)


def extended_lines(x, before, after, mode, cval=0):
    """`x`, (A, n, M), with `before` and `after` cells along its middle axis.

    Parameters
    ----------
    x : array with n > 0, or mode 'constant'
    before, after : int
    mode : one of MODES
    cval : number
        What mode 'constant' puts there.

    Returns
    -------
    array (A, before + n + after, M), x's dtype
    """
    border = BORDER.get(mode, "nearest")
    y = extended(x, [(0, 0), (before, after), (0, 0)], border, cval)
    n = x.shape[1]
    outside = [slice(0, before), slice(before + n, None)]
    positions = [np.arange(-before, 0), np.arange(n, n + after)]
    for part, i in zip(outside, positions, strict=True):
        if not i.size:
            continue
        if mode in SLOPED:
            y[:, part] += _sloped(x, i, mode)
        elif mode == "antisymmetric":
            y[:, part] *= _column(1 - 2 * (i // n % 2), x)
        elif mode == "antireflect":
            y[:, part] = _antireflected(x, y[:, part], i)
    return y


def _sloped(x, i, mode):
    """How far a straight line through the end has gone at the positions `i`."""
    n = x.shape[1]
    left = i[0] < 0
    steps = _column(i if left else i - (n - 1), x)
    if n == 1:
        return steps * np.zeros_like(x)
    if mode == "line":
        return steps * ((x[:, -1:] - x[:, :1]) / x.real.dtype.type(n - 1))
    return steps * (x[:, 1:2] - x[:, :1] if left else x[:, -1:] - x[:, -2:-1])


def _antireflected(x, mirrored, i):
    """Turned by half a turn about each end: what two ends differ by is added in each period.

    x[i + 2 (n - 1)] = x[i] + 2 (x[n - 1] - x[0]),   x[-i] = 2 x[0] - x[i]
    """
    n = x.shape[1]
    first, last = x[:, :1], x[:, -1:]
    turns, place = np.divmod(i, max(2 * n - 2, 1))
    back = _column(place >= n, x)
    rise = _column(2 * turns, x) * (last - first)
    return rise + np.where(back, 2 * last - mirrored, mirrored)


def _column(values, x):
    """One value for each cell of a line, beside lines such as `x`'s."""
    dtype = values.dtype if values.dtype == bool else x.real.dtype
    return values.astype(dtype)[:, None]
