r"""Winograd F(m x m, r x r): m*m outputs of an r x r kernel with (m + r - 1)^2 multiplications.

.. math:: Y = A^T \Big[ \sum_d (G g_d G^T) \odot (B^T x_d B) \Big] A

The element-wise products over all planes d are, for each of the alpha^2 points xi, a matrix product
(filters x planes) (planes x tiles) [1]_. The three stages are fused over a block of tiles, counted
flat along the rows of tiles, so that the transformed tiles stay in cache:

    x --B^T x B--> V[xi][d][tile] --micro-kernel, U[xi]--> M[xi][k][tile] --A^T M A--> y

A non-finite value spreads over its whole tile in the transforms, so an image with a non-finite
output is computed again by the direct algorithm.

References
----------
.. [1] A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

cimport numpy as cnp

from cyconv._parallel cimport parallel_for
from cyconv.algorithms.base cimport Algorithm as Base
from cyconv.algorithms.base cimport Packed, ceil_div, epilogue, fill, from_row
from cyconv.kernels.kernels cimport (
    CYCONV_MR,
    CYCONV_OVERREAD,
    epilogue_t,
    geometry_slab,
    geometry_t,
    kernels_t,
    winograd_t,
)

from math import prod

import numpy as np

from cyconv import choose
from cyconv.algorithms.direct import repair

cnp.import_array()

cdef enum:
    F_2_3 = 0            # place in the table of variants
    V_BYTES = 384 << 10  # transformed tiles: most of a 512 KiB second-level cache
    FILTERS = 96         # filters whose products are kept before they are transformed back
    MOST_TILES = 96
    PITCH = 16           # elements after each xi: a vector's overrun; no steps of a power of two


cdef struct Context:
    geometry_t g
    const kernels_t *k
    const winograd_t *f
    const char *x
    char *y
    const char *panels
    ptrdiff_t tile_rows, tile_columns
    ptrdiff_t tiles, blocks  # tiles of one block; blocks of one slab
    ptrdiff_t ld             # elements of one row of V and M
    ptrdiff_t u_xi, v_xi, m_xi  # elements to the next xi
    ptrdiff_t filters, chunks
    epilogue_t e
    char *spoiled            # of each slab: whether an output is not finite


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One block of tiles of one slab, for one chunk of its filters."""
    cdef const Context *c = <const Context *>context
    cdef const kernels_t *k = c.k
    cdef const winograd_t *f = c.f
    cdef int size = k.itemsize, points = f.alpha * f.alpha
    cdef ptrdiff_t group, i, d, t, n, xi, row, m, j, tile_row, column, panel_row
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t last = min(first + c.filters, c.g.K)
    cdef ptrdiff_t t0 = item // c.chunks % c.blocks * c.tiles
    cdef ptrdiff_t count = min(c.tiles, c.tile_rows * c.tile_columns - t0)
    cdef const char **planes = <const char **>scratch
    cdef char *V = scratch + (c.g.D * sizeof(void *) + 63) // 64 * 64
    cdef char *M = V + points * c.v_xi * size
    cdef ptrdiff_t slab = item // (c.chunks * c.blocks)
    cdef ptrdiff_t start = geometry_slab(&c.g, slab, c.x, size, planes, &group)
    cdef char *y
    cdef const char *U
    cdef epilogue_t e
    for d in range(c.g.D):
        t = 0
        while t < count:
            tile_row, column = (t0 + t) // c.tile_columns, (t0 + t) % c.tile_columns
            n = min(count - t, c.tile_columns - column)
            f.input(&c.g, planes[d], tile_row, column, n, V + (d * c.ld + t) * size, c.v_xi)
            t += n
    for i in range(ceil_div(last - first, FILTERS)):
        row = first + i * FILTERS
        m = min(<ptrdiff_t>FILTERS, last - row)
        for xi in range(points):
            U = c.panels + ((group * points + xi) * c.u_xi + row * c.g.D) * size
            for j in range(ceil_div(m, CYCONV_MR)):
                panel_row = j * CYCONV_MR
                k.multiply(
                    min(<ptrdiff_t>CYCONV_MR, m - panel_row), count, c.g.D,
                    U + panel_row * c.g.D * size, V + xi * c.v_xi * size, c.ld, NULL,
                    M + (xi * c.m_xi + panel_row * c.ld) * size, c.ld, 1, 0, NULL)
        for j in range(m):
            e = from_row(&c.e, group * c.g.K + row + j, size)
            y = c.y + (start + (row + j) * c.g.y_k) * size
            t = 0
            while t < count:
                tile_row, column = (t0 + t) // c.tile_columns, (t0 + t) % c.tile_columns
                n = min(count - t, c.tile_columns - column)
                if f.output(&c.g, M + (j * c.ld + t) * size, c.m_xi, tile_row, column, n, y, &e):
                    c.spoiled[slab] = 1
                t += n


cdef class Algorithm(Base):
    """Fewer multiplications through polynomial transforms; see the module."""

    name = "winograd"
    cdef ptrdiff_t tile_rows, tile_columns, tiles, ld, u_xi, v_xi, m_xi, filters

    @classmethod
    def supports(cls, problem):
        """3 x 3 kernels of stride 1 and dilation 1 (on the last two axes)."""
        if problem.dtype.kind != "f":
            return f"winograd needs a float dtype, got {problem.dtype}"
        if problem.kernel[-2:] != (3, 3):
            return "winograd needs a 3 x 3 kernel, got " + " x ".join(map(str, problem.kernel))
        if problem.stride[-2:] != (1, 1):
            return f"winograd does not support stride {problem.stride[-2:]}, only 1"
        if problem.dilation[-2:] != (1, 1):
            return f"winograd does not support dilation {problem.dilation[-2:]}, only 1"
        return None

    @classmethod
    def cost(cls, problem, threads):
        """Seconds: 16 products for 36, the transforms of tiles, the transformed weights once."""
        *above, p, q = problem.output_spatial
        slabs = problem.batch * problem.groups * prod(above)
        planes = prod(problem.w_shape[1:-2])
        filters = problem.filters // problem.groups
        rows, columns = (p + 1) // 2, (q + 1) // 2
        work = 16 * choose.products(problem, filters, rows * columns, planes) / choose.WINOGRAD
        transformed = rows * choose.vectors(problem, columns) * (planes + filters)
        work += transformed * choose.TRANSFORM * problem.dtype.itemsize / 4
        weights = problem.parameters * 16 / 9 * problem.dtype.itemsize / choose.WEIGHTS
        return choose.seconds(problem, threads, slabs * work + weights, slabs)

    @classmethod
    def error_bound(cls, problem):
        """Error relative to direct summation: F(2, 3) sums fewer, larger terms."""
        return 1.0

    def layout(self):
        """Tiles of one block: as many as keep V in cache, whole vectors of them."""
        cdef const winograd_t *f = &self.k.winograd[F_2_3]
        size, lanes, points = self.k.itemsize, self.k.lanes, f.alpha * f.alpha
        self.tile_rows, self.tile_columns = ceil_div(self.g.h.out, f.m), ceil_div(self.g.w.out, f.m)
        total = max(1, self.tile_rows * self.tile_columns)
        fixed = (self.g.D * sizeof(void *) + 63) // 64 * 64
        fixed += (2 * points * PITCH + CYCONV_OVERREAD) * size
        kept = min(self.g.K, FILTERS)
        per_tile = points * (self.g.D + kept) * size
        wanted = max(32, min(MOST_TILES, V_BYTES // max(1, points * self.g.D * size)))
        allowed = (self.workspace_limit - fixed) // per_tile
        tiles = min(wanted, allowed, ceil_div(total, lanes) * lanes)
        self.tiles = max(lanes, tiles // lanes * lanes)
        self.ld = self.tiles
        self.u_xi = self.g.K * self.g.D + PITCH
        self.v_xi, self.m_xi = self.g.D * self.ld + PITCH, kept * self.ld + PITCH
        self.workspace_per_thread = fixed + self.tiles * per_tile
        self.filters = choose.chunk(
            self.g.K, CYCONV_MR, self.g.slabs * ceil_div(total, self.tiles), fewest=48)

    def pack(self, w):
        """U[group][xi][panel][d][filter] = G g G^T, and the weights themselves for repairs."""
        cdef const winograd_t *f = &self.k.winograd[F_2_3]
        cdef ptrdiff_t group, i, row, m, points = f.alpha * f.alpha, size = self.k.itemsize
        cdef cnp.ndarray dense = np.array(w, order="C")
        cdef ptrdiff_t filter_size = self.g.D * f.r * f.r
        cdef Packed packed = self.new_packed(
            self.g.G * points * self.u_xi, (dense,))
        cdef const char *weights = cnp.PyArray_BYTES(dense)
        cdef char *U = packed.panels.data
        with nogil:
            for group in range(self.g.G):
                for i in range(ceil_div(self.g.K, CYCONV_MR)):
                    row = i * CYCONV_MR
                    m = min(<ptrdiff_t>CYCONV_MR, self.g.K - row)
                    f.weights(
                        weights + (group * self.g.K + row) * filter_size * size, m, self.g.D,
                        U + (group * points * self.u_xi + row * self.g.D) * size, self.u_xi)
        return packed

    def run(self, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, int threads,
            double seconds):
        """y = x correlated with the packed weights, through the epilogue."""
        cdef Context c
        cdef cnp.ndarray spoiled
        w = packed.arrays[0]
        if self.g.D == 0:
            return fill(y, bias, clamp)
        c.g = self.placed(x, y)
        c.k = self.k
        c.f = &self.k.winograd[F_2_3]
        c.x, c.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
        spoiled = np.zeros(c.g.slabs, np.uint8)
        c.spoiled = cnp.PyArray_BYTES(spoiled)
        c.panels = packed.panels.data
        c.tile_rows, c.tile_columns = self.tile_rows, self.tile_columns
        c.tiles, c.ld = self.tiles, self.ld
        c.u_xi, c.v_xi, c.m_xi = self.u_xi, self.v_xi, self.m_xi
        c.blocks = ceil_div(c.tile_rows * c.tile_columns, c.tiles)
        c.filters = self.filters
        c.chunks = ceil_div(c.g.K, c.filters)
        c.e = epilogue(bias, clamp)
        parallel_for(run_item, &c, c.g.slabs * c.blocks * c.chunks, self.threads_for(threads),
                     self.workspace_per_thread, seconds)
        if spoiled.any():
            images = spoiled.reshape(self.problem.batch, -1).any(axis=1)
            repair(self.problem, self.isa, x, w, y, images, bias, clamp, threads, seconds)
