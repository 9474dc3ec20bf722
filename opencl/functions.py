"""What public functions ask of a device beside convolutions."""

from dataclasses import replace

from cyconv.opencl import arrays, device
from cyconv.operands import is_on_device
from cyconv.plan import plan
from cyconv.problem import Problem


def surrounded(x, widths):
    """The pyopencl Array `x` between zeros, as another one."""
    target = device.of_queue(x.queue)
    view = arrays.of_array(target, x)
    shape = tuple(lo + n + hi for n, (lo, hi) in zip(x.shape, widths, strict=True))
    out = device.new_array(target, shape, x.dtype)
    cells = arrays.of_array(target, out)
    arrays.fill(cells, 0)
    cells[tuple(slice(lo, lo + n) for n, (lo, _) in zip(x.shape, widths, strict=True))] = view
    return out


def grad_bias(g, channel, name):
    """The sum of `g` over all axes but `channel`: a convolution with ones, one output a channel."""
    shape = (g.shape[channel], 1, 1, g.size // max(1, g.shape[channel]))
    problem = Problem(shape, (1, 1, 1, max(1, shape[-1])), g.dtype, operation="conv_grad_bias")
    found = plan(replace(problem), device=name)
    target = device.of_queue(g.queue) if is_on_device(g) else device.get("conv_grad_bias", name)
    view = arrays.of_array(target, g) if is_on_device(g) else arrays.to_device(target, g)
    ones = arrays.empty(target, problem.w_shape, g.dtype)
    arrays.fill(ones, 1)
    x = arrays.moveaxis(view, channel, 0).reshape(shape)
    if is_on_device(g):
        return found(x, ones, on_device=True).reshape(-1)
    return found(x, ones).reshape(-1)
