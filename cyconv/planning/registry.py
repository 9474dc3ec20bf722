"""The table of algorithms: a line each, and no other code to edit to add one; and of devices.

The room ``cyconv.algorithms.<name>`` holds a class ``Algorithm`` with the interface of
:class:`cyconv.algorithms.base.Algorithm`. It is imported when first asked for.
"""

from functools import cache
from importlib import import_module

ALGORITHMS = (
    "direct",  # the image itself read through tap offsets; any problem
    "implicit_gemm",  # patches packed straight into the micro-kernel's panels; any problem
    "batch_gemm",  # implicit GEMM over the pixels of all images: gradients of weights
    "im2col",  # patches into columns, then BLAS
    "fft",  # products of spectra: large kernels
    "winograd",  # F(m, r): fewer multiplications for small kernels of stride 1
)


def names():
    """Names of all algorithms."""
    return ALGORITHMS


@cache
def get(name, dtype=None):
    """The class of algorithm `name`; the caller has checked it with :func:`check_name`.

    Some have another one for integers of 8 and 16 bits.
    """
    cls = import_module(f"cyconv.algorithms.{name}").Algorithm
    narrow = dtype is not None and dtype.kind in "iu" and dtype.itemsize < 4
    return getattr(cls, "of_narrow", cls) if narrow else cls


@cache
def every(dtype=None):
    """The classes of all algorithms, in their order."""
    return [get(name, dtype) for name in ALGORITHMS]


def devices():
    """The room that plans for OpenCL devices, which is above this one: imported when asked for."""
    return import_module("cyconv.opencl.plan")


def check_name(operation, name):
    """Refuse a name that is neither 'auto' nor in the table, listing those that are."""
    if not isinstance(name, str) or (name != "auto" and name not in ALGORITHMS):
        raise ValueError(
            f"{operation}: algorithm must be one of 'auto', "
            f"{', '.join(map(repr, ALGORITHMS))}, got {name!r}"
        )
