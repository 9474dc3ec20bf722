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
from cyconv.algorithms.base cimport Packed, ceil_div, epilogue, fill, from_row, pointer_table
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
from cyconv.algorithms.winograd_matrices import VARIANTS

cnp.import_array()

# Error in multiples of direct summation's, measured at C = 64 (tests/test_algorithms.py).
ERROR = {(2, 3): 1.0, (4, 3): 2.0, (6, 3): 9.0}

cdef enum:
    PLANES = 256         # of one product: a panel of tiles, 16 KiB, stays in the first-level cache
    V_BYTES = 3 << 20    # transformed tiles of one block: a share of the last-level cache
    FILTERS = 96         # filters whose products are kept before they are transformed back
    MOST_TILES = 64
    PITCH = 32           # elements after each xi and panel: a vector's overrun, no powers of two


cdef struct Context:
    geometry_t g
    const kernels_t *k
    const winograd_t *f
    const char *x
    char *y
    const char *panels
    ptrdiff_t tile_rows, tile_columns
    ptrdiff_t tiles, blocks  # tiles of one block, whole panels; blocks of one slab
    ptrdiff_t planes         # of one product
    ptrdiff_t u_xi, v_xi, m_xi  # elements to the next xi
    ptrdiff_t v_panel, stage  # and to the next panel of tiles; of one plane's tiles
    ptrdiff_t filters, chunks
    epilogue_t e
    char *spoiled            # of each slab: whether an output is not finite


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One block of tiles of one slab, for one chunk of its filters."""
    cdef const Context *c = <const Context *>context
    cdef const kernels_t *k = c.k
    cdef const winograd_t *f = c.f
    cdef int size = k.itemsize, points = f.alpha * f.alpha
    cdef ptrdiff_t group, i, d, t, n, xi, row, m, j, tile_row, column
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t last = min(first + c.filters, c.g.K)
    cdef ptrdiff_t t0 = item // c.chunks % c.blocks * c.tiles
    cdef ptrdiff_t count = min(c.tiles, c.tile_rows * c.tile_columns - t0)
    cdef const char **planes = <const char **>scratch
    cdef char *V = scratch + pointer_table(c.g.D)
    cdef char *M = V + points * c.v_xi * size
    cdef char *stage = M  # of one plane: free until the products
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
            f.input(&c.g, planes[d], planes[min(d + 1, c.g.D - 1)], tile_row, column, n,
                    stage + t * size, c.stage)
            t += n
        k.spread_tiles(points, count, stage, c.stage, V + d * k.nr * size, c.v_panel, c.v_xi)
    for i in range(ceil_div(last - first, FILTERS)):
        row = first + i * FILTERS
        m = min(<ptrdiff_t>FILTERS, last - row)
        for xi in range(points):
            d = 0
            while d < c.g.D:
                n = min(c.planes, c.g.D - d)
                U = c.panels + ((group * points + xi) * c.u_xi + d * c.g.K + row * n) * size
                k.multiply(
                    m, count, n, U, V + (xi * c.v_xi + d * k.nr) * size, k.nr, c.v_panel, NULL,
                    M + xi * c.m_xi * size, c.tiles, 1, d > 0, NULL)
                d += n
        for j in range(m):
            e = from_row(&c.e, group * c.g.K + row + j, size)
            y = c.y + (start + (row + j) * c.g.y_k) * size
            t = 0
            while t < count:
                tile_row, column = (t0 + t) // c.tile_columns, (t0 + t) % c.tile_columns
                n = min(count - t, c.tile_columns - column)
                if f.output(&c.g, M + (j * c.tiles + t) * size, c.m_xi, tile_row, column, n, y,
                            &e):
                    c.spoiled[slab] = 1
                t += n


cdef class Algorithm(Base):
    """Fewer multiplications through polynomial transforms; see the module."""

    name = "winograd"
    cdef const winograd_t *f
    cdef ptrdiff_t tile_rows, tile_columns, tiles, planes, u_xi, v_xi, m_xi, v_panel

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
    def variant(cls, problem, allowed):
        """The (m, r) of least cost among those within `allowed` times direct's error."""
        fitting = [v for v in VARIANTS if ERROR[v] <= allowed]
        return min(fitting or VARIANTS[:1], key=lambda v: _seconds(problem, 1, *v))

    @classmethod
    def cost(cls, problem, threads, allowed=choose.BALANCED):
        """Seconds: alpha^2 products for m^2 r^2, the transforms, the transformed weights once."""
        return _seconds(problem, threads, *cls.variant(problem, allowed))

    @classmethod
    def error_bound(cls, problem, allowed=choose.BALANCED):
        """Error relative to direct summation: F(2, 3) sums fewer, larger terms."""
        return ERROR[cls.variant(problem, allowed)]

    def layout(self):
        """Tiles of one block: as many as keep V in cache, whole panels of them."""
        variant = self.variant(self.problem, self.allowed)
        self.f = &self.k.winograd[VARIANTS.index(variant)]
        cdef const winograd_t *f = self.f
        size, nr, points = self.k.itemsize, self.k.nr, f.alpha * f.alpha
        self.tile_rows, self.tile_columns = ceil_div(self.g.h.out, f.m), ceil_div(self.g.w.out, f.m)
        total = max(1, self.tile_rows * self.tile_columns)
        kept = min(max(self.g.K, 2), FILTERS)  # room for one plane's tiles
        fixed = pointer_table(self.g.D)
        fixed += (2 * points * PITCH + CYCONV_OVERREAD) * size
        per_panel = points * (nr * (self.g.D + kept) + PITCH) * size
        wanted = V_BYTES // max(1, points * self.g.D * size * nr)
        wanted = max(ceil_div(32, nr), min(MOST_TILES // nr, wanted))
        panels = max(1, min(wanted, (self.workspace_limit - fixed) // per_panel))
        blocks = ceil_div(ceil_div(total, nr), panels)
        panels = ceil_div(ceil_div(total, nr), blocks)  # as even as can be
        self.tiles = panels * nr
        self.planes = ceil_div(self.g.D, max(1, ceil_div(self.g.D, PLANES * 4 // size)))
        self.u_xi = self.g.K * self.g.D + PITCH
        self.v_panel = self.g.D * nr + PITCH
        self.v_xi, self.m_xi = panels * self.v_panel + PITCH, kept * self.tiles + PITCH
        self.workspace_per_thread = fixed + panels * per_panel

    def pack(self, w):
        """U[group][xi][block of planes][panel][d][filter], and the weights for repairs."""
        cdef const winograd_t *f = self.f
        cdef ptrdiff_t group, i, d, n, row, m, points = f.alpha * f.alpha, size = self.k.itemsize
        cdef cnp.ndarray dense = np.array(w, order="C")
        cdef ptrdiff_t taps = f.r * f.r, w_row = self.g.D * f.r * f.r
        cdef Packed packed = self.new_packed(
            self.g.G * points * self.u_xi, (dense,))
        cdef const char *weights = cnp.PyArray_BYTES(dense)
        cdef char *U = packed.panels.data
        with nogil:
            for group in range(self.g.G):
                d = 0
                while d < self.g.D:
                    n = min(self.planes, self.g.D - d)
                    for i in range(ceil_div(self.g.K, CYCONV_MR)):
                        row = i * CYCONV_MR
                        m = min(<ptrdiff_t>CYCONV_MR, self.g.K - row)
                        f.weights(
                            weights + ((group * self.g.K + row) * w_row + d * taps) * size, w_row,
                            m, n,
                            U + (group * points * self.u_xi + d * self.g.K + row * n) * size,
                            self.u_xi)
                    d += n
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
        c.f = self.f
        c.x, c.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
        spoiled = np.zeros(c.g.slabs, np.uint8)
        c.spoiled = cnp.PyArray_BYTES(spoiled)
        c.panels = packed.panels.data
        c.tile_rows, c.tile_columns = self.tile_rows, self.tile_columns
        c.tiles, c.planes, c.v_panel = self.tiles, self.planes, self.v_panel
        c.stage = c.tiles + self.k.nr
        c.u_xi, c.v_xi, c.m_xi = self.u_xi, self.v_xi, self.m_xi
        c.blocks = ceil_div(c.tile_rows * c.tile_columns, c.tiles)
        c.filters = choose.chunk(c.g.K, CYCONV_MR, c.g.slabs * c.blocks, threads, fewest=48)
        c.chunks = ceil_div(c.g.K, c.filters)
        c.e = epilogue(bias, clamp)
        parallel_for(run_item, &c, c.g.slabs * c.blocks * c.chunks, self.threads_for(threads),
                     self.workspace_per_thread, seconds)
        if spoiled.any():
            images = spoiled.reshape(self.problem.batch, -1).any(axis=1)
            repair(self.problem, self.isa, x, w, y, images, bias, clamp, threads, seconds)


def _seconds(problem, threads, m, r):
    *above, p, q = problem.output_spatial
    alpha = m + r - 1
    slabs = problem.batch * problem.groups * prod(above)
    planes = prod(problem.w_shape[1:-2])
    filters = problem.filters // problem.groups
    rows, columns = -(-p // m), -(-q // m)
    size = problem.dtype.itemsize
    work = alpha**2 * choose.products(problem, filters, rows * columns, planes) / choose.WINOGRAD
    transformed = rows * choose.vectors(problem, columns) * (planes + filters) * size / 4
    work += transformed * choose.TRANSFORM * alpha**2 / 16
    weights = problem.parameters * alpha**2 / r**2 * size / choose.WEIGHTS
    return choose.seconds(problem, threads, slabs * work + weights, slabs)
