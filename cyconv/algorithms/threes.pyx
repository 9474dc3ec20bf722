"""What `direct` reads from the image itself: 3 x 3 taps on one plane, and 3 x 3 outputs of a kernel
as large as the plane, which is the gradient of the former's weights (``image3`` and ``gradient3``
in kernel_table.h). A strip would cost more to copy than either has to compute.
"""

cimport numpy as cnp

from cyconv.runtime.parallel cimport parallel_for
from cyconv.algorithms.base cimport ceil_div
from cyconv.kernels.kernels cimport epilogue_t, geometry_t, kernels_t

from cyconv.planning import cost

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


def few_on_a_plane(problem, most):
    """Whether the problem has two axes and at most `most` filters of a group."""
    return problem.rank == 2 and problem.filters <= most * problem.groups


def row_fits(problem, count, step):
    """Whether a row of `count` windows meets at most one column of zeros on each side."""
    before = problem.padding[1][0]
    return step in (1, 2) and before <= 1 and (count - 1) * step + 2 - before <= problem.spatial[1]


def _work(problem, planes, rows, columns, rate):
    """Seconds of one core for nine products with each of `planes` x `rows` x `columns` elements."""
    products = planes * rows * cost.vectors(problem, columns) * 9
    return 2 * products / (rate * cost.peak(problem)) + planes * cost.arithmetic.plane_seconds


def image_seconds(problem, threads):
    """Predicted seconds of `image3`, or None if the problem is not for it."""
    p, q = problem.output_spatial
    stride = problem.stride[1]
    if not (problem.w_shape[1:] == (1, 3, 3) and problem.dilation == (1, 1)
            and problem.stride[0] == stride and row_fits(problem, q, stride)):
        return None
    planes = problem.batch * problem.filters
    work = _work(problem, planes, p, q, cost.arithmetic.image3_shares[stride - 1])
    return cost.seconds(problem, threads, work, ceil_div(planes * p * q, PIECE))


def gradient_seconds(problem, threads):
    """Predicted seconds of `gradient3`, or None if the problem is not for it."""
    (p, q), step = problem.kernel, problem.dilation[1]
    if not (problem.output_spatial == (3, 3) and problem.stride == (1, 1)
            and problem.dilation[0] == step and p * q >= cost.arithmetic.gradient3_taps
            and row_fits(problem, q, step)):
        return None
    planes = problem.batch * problem.filters * problem.w_shape[1]
    work = _work(problem, planes, p, q, cost.arithmetic.gradient3_shares[step - 1])
    pieces = ceil_div(planes * p * q, PIECE)
    return cost.seconds(problem, threads, work, min(problem.batch * problem.groups, pieces))
