"""Plans whose algorithms run on an OpenCL device, and the arrays of their calls."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cyconv import lowering
from cyconv.lowering.tree import Branch, Leaf
from cyconv.opencl import arrays, device, parts
from cyconv.opencl.order import marker, ordered
from cyconv.opencl.registry import ON_HOST, check_name, converted, registry_of
from cyconv.planning.plan import PackedConv, Plan
from cyconv.problem import ROLES, argument_name
from cyconv.problem.operands import (
    Residual,
    check_activation,
    check_add,
    check_addend,
    check_bias,
    check_operand,
    check_out,
    deliver,
    is_on_device,
)
from cyconv.runtime.parallel import check_threads


class _DeviceLeaf(Leaf):
    """A primitive problem, whose algorithm enqueues kernels."""

    def pack(self, w):
        return self.algorithm.pack(w)

    def run(self, x, packed, y, bias, clamp, threads, add=None):
        if y.size:
            self.algorithm.run(x, packed, y, bias, clamp, add)


class _DeviceBranch(Branch):
    """A rewritten problem: the rule's own steps run on the device too."""

    def _together(self):
        return None

    def pack(self, w):
        operands = self.rule.second(w)
        return tuple(c.pack(b) for c, b in zip(self.children, operands, strict=True))

    def run(self, x, packed, y, bias, clamp, threads, add=None):
        inner = (bias, clamp) if self.rule.epilogue else (None, None)
        inner_add = add if self.rule.epilogue else None

        def solve(i, x, y):
            self.children[i].run(x, packed[i], y, *inner, threads, inner_add and inner_add.of(y))

        self.rule.run(x, y, solve)
        if not self.rule.epilogue and y.size:
            arrays.finish(y, bias, clamp, add)


class DevicePlan(Plan):
    """How a problem is computed on a device; NumPy arrays are copied there and back."""

    _leaf, _branch = _DeviceLeaf, _DeviceBranch

    def __init__(
        self, problem, algorithm, threads, accuracy, workspace_limit, opened, effort="estimate"
    ):
        self.__dict__.update(device=opened.asked, _registry=registry_of(opened.device))
        super().__init__(problem, algorithm, threads, accuracy, workspace_limit, opened, effort)

    def _lower(self, problem):
        # Four real products for a complex one: three would need a look at the result.
        return lowering.lower(problem, strict=True, without=ON_HOST, stored=converted)

    def explain(self):
        """As :meth:`cyconv.Plan.explain`, with the device's name and the tunables measured."""
        tuned = {}
        for leaf in self._root.leaves():
            tuned |= leaf.algorithm.tuned()
        device = f"{self.device}, {self._isa.device.name}"
        return replace(super().explain(), device=device, tunables=tuned)

    def _device(self, problem, *operands, bias=None, out=None, add=None):
        """The Device of a call: that of the operands in device memory, else the plan's."""
        op, own = problem.operation, device.get(problem.operation, self.device)
        named = [(self._name(problem, which), a) for which, a in operands]
        named += [("bias", bias), ("out", out), ("add", add)]
        theirs = [device_of(op, name, a) for name, a in named if is_on_device(a)]
        theirs += [a.device for _, a in operands if isinstance(a, arrays.View)]
        for other in theirs:
            if other.context != theirs[0].context:
                raise ValueError(f"{op}: arrays must be of one OpenCL context, got two")
            if other.key != own.key:
                raise ValueError(
                    f"{op}: device={self.device!r} is {own.name}, the arrays are on {other.name}"
                )
        return theirs[0] if theirs else own

    @staticmethod
    def _name(problem, which):
        return argument_name(problem.operation, ROLES[problem.direction][which])

    def _operand(self, problem, target, which, array):
        """Operand 0 or 1 as a View."""
        if isinstance(array, arrays.View):  # ours, and right
            return array
        if not is_on_device(array):
            return arrays.to_device(target, check_operand(problem, which, array))
        name = self._name(problem, which)
        shape = problem.shape_of(ROLES[problem.direction][which])
        if array.dtype != problem.dtype:
            raise TypeError(
                f"{problem.operation}: {name} must have dtype {problem.dtype}, got {array.dtype}"
            )
        if array.shape != shape:
            raise ValueError(
                f"{problem.operation}: {name} must have shape {shape}, got {array.shape}"
            )
        return arrays.of_array(target, array)

    @staticmethod
    def _bias(problem, target, bias):
        """The bias as a View in the dtype of the sums, or None."""
        if bias is None:
            return None
        if is_on_device(bias):
            shape = check_bias(problem, np.zeros(bias.shape, bias.dtype)).shape
            return arrays.of_array(target, bias).astype(problem.sum_dtype).reshape(shape)
        return arrays.to_device(target, check_bias(problem, bias))

    @staticmethod
    def _residual(problem, target, add):
        """The residual as a View of the result's shape in the dtype of the sums, or None."""
        if not is_on_device(add):
            return None if add is None else arrays.to_device(target, check_add(problem, add))
        check_addend(problem, "add", add.shape, add.dtype)
        return arrays.of_array(target, add).astype(problem.sum_dtype, copy=False)

    def _result(self, target, out, on_device, *inputs, add=None):
        """(out, the View to compute it in)."""
        problem = self.problem
        if not on_device:
            if is_on_device(out):
                raise TypeError(f"{problem.operation}: out must be an ndarray, as the operands are")
            if out is not None:
                check_out(problem, out, True)
            return out, arrays.empty(target, problem.output_shape, problem.out_dtype)
        if out is None:
            out = device.new_array(target, problem.output_shape, problem.out_dtype)
        elif not is_on_device(out):
            raise TypeError(
                f"{problem.operation}: out must be a pyopencl Array, as the operands are, got "
                f"{type(out).__name__}"
            )
        elif out.dtype != problem.out_dtype:
            raise TypeError(
                f"{problem.operation}: out must have dtype {problem.out_dtype}, got {out.dtype}"
            )
        elif out.shape != problem.output_shape:
            raise ValueError(
                f"{problem.operation}: out must have shape {problem.output_shape}, got {out.shape}"
            )
        view = arrays.of_array(target, out)
        scattered = add is not None and not view.contiguous
        if scattered or any(_buffer(a) == out.base_data for a in inputs if a is not None):
            view = arrays.empty_like(view)
        return out, view

    def _compute(self, target, x, packed, bias, clamp, out, on_device, add=None):
        """Run the plan for operands on `target`, and bring the result to where it belongs."""
        view = self._operand(self.problem, target, 0, x)
        residual = self._residual(self.problem, target, add)
        out, computed = self._result(target, out, on_device, x, add, add=add)
        residual = None if residual is None else arrays.Residual(residual, computed)
        self._root.run(view, packed, computed, bias, clamp, None, residual)
        if not on_device:
            result = computed.numpy()
            if out is None:
                return result
            out[...] = result
        elif computed.buffer != out.base_data:
            arrays.of_array(target, out)[...] = computed
        return out

    def _in_parts(self, target, x, w, bias, clamp, out, add):
        """As :meth:`_compute` for arrays on the host, of which the device has room for parts."""
        problem = self.problem
        x, w = check_operand(problem, 0, x), check_operand(problem, 1, w)
        add = check_add(problem, add.get() if is_on_device(add) else add)
        out, result = check_out(problem, out, False, x, w, bias, add=add)
        add = None if add is None else Residual(add, result)
        root = parts.parted(self._root, target, problem.direction == "grad_weight")
        root.run(x, root.pack(w), result, bias, clamp, None, add)
        return deliver(out, result)

    def pack(self, w, bias=None, activation=None):
        """As :meth:`cyconv.Plan.pack`; the packed weights stay on the device."""
        problem = self.problem
        if problem.operation == "plan":
            problem = replace(problem, operation="pack")
        clamp = check_activation(problem, activation)
        target = self._device(problem, (1, w), bias=bias)
        with ordered(target, (w, bias)):
            view = self._operand(problem, target, 1, w)
            own = self._bias(problem, target, bias)
            own = own if own is None else own.copy()
            packed = self._root.pack(view)
            kept = view.numpy() if parts.needed(self, target, residual=True) else None
        return PackedDeviceConv(self, target, packed, own, clamp, kept)

    def __call__(
        self, x, w, bias=None, out=None, activation=None, threads=None, add=None, on_device=False
    ):
        """As :meth:`cyconv.Plan.__call__`.

        Of NumPy arrays the result is one; with an operand in device memory it is a pyopencl Array
        on the same queue, not waited for.
        """
        problem = self.problem
        check_threads(problem.operation, threads)
        clamp = check_activation(problem, activation)
        target = self._device(problem, (0, x), (1, w), bias=bias, out=out, add=add)
        on_device = on_device or is_on_device(x) or is_on_device(w)
        views = isinstance(x, arrays.View) or isinstance(w, arrays.View)
        if not on_device and not views and parts.needed(self, target, add is not None):
            bias = bias.get() if is_on_device(bias) else bias
            return self._in_parts(target, x, w, check_bias(problem, bias), clamp, out, add)
        with ordered(target, (x, w, bias, out, add)):
            packed = self._root.pack(self._operand(problem, target, 1, w))
            own = self._bias(problem, target, bias)
            return self._compute(target, x, packed, own, clamp, out, on_device, add)


class PackedDeviceConv(PackedConv):
    """A plan with its weights packed in device memory: ``packed(x, out=None, add=None)``."""

    def __init__(self, plan, target, packed, bias, clamp, kept=None):
        self.plan, self._device = plan, target
        self._packed, self._bias, self._clamp = packed, bias, clamp
        self._kept = kept  # the weights on the host, where the device has room for parts only
        with target.errors("packing"):
            self._ready = marker(target.queue)

    def __call__(self, x, out=None, threads=None, add=None):
        """As :meth:`cyconv.PackedConv.__call__`."""
        check_threads(self.plan.problem.operation, threads)
        target, elsewhere = self.placed(x, out, add)
        on_device, residual = is_on_device(x), add is not None
        if not on_device and self._kept is not None and parts.needed(self.plan, target, residual):
            bias = None if self._bias is None else self._bias.numpy()
            return self.plan._in_parts(target, x, self._kept, bias, self._clamp, out, add)
        with ordered(target, (x, out, add), elsewhere):
            return self.plan._compute(
                target, x, self._packed, self._bias, self._clamp, out, on_device, add
            )

    def placed(self, x, out, add=None):
        """The Device of a call with these arrays, and what must have run on other queues."""
        target, op = self._device, self.plan.problem.operation
        if is_on_device(x):
            target = device_of(op, self.plan._name(self.plan.problem, 0), x)
        given = [("x", target)]
        for name, array in (("out", out), ("add", add)):
            if is_on_device(array):
                given.append((name, device_of(op, name, array)))
        for name, other in given:
            if other.context != self._device.context:
                raise ValueError(
                    f"{op}: {name} must be of the context that the weights were packed in"
                )
        return target, () if target.queue == self._device.queue else (self._ready,)

    def __reduce__(self):
        raise TypeError(
            "PackedConv: weights packed in a device's memory cannot be pickled: pickle the plan, "
            "packed.plan, and pack where it arrives"
        )

    def repeated(self, x, out):
        """As :meth:`cyconv.PackedConv.repeated`, for arrays in device memory, waited for."""
        target = self._device
        x = arrays.to_device(target, x)
        out = device.new_array(target, out.shape, out.dtype)

        def call():
            self.plan._compute(target, x, self._packed, self._bias, self._clamp, out, True)
            target.queue.finish()

        return call


def _buffer(array):
    """The memory that an array on a device lies in; of one on the host, itself."""
    return (
        array.buffer if isinstance(array, arrays.View) else getattr(array, "base_data", id(array))
    )


def device_of(operation, name, array):
    """The Device of the queue of the argument `name`, a pyopencl Array."""
    if array.queue is None:
        raise TypeError(
            f"{operation}: {name} must be an Array with a queue, got one whose queue is None: "
            "give array.with_queue(queue)"
        )
    return device.of_queue(array.queue)


class Opened(NamedTuple):
    """A device by the name it was asked for; as text, all that its speed depends on."""

    asked: str
    device: device.Device

    def __str__(self):
        return self.device.key


def opened(operation, name, algorithm):
    """The device that `name` means, for a plan by `algorithm`."""
    check_name(operation, algorithm)
    return Opened(name, device.get(operation, name))
