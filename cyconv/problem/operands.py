"""The arrays of a call: checked against the problem, made readable for kernels, delivered."""

from math import ceil, floor, inf

import numpy as np
from numpy import ndarray

from cyconv.problem import ROLES, argument_name
from cyconv.runtime.calls import counterpart, in_elements, is_plain, lie_alike, may_overlap

HOST_MEMORY = (1, 3, 11, 13)  # DLPack's kinds: the CPU's own, and pinned or shared for a GPU
ACTIVATIONS = {"relu": (0.0, inf), "relu6": (0.0, 6.0)}


class DeviceError(RuntimeError):
    """An OpenCL device that is missing or failed: which, and what can be done."""


def is_on_device(array):
    """Whether `array` is a ``pyopencl.array.Array``, without asking for pyopencl."""
    return hasattr(array, "base_data") and hasattr(array, "queue")


def check_on_host(operation, name, array):
    """Refuse an array in a device's memory where the CPU is to compute."""
    if is_on_device(array):
        raise TypeError(
            f"{operation}: {name} must be an ndarray for device='cpu', got one in an OpenCL "
            "device's memory: give device='opencl'"
        )


def on_host(name, array):
    """`array` as NumPy takes it; of one in a device's memory it would fetch cell by cell."""
    if is_on_device(array):
        raise TypeError(
            f"{name} must be an ndarray, got one in an OpenCL device's memory, which this function "
            "does not compute with: give a copy, array.get()"
        )
    return np.asarray(array)


def as_array(operation, name, array):
    """`array` as an ndarray; masked arrays are refused, because masks would be lost.

    What has ``__array__`` or ``__dlpack__`` and lies in the CPU's memory, as tensors of PyTorch
    and arrays of JAX do there, comes without a copy. An OpenCL array stays where it is.
    """
    if type(array) is ndarray or is_on_device(array):
        return array
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{operation}: {name} must not be a masked array: masks are not kept")
    if hasattr(array, "__dlpack__"):
        _check_memory(operation, name, array)
    try:
        if hasattr(array, "__dlpack__") and not hasattr(array, "__array__"):
            return np.from_dlpack(array)
        return np.asarray(array)
    except ValueError as error:
        raise ValueError(f"{operation}: {name} must be an array: {error}") from None


def _check_memory(operation, name, array):
    """Refuse what the CPU cannot read where it lies: a copy is the caller's to make."""
    try:
        kind, number = array.__dlpack_device__()
    except Exception:  # of several devices, of none: its conversion says more
        return
    if kind not in HOST_MEMORY:
        raise TypeError(
            f"{operation}: {name} must be in the CPU's memory, got {type(array).__name__} on "
            f"device {number} of DLPack's kind {int(kind)}: give a copy on the host"
        )


def check_operand(problem, which, array):
    """Operand 0 or 1 as a native, aligned ndarray of the problem's shape and dtype."""
    shape = problem.operand_shapes[which]
    if is_plain(array, shape, problem.dtype):
        return array
    name = argument_name(problem.operation, ROLES[problem.direction][which])
    array = as_array(problem.operation, name, array)
    check_on_host(problem.operation, name, array)
    if array.dtype.newbyteorder("=") != problem.dtype:
        raise TypeError(
            f"{problem.operation}: {name} must have dtype {problem.dtype}, got {array.dtype}"
        )
    if array.shape != shape:
        raise ValueError(f"{problem.operation}: {name} must have shape {shape}, got {array.shape}")
    return native(array, problem.dtype)


def native(array, dtype):
    """`array` with the machine's byte order and alignment: itself, or a copy."""
    if array.dtype.isnative and array.flags.aligned:
        return array
    return array.astype(dtype, order="K", copy=True)


def strided(x):
    """x itself if its strides are whole elements, as the kernels count them; else a copy."""
    return x if in_elements(x) else x.copy()


def check_bias(problem, bias):
    """The bias as a contiguous, aligned vector in the dtype of the sums, or None."""
    if bias is None:
        return None
    op = problem.operation
    numbers = not hasattr(bias, "dtype")  # a list: its dtype was never chosen
    bias = as_array(op, "bias", bias)
    check_on_host(op, "bias", bias)
    last = ROLES[problem.direction][2]
    if last == "w":
        raise TypeError(f"{op}: bias must be None for the gradient of the weights")
    size = problem.filters if last == "y" else problem.channels
    casting = "same_kind" if numbers else "safe"
    check_addend(problem, "bias", bias.shape, bias.dtype, (size,), casting)
    bias = np.ascontiguousarray(bias, problem.sum_dtype)
    return bias if bias.flags.aligned else bias.copy()


def check_add(problem, add):
    """The residual as an aligned array of the result's shape in the dtype of the sums, or None."""
    if add is None:
        return None
    if is_plain(add, problem.output_shape, problem.sum_dtype):
        return strided(add)
    op = problem.operation
    add = as_array(op, "add", add)
    check_on_host(op, "add", add)
    check_addend(problem, "add", add.shape, add.dtype)
    return strided(native(add.astype(problem.sum_dtype, copy=False), problem.sum_dtype))


def check_addend(problem, name, shape, dtype, wanted=None, casting="safe"):
    """Refuse what is added to the sums for its shape, or for a dtype that theirs cannot hold.

    `wanted` is by default the result's shape.
    """
    op, sums = problem.operation, problem.sum_dtype
    wanted = problem.output_shape if wanted is None else wanted
    if shape != wanted:
        raise ValueError(f"{op}: {name} must have shape {wanted}, got {shape}")
    if dtype.kind not in "iufcV" or not np.can_cast(dtype, sums, casting):
        raise TypeError(f"{op}: {name} must be safe to cast to {sums}, got {dtype}")


class Residual:
    """What is added to a result before the activation.

    It lies as the result does, so that every part of the result, however a rule or a kernel looks
    at it, has its residual at the same distance. It shares no memory with the result.

    Attributes
    ----------
    array, result : arrays of one shape, and of the same steps in elements
    """

    __slots__ = ("array", "result")

    def __init__(self, array, result):
        if not lie_alike(array, result):
            array, given = np.empty_like(result, array.dtype), array
            array[...] = given
        self.array, self.result = array, result

    def at(self, part):
        """The residual of a view of the result."""
        return counterpart(part, self.result, self.array)

    def of(self, y, whole=None):
        """The Residual of `y`: a part of the result, or an array in the stead of `whole`.

        `whole` is all of the result, looked at in whatever way.
        """
        if not y.size or may_overlap(y, self.result):
            return self
        return Residual(self.array if whole is None else self.at(whole), y)


def check_activation(problem, activation):
    """The activation as clamp bounds (low, high), or None."""
    if activation is None:
        return None
    op = problem.operation
    if problem.dtype.kind == "c":
        raise TypeError(f"{op}: activation must be None for {problem.dtype}, got {activation!r}")
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    try:
        low, high = () if isinstance(activation, str) else map(float, activation)
    except (TypeError, ValueError):
        low, high = 1, 0
    if not low <= high:
        raise ValueError(
            f"{op}: activation must be None, 'relu', 'relu6' or bounds (low, high) with "
            f"low <= high, got {activation!r}"
        )
    return low, high


def finish(y, bias, clamp, add=None):
    """y = clamp(y + bias + add), in place, channels first: where no kernel's epilogue does it."""
    if bias is not None:
        y += bias.reshape((-1,) + (1,) * (y.ndim - 2))
    if add is not None:
        y += add.at(y)
    if clamp is not None:
        low, high = clamp
        if y.dtype.kind in "iu":
            info = np.iinfo(y.dtype)
            low = info.min if low < info.min else info.max if low > info.max else ceil(low)
            high = info.max if high > info.max else info.min if high < info.min else floor(high)
        np.clip(y, low, high, out=y)


def check_out(problem, out, all_or_nothing, *inputs, add=None):
    """(out, where to compute): a new array, `out` itself, or scratch where `out` cannot serve.

    `all_or_nothing` says that a call, once it has begun to write, cannot fail. Scratch lies in
    order, so that a residual `add` can be made to lie as it.
    """
    shape, dtype, op = problem.output_shape, problem.out_dtype, problem.operation
    if out is None:
        out = _empty(op, shape, dtype)
        return out, out
    inputs = (*inputs, add)
    if is_plain(out, shape, dtype, written=True):
        usable = all_or_nothing and not _shares_memory(out, inputs)  # most calls' `out`
        return out, out if usable else _empty(op, shape, dtype)
    check_on_host(op, "out", out)
    if not isinstance(out, ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"{op}: out must be an ndarray, got {type(out).__name__}")
    if out.dtype.newbyteorder("=") != dtype:
        raise TypeError(f"{op}: out must have dtype {dtype}, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"{op}: out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{op}: out must be writeable, got a read-only array")
    if _overlaps_itself(out):
        raise ValueError(f"{op}: out must not overlap itself, got strides {out.strides}")
    usable = (
        all_or_nothing
        and out.dtype.isnative
        and out.flags.aligned
        and in_elements(out)
        and (add is None or lie_alike(add, out))
        and not _shares_memory(out, inputs)
    )
    return out, out if usable else _empty(op, shape, dtype)


def _shares_memory(out, inputs):
    return any(a is not None and may_overlap(out, a) for a in inputs)


def _empty(operation, shape, dtype):
    try:
        return np.empty(shape, dtype)
    except MemoryError as error:
        raise MemoryError(f"{operation}: no memory for the result: {error}") from None


def _overlaps_itself(array):
    """Whether two cells may be one: an axis steps by less than the axes inside it span."""
    span = array.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True)):
        if n > 1:
            if stride < span:
                return True
            span += stride * (n - 1)
    return False


def deliver(out, computed):
    """`out`, holding what was computed."""
    if computed is not out:
        out[...] = computed
    return out
