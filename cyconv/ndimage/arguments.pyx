"""The arguments of the filters as SciPy takes them, and results as it casts them.

In C, because a small image is filtered in less time than Python takes for these questions.
"""

cimport numpy as cnp

import warnings
from collections.abc import Iterable
from operator import index

import numpy as np
from numpy.exceptions import AxisError

from cyconv.problem.operands import on_host

cnp.import_array()

MODES = {
    "reflect": "reflect",
    "grid-mirror": "reflect",
    "mirror": "mirror",
    "nearest": "nearest",
    "wrap": "wrap",
    "grid-wrap": "wrap",
    "constant": "constant",
    "grid-constant": "constant",
}
"""SciPy's border modes and their synonyms."""


def border_mode(mode):
    """`mode` without its synonyms."""
    if not isinstance(mode, str) or mode not in MODES:
        raise RuntimeError(f"mode must be one of {', '.join(map(repr, MODES))}, got {mode!r}")
    return MODES[mode]


def per_axis(name, value, count):
    """A scalar for every axis, or a sequence of one value per axis, as a list."""
    if isinstance(value, str) or not np.iterable(value):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise RuntimeError(
            f"{name}: sequence argument must have length equal to input rank, which is {count}, "
            f"got {value!r}"
        )
    return values


def chosen_axes(axes, ndim):
    """`axes` as a tuple of different axes >= 0; None is all of them."""
    if axes is None:
        return tuple(range(ndim))
    if not np.isscalar(axes) and not isinstance(axes, Iterable):
        raise ValueError(f"axes must be an int, ints or None, got {axes!r}")
    chosen = tuple(index(axis) for axis in ([axes] if np.isscalar(axes) else axes))
    for axis in chosen:
        if not -ndim <= axis < ndim:
            raise AxisError(f"axes: {axis} is out of range for an array of {ndim} axes")
    chosen = tuple(axis % ndim for axis in chosen)
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"axes must be unique, got {axes!r}")
    return chosen


def flipped(origin, taps):
    """The origin of a reversed kernel whose middle tap stays where it is."""
    return -origin - (taps + 1) % 2


def window(origin, taps):
    """(before, after): the cells that a window of `taps`, moved by `origin`, reaches."""
    before, after = taps // 2 + origin, (taps - 1) // 2 - origin
    if before < 0 or after < 0:
        raise ValueError(
            f"origin must lie in [{-(taps // 2)}, {(taps - 1) // 2}] for {taps} taps, got {origin}"
        )
    return index(before), index(after)


def real_number(cval):
    """`cval` as a float."""
    if type(cval) is float:
        return cval
    if isinstance(cval, (str, bytes)) or np.ndim(cval):
        raise TypeError(f"cval must be a real number, got {cval!r}")
    return float(cval)


def result_array(output, x, complex_result=False):
    """The array to fill: `output` itself, or a new one of its dtype or x's."""
    if output is None:
        if complex_result:
            return np.zeros(x.shape, np.promote_types(x.dtype, np.complex64))
        # Of text, dates and records NumPy refuses the names.
        return np.zeros(x.shape, native(x.dtype) if x.dtype.kind in "biufc" else x.dtype.name)
    if isinstance(output, (type, np.dtype)):
        if complex_result and np.dtype(output).kind != "c":
            warnings.warn("promoting specified output dtype to complex", stacklevel=3)
            output = np.promote_types(output, np.complex64)
        return np.zeros(x.shape, output)
    if isinstance(output, str):
        dtype = np.dtype(output)
        if not issubclass(dtype.type, np.number):
            raise RuntimeError(f"output must be a numeric dtype, got {output!r}")
    else:
        dtype, output = None, on_host("output", output)
        if output.shape != x.shape:
            raise RuntimeError(f"output must have shape {x.shape}, got {output.shape}")
    if complex_result and (dtype or output.dtype).kind != "c":
        raise RuntimeError(f"output must be complex, got {dtype or output.dtype}")
    return np.zeros(x.shape, dtype) if dtype is not None else output


def native(dtype):
    """`dtype` in this machine's order of bytes."""
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def check_dtype(name, dtype):
    """The dtypes that have a filter: bool, integers, float32 and float64."""
    if dtype.kind not in "biu" and dtype.char not in "fd":
        raise RuntimeError(
            f"{name} must have a bool, integer, float32 or float64 dtype, got {dtype}"
        )


def as_bytes(array):
    """Bools as the bytes 0 to 255 that they hold between two passes; other arrays as they are."""
    return array.view(np.uint8) if array.dtype == bool else array


def bools(output):
    """`output`, where it is bool with every byte that is not 0 made True."""
    if output.dtype == bool:
        output[...] = as_bytes(output) != 0
    return output


def store(output, y):
    """Write the float64 sums `y` as C casts them: truncated, integers wrapped."""
    target = as_bytes(output)
    if not target.flags.writeable:
        raise ValueError("output must be writeable, got a read-only array")
    with np.errstate(invalid="ignore", over="ignore"):
        if target.dtype.kind == "u" and target.itemsize == 4:
            y = y.astype(np.int64)
        target[...] = y
