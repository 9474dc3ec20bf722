r"""im2col: patches as the columns of a matrix, and the convolution as one matrix product.

.. math:: Y_{(K \times P Q)} = W_{(K \times D R S)} \, X_{(D R S \times P Q)}, \quad
   X_{(d r s), (p q)} = x[d, p s_h + r d_h - p_h, q s_w + s d_w - p_w]

X repeats every pixel up to R*S times, so it is never built whole: a tile of neighbouring pixels at
a time is unrolled, multiplied by BLAS while it is in cache, and stored through the epilogue [1]_.

References
----------
.. [1] K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks for
   Document Processing", IWFHR 2006.
"""

cimport numpy as cnp

from cyconv.planning.estimates cimport core_of, core_t, roofline
from cyconv.planning.rates cimport constants
from cyconv.problem.sizes cimport Sizes
from cyconv.runtime.blas cimport check_room, gemm
from cyconv.runtime.parallel cimport parallel_for
from cyconv.algorithms.base cimport Algorithm as Base
from cyconv.algorithms.base cimport (
    Packed,
    ceil_div,
    cell_size,
    epilogue,
    fill,
    from_row,
    in_order,
    pointer_table,
)
from cyconv.kernels.kernels cimport epilogue_t, geometry_slab, geometry_t, kernels_t

from cyconv.planning.cost import BALANCED
from cyconv.runtime import blas, machine
from cyconv.runtime.parallel import single_threaded_blas

cnp.import_array()

# Wide enough for BLAS to reach its rate, small enough for the shared cache: about 2 MiB of columns.
cdef enum:
    MOST_PIXELS = 1024  # columns of one product: BLAS gains nothing from more
    FEWEST_PIXELS = 64  # BLAS is slow with fewer columns


cdef struct Context:
    geometry_t g
    const kernels_t *k
    const char *x
    char *y
    const char *w
    ptrdiff_t pixels  # outputs of one piece of work
    ptrdiff_t tiles   # pieces of one slab
    epilogue_t e


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One tile of pixels of one slab, all its filters."""
    cdef const Context *c = <const Context *>context
    cdef int size = c.k.itemsize
    cdef ptrdiff_t group, depth = c.g.D * c.g.h.kernel * c.g.w.kernel
    cdef ptrdiff_t l0 = item % c.tiles * c.pixels
    cdef ptrdiff_t l1 = min(l0 + c.pixels, c.g.h.out * c.g.w.out)
    cdef const char **planes = <const char **>scratch
    cdef char *columns = scratch + pointer_table(c.g.D)
    cdef char *block = columns + depth * c.pixels * size
    cdef ptrdiff_t start = geometry_slab(
        &c.g, item // c.tiles, c.x, cell_size(c.g.x_cells, size), planes, &group)
    cdef epilogue_t e = from_row(&c.e, group * c.g.K, size)
    c.k.patches(&c.g, planes, l0, l1, columns, c.pixels)
    gemm(size == 8, c.g.K, l1 - l0, depth, c.w + group * c.g.K * depth * size, depth, columns,
         c.pixels, block, c.pixels)
    c.k.store_pixels(&c.g, block, c.pixels, l0, l1,
                     c.y + start * cell_size(c.g.y_cells, size), &e)


cdef class Algorithm(Base):
    """Patches into columns, then BLAS; see the module."""

    name = "im2col"
    cdef ptrdiff_t pixels

    @classmethod
    def supports(cls, problem):
        """Any problem whose patch fits BLAS's 32-bit sizes."""
        if problem.dtype.kind != "f":
            return f"im2col needs float32 or float64, which BLAS has, got {problem.dtype}"
        if problem.parameters // problem.filters >= 2**31 or problem.filters >= 2**31:
            return "im2col needs C/groups * prod(kernel) and K under 2**31, for BLAS"
        return None

    @staticmethod
    def least(problem):
        """Seconds of any call: BLAS is held to one thread."""
        return constants.call_seconds + constants.blas_seconds

    @classmethod
    def cost(cls, problem, threads, allowed=BALANCED):
        """Seconds: patches into columns, their product at BLAS's rate, and the way back."""
        cdef Sizes s = problem.sizes
        cdef core_t core = core_of(s)
        cdef double pixels = s.N * s.outer * s.h.out * s.w.out
        cdef double share = constants.blas_share, each = constants.blas_filter_share
        cdef double element = constants.patch_seconds[s.w.stride > 1]
        cdef double few = 1 + constants.blas_pixels * s.N / max(1.0, pixels)
        cdef double work = s.flops / (core.peak * min(share, each * s.K)) * few
        work += element * pixels * s.taps * s.G
        work += (constants.store_seconds * pixels * (s.K * s.G)
                 + constants.blas_seconds)
        return roofline(s, threads, work, s.N * s.G)

    def layout(self):
        """Pixels of one tile: bounded columns and results."""
        size = self.k.itemsize
        depth = self.g.D * self.g.h.kernel * self.g.w.kernel
        fixed = pointer_table(self.g.D)
        per_pixel = max(1, (depth + self.g.K) * size)
        best = max(FEWEST_PIXELS, min(MOST_PIXELS, machine.caches().l3 // 16 // per_pixel))
        allowed = max(1, (self.workspace_limit - fixed) // per_pixel)
        self.pixels = max(1, min(best, allowed, self.g.h.out * self.g.w.out))
        needed = fixed + self.pixels * per_pixel
        self.check_workspace(needed)
        self.workspace_per_thread = needed

    def stores(self, dtype, out_dtype):
        """Cells are converted as they are unrolled and stored."""
        return True

    def pack(self, w):
        """The weights as the matrix W."""
        cdef Packed packed = self.new_packed(0, (in_order(w),))
        packed.nbytes = packed.arrays[0].nbytes
        return packed

    def run(self, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, int threads,
            double seconds, add=None):
        """y = x correlated with the packed weights, through the epilogue."""
        cdef Context c
        cdef cnp.ndarray w = packed.arrays[0]
        if self.g.D == 0:
            return fill(y, bias, clamp, add)
        c.g = self.placed(x, y)
        c.k, c.x, c.y = self.k, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
        c.w = cnp.PyArray_BYTES(w)
        c.pixels = self.pixels
        c.tiles = ceil_div(c.g.h.out * c.g.w.out, c.pixels)
        c.e = epilogue(bias, clamp, add)
        threads = min(self.threads_for(threads), c.g.slabs * c.tiles)
        blas.load()
        check_room(threads, threads * self.workspace_per_thread)
        with single_threaded_blas():
            parallel_for(run_item, &c, c.g.slabs * c.tiles, threads,
                         self.workspace_per_thread, seconds)
