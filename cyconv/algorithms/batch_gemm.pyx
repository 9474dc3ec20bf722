r"""Batch GEMM: implicit GEMM whose columns are the output pixels of all images together.

.. math:: Y_{(K \times N P Q)} = W_{(K \times D R S)} \, X_{(D R S \times N P Q)}

For few pixels and large kernels, which is what the gradient of the weights is: there the channels
are the images, the output's gradient is the kernel, and the pixels are the taps of the weights. A
panel of NR columns is filled a kernel row at a time, each column from its own image:

    x --kernel rows of NR columns, transposed--> panel (taps x NR) --micro-kernel--> y

The sum runs over blocks of whole kernel rows in a fixed order.
"""

cimport numpy as cnp
from libc.math cimport ceil
from libc.string cimport memcpy

from cyconv.planning.estimates cimport (
    core_of,
    core_t,
    products,
    roofline,
    vectors,
    weights_once,
)
from cyconv.planning.rates cimport constants
from cyconv.problem.sizes cimport Sizes
from cyconv.runtime.parallel cimport divide, parallel_for, piece_t
from cyconv.algorithms.base cimport Algorithm as Base
from cyconv.algorithms.base cimport Packed, ceil_div, epilogue, fill, from_row, in_order
from cyconv.kernels.kernels cimport (
    CYCONV_MR,
    CYCONV_OVERREAD,
    epilogue_t,
    geometry_t,
    kernels_t,
    valid_range,
)

from cyconv.planning.cost import BALANCED

cdef enum:
    TAPS = 256      # taps of one block, about; the block decides the order of a sum, so it is fixed
    FILTERS = 480   # filters of one block of weights, which stays in a second-level cache
    PANELS = 6      # panels of one piece of work
    MOST_NR = 64    # no table has a wider NR
    TAPS_PER_PIXEL = 4
    FEW_PLANES = 32

# In the time of one product of a vector of pixels with MR weights, of one tap: to gather it, and to
# read the weights.
cdef double GATHER = 3.0
cdef double READ = 0.7


cdef struct Context:
    geometry_t g
    const kernels_t *k
    const char *x
    char *y
    const char *panels
    ptrdiff_t rows              # kernel rows of one block
    ptrdiff_t limit             # kernel rows that no block crosses a multiple of
    ptrdiff_t columns, filters  # of one piece of work
    ptrdiff_t blocks, chunks    # of all columns, and of all filters
    bint contiguous             # columns are neighbours in y
    bint whole                  # kernel rows follow each other in x: the kernel is the image
    bint follow                 # and so do the planes
    epilogue_t e


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """Some panels of columns of one group, for one chunk of its filters."""
    cdef const Context *c = <const Context *>context
    cdef const kernels_t *k = c.k
    cdef const geometry_t *g = &c.g
    cdef geometry_t wide = c.g  # of some kernel rows as one
    cdef int size = k.itemsize
    cdef ptrdiff_t nr = k.nr, S = g.w.kernel, R = g.h.kernel, pixels = g.h.out * g.w.out
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t last = min(first + c.filters, g.K)
    cdef ptrdiff_t group = item // (c.chunks * c.blocks)
    cdef ptrdiff_t j0 = item // c.chunks % c.blocks * c.columns
    cdef ptrdiff_t columns = min(g.N * pixels, j0 + c.columns)
    cdef ptrdiff_t all_rows = g.D * R, block, count, together, i, j, n, d, r, h, m, f, pixel, ldb
    cdef char *panel = scratch
    cdef char *rows_copy = panel + ((c.rows * S + k.lanes) * nr + CYCONV_OVERREAD) * size
    cdef const char *rows[MOST_NR]
    cdef const char *images[MOST_NR]
    cdef ptrdiff_t begin[MOST_NR]
    cdef ptrdiff_t end[MOST_NR]
    cdef ptrdiff_t top[MOST_NR]
    cdef char *y
    cdef const char *A
    cdef epilogue_t e
    while j0 < columns:
        n = min(nr, columns - j0)
        for j in range(n):
            pixel = (j0 + j) % pixels
            top[j] = pixel // g.w.out * g.h.stride - g.h.pad
            h = pixel % g.w.out * g.w.stride - g.w.pad
            valid_range(h, g.w.dilation, g.w.in_, S, &begin[j], &end[j])
            images[j] = c.x + ((j0 + j) // pixels * g.x_n + group * g.C * g.x_c
                               + h * g.w.x_stride) * size
        for j in range(n, nr):
            rows[j] = NULL
        ldb = 1 if c.follow and n == 1 else nr
        block = 0
        while block < all_rows:
            count = min(c.rows, c.limit - block % c.limit)
            i = 0
            if ldb == 1:  # one column is its own panel: beyond its taps nothing is stored
                memcpy(panel, images[0] + block * S * size, count * S * size)
                i = count
            while i < count:
                d, r = (block + i) // R, (block + i) % R
                together = min(count - i, R - r) if c.whole else 1
                if c.follow:
                    together = count - i
                for j in range(n):
                    h = top[j] + r * g.h.dilation
                    rows[j] = NULL
                    if h >= 0 and h < g.h.in_:
                        rows[j] = images[j] + (d * g.x_c + h * g.h.x_stride) * size
                for j in range(nr if c.whole else 0):
                    begin[j], end[j] = 0, together * S
                    if j >= n:  # a column of which nothing is stored
                        rows[j] = rows[0]
                wide.w.kernel = together * S
                k.gather_columns(&wide, rows, begin, end, rows_copy, panel + i * S * nr * size)
                i += together
            f = first
            while f < last:
                m = min(<ptrdiff_t>FILTERS, last - f)
                e = from_row(&c.e, group * g.K + f, size)
                A = c.panels + ((group * all_rows + block) * g.K + f * count) * S * size
                y = c.y + (group * g.K + f) * g.y_k * size
                if c.contiguous:
                    k.multiply(m, n, count * S, A, panel, ldb, nr, NULL,
                               y + j0 * g.w.y_stride * size,
                               g.y_k, g.w.y_stride, block > 0,
                               &e if block + count == all_rows else NULL)
                else:
                    for j in range(n):
                        pixel = (j0 + j) % pixels
                        k.multiply(
                            m, 1, count * S, A, panel + j * size, ldb, nr, NULL,
                            y + ((j0 + j) // pixels * g.y_n + pixel // g.w.out * g.h.y_stride
                                 + pixel % g.w.out * g.w.y_stride) * size,
                            g.y_k, 1, block > 0, &e if block + count == all_rows else NULL)
                f += m
            block += count
        j0 += nr


cdef class Algorithm(Base):
    """Implicit GEMM over the pixels of all images; see the module."""

    name = "batch_gemm"
    cdef ptrdiff_t rows, limit

    @classmethod
    def supports(cls, problem):
        """Any problem of one or two spatial axes."""
        if problem.rank != 2:
            return f"batch_gemm needs 1 or 2 spatial axes, got {problem.rank}"
        return None

    @classmethod
    def cost(cls, problem, threads, allowed=BALANCED):
        """Seconds: panels and their gathering.

        A kernel so much larger than its output comes from a gradient of weights, whose many images
        fill the panels and meet the same weights: one image is asked for its share. So does one
        that is larger at all and has few planes, which then are a batch: a layer has more.
        """
        cdef Sizes s = problem.sizes
        cdef core_t core = core_of(s)
        cdef double pixels = s.h.out * s.w.out
        cdef double full = vectors(&core, 9)  # columns of a panel
        cdef double column = constants.column_seconds, row = constants.column_row_seconds
        cdef double share = pixels / full, met, work
        if s.h.kernel * s.w.kernel < pixels * (1 if s.C <= FEW_PLANES else TAPS_PER_PIXEL):
            share = ceil(share)
        share *= s.N * s.G
        work = share * products(&core, s.K, <ptrdiff_t>full, s.taps)
        work += share * full * s.taps * column * s.itemsize / 4
        work += share * full * s.taps / s.w.kernel * row
        met = min(1.0, share)
        work += met * weights_once(s)
        return roofline(s, threads, work, share, constants.piece_seconds,
                        s.bytes - (1 - met) * s.parameters * s.itemsize)

    def layout(self):
        """Kernel rows of one block of taps."""
        cdef object S = int(self.g.w.kernel), R = int(self.g.h.kernel), rows
        rows = max(1, TAPS // S)
        self.limit = R if rows < R else max(1, self.g.D * R)  # large planes are blocks of their own
        rows = ceil_div(self.limit, ceil_div(self.limit, rows))
        needed = self.k.itemsize * (
            (rows * S + self.k.lanes) * self.k.nr + 2 * CYCONV_OVERREAD
            + self.k.nr * (S + self.k.lanes))
        self.check_workspace(needed)
        self.workspace_per_thread = needed
        self.rows = rows

    def pack(self, w):
        """Panels of MR filters: [group][block of kernel rows][panel][tap][filter]."""
        cdef ptrdiff_t S = self.g.w.kernel, R = self.g.h.kernel, all_rows = self.g.D * R
        cdef ptrdiff_t group, block, count, size = self.k.itemsize
        planes_lie = w.strides[2:] == (S * size, size) and not w.strides[0] % size
        cdef cnp.ndarray lying = w if planes_lie and self.limit == R else in_order(w)
        cdef ptrdiff_t w_row = cnp.PyArray_STRIDE(lying, 0), plane = cnp.PyArray_STRIDE(lying, 1)
        cdef Packed packed = self.new_packed(lying.size, ())
        cdef const char *weights = cnp.PyArray_BYTES(lying)
        cdef char *panel = packed.panels.data
        with nogil:
            for group in range(self.g.G):
                block = 0
                while block < all_rows:
                    count = min(self.rows, self.limit - block % self.limit)
                    self.k.pack_filters(
                        weights + group * self.g.K * w_row + block // R * plane
                        + block % R * S * size, w_row // size, self.g.K, count * S, panel)
                    panel += self.g.K * count * S * size
                    block += count
        return packed

    def run(self, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, int threads,
            double seconds, add=None):
        """y = x correlated with the packed weights, through the epilogue."""
        cdef Context c
        cdef piece_t piece
        cdef int n = self.threads_for(threads)
        if self.g.D == 0:
            return fill(y, bias, clamp, add)
        c.g = self.placed(x, y)
        c.k, c.x, c.y = self.k, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
        c.panels = packed.panels.data
        c.rows, c.limit = self.rows, self.limit
        pixels = c.g.h.out * c.g.w.out
        c.contiguous = ((c.g.N == 1 or c.g.y_n == pixels * c.g.w.y_stride)
                        and (c.g.h.out == 1 or c.g.h.y_stride == c.g.w.out * c.g.w.y_stride))
        c.whole = (pixels == 1 and c.g.h.pad == c.g.w.pad == 0 and c.g.w.in_ >= c.g.w.kernel
                   and c.g.h.in_ > (c.g.h.kernel - 1) * c.g.h.dilation
                   and c.g.w.dilation * c.g.w.x_stride == 1
                   and (c.g.h.kernel == 1 or c.g.h.dilation * c.g.h.x_stride == c.g.w.kernel))
        c.follow = c.whole and (c.g.D == 1 or c.g.x_c == c.g.h.kernel * c.g.w.kernel)
        piece = divide(c.g.G, c.g.N * pixels, 1, PANELS * c.k.nr, c.g.K, CYCONV_MR, c.k.lanes,
                       GATHER, READ, n, seconds)
        c.columns, c.filters = piece.columns, piece.filters
        c.blocks = ceil_div(c.g.N * pixels, c.columns)
        c.chunks = ceil_div(c.g.K, c.filters)
        c.e = epilogue(bias, clamp, add)
        parallel_for(run_item, &c, c.g.G * c.blocks * c.chunks, n,
                     self.workspace_per_thread, seconds)
