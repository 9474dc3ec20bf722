from cyconv.problem.sizes cimport axis_sizes_t


cdef struct decimated_t:
    ptrdiff_t kernel, out, stride  # the problem's
    ptrdiff_t dilation  # the problem's, 1 where there is but one tap
    ptrdiff_t splits    # phases of the dilation that have outputs
    ptrdiff_t phases    # phases of the stride that have taps,
    ptrdiff_t taps      # taps of the first of them,
    ptrdiff_t full      # and how many have as many


cdef decimated_t decimated_axis(const axis_sizes_t *a) noexcept nogil
cdef decimated(w, const decimated_t *rows, const decimated_t *columns)
