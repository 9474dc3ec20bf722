"""All phases of a stride in one pass: the gradient of a strided depthwise layer's input.

By `direct`. A phase is a correlation of stride 1 that fills every s-th cell of the result
(:class:`cyconv.lowering.GradInput`). One strip of the operand, copied once, serves them all; where
two phases share a row, their outputs are interleaved in registers (``stencil_pair`` in
kernel_table.h). Each cell is the sum that its own problem makes of it, to the bit.
"""

cimport numpy as cnp

from cyconv.runtime.memory cimport Buffer
from cyconv.runtime.parallel cimport parallel_for
from cyconv.algorithms.base cimport Packed, ceil_div, epilogue, from_row
from cyconv.algorithms.strips cimport Strips, strips
from cyconv.algorithms.together cimport Together
from cyconv.kernels.kernels cimport (
    CYCONV_OVERREAD,
    epilogue_acts,
    epilogue_t,
    geometry_slab,
    geometry_t,
    kernels_t,
    stencil_t,
    strip_t,
)

from cyconv.runtime import machine

cnp.import_array()


cdef enum:
    PIECE = 16384          # cells of the result in one piece of work
    TILE = 4               # rows of a register tile


cdef struct Phase:
    stencil_t t
    const char *panels
    ptrdiff_t taps, rows, columns
    ptrdiff_t strip  # elements of the strip before the first output's first tap
    ptrdiff_t y      # elements of the result before the first output


cdef struct Context:
    geometry_t g                       # the operand, as the strips of all phases see it
    const kernels_t *k
    strip_t strip
    const char *x
    char *y
    const Phase *phases
    ptrdiff_t count                    # phases
    ptrdiff_t together                 # 2 where neighbouring phases are interleaved, else 1
    ptrdiff_t slabs                    # slabs of one piece of work
    ptrdiff_t rows, row_strips         # rows of one phase in a strip, and strips of one slab
    bint epilogue
    epilogue_t e


cdef void run_strip(const Context *c, ptrdiff_t slab, ptrdiff_t p0, char *scratch) noexcept nogil:
    """Every phase's rows from p0 on, of all filters of one slab."""
    cdef const kernels_t *k = c.k
    cdef int size = k.itemsize
    cdef const char *plane
    cdef ptrdiff_t group, j, f, rows, i = 0
    cdef ptrdiff_t columns[2]
    cdef ptrdiff_t start = geometry_slab(&c.g, slab, c.x, size, &plane, &group)
    cdef epilogue_t e = from_row(&c.e, group * c.g.K, size)
    cdef stencil_t t[2]
    cdef const char *first[2]
    cdef const Phase *phase
    cdef char *y
    k.fill_strip(&c.g, &c.strip, &plane, 1, p0, 0, scratch)
    while i < c.count:
        rows = min(p0 + c.rows, c.phases[i].rows) - p0
        for f in range(c.g.K if rows > 0 else 0):
            for j in range(c.together):
                phase = c.phases + i + j
                t[j] = phase.t
                t[j].w = phase.panels + (group * c.g.K + f) * phase.taps * size
                t[j].filter, t[j].e = f, &e if c.epilogue else NULL
                first[j], columns[j] = scratch + phase.strip * size, phase.columns
            y = c.y + (start + f * c.g.y_k + c.phases[i].y + p0 * t[0].y_row) * size
            if c.together == 2:
                k.stencil_pair(t, first[0], first[1], rows, columns, y)
            else:
                k.stencil(t, first[0], rows, columns[0], y)
        i += c.together


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """A strip of some slabs, one after another."""
    cdef const Context *c = <const Context *>context
    cdef ptrdiff_t slab, first = item // c.row_strips * c.slabs
    for slab in range(first, min(first + c.slabs, c.g.slabs)):
        run_strip(c, slab, item % c.row_strips * c.rows, scratch)


cdef class Phases(Together):
    """Of the gradient of an input, `problem`. All cells of the result are in one of the phases;
    each child has one plane and few filters in a group, in runs of taps.
    """

    cdef tuple phases, strips, sizes, stride
    cdef ptrdiff_t top, left, rows, pitch

    def __init__(self, problem, phases, algorithms):
        cdef Strips s
        cdef object top, left, pitch, rows, below = 0, item = problem.dtype.itemsize
        super().__init__(phases, algorithms)
        self.sizes, self.stride = problem.output_spatial, problem.stride
        self.phases = self.ordered(phases)
        self.strips = tuple([strips(algorithm) for algorithm in self.ordered(algorithms)])
        top, left = (min(pair[axis].begin for pair in phases) for axis in (0, 1))
        pitch = max(columns.end for _, columns in phases) - left
        for (down, _), s in zip(self.phases, self.strips, strict=True):
            below = max(below, down.begin - top + s.below)
        # The first-level cache holds the outputs too: s^2 times as many.
        strip = machine.caches().l1 // 4
        rows = max(TILE, (strip // (pitch * item) - below) // TILE * TILE)
        rows = min(rows, max(down.count for down, _ in phases))
        self.keep(((rows + below) * pitch + CYCONV_OVERREAD) * item)
        self.top, self.left, self.pitch, self.rows = top, left, pitch, rows
        for s in self.strips:
            s.cut(1, rows + below - s.below, pitch - s.right)
            s.in_runs()

    def run(self, cnp.ndarray x, packed, cnp.ndarray y, bias, clamp, int threads, double seconds,
            add=None):
        """All cells of y, from the children's `packed` weights, through the epilogue."""
        cdef Context c
        cdef Buffer memory = Buffer()
        cdef Strips s
        cdef Phase *phase
        cdef ptrdiff_t i
        c.g, c.k = self.one.placed(x, y), self.one.k
        c.x, c.y, c.e = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y), epilogue(bias, clamp, add)
        c.epilogue = epilogue_acts(&c.e)
        c.g.h.in_, c.g.w.in_ = self.sizes
        c.g.h.pad, c.g.w.pad = -self.top, -self.left
        s = self.strips[0]
        c.strip, c.rows, c.count = s.c, self.rows, len(self.phases)
        c.row_strips = ceil_div(max(rows.count for rows, _ in self.phases), c.rows)
        memory.reserve(c.count * sizeof(Phase), "phases")
        c.phases = phase = <Phase *>memory.data
        for i in range(c.count):
            self.place(i, packed[self.order[i]], &c.g, phase + i)
        # Columns of two phases, which one column has not: neighbours in `order` share their rows.
        c.together = 2 if self.stride[1] == 2 and y.shape[3] > 1 and c.g.w.y_stride == 1 else 1
        c.slabs = max(1, PIECE // max(1, c.g.K * y[0, 0].size))
        parallel_for(run_item, &c, ceil_div(c.g.slabs, c.slabs) * c.row_strips,
                     self.threads_for(threads), self.workspace_per_thread, seconds)

    cdef place(self, ptrdiff_t i, Packed packed, const geometry_t *g, Phase *phase):
        """Where phase `i` reads the strip and writes the result."""
        cdef Strips s = self.strips[i]
        rows, columns = self.phases[i]
        phase.t.runs, phase.t.start, phase.t.length = s.runs, s.start, s.length
        phase.t.row, phase.t.accumulate = s.row, 0
        phase.t.y_row = rows.step * g.h.y_stride
        phase.t.y_column = columns.step * g.w.y_stride
        phase.panels = packed.panels.data
        phase.taps = len(range(*rows.taps)) * len(range(*columns.taps))
        phase.rows, phase.columns = rows.count, columns.count
        phase.strip = (rows.begin - self.top) * self.pitch + columns.begin - self.left
        phase.y = rows.first * g.h.y_stride + columns.first * g.w.y_stride


def phases(rule, algorithms):
    """The children of `rule` in one call, or None: there is no such call for them."""
    one = rule.problem
    if (
        not rule.phases or len(rule.phases) != len(algorithms) or one.rank != 2
        or one.dtype.kind != "f" or len(algorithms) < 2
    ):
        return None
    try:
        return Phases(rule.problem, rule.phases, algorithms)
    except MemoryError:
        return None
