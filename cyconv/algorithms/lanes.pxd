from cyconv.algorithms.base cimport Algorithm, Packed
from cyconv.algorithms.strips cimport Strips
from cyconv.kernels.kernels cimport epilogue_t, geometry_t

cimport numpy as cnp


cdef Py_ssize_t lanes_workspace(Algorithm a) except -2
cdef bint run_lanes(Algorithm a, Strips strips, const geometry_t *g, cnp.ndarray x, Packed packed,
                    cnp.ndarray y, const epilogue_t *e, int threads, double seconds) except -1
