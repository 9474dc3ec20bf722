from cyconv.problem.sizes cimport Sizes

cdef enum:
    TILE_FILTERS = 6  # of the largest register tile: as many as there are `tile_shares`


cdef struct core_t:
    double peak       # FLOP/s
    ptrdiff_t lanes   # elements of a vector


cdef core_t core_of(Sizes s) except *
cdef double vectors(const core_t *core, ptrdiff_t columns) noexcept nogil
cdef double products(const core_t *core, ptrdiff_t filters, ptrdiff_t columns,
                     ptrdiff_t taps) noexcept nogil
cdef double copied(Sizes s) except -1
cdef double weights_once(Sizes s) except -1
cdef double roofline(Sizes s, int threads, double work, double pieces=*, double item=*,
                     double traffic=*) except -1


cdef inline ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    return (a + b - 1) // b
