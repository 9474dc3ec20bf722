cimport numpy as cnp

from cyconv.algorithms.base cimport Algorithm, Packed
from cyconv.algorithms.strips cimport Strips
from cyconv.kernels.kernels cimport (
    epilogue_t,
    geometry_t,
    kernels_t,
    pair_source_t,
    pair_target_t,
    pairs,
    plane_t,
    strip_t,
)


cdef struct Context:
    geometry_t g             # of x as it is stored, D in planes
    const kernels_t *k
    const pairs *p
    strip_t strip
    pair_source_t source
    pair_target_t target
    const char *x
    char *y
    int x_size, y_size       # bytes
    const char *panels
    ptrdiff_t *offset        # of tap (d, r, s) in the strip, d in one block of pairs
    ptrdiff_t row            # elements of the strip to the next output row
    ptrdiff_t below          # rows of the strip that the taps reach below an output's first
    ptrdiff_t D, taps        # planes of pairs, and taps of one
    ptrdiff_t planes         # of pairs, that are summed at a time
    ptrdiff_t rows, columns, filters  # of outputs, in one piece of work
    ptrdiff_t row_strips, column_strips, chunks
    ptrdiff_t group, panel   # pixels that are gathered at a time; elements of one panel
    size_t at_rows, at_panel, at_strip, at_sums  # in the scratch
    plane_t plane            # how rows of one plane are copied,
    ptrdiff_t together       # and of how many planes
    size_t copy_bytes, out_bytes  # of one of them
    ptrdiff_t block          # filters that are summed at a time
    bint blocked             # where their sums over all planes are; the pixels are copied once
    bint gathered, pointwise
    bint flat                # rows of outputs follow each other where the sums are
    bint rounded             # the sums are not y
    epilogue_t e


cdef class Pairs(Algorithm):
    cdef const pairs *p
    cdef Strips strips
    cdef pair_source_t source
    cdef ptrdiff_t depth            # planes of x
    cdef ptrdiff_t planes, rows, columns, group
    cdef size_t at_rows, at_panel, at_strip, at_sums
    cdef bint pointwise, gathered, blocked, of_plane, of_lanes
    cdef plane_t plane
    cdef ptrdiff_t together
    cdef size_t copy_bytes, out_bytes

    cdef bint lay_out_lanes(self) except -1
    cdef lay_out_plane(self, ptrdiff_t taps)
    cdef size_t plane_scratch(self, ptrdiff_t taps, ptrdiff_t rows)
    cdef odd(self)
    cdef filters(self)
    cdef begin(self, Context *c, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, add,
               zero, target)
    cdef geometry_t placed_stored(self, cnp.ndarray x, cnp.ndarray y)


cdef void deliver(const Context *c, ptrdiff_t filter, ptrdiff_t n, const char *sums,
                  char *y) noexcept nogil
cdef join(w, int axis)
