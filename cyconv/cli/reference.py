"""What the contestants' results are compared with: float64, by NumPy and SciPy alone."""

import numpy as np

from . import doors
from .calls import Call
from .integers import Quantised

_MANY = 200  # taps of one filter from which spectra are quicker than a sum over taps


def reference(layer, x, w=None, gradient=None):
    """The results of `layer` in float64: (y,), or (dx, dw) from the output's `gradient`.

    A call's results are the same, but that integers are rounded and saturated, or SciPy's own.
    """
    if isinstance(layer, Call):
        return (_filtered if layer.door == "filters" else _of_scipy)(layer, x, w)
    x, w = x.astype(np.float64), w.astype(np.float64)
    if isinstance(layer, Quantised):
        x, w = x - layer.zeros[0], w - layer.zeros[1]
    x = np.pad(x, ((0, 0), (0, 0), *((layer.padding,) * 2,) * (x.ndim - 2)))
    if gradient is not None:
        both = _backward(layer, x, w, gradient.astype(np.float64))
        return both[: len(layer.problems)]
    if layer.one_channel and w.size > _MANY:
        from scipy.signal import oaconvolve

        turned = w[0, 0][(slice(None, None, -1),) * (w.ndim - 2)]
        return (oaconvolve(x[0, 0], turned, mode="valid")[None, None],)
    y = 0
    for _, window, taps in _taps(layer, x, w):
        y = y + taps @ window
    y = y.reshape(layer.y)
    return (layer.rounded(y) if isinstance(layer, Quantised) else y,)


def _filtered(call, x, w):
    """Sums of the mirrored image under each kernel of `w`, by spectra; the length of both."""
    from scipy.signal import oaconvolve

    borders = [((n - 1) // 2, n // 2) for n in w.shape[-2:]] + [(0, 0)] * (x.ndim - 2)
    wide = np.pad(x.astype(np.float64), borders, mode="reflect")
    kernels = w.astype(np.float64).reshape(-1, *w.shape[-2:], *[1] * (x.ndim - 2))
    ys = [oaconvolve(wide, k[::-1, ::-1], mode="valid", axes=(0, 1)) for k in kernels]
    ys = [np.hypot(*ys)] if call.function == "gradient_magnitude" else ys
    if call.result_dtype.kind == "f":
        return tuple(ys)
    limits = np.iinfo(call.result_dtype)
    return tuple(np.clip(np.rint(y), limits.min, limits.max) for y in ys)


def _of_scipy(call, x, w):
    """Integers in SciPy's arithmetic, which truncates and wraps between the passes."""
    from scipy import ndimage

    x = x.astype(np.float64) if x.dtype.kind == "f" else x
    return doors.results(doors.typed(ndimage, call, x, w)())


def _backward(layer, x, w, gradient):
    """(dx, dw): with y = sum over taps of w_t x_t, dx_t += w_t^T dy and dw_t = dy x_t^T."""
    n, g = layer.x[0], layer.groups
    dy = gradient.reshape(n, g, layer.w[0] // g, -1)
    dx, dw = np.zeros_like(x), np.empty_like(w)
    for at, window, taps in _taps(layer, x, w):
        cells = dx[(..., *_window(layer, at))]
        cells += (taps.swapaxes(-1, -2) @ dy).reshape(cells.shape)
        dw[(..., *at)] = (dy @ window.swapaxes(-1, -2)).sum(0).reshape(layer.w[:2])
    inside = (slice(layer.padding, -layer.padding or None),) * (x.ndim - 2)
    return dx[(..., *inside)], dw


def _taps(layer, x, w):
    """For each tap: its place, what it meets (N, G, C/G, outputs), its weights (G, K/G, C/G)."""
    n, g = layer.x[0], layer.groups
    for at in np.ndindex(*layer.w[2:]):
        window = x[(..., *_window(layer, at))].reshape(n, g, layer.x[1] // g, -1)
        yield at, window, w[(..., *at)].reshape(g, layer.w[0] // g, layer.w[1])


def _window(layer, at):
    """Where the tap at `at` of every output lies in the padded input."""
    s = layer.stride
    return [slice(r, r + (p - 1) * s + 1, s) for r, p in zip(at, layer.y[2:], strict=True)]


def error(results, expected):
    """The largest difference, relative to the largest value expected; the worst of the results."""
    worst = 0.0
    for result, right in zip(results, expected, strict=True):
        difference = np.subtract(result, right, dtype=np.float64)
        largest = float(np.max(np.abs(right), initial=0)) or 1.0
        worst = np.maximum(worst, np.max(np.abs(difference), initial=0) / largest)
    return float(worst)
