from cyconv.algorithms.base cimport Algorithm, Packed
from cyconv.kernels.kernels cimport ahead_t, geometry_t, run_t, strip_t
from cyconv.runtime.memory cimport Buffer


cdef enum:
    MOST_RUNS = 64  # runs of pixels in one panel: no table has a wider NR


cdef struct taps_t:
    ptrdiff_t *phase  # those of the stride that taps touch, in order
    ptrdiff_t *place  # of each tap: its phase among them,
    ptrdiff_t *step   # and how far it is along that phase


cdef class Strips:
    cdef strip_t c              # as the kernels read it
    cdef ptrdiff_t *offset      # of tap (d, r, s)
    cdef ptrdiff_t row          # elements to the next output row
    cdef object phases, below, right
    cdef ptrdiff_t planes, R, S
    cdef taps_t rows, columns
    cdef bint by_columns        # runs go down the columns of the kernel, its rows in this `order`
    cdef list order
    cdef ptrdiff_t runs         # of one plane's taps, see `in_runs`
    cdef ptrdiff_t *start
    cdef ptrdiff_t *length
    cdef Buffer taps, offsets, run_table

    cdef fitting(self, columns, planes, room)
    cdef cut(self, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t columns)
    cdef in_runs(self)
    cdef places(self)
    cdef by_runs(self, w)


cdef strip_bytes()
cdef Strips strips(Algorithm algorithm)
cdef bint lies_scattered(w)
cdef Packed pack_blocks(Algorithm algorithm, w, ptrdiff_t planes, ptrdiff_t together)
cdef bint fetches(const geometry_t *g, int itemsize)
cdef ahead_t rows_ahead(const geometry_t *g, const char *first, ptrdiff_t planes, ptrdiff_t p0,
                        ptrdiff_t rows, ptrdiff_t q0, ptrdiff_t columns, int size,
                        ptrdiff_t tiles) noexcept nogil


cdef inline ptrdiff_t find_runs(ptrdiff_t first, ptrdiff_t n, ptrdiff_t columns, ptrdiff_t row,
                                run_t *runs) noexcept nogil:
    """The outputs [first, first + n), counted flat over rows of `columns`, as runs in the strip."""
    cdef ptrdiff_t count = 0, at = 0, q
    while at < n:
        q = (first + at) % columns
        runs[count].start = (first + at) // columns * row + q
        runs[count].length = min(n - at, columns - q)
        at += runs[count].length
        count += 1
    return count
