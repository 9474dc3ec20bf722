"""What the contestants' results are compared with: float64, by NumPy and SciPy alone."""

from dataclasses import replace

import numpy as np

from . import doors
from .calls import Call
from .graph import Graph
from .integers import Quantised

_MANY = 200  # taps of one filter from which spectra are quicker than a sum over taps


def reference(layer, x, w=None, gradient=None):
    """The results of `layer` in float64: (y,), or (dx, dw) from the output's `gradient`.

    A call's results are the same, but that integers are rounded and saturated, or SciPy's own.
    """
    if isinstance(layer, Call):
        return (_filtered if layer.door == "filters" else _of_scipy)(layer, x, w)
    x, w = x.astype(np.float64), w.astype(np.float64)
    if isinstance(layer, Graph):
        return (_network(layer, x, w),)
    if isinstance(layer, Quantised):
        x, w = x - layer.zeros[0], w - layer.zeros[1]
    elif layer.transposed:
        forward = replace(layer, x=layer.y, direction="forward")
        return _backward(forward, np.zeros(_padded(forward)), w, x)[:1]
    x = np.pad(x, [(0, 0)] * 2 + [(p, p) for _, p, _ in _axes(layer)])
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
    inside = [slice(p, -p or None) for _, p, _ in _axes(layer)]
    return dx[(..., *inside)], dw


def _taps(layer, x, w):
    """For each tap: its place, what it meets (N, G, C/G, outputs), its weights (G, K/G, C/G)."""
    n, g = layer.x[0], layer.groups
    for at in np.ndindex(*layer.w[2:]):
        window = x[(..., *_window(layer, at))].reshape(n, g, layer.x[1] // g, -1)
        yield at, window, w[(..., *at)].reshape(g, layer.w[0] // g, layer.w[1])


def _window(layer, at):
    """Where the tap at `at` of every output lies in the padded input."""
    places = zip(at, layer.y[2:], _axes(layer), strict=True)
    return [slice(r * d, r * d + (p - 1) * s + 1, s) for r, p, (s, _, d) in places]


def _axes(layer):
    """(stride, padding, dilation) of each axis."""
    if isinstance(layer, Quantised):
        return [(layer.stride, layer.padding, 1)] * (len(layer.w) - 2)
    return layer.axes


def _padded(layer):
    """The shape of the padded input."""
    sizes = zip(layer.x[2:], _axes(layer), strict=True)
    return (*layer.x[:2], *(n + 2 * p for n, (_, p, _) in sizes))


def _network(graph, x, flat):
    """The steps one by one."""
    values = [x]
    for step, (w, bias) in zip(graph.steps, graph.parameters(flat), strict=True):
        y = values[step.source]
        if step.layer is None:
            values.append(_pooled(step, y))
            continue
        (y,) = reference(step.layer, y, w)
        if bias is not None:
            y = y + bias.reshape(-1, *[1] * (y.ndim - 2))
        if step.add is not None:
            y = y + values[step.add]
        low, high = {None: (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}[step.activation]
        values.append(np.clip(y, low, high))
    return values[-1]


def _pooled(step, x):
    axes = tuple(range(2, x.ndim))
    if step.pool == "mean":
        return x.mean(axes, keepdims=True)
    kernel, stride, padding = step.pool
    x = np.pad(x, [(0, 0)] * 2 + [(padding,) * 2] * len(axes), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel,) * len(axes), axes)
    strided = windows[(..., *[slice(None, None, stride)] * len(axes), *[slice(None)] * len(axes))]
    return strided.max(tuple(range(-len(axes), 0)))


def error(results, expected):
    """The largest difference, relative to the largest value expected; the worst of the results."""
    worst = 0.0
    for result, right in zip(results, expected, strict=True):
        difference = np.subtract(result, right, dtype=np.float64)
        largest = float(np.max(np.abs(right), initial=0)) or 1.0
        worst = np.maximum(worst, np.max(np.abs(difference), initial=0) / largest)
    return float(worst)
