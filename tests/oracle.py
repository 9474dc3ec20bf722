"""The reference: convolution by its definition, for any rank, in whatever arithmetic is asked for.

Every window of the padded input is looked at through ``sliding_window_view`` and contracted with
the weights. Nothing here is imported from the product, and nothing here is meant to be fast.

Notation: N batch, C input channels, K output channels, ``spatial`` the image axes, ``kernel`` the
window axes, ``out`` the output axes. A geometry is given as in the product: ``stride`` and
``dilation`` an int or one int per axis, ``padding`` an int, one int per axis, ``(lo, hi)`` pairs,
``"valid"``, ``"same"`` or ``"same_lower"``.

Arithmetic: ``dtype=float64`` (the default), ``longdouble``, ``complex128``, or ``object`` for exact
Python integers and fractions.
"""

from itertools import product
from math import ceil

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PAD_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}


def per_axis(value, rank):
    """`value` as a tuple of `rank` ints; an int stands for itself on every axis."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def pad_pairs(padding, spatial, kernel, stride, dilation):
    """`padding` as ``(lo, hi)`` pairs, one per axis.

    "same" asks for ``ceil(in / stride)`` outputs. Their windows span
    ``(out - 1) * stride + dilation * (k - 1) + 1`` cells, and what the input lacks of that is split
    between the ends; the odd cell goes to the end ("same") or to the start ("same_lower").
    """
    rank = len(spatial)
    if padding == "valid":
        return ((0, 0),) * rank
    if padding in ("same", "same_lower"):
        pairs = []
        for n, k, s, d in zip(spatial, kernel, stride, dilation, strict=True):
            lack = max((ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)
            less, more = lack // 2, lack - lack // 2
            pairs.append((less, more) if padding == "same" else (more, less))
        return tuple(pairs)
    return tuple((p, p) if isinstance(p, int) else tuple(p) for p in per_axis(padding, rank))


def output_sizes(spatial, kernel, stride, pairs, dilation):
    """The number of windows along each axis, by counting where a window may start."""
    return tuple(
        len(range(0, n + lo + hi - d * (k - 1), s))
        for n, k, s, (lo, hi), d in zip(spatial, kernel, stride, pairs, dilation, strict=True)
    )


def geometry(spatial, kernel, stride, padding, dilation):
    """`(stride, pairs, dilation, out)` with every entry per axis."""
    rank = len(spatial)
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    pairs = pad_pairs(padding, spatial, kernel, stride, dilation)
    return stride, pairs, dilation, output_sizes(spatial, kernel, stride, pairs, dilation)


def pad(x, pairs, padding_mode="zeros"):
    """`x` (N, C, *spatial) with its border written out."""
    return np.pad(x, ((0, 0), (0, 0), *pairs), mode=PAD_MODES[padding_mode])


def pad_adjoint(g, spatial, pairs, padding_mode="zeros"):
    """The transpose of `pad`: each border cell's value is added to the cell it was copied from."""
    for axis, (n, (lo, hi)) in enumerate(zip(spatial, pairs, strict=True), start=2):
        source = np.pad(np.arange(n), (lo, hi), mode=PAD_MODES[padding_mode])
        if padding_mode == "zeros":
            source[:lo] = source[lo + n :] = -1
        folded = np.zeros((n, *np.moveaxis(g, axis, 0).shape[1:]), g.dtype)
        for row, i in zip(np.moveaxis(g, axis, 0), source, strict=True):
            if i >= 0:
                folded[i] += row
        g = np.moveaxis(folded, 0, axis)
    return g


def windows(xp, kernel, stride, dilation, out):
    """View ``[n, c, i, r] = xp[n, c, i * stride + r * dilation]``, (N, C, *out, *kernel)."""
    axes = tuple(range(2, xp.ndim))
    if 0 in out:
        return np.empty((*xp.shape[:2], *out, *kernel), xp.dtype)
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    view = sliding_window_view(xp, span, axes)
    steps = tuple(slice(None, None, s) for s in (*stride, *dilation))
    return view[(slice(None), slice(None), *steps)]


def scatter(values, w, full, stride, dilation, groups):
    """Every cell of `values` (N, A, *cells) stamps its kernel onto zeros (N, B, *full).

    `w` is (A, B/groups, *kernel); tap r of cell i lands on ``i * stride + r * dilation``.
    """
    cells, kernel = values.shape[2:], w.shape[2:]
    a, b = w.shape[0] // groups, w.shape[1]
    y = np.zeros((values.shape[0], b * groups, *full), np.result_type(values, w))
    for tap in product(*map(range, kernel)):
        landing = tuple(
            slice(r * d, r * d + s * (n - 1) + 1 if n else r * d, s)
            for r, d, s, n in zip(tap, dilation, stride, cells, strict=True)
        )
        for g in range(groups):
            part = np.tensordot(
                values[:, g * a : (g + 1) * a],
                w[(slice(g * a, (g + 1) * a), slice(None), *tap)],
                ((1,), (0,)),
            )
            y[(slice(None), slice(g * b, (g + 1) * b), *landing)] += np.moveaxis(part, -1, 1)
    return y


def _batched(x, rank):
    return (x[None], True) if x.ndim == rank + 1 else (x, False)


def _flipped(w, rank, flip):
    return np.flip(w, tuple(range(w.ndim - rank, w.ndim))) if flip else w


def conv(
    x,
    w,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    padding_mode="zeros",
    flip=False,
    dtype=np.float64,
):
    """``y[n, k, i] = bias[k] + sum over c, r of w[k, c, r] * xp[n, c, i * stride + r * dilation]``.

    `x` is (N, C, *spatial) or (C, *spatial), `w` is (K, C/groups, *kernel); ``flip`` reverses the
    kernel (true convolution).
    """
    rank = w.ndim - 2
    x, unbatched = _batched(np.asarray(x, dtype), rank)
    w = _flipped(np.asarray(w, dtype), rank, flip)
    kernel = w.shape[2:]
    stride, pairs, dilation, out = geometry(x.shape[2:], kernel, stride, padding, dilation)
    view = windows(pad(x, pairs, padding_mode), kernel, stride, dilation, out)
    taps = tuple(range(2 + rank, 2 + 2 * rank))
    c, k = w.shape[1], w.shape[0] // groups
    parts = []
    for g in range(groups):
        part = np.tensordot(
            view[:, g * c : (g + 1) * c],
            w[g * k : (g + 1) * k],
            ((1, *taps), tuple(range(1, 2 + rank))),
        )
        parts.append(np.moveaxis(part, -1, 1))
    y = np.concatenate(parts, axis=1)
    if bias is not None:
        y = y + np.asarray(bias, dtype).reshape(-1, *(1,) * rank)
    return y[0] if unbatched else y


def grad_input(
    input_shape,
    w,
    grad,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    padding_mode="zeros",
    flip=False,
    dtype=np.float64,
):
    """The transpose of ``x -> conv(x, w)``, by scattering: every output goes back to its window.

    No conjugate is taken for complex weights.
    """
    rank = w.ndim - 2
    grad, unbatched = _batched(np.asarray(grad, dtype), rank)
    w = _flipped(np.asarray(w, dtype), rank, flip)
    spatial, kernel = tuple(input_shape[-rank:]), w.shape[2:]
    stride, pairs, dilation, out = geometry(spatial, kernel, stride, padding, dilation)
    assert grad.shape[2:] == out, f"grad has {grad.shape[2:]}, the forward output is {out}"
    padded = tuple(n + lo + hi for n, (lo, hi) in zip(spatial, pairs, strict=True))
    gx = scatter(grad, w, padded, stride, dilation, groups)
    gx = pad_adjoint(gx, spatial, pairs, padding_mode)
    return gx[0] if unbatched else gx


def grad_weight(
    x,
    weight_shape,
    grad,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    padding_mode="zeros",
    flip=False,
    dtype=np.float64,
):
    """The transpose of ``w -> conv(x, w)``: each tap gathers what it saw, weighted by `grad`."""
    rank = len(weight_shape) - 2
    x, _ = _batched(np.asarray(x, dtype), rank)
    grad, _ = _batched(np.asarray(grad, dtype), rank)
    kernel = tuple(weight_shape[2:])
    stride, pairs, dilation, out = geometry(x.shape[2:], kernel, stride, padding, dilation)
    view = windows(pad(x, pairs, padding_mode), kernel, stride, dilation, out)
    summed = (0, *range(2, 2 + rank))
    c, k = weight_shape[1], weight_shape[0] // groups
    parts = [
        np.tensordot(grad[:, g * k : (g + 1) * k], view[:, g * c : (g + 1) * c], (summed, summed))
        for g in range(groups)
    ]
    return _flipped(np.concatenate(parts, axis=0), rank, flip)


def grad_bias(grad, rank, dtype=np.float64):
    """The transpose of adding the bias: the sum over everything but the channels."""
    grad, _ = _batched(np.asarray(grad, dtype), rank)
    return grad.sum(axis=(0, *range(2, 2 + rank)))


def conv_transpose(
    x,
    w,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
    *,
    flip=False,
    dtype=np.float64,
):
    """Transposed convolution, `w` (C, K/groups, *kernel): every input cell stamps the kernel.

    ``out = (in - 1) * stride - lo - hi + dilation * (k - 1) + 1 + output_padding``. It is
    the transpose of the forward convolution whose input has that size.
    """
    rank = w.ndim - 2
    kernel = w.shape[2:]
    spatial = x.shape[-rank:]
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    pairs = pad_pairs(padding, spatial, kernel, stride, dilation)
    extra = per_axis(output_padding, rank)
    size = tuple(
        (n - 1) * s - lo - hi + d * (k - 1) + 1 + e
        for n, s, (lo, hi), d, k, e in zip(
            spatial, stride, pairs, dilation, kernel, extra, strict=True
        )
    )
    x, unbatched = _batched(np.asarray(x, dtype), rank)
    full = tuple(n + lo + hi for n, (lo, hi) in zip(size, pairs, strict=True))
    y = scatter(x, _flipped(np.asarray(w, dtype), rank, flip), full, stride, dilation, groups)
    inside = tuple(slice(lo, lo + n) for n, (lo, _) in zip(size, pairs, strict=True))
    y = y[(slice(None), slice(None), *inside)]
    if bias is not None:
        y = y + np.asarray(bias, dtype).reshape(-1, *(1,) * rank)
    return y[0] if unbatched else y


def unfold(x, kernel, dilation=1, padding=0, stride=1, dtype=None):
    """The patch matrix (N, C * prod(kernel), L): one column per window, channel-major rows."""
    x = np.asarray(x, dtype)
    rank = len(kernel)
    stride, pairs, dilation, out = geometry(x.shape[2:], kernel, stride, padding, dilation)
    view = windows(pad(x, pairs), kernel, stride, dilation, out)
    order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    rows = x.shape[1] * int(np.prod(kernel))
    return view.transpose(order).reshape(x.shape[0], rows, int(np.prod(out)))
