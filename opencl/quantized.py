"""Quantised layers on a device: integers as they are stored, requantised as they are written."""

import numpy as np

from cyconv.opencl import arrays, device
from cyconv.opencl.cells import Requantised
from cyconv.opencl.order import ordered
from cyconv.opencl.plan import PackedDeviceConv
from cyconv.problem.operands import is_on_device, native


def pack(plan, x, w, zero, bias):
    """The weights less their zero point, one or one for each filter, packed for `plan` of x."""
    problem = plan.problem
    target = plan._device(problem, (0, x), (1, w), bias=bias)
    with ordered(target, (w, bias)):
        cells = arrays.empty(target, w.shape, np.int32)
        zeros = arrays.to_device(target, zero.reshape(zero.shape + (1,) * (w.ndim - 1) * zero.ndim))
        arrays.combine("MINUS", _stored(target, w), zeros, cells)
        own = plan._bias(problem, target, bias)
        own = own if own is None else own.copy()
        return PackedDeviceConv(plan, target, plan._root.pack(cells), own, None)


def layer(packed, x, zero, target=None, out=None):
    """As :func:`cyconv.quantized.layer`, with weights packed by :func:`pack`.

    A NumPy array gives one; a pyopencl Array gives another on its queue, not waited for.
    """
    plan, problem = packed.plan, packed.plan.problem
    where, elsewhere = packed.placed(x, out)
    on_device = is_on_device(x)
    with ordered(where, (x, out), elsewhere):
        view = _stored(where, x)
        view.zero = zero
        if target is None:
            return plan._compute(where, view, packed._packed, packed._bias, None, out, on_device)
        result = problem.output_shape, target.dtype
        y = device.new_array(where, *result) if on_device else None
        cells = arrays.of_array(where, y) if on_device else arrays.empty(where, *result)
        factor = where.constant(target.factor.tobytes())
        factor = arrays.View(where, factor, arrays.ghost(target.factor.shape, np.float32))
        leave = Requantised(factor, target.zero, target.dtype)
        plan._root.run(view, packed._packed, cells, packed._bias, leave, None)
        return y if on_device else cells.numpy()


def _stored(target, array):
    """An array's cells on the device, where they lie or copied there."""
    if is_on_device(array):
        return arrays.of_array(target, array)
    return arrays.to_device(target, native(array, array.dtype.newbyteorder("=")))
