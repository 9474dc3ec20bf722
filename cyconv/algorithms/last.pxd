from cyconv.algorithms.base cimport Algorithm, Packed
from cyconv.kernels.kernels cimport epilogue_t, geometry_t

cimport numpy as cnp


cdef bint run_pixels(Algorithm a, const geometry_t *g, cnp.ndarray x, Packed packed, cnp.ndarray y,
                     const epilogue_t *e, ptrdiff_t planes, int threads, double seconds) except -1
cdef bint run_depthwise(Algorithm a, const geometry_t *g, cnp.ndarray x, Packed packed,
                        cnp.ndarray y, const epilogue_t *e, int threads, double seconds) except -1
