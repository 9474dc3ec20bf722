cimport numpy as cnp

from cyconv.kernels.kernels cimport (
    epilogue_t,
    geometry_t,
    pair_source_t,
    pair_target_t,
    pairs,
)


cdef struct Lanes:
    geometry_t g                 # of x as it is stored
    const pairs *p
    pair_source_t source
    const pair_target_t *target  # or NULL
    epilogue_t e
    const char *x
    const char *w
    char *y
    ptrdiff_t x_size, y_size     # bytes
    ptrdiff_t together           # blocks of channels, of one piece of work


cdef rows_of_pairs(cnp.ndarray w, ptrdiff_t lanes)
cdef int run_lanes(Lanes *c, int threads, size_t workspace, double seconds) except -1
