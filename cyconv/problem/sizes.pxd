cdef struct axis_sizes_t:
    ptrdiff_t in_, out, kernel, stride, dilation, lo, hi
    ptrdiff_t span  # of inputs that one output meets


cdef class Sizes:
    cdef readonly object dtype
    cdef int rank, itemsize
    cdef bint integer
    cdef readonly ptrdiff_t longest  # axis, with its padding
    cdef ptrdiff_t N, G, C, K   # images, groups, and channels and filters of one group
    cdef ptrdiff_t outer        # outputs of the axes above the last two
    cdef ptrdiff_t planes       # planes of one output: C times the taps of those axes
    cdef ptrdiff_t taps         # products of one output
    cdef ptrdiff_t parameters
    cdef readonly double flops
    cdef double bytes
    cdef axis_sizes_t[8] axes
    cdef axis_sizes_t h, w      # the last two
