"""Zero-bordered strips of the input, and weights in blocks of planes: what `direct` and
`implicit_gemm` share.

A strip is a copy of some rows and columns of some planes, split by the stride into phases, so that
every tap (d, r, s) of neighbouring outputs is contiguous at a fixed offset (``strip_t`` in
kernel_table.h). The sum over planes is cut into blocks of planes; the weights lie as the
micro-kernel reads them, block by block.
"""

cimport numpy as cnp
from libc.stdlib cimport qsort
from libc.string cimport memcpy, memset

from cyconv.algorithms.base cimport Algorithm, Packed, ceil_div, in_order
from cyconv.kernels.kernels cimport CYCONV_CACHE_LINE, ahead_t, axis_t, geometry_t, scattered_t
from cyconv.runtime.memory cimport Buffer

from cyconv.runtime import machine
from cyconv.runtime.calls import in_elements

cnp.import_array()


cdef enum:
    WORD = sizeof(ptrdiff_t)
    LINES = 16  # that a core waits for at a time, without a stop
    TAPS = 32   # of a register tile that is long enough to fetch lines beside


cdef int ascending(const void *a, const void *b) noexcept nogil:
    cdef ptrdiff_t first = (<const ptrdiff_t *>a)[0], second = (<const ptrdiff_t *>b)[0]
    return (first > second) - (first < second)


cdef ptrdiff_t spread(const axis_t *a, taps_t *taps) noexcept nogil:
    """The phases of the stride that the taps of an axis touch, in order, and how many; and of each
    tap the place of its phase and its step along it."""
    cdef ptrdiff_t r, count = 0, low, high, middle
    while count < a.kernel and (count == 0 or count * a.dilation % a.stride):
        taps.phase[count] = count * a.dilation % a.stride
        count += 1
    qsort(taps.phase, count, sizeof(ptrdiff_t), ascending)
    for r in range(a.kernel):
        low, high = 0, count - 1
        while low < high:
            middle = (low + high) // 2
            if taps.phase[middle] < r * a.dilation % a.stride:
                low = middle + 1
            else:
                high = middle
        taps.place[r], taps.step[r] = low, r * a.dilation // a.stride
    return count


cdef class Strips:
    """The phases, sizes and tap offsets of a problem's strips; made by :func:`strips`."""

    cdef fitting(self, columns, planes, room):
        """`columns`, halved until one output row of `planes` planes fits in `room` elements."""
        rows = self.phases * (self.below + 1) * planes
        while columns > 64 and rows * (columns + self.right) > room:
            columns = (columns + 1) // 2
        return columns

    cdef cut(self, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t columns):
        """Fix the size: strips for `rows` x `columns` outputs of `planes` planes."""
        cdef ptrdiff_t d, r, s, i = 0, plane, row
        self.planes = planes
        self.c.pitch, self.c.rows = columns + self.right, rows + self.below
        self.c.filled = self.c.rows
        self.row = self.c.column_phases * self.c.pitch
        plane = self.c.row_phases * self.c.rows * self.row
        self.offsets.reserve(planes * self.R * self.S * sizeof(ptrdiff_t), "tap offsets", WORD)
        self.offset = <ptrdiff_t *>self.offsets.data
        for d in range(planes):
            for r in range(self.R):
                row = self.rows.place[r] * self.c.rows + self.rows.step[r]
                for s in range(self.S):
                    self.offset[i] = (
                        d * plane + row * self.row
                        + self.columns.place[s] * self.c.pitch + self.columns.step[s])
                    i += 1

    cdef in_runs(self):
        """Cut the taps of one plane into the runs that `stencil` reads: down the columns of the
        kernel, a phase of the stride at a time. 3 x 3 taps on one plane each by itself, in the
        order of the kernel, which `image3` has."""
        cdef ptrdiff_t d, r, s, place, last = -1, i = 0
        cdef list order = [], first = []  # rows, a phase after the other; where runs begin
        self.by_columns = self.planes > 1 or not self.R == self.S == 3
        for place in range(self.c.row_phases if self.by_columns else 0):
            for r in range(self.R):
                if self.rows.place[r] == place:
                    if last < 0 or place != self.rows.place[last] or (
                            self.rows.step[r] != self.rows.step[last] + 1):
                        first.append(len(order))
                    order.append(r)
                    last = r
        self.order = order
        first.append(self.R)
        self.runs = self.S * (len(first) - 1) if self.by_columns else self.R * self.S
        self.run_table.reserve(2 * self.planes * self.runs * sizeof(ptrdiff_t), "tap offsets", WORD)
        self.start = <ptrdiff_t *>self.run_table.data
        self.length = self.start + self.planes * self.runs
        for d in range(self.planes):
            for s in range(self.S if self.by_columns else 0):
                for begin, end in zip(first, first[1:]):
                    self.start[i] = self.offset[(d * self.R + <ptrdiff_t>order[begin]) * self.S + s]
                    self.length[i] = end - begin
                    i += 1
        for i in range(0 if self.by_columns else self.runs):
            self.start[i], self.length[i] = self.offset[i], 1

    cdef places(self):
        """(row, column) of each tap of a plane in the order of the runs."""
        cdef ptrdiff_t r, s
        if not self.by_columns:
            return [(r, s) for r in range(self.R) for s in range(self.S)]
        return [(r, s) for s in range(self.S) for r in self.order]

    cdef by_runs(self, w):
        """The weights in the order of the runs."""
        return w[..., self.order, :].swapaxes(-1, -2) if self.by_columns else w


cdef strip_bytes():
    """How large a strip may be: a share of the second-level cache, beside what else is read."""
    return machine.caches().l2 * 3 // 8


cdef Strips strips(Algorithm algorithm):
    """The strips of a problem: `phases` of the stride that its taps touch, and how many rows
    `below` and columns to the `right` of an output they reach."""
    cdef Strips s = Strips()
    cdef const geometry_t *g = &algorithm.g
    cdef ptrdiff_t *table
    algorithm.check_workspace(sizeof(ptrdiff_t) * (int(g.h.kernel) + int(g.w.kernel)))
    s.R, s.S = g.h.kernel, g.w.kernel
    s.taps, s.offsets, s.run_table = Buffer(), Buffer(), Buffer()
    s.taps.reserve(3 * (s.R + s.S) * sizeof(ptrdiff_t), "tap offsets", WORD)
    table = <ptrdiff_t *>s.taps.data
    s.rows.phase, s.rows.place, s.rows.step = table, table + s.R, table + 2 * s.R
    table += 3 * s.R
    s.columns.phase, s.columns.place, s.columns.step = table, table + s.S, table + 2 * s.S
    s.c.row_phases, s.c.column_phases = spread(&g.h, &s.rows), spread(&g.w, &s.columns)
    s.c.row_phase, s.c.column_phase = s.rows.phase, s.columns.phase
    s.phases = int(s.c.row_phases) * int(s.c.column_phases)
    s.below, s.right = int(s.rows.step[s.R - 1]), int(s.columns.step[s.S - 1])
    return s


cdef bint fetches(const geometry_t *g, int itemsize):
    """Whether the next rows of an image are fetched while products are taken: it lies beyond the
    second-level cache, and the stride skips rows. What follows in memory comes by itself."""
    return (g.h.stride > 1 and g.outer_rank == 0 and g.w.x_stride == 1
            and g.C * g.h.kernel * g.w.kernel >= TAPS
            and g.G * g.C * g.h.in_ * g.w.in_ * itemsize > machine.caches().l2 // 2)


cdef ahead_t rows_ahead(const geometry_t *g, const char *first, ptrdiff_t planes, ptrdiff_t p0,
                        ptrdiff_t rows, ptrdiff_t q0, ptrdiff_t columns, int size,
                        ptrdiff_t tiles) noexcept nogil:
    """What the outputs [p0, p0 + rows) x [q0, q0 + columns) read of `planes` from `first` on, to be
    fetched beside `tiles` register tiles."""
    cdef ahead_t a
    cdef ptrdiff_t skip = g.h.stride if g.h.kernel == 1 else 1
    cdef ptrdiff_t top = max(<ptrdiff_t>0, p0 * g.h.stride - g.h.pad)
    cdef ptrdiff_t left = max(<ptrdiff_t>0, q0 * g.w.stride - g.w.pad)
    cdef ptrdiff_t below = min(g.h.in_, (p0 + rows - 1) * g.h.stride - g.h.pad
                               + (g.h.kernel - 1) * g.h.dilation + 1)
    cdef ptrdiff_t right = min(g.w.in_, (q0 + columns - 1) * g.w.stride - g.w.pad
                               + (g.w.kernel - 1) * g.w.dilation + 1)
    memset(&a, 0, sizeof(a))
    if rows <= 0 or top >= below or left >= right:
        return a
    a.from_ = first + (top * g.h.x_stride + left) * size
    a.plane_step, a.row_step = g.x_c * size, skip * g.h.x_stride * size
    a.planes, a.rows, a.bytes = planes, ceil_div(below - top, skip), (right - left) * size
    a.lines = min(<ptrdiff_t>LINES, ceil_div(
        planes * a.rows * ceil_div(a.bytes, CYCONV_CACHE_LINE), max(<ptrdiff_t>1, tiles)))
    return a


cdef bint lies_scattered(w):
    """Whether the weights, whole elements apart, are not in order."""
    return not cnp.PyArray_CHKFLAGS(w, cnp.NPY_ARRAY_C_CONTIGUOUS) and in_elements(w)


cdef Packed pack_blocks(Algorithm algorithm, w, ptrdiff_t planes, ptrdiff_t together):
    """[group][block of planes][panel of MR filters][tap][filter], `together` filters at a time."""
    cdef geometry_t *g = &algorithm.g
    cdef ptrdiff_t taps = g.h.kernel * g.w.kernel
    cdef ptrdiff_t group, d, row, m, count, size = algorithm.k.itemsize
    cdef bint scattered = together > 1 and g.outer_rank == 0 and lies_scattered(w)
    cdef cnp.ndarray source = w if scattered else in_order(w)
    cdef Packed packed = algorithm.new_packed(cnp.PyArray_SIZE(source), ())
    cdef const char *weights = cnp.PyArray_BYTES(source)
    cdef const char *first
    cdef char *panel = packed.panels.data
    cdef scattered_t s
    if together == 1 and planes >= g.D:
        memcpy(panel, weights, source.size * size)
        return packed
    s.rows, s.columns = g.h.kernel, g.w.kernel
    s.w_filter, s.w_plane = g.D * taps, taps
    if scattered:
        s.w_filter, s.w_plane, s.w_row, s.w_column = (step // size for step in w.strides)
    with nogil:
        for group in range(g.G):
            d = 0
            while d < g.D:
                count = min(planes, g.D - d)
                row = 0
                while row < g.K:
                    m = min(together, g.K - row)
                    first = weights + ((group * g.K + row) * s.w_filter + d * s.w_plane) * size
                    s.planes = count
                    if scattered:
                        algorithm.k.pack_scattered(first, &s, m, panel)
                    else:
                        algorithm.k.pack_filters(first, s.w_filter, m, count * taps, panel)
                    panel += m * count * taps * size
                    row += m
                d += count
    return packed
