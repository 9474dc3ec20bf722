from cyconv.algorithms.base cimport Algorithm, Packed
from cyconv.kernels.kernels cimport strip_t


cdef class Strips:
    cdef strip_t c              # as the kernels read it
    cdef ptrdiff_t *offset
    cdef ptrdiff_t row  # elements to the next output row
    cdef object phases, below, right
    cdef object row_phase, column_phase, offsets
    cdef object _row_steps, _row_places, _column_steps, _column_places

    cdef fitting(self, columns, planes, room)
    cdef cut(self, planes, rows, columns)


cdef Strips strips(Algorithm algorithm)
cdef Packed pack_blocks(Algorithm algorithm, w, ptrdiff_t planes, ptrdiff_t together)
