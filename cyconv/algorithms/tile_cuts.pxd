from cyconv.kernels.kernels cimport spectra_t, tile_t
from cyconv.problem.sizes cimport Sizes

cdef enum:
    AXES = 3
    LINE = 64  # bytes of a cache line, by which rows are apart that share no set


cdef struct cut_t:
    ptrdiff_t[AXES] lengths, outputs, counts
    tile_t tile  # as the kernels take it, without its tables
    double seconds, seconds_of_one, bytes, spectra_bytes


cdef struct rates_t:
    double point, stage, column, product, far, near, begin, bandwidth


cdef class TileCut:
    cdef Sizes s
    cdef const spectra_t *k
    cdef ptrdiff_t lanes
    cdef int depth                # axes that are cut: the last ones
    cdef cut_t best
    cdef readonly object problem, isa
    cdef readonly ptrdiff_t lines, pairs  # of one group: along the other axes; of each such line

    cdef bint lay(self, problem, isa, double limit) except -1
    cdef double price(self, cut_t *cut, const rates_t *rates) noexcept
    cdef double bytes_of(self, const cut_t *cut) noexcept
    cdef bint find(self, double limit) except -1
    cdef void cut_axis(self, cut_t *cut, int a, ptrdiff_t length) noexcept
    cdef bint lay_out(self, cut_t *cut) noexcept
