r"""Winograd F(2 x 2, 3 x 3) of integers of 8 bits, exact in int32.

.. math:: 4 y = A^T \Bigl[ \sum_d (G' g_d G'^T) \odot (B^T x_d B) \Bigr] A, \qquad G' = 2 G

All matrices are of whole numbers, so nothing is rounded. Differences of two numbers of 8 bits have
a sign and 8 bits: transformed pixels have 2 bits more, transformed weights 4; 16 bits hold both.
Sums are taken modulo 2^32; y is right where 4 y is within 32 bits, which bounds the planes:

    255 * 255 * 9 * D < 2^29

A piece of work is some tiles of all planes, transformed into V as pairs of planes, and multiplied
with some filters at a time, the sums in a second-level cache:

    x --strip--> V[xi] (D / 2 pairs x tiles) --micro-kernel--> M[xi] (filters x tiles) --A^T--> y
"""

cimport numpy as cnp

from cyconv.planning.estimates cimport copied, core_of, core_t, products, roofline, weights_once
from cyconv.planning.rates cimport constants
from cyconv.problem.sizes cimport Sizes
from cyconv.runtime.parallel cimport parallel_for
from cyconv.algorithms.base cimport Packed, ceil_div, fill
from cyconv.algorithms.pairs cimport Context, Pairs, deliver
from cyconv.algorithms.strips cimport Strips, strips
from cyconv.kernels.kernels cimport (
    CYCONV_MR,
    CYCONV_OVERREAD,
    geometry_slab,
    pair_row_bytes,
    pairs_for,
    strip_t,
)

import numpy as np

from cyconv.planning.cost import BALANCED

cdef enum:
    XI = 16
    TILES = 128            # of one piece of work, at most,
    FEW = 4                # tiles past whole vectors, whose sums have the filters in the lanes
    FEW_TILES = 16         # and where they are many; less than a row of them where that is more
    TRANSFORMED = 1 << 13  # planes of pairs times tiles
    SUMS = 1 << 11         # filters times tiles
    PLANES = 16            # of pairs, in one strip
    LINE = 16              # elements between arrays whose sizes may be powers of two

# Cycles for a vector of tiles: of one pair of planes, and of one filter's outputs.
cdef double INPUT_CYCLES = 24
cdef double OUTPUT_CYCLES = 32


cdef struct Winograd:
    Context c
    ptrdiff_t out_rows, out_columns   # of outputs
    ptrdiff_t pitch                   # elements from one plane's tiles to the next's
    ptrdiff_t v_xi, m_xi              # and from one xi to the next
    size_t at_v, at_m, at_lines


cdef void transform(const Winograd *w, const char *strip, ptrdiff_t count, ptrdiff_t rows,
                    ptrdiff_t columns, char *V) noexcept nogil:
    """V of `count` planes of pairs."""
    cdef const Context *c = &w.c
    cdef const void *lines[4]
    cdef ptrdiff_t d, i, row
    for d in range(count):
        for row in range(rows):
            for i in range(4):
                lines[i] = strip + ((d * 2 + i % 2) * c.strip.rows + row + i // 2) * c.row * 4
            c.p.winograd_input(lines, c.strip.pitch, columns, V + (d * w.pitch + row * columns) * 4,
                               w.v_xi)


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """Some rows and columns of tiles, for one chunk of the filters of one slab."""
    cdef const Winograd *w = <const Winograd *>context
    cdef const Context *c = &w.c
    cdef ptrdiff_t first = item % c.chunks * c.filters, last = min(first + c.filters, c.g.K)
    cdef ptrdiff_t q0 = item // c.chunks % c.column_strips * c.columns
    cdef ptrdiff_t p0 = item // (c.chunks * c.column_strips) % c.row_strips * c.rows
    cdef ptrdiff_t rows = min(c.rows, c.g.h.out - p0), columns = min(c.columns, c.g.w.out - q0)
    cdef ptrdiff_t group, d = 0, count, f, i, m, xi, row
    cdef ptrdiff_t n = min(2 * columns, w.out_columns - 2 * q0)
    cdef ptrdiff_t tiles = rows * columns, over = tiles % c.k.lanes
    cdef const char **planes = <const char **>scratch
    cdef char *V = scratch + w.at_v
    cdef char *M = scratch + w.at_m
    cdef char *upper = scratch + w.at_lines
    cdef char *lower = upper + w.pitch * 8
    cdef const char *U
    cdef char *y
    cdef strip_t cut = c.strip
    y = c.y + c.y_size * (2 * p0 * c.g.h.y_stride + 2 * q0 * c.g.w.y_stride + geometry_slab(
        &c.g, item // (c.chunks * c.column_strips * c.row_strips), c.x, c.x_size, planes, &group))
    planes[c.g.D] = NULL
    cut.filled = rows + 1
    while d < c.D:
        count = min(c.planes, c.D - d)
        c.p.fill(&c.g, &cut, &c.source, planes + 2 * d, count, p0, q0, scratch + c.at_rows,
                 scratch + c.at_strip)
        transform(w, scratch + c.at_strip, count, rows, columns, V + d * w.pitch * 4)
        d += count
    if over > FEW:  # M has room for whole vectors
        tiles += c.k.lanes - over
    f = first
    while f < last:
        m = min(c.group, last - f)
        for xi in range(XI):
            U = c.panels + ((group * XI + xi) * (c.g.K * c.D + LINE) + f * c.D) * 4
            c.p.multiply(m, tiles, c.D, U, V + xi * w.v_xi * 4, w.pitch, c.k.nr, NULL,
                         M + xi * w.m_xi * 4, w.pitch, 1, 0, NULL)
        for i in range(m):
            for row in range(rows):
                c.p.winograd_output(M + (i * w.pitch + row * columns) * 4, w.m_xi, columns, upper,
                                    lower)
                deliver(c, group * c.g.K + f + i, n, upper,
                        y + c.y_size * ((f + i) * c.g.y_k + 2 * row * c.g.h.y_stride))
                if 2 * (p0 + row) + 1 < w.out_rows:
                    deliver(c, group * c.g.K + f + i, n, lower,
                            y + c.y_size * ((f + i) * c.g.y_k + (2 * row + 1) * c.g.h.y_stride))
        f += m


cdef class WinogradPairs(Pairs):
    """`winograd` of integers of 8 bits; see the module."""

    name = "winograd"
    cdef ptrdiff_t out_rows, out_columns, pitch
    cdef size_t at_v, at_m, at_lines

    @classmethod
    def supports(cls, problem):
        """3 x 3 kernels of stride 1, of so few planes that sums stay within 30 bits."""
        if problem.dtype.itemsize > 1:
            return f"winograd needs a float dtype or integers of 8 bits, got {problem.dtype}"
        if problem.kernel != (3, 3):
            return f"winograd of integers needs a 3 x 3 kernel, got {problem.kernel}"
        if problem.stride != (1, 1) or problem.dilation != (1, 1):
            return "winograd of integers needs stride 1 and dilation 1"
        if 255 * 255 * 9 * problem.w_shape[1] >= 2**29:
            return (
                "winograd of integers needs C/groups <= 917, or sums would leave 30 bits, "
                f"got {problem.w_shape[1]}"
            )
        return None

    @classmethod
    def cost(cls, problem, threads, allowed=BALANCED):
        """Seconds: 16 products of a quarter of the pixels, both transforms, the copies."""
        cdef Sizes s = problem.sizes
        cdef core_t core = core_of(s)
        cdef double slabs = s.N * s.G, work, vector_tiles
        cdef ptrdiff_t tiles = ceil_div(s.h.out, 2) * ceil_div(s.w.out, 2), D = ceil_div(s.C, 2)
        core.peak /= constants.integer_share
        work = XI * products(&core, s.K, tiles, D)
        vector_tiles = ceil_div(s.h.out, 2) * ceil_div(ceil_div(s.w.out, 2), core.lanes)
        work += vector_tiles * (D * INPUT_CYCLES + s.K * OUTPUT_CYCLES) * 4 * core.lanes / core.peak
        work += XI / 9.0 * weights_once(s) / slabs
        return roofline(s, threads, slabs * work + copied(s), slabs)

    def layout(self):
        """Tiles of one piece, filters that are multiplied at a time, and the scratch."""
        cdef object fixed, tiles, columns, rows
        cdef Strips s
        self.p = pairs_for(self.isa)
        self.depth = self.g.D
        self.pointwise = self.gathered = self.of_plane = False
        self.source.next = 0
        self.g.D = ceil_div(self.g.D, 2)
        self.out_rows, self.out_columns = self.g.h.out, self.g.w.out
        for a in range(2):
            h = &self.g.h if a == 0 else &self.g.w
            h.out, h.kernel, h.stride, h.dilation = ceil_div(h.out, 2), 4, 2, 1
        self.strips = s = strips(self)
        tiles = max(FEW_TILES, min(TILES, TRANSFORMED // max(1, int(self.g.D))))
        columns = max(1, min(self.g.w.out, tiles))
        rows = self.rows_of_tiles(columns, max(1, min(self.g.h.out, tiles // columns)))
        self.columns, self.rows = columns, rows
        self.planes = max(1, min(self.g.D, PLANES))
        s.cut(self.planes, rows, columns)
        self.pitch = ceil_div(rows * columns + self.k.lanes, LINE) * LINE
        self.group = max(CYCONV_MR, SUMS // (rows * columns) // CYCONV_MR * CYCONV_MR)
        self.group = min(self.group, max(1, self.g.K))
        fixed = ceil_div(8 * (int(self.depth) + 1), 64) * 64
        self.at_rows = fixed
        fixed += ceil_div(pair_row_bytes(&self.g, &s.c, &self.source), 64) * 64
        self.at_strip = fixed
        strip = self.planes * 4 * (rows + 1) * (columns + 1)
        fixed += ceil_div(4 * (strip + CYCONV_OVERREAD), 64) * 64
        self.at_v = fixed
        fixed += 4 * (XI * (self.g.D * self.pitch + LINE) + CYCONV_OVERREAD)
        self.at_m = fixed
        fixed += 4 * (XI * (self.group * self.pitch + LINE) + CYCONV_OVERREAD)
        self.at_lines = fixed
        fixed += 16 * self.pitch + 64
        self.check_workspace(fixed)
        self.workspace_per_thread = fixed

    def rows_of_tiles(self, columns, most):
        """Rows of a piece, so that all together fill the fewest vectors; a lone one costs more."""
        cdef ptrdiff_t rows, least = 0, found = 1, vectors, tiles, count, times
        cdef ptrdiff_t height = self.g.h.out, pair = 2 * self.k.lanes
        for rows in range(1, most + 1):
            vectors = 0
            for count, times in ((rows, height // rows), (height % rows, 1)):
                tiles = count * columns
                vectors += times * (8 * ceil_div(tiles, pair) - 3 * (
                    0 < tiles % pair <= self.k.lanes))
            if least == 0 or vectors <= least:
                least, found = vectors, rows
        return found

    def pack(self, w):
        """4 G g G^T as pairs of planes: [group][xi][panel of MR filters][pair][filter]."""
        cdef ptrdiff_t _group, panel, f, first, d, rows, K = self.g.K, D = self.g.D, C = self.depth
        cdef ptrdiff_t xi_step = K * D + LINE
        cdef cnp.ndarray taps = np.ascontiguousarray(w, np.int16)
        cdef Packed packed = self.new_packed(XI * self.g.G * xi_step, ())
        cdef const short *g = <const short *>cnp.PyArray_DATA(taps)
        cdef const short *w_pair
        cdef unsigned int *U = <unsigned int *>packed.panels.data
        with nogil:
            for _group in range(self.g.G):
                for panel in range(ceil_div(K, CYCONV_MR)):
                    first = panel * CYCONV_MR
                    rows = min(<ptrdiff_t>CYCONV_MR, K - first)
                    for d in range(D):
                        for f in range(rows):
                            w_pair = g + 9 * ((first + f) * C + 2 * d)
                            transformed(w_pair, w_pair + 9 if 2 * d + 1 < C else NULL,
                                        U + first * D + d * rows + f, xi_step)
                g += 9 * K * C
                U += XI * xi_step
        return packed

    def run(self, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, int threads,
            double seconds, add=None, zero=0, target=None):
        """As of its base; x holds numbers of 8 bits, or their differences."""
        cdef Winograd w
        cdef int n = self.threads_for(threads)
        cdef ptrdiff_t items
        if self.depth == 0:
            return fill(y, bias, clamp, add)
        self.begin(&w.c, x, packed, y, bias, clamp, add, zero, target)
        w.c.strip, w.c.row = self.strips.c, self.strips.row
        w.c.planes, w.c.rows, w.c.columns = self.planes, self.rows, self.columns
        w.c.group, w.c.at_strip = self.group, self.at_strip
        w.out_rows, w.out_columns, w.pitch = self.out_rows, self.out_columns, self.pitch
        w.v_xi, w.m_xi = self.g.D * self.pitch + LINE, self.group * self.pitch + LINE
        w.at_v, w.at_m, w.at_lines = self.at_v, self.at_m, self.at_lines
        w.c.row_strips = ceil_div(w.c.g.h.out, w.c.rows)
        if n > 1 and w.c.row_strips > 1:  # of one size for all threads
            w.c.rows = ceil_div(w.c.g.h.out, ceil_div(w.c.row_strips, n) * n)
            w.c.row_strips = ceil_div(w.c.g.h.out, w.c.rows)
        w.c.column_strips = ceil_div(w.c.g.w.out, w.c.columns)
        items = w.c.g.slabs * w.c.row_strips * w.c.column_strips
        w.c.filters = max(<ptrdiff_t>1, w.c.g.K)
        if 0 < items < 2 * n:  # each piece transforms the pixels again
            w.c.filters = ceil_div(ceil_div(w.c.g.K, ceil_div(n, items)), CYCONV_MR) * CYCONV_MR
        w.c.chunks = ceil_div(w.c.g.K, w.c.filters)
        parallel_for(run_item, &w, items * w.c.chunks, n, self.workspace_per_thread, seconds)


cdef void outer(const int *g, int step, int *to, int to_step) noexcept nogil:
    """2 G times three numbers."""
    cdef int ends = g[0] + g[2 * step], middle = g[step]
    to[0], to[3 * to_step] = 2 * g[0], 2 * g[2 * step]
    to[to_step], to[2 * to_step] = ends + middle, ends - middle


cdef void transformed(const short *g, const short *second, unsigned int *U,
                      ptrdiff_t xi_step) noexcept nogil:
    """4 G g G^T of two planes' weights, the second's in the high halves, or 0 there."""
    cdef int weights[9]
    cdef int down[12]
    cdef int u[16]
    cdef int i, half
    for half in range(1 if second == NULL else 2):
        for i in range(9):
            weights[i] = (second if half else g)[i]
        for i in range(3):
            outer(weights + i, 3, down + i, 3)
        for i in range(4):
            outer(down + 3 * i, 1, u + 4 * i, 1)
        for i in range(XI):
            if half:
                U[i * xi_step] |= <unsigned int>u[i] << 16
            else:
                U[i * xi_step] = <unsigned int>u[i] & 0xFFFF
