from cyconv.algorithms.base cimport Algorithm, Packed
from cyconv.kernels.kernels cimport geometry_t, strip_t


cdef class Strips:
    cdef strip_t c              # as the kernels read it
    cdef ptrdiff_t *offset
    cdef ptrdiff_t row, plane   # elements to the next output row; of one plane of a strip
    cdef readonly object phases, below, right
    cdef object row_phase, column_phase, offsets
    cdef object _row_steps, _row_places, _column_steps, _column_places

    cdef cut(self, planes, rows, columns)


cdef Strips strips(const geometry_t *g)
cdef Packed pack_blocks(Algorithm algorithm, w, ptrdiff_t planes, ptrdiff_t together)
