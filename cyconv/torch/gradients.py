r"""Derivatives of the three operators: convolutions again, so any order of them exists.

With A(x, w) = ``conv``, B(g, w) = ``conv_grad_input``, C(x, g) = ``conv_grad_weight`` and an
incoming gradient h, the gradients are

.. math::
    A: \; dx = B(h, w), \; dw = C(x, h) \qquad
    B: \; dg = A(h, w), \; dw = C(h, g) \qquad
    C: \; dx = B(g, h), \; dg = A(x, h)

for complex tensors too, since B conjugates w, and C its first operand.
"""

from cyconv.torch.operators import conv, conv_grad_input, conv_grad_weight


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


conv.register_autograd(_conv, setup_context=_keep_conv)
conv_grad_input.register_autograd(_grad_input, setup_context=_keep_grad_input)
conv_grad_weight.register_autograd(_grad_weight, setup_context=_keep_grad_weight)
