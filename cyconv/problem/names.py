"""Names: the arrays' roles, what callers call them, and the arguments that are words or dtypes."""

from functools import lru_cache

import numpy as np

ROLES = {
    "forward": ("x", "w", "y"),
    "grad_input": ("y", "w", "x"),
    "grad_weight": ("x", "y", "w"),
}
"""For each direction: the two operands' roles and the result's."""
NAMES = {
    "conv_transpose": {"x": "output", "y": "x"},
    "conv_grad_input": {"x": "input_shape"},
    "conv_grad_weight": {"w": "weight_shape"},
    "toeplitz": {"x": "input_shape"},
}
"""What callers call the arrays in these roles, if not x, w and grad_output."""
PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
DATA_FORMATS = {
    "channels_first": False,
    "NCW": False,
    "NCHW": False,
    "NCDHW": False,
    "channels_last": True,
    "NWC": True,
    "NHWC": True,
    "NDHWC": True,
}


@lru_cache
def argument_name(operation, role):
    """What the caller of `operation` calls the array in this role, or its shape."""
    family = "conv_transpose" if "transpose" in operation else operation.partition(".")[0]
    return NAMES.get(family, {}).get(role, "grad_output" if role == "y" else role)


def shape_name(operation, role):
    """What the caller of `operation` calls the shape of the array in this role."""
    name = argument_name(operation, role)
    return name if name.endswith("_shape") else f"{name}.shape"


SUM_DTYPES = {
    "float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64",
    "complex64": "complex64", "complex128": "complex128",
    "int8": "int32", "uint8": "int32", "int16": "int32", "uint16": "int64", "int32": "int64",
    "int64": "int64", "uint32": "uint64", "uint64": "uint64",
}  # fmt: skip
"""The dtypes of x and w, and in which each is summed. Integer sums wrap, as NumPy's do."""


native_dtypes = {}
"""The dtypes in native byte order, by those, and the names of those, that were once checked."""
_sums = {}  # a dtype takes long to say its name


def sum_dtype(dtype):
    """In which dtype products of `dtype` are summed."""
    found = _sums.get(dtype)
    if found is None:
        found = _sums[dtype] = np.dtype(SUM_DTYPES[dtype.name])
    return found


def checked_dtype(operation, name, dtype):
    """`dtype` in native byte order, if it is one of SUM_DTYPES; else TypeError."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{operation}: {name} must be a NumPy dtype, got {dtype!r}") from None
    native = native_dtypes.get(found)
    if native is not None:
        if type(dtype) is str:
            native_dtypes[dtype] = native
        return native
    if found.name not in SUM_DTYPES:
        found = found.newbyteorder("=")
        raise TypeError(f"{operation}: {name} must be one of {', '.join(SUM_DTYPES)}, got {found}")
    native = native_dtypes[found] = np.dtype(found.type)  # the one object that native arrays have
    return native


def promoted_dtype(operation, direction, dtypes):
    """Operands of two dtypes meet in the one to which NumPy promotes both."""
    if dtypes[0] is dtypes[1] and dtypes[0] in native_dtypes:
        return native_dtypes[dtypes[0]]
    first, second, _ = ROLES[direction]
    common = checked_dtype(operation, f"{argument_name(operation, first)}.dtype", dtypes[0])
    if dtypes[0] == dtypes[1]:
        return common
    checked_dtype(operation, f"{argument_name(operation, second)}.dtype", dtypes[1])
    try:
        return np.result_type(*dtypes)
    except TypeError:
        raise TypeError(
            f"{operation}: x and w must have dtypes that NumPy promotes to a common one, "
            f"got {dtypes[0]} and {dtypes[1]}"
        ) from None


def wrong_rank(operation, rank, w_shape):
    """The error for weights of another number of axes than the function's name says."""
    return ValueError(
        f"{operation}: w must have {rank + 2} axes (K, C/groups, *kernel), "
        f"got shape {tuple(w_shape)}"
    )
