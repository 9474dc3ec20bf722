"""Types of cells in a device's memory, and what kernels compute with: the macros of cells.cl."""

from functools import cache
from math import ceil, floor, inf
from typing import NamedTuple

import numpy as np

_NAMES = {
    "float16": "half", "bfloat16": "bhalf", "float32": "float", "float64": "double",
    "int8": "char", "uint8": "uchar", "int16": "short", "uint16": "ushort",
    "int32": "int", "uint32": "uint", "int64": "long", "uint64": "ulong",
}  # fmt: skip


@cache
def element(dtype):
    """What kernels call cells of `dtype`, or None if they read none such."""
    return _NAMES.get(dtype.name)


class Requantised(NamedTuple):
    """What sums become instead of being bounded: clip(round(sum * factor) + zero) in y's type.

    Attributes
    ----------
    factor : View of float32, one for each filter
    zero : int
    dtype : numpy.dtype
        Of the result.
    """

    factor: object
    zero: int
    dtype: np.dtype


class Cells(NamedTuple):
    """Of one kernel: the type of its sums, of x's cells and of y's; None is the sums' own.

    Sums are in float32, float64 or integers of 32 or 64 bits.
    """

    sums: np.dtype
    x: np.dtype | None = None
    y: np.dtype | None = None
    requantised: bool = False

    @property
    def wide(self):
        """Whether sums have 64 bits."""
        return self.sums.itemsize == 8

    def macros(self):
        """For the compiler."""
        return dict(_macros(self))


@cache
def _macros(cells):
    found = dict(computing(cells.sums))
    if cells.x is not None:
        found["X"] = element(cells.x)
    if cells.y is not None:
        found["Y"] = element(cells.y)
    if cells.requantised:
        found["REQUANTISED"] = 1
    return found


@cache
def computing(sums):
    """Macros of the type that is computed with: integers wrap, as only unsigned ones do in C."""
    if sums.kind in "iu":
        return {"SUM": element(sums), "REAL": f"u{element(sums).lstrip('u')}"}
    return {"DOUBLE": 1} if sums == np.float64 else {}


def bounds(clamp, sums):
    """The arguments `low` and `high` of a kernel whose sums are of `sums`.

    Integers are compared as unsigned ones whose signs are turned round: the smallest is 0.
    """
    low, high = clamp or (-inf, inf)
    if sums.kind not in "iu":
        return sums.type(low), sums.type(high)
    info = np.iinfo(sums)
    low = info.min if low < info.min else info.max if low > info.max else ceil(low)
    high = info.max if high > info.max else info.min if high < info.min else floor(high)
    unsigned = np.dtype(f"u{sums.itemsize}").type
    return unsigned(low - info.min), unsigned(high - info.min)
