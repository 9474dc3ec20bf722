"""Zero-bordered strips of the input, and weights in blocks of planes: what `direct` and
`implicit_gemm` share.

A strip is a copy of some rows and columns of some planes, split by the stride into phases, so that
every tap (d, r, s) of neighbouring outputs is contiguous at a fixed offset (``strip_t`` in
kernel_table.h). The sum over planes is cut into blocks of planes; the weights lie as the
micro-kernel reads them, block by block.
"""

cimport numpy as cnp
from libc.string cimport memcpy

from cyconv.algorithms.base cimport Algorithm, Packed, in_order
from cyconv.kernels.kernels cimport geometry_t, scattered_t

import numpy as np

from cyconv.runtime import machine
from cyconv.runtime.calls import in_elements

cnp.import_array()


cdef class Strips:
    """The phases, sizes and tap offsets of a problem's strips; made by :func:`strips`."""

    cdef fitting(self, columns, planes, room):
        """`columns`, halved until one output row of `planes` planes fits in `room` elements."""
        rows = self.phases * (self.below + 1) * planes
        while columns > 64 and rows * (columns + self.right) > room:
            columns = (columns + 1) // 2
        return columns

    cdef cut(self, planes, rows, columns):
        """Fix the size: strips for `rows` x `columns` outputs of `planes` planes."""
        self.c.pitch, self.c.rows = columns + self.right, rows + self.below
        self.c.filled = self.c.rows
        self.row = self.c.column_phases * self.c.pitch
        plane = self.c.row_phases * self.c.rows * self.row
        self.offsets = np.ascontiguousarray(
            np.arange(planes)[:, None, None] * plane
            + ((self._row_places * self.c.rows + self._row_steps) * self.row)[:, None]
            + (self._column_places * self.c.pitch + self._column_steps), np.intp)
        self.offset = <ptrdiff_t *>cnp.PyArray_DATA(self.offsets)

    cdef in_runs(self):
        """Cut the taps of one plane into the runs that `stencil` reads: down the columns of the
        kernel, a phase of the stride at a time. 3 x 3 taps on one plane each by itself, in the
        order of the kernel, which `image3` has."""
        by_columns = self.planes > 1 or self.taps != (3, 3)
        places, steps = self._row_places, self._row_steps
        self._rows = np.lexsort((steps, places)) if by_columns else None
        if by_columns:
            apart = (np.diff(steps[self._rows]) != 1) | (np.diff(places[self._rows]) != 0)
            first = np.flatnonzero(np.concatenate(([True], apart)))
            starts = self.offsets[:, self._rows[first]].swapaxes(1, 2)
            lengths = np.diff(np.append(first, len(steps)))
        else:
            starts, lengths = self.offsets, np.ones(1)
        self._starts = np.ascontiguousarray(starts, np.intp)
        self._lengths = np.ascontiguousarray(np.broadcast_to(lengths, starts.shape), np.intp)
        self.runs = self._starts.size // len(self.offsets)
        self.start = <ptrdiff_t *>cnp.PyArray_DATA(self._starts)
        self.length = <ptrdiff_t *>cnp.PyArray_DATA(self._lengths)

    cdef by_runs(self, w):
        """The weights in the order of the runs."""
        return w if self._rows is None else w[..., self._rows, :].swapaxes(-1, -2)


cdef strip_bytes():
    """How large a strip may be: a share of the second-level cache, beside what else is read."""
    return machine.caches().l2 * 3 // 8


cdef Strips strips(Algorithm algorithm):
    """The strips of a problem: `phases` of the stride that its taps touch, and how many rows
    `below` and columns to the `right` of an output they reach."""
    cdef Strips s = Strips()
    cdef const geometry_t *g = &algorithm.g
    algorithm.check_workspace(sizeof(ptrdiff_t) * (int(g.h.kernel) + int(g.w.kernel)))
    s.planes, s.taps = g.D, (g.h.kernel, g.w.kernel)
    s._row_steps, row_phases = np.divmod(np.arange(g.h.kernel) * g.h.dilation, g.h.stride)
    s._column_steps, column_phases = np.divmod(np.arange(g.w.kernel) * g.w.dilation, g.w.stride)
    s.row_phase, s._row_places = np.unique(row_phases, return_inverse=True)
    s.column_phase, s._column_places = np.unique(column_phases, return_inverse=True)
    s.c.row_phases, s.c.column_phases = len(s.row_phase), len(s.column_phase)
    s.c.row_phase = <const ptrdiff_t *>cnp.PyArray_DATA(s.row_phase)
    s.c.column_phase = <const ptrdiff_t *>cnp.PyArray_DATA(s.column_phase)
    s.phases = int(s.c.row_phases) * int(s.c.column_phases)
    s.below, s.right = int(s._row_steps[-1]), int(s._column_steps[-1])
    return s


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
