from cyconv.algorithms.base cimport Algorithm


cdef class Together:
    cdef readonly Py_ssize_t workspace_per_thread
    cdef Algorithm one
    cdef tuple order

    cdef tuple ordered(self, things)
    cdef keep(self, needed)
    cdef int threads_for(self, int threads)
