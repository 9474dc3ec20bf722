r"""All phases of a stride in one pass: the gradient of a strided layer's input, by implicit GEMM.

A phase is a correlation of stride 1 that fills every s-th cell of the result
(:class:`cyconv.lowering.GradInput`). Pixel j of all phases reads the same window of the operand, in
which each phase has its own taps. So one panel of windows is gathered for all of them, and the sums
of the phases, still in a cache, are put side by side as whole rows are written:

    x --strip--> strip --gather--> panel (D U V x NR) --micro-kernel, taps of phase b--> sums[b]
                                                        sums[0..s) --interleave--> y

Each cell is the sum that its own problem makes of it, to the bit.
"""

cimport numpy as cnp

from cyconv.planning.estimates cimport (
    core_of,
    core_t,
    products,
    roofline,
    vectors,
    weights_once,
)
from cyconv.planning.rates cimport constants
from cyconv.problem.sizes cimport Sizes
from cyconv.runtime.memory cimport Buffer
from cyconv.runtime.parallel cimport divide, parallel_for, piece_t
from cyconv.algorithms.base cimport (
    Packed,
    ceil_div,
    epilogue,
    from_row,
    pointer_table,
)
from cyconv.algorithms.strips cimport MOST_RUNS, find_runs, strip_bytes
from cyconv.algorithms.together cimport Together
from cyconv.kernels.kernels cimport (
    CYCONV_MR,
    CYCONV_OVERREAD,
    CYCONV_REAL,
    epilogue_t,
    geometry_slab,
    geometry_t,
    kernels_t,
    run_t,
    strip_t,
)

from cyconv.runtime import machine

cdef enum:
    WORD = sizeof(ptrdiff_t)
    COLUMNS = 1024      # pixels of one row that a strip serves at most
    PIXELS = 1024       # pixels of one piece of work, about
    PANELS = 8          # panels that are gathered together, at most
    NARROW = 24         # rows of fewer pixels are so short that most panels span two

# In the time of one product of a vector of pixels with MR weights, of one tap: to gather it, and to
# read the weights.
cdef double GATHER = 2.0
cdef double READ = 0.7
# Seconds to put one cell of float32 into its row.
cdef double INTERLEAVE = 2e-10


cdef struct Phase:
    const char *panels
    const ptrdiff_t *offset  # of its taps in a panel of pixels, for one block of planes; or NULL
    ptrdiff_t taps           # of one plane
    ptrdiff_t planes         # that are summed at a time


cdef struct Context:
    geometry_t g
    const kernels_t *k
    strip_t strip
    const char *x
    char *y
    const Phase *phases              # row by row of the stride
    const ptrdiff_t *offset          # of each cell of the windows in the strip; or NULL
    ptrdiff_t down, across           # the stride
    ptrdiff_t height, width          # cells of the result
    ptrdiff_t window                 # taps of one plane that a panel holds
    ptrdiff_t below                  # rows that a window reaches below its first
    ptrdiff_t rows, columns, filters  # of pixels, in one piece of work
    ptrdiff_t row_strips, column_strips, chunks
    ptrdiff_t all_rows, all_columns  # of pixels
    ptrdiff_t group                  # pixels that are gathered at a time
    ptrdiff_t together               # filters that are multiplied before their phases interleave
    ptrdiff_t panel                  # elements of one panel of pixels
    size_t sums                      # bytes of scratch before the sums of the phases
    bint pointwise                   # the image is the strip
    epilogue_t e


cdef void finish(const Context *c, const char *sums, ptrdiff_t m, ptrdiff_t row, ptrdiff_t first,
                 ptrdiff_t n, ptrdiff_t p0, ptrdiff_t q0, ptrdiff_t columns, char *y,
                 const epilogue_t *e) noexcept nogil:
    """Row `row` of the phases, of pixels [first, first + n) counted flat in a strip, to y."""
    cdef int size = c.k.itemsize
    cdef ptrdiff_t at = 0, p, q, length, cells
    while at < n:
        p, q = p0 + (first + at) // columns, (first + at) % columns
        length = min(n - at, columns - q)
        q += q0
        cells = min(length * c.across, c.width - q * c.across)
        p = p * c.down + row
        if p < c.height and cells > 0:
            c.k.interleave(
                c.across, m, cells, sums + at * size, c.together * c.group, c.group,
                y + (p * c.g.h.y_stride + q * c.across * c.g.w.y_stride) * size, c.g.y_k,
                c.g.w.y_stride, e)
        at += length


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One strip of pixels, rows x columns, of a chunk of the filters of one slab."""
    cdef const Context *c = <const Context *>context
    cdef const kernels_t *k = c.k
    cdef int size = k.itemsize
    cdef ptrdiff_t group, count, i, j, f, d, n, m, a, b, wide, found
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t last = min(first + c.filters, c.g.K)
    cdef ptrdiff_t q0 = item // c.chunks % c.column_strips * c.columns
    cdef ptrdiff_t columns = min(c.columns, c.all_columns - q0)
    cdef ptrdiff_t p0 = item // (c.chunks * c.column_strips) % c.row_strips * c.rows
    cdef ptrdiff_t rows = min(c.rows, c.all_rows - p0)
    cdef const char **planes = <const char **>scratch
    cdef char *panel = scratch + pointer_table(c.g.D)
    cdef char *strip = panel + (c.group // k.nr * c.panel + CYCONV_OVERREAD) * size
    cdef char *sums = scratch + c.sums
    cdef ptrdiff_t start = geometry_slab(
        &c.g, item // (c.chunks * c.column_strips * c.row_strips), c.x, size, planes, &group)
    cdef ptrdiff_t row = c.strip.pitch
    cdef const char *source = strip
    cdef const Phase *phase
    cdef strip_t cut = c.strip
    cdef epilogue_t e
    cdef run_t runs[MOST_RUNS]
    if c.pointwise:
        source, row = planes[0] + (p0 * c.g.h.x_stride + q0) * size, c.g.h.x_stride
    else:
        cut.filled = rows + c.below
        k.fill_strip(&c.g, &cut, planes, c.g.D, p0, q0, strip)
    j = 0
    while j < rows * columns:
        n = min(c.group, rows * columns - j)
        for i in range(ceil_div(n, k.nr)):
            wide = min(<ptrdiff_t>k.nr, n - i * k.nr)
            found = find_runs(j + i * k.nr, wide, columns, row, runs)
            k.gather(CYCONV_REAL, c.g.D * c.window, source, c.offset, c.g.x_c, runs, found,
                     c.pointwise, panel + i * c.panel * size)
        f = first
        while f < last:
            m = min(c.together, last - f)
            e = from_row(&c.e, group * c.g.K + f, size)
            for a in range(c.down):
                for b in range(c.across):
                    phase = c.phases + a * c.across + b
                    d = 0
                    while d < c.g.D:
                        count = min(phase.planes, c.g.D - d)
                        k.multiply(
                            m, n, count * phase.taps,
                            phase.panels + ((group * c.g.D + d) * c.g.K + f * count)
                            * phase.taps * size,
                            panel + d * c.window * k.nr * size, k.nr, c.panel, phase.offset,
                            sums + b * c.together * c.group * size, c.group, 1, d > 0, NULL)
                        d += count
                finish(c, sums, m, a, j, n, p0, q0, columns, y_of(c, start, f), &e)
            f += m
        j += n


cdef inline char *y_of(const Context *c, ptrdiff_t start, ptrdiff_t f) noexcept nogil:
    return c.y + (start + f * c.g.y_k) * c.k.itemsize


cdef class Interleaved(Together):
    """Of a GradInput of two axes, whose children's phases are all those of the stride, solved by
    ``implicit_gemm``; `planes` are how many each of them sums at a time.
    """

    cdef tuple algorithms, sizes, stride, spatial, planes, counts
    cdef Buffer tables
    cdef ptrdiff_t *offsets         # of the cells of the windows in the strip
    cdef ptrdiff_t *zero            # the one phase of a stride of 1
    cdef list taps                  # of each phase: the first of its own offsets, and how many
    cdef ptrdiff_t top, left, U, V, rows, columns, group, together, pitch
    cdef size_t before_sums
    cdef bint pointwise

    def __init__(self, rule, algorithms, planes):
        cdef object problem = rule.problem, size
        super().__init__(rule.phases, algorithms)
        size = self.one.k.itemsize
        self.sizes, self.stride = problem.output_spatial, problem.stride
        self.spatial = problem.spatial
        phases = self.ordered(rule.phases)
        self.algorithms, self.planes = self.ordered(algorithms), self.ordered(planes)
        self.counts, (self.top, self.left), (self.U, self.V) = windows(phases)
        # Windows of one cell, all of them in x.
        self.pointwise = self.U * self.V == 1 and all(
            0 <= begin and begin + count <= n for begin, count, n in
            zip((self.top, self.left), self.counts, self.sizes, strict=True))
        self.lay_out(int(self.one.g.D), size)
        self.fill_tables(phases)

    cdef lay_out(self, D, size):
        """Sizes of strips and panels."""
        height, width = self.counts
        nr = self.one.k.nr
        panel = D * self.U * self.V * nr
        caches = machine.caches()
        self.group = nr * max(1, min(PANELS, caches.l2 // 2 // max(1, panel * size)))
        most = caches.l2 // 16 // (self.group * self.stride[1] * size)
        self.together = max(2, most // CYCONV_MR) * CYCONV_MR
        self.together = min(self.together, ceil_div(self.one.g.K, CYCONV_MR) * CYCONV_MR)
        fixed = pointer_table(D) + (self.group // nr * panel + 2 * CYCONV_OVERREAD) * size
        sums = (self.together * self.group * self.stride[1] + CYCONV_OVERREAD) * size
        room = max(min(strip_bytes(), self.one.workspace_limit - fixed - sums), 1) // size
        columns = min(width, COLUMNS)
        columns = ceil_div(width, ceil_div(width, columns))
        while columns > 64 and D * self.U * (columns + self.V - 1) > room:
            columns = (columns + 1) // 2
        one = D * (columns + self.V - 1)
        rows = max(1, min(height, room // one - self.U + 1, ceil_div(PIXELS, columns)))
        strip = (one * (rows + self.U - 1) + CYCONV_OVERREAD) * size
        self.before_sums = ceil_div(fixed + strip, 64) * 64
        self.keep(self.before_sums + sums)
        self.rows, self.columns, self.pitch = rows, columns, columns + self.V - 1

    cdef fill_tables(self, phases):
        """Where the cells of a window lie in a strip, and each phase's taps in a panel."""
        cdef ptrdiff_t D = self.one.g.D, nr = self.one.k.nr, window = self.U * self.V
        cdef ptrdiff_t d, u, v, i, planes, row, column, R, S
        cdef ptrdiff_t plane = (self.rows + self.U - 1) * self.pitch
        cdef ptrdiff_t *table
        counts = [
            planes * len(range(*rows.taps)) * len(range(*columns.taps))
            for planes, (rows, columns) in zip(self.planes, phases, strict=True)
        ]
        self.tables = Buffer()
        self.tables.reserve((1 + D * window + sum(counts)) * WORD, "tap offsets", WORD)
        table = <ptrdiff_t *>self.tables.data
        table[0] = 0
        self.zero, self.offsets = table, table + 1
        i = 1
        for d in range(D):
            for u in range(self.U):
                for v in range(self.V):
                    table[i] = d * plane + u * self.pitch + v
                    i += 1
        self.taps = []
        for planes, (rows, columns) in zip(self.planes, phases, strict=True):
            row, column = rows.begin - self.top, columns.begin - self.left
            R, S = len(range(*rows.taps)), len(range(*columns.taps))
            self.taps.append((i, R * S))
            for d in range(planes):
                for u in range(R):
                    for v in range(S):
                        table[i] = (d * window + (row + u) * self.V + column + v) * nr
                        i += 1

    def run(self, cnp.ndarray x, packed, cnp.ndarray y, bias, clamp, int threads, double seconds,
            add=None):
        """All cells of y, from the children's `packed` weights, through the epilogue."""
        cdef Context c
        cdef Buffer memory = Buffer()
        cdef Packed weights
        cdef Phase *phase
        cdef piece_t piece
        cdef ptrdiff_t i, rows
        cdef int n = self.threads_for(threads)
        c.g, c.k = self.one.placed(x, y), self.one.k
        c.x, c.y, c.e = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y), epilogue(bias, clamp, add)
        c.g.h.in_, c.g.w.in_ = self.sizes
        c.g.h.pad, c.g.w.pad = -self.top, -self.left
        c.g.h.stride = c.g.w.stride = 1
        c.down, c.across = self.stride
        c.height, c.width = self.spatial
        c.all_rows, c.all_columns = self.counts
        c.window, c.below, c.offset = self.U * self.V, self.U - 1, self.offsets
        c.strip.row_phases = c.strip.column_phases = 1
        c.strip.row_phase = c.strip.column_phase = self.zero
        c.strip.rows, c.strip.pitch = self.rows + self.U - 1, self.pitch
        c.columns, c.group, c.together = self.columns, self.group, self.together
        c.panel, c.sums = c.g.D * c.window * c.k.nr, self.before_sums
        c.pointwise = self.pointwise and c.g.w.x_stride == 1
        if c.pointwise:
            c.offset = NULL
            c.x += (self.top * c.g.h.x_stride + self.left) * c.k.itemsize
        memory.reserve(len(packed) * sizeof(Phase), "phases")
        c.phases = phase = <Phase *>memory.data
        held = []
        for i in range(len(packed)):
            weights = packed[self.order[i]]
            if weights.panels is None:
                weights = self.algorithms[i].pack(weights.arrays[0])
            held.append(weights)
            first, phase[i].taps = self.taps[i]
            phase[i].panels, phase[i].planes = weights.panels.data, self.planes[i]
            phase[i].offset = NULL
            if phase[i].taps < c.window:
                phase[i].offset = <ptrdiff_t *>self.tables.data + <ptrdiff_t>first
        c.column_strips = ceil_div(c.all_columns, c.columns)
        rows = self.rows
        if c.pointwise:  # no strip has to hold them
            rows = min(c.all_rows, max(rows, ceil_div(PIXELS, c.columns)))
        piece = divide(c.g.slabs * c.column_strips, c.all_rows * c.columns, c.columns,
                       rows * c.columns, c.g.K, CYCONV_MR, c.k.lanes, GATHER, READ, n,
                       seconds)
        c.rows, c.filters = piece.columns // c.columns, piece.filters
        c.row_strips = ceil_div(c.all_rows, c.rows)
        c.chunks = ceil_div(c.g.K, c.filters)
        parallel_for(run_item, &c, c.g.slabs * c.row_strips * c.column_strips * c.chunks,
                     n, self.workspace_per_thread, seconds)


def windows(phases):
    """(pixels, first cell, cells) of the windows that hold all phases' taps, each of both axes."""
    axes = [*zip(*phases, strict=True)]
    first = [min(one.begin for one in axis) for axis in axes]
    past = [max(one.end - one.count for one in axis) + 1 for axis in axes]
    cells = [stop - start for start, stop in zip(first, past, strict=True)]
    return tuple(max(one.count for one in axis) for axis in axes), first, cells


def fits(rule):
    """Whether the children of `rule` can be solved in one call: all phases of a stride."""
    one = rule.problem
    return (
        len(rule.phases) == len(rule.children) == one.stride[0] * one.stride[-1] > 1
        and one.rank == 2 and one.dtype.kind == "f" and set(one.dilation) == {1}
        and one.filters > one.groups
    )


def interleaved(rule, algorithms, planes):
    """The children of `rule` in one call, or None: there is no such call for them."""
    if not fits(rule):
        return None
    try:
        return Interleaved(rule, algorithms, planes)
    except MemoryError:
        return None


def interleaved_seconds(rule):
    """Seconds of that call for one image, on one thread."""
    cdef Sizes s = rule.children[0].sizes, part
    cdef core_t core = core_of(s)
    (rows, columns), _, (U, V) = windows(rule.phases)
    cdef ptrdiff_t pixels = rows * columns
    cdef double work = 0, weights = 0, window = U * V, read = rows * columns
    for child in rule.children:
        part = child.sizes
        work += products(&core, s.K, pixels, part.taps)
        weights += weights_once(part)
    work += constants.gather_seconds[columns < NARROW] * (
        vectors(&core, pixels) * s.C * window * s.itemsize / 4)
    work += s.C * (constants.pixel_seconds[0] * read + constants.row_seconds * rows)
    work += s.K * INTERLEAVE * pixels * len(rule.phases) * s.itemsize / 4
    cells = s.C * read + s.K * pixels * len(rule.phases)
    return roofline(s, 1, s.G * work + weights, s.G, -1, s.G * cells * s.itemsize)
