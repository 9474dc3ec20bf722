r"""Sums of products of 16-bit integers, exact in int32, two terms at a time.

.. math:: y = \sum_{t} \left( w_{2t} \, x_{2t} + w_{2t+1} \, x_{2t+1} \right) \bmod 2^{32}

`implicit_gemm` and `direct` for int16. One instruction multiplies pairs (kernels/pairs.h): of two
planes, or of two neighbouring taps of a row where that leaves fewer terms without a partner. Pixels
are read as they are stored, in 8 or 16 bits, less their zero point, and widened as they are copied:

    x --widened, joined--> strip of pairs --gather--> panel --micro-kernel--> sums --round--> y

`direct` reads the strip in place. The sums of a requantised result stay in a second-level cache
until they are rounded.
"""

cimport numpy as cnp
from libc.string cimport memcpy

from cyconv.planning.estimates cimport (
    copied,
    core_of,
    core_t,
    products,
    roofline,
    vectors,
    weights_once,
)
from cyconv.planning.rates cimport constants
from cyconv.problem.sizes cimport Sizes
from cyconv.runtime.parallel cimport divide, parallel_for, piece_t
from cyconv.algorithms.base cimport Algorithm as Base
from cyconv.algorithms.base cimport Packed, ceil_div, epilogue, fill, from_row
from cyconv.algorithms.pair_lanes cimport Lanes, rows_of_pairs, run_lanes
from cyconv.algorithms.strips cimport (
    MOST_RUNS,
    Strips,
    find_runs,
    pack_blocks,
    strip_bytes,
    strips,
)
from cyconv.kernels.kernels cimport (
    CYCONV_I8,
    CYCONV_I16,
    CYCONV_MR,
    CYCONV_OVERREAD,
    CYCONV_REAL,
    CYCONV_U8,
    epilogue_t,
    geometry_slab,
    geometry_t,
    pair_row_bytes,
    pairs_for,
    plane_layout,
    run_t,
    storage_t,
    strip_t,
)

import numpy as np

from cyconv.planning.cost import BALANCED
from cyconv.problem.operands import finish
from cyconv.runtime import machine

cdef enum:
    TAPS = 256        # pairs of taps of one block
    FILTERS = 192     # filters of one block of weights, which stays in a second-level cache
    PIXELS = 512      # outputs of one piece of work
    FEW_PIXELS = 128  # of one with many filters
    SUMS = 1 << 15    # sums of one piece of work
    MOST_PANELS = 8   # panels that are gathered together
    LINE = 16         # elements between rows whose length may be a power of two
    MOST_PLANES = 8   # that are copied and summed together
    SHARES = 4        # pieces of work for one thread, at least, of planes

# In the time of one product of a vector of pixels with MR weights, of one tap: to gather it, and to
# read the weights.
cdef double GATHER = 2.0
cdef double READ = 0.7


cdef void deliver(const Context *c, ptrdiff_t filter, ptrdiff_t n, const char *sums,
                  char *y) noexcept nogil:
    """n neighbouring sums of one filter, of all groups, become outputs."""
    if c.rounded:
        c.p.store(&c.target, filter, n, sums, y, c.g.w.y_stride)
    else:
        c.p.finish(&c.e, filter, n, sums, y, c.g.w.y_stride)


cdef struct Piece:
    ptrdiff_t group, first, last, rows, columns
    char *sums
    ptrdiff_t c_row, c_line, c_column  # elements


cdef void multiplied(const Context *c, const Piece *piece, ptrdiff_t d, ptrdiff_t count,
                     const char *B, ptrdiff_t n, ptrdiff_t ldb, ptrdiff_t b_panel,
                     const ptrdiff_t *offset, char *sums) noexcept nogil:
    """All filters of the piece with n pixels of `count` planes of pairs."""
    cdef const char *panels = c.panels + (
        (piece.group * c.D + d) * c.g.K + piece.first * count) * c.taps * 4
    cdef ptrdiff_t f = piece.first, m
    cdef epilogue_t e
    while f < piece.last:
        m = min(<ptrdiff_t>FILTERS, piece.last - f)
        e = from_row(&c.e, piece.group * c.g.K + f, 4)
        c.p.multiply(m, n, count * c.taps, panels + (f - piece.first) * count * c.taps * 4, B, ldb,
                     b_panel, offset, sums + (f - piece.first) * piece.c_row * 4, piece.c_row,
                     piece.c_column, d > 0,
                     &e if d + count == c.D and not c.rounded else NULL)
        f += m


cdef void gathered(const Context *c, const Piece *piece, ptrdiff_t d, ptrdiff_t count,
                   const char *strip, char *panel) noexcept nogil:
    """The piece's sums over one block of planes, from panels of its pixels."""
    cdef ptrdiff_t lines = 1 if c.flat else piece.rows
    cdef ptrdiff_t length = piece.rows * piece.columns if c.flat else piece.columns
    cdef ptrdiff_t line, j, i, n, wide, found
    cdef run_t runs[MOST_RUNS]
    for line in range(lines):
        j = 0
        while j < length:
            n = min(c.group, length - j)
            for i in range(ceil_div(n, c.k.nr)):
                wide = min(<ptrdiff_t>c.k.nr, n - i * c.k.nr)
                found = find_runs(j + i * c.k.nr, wide, piece.columns, c.row, runs)
                c.k.gather(CYCONV_REAL, count * c.taps, strip + line * c.row * 4, c.offset, 0, runs,
                           found, False, panel + i * c.panel * 4)
            multiplied(c, piece, d, count, panel, n, c.k.nr, c.panel, NULL,
                       piece.sums + (line * piece.c_line + j * piece.c_column) * 4)
            j += n


cdef void summed(const Context *c, const Piece *piece, ptrdiff_t d, ptrdiff_t count,
                 const char *strip, char *panel) noexcept nogil:
    """The piece's sums over one block of planes."""
    cdef ptrdiff_t line
    if c.gathered:
        gathered(c, piece, d, count, strip, panel)
        return
    for line in range(piece.rows):
        multiplied(c, piece, d, count, strip + line * c.row * 4, piece.columns, 0, c.k.nr, c.offset,
                   piece.sums + line * piece.c_line * 4)


cdef void rounded(const Context *c, const Piece *piece, char *y) noexcept nogil:
    """The piece's sums become numbers of y."""
    cdef ptrdiff_t lines = 1 if c.flat else piece.rows, f, line
    cdef ptrdiff_t n = piece.rows * piece.columns // lines
    for f in range(piece.last - piece.first):
        for line in range(lines):
            deliver(c, piece.group * c.g.K + piece.first + f, n,
                    piece.sums + (f * piece.c_row + line * piece.c_line) * 4,
                    y + c.y_size * (f * c.g.y_k + line * c.g.h.y_stride))


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One strip of outputs, rows x columns, of a chunk of the filters of one slab."""
    cdef const Context *c = <const Context *>context
    cdef ptrdiff_t d = 0, count, last, taken = 1 if c.source.next else 2
    cdef ptrdiff_t q0 = item // c.chunks % c.column_strips * c.columns
    cdef ptrdiff_t p0 = item // (c.chunks * c.column_strips) % c.row_strips * c.rows
    cdef const char **planes = <const char **>scratch
    cdef char *rows = scratch + c.at_rows
    cdef char *panel = scratch + c.at_panel
    cdef char *strip = scratch + c.at_strip
    cdef char *y
    cdef Piece piece
    cdef strip_t cut = c.strip
    piece.first = item % c.chunks * c.filters
    piece.last = min(piece.first + c.filters, c.g.K)
    piece.rows = min(c.rows, c.g.h.out - p0)
    piece.columns = min(c.columns, c.g.w.out - q0)
    y = c.y + c.y_size * (p0 * c.g.h.y_stride + q0 * c.g.w.y_stride + geometry_slab(
        &c.g, item // (c.chunks * c.column_strips * c.row_strips), c.x, c.x_size, planes,
        &piece.group))
    planes[c.g.D] = NULL  # the partner of the last of an odd number
    y += c.y_size * piece.first * c.g.y_k
    if c.rounded:
        piece.sums = scratch + c.at_sums
        piece.c_row, piece.c_line = piece.rows * piece.columns + LINE, piece.columns
        piece.c_column = 1
    else:
        piece.sums = y
        piece.c_row, piece.c_line = c.g.y_k, c.g.h.y_stride
        piece.c_column = c.g.w.y_stride
    cut.filled = piece.rows + c.below
    while d < c.D:
        count = min(c.planes, c.D - d)
        c.p.fill(&c.g, &cut, &c.source, planes + taken * d, count, p0, q0, rows, strip)
        if c.blocked and c.rounded:
            last = piece.last
            while piece.first < last:
                piece.last = min(piece.first + c.block, last)
                summed(c, &piece, 0, count, strip, panel)
                rounded(c, &piece, y)
                y += c.y_size * (piece.last - piece.first) * c.g.y_k
                piece.first = piece.last
            return
        summed(c, &piece, d, count, strip, panel)
        d += count
    if c.rounded:
        rounded(c, &piece, y)


cdef void run_plane(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """Some rows of outputs of the filters of some planes.

    What was stored a moment ago in other pieces cannot be loaded at once: first the copies of all
    planes, then the outputs of all, then their rows.
    """
    cdef const Context *c = <const Context *>context
    cdef ptrdiff_t p0 = item % c.row_strips * c.rows, rows = min(c.rows, c.g.h.out - p0)
    cdef ptrdiff_t first = item // c.row_strips * c.together, f, filter, line, i
    cdef ptrdiff_t count = min(c.together, c.g.slabs - first)
    cdef ptrdiff_t *at = <ptrdiff_t *>scratch  # in y, of each plane's first output
    cdef ptrdiff_t *group = at + MOST_PLANES
    cdef const char *plane
    cdef char *copies = scratch + c.at_rows
    cdef char *outs = scratch + c.at_sums
    cdef char *y
    for i in range(count):
        if i > 0 and c.g.outer_rank == 0 and group[i - 1] + 1 < c.g.G:  # the next plane of an image
            at[i], group[i] = at[i - 1] + c.g.K * c.g.y_k, group[i - 1] + 1
            plane += c.g.x_c * c.x_size
        else:
            at[i] = geometry_slab(&c.g, first + i, c.x, c.x_size, &plane, group + i)
        c.p.plane_copy(&c.g, &c.plane, &c.source, plane, p0, rows, copies + i * c.copy_bytes)
    for f in range(c.g.K):
        for i in range(count):
            filter = group[i] * c.g.K + f
            c.p.plane(&c.g, &c.plane, copies + i * c.copy_bytes, c.panels + filter * c.taps * 4,
                      rows, &c.target if c.rounded else NULL, filter, outs + i * c.out_bytes)
        for i in range(count):
            y = c.y + c.y_size * (at[i] + f * c.g.y_k + p0 * c.g.h.y_stride)
            if c.rounded:
                c.p.plane_store(&c.g, &c.plane, c.target.type, outs + i * c.out_bytes, rows, y)
                continue
            for line in range(rows):
                deliver(c, group[i] * c.g.K + f, c.g.w.out,
                        outs + i * c.out_bytes + line * c.plane.outputs * 4,
                        y + c.y_size * line * c.g.h.y_stride)


cdef class Pairs(Base):
    """`implicit_gemm` of int16; see the module."""

    name = "implicit_gemm"
    gathers = True

    @classmethod
    def supports(cls, problem):
        """Any problem of int16."""
        return None

    @classmethod
    def cost(cls, problem, threads, allowed=BALANCED):
        """Seconds: half the taps of float32, the copies, the gathering."""
        cdef Sizes s = problem.sizes
        cdef core_t core = core_of(s)
        cdef double slabs = s.N * s.G * s.outer, once = weights_once(s) + copied(s), work
        cdef ptrdiff_t pixels = s.h.out * s.w.out, taps, rows = 1
        core.peak /= constants.integer_share
        taps = ceil_div(s.planes, 2) * s.h.kernel * s.w.kernel
        if by_taps(s):
            taps = s.planes * s.h.kernel * ceil_div(s.w.kernel, 2)
        if not cls.gathers:
            rows, pixels = pixels // max(1, s.w.out), s.w.out
        work = rows * products(&core, s.K, pixels, taps)
        if cls.gathers and not is_pointwise(s):
            work += constants.gather_seconds[0] * vectors(&core, pixels) * taps
        return roofline(s, threads, slabs * work + once, slabs)

    @property
    def stored(self):
        """The dtypes that x may have."""
        return STORED if self.depth else ()

    def layout(self):
        """Planes of pairs of one block of taps; rows and columns of one piece; the scratch."""
        cdef object fixed, room, columns, one, planes, rows, taps, blocks, most, needed
        cdef Strips s
        cdef Sizes sizes = self.problem.sizes
        self.p = pairs_for(self.isa)
        self.depth = self.g.D
        self.pointwise = is_pointwise(sizes)
        self.gathered = self.gathers and not self.pointwise
        self.source.next = 0
        if not self.gathers and self.lay_out_lanes():
            return
        if by_taps(sizes):
            self.source.next = self.g.w.dilation
            self.g.w.kernel = ceil_div(self.g.w.kernel, 2)
            self.g.w.dilation = 2 * self.g.w.dilation if self.g.w.kernel > 1 else 1
        else:
            self.g.D = ceil_div(self.g.D, 2)
        if self.pointwise:  # one row of pixels
            self.g.w.in_ = self.g.w.out = self.g.h.out * self.g.w.out
            self.g.h.in_ = self.g.h.out = 1
        if not self.gathers and self.lay_out_plane(sizes.w.kernel):
            return
        self.strips = s = strips(self)
        h, w = self.g.h, self.g.w
        taps = int(h.kernel) * int(w.kernel)
        blocks = ceil_div(self.g.D, max(1, TAPS // taps))
        planes = ceil_div(self.g.D, max(1, blocks))
        panel = planes * taps * self.k.nr
        group = machine.caches().l2 // 8 // max(1, panel * 4)
        self.group = self.k.nr * max(1, min(MOST_PANELS, group)) if self.gathered else 0
        fixed = ceil_div(8 * (int(self.depth) + 1), 64) * 64
        self.at_rows = fixed
        self.blocked = not self.gathered and planes >= self.g.D
        most = PIXELS
        if not self.blocked:
            most = max(FEW_PIXELS, min(PIXELS, SUMS // max(1, int(self.g.K))))
        columns = s.fitting(max(1, min(w.out, most)), planes, strip_bytes() // 4)
        columns = min(columns, max(1, min(w.out, most)))
        one = s.phases * (columns + s.right + self.odd()) * planes  # elements of one row of a strip
        room = max(strip_bytes() // 4, 1)
        rows = max(1, min(h.out, room // max(1, one) - s.below, most // columns))
        rows = ceil_div(h.out, max(1, ceil_div(h.out, rows)))  # pieces of one size
        s.cut(planes, rows, columns + self.odd())
        self.columns, self.planes, self.rows = columns, planes, rows
        fixed += ceil_div(pair_row_bytes(&self.g, &s.c, &self.source), 64) * 64
        self.at_panel = fixed
        if self.gathered:
            fixed += ceil_div((self.group // self.k.nr * panel + CYCONV_OVERREAD) * 4, 64) * 64
        self.at_strip = fixed
        fixed += ceil_div((one * (rows + s.below) + 2 * CYCONV_OVERREAD) * 4, 64) * 64
        self.at_sums = fixed
        sums = min(int(self.g.K), self.filters()) * (rows * columns + LINE)
        needed = fixed + (sums + CYCONV_OVERREAD) * 4
        self.check_workspace(needed)
        self.workspace_per_thread = needed

    cdef bint lay_out_lanes(self) except -1:
        """Whether neighbouring channels are to lie in the lanes."""
        cdef Py_ssize_t needed
        self.of_lanes = False
        if not self.p.lanes_fit(&self.g):
            return False
        needed = self.p.lanes_scratch(&self.g)
        self.of_lanes = needed <= min(machine.caches().l2 // 2, self.workspace_limit - 64)
        self.workspace_per_thread = needed
        return self.of_lanes

    cdef lay_out_plane(self, ptrdiff_t taps):
        """Rows of outputs, of how many planes, that stay in the first-level cache, if it may."""
        cdef ptrdiff_t rows = self.g.h.out
        cdef size_t room = machine.caches().l1 * 3 // 4, one, fixed = MOST_PLANES * 16
        self.of_plane = self.source.next == 1 and self.p.plane_fits(&self.g)
        if not self.of_plane:
            return False
        one = self.plane_scratch(taps, rows)
        if one > room:
            rows = max(1, <ptrdiff_t>(rows * room // one))
            one = self.plane_scratch(taps, rows)
        self.together = max(1, min(MOST_PLANES, <ptrdiff_t>(room // one)))
        needed = fixed + self.together * one
        if needed > self.workspace_limit - 64:
            self.together, needed = 1, fixed + one
        self.of_plane = needed <= self.workspace_limit - 64
        self.rows, self.planes, self.workspace_per_thread = rows, 1, needed
        self.at_rows = fixed
        self.at_sums = fixed + self.together * self.copy_bytes
        return self.of_plane

    cdef size_t plane_scratch(self, ptrdiff_t taps, ptrdiff_t rows):
        """Bytes for the copy of one plane's rows and for the outputs."""
        self.plane = plane_layout(&self.g, taps, rows)
        self.copy_bytes = ceil_div(self.plane.cells * 2, 64) * 64
        self.out_bytes = ceil_div((rows * self.plane.outputs + CYCONV_OVERREAD) * 4, 64) * 64
        return self.copy_bytes + self.out_bytes

    cdef odd(self):
        """Elements between the rows of one long row's planes: they meet different cache sets."""
        return LINE if self.pointwise else 0

    cdef filters(self):
        """Filters of one piece."""
        outputs = max(1, int(self.rows) * int(self.columns))
        return max(CYCONV_MR, SUMS // outputs // CYCONV_MR * CYCONV_MR)

    def pack(self, w):
        """Pairs of weights, in blocks of planes."""
        if self.of_lanes:
            return self.pack_lanes(np.asarray(w, np.int16))
        joined = self.joined(np.asarray(w, np.int16))
        return pack_blocks(self, joined, self.planes, 1 if self.of_plane else self.g.K)

    def pack_lanes(self, w):
        """[block of channels][row of pairs][tap][channel]"""
        rows = join(rows_of_pairs(w.reshape(len(w), *w.shape[-2:]), self.p.lanes), 1)
        blocks = rows.reshape(-1, self.p.lanes, *rows.shape[1:])
        cdef cnp.ndarray pairs = np.ascontiguousarray(np.moveaxis(blocks, 1, -1))
        cdef Packed packed = self.new_packed((<object>pairs).size, (w,))
        memcpy(packed.panels.data, cnp.PyArray_DATA(pairs), (<object>pairs).nbytes)
        return packed

    def joined(self, w):
        """(K, planes, R, S) of pairs, in 32 bits each."""
        w = w.reshape(len(w), self.depth, *w.shape[-2:])
        return join(w, 3 if self.source.next else 1)

    def run(self, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, int threads,
            double seconds, add=None, zero=0, target=None):
        """y = (x - zero) correlated with the packed weights, through the epilogue.

        `target` is (zero, factor) of a result that is requantised to y's type.
        """
        cdef Context c
        cdef Lanes lanes
        cdef piece_t piece
        cdef ptrdiff_t step
        cdef int n = self.threads_for(threads)
        if self.depth == 0:
            return fill(y, bias, clamp, add)
        if self.pointwise or self.of_lanes:
            x = x if rows_follow(x, self.of_lanes) else x.copy()
            if not rows_follow(y, self.of_lanes):
                whole = np.empty((<object>y).shape, y.dtype)
                self.run(x, packed, whole, bias, None, threads, seconds, None, zero, target)
                y[...] = whole
                return finish(y, None, None, add)
        self.begin(&c, x, packed, y, bias, clamp, add, zero, target)
        if self.of_lanes:
            lanes.g, lanes.p, lanes.source, lanes.e = c.g, c.p, c.source, c.e
            lanes.target = &c.target if c.rounded else NULL
            lanes.x, lanes.w, lanes.y = c.x, c.panels, c.y
            lanes.x_size, lanes.y_size = c.x_size, c.y_size
            run_lanes(&lanes, n, self.workspace_per_thread, seconds)
            return
        if self.of_plane:
            c.rows, c.row_strips = self.rows, ceil_div(c.g.h.out, self.rows)
            c.plane, c.copy_bytes, c.out_bytes = self.plane, self.copy_bytes, self.out_bytes
            c.together = max(<ptrdiff_t>1, min(self.together, c.g.slabs // (SHARES * n)))
            parallel_for(run_plane, &c, ceil_div(c.g.slabs, c.together) * c.row_strips, n,
                         self.workspace_per_thread, seconds)
            return
        c.strip, c.offset = self.strips.c, self.strips.offset
        c.row, c.below = self.strips.row, self.strips.below
        c.planes = self.planes
        c.group, c.panel = self.group, c.planes * c.taps * c.k.nr
        c.rows, c.columns = self.rows, self.columns
        c.at_panel, c.at_strip = self.at_panel, self.at_strip
        c.gathered = self.gathered
        c.column_strips = ceil_div(c.g.w.out, c.columns)
        step = 1 if self.pointwise else c.columns
        piece = divide(c.g.slabs * (1 if self.pointwise else c.column_strips),
                       c.g.w.out if self.pointwise else c.g.h.out * c.columns, step,
                       c.rows * c.columns, c.g.K, CYCONV_MR, c.k.lanes, GATHER, READ, n, seconds)
        if self.pointwise:
            c.columns = piece.columns
            c.column_strips = ceil_div(c.g.w.out, c.columns)
        else:
            c.rows = piece.columns // c.columns
        c.row_strips = ceil_div(c.g.h.out, c.rows)
        c.blocked, c.block = self.blocked, self.filters()
        c.filters = piece.filters if c.blocked else min(piece.filters, c.block)
        c.chunks = ceil_div(c.g.K, c.filters)
        follow = c.g.h.out == 1 or c.g.h.y_stride == c.g.w.out * c.g.w.y_stride
        c.flat = follow and (c.columns >= c.g.w.out or c.rows == 1)
        parallel_for(run_item, &c, c.g.slabs * c.row_strips * c.column_strips * c.chunks,
                     n, self.workspace_per_thread, seconds)

    cdef begin(self, Context *c, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, add,
               zero, target):
        """What every way of computing knows."""
        cdef cnp.ndarray factor
        c.g = self.placed_stored(x, y)
        c.k, c.p, c.source = self.k, self.p, self.source
        c.x, c.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
        c.x_size, c.y_size = x.itemsize, y.itemsize
        c.source.type, c.source.zero = storage(x), zero
        c.rounded = target is not None
        if c.rounded:
            factor = target[1]
            c.target.type, c.target.zero = storage(y), target[0]
            c.target.factor = <const float *>cnp.PyArray_DATA(factor)
            c.target.bias = NULL
            if bias is not None:
                c.target.bias = <const int *>cnp.PyArray_DATA(bias)
        c.panels = packed.panels.data
        c.D, c.taps = self.g.D, self.g.h.kernel * self.g.w.kernel
        c.at_rows, c.at_sums = self.at_rows, self.at_sums
        c.e = epilogue(bias, clamp, add)

    cdef geometry_t placed_stored(self, cnp.ndarray x, cnp.ndarray y):
        """The geometry with these arrays' strides, of x in planes of pixels."""
        cdef geometry_t g = self.g
        cdef cnp.npy_intp *xs = cnp.PyArray_STRIDES(x)
        cdef cnp.npy_intp *ys = cnp.PyArray_STRIDES(y)
        cdef ptrdiff_t size = x.itemsize, y_size = y.itemsize
        cdef int i
        g.D = self.depth
        g.x_n, g.x_c, g.y_n, g.y_k = xs[0] // size, xs[1] // size, ys[0] // y_size, ys[1] // y_size
        for i in range(<int>g.outer_rank):
            g.outer[i].x_stride = xs[2 + i] // size
            g.outer[i].y_stride = ys[2 + i] // y_size
        i = 2 + <int>g.outer_rank
        g.h.x_stride, g.w.x_stride = xs[i] // size, xs[i + 1] // size
        g.h.y_stride, g.w.y_stride = ys[i] // y_size, ys[i + 1] // y_size
        return g


cdef class Direct(Pairs):
    """`direct` of int16: the strip read in place."""

    name = "direct"
    gathers = False


cdef join(w, int axis):
    """Pairs of neighbours along an axis of an array of int16, in 32 bits each; the last may lack
    its second."""
    if w.shape[axis] % 2:
        w = np.pad(w, [(0, 1 if i == axis else 0) for i in range(w.ndim)])
    before = (slice(None),) * axis
    joined = w[(*before, slice(1, None, 2))].astype("u4") << np.uint32(16)
    joined |= w[(*before, slice(0, None, 2))].view("u2")
    return joined


STORED = tuple(np.dtype(name) for name in ("uint8", "int8", "int16"))


cdef storage_t storage(cnp.ndarray a):
    """The kernels' name of an array's type."""
    if a.itemsize == 2:
        return CYCONV_I16
    return CYCONV_U8 if a.dtype.kind == "u" else CYCONV_I8


cdef bint rows_follow(cnp.ndarray a, bint close):
    """Whether the pixels of a plane are equally far apart, and, if `close`, without gaps."""
    if close and a.shape[a.ndim - 1] > 1 and a.strides[a.ndim - 1] != a.itemsize:
        return False
    return a.shape[a.ndim - 2] <= 1 or a.strides[a.ndim - 2] == (
        a.shape[a.ndim - 1] * a.strides[a.ndim - 1])


cdef bint by_taps(Sizes s):
    """Whether neighbouring taps are paired, not planes: fewer terms are without a partner."""
    return (ceil_div(s.w.kernel, 2) * s.planes < ceil_div(s.planes, 2) * s.w.kernel)


cdef bint is_pointwise(Sizes s):
    """Whether every output pixel is a product with one input pixel, in the same order."""
    cdef int i
    for i in range(s.rank):
        if s.axes[i].kernel > 1 or s.axes[i].lo or s.axes[i].hi:
            return False
    return s.h.stride == s.w.stride == 1
