"""A problem's sizes as C numbers, for closed formulas.

No array of a problem has 2^60 elements (``Problem`` sees to that), so counts of elements fit 64
bits. Numbers of bytes and of operations are doubles. A stride or a dilation that no axis is long
enough for counts as 2^62.
"""

from cyconv.problem.geometry import LIMIT


cdef class Sizes:
    """The sizes of one problem, channels first or last, of any direction as of the forward one."""

    def __init__(self, problem):
        cdef tuple spatial = problem.spatial, out = problem.output_spatial
        cdef tuple kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation
        cdef tuple padding = problem.padding, spans = problem.receptive_field
        cdef ptrdiff_t inputs = 1, outputs = 1, above = 1
        cdef axis_sizes_t *a
        cdef int i
        self.dtype = problem.dtype
        self.rank, self.itemsize = len(kernel), self.dtype.itemsize
        self.integer = self.dtype.kind in "iu"
        if self.integer:  # as the kernels hold them
            self.itemsize = max(4, self.itemsize)
        self.N, self.G = problem.batch, problem.groups
        self.C, self.K = problem.channels // problem.groups, problem.filters // problem.groups
        self.outer, self.taps = 1, self.C
        for i in range(self.rank):
            a = &self.axes[i]
            a.in_, a.out, a.kernel, a.span = spatial[i], out[i], kernel[i], spans[i]
            a.stride, a.dilation = min(stride[i], LIMIT), min(dilation[i], LIMIT)
            a.lo, a.hi = padding[i]
            inputs *= a.in_
            outputs *= a.out
            self.taps *= a.kernel
            if i < self.rank - 2:
                self.outer *= a.out
                above *= a.kernel
        self.planes = self.C * above
        self.parameters = self.G * self.K * self.taps
        self.w = self.axes[self.rank - 1]
        if self.rank > 1:
            self.h = self.axes[self.rank - 2]
        self.flops = 2.0 * (self.N * self.G * self.K * outputs) * self.taps
        inputs *= self.N * self.G * self.C
        outputs *= self.N * self.G * self.K
        self.bytes = <double>self.itemsize * (inputs + self.parameters + outputs)
