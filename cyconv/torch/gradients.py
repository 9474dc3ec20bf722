r"""Derivatives of the three operators: convolutions again, so any order of them exists.

With A(x, w) = ``conv``, B(g, w) = ``conv_grad_input``, C(x, g) = ``conv_grad_weight`` and an
incoming gradient h, the gradients are

.. math::
    A: \; dx = B(h, w), \; dw = C(x, h) \qquad
    B: \; dg = A(h, w), \; dw = C(h, g) \qquad
    C: \; dx = B(g, h), \; dg = A(x, h)

for complex tensors too, since B conjugates w, and C its first operand.

A custom operator's gradient is not known to ``torch.func``; that of a ``torch.autograd.Function``
is. While one of its transformations is active, the same formulas go through one. So they do where
nothing watches which operators are called: the way through PyTorch's dispatcher takes ten times as
long, and longer than a small layer.
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


PLAIN = torch.Tensor, torch.nn.Parameter


def _unwatched(tensors):
    """Whether these are plain memory, and nobody records which operators are called."""
    return (
        torch._C._len_torch_dispatch_stack() == 0
        and torch._C._get_tracing_state() is None
        and not torch.autograd._profiler_enabled()
        and all(
            t is None
            or (
                type(t) in PLAIN
                and t.is_cpu
                and t.layout is torch.strided
                and torch._C._has_storage(t)
            )
            for t in tensors
        )
    )


def _function(name, backward, generate_vmap_rule=False, **methods):
    """A ``torch.autograd.Function`` of these methods."""
    body = {each: staticmethod(method) for each, method in methods.items()}
    body |= {"backward": staticmethod(backward), "generate_vmap_rule": generate_vmap_rule}
    return type(name, (torch.autograd.Function,), body)


def _differentiable(operator, operands, backward, keep):
    """`operator` of so many tensors, with its gradient told to autograd and to ``torch.func``."""
    operator.register_autograd(backward, setup_context=keep)

    def forward(ctx, *arguments):  # not setup_context, which binds names in Python
        y = operator.function(*arguments)
        keep(ctx, arguments, y)
        return y

    name = backward.__name__.strip("_")
    at_once = _function(name, backward, forward=forward)
    mapped = _function(
        name, backward, forward=lambda *a: operator(*a), setup_context=keep, generate_vmap_rule=True
    )

    def call(*arguments):
        if torch.compiler.is_compiling():
            return operator(*arguments)
        if torch._C._are_functorch_transforms_active():
            return mapped.apply(*arguments)
        if _unwatched(arguments[:operands]):
            return at_once.apply(*arguments)
        return operator(*arguments)

    return call


conv = _differentiable(operators.conv, 3, _conv, _keep_conv)
conv_grad_input = _differentiable(operators.conv_grad_input, 3, _grad_input, _keep_grad_input)
conv_grad_weight = _differentiable(operators.conv_grad_weight, 2, _grad_weight, _keep_grad_weight)
