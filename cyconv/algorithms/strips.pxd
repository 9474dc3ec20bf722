from cyconv.algorithms.base cimport Algorithm, Packed
from cyconv.kernels.kernels cimport strip_t


cdef class Strips:
    cdef strip_t c              # as the kernels read it
    cdef ptrdiff_t *offset
    cdef ptrdiff_t row  # elements to the next output row
    cdef object phases, below, right, planes, taps
    cdef ptrdiff_t runs            # of one plane's taps, see `in_runs`
    cdef ptrdiff_t *start
    cdef ptrdiff_t *length
    cdef object _starts, _lengths, _rows
    cdef object row_phase, column_phase, offsets
    cdef object _row_steps, _row_places, _column_steps, _column_places

    cdef fitting(self, columns, planes, room)
    cdef cut(self, planes, rows, columns)
    cdef in_runs(self)
    cdef by_runs(self, w)


cdef strip_bytes()
cdef Strips strips(Algorithm algorithm)
cdef bint lies_scattered(w)
cdef Packed pack_blocks(Algorithm algorithm, w, ptrdiff_t planes, ptrdiff_t together)
