r"""Derivatives of the three operators: convolutions again, so any order of them exists.

With A(x, w) = ``conv``, B(g, w) = ``conv_grad_input``, C(x, g) = ``conv_grad_weight`` and an
incoming gradient h, the gradients are

.. math::
    A: \; dx = B(h, w), \; dw = C(x, h) \qquad
    B: \; dg = A(h, w), \; dw = C(h, g) \qquad
    C: \; dx = B(g, h), \; dg = A(x, h)

for complex tensors too, since B conjugates w, and C its first operand.

A custom operator's gradient is not known to ``torch.func``; that of a ``torch.autograd.Function``
is. While one of its transformations is active, the same formulas go through one.
"""

import torch

from cyconv.torch import operators


def _summed(h):
    """The gradient of a bias."""
    return h.sum((0, *range(2, h.dim())))


def _keep_conv(ctx, inputs, output):
    x, w, _, *ctx.geometry = inputs
    ctx.save_for_backward(x, w)


def _conv(ctx, h):
    (x, w), wanted, rest = ctx.saved_tensors, ctx.needs_input_grad, ctx.geometry
    return (
        conv_grad_input(h, w, None, x.shape[2:], *rest) if wanted[0] else None,
        conv_grad_weight(x, h, w.shape[2:], *rest) if wanted[1] else None,
        _summed(h) if wanted[2] else None,
        *(None,) * 4,
    )


def _keep_grad_input(ctx, inputs, output):
    g, w, _, _, *ctx.geometry = inputs
    ctx.save_for_backward(g, w)


def _grad_input(ctx, h):
    (g, w), wanted, rest = ctx.saved_tensors, ctx.needs_input_grad, ctx.geometry
    return (
        conv(h, w, None, *rest) if wanted[0] else None,
        conv_grad_weight(h, g, w.shape[2:], *rest) if wanted[1] else None,
        _summed(h) if wanted[2] else None,
        *(None,) * 5,
    )


def _keep_grad_weight(ctx, inputs, output):
    x, g, _, *ctx.geometry = inputs
    ctx.save_for_backward(x, g)


def _grad_weight(ctx, h):
    (x, g), wanted, rest = ctx.saved_tensors, ctx.needs_input_grad, ctx.geometry
    return (
        conv_grad_input(g, h, None, x.shape[2:], *rest) if wanted[0] else None,
        conv(x, h, None, *rest) if wanted[1] else None,
        *(None,) * 5,
    )


def _differentiable(operator, backward, keep):
    """`operator`, with its gradient told to autograd and to ``torch.func``."""
    operator.register_autograd(backward, setup_context=keep)
    body = {
        "generate_vmap_rule": True,
        "forward": staticmethod(lambda *arguments: operator(*arguments)),
        "setup_context": staticmethod(keep),
        "backward": staticmethod(backward),
    }
    function = type(backward.__name__, (torch.autograd.Function,), body)

    def call(*arguments):
        if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
            return function.apply(*arguments)
        return operator(*arguments)

    return call


conv = _differentiable(operators.conv, _conv, _keep_conv)
conv_grad_input = _differentiable(operators.conv_grad_input, _grad_input, _keep_grad_input)
conv_grad_weight = _differentiable(operators.conv_grad_weight, _grad_weight, _keep_grad_weight)
