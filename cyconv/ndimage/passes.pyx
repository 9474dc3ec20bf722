"""Filters along one axis or two, in native calls: an array of any rank as planes of pixels.

With stages along d1 and d2::

    (d0, d1, d2, d3, d4)  ->  d0 planes of d1 rows and d2 columns of pixels of d3 * d4 elements

Sums are kept in float64, and cast once after each pass, as SciPy does.
"""

cimport numpy as cnp

import numpy as np

from cyconv.algorithms import chains
from cyconv.ndimage.arguments import check_dtype, native, real_number, result_array

cnp.import_array()

EPS = np.finfo(np.float64).eps  # taps that are not above it are left out, as SciPy does
FEW = 16  # elements of a pixel: with more, rows are what lies along the axis


def run_passes(output, x, passes, cval):
    """output = x after `passes`, each (axis, Stage, border mode), one after the other.

    Real and imaginary parts are filtered by themselves.
    """
    if not passes:
        output[...] = x
        return
    if x.dtype.kind == "c":
        result_array(output, x, complex_result=True)  # refuses one that is not complex
        run_passes(output.real, x.real, passes, np.real(cval))
        run_passes(output.imag, x.imag, passes, np.imag(cval))
        return
    cval = real_number(cval)
    x, target = operands(output, x)
    if not x.size:
        return
    groups = planes(x.shape, list(passes))
    for i, (shape, stages, borders) in enumerate(groups):
        last = i + 1 == len(groups)
        y = target if last else np.empty(x.shape, target.dtype)
        chains.run(x, y, shape, (stages,), borders, cval, True)
        x = y
    deliver(output, target)


def run_branches(output, x, branches, cval, finish):
    """output = the branches of `x`, each of some passes, put together by `finish`: if it can be.

    It can on two neighbouring axes with one border mode, in a dtype whose sums float64 holds.
    """
    axes = sorted({axis for passes in branches for axis, _, _ in passes})
    modes = {mode for passes in branches for _, _, mode in passes}
    kind, size = output.dtype.kind, output.dtype.itemsize
    if (
        len(axes) != 2
        or axes[0] + 1 != axes[1]
        or len(modes) != 1
        or not all(1 <= len(passes) <= 2 for passes in branches)
        or x.dtype.kind == "c"
        or not (kind == "f" or (kind in "iu" and size < 8 and finish == "sum")
                or (kind == "u" and size < 4))
    ):
        return False
    cval = real_number(cval)
    x, target = operands(output, x)
    if x.size:
        stages = tuple(
            tuple((stage, axis == axes[0]) for axis, stage, _ in passes) for passes in branches
        )
        borders = (*modes, *modes)
        shape = plane(x.shape, axes[0], axes[1])
        chains.run(x, target, shape, stages, borders, cval, True, None, finish)
        deliver(output, target)
    return True


def run_kernel(output, x, w, list widths, mode, cval):
    """output = `w`, which reaches along two neighbouring axes at most, over `x`."""
    cdef Py_ssize_t first, last
    x, target = operands(output, x)
    if not x.size:
        return
    first, last = reached(w.shape)
    up, left = widths[first][0], widths[last][0]
    if last > first:
        shape = plane(x.shape, first, last)
        w = w.reshape(w.shape[first], w.shape[last])
    elif first + 1 == x.ndim:
        shape = (1, product(x.shape, 0, first), x.shape[first], 1)
        w, up = w.reshape(1, -1), 0
    else:
        shape = (product(x.shape, 0, first), x.shape[first], product(x.shape, first + 1, x.ndim), 1)
        w, left = w.reshape(-1, 1), 0
    stages = ((chains.plane(w, up, left, EPS), True),)
    chains.run(x, target, shape, (stages,), (mode, mode), cval, True)
    deliver(output, target)


def reached(tuple kernel):
    """The first and the last axis along which a kernel of these sizes reaches."""
    cdef Py_ssize_t first = 0, last = len(kernel) - 1
    while first < last and kernel[first] == 1:
        first += 1
    while last > first and kernel[last] == 1:
        last -= 1
    return first, last


cdef list planes(tuple shape, list passes):
    """(shape, stages, borders) for `chains.run`: passes on neighbouring axes two by two."""
    cdef list groups = []
    cdef Py_ssize_t i = len(passes), axis, other, first, after
    while i:
        i -= 1
        axis, stage, mode = passes[i]
        if i:
            other, another, another_mode = passes[i - 1]
            if abs(axis - other) == 1:
                i -= 1
                first = min(axis, other)
                borders = (mode, another_mode) if first == axis else (another_mode, mode)
                stages = ((another, other == first), (stage, axis == first))
                groups.append((plane(shape, first, first + 1), stages, borders))
                continue
        after = product(shape, axis + 1, len(shape))
        if after >= FEW:
            groups.append(((product(shape, 0, axis), shape[axis], after, 1), ((stage, True),),
                           (mode, mode)))
        else:
            groups.append(((1, product(shape, 0, axis), shape[axis], after), ((stage, False),),
                           (mode, mode)))
    groups.reverse()
    return groups


cdef tuple plane(tuple shape, Py_ssize_t first, Py_ssize_t last):
    return (product(shape, 0, first), shape[first], shape[last],
            product(shape, last + 1, len(shape)))


cdef Py_ssize_t product(tuple shape, Py_ssize_t first, Py_ssize_t end):
    cdef Py_ssize_t n = 1, axis
    for axis in range(first, end):
        n *= <Py_ssize_t>shape[axis]
    return n


cpdef tuple operands(output, x):
    """Both as the kernels take them: native, in C order, apart."""
    check_dtype("input", x.dtype)
    check_dtype("output", output.dtype)
    if not cnp.PyArray_ISWRITEABLE(output):
        raise ValueError("output must be writeable, got a read-only array")
    if not cnp.PyArray_ISCARRAY_RO(x):
        x = np.ascontiguousarray(x, native(x.dtype))
    if cnp.PyArray_ISCARRAY(output):
        return (x.copy() if np.may_share_memory(x, output) else x), output
    return x, np.empty(output.shape, native(output.dtype))


cpdef deliver(output, target):
    if target is not output:
        output[...] = target
