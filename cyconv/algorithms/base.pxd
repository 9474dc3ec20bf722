from cyconv.runtime.memory cimport Buffer
from cyconv.kernels.kernels cimport epilogue_t, geometry_t, kernels_t


cdef class Packed:
    cdef readonly tuple arrays
    cdef readonly size_t nbytes
    cdef Buffer panels
    cdef object source  # the weights in order, for another packing; or None
    cdef Buffer last    # packed for channels that lie last, once they do
    cdef Buffer lanes   # packed for channels in the lanes of a vector, once they are


cdef class Algorithm:
    cdef geometry_t g
    cdef const kernels_t *k
    cdef readonly object problem, dtype
    cdef readonly str isa
    cdef readonly double allowed
    cdef readonly Py_ssize_t workspace_per_thread
    cdef readonly Py_ssize_t workspace_limit

    cdef check_workspace(self, needed)
    cdef geometry_t placed(self, x, y)
    cdef bint takes(self, ptrdiff_t more) noexcept
    cdef int threads_for(self, int threads)
    cdef Packed new_packed(self, size_t elements, tuple arrays)
    cdef Packed lent(self, w)


cdef in_order(w)
cdef epilogue_t epilogue(bias, clamp, add)
cdef fill(y, bias, clamp, add)
cdef epilogue_t from_row(const epilogue_t *e, ptrdiff_t row, int itemsize) noexcept nogil


cdef inline int cell_size(int cells, int size) noexcept nogil:
    """Bytes of such a cell beside elements of `size` bytes."""
    return 2 if cells else size


cdef inline ptrdiff_t pointer_table(ptrdiff_t planes) noexcept nogil:
    """Bytes of a table of planes, up to a cache line."""
    return ceil_div(planes * sizeof(void *), 64) * 64


cdef inline ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    return (a + b - 1) // b
