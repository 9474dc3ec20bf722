"""Channels last, in and out as they lie: `implicit_gemm`, and 3 x 3 taps on one channel for
`direct` (``last.h``).

A kernel's windows are read in a strip of the image: some rows of a block of planes with their
border of zeros, from which each tap of each pixel is an offset away.

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
    STRIP = 1 << 17  # bytes of a strip of the image: half of what is left beside the weights
    MOST = 512       # pixels of one strip, whose sums lie in a cache between blocks of planes


cdef struct Context:
    geometry_t g
    const last_t *k
    const char *x
    char *y
    const char *w
    const char *zeros
    ptrdiff_t depth, planes            # terms of one output, and those summed at a time
    ptrdiff_t planes_of_cell           # channels that they are of, which a cell of a strip holds
    ptrdiff_t pixels, strips           # of one piece of work; pieces of one image
    ptrdiff_t filters, chunks          # the same of the filters
    bint flat                          # pixels of x lie at equal steps
    ptrdiff_t rows, columns, column_strips, pitch  # of a strip's outputs; pixels of its rows
    const ptrdiff_t *pixel             # of a strip: where the windows of outputs begin
    const ptrdiff_t *offset            # and where the taps of one are
    epilogue_t e


cdef bint lies_last(const geometry_t *g) noexcept nogil:
    """Whether channels of x and filters of y are neighbours, and rows of y's pixels follow."""
    return (g.outer_rank == 0 and g.x_cells == CYCONV_REAL and g.y_cells == CYCONV_REAL
            and g.C * g.G > 1 and g.x_c == 1 and g.y_k == 1
            and g.h.y_stride == g.w.out * g.w.y_stride)


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
    cdef epilogue_t e = from_row(&c.e, group * g.K + first, size)
    all_filters = ceil_div(g.K, c.k.nr) * c.k.nr
    if c.flat:
        x += l0 * g.w.x_stride * size
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


cdef void fill_strip(const Context *c, const char *x, ptrdiff_t planes, ptrdiff_t p0,
                     ptrdiff_t rows, ptrdiff_t q0, ptrdiff_t columns, char *to) noexcept nogil:
    """What outputs [p0, p0 + rows) x [q0, q0 + columns) read of `planes` channels from x on."""
    cdef const geometry_t *g = &c.g
    cdef ptrdiff_t cell = c.planes_of_cell * c.k.itemsize, bytes = planes * c.k.itemsize
    cdef ptrdiff_t height = reach(&g.h, rows), width = reach(&g.w, columns)
    cdef ptrdiff_t top = p0 * g.h.stride - g.h.pad, left = q0 * g.w.stride - g.w.pad, r, h, i
    cdef ptrdiff_t begin = min(width, max(<ptrdiff_t>0, -left))
    cdef ptrdiff_t end = max(begin, min(width, g.w.in_ - left))
    cdef ptrdiff_t step = g.w.x_stride * c.k.itemsize
    cdef const char *source
    for r in range(height):
        h = top + r
        if h < 0 or h >= g.h.in_:
            memset(to, 0, width * cell)
        else:
            source = x + (h * g.h.x_stride + (left + begin) * g.w.x_stride) * c.k.itemsize
            memset(to, 0, begin * cell)
            if bytes == cell == step:
                memcpy(to + begin * cell, source, (end - begin) * cell)
            else:
                for i in range(begin, end):
                    memcpy(to + i * cell, source, bytes)
                    source += step
            memset(to + end * cell, 0, (width - end) * cell)
        to += c.pitch * cell


cdef void windows_piece(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """A strip of outputs of one group of an image, for some of its filters."""
    cdef const Context *c = <const Context *>context
    cdef const geometry_t *g = &c.g
    cdef int size = c.k.itemsize
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t filters = min(c.filters, g.K - first)
    cdef ptrdiff_t q0 = item // c.chunks % c.column_strips * c.columns
    cdef ptrdiff_t columns = min(c.columns, g.w.out - q0)
    cdef ptrdiff_t p0 = item // (c.chunks * c.column_strips) % c.strips * c.rows
    cdef ptrdiff_t rows = min(c.rows, g.h.out - p0)
    cdef ptrdiff_t slab = item // (c.chunks * c.column_strips * c.strips)
    cdef ptrdiff_t group = slab % g.G, n = slab // g.G, taps = g.h.kernel * g.w.kernel, p
    cdef ptrdiff_t all_filters = ceil_div(g.K, c.k.nr) * c.k.nr, d = 0, count
    cdef ptrdiff_t together = rows if columns == g.w.out else 1  # rows whose results follow
    cdef const char *x = c.x + (n * g.x_n + group * g.C) * size
    cdef const char *w
    cdef char *y = c.y + (n * g.y_n + p0 * g.h.y_stride + q0 * g.w.y_stride
                          + group * g.K + first) * size
    cdef epilogue_t e = from_row(&c.e, group * g.K + first, size)
    while d < g.C:
        count = min(c.planes_of_cell, g.C - d)
        fill_strip(c, x + d * size, count, p0, rows, q0, columns, scratch)
        w = c.w + ((group * g.C + d) * all_filters + first * count) * taps * size
        p = 0
        while p < rows:
            c.k.multiply_windows(
                together * columns, filters, count * taps, scratch, c.pixel + p * c.columns,
                c.offset, w, count * taps * c.k.nr, y + p * g.h.y_stride * size, g.w.y_stride,
                d > 0, &e if d + count == g.C else NULL)
            p += together
        d += count


cdef inline ptrdiff_t reach(const axis_t *a, ptrdiff_t outputs) noexcept nogil:
    """Cells of an axis that so many neighbouring outputs read."""
    return (outputs - 1) * a.stride + (a.kernel - 1) * a.dilation + 1


cdef Py_ssize_t lay_strips(Context *c, Py_ssize_t limit) noexcept:
    """Rows and columns of strips; their bytes, or -1 if they are more than `limit`."""
    cdef const geometry_t *g = &c.g
    cdef ptrdiff_t cell = c.planes_of_cell * c.k.itemsize, most = min(<Py_ssize_t>STRIP, limit)
    c.columns, c.rows = g.w.out, g.h.out
    while c.columns > 32 and reach(&g.h, 1) * reach(&g.w, c.columns) * cell > most:
        c.columns = ceil_div(c.columns, 2)
    c.pitch = reach(&g.w, c.columns)
    while c.rows > 1 and (reach(&g.h, c.rows) * c.pitch * cell > most
                          or c.rows * c.columns > MOST):
        c.rows = ceil_div(c.rows, 2)
    c.column_strips, c.strips = ceil_div(g.w.out, c.columns), ceil_div(g.h.out, c.rows)
    if reach(&g.h, c.rows) * c.pitch * cell > limit:
        return -1
    return reach(&g.h, c.rows) * c.pitch * cell


cdef Buffer strip_tables(Context *c):
    """Where the windows of a strip's outputs begin, and where the taps of one lie."""
    cdef Buffer buffer = Buffer()
    cdef const geometry_t *g = &c.g
    cdef ptrdiff_t pixels = c.rows * c.columns, cell = c.planes_of_cell, p, q, d, r, s
    cdef ptrdiff_t *at
    buffer.reserve((pixels + cell * g.h.kernel * g.w.kernel) * sizeof(ptrdiff_t), "tap offsets",
                   sizeof(ptrdiff_t))
    at = <ptrdiff_t *>buffer.data
    c.pixel, c.offset = at, at + pixels
    for p in range(c.rows):
        for q in range(c.columns):
            at[0] = (p * g.h.stride * c.pitch + q * g.w.stride) * cell
            at += 1
    for d in range(cell):
        for r in range(g.h.kernel):
            for s in range(g.w.kernel):
                at[0] = (r * g.h.dilation * c.pitch + s * g.w.dilation) * cell + d
                at += 1
    return buffer


cdef bint run_pixels(Algorithm a, const geometry_t *g, cnp.ndarray x, Packed packed, cnp.ndarray y,
                     const epilogue_t *e, ptrdiff_t planes, int threads, double seconds) except -1:
    """y of sums over blocks of `planes`; False if these arrays are not for it."""
    cdef Context c
    cdef ptrdiff_t pixels = g.h.out * g.w.out, pieces, taps = g.h.kernel * g.w.kernel
    cdef Py_ssize_t scratch = 0
    cdef Buffer _tables  # lasts as long as the call
    cdef bint points
    c.k = last_for(a.isa, a.problem.dtype)
    if c.k == NULL or packed.source is None or not lies_last(g) or g.K < c.k.lanes:
        return False
    c.g, c.e, c.depth = g[0], e[0], g.C * taps
    points = taps == 1 and g.h.pad == g.w.pad == 0 and holds_all(&g.h) and holds_all(&g.w)
    c.planes, c.planes_of_cell, c.column_strips = planes * taps, planes, 1
    c.flat = (points and g.h.stride == g.w.stride == 1
              and g.h.x_stride == g.w.in_ * g.w.x_stride)
    if points:
        c.pixels = min(<ptrdiff_t>PIXELS, pixels)
        if not c.flat:
            c.pixels = max(<ptrdiff_t>1, min(
                c.pixels, a.workspace_limit // (c.depth * c.k.itemsize)))
            scratch = c.pixels * c.depth * c.k.itemsize
        c.strips = ceil_div(pixels, c.pixels)
    else:
        scratch = lay_strips(&c, a.workspace_limit)
        if scratch < 0:
            return False
        _tables = strip_tables(&c)
    scratch = ceil_div(scratch, 64) * 64
    threads = <int>max(1, min(<ptrdiff_t>threads, a.workspace_limit // max(1, scratch)))
    c.filters, pieces = g.K, g.N * g.G * c.strips * c.column_strips
    if threads > 1 and pieces < PIECES * threads:
        c.filters = ceil_div(ceil_div(g.K, ceil_div(PIECES * threads, pieces)), c.k.nr) * c.k.nr
    c.chunks = ceil_div(g.K, c.filters)
    if packed.last is None:
        packed.last = panels(c.k, g, packed.source, c.depth, c.planes)
    c.w = packed.last.data
    c.x, c.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
    parallel_for(pixels_piece if points else windows_piece, &c, pieces * c.chunks, threads,
                 scratch, seconds)
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
