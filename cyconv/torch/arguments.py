"""The arguments of ``torch.nn.functional``'s convolutions, brought to the operators' form."""

import torch
from torch.nn.functional import pad

from cyconv.torch.gradients import conv, conv_grad_input
from cyconv.torch.operators import full

DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.complex64,
    torch.complex128,
    torch.int64,
)


def _per_axis(name, argument, value, rank):
    """One int for every axis."""
    if isinstance(value, (tuple, list)):
        if len(value) not in (1, rank):
            raise ValueError(
                f"{name}: {argument} must be an int or {rank} ints, one per axis, got {value!r}"
            )
        return list(value) * (rank if len(value) == 1 else 1)
    return [value] * rank


def both_sides(name, padding, kernel, stride, dilation):
    """Two ints for every axis, before and after; torch's 'same' has its odd cell after."""
    rank = len(kernel)
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise ValueError(
                f"{name}: padding must be ints, 'valid' or 'same', got padding={padding!r}"
            )
        if padding == "valid":
            return [0] * (2 * rank)
        if any(s != 1 for s in stride):
            raise ValueError(f"{name}: stride must be 1 for padding='same', got {tuple(stride)}")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [n for total in totals for n in (total // 2, total - total // 2)]
    return [n for n in _per_axis(name, "padding", padding, rank) for _ in range(2)]


def _operands(name, x, w, bias, rank):
    """x, w, bias as an autocast makes them, checked as far as the operators would not."""
    if torch.is_autocast_enabled("cpu"):
        to = torch.get_autocast_dtype("cpu")
        x, w, bias = (_cast(a, to) for a in (x, w, bias))
    if w.dim() != rank + 2:
        raise ValueError(f"{name}: weight must have {rank + 2} axes, got shape {tuple(w.shape)}")
    if x.dim() not in (rank + 1, rank + 2):
        raise ValueError(
            f"{name}: input must have {rank + 2} axes, or {rank + 1} unbatched, got shape "
            f"{tuple(x.shape)}"
        )
    if x.dtype not in DTYPES:
        raise TypeError(f"{name}: input must be float, complex or int64, got {x.dtype}")
    for argument, tensor in (("weight", w), ("bias", bias)):
        if tensor is not None and tensor.dtype != x.dtype:
            raise TypeError(f"{name}: {argument} must be {x.dtype} as input, got {tensor.dtype}")
    return x, w, bias


def _cast(tensor, to):
    if tensor is None or not tensor.is_floating_point() or tensor.dtype is torch.float64:
        return tensor
    return tensor.to(to)


def forward(name, rank, x, w, bias, stride, padding, dilation, groups):
    """What ``conv1d`` to ``conv3d`` do."""
    x, w, bias = _operands(name, x, w, bias, rank)
    stride = _per_axis(name, "stride", stride, rank)
    dilation = _per_axis(name, "dilation", dilation, rank)
    padding = both_sides(name, padding, w.shape[2:], stride, dilation)
    if x.dim() == rank + 2:
        return conv(x, w, bias, stride, padding, dilation, groups)
    return conv(x.unsqueeze(0), w, bias, stride, padding, dilation, groups).squeeze(0)


def transposed(name, rank, x, w, bias, stride, padding, output_padding, groups, dilation):
    """What ``conv_transpose1d`` to ``conv_transpose3d`` do."""
    x, w, bias = _operands(name, x, w, bias, rank)
    batched = x.dim() == rank + 2
    x = x if batched else x.unsqueeze(0)
    stride = _per_axis(name, "stride", stride, rank)
    dilation = _per_axis(name, "dilation", dilation, rank)
    padding = _per_axis(name, "padding", padding, rank)
    extra = _per_axis(name, "output_padding", output_padding, rank)
    if x.shape[1] != w.shape[0]:
        raise ValueError(
            f"{name}: weight.shape[0] must be input's {x.shape[1]} channels, got {w.shape[0]}"
        )
    for axis, n in enumerate(extra):
        if not 0 <= n < max(stride[axis], dilation[axis]):
            raise ValueError(
                f"{name}: output_padding[{axis}] must be >= 0 and < max(stride, dilation) = "
                f"{max(stride[axis], dilation[axis])}, got {n}"
            )
    sizes = zip(x.shape[2:], w.shape[2:], stride, padding, dilation, extra, strict=True)
    spatial = [full(n, k, s, (p, p), d) + e for n, k, s, p, d, e in sizes]
    if torch.jit.is_tracing():  # its sizes are tensors, which an operator does not take
        spatial = [int(n) for n in spatial]
    for axis, n in enumerate(spatial):
        if n < 1:
            raise ValueError(f"{name}: the output's spatial axis {axis} must be >= 1, got {n}")
    beyond = [e // s for e, s in zip(extra, stride, strict=True)]
    if any(beyond):  # outputs of the forward convolution that meet no element of x
        x = pad(x, [n for after in reversed(beyond) for n in (0, after)])
    both = [n for n in padding for _ in range(2)]
    y = conv_grad_input(x, w.conj(), bias, spatial, stride, both, dilation, groups)
    return y if batched else y.squeeze(0)
