cimport numpy as cnp

from cyconv.kernels.kernels cimport chain_t, chains_t

# What one run of a chain needs.
cdef struct Context:
    chain_t c
    const chains_t *kernels
    const char *x
    char *y
    ptrdiff_t planes, x_plane, y_plane  # of these, bytes
    ptrdiff_t rows, columns             # of a tile's result
    ptrdiff_t row_tiles, column_tiles

cdef class Chain:
    cdef Context context
    cdef tuple branches  # whose weights are read
    cdef ptrdiff_t *places
    cdef size_t scratch
    cdef double seconds
    cdef int threads

    cdef place_taps(self)
    cdef filter(self, cnp.ndarray x, cnp.ndarray y)
