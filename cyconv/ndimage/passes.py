"""Filters along one axis or two, in native calls: an array of any rank as planes of pixels.

With stages along d1 and d2::

    (d0, d1, d2, d3, d4)  ->  d0 planes of d1 rows and d2 columns of pixels of d3 * d4 elements

Sums are kept in float64, and cast once after each pass, as SciPy does.
"""

from math import prod

import numpy as np

from cyconv.algorithms import chains
from cyconv.ndimage.arguments import check_dtype, real_number, result_array

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
    x, target = _operands(output, x)
    if not x.size:
        return
    groups = list(_planes(x.shape, passes))
    for i, (shape, stages, borders) in enumerate(groups):
        last = i + 1 == len(groups)
        y = target if last else np.empty(x.shape, target.dtype)
        chains.run(x, y, shape, (stages,), borders, cval, True)
        x = y
    _deliver(output, target)


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
        or not (kind == "f" or (kind in "iu" and size < 8 and finish == "sum"))
    ):
        return False
    cval = real_number(cval)
    x, target = _operands(output, x)
    if x.size:
        stages = tuple(
            tuple((stage, axis == axes[0]) for axis, stage, _ in passes) for passes in branches
        )
        borders = (*modes, *modes)
        shape = _plane(x.shape, *axes)
        chains.run(x, target, shape, stages, borders, cval, True, None, finish)
        _deliver(output, target)
    return True


def run_kernel(output, x, w, widths, mode, cval):
    """output = `w`, which reaches along two neighbouring axes at most, over `x`."""
    x, target = _operands(output, x)
    if not x.size:
        return
    first, last = reached(w.shape)
    up, left = widths[first][0], widths[last][0] if last > first else 0
    kernel = w.reshape(w.shape[first], -1)
    if last == first:  # along one axis: of columns, where it is the last
        if first + 1 == x.ndim:
            shape = (1, prod(x.shape[:first]), x.shape[first], 1)
            kernel, up, left = kernel.reshape(1, -1), 0, up
        else:
            shape = (prod(x.shape[:first]), x.shape[first], prod(x.shape[first + 1 :]), 1)
    else:
        shape = _plane(x.shape, first, last)
    stage = chains.plane(kernel, up, left)
    chains.run(x, target, shape, (((stage, True),),), (mode, mode), cval, True)
    _deliver(output, target)


def reached(kernel):
    """The first and the last axis along which a kernel of these sizes reaches."""
    axes = [axis for axis, k in enumerate(kernel) if k > 1] or [len(kernel) - 1]
    return axes[0], axes[-1]


def _planes(shape, passes):
    """(planes, rows, columns, step), stages, borders: passes on neighbouring axes two by two."""
    groups, rest = [], list(passes)
    while rest:
        pair = len(rest) > 1 and abs(rest[-1][0] - rest[-2][0]) == 1
        groups.append(rest[-2:] if pair else rest[-1:])
        del rest[-2 if pair else -1 :]
    for group in reversed(groups):
        axes = sorted(axis for axis, _, _ in group)
        modes = {axis: mode for axis, _, mode in group}
        if len(group) == 2:
            stages = tuple((stage, axis == axes[0]) for axis, stage, _ in group)
            yield _plane(shape, *axes), stages, (modes[axes[0]], modes[axes[1]])
            continue
        ((axis, stage, mode),) = group
        before, n, after = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
        if after >= FEW:
            yield (before, n, after, 1), ((stage, True),), (mode, mode)
        else:
            yield (1, before, n, after), ((stage, False),), (mode, mode)


def _plane(shape, first, last):
    return prod(shape[:first]), shape[first], shape[last], prod(shape[last + 1 :])


def _operands(output, x):
    """Both as the kernels take them: native, in C order, apart."""
    check_dtype("input", x.dtype)
    check_dtype("output", output.dtype)
    if not output.flags.writeable:
        raise ValueError("output must be writeable, got a read-only array")
    x = np.ascontiguousarray(x, x.dtype.newbyteorder("="))
    flags = output.flags
    if flags.c_contiguous and flags.aligned and output.dtype.isnative:
        return (x.copy() if np.may_share_memory(x, output) else x), output
    return x, np.empty(output.shape, output.dtype.newbyteorder("="))


def _deliver(output, target):
    if target is not output:
        output[...] = target
