"""Channels last, in and out as they lie: 1 x 1 kernels and few channels for `implicit_gemm`, 3 x 3
taps on one channel for `direct` (``last.h``).

The sums are those that the algorithms make of channels first, to the bit.
"""

cimport numpy as cnp
from libc.string cimport memcpy, memset

from cyconv.runtime.memory cimport Buffer
from cyconv.runtime.parallel cimport parallel_for
from cyconv.algorithms.base cimport Algorithm, Packed, ceil_div, from_row
from cyconv.kernels.kernels cimport (
    CYCONV_REAL,
    axis_t,
    epilogue_t,
    geometry_t,
    last_for,
    last_t,
)

cnp.import_array()

cdef enum:
    PIXELS = 192   # of one piece of work: with 256 planes they stay in a second-level cache
    PIECE = 16384  # outputs of one piece of a depthwise layer
    PIECES = 4     # pieces for each thread at least, if there are so many
    WINDOWS = 1 << 17  # bytes of windows side by side

ctypedef fused cell_t:
    float
    double


cdef struct Context:
    geometry_t g
    const last_t *k
    const char *x
    char *y
    const char *w
    const char *zeros
    ptrdiff_t depth, planes            # terms of one output, and those summed at a time
    ptrdiff_t pixels, strips           # of one piece of work; pieces of one image
    ptrdiff_t filters, chunks          # the same of the filters
    bint flat                          # pixels of x lie at equal steps
    bint points                        # a window is one pixel
    epilogue_t e


cdef bint lies_last(const geometry_t *g) noexcept nogil:
    """Whether channels of x and filters of y are neighbours, and rows of y's pixels follow."""
    return (g.outer_rank == 0 and g.x_cells == CYCONV_REAL and g.y_cells == CYCONV_REAL
            and g.C * g.G > 1 and g.x_c == 1 and g.y_k == 1
            and g.h.y_stride == g.w.out * g.w.y_stride)


cdef void windows(const geometry_t *g, const cell_t *x, ptrdiff_t l0, ptrdiff_t m, cell_t *to,
                  ptrdiff_t *offsets) noexcept nogil:
    """What outputs [l0, l0 + m) read, each in the order of the weights.

    `offsets` is room for those of one output's inputs from its first.
    """
    cdef ptrdiff_t R = g.h.kernel, S = g.w.kernel, taps = R * S, depth = g.C * taps
    cdef ptrdiff_t i, r, s, c, t, _
    cdef ptrdiff_t top, left, row, column
    cdef ptrdiff_t down = (R - 1) * g.h.dilation, right = (S - 1) * g.w.dilation
    cdef const cell_t *first
    cdef bint within
    for c in range(g.C):
        for r in range(R):
            for s in range(S):
                offsets[c * taps + r * S + s] = (
                    c + r * g.h.dilation * g.h.x_stride + s * g.w.dilation * g.w.x_stride)
    for i in range(l0, l0 + m):
        top = i // g.w.out * g.h.stride - g.h.pad
        left = i % g.w.out * g.w.stride - g.w.pad
        first = x + (top * g.h.x_stride + left * g.w.x_stride)
        if top >= 0 and left >= 0 and top + down < g.h.in_ and left + right < g.w.in_:
            for t in range(depth):
                to[t] = first[offsets[t]]
        else:
            for r in range(R):
                for s in range(S):
                    row, column = top + r * g.h.dilation, left + s * g.w.dilation
                    within = 0 <= row < g.h.in_ and 0 <= column < g.w.in_
                    t = r * S + s
                    for _ in range(g.C):
                        to[t] = first[offsets[t]] if within else 0
                        t += taps
        to += depth


cdef void pixels_piece(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """Some pixels of one group of an image, for some of its filters."""
    cdef const Context *c = <const Context *>context
    cdef const geometry_t *g = &c.g
    cdef int size = c.k.itemsize
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t filters = min(c.filters, g.K - first)
    cdef ptrdiff_t l0 = item // c.chunks % c.strips * c.pixels
    cdef ptrdiff_t m = min(c.pixels, g.h.out * g.w.out - l0)
    cdef ptrdiff_t slab = item // (c.chunks * c.strips)
    cdef ptrdiff_t group = slab % g.G, n = slab // g.G, all_filters, d = 0, count, i, p, q
    cdef const char *x = c.x + (n * g.x_n + group * g.C) * size
    cdef char *y = c.y + (n * g.y_n + l0 * g.w.y_stride + group * g.K + first) * size
    cdef ptrdiff_t a_row = g.w.x_stride
    cdef ptrdiff_t *offsets
    cdef epilogue_t e = from_row(&c.e, group * g.K + first, size)
    all_filters = ceil_div(g.K, c.k.nr) * c.k.nr
    if c.flat:
        x += l0 * g.w.x_stride * size
    elif not c.points:
        offsets = <ptrdiff_t *>scratch
        scratch += ceil_div(c.depth * sizeof(ptrdiff_t), 64) * 64
        if size == 4:
            windows(g, <const float *>x, l0, m, <float *>scratch, offsets)
        else:
            windows(g, <const double *>x, l0, m, <double *>scratch, offsets)
        x, a_row = scratch, c.depth
    else:
        for i in range(m):
            p, q = (l0 + i) // g.w.out, (l0 + i) % g.w.out
            memcpy(scratch + i * g.C * size, x + (
                p * g.h.stride * g.h.x_stride + q * g.w.stride * g.w.x_stride) * size, g.C * size)
        x, a_row = scratch, g.C
    while d < c.depth:
        count = min(c.planes, c.depth - d)
        c.k.multiply(
            m, filters, count, x + d * size, a_row,
            c.w + ((group * c.depth + d) * all_filters + first * count) * size, count * c.k.nr,
            y, g.w.y_stride, d > 0, &e if d + count == c.depth else NULL)
        d += count


cdef bint run_pixels(Algorithm a, const geometry_t *g, cnp.ndarray x, Packed packed, cnp.ndarray y,
                     const epilogue_t *e, ptrdiff_t planes, int threads, double seconds) except -1:
    """y of a kernel whose windows are pixels, or of few channels; False if these arrays are not for
    it.
    """
    cdef Context c
    cdef ptrdiff_t pixels = g.h.out * g.w.out, pieces, taps = g.h.kernel * g.w.kernel
    cdef size_t scratch = 0
    c.k = last_for(a.isa, a.problem.dtype)
    if c.k == NULL or packed.source is None or not lies_last(g) or g.K < c.k.lanes:
        return False
    c.g, c.e, c.depth = g[0], e[0], g.C * taps
    c.points = taps == 1 and g.h.pad == g.w.pad == 0 and holds_all(&g.h) and holds_all(&g.w)
    c.planes = planes * taps
    c.flat = (c.points and g.h.stride == g.w.stride == 1
              and g.h.x_stride == g.w.in_ * g.w.x_stride)
    c.pixels = min(<ptrdiff_t>PIXELS, pixels)
    if not c.points:
        c.pixels = max(<ptrdiff_t>1, min(c.pixels, WINDOWS // (c.depth * c.k.itemsize)))
    if not c.flat:
        c.pixels = max(<ptrdiff_t>1, min(c.pixels, a.workspace_limit // (c.depth * c.k.itemsize)))
        scratch = ceil_div(c.pixels * c.depth * c.k.itemsize, 64) * 64
        scratch += 0 if c.points else ceil_div(c.depth * sizeof(ptrdiff_t), 64) * 64
        threads = <int>max(1, min(<ptrdiff_t>threads, a.workspace_limit // <ptrdiff_t>scratch))
    c.strips = ceil_div(pixels, c.pixels)
    c.filters, pieces = g.K, g.N * g.G * c.strips
    if threads > 1 and pieces < PIECES * threads:
        c.filters = ceil_div(ceil_div(g.K, ceil_div(PIECES * threads, pieces)), c.k.nr) * c.k.nr
    c.chunks = ceil_div(g.K, c.filters)
    if packed.last is None:
        packed.last = panels(c.k, g, packed.source, c.depth, c.planes)
    c.w = packed.last.data
    c.x, c.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
    parallel_for(pixels_piece, &c, pieces * c.chunks, threads, scratch, seconds)
    return True


cdef bint holds_all(const axis_t *a) noexcept nogil:
    """Whether every output of an axis of one tap is of a pixel."""
    return (a.out - 1) * a.stride < a.in_


cdef Buffer panels(const last_t *k, const geometry_t *g, cnp.ndarray w, ptrdiff_t depth,
                   ptrdiff_t planes):
    """The weights [group][block of terms][panel][term][filter]."""
    cdef Buffer buffer = Buffer()
    cdef ptrdiff_t group, d, count, filters = ceil_div(g.K, k.nr) * k.nr
    cdef const char *source = cnp.PyArray_BYTES(w)
    buffer.reserve(g.G * depth * filters * k.itemsize, "packed weights")
    for group in range(g.G):
        d = 0
        while d < depth:
            count = min(planes, depth - d)
            k.pack(source + (group * g.K * depth + d) * k.itemsize, depth, g.K, count,
                   buffer.data + (group * depth + d) * filters * k.itemsize)
            d += count
    return buffer


cdef void depthwise_piece(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """Some rows of one image."""
    cdef const Context *c = <const Context *>context
    cdef ptrdiff_t n = item // c.strips, p0 = item % c.strips * c.pixels
    c.k.depthwise3(&c.g, c.g.G, c.x + n * c.g.x_n * c.k.itemsize, c.w, c.zeros,
                   c.y + n * c.g.y_n * c.k.itemsize, &c.e, p0,
                   min(p0 + c.pixels, c.g.h.out))


cdef bint run_depthwise(Algorithm a, const geometry_t *g, cnp.ndarray x, Packed packed,
                        cnp.ndarray y, const epilogue_t *e, int threads, double seconds) except -1:
    """y of 3 x 3 taps on each channel, from 9 weights of each; False if it is not that."""
    cdef Context c
    cdef ptrdiff_t size, channel, tap
    cdef char *weights
    c.k = last_for(a.isa, a.problem.dtype)
    if (c.k == NULL or not lies_last(g) or g.G < c.k.lanes or g.C > 1 or g.K > 1
            or g.h.kernel != 3 or g.w.kernel != 3 or g.h.dilation != 1 or g.w.dilation != 1
            or g.h.stride != g.w.stride or g.w.stride > 2):
        return False
    size = c.k.itemsize
    if packed.last is None:
        packed.last = Buffer()
        packed.last.reserve(10 * g.G * size, "packed weights")
        weights = packed.last.data
        for channel in range(g.G):
            for tap in range(9):
                memcpy(weights + (tap * g.G + channel) * size,
                       packed.panels.data + (channel * 9 + tap) * size, size)
        memset(weights + 9 * g.G * size, 0, g.G * size)
    c.g, c.e = g[0], e[0]
    c.w, c.zeros = packed.last.data, packed.last.data + 9 * g.G * size
    c.x, c.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
    c.pixels = min(g.h.out, max(<ptrdiff_t>1, PIECE // (g.G * g.w.out)))
    c.strips = ceil_div(g.h.out, c.pixels)
    parallel_for(depthwise_piece, &c, g.N * c.strips, threads, 0, seconds)
    return True
