r"""Direct: the defining sum over the image itself.

.. math:: y[k, p, q] = \sum_{d, r, s} w[k, d, r, s] \,
   x[d, p s_h + r d_h - p_h, q s_w + s d_w - p_w]

Rows of the input are copied once into a zero-bordered strip, split by the stride into phases, so
that every tap (d, r, s) of neighbouring outputs is one contiguous vector at a fixed offset. The
micro-kernel then walks the taps through a table of those offsets: no patch is ever built.

3 x 3 taps on one plane, and the gradient of their weights, are read from the image itself
(:mod:`cyconv.algorithms.threes`).
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
from cyconv.algorithms.base cimport Packed, ceil_div, cell_size, epilogue, fill, from_row
from cyconv.algorithms.lanes cimport lanes_workspace, run_lanes
from cyconv.algorithms.last cimport run_depthwise
from cyconv.algorithms.strips cimport (
    Strips,
    fetches,
    pack_blocks,
    rows_ahead,
    strip_bytes,
    strips,
)
from cyconv.algorithms.threes cimport (
    few_on_a_plane,
    gradient_seconds,
    gradient_workspace,
    image_seconds,
    is_gradient,
    run_gradient,
    run_image,
)
from cyconv.kernels.kernels cimport (
    CYCONV_MR,
    CYCONV_OVERREAD,
    CYCONV_REAL,
    ahead_t,
    epilogue_acts,
    epilogue_t,
    geometry_slab,
    geometry_t,
    kernels_t,
    stencil_t,
    strip_t,
)

import numpy as np

from cyconv.planning import cost
from cyconv.planning.cost import BALANCED
from cyconv.algorithms.pairs import Direct as DirectPairs
from cyconv.algorithms.phases import phases
from cyconv.runtime import machine

cnp.import_array()

# A strip stays in half of a 512 KiB second-level cache beside the panels of weights.
cdef enum:
    COLUMNS = 1024         # outputs of one row that a strip serves at most
    STENCIL_COLUMNS = 512  # the same, where filters are taken one at a time
    PRODUCTS = 1 << 30     # of one strip at most, about 20 ms: Ctrl-C is seen between strips
    SUMS = 1 << 16         # sums that wait in scratch to be rounded, about
    FILTERS_PIXELS = 4096  # of maps whose filters may lie in the lanes
    FILTERS_BYTES = 1 << 16  # of one tile's weights, in blocks, that stay in a second-level cache
    FEW = 3                # groups of at most so many filters take them one at a time

# In the time of one product of a vector of pixels with MR weights, of one tap: to copy it into a
# strip, and to read the weights.
cdef double COPY = 0.5
cdef double READ = 0.7
# Of the peak, and seconds to store one sum, where filters lie in the lanes.
cdef double FILTERS_SHARE = 0.88
cdef double FILTERS_STORE = 6e-10
# Of the rate of full tiles: one vector of outputs and MR filters have too few sums under way.
cdef double ONE_VECTOR = 0.72


cdef struct Context:
    geometry_t g
    const kernels_t *k
    strip_t strip
    const char *x
    char *y
    const char *panels
    const ptrdiff_t *offset  # of tap (d, r, s) in the strip, d in one block of planes
    ptrdiff_t row            # elements of the strip to the next output row
    ptrdiff_t below          # rows of the strip that the taps reach below an output's first
    ptrdiff_t planes         # planes that are summed at a time
    ptrdiff_t rows, columns, filters  # of outputs, in one piece of work
    ptrdiff_t row_strips, column_strips, chunks
    bint few                 # filters are taken one at a time, by `stencil`
    ptrdiff_t wide           # vectors of filters that lie in the lanes together; 0: pixels do
    bint epilogue            # there is a last step
    bint fetches             # what is read next is fetched while products are taken
    stencil_t stencil
    ptrdiff_t runs           # of neighbouring taps in one plane
    size_t sums              # bytes of scratch before sums that y has no cells for; 0: y has
    epilogue_t e


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One strip of outputs, rows x columns, of a chunk of the filters of one slab."""
    cdef const Context *c = <const Context *>context
    cdef const kernels_t *k = c.k
    cdef int size = k.itemsize
    cdef ptrdiff_t group, d, count, p, rows, columns, taps = c.g.h.kernel * c.g.w.kernel
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t last = min(first + c.filters, c.g.K)
    cdef ptrdiff_t q0 = item // c.chunks % c.column_strips * c.columns
    cdef ptrdiff_t n = min(c.columns, c.g.w.out - q0)
    cdef ptrdiff_t p0 = item // (c.chunks * c.column_strips) % c.row_strips * c.rows
    cdef ptrdiff_t p1 = min(p0 + c.rows, c.g.h.out)
    cdef const char **planes = <const char **>scratch
    cdef char *strip = scratch + c.g.D * sizeof(void *)
    cdef ptrdiff_t start = geometry_slab(
        &c.g, item // (c.chunks * c.column_strips * c.row_strips), c.x,
        cell_size(c.g.x_cells, size), planes, &group)
    cdef ptrdiff_t y_size = cell_size(c.g.y_cells, size)
    cdef char *y = c.y + (start + first * c.g.y_k + p0 * c.g.h.y_stride
                          + q0 * c.g.w.y_stride) * y_size
    cdef char *to = y
    cdef ptrdiff_t y_k = c.g.y_k, y_row = c.g.h.y_stride, y_column = c.g.w.y_stride
    cdef const char *panels
    cdef stencil_t t = c.stencil
    cdef strip_t cut = c.strip
    cdef epilogue_t e = from_row(&c.e, group * c.g.K + first, size)
    cdef ahead_t ahead
    cdef ahead_t *next = &ahead if c.fetches else NULL
    cdef ptrdiff_t after
    cut.filled = p1 - p0 + c.below
    if c.sums:
        to, y_k, y_row, y_column = scratch + c.sums, (p1 - p0) * n, n, 1
        t.y_row, t.y_column = y_row, y_column
    d = 0
    while d < c.g.D:
        count = min(c.planes, c.g.D - d)
        k.fill_strip(&c.g, &cut, planes + d, count, p0, q0, strip)
        panels = c.panels + ((group * c.g.D + d) * c.g.K + first * count) * taps * size
        if c.few:
            t.runs, t.accumulate = count * c.runs, d > 0
            t.e = &e if d + count == c.g.D and c.epilogue and not c.sums else NULL
            rows, columns = p1 - p0, n
            if rows == 1 and n >= 4 * k.nr and count == c.g.D and c.g.h.kernel == 1:
                # As four rows that overlap: enough chains to keep the multipliers busy. No tap
                # lies in another row of the strip.
                t.row = n // (4 * k.lanes) * k.lanes
                t.y_row = t.row * t.y_column
                rows, columns = 4, n - 3 * t.row
            for p in range(last - first):
                t.filter, t.w = p, panels + p * count * taps * size
                k.stencil(&t, strip, rows, columns,
                          to + p * y_k * size)
            d += count
            continue
        if c.wide:
            k.filters_in_lanes(
                c.wide, last - first, p1 - p0, n, count * taps, panels, strip, c.row, c.offset, to,
                y_k, d > 0, &e if d + count == c.g.D and not c.sums else NULL)
        if c.fetches:
            after = (d + count) % c.g.D
            rows = 0 if after else p1 - p0
            ahead = rows_ahead(
                &c.g, planes[after], min(c.planes, c.g.D - after), p0 + rows,
                min(p1 - p0, c.g.h.out - p0 - rows), q0, n, cell_size(c.g.x_cells, size),
                (p1 - p0) * ceil_div(n, k.nr) * ceil_div(last - first, CYCONV_MR))
        for p in range(p0, p1 if not c.wide else p0):
            k.multiply_ahead(
                last - first, n, count * taps, panels, strip + (p - p0) * c.row * size, 0,
                k.nr, c.offset, to + (p - p0) * y_row * size, y_k, y_column, d > 0,
                &e if d + count == c.g.D and not c.sums else NULL, next)
        d += count
    for p in range(p1 - p0 if c.sums else 0):
        k.finish_rows(c.g.y_cells, last - first, n, to + p * n * size, y_k,
                      y + p * c.g.h.y_stride * y_size, c.g.y_k, c.g.w.y_stride, &e)


cdef class Algorithm(Base):
    """The defining sum; see the module."""

    name, of_narrow = "direct", DirectPairs
    cdef Strips strips
    cdef ptrdiff_t planes, rows, columns
    cdef size_t before_sums  # bytes of scratch
    cdef bint lanes          # channels may lie in the lanes of a vector
    cdef ptrdiff_t wide      # vectors of filters that lie in the lanes together, or 0
    cdef bint keeps_weights  # the array that is packed, not a copy of it

    @classmethod
    def supports(cls, problem):
        """Any problem."""
        return None

    @classmethod
    def cost(cls, problem, threads, allowed=BALANCED):
        """Seconds: register tiles row by row, the strips they read, the weights once."""
        cdef Sizes s = problem.sizes
        cdef core_t core = core_of(s)
        cdef double rows = s.N * s.G * s.outer * s.h.out, row, begin, share, item, taken
        cdef ptrdiff_t run
        if few_on_a_plane(s, FEW):
            taken = image_seconds(s, &core, threads)
            if taken < 0:
                taken = gradient_seconds(s, &core, threads)
            if taken >= 0:
                return taken
        if s.K <= FEW:
            run = s.h.kernel // s.h.stride if s.h.dilation == 1 else 1
            share = constants.stencil_shares[(run > 1) + (run > 3)]
            begin = constants.stencil_row_seconds
            item = constants.stencil_strip_seconds
            row = s.K * (2 * (vectors(&core, s.w.out) * s.taps / core.peak) / share + begin)
        else:
            share, item = constants.offsets_share, constants.piece_seconds
            row = products(&core, s.K, s.w.out, s.taps) / share
            # Each tile is a piece of other rows of y than the tiles before it.
            row += constants.tile_seconds * ceil_div(s.K, CYCONV_MR) * ceil_div(
                s.w.out, 2 * core.lanes)
            if s.w.out <= core.lanes and s.w.out > core.lanes // 2:
                row /= ONE_VECTOR
            taken = filters_seconds(s, &core)
            if taken >= 0:
                row = min(row, taken / s.h.out)
        return roofline(s, threads, rows * row + copied(s) + weights_once(s), s.N * s.G, item)

    def layout(self):
        """Rows, columns and planes of a strip that fit."""
        cdef object fixed, room, columns, one, most, planes, rows, needed, taps
        cdef Strips s
        if few_on_a_plane(self.problem.sizes, FEW) and is_gradient(self.problem.sizes):
            needed = gradient_workspace(self.k, &self.g)
            self.keeps_weights = 0 <= needed <= self.workspace_limit - 64
        if self.keeps_weights:
            self.workspace_per_thread = needed
            return
        h, w = self.g.h, self.g.w
        self.strips = s = strips(self)
        fixed = self.g.D * sizeof(void *) + CYCONV_OVERREAD * self.k.itemsize
        few = self.g.K <= FEW
        room = max(min(strip_bytes(), self.workspace_limit - fixed), 1) // self.k.itemsize
        columns = STENCIL_COLUMNS if few and h.out > 1 else COLUMNS
        columns = max(1, min(w.out, max(columns, 2 * s.right)))
        columns = ceil_div(w.out, max(1, ceil_div(w.out, columns)))
        columns = s.fitting(columns, 1, room)
        one = s.phases * (columns + s.right)  # elements of one strip row of one plane
        # Enough rows that most of a strip is not border, rather than all planes at once.
        most = s.below + max(1, min(h.out, 3 * s.below))
        planes = max(1, min(self.g.D, room // (one * most)))
        rows = max(1, min(h.out, room // (one * planes) - s.below))
        each = columns * int(self.g.D) * int(h.kernel) * int(w.kernel) * max(1, int(self.g.K))
        rows = max(1, min(rows, PRODUCTS // max(1, each)))
        if few:  # a strip that stays in the first-level cache, if most of it is not border
            stencil = machine.caches().l1 * 3 // 4
            rows = min(rows, max(4 * s.below, stencil // (one * self.k.itemsize), 4))
        needed = fixed + planes * one * (rows + s.below) * self.k.itemsize
        taps = planes * int(h.kernel) * int(w.kernel)
        self.check_workspace(needed + taps * sizeof(ptrdiff_t))
        self.workspace_per_thread = needed
        if few:
            lanes = lanes_workspace(self)
            self.lanes = 0 <= lanes <= self.workspace_limit - 64
            self.workspace_per_thread = max(needed, lanes if self.lanes else 0)
        self.columns, self.planes, self.rows = columns, planes, rows
        self.wide = 0
        if not few and columns >= w.out:
            self.lay_filters()
        s.cut(self.planes, rows, columns)
        if few:
            s.in_runs()

    cdef lay_filters(self):
        """Whether filters lie in the lanes; where y's rows are apart, sums need room beside it."""
        cdef Sizes s = self.problem.sizes
        cdef core_t core = core_of(s)
        cdef double taken = filters_seconds(s, &core)
        cdef ptrdiff_t before = self.workspace_per_thread, each, blocks
        cdef double rows = s.h.out * products(&core, s.K, s.w.out, s.taps)
        if 0 <= taken < rows / constants.offsets_share:
            if self.takes(self.rows * self.columns * self.g.K * self.k.itemsize):
                self.before_sums = ceil_div(before, 64) * 64
                self.wide = vectors_of_filters(s.K, self.k.lanes)
                each = s.h.kernel * s.w.kernel * self.wide * self.k.lanes * self.k.itemsize
                blocks = ceil_div(self.g.D * each, FILTERS_BYTES)
                self.planes = min(self.planes, ceil_div(self.g.D, blocks))

    @classmethod
    def together(cls, rule, algorithms):
        """Phases of a stride in one pass, where each has one plane and few filters in a group."""
        cdef Algorithm a
        for a in algorithms:
            if a.g.D != 1 or a.g.K > FEW or a.keeps_weights:
                return None
        return phases(rule, algorithms)

    def stores(self, dtype, out_dtype):
        """Sums lie in scratch until they are rounded."""
        cdef ptrdiff_t sums = 0
        if self.keeps_weights:
            return False
        if self.wide:
            return True
        self.before_sums = self.workspace_per_thread
        if out_dtype != self.problem.dtype:
            self.rows = min(self.rows, max(1, SUMS // (self.columns * max(1, self.g.K))))
            sums = self.rows * self.columns * self.g.K * self.k.itemsize
        return self.takes(sums)

    def pack(self, w):
        """The weights in blocks of planes, or as they are, if their rows are contiguous."""
        cdef Packed packed
        if self.keeps_weights:
            whole = all(stride % w.itemsize == 0 for stride in w.strides)
            packed = self.new_packed(
                0, (w if whole and w.strides[-1] == w.itemsize else np.ascontiguousarray(w),))
            packed.nbytes = packed.arrays[0].nbytes
            return packed
        if self.wide:
            return self.pack_lanes(w)
        if self.g.K > FEW:
            return pack_blocks(self, w, self.planes, self.g.K)
        return pack_blocks(self, self.strips.by_runs(w), self.planes, 1)

    cdef Packed pack_lanes(self, w):
        """[group][block of planes][vectors of filters that lie together][tap][filter]."""
        cdef Packed packed = self.new_packed(w.size, ())
        cdef ptrdiff_t width = self.wide * self.k.lanes, taps = self.g.h.kernel * self.g.w.kernel
        cdef ptrdiff_t d
        cdef cnp.ndarray ordered
        cdef char *to = packed.panels.data
        w = w.reshape(self.g.G, self.g.K // width, width, self.g.D, taps)
        for group in w:
            for d in range(0, self.g.D, self.planes):
                block = group[:, :, d : d + self.planes]
                block = block.reshape(block.shape[0], width, -1).swapaxes(1, 2)
                ordered = np.ascontiguousarray(block)
                memcpy(to, cnp.PyArray_BYTES(ordered), cnp.PyArray_NBYTES(ordered))
                to += cnp.PyArray_NBYTES(ordered)
        return packed

    def run(self, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, int threads,
            double seconds, add=None):
        """y = x correlated with the packed weights, through the epilogue."""
        cdef Context c
        cdef piece_t piece
        cdef ptrdiff_t unit
        cdef int n = self.threads_for(threads)
        if self.g.D == 0:
            return fill(y, bias, clamp, add)
        c.g = self.placed(x, y)
        c.e = epilogue(bias, clamp, add)
        if self.keeps_weights:
            return run_gradient(self.k, &c.g, x, packed.arrays[0], y, &c.e,
                                n, self.workspace_per_thread, seconds)
        if c.g.K == 1 and run_depthwise(self, &c.g, x, packed, y, &c.e, threads, seconds):
            return
        if self.lanes and run_lanes(self, self.strips, &c.g, x, packed, y, &c.e, n, seconds):
            return
        if c.g.K <= FEW and run_image(
                self.k, &c.g, x, packed.panels.data, y, &c.e, threads, seconds):
            return
        c.k, c.strip, c.x, c.y = self.k, self.strips.c, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
        c.panels = packed.panels.data
        c.offset = self.strips.offset
        c.row, c.below = self.strips.row, self.strips.below
        c.planes, c.columns = self.planes, self.columns
        c.few = c.g.K <= FEW
        c.epilogue = epilogue_acts(&c.e)
        c.sums = self.before_sums if c.g.y_cells != CYCONV_REAL else 0
        c.wide = self.wide
        if c.wide and (c.g.w.y_stride != 1 or c.g.h.y_stride != c.g.w.out):
            c.sums = self.before_sums
        c.stencil.start, c.stencil.length = self.strips.start, self.strips.length
        c.runs, c.stencil.row = self.strips.runs, c.row
        c.fetches = not c.few and not c.wide and fetches(
            &c.g, cell_size(c.g.x_cells, self.k.itemsize))
        c.stencil.y_row, c.stencil.y_column = c.g.h.y_stride, c.g.w.y_stride
        c.column_strips = ceil_div(c.g.w.out, c.columns)
        unit = 1 if c.few else c.wide * c.k.lanes if c.wide else CYCONV_MR
        piece = divide(
            c.g.slabs * c.column_strips, c.g.h.out * c.columns, c.columns, self.rows * c.columns,
            c.g.K, unit, c.k.lanes, COPY, READ, n, seconds)
        c.rows, c.filters = piece.columns // c.columns, piece.filters
        c.row_strips = ceil_div(c.g.h.out, c.rows)
        c.chunks = ceil_div(c.g.K, c.filters)
        parallel_for(run_item, &c, c.g.slabs * c.row_strips * c.column_strips * c.chunks,
                     n, self.workspace_per_thread, seconds)


cdef ptrdiff_t vectors_of_filters(ptrdiff_t filters, ptrdiff_t lanes) noexcept nogil:
    """How many vectors of filters share the cells that a tap broadcasts."""
    return 2 if filters % (2 * lanes) == 0 else 3 if filters % (3 * lanes) == 0 else 1


cdef double filters_seconds(Sizes s, const core_t *core) noexcept:
    """Seconds of one core for a slab with filters in the lanes; -1 where they leave some empty."""
    cdef ptrdiff_t wide = vectors_of_filters(s.K, core.lanes)
    cdef double pixels = s.h.out * s.w.out, tile = 8 if wide == 1 else 6 if wide == 2 else 4
    if s.K <= FEW or s.K % core.lanes or not s.taps or pixels > FILTERS_PIXELS:
        return -1
    pixels = ceil_div(<ptrdiff_t>pixels, <ptrdiff_t>tile) * tile
    return s.K * pixels * (2 * s.taps / (core.peak * FILTERS_SHARE) + FILTERS_STORE)


def repairer(algorithm):
    """What :func:`repair` computes one image with, within the same limit."""
    one = cost.one_image(algorithm.problem)
    return Algorithm(one, algorithm.workspace_limit, algorithm.isa)


def repair(direct, x, w, y, images, bias, clamp, threads, seconds, add):
    """Compute the marked images again, where another algorithm spread a non-finite value."""
    packed = direct.pack(w)
    for n in np.flatnonzero(images):
        direct.run(x[n : n + 1], packed, y[n : n + 1], bias, clamp, threads, seconds, add)
