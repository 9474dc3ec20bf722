cdef class Buffer:
    cdef char *data
    cdef readonly size_t size

    cdef reserve(self, size_t size, str what, size_t alignment=*)


cdef check_free(size_t size, str what)
