"""The closed formulas that algorithms state their costs with, in C: nothing is laid out for them.

The constants are those of :mod:`cyconv.planning.rates`.
"""

import threading

from libc.math cimport ceil

from cyconv.kernels.kernels cimport kernels_for
from cyconv.planning.rates cimport constants, peak

import cyconv.kernels

_here = threading.local()


cdef class estimates_of:
    """This thread's estimates are those of one instruction set, whichever others choose now."""

    cdef object isa, before

    def __init__(self, isa):
        self.isa = isa

    def __enter__(self):
        self.before = getattr(_here, "isa", None)
        _here.isa = self.isa

    def __exit__(self, *_):
        _here.isa = self.before


def planned_isa():
    """The instruction set that this thread plans for, or the one in use."""
    return getattr(_here, "isa", None) or cyconv.kernels.isa()


cdef core_t core_of(Sizes s) except *:
    """One core with the problem's dtype, in the instruction set that is planned for or in use."""
    cdef core_t core
    isa = planned_isa()
    core.peak = (constants.integer_share if s.integer else 1.0) * peak(isa) * 4 / s.itemsize
    core.lanes = kernels_for(isa, s.dtype).lanes
    return core


cdef double vectors(const core_t *core, ptrdiff_t columns) noexcept nogil:
    """How many whole vectors hold `columns` elements, in elements."""
    return ceil_div(max(<ptrdiff_t>1, columns), core.lanes) * core.lanes


cdef double products(const core_t *core, ptrdiff_t filters, ptrdiff_t columns,
                     ptrdiff_t taps) noexcept nogil:
    """Seconds of one core for ``multiply`` over (filters x taps) (taps x columns)."""
    cdef ptrdiff_t full = filters // TILE_FILTERS, rest = filters % TILE_FILTERS
    cdef ptrdiff_t few = columns % core.lanes
    cdef double rows = full * TILE_FILTERS / constants.tile_shares[TILE_FILTERS - 1]
    cdef double padded = vectors(core, columns), tiles
    if rest:
        rows += rest / constants.tile_shares[rest - 1]
    if filters >= TILE_FILTERS and 0 < few <= core.lanes // 2:  # filters lie in the lanes
        padded = columns - few + core.lanes / 4.0 + 1.5 * few
    tiles = ceil_div(filters, TILE_FILTERS) * ceil(padded / vectors(core, 9))
    return 2 * rows * padded * taps / core.peak + tiles * constants.tile_seconds


cdef double copied(Sizes s) except -1:
    """Seconds of one core to copy the pixels that a tap touches into strips."""
    cdef double rows = s.h.in_ * min(1.0, <double>s.h.kernel / s.h.stride)
    cdef double columns = s.w.in_ * min(1.0, <double>s.w.kernel / s.w.stride)
    cdef double pixel = constants.pixel_seconds[s.w.stride > 1], row = constants.row_seconds
    cdef double planes = s.N * s.G * s.C
    cdef int i
    for i in range(s.rank - 2):
        planes *= s.axes[i].in_
    return planes * rows * (pixel * columns + row)


cdef double weights_once(Sizes s) except -1:
    """Seconds of one core to read packed weights that it uses once."""
    return s.parameters * <double>s.itemsize / constants.weights_bandwidth


cdef double roofline(Sizes s, int threads, double work, double pieces=1, double item=-1,
                     double traffic=-1) except -1:
    """Time of `work` seconds of one core in `pieces`, or of memory: nearly the longer one.

    `item` is the time to begin one piece, by default ``calls.piece_seconds``. `traffic` is in
    bytes, by default those of the problem's arrays.
    """
    cdef double moving, call = constants.call_seconds, shown = constants.shown_share
    if item < 0:
        item = constants.piece_seconds
    work += item * pieces
    work /= max(1.0, min(<double>threads, pieces))
    moving = (s.bytes if traffic < 0 else traffic) / constants.bandwidth
    return call + max(work, moving) + shown * min(work, moving)
