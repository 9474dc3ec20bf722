r"""Three operators on batched tensors, each the derivative of the others.

With the trilinear sum over images, channels, outputs and taps

.. math:: T(x, w, g) = \sum x[n, c, p s + r d - lo] \, w[k, c, r] \, g[n, k, p]

``cyconv::conv`` is its derivative with respect to g, ``cyconv::conv_grad_input`` the one with
respect to x for conjugated w, ``cyconv::conv_grad_weight`` the one with respect to w for
conjugated x. `padding` has two numbers for every axis, before and after.
"""

import torch

from cyconv import api
from cyconv.problem import extent, output_size
from cyconv.torch.tensors import as_array, as_tensor, empty, lies_last, moved

GEOMETRY = "SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups"


def _operator(name, operands):
    """Makes a function an operator of PyTorch's, whose last arguments are the geometry.

    The operator keeps it as its `function`.
    """
    schema = f"({operands}, {GEOMETRY}) -> Tensor"
    made = torch.library.custom_op(
        f"cyconv::{name}", mutates_args=(), device_types="cpu", schema=schema
    )

    def decorate(function):
        operator = made(function)
        operator.function = function
        return operator

    return decorate


@_operator("conv", "Tensor x, Tensor w, Tensor? bias")
def conv(x, w, bias, stride, padding, dilation, groups):
    """y (N, K, *outputs) of x (N, C, *spatial), w (K, C / groups, *kernel) and bias (K,)."""
    last = lies_last(x)
    to, back = moved(last)
    y = api.conv(
        to(as_array(x)),
        as_array(w),
        _array(bias),
        tuple(stride),
        pairs(padding),
        tuple(dilation),
        groups,
        **_options(last),
    )
    return as_tensor(back(y))


@conv.register_fake
def _(x, w, bias, stride, padding, dilation, groups):
    sizes = zip(x.shape[2:], w.shape[2:], stride, pairs(padding), dilation, strict=True)
    outputs = [output_size(*axis) for axis in sizes]
    return empty(x, (x.shape[0], w.shape[0], *outputs), lies_last(x))


@_operator("conv_grad_input", "Tensor g, Tensor w, Tensor? bias, SymInt[] spatial")
def conv_grad_input(g, w, bias, spatial, stride, padding, dilation, groups):
    """dx (N, C, *spatial) of g (N, K, *outputs), w (K, C / groups, *kernel) and bias (C,)."""
    last = lies_last(g)
    to, back = moved(last)
    geometry = tuple(stride), pairs(padding), tuple(dilation)
    if bias is None:
        head, channels = (g.shape[0],), (w.shape[1] * groups,)
        shape = head + tuple(spatial) + channels if last else head + channels + tuple(spatial)
        x = api.conv_grad_input(
            shape, as_array(w), to(as_array(g)), *geometry, groups, **_options(last)
        )
    else:  # the transposed convolution with its epilogue
        stride, padding, dilation = geometry
        sizes = zip(spatial, g.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
        rest = tuple(n - full(m, k, s, p, d) for n, m, k, s, p, d in sizes)
        x = api.conv_transpose(
            to(as_array(g)),
            as_array(w.conj()),
            _array(bias),
            stride,
            padding,
            rest,
            groups,
            dilation,
            **_options(last),
        )
    return as_tensor(back(x))


@conv_grad_input.register_fake
def _(g, w, bias, spatial, stride, padding, dilation, groups):
    return empty(g, (g.shape[0], w.shape[1] * groups, *spatial), lies_last(g))


@_operator("conv_grad_weight", "Tensor x, Tensor g, SymInt[] kernel")
def conv_grad_weight(x, g, kernel, stride, padding, dilation, groups):
    """dw (K, C / groups, *kernel) of x (N, C, *spatial) and g (N, K, *outputs)."""
    shape = (g.shape[1], x.shape[1] // groups, *kernel)
    geometry = tuple(stride), pairs(padding), tuple(dilation), groups
    return as_tensor(
        api.conv_grad_weight(as_array(x), shape, as_array(g), *geometry, **_options(False))
    )


@conv_grad_weight.register_fake
def _(x, g, kernel, stride, padding, dilation, groups):
    return empty(x, (g.shape[1], x.shape[1] // groups, *kernel), False)


def pairs(padding):
    """One (before, after) for every axis."""
    return tuple(zip(padding[::2], padding[1::2], strict=True))


def full(size, kernel, stride, padding, dilation):
    """Length of an axis from which a convolution makes just `size` outputs: the transpose's."""
    return (size - 1) * stride + extent(kernel, dilation) - padding[0] - padding[1]


def _array(bias):
    return None if bias is None else as_array(bias)


def _options(last):
    """Threads are torch's, so that its setting, and that of its workers, holds here too."""
    return {
        "data_format": "channels_last" if last else "channels_first",
        "threads": torch.get_num_threads(),
    }
