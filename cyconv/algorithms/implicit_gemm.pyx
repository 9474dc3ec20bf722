r"""Implicit GEMM: im2col's matrix product, its columns packed straight into the kernel's panels.

.. math:: Y_{(K \times P Q)} = W_{(K \times D R S)} \, X_{(D R S \times P Q)}

The matrix X of patches never exists. The sum over taps is cut into blocks; for one block a panel of
NR neighbouring pixels is gathered, by which time it is in the first-level cache, and multiplied
with all the filters:

    x --zero-bordered strip--> strip --gather--> panel (taps x NR) --micro-kernel--> y (K x NR)

Pixels are counted flat over the rows of the output, so that small maps fill the panels too. A 1 x 1
kernel of stride 1 needs no strip: the image itself is its matrix X.
"""

cimport numpy as cnp

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
from cyconv.algorithms.base cimport (
    Packed,
    ceil_div,
    cell_size,
    epilogue,
    fill,
    from_row,
    in_order,
    pointer_table,
)
from cyconv.algorithms.last cimport run_pixels
from cyconv.algorithms.strips cimport (
    MOST_RUNS,
    Strips,
    fetches,
    find_runs,
    lies_scattered,
    pack_blocks,
    rows_ahead,
    strip_bytes,
    strips,
)
from cyconv.kernels.kernels cimport (
    CYCONV_MR,
    CYCONV_OVERREAD,
    CYCONV_REAL,
    ahead_t,
    epilogue_t,
    geometry_slab,
    geometry_t,
    kernels_t,
    run_t,
    strip_t,
)

from cyconv.algorithms.interleaved import fits, interleaved, interleaved_seconds
from cyconv.algorithms.pairs import Pairs
from cyconv.planning.cost import BALANCED
from cyconv.runtime import machine

cdef enum:
    TAPS = 256          # taps of one block; the block decides the order of a sum, so it is fixed
    FILTERS = 192       # filters of one block of weights, which stays in a second-level cache
    COLUMNS = 2048      # outputs of one row that a strip serves at most
    PIXELS = 1024       # outputs of one piece of work; a whole row where that is more
    PRODUCTS = 1 << 30  # products of one piece of work, about 20 ms
    MOST_PANELS = 8     # panels that are gathered together from a strip
    MOST_POINTS = 32    # and from an image, which is no copy: longer rows of results are written
    STREAMED = 16       # filters at most of a 1 x 1 layer whose pixels are not gathered,
    LARGE = 16384       # if it has so many; of MR filters they never are
    STREAMS = 8         # planes that are then read side by side: one block
    NARROW = 24         # rows of fewer outputs are so short that most panels span two

# In the time of one product of a vector of pixels with MR weights, of one tap: to gather it, from
# a strip and from an image, and to read the weights.
cdef double GATHER = 2.0
cdef double GATHER_POINTS = 1.5
cdef double READ = 0.7
# How much longer pixels take to gather where a row of them is shorter than a vector.
cdef double SHORT = 3.0


cdef struct Context:
    geometry_t g
    const kernels_t *k
    strip_t strip
    const char *x
    char *y
    const char *panels
    const char *weights      # unpacked: each piece of work packs its own; or NULL
    size_t own               # bytes of scratch before a piece's own packed weights
    ptrdiff_t *offset        # of tap (d, r, s) in the strip, d in one block of planes
    ptrdiff_t row            # elements of the strip to the next output row
    ptrdiff_t below          # rows of the strip that the taps reach below an output's first
    ptrdiff_t planes         # planes that are summed at a time
    ptrdiff_t rows, columns, filters  # of outputs, in one piece of work
    ptrdiff_t row_strips, column_strips, chunks
    ptrdiff_t group          # pixels that are gathered at a time
    ptrdiff_t panel          # elements of one panel of pixels
    bint flat                # rows of a strip's outputs follow each other in y
    bint pointwise           # the image is the strip
    bint fetches             # what is read next is fetched while products are taken
    size_t sums              # bytes of scratch before sums that y has no cells for; 0: y has
    epilogue_t e


cdef ahead_t points_ahead(const Context *c, const char **planes, ptrdiff_t d, ptrdiff_t count,
                          ptrdiff_t q0, ptrdiff_t columns, ptrdiff_t j, ptrdiff_t n, int size,
                          ptrdiff_t filters) noexcept nogil:
    """The pixels after [j, j + n) of those from q0 on, of the `count` planes from d on: the next
    ones of the same planes, or the first of the next planes, or of the next piece of work."""
    cdef ptrdiff_t tiles = ceil_div(n, c.k.nr) * ceil_div(filters, CYCONV_MR)
    j += n
    if j >= columns:
        j, d = 0, d + count
        if d >= c.g.D:
            d, q0 = 0, q0 + columns
    return rows_ahead(&c.g, planes[d], min(c.planes, c.g.D - d), 0, 1, q0 + j,
                      min(c.group, columns - j), size, tiles)


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One strip of outputs, rows x columns, of a chunk of the filters of one slab."""
    cdef const Context *c = <const Context *>context
    cdef const kernels_t *k = c.k
    cdef int size = k.itemsize
    cdef int x_size = cell_size(c.g.x_cells, size), y_size = cell_size(c.g.y_cells, size)
    cdef ptrdiff_t group, d, count, line, i, j, f, n, m, wide, taps = c.g.h.kernel * c.g.w.kernel
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t last = min(first + c.filters, c.g.K)
    cdef ptrdiff_t q0 = item // c.chunks % c.column_strips * c.columns
    cdef ptrdiff_t columns = min(c.columns, c.g.w.out - q0)
    cdef ptrdiff_t p0 = item // (c.chunks * c.column_strips) % c.row_strips * c.rows
    cdef ptrdiff_t rows = min(c.rows, c.g.h.out - p0)
    cdef ptrdiff_t lines = 1 if c.flat else rows
    cdef ptrdiff_t length = rows * columns if c.flat else columns
    cdef const char **planes = <const char **>scratch
    cdef char *panel = scratch + pointer_table(c.g.D)
    cdef char *strip = panel + (c.group // k.nr * c.panel + CYCONV_OVERREAD) * size
    cdef ptrdiff_t start = geometry_slab(
        &c.g, item // (c.chunks * c.column_strips * c.row_strips), c.x, x_size, planes, &group)
    cdef char *y = c.y + (start + p0 * c.g.h.y_stride + q0 * c.g.w.y_stride) * y_size
    cdef char *to
    cdef char *sums
    cdef ptrdiff_t sums_row = rows * columns
    cdef bint ends
    cdef char *own = scratch + c.own
    cdef const char *panels
    cdef const char *source
    cdef strip_t cut = c.strip
    cdef epilogue_t e
    cdef ahead_t ahead
    cdef ahead_t *next = &ahead if c.fetches else NULL
    cdef ptrdiff_t after
    cdef run_t runs[MOST_RUNS]
    cdef ptrdiff_t found
    cut.filled = rows + c.below
    d = 0
    while d < c.g.D:
        count = min(c.planes, c.g.D - d)
        ends = d + count == c.g.D
        panels = c.panels + ((group * c.g.D + d) * c.g.K + first * count) * taps * size
        if c.weights != NULL:
            panels = own
        if c.pointwise:
            source = planes[d] + (p0 * c.g.w.in_ + q0) * x_size
        else:
            k.fill_strip(&c.g, &cut, planes + d, count, p0, q0, strip)
            source = strip
            if c.fetches:
                after = 0 if ends else d + count
                ahead = rows_ahead(
                    &c.g, planes[after], min(c.planes, c.g.D - after), p0 + (rows if ends else 0),
                    min(rows, c.g.h.out - p0 - (rows if ends else 0)), q0, columns, x_size,
                    lines * ceil_div(length, k.nr) * ceil_div(last - first, CYCONV_MR))
        for line in range(lines):
            j = 0
            while j < length:
                n = min(c.group, length - j)
                if c.fetches and c.pointwise:
                    ahead = points_ahead(
                        c, planes, d, count, q0, columns, j, n, x_size, last - first)
                for i in range(ceil_div(n, k.nr)):
                    wide = min(<ptrdiff_t>k.nr, n - i * k.nr)
                    if c.flat:
                        found = find_runs(j + i * k.nr, wide, columns,
                                          columns if c.pointwise else c.row, runs)
                    else:
                        found = 1
                        runs[0].start, runs[0].length = line * c.row + j + i * k.nr, wide
                    k.gather(c.g.x_cells if c.pointwise else CYCONV_REAL, count * taps, source,
                             NULL if c.pointwise else c.offset, c.g.x_c, runs, found,
                             c.pointwise, panel + i * c.panel * size)
                f = first
                while f < last:
                    m = min(<ptrdiff_t>FILTERS, last - f)
                    e = from_row(&c.e, group * c.g.K + f, size)
                    if c.weights != NULL and line == 0 and j == 0:
                        k.pack_filters(
                            c.weights + ((group * c.g.K + f) * c.g.D + d) * taps * size,
                            c.g.D * taps, m, count * taps,
                            own + (f - first) * count * taps * size)
                    to = y + (f * c.g.y_k + line * c.g.h.y_stride + j * c.g.w.y_stride) * y_size
                    if c.sums == 0:
                        k.multiply_ahead(
                            m, n, count * taps, panels + (f - first) * count * taps * size, panel,
                            k.nr, c.panel, NULL, to, c.g.y_k, c.g.w.y_stride, d > 0,
                            &e if ends else NULL, next)
                    else:
                        sums = scratch + c.sums + (
                            (f - first) * sums_row + line * columns + j) * size
                        k.multiply_ahead(
                            m, n, count * taps, panels + (f - first) * count * taps * size, panel,
                            k.nr, c.panel, NULL, sums, sums_row, 1, d > 0, NULL, next)
                        if ends:
                            k.finish_rows(c.g.y_cells, m, n, sums, sums_row, to, c.g.y_k,
                                          c.g.w.y_stride, &e)
                    f += m
                j += n
        d += count


cdef void run_streams(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """Pixels of a chunk of few filters of one slab, multiplied where they lie: to gather them costs
    more than their products. Few planes are read side by side, each from one end to the other."""
    cdef const Context *c = <const Context *>context
    cdef const kernels_t *k = c.k
    cdef int size = k.itemsize
    cdef ptrdiff_t group, d, f, m, count, j = 0, n, whole
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t last = min(first + c.filters, c.g.K)
    cdef ptrdiff_t q0 = item // c.chunks % c.column_strips * c.columns
    cdef ptrdiff_t columns = min(c.columns, c.g.w.out - q0)
    cdef const char **planes = <const char **>scratch
    cdef char *panel = scratch + pointer_table(c.g.D)
    cdef ptrdiff_t start = geometry_slab(
        &c.g, item // (c.chunks * c.column_strips * c.row_strips), c.x, size, planes, &group)
    cdef const char *A
    cdef const char *source
    cdef char *y
    cdef bint ends
    cdef epilogue_t e
    cdef run_t run
    while j < columns:
        n = min(c.group, columns - j)
        whole = n // k.lanes * k.lanes
        run.start, run.length = whole, n - whole
        d = 0
        while d < c.g.D:
            count = min(c.planes, c.g.D - d)
            source = planes[d] + (q0 + j) * size
            ends = d + count == c.g.D
            if whole < n:  # no element past the image is read
                k.gather(CYCONV_REAL, count, source, NULL, c.g.x_c, &run, 1, True, panel)
            f = first
            while f < last:
                m = min(<ptrdiff_t>CYCONV_MR, last - f)
                A = c.panels + ((group * c.g.D + d) * c.g.K + f * count) * size
                e = from_row(&c.e, group * c.g.K + f, size)
                y = c.y + (start + f * c.g.y_k + (q0 + j) * c.g.w.y_stride) * size
                if whole:
                    k.multiply(m, whole, count, A, source, c.g.x_c, k.nr, NULL, y, c.g.y_k,
                               c.g.w.y_stride, d > 0, &e if ends else NULL)
                if whole < n:
                    k.multiply(m, n - whole, count, A, panel, k.nr, k.nr, NULL,
                               y + whole * c.g.w.y_stride * size, c.g.y_k, c.g.w.y_stride,
                               d > 0, &e if ends else NULL)
                f += m
            d += count
        j += n


cdef class Algorithm(Base):
    """Patches gathered into the micro-kernel's panels; see the module."""

    name, of_narrow = "implicit_gemm", Pairs
    cdef Strips strips
    cdef ptrdiff_t planes, rows, columns, group
    cdef size_t before_sums  # bytes of scratch
    cdef bint pointwise, alone  # of a group: one piece of work
    cdef bint rows_of_windows  # one output's inputs may be a row, where channels lie last
    cdef bint streams        # few filters are multiplied with pixels where they lie

    @classmethod
    def supports(cls, problem):
        """Any problem."""
        return None

    @classmethod
    def cost(cls, problem, threads, allowed=BALANCED):
        """Seconds: full register tiles, the gathering of patches, strips, the weights once."""
        cdef Sizes s = problem.sizes
        cdef core_t core = core_of(s)
        cdef double slabs = s.N * s.G * s.outer, once = weights_once(s)
        cdef ptrdiff_t pixels = s.h.out * s.w.out
        cdef double work = products(&core, s.K, pixels, s.taps)
        cdef bint moved = not is_pointwise(s)
        cdef double gather = constants.gather_seconds[s.w.out < NARROW and moved]
        if in_streams(s):
            gather = 0
        elif moved and s.w.out <= core.lanes:
            gather *= SHORT
        work += gather * vectors(&core, pixels) * s.taps * s.itemsize / 4
        if moved:
            once += copied(s)
        return roofline(s, threads, slabs * work + once, slabs)

    def layout(self):
        """Planes of one block of taps; rows and columns of one strip."""
        cdef object fixed, room, columns, one, planes, rows, needed, taps, blocks
        cdef Strips s
        h, w = self.g.h, self.g.w
        size = self.k.itemsize
        self.strips = s = strips(self)
        self.pointwise = is_pointwise(self.problem.sizes)
        self.rows_of_windows = self.g.outer_rank == 0 and (
            self.g.C > 1 or is_points(self.problem.sizes))
        self.streams = in_streams(self.problem.sizes)
        taps = int(h.kernel) * int(w.kernel)
        blocks = ceil_div(self.g.D, max(1, (STREAMS if self.streams else TAPS) // taps))
        planes = ceil_div(self.g.D, max(1, blocks))
        fixed = pointer_table(self.g.D)
        panel = planes * taps * self.k.nr
        # Panels of few taps stay in the first-level cache and are multiplied together, which writes
        # longer rows; others are met one after another, in a share of the second.
        near, far = machine.caches().l1 * 5 // 8, machine.caches().l2 // 8
        if self.pointwise:
            panels, cached = MOST_POINTS, min(self.workspace_limit // 4, 2 * far)
        else:
            panels, cached = MOST_PANELS, near if 4 * panel * size <= near else far
        self.group = self.k.nr * max(1, min(panels, cached // max(1, panel * size)))
        fixed += (self.group // self.k.nr * panel + 2 * CYCONV_OVERREAD) * size
        room = max(min(strip_bytes(), self.workspace_limit - fixed), 1) // size
        columns = s.fitting(max(1, min(w.out, max(COLUMNS, 2 * s.right))), planes, room)
        one = s.phases * (columns + s.right) * planes  # elements of one row of a strip
        most = min(PIXELS, PRODUCTS // max(1, self.g.D * taps * min(self.g.K, FILTERS)))
        rows = max(1, min(h.out, room // max(1, one) - s.below, ceil_div(most, columns)))
        needed = fixed + one * (rows + s.below) * size
        self.check_workspace(needed + planes * taps * sizeof(ptrdiff_t))
        self.workspace_per_thread = needed
        self.columns, self.planes, self.rows = columns, planes, rows
        s.cut(planes, rows, columns)
        self.alone = self.g.slabs == self.g.G and (
            h.out * w.out <= PIXELS if self.pointwise else rows >= h.out and columns >= w.out)

    @classmethod
    def together(cls, rule, algorithms):
        """All phases of a stride in one pass."""
        cdef Algorithm a
        cdef list planes = []
        for a in algorithms:
            planes.append(a.planes)
        return interleaved(rule, algorithms, planes)

    @classmethod
    def phases_cost(cls, rule):
        """Seconds of that call for one image, on one thread; None where there is none."""
        return interleaved_seconds(rule) if fits(rule) else None

    def stores(self, dtype, out_dtype):
        """Where planes come in blocks, sums lie in scratch until they are rounded."""
        cdef ptrdiff_t pixels = self.rows * self.columns
        if out_dtype == self.problem.dtype or self.g.D <= self.planes:
            return True
        self.before_sums = self.workspace_per_thread
        if self.pointwise:
            pixels = max(pixels, min(<ptrdiff_t>PIXELS, self.g.h.out * self.g.w.out))
        return self.takes(self.g.K * pixels * self.k.itemsize)

    def pack(self, w):
        """The weights in blocks of planes, and as they are for channels that lie last."""
        cdef Packed packed
        if self.rows_of_windows:
            w = in_order(w)
        packed = pack_blocks(self, w, self.planes, self.g.K)
        packed.source = w if self.rows_of_windows else None
        return packed

    def lend(self, w):
        """The weights as they are, where no two pieces of work would pack the same."""
        cdef Packed packed
        if not self.alone or self.streams or lies_scattered(w):
            return self.pack(w)
        packed = self.lent(w)
        packed.source = packed.arrays[0] if self.rows_of_windows else None
        return packed

    def run(self, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, int threads,
            double seconds, add=None):
        """y = x correlated with the packed weights, through the epilogue."""
        cdef Context c
        cdef piece_t piece
        cdef ptrdiff_t step
        cdef int n = self.threads_for(threads)
        cdef size_t scratch = self.workspace_per_thread
        if self.g.D == 0:
            return fill(y, bias, clamp, add)
        c.g = self.placed(x, y)
        c.e = epilogue(bias, clamp, add)
        if self.rows_of_windows and run_pixels(
                self, &c.g, x, packed, y, &c.e, self.planes, n, seconds):
            return
        c.k, c.strip, c.x, c.y = self.k, self.strips.c, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
        c.panels = c.weights = NULL
        if packed.panels is None:
            c.weights = cnp.PyArray_BYTES(packed.arrays[0])
        else:
            c.panels = packed.panels.data
        c.offset = self.strips.offset
        c.row, c.below = self.strips.row, self.strips.below
        c.planes, c.group = self.planes, self.group
        c.panel = c.planes * c.g.h.kernel * c.g.w.kernel * c.k.nr
        c.rows, c.columns = self.rows, self.columns
        rows_follow = c.g.h.y_stride == c.g.w.out * c.g.w.y_stride
        c.pointwise = (self.pointwise and rows_follow and c.g.w.x_stride == 1
                       and c.g.h.x_stride == c.g.w.in_)
        if c.pointwise:  # one row of pixels
            c.g.w.in_ = c.g.w.out = c.g.h.out * c.g.w.out
            c.g.h.in_ = c.g.h.out = c.rows = 1
            c.columns = min(<ptrdiff_t>PIXELS, c.g.w.out)
        c.flat = c.pointwise or rows_follow and c.columns == c.g.w.out
        if c.pointwise:
            step = 1 if c.weights == NULL else c.columns  # one piece packs each weight
            piece = divide(c.g.slabs, c.g.w.out, step, c.columns, c.g.K, CYCONV_MR, c.k.lanes,
                           GATHER_POINTS, READ, n, seconds)
            c.columns = piece.columns
            c.column_strips = ceil_div(c.g.w.out, c.columns)
        else:
            c.column_strips = ceil_div(c.g.w.out, c.columns)
            step = c.columns if c.weights == NULL else c.rows * c.columns
            piece = divide(c.g.slabs * c.column_strips, c.g.h.out * c.columns, step,
                           c.rows * c.columns, c.g.K, CYCONV_MR, c.k.lanes, GATHER, READ, n,
                           seconds)
            c.rows = piece.columns // c.columns
        c.row_strips = ceil_div(c.g.h.out, c.rows)
        c.filters = piece.filters
        c.chunks = ceil_div(c.g.K, c.filters)
        c.own, c.sums = scratch, 0
        c.fetches = fetches(&c.g, cell_size(c.g.x_cells, self.k.itemsize))
        if self.g.D <= self.planes:
            c.e.cells = c.g.y_cells
        elif c.g.y_cells != CYCONV_REAL:
            c.sums = self.before_sums
        if c.weights != NULL:
            taps = c.planes * c.g.h.kernel * c.g.w.kernel
            scratch += ceil_div((c.filters * taps + CYCONV_OVERREAD) * self.k.itemsize, 64) * 64
        streams = c.pointwise and self.streams and c.sums == 0 and c.g.x_cells == CYCONV_REAL
        if streams:
            c.group = PIXELS if c.g.K <= CYCONV_MR else PIXELS // 2
        parallel_for(run_streams if streams else run_item, &c,
                     c.g.slabs * c.row_strips * c.column_strips * c.chunks, n, scratch, seconds)


cdef bint is_points(Sizes s):
    """Whether every output pixel is a product with one input pixel."""
    cdef int i
    for i in range(s.rank):
        if s.axes[i].kernel > 1 or s.axes[i].lo or s.axes[i].hi:
            return False
    return True


cdef bint in_streams(Sizes s):
    """Whether filters are so few that pixels are multiplied where they lie."""
    return is_pointwise(s) and (
        s.K <= CYCONV_MR or s.K <= STREAMED and s.h.out * s.w.out >= LARGE)


cdef bint is_pointwise(Sizes s):
    """Whether every output pixel is a product with one input pixel, in the same order."""
    return is_points(s) and s.h.stride == s.w.stride == 1
