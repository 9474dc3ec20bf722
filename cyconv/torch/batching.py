"""``torch.vmap`` of the three operators: many convolutions as one, of more images or more groups.

Where the weights are shared, the batch joins the images; where each member has its own, it joins
the groups: members first, then the groups within each.
"""

from cyconv.torch.operators import conv, conv_grad_input, conv_grad_weight


def _leading(tensor, dim, size):
    """The batch as the first axis; of a tensor that all share, a view that repeats it."""
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _as_images(tensor, dim):
    """(batch, N, channels, ...) as (batch * N, channels, ...)."""
    return tensor.movedim(dim, 0).flatten(0, 1)


def _as_channels(tensor, dim, size):
    """(batch, N, channels, ...) as (N, batch * channels, ...)."""
    return _leading(tensor, dim, size).movedim(0, 1).flatten(1, 2)


def _as_filters(tensor, dim, size):
    """(batch, channels, ...) as (batch * channels, ...)."""
    return _leading(tensor, dim, size).flatten(0, 1)


def _as_bias(tensor, dim, size):
    return None if tensor is None else _as_filters(tensor, dim, size)


def _bilinear(operator, info, in_dims, x, w, bias, *rest):
    """The rule of ``conv`` and of ``conv_grad_input``: x has images, w has none."""
    size, (*geometry, groups) = info.batch_size, rest
    x_dim, w_dim, bias_dim = in_dims[:3]
    if w_dim is None and bias_dim is None:
        y = operator(_as_images(x, x_dim), w, bias, *geometry, groups)
        return y.unflatten(0, (size, -1)), 0
    y = operator(
        _as_channels(x, x_dim, size),
        _as_filters(w, w_dim, size),
        _as_bias(bias, bias_dim, size),
        *geometry,
        size * groups,
    )
    return y.unflatten(1, (size, -1)), 1


@conv.register_vmap
def _(info, in_dims, *arguments):
    return _bilinear(conv, info, in_dims, *arguments)


@conv_grad_input.register_vmap
def _(info, in_dims, *arguments):
    return _bilinear(conv_grad_input, info, in_dims, *arguments)


@conv_grad_weight.register_vmap
def _(info, in_dims, x, g, kernel, stride, padding, dilation, groups):
    size, (x_dim, g_dim) = info.batch_size, in_dims[:2]
    w = conv_grad_weight(
        _as_channels(x, x_dim, size),
        _as_channels(g, g_dim, size),
        kernel,
        stride,
        padding,
        dilation,
        size * groups,
    )
    return w.unflatten(0, (size, -1)), 0
