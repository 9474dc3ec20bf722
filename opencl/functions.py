"""What public functions ask of a device beside convolutions."""

import numpy as np

from cyconv.opencl import arrays, device
from cyconv.opencl.order import ordered
from cyconv.opencl.plan import device_of
from cyconv.planning.plan import plan
from cyconv.problem import Problem, checked_dtype
from cyconv.problem.operands import is_on_device, native


def surrounded(x, widths):
    """The pyopencl Array `x` between zeros, as another one."""
    target = device_of("conv", "x", x)
    view = arrays.of_array(target, x)
    out = device.new_array(target, arrays.padded(x.shape, widths), x.dtype)
    cells = arrays.of_array(target, out)
    arrays.fill(cells, 0)
    with ordered(target, (x,)):
        cells[tuple(slice(lo, lo + n) for n, (lo, _) in zip(x.shape, widths, strict=True))] = view
    return out


def converted(operation, name, x, dtype, conjugated=False):
    """A contiguous copy of the pyopencl Array `x` in `dtype`, conjugated if asked."""
    target = device_of(operation, name, x)
    dtype = checked_dtype(operation, "dtype", dtype)
    checked_dtype(operation, f"{name}.dtype", x.dtype)
    if dtype.name in ("float64", "complex128") and not target.float64:
        raise ValueError(
            f"{operation}: {name} of dtype {x.dtype} is computed with in {np.dtype(dtype)}, and "
            f"{target.name} has no float64 (cl_khr_fp64)"
        )
    out = device.new_array(target, x.shape, dtype)
    with ordered(target, (x,)):
        cells, view = arrays.of_array(target, out), arrays.of_array(target, x)
        if cells.dtype.kind != "c":
            cells[...] = view
        else:
            of_complex = view.dtype.kind == "c"
            cells.real[...] = view.real if of_complex else view
            arrays.fill(cells.imag, 0)
            if of_complex:
                arrays.combine("MINUS" if conjugated else "PLUS", cells.imag, view.imag, cells.imag)
    return out


def grad_bias(g, channel, name):
    """The sum of `g` over all axes but `channel`: a convolution with ones, one output a channel."""
    there, dtype = is_on_device(g), g.dtype.newbyteorder("=")
    shape = (g.shape[channel], 1, 1, max(1, g.size // max(1, g.shape[channel])))
    problem = Problem(shape, (1, 1, 1, shape[-1]), dtype, operation="conv_grad_bias")
    found = plan(problem, device=name)  # refuses a dtype even where there is nothing to add
    if not g.size and not there:
        return np.zeros(shape[0], problem.out_dtype)
    operation = problem.operation
    target = device_of(operation, "grad_output", g) if there else device.get(operation, name)
    if not g.size:
        out = device.new_array(target, shape[:1], problem.out_dtype)
        arrays.fill(arrays.of_array(target, out), 0)
        return out
    view = arrays.of_array(target, g) if there else arrays.to_device(target, native(g, dtype))
    ones = arrays.empty(target, problem.w_shape, dtype)
    arrays.fill(ones, 1)
    with ordered(target, (g,)):
        x = arrays.moveaxis(view, channel, 0).reshape(shape)
        return found(x, ones, on_device=there).reshape(-1)
