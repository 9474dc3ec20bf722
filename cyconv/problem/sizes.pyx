"""What follows from a problem's fields, in C: its sizes for closed formulas, and its properties.

No array of a problem has 2^60 elements (``Problem`` sees to that), so counts of elements fit 64
bits. Numbers of bytes and of operations are doubles. A stride or a dilation that no axis is long
enough for counts as 2^62.
"""

cimport numpy as cnp

from cyconv.problem.geometry import LIMIT
from cyconv.problem.names import ROLES, sum_dtype

cnp.import_array()

cdef ptrdiff_t MOST = LIMIT


cdef class Sizes:
    """The sizes of one problem, channels first or last, of any direction as of the forward one."""


cdef void count(Sizes s) noexcept:
    """What the axes and the channels come to."""
    cdef ptrdiff_t inputs = 1, outputs = 1, above = 1
    cdef int i
    s.outer, s.taps, s.longest = 1, s.C, 0
    for i in range(s.rank):
        inputs *= s.axes[i].in_
        outputs *= s.axes[i].out
        s.taps *= s.axes[i].kernel
        s.longest = max(s.longest, s.axes[i].in_ + s.axes[i].lo + s.axes[i].hi)
        if i < s.rank - 2:
            s.outer *= s.axes[i].out
            above *= s.axes[i].kernel
    s.planes = s.C * above
    s.parameters = s.G * s.K * s.taps
    s.w = s.axes[s.rank - 1]
    if s.rank > 1:
        s.h = s.axes[s.rank - 2]
    s.flops = 2.0 * (s.N * s.G * s.K * outputs) * s.taps
    inputs *= s.N * s.G * s.C
    outputs *= s.N * s.G * s.K
    s.bytes = <double>s.itemsize * (inputs + s.parameters + outputs)


def derive(dict values):
    """Add to a problem's fields, which are right, what ``Problem`` derives from them one by one."""
    cdef tuple x_shape = values["x_shape"], w_shape = values["w_shape"], stride = values["stride"]
    cdef tuple dilation = values["dilation"], padding = values["padding"], spatial, y_shape
    cdef cnp.dtype dtype = values["dtype"]
    cdef Sizes s = Sizes.__new__(Sizes)
    cdef axis_sizes_t *a
    cdef int i, batched
    cdef bint last = values["data_format"] == "channels_last"
    cdef list outputs = [], spans = []
    s.rank = len(w_shape) - 2
    batched = len(x_shape) - s.rank - 1
    spatial = x_shape[batched:batched + s.rank] if last else x_shape[batched + 1:]
    channels = x_shape[batched + s.rank] if last else x_shape[batched]
    s.dtype, s.itemsize = dtype, cnp.PyDataType_ELSIZE(dtype)
    s.integer = dtype.kind == c"i" or dtype.kind == c"u"
    if s.integer:  # as the kernels hold them
        s.itemsize = max(4, s.itemsize)
    s.N, s.G = x_shape[0] if batched else 1, values["groups"]
    s.C, s.K = <ptrdiff_t>channels // s.G, <ptrdiff_t>w_shape[0] // s.G
    for i in range(s.rank):
        a = &s.axes[i]
        a.in_, a.kernel = spatial[i], w_shape[i + 2]
        a.stride, a.dilation = min(stride[i], MOST), min(dilation[i], MOST)
        a.lo, a.hi = padding[i]
        a.span = a.dilation * (a.kernel - 1) + 1
        a.out = (a.in_ + a.lo + a.hi - a.span) // a.stride + 1
        outputs.append(a.out)
        spans.append(a.span)
    count(s)
    values["sizes"], values["rank"], values["batched"] = s, s.rank, batched == 1
    values["channels_last"] = last
    values["batch"], values["channels"], values["filters"] = s.N, channels, w_shape[0]
    values["spatial"], values["kernel"] = spatial, w_shape[2:]
    values["output_spatial"], values["receptive_field"] = tuple(outputs), tuple(spans)
    if not last:
        outputs.insert(0, w_shape[0])
    else:
        outputs.append(w_shape[0])
    if batched:
        outputs.insert(0, s.N)
    values["y_shape"] = y_shape = tuple(outputs)
    shapes = {"x": x_shape, "w": w_shape, "y": y_shape}
    first, second, result = ROLES[values["direction"]]
    values["operand_shapes"] = shapes[first], shapes[second]
    values["output_shape"] = shapes[result]
    sums = sum_dtype(dtype)
    if sums is values["out_dtype"]:
        values["sum_dtype"] = sums
