"""What `direct` reads from the image itself: 3 x 3 taps on one plane, and 3 x 3 outputs of a kernel
as large as the plane, which is the gradient of the former's weights (``image3`` and ``gradient3``
in kernel_table.h). A strip would cost more to copy than either has to compute.
"""

cimport numpy as cnp

from cyconv.planning.estimates cimport core_t, roofline, vectors
from cyconv.planning.rates cimport constants
from cyconv.problem.sizes cimport Sizes, axis_sizes_t
from cyconv.runtime.parallel cimport parallel_for
from cyconv.algorithms.base cimport ceil_div
from cyconv.kernels.kernels cimport epilogue_t, geometry_t, kernels_t


cnp.import_array()

cdef enum:
    PIECE = 16384  # outputs, or products for each of nine outputs, of one piece of work


cdef struct Context:
    geometry_t g
    const kernels_t *k
    const char *x
    const char *w
    char *y
    ptrdiff_t w_strides[3]  # of filters, planes and rows
    ptrdiff_t slabs, rows, row_strips  # of one piece of work; strips of rows of a slab
    epilogue_t e


cdef void image_piece(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """Some rows of some slabs."""
    cdef const Context *c = <const Context *>context
    cdef ptrdiff_t first = item // c.row_strips * c.slabs, p0 = item % c.row_strips * c.rows
    c.k.image3(&c.g, c.x, c.w, c.y, &c.e, first, min(first + c.slabs, c.g.slabs), p0,
               min(p0 + c.rows, c.g.h.out))


cdef void gradient_piece(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """All filters of some slabs."""
    cdef const Context *c = <const Context *>context
    cdef ptrdiff_t first = item * c.slabs
    c.k.gradient3(&c.g, c.x, c.w, c.w_strides, c.y, &c.e, first,
                  min(first + c.slabs, c.g.slabs), scratch)


cdef bint run_image(const kernels_t *k, const geometry_t *g, cnp.ndarray x, const char *w,
                    cnp.ndarray y, const epilogue_t *e, int threads, double seconds) except -1:
    """y by `image3`, from 9 weights of each filter; False if these arrays cannot be."""
    cdef Context c
    if not k.image3_fits(g):
        return False
    c.g, c.k, c.e = g[0], k, e[0]
    c.x, c.w, c.y = cnp.PyArray_BYTES(x), w, cnp.PyArray_BYTES(y)
    c.slabs = max(1, PIECE // (g.K * g.h.out * g.w.out))
    c.rows = min(g.h.out, max(1, PIECE // (g.K * g.w.out)))
    c.row_strips = ceil_div(g.h.out, c.rows)
    parallel_for(image_piece, &c, ceil_div(g.slabs, c.slabs) * c.row_strips, threads, 0, seconds)
    return True


cdef Py_ssize_t gradient_workspace(const kernels_t *k, const geometry_t *g) noexcept:
    """Bytes of scratch of one thread for `gradient3`; -1 if the sizes are not for it."""
    if not k.gradient3_fits(g):
        return -1
    return k.gradient3_scratch(g) * k.itemsize


cdef run_gradient(const kernels_t *k, const geometry_t *g, cnp.ndarray x, cnp.ndarray w,
                  cnp.ndarray y, const epilogue_t *e, int threads, size_t scratch, double seconds):
    """y by `gradient3`, from weights as they lie."""
    cdef Context c
    cdef cnp.npy_intp *strides = cnp.PyArray_STRIDES(w)
    cdef int i
    c.g, c.k, c.e = g[0], k, e[0]
    c.x, c.w, c.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(w), cnp.PyArray_BYTES(y)
    for i in range(3):
        c.w_strides[i] = strides[i] // k.itemsize
    c.slabs = max(1, PIECE // (g.K * g.D * g.h.kernel * g.w.kernel))
    parallel_for(gradient_piece, &c, ceil_div(g.slabs, c.slabs), threads, scratch, seconds)


cdef bint few_on_a_plane(Sizes s, int most) noexcept:
    """Whether the problem has two axes and at most `most` filters of a group."""
    return s.rank == 2 and s.K <= most


cdef bint row_fits(const axis_sizes_t *row, ptrdiff_t count, ptrdiff_t step) noexcept:
    """Whether a row of `count` windows meets at most one column of zeros on each side."""
    return 1 <= step <= 2 and row.lo <= 1 and (count - 1) * step + 2 - row.lo <= row.in_


cdef bint is_image(Sizes s) noexcept:
    """Whether the problem is for `image3`."""
    return (s.C == 1 and s.h.kernel == s.w.kernel == 3 and s.h.dilation == s.w.dilation == 1
            and s.h.stride == s.w.stride and row_fits(&s.w, s.w.out, s.w.stride))


cdef bint is_gradient(Sizes s) except -1:
    """Whether the problem is for `gradient3`."""
    return (s.h.out == s.w.out == 3 and s.h.stride == s.w.stride == 1
            and s.h.dilation == s.w.dilation
            and s.h.kernel * s.w.kernel >= constants.gradient3_taps
            and row_fits(&s.w, s.w.kernel, s.w.dilation))


cdef double work(const core_t *core, double planes, ptrdiff_t rows, ptrdiff_t columns,
                 double share) except -1:
    """Seconds of one core for nine products with each of `planes` x `rows` x `columns` elements."""
    cdef double begin = constants.plane_seconds
    return 2 * (planes * rows * vectors(core, columns) * 9) / (share * core.peak) + planes * begin


cdef double image_seconds(Sizes s, const core_t *core, int threads) except -2:
    """Predicted seconds of `image3`, or -1 if the problem is not for it."""
    cdef ptrdiff_t planes = s.N * s.G * s.K
    if not is_image(s):
        return -1
    share = constants.image3_shares[s.w.stride - 1]
    return roofline(s, threads, work(core, planes, s.h.out, s.w.out, share),
                    ceil_div(planes * s.h.out * s.w.out, PIECE))


cdef double gradient_seconds(Sizes s, const core_t *core, int threads) except -2:
    """Predicted seconds of `gradient3`, or -1 if the problem is not for it."""
    cdef ptrdiff_t planes = s.N * s.G * s.K * s.C, p = s.h.kernel, q = s.w.kernel
    if not is_gradient(s):
        return -1
    share = constants.gradient3_shares[s.w.dilation - 1]
    return roofline(s, threads, work(core, planes, p, q, share),
                    min(s.N * s.G, ceil_div(planes * p * q, PIECE)))
