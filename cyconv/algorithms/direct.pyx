r"""Direct: the defining sum over the image itself.

.. math:: y[k, p, q] = \sum_{d, r, s} w[k, d, r, s] \,
   x[d, p s_h + r d_h - p_h, q s_w + s d_w - p_w]

Rows of the input are copied once into a zero-bordered strip, split by the stride into phases, so
that every tap (d, r, s) of neighbouring outputs is one contiguous vector at a fixed offset. The
micro-kernel then walks the taps through a table of those offsets: no patch is ever built.
"""

cimport numpy as cnp

from cyconv._parallel cimport parallel_for
from cyconv.algorithms.base cimport Algorithm as Base
from cyconv.algorithms.base cimport Packed, ceil_div, epilogue, fill, from_row
from cyconv.kernels.kernels cimport (
    CYCONV_MR,
    CYCONV_OVERREAD,
    epilogue_t,
    geometry_slab,
    geometry_t,
    kernels_t,
    strip_t,
)

from dataclasses import replace
from math import prod

import numpy as np

from cyconv import choose

cnp.import_array()

# A strip stays in half of a 512 KiB second-level cache beside the panels of weights.
cdef enum:
    STRIP_BYTES = 192 << 10
    COLUMNS = 1024


cdef struct Context:
    geometry_t g
    const kernels_t *k
    strip_t strip
    const char *x
    char *y
    const char *panels
    const ptrdiff_t *offset  # of tap (d, r, s) in the strip, d in one block of planes
    ptrdiff_t row            # elements of the strip to the next output row
    ptrdiff_t planes, rows, columns, filters  # of one item; planes at a time
    ptrdiff_t row_strips, column_strips, chunks
    epilogue_t e


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One strip of outputs, rows x columns, of a chunk of the filters of one slab."""
    cdef const Context *c = <const Context *>context
    cdef const kernels_t *k = c.k
    cdef int size = k.itemsize
    cdef ptrdiff_t group, d, count, i, p, row, m, taps = c.g.h.kernel * c.g.w.kernel
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t last = min(first + c.filters, c.g.K)
    cdef ptrdiff_t q0 = item // c.chunks % c.column_strips * c.columns
    cdef ptrdiff_t n = min(c.columns, c.g.w.out - q0)
    cdef ptrdiff_t p0 = item // (c.chunks * c.column_strips) % c.row_strips * c.rows
    cdef ptrdiff_t p1 = min(p0 + c.rows, c.g.h.out)
    cdef const char **planes = <const char **>scratch
    cdef char *strip = scratch + c.g.D * sizeof(void *)
    cdef ptrdiff_t start = geometry_slab(
        &c.g, item // (c.chunks * c.column_strips * c.row_strips), c.x, size, planes, &group)
    cdef char *y = c.y + (start + q0 * c.g.w.y_stride) * size
    cdef const char *panel
    cdef epilogue_t e
    d = 0
    while d < c.g.D:
        count = min(c.planes, c.g.D - d)
        k.fill_strip(&c.g, &c.strip, planes + d, count, p0, q0, strip)
        for i in range(ceil_div(last - first, CYCONV_MR)):
            row = first + i * CYCONV_MR
            m = min(<ptrdiff_t>CYCONV_MR, last - row)
            panel = c.panels + (group * c.g.D + d) * c.g.K * taps * size
            panel += row * count * taps * size
            e = from_row(&c.e, group * c.g.K + row, size)
            for p in range(p0, p1):
                k.multiply(
                    m, n, count * taps, panel, strip + (p - p0) * c.row * size, 0, c.offset,
                    y + (row * c.g.y_k + p * c.g.h.y_stride) * size, c.g.y_k, c.g.w.y_stride,
                    d > 0, &e if d + count == c.g.D else NULL)
        d += count


cdef class Algorithm(Base):
    """The defining sum; see the module."""

    name = "direct"
    cdef strip_t strip
    cdef ptrdiff_t row, planes, rows, columns, filters
    cdef object row_phase, column_phase, offset

    @classmethod
    def supports(cls, problem):
        """Any problem."""
        return None

    @classmethod
    def cost(cls, problem, threads):
        """Seconds: register tiles row by row, the strips they read, the weights once."""
        *above, q = problem.output_spatial
        rows = problem.batch * problem.groups * prod(above)
        filters, taps = problem.filters // problem.groups, prod(problem.w_shape[1:])
        copy = choose.COPY[problem.stride[-1] > 1] * prod(problem.x_shape)
        weights = problem.parameters * problem.dtype.itemsize / choose.WEIGHTS
        work = rows * choose.products(problem, filters, q, taps) + copy + weights
        return choose.seconds(problem, threads, work, problem.batch * problem.groups)

    @classmethod
    def error_bound(cls, problem):
        """Error relative to direct summation: it is the yardstick."""
        return 1.0

    def layout(self):
        """Rows, columns and planes of a strip that fit; filters so that threads find work."""
        cdef object below, right, fixed, room, phases, columns, one, planes, rows, needed
        h, w = self.g.h, self.g.w
        self.check_workspace(sizeof(ptrdiff_t) * (int(h.kernel) + int(w.kernel)))
        row_steps, row_phases = np.divmod(np.arange(h.kernel) * h.dilation, h.stride)
        column_steps, column_phases = np.divmod(np.arange(w.kernel) * w.dilation, w.stride)
        self.row_phase, row_places = np.unique(row_phases, return_inverse=True)
        self.column_phase, column_places = np.unique(column_phases, return_inverse=True)
        self.strip.row_phases = len(self.row_phase)
        self.strip.column_phases = len(self.column_phase)
        self.strip.row_phase = <const ptrdiff_t *>cnp.PyArray_DATA(self.row_phase)
        self.strip.column_phase = <const ptrdiff_t *>cnp.PyArray_DATA(self.column_phase)
        below, right = int(row_steps[-1]), int(column_steps[-1])  # the taps' reach
        fixed = self.g.D * sizeof(void *) + CYCONV_OVERREAD * self.k.itemsize
        room = max(min(STRIP_BYTES, self.workspace_limit - fixed), 1) // self.k.itemsize
        phases = self.strip.row_phases * self.strip.column_phases
        columns = max(1, min(w.out, max(COLUMNS, 2 * right)))
        while columns > 64 and phases * (columns + right) * (below + 1) > room:
            columns = (columns + 1) // 2
        one = phases * (columns + right)  # elements of one strip row of one plane
        planes = max(1, min(self.g.D, room // (one * (below + 1))))
        rows = max(1, min(h.out, room // (one * planes) - below))
        needed = fixed + planes * one * (rows + below) * self.k.itemsize
        table = planes * int(h.kernel) * int(w.kernel) * sizeof(ptrdiff_t)
        self.check_workspace(needed + table)
        self.workspace_per_thread = needed
        self.columns, self.planes, self.rows = columns, planes, rows
        self.strip.pitch, self.strip.rows = columns + right, rows + below
        self.row = self.strip.column_phases * self.strip.pitch
        plane = one * self.strip.rows
        self.offset = np.ascontiguousarray(
            np.arange(self.planes)[:, None, None] * plane
            + ((row_places * self.strip.rows + row_steps) * self.row)[:, None]
            + (column_places * self.strip.pitch + column_steps), np.intp)
        items = self.g.slabs * ceil_div(h.out, self.rows) * ceil_div(w.out, self.columns)
        self.filters = choose.chunk(self.g.K, CYCONV_MR, items)

    def pack(self, w):
        """Panels of MR filters: [group][block of planes][panel][tap][filter]."""
        cdef ptrdiff_t taps = self.g.h.kernel * self.g.w.kernel
        cdef ptrdiff_t group, d, count, i, row, m, size = self.k.itemsize
        cdef cnp.ndarray dense = np.ascontiguousarray(w)
        cdef Packed packed = self.new_packed(dense.size, ())
        cdef const char *weights = cnp.PyArray_BYTES(dense)
        cdef char *panel = packed.panels.data
        cdef ptrdiff_t w_row = self.g.D * taps
        with nogil:
            for group in range(self.g.G):
                d = 0
                while d < self.g.D:
                    count = min(self.planes, self.g.D - d)
                    for i in range(ceil_div(self.g.K, CYCONV_MR)):
                        row = i * CYCONV_MR
                        m = min(<ptrdiff_t>CYCONV_MR, self.g.K - row)
                        self.k.pack_panel(
                            weights + ((group * self.g.K + row) * w_row + d * taps) * size,
                            w_row, m, count * taps, panel)
                        panel += m * count * taps * size
                    d += count
        return packed

    def run(self, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, int threads,
            double seconds):
        """y = x correlated with the packed weights, through the epilogue."""
        cdef Context c
        if self.g.D == 0:
            return fill(y, bias, clamp)
        c.g = self.placed(x, y)
        c.k, c.strip, c.x, c.y = self.k, self.strip, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
        c.panels = packed.panels.data
        c.offset = <const ptrdiff_t *>cnp.PyArray_DATA(self.offset)
        c.row, c.planes, c.rows = self.row, self.planes, self.rows
        c.columns, c.filters = self.columns, self.filters
        c.row_strips = ceil_div(c.g.h.out, c.rows)
        c.column_strips = ceil_div(c.g.w.out, c.columns)
        c.chunks = ceil_div(c.g.K, c.filters)
        c.e = epilogue(bias, clamp)
        parallel_for(run_item, &c, c.g.slabs * c.row_strips * c.column_strips * c.chunks,
                     self.threads_for(threads), self.workspace_per_thread, seconds)


def repair(problem, isa, x, w, y, images, bias, clamp, threads, seconds):
    """Compute the marked images again, where another algorithm spread a non-finite value."""
    one = replace(problem, x_shape=(1, *problem.x_shape[1:]))
    direct = Algorithm(one, isa=isa)
    packed = direct.pack(w)
    for n in np.flatnonzero(images):
        direct.run(x[n : n + 1], packed, y[n : n + 1], bias, clamp, threads, seconds)
