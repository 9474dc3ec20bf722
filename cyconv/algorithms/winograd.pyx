r"""Winograd F(m x n, r x s): m n outputs of an r x s kernel by (m + r - 1)(n + s - 1) products.

.. math:: Y = A^T \Big[ \sum_d (G g_d H^T) \odot (B^T x_d C) \Big] D

The element-wise products over all planes d are, for each of the points xi, a matrix product
(filters x planes) (planes x tiles) [1]_. The three stages are fused over a block of tiles, counted
flat along the rows of tiles, so that the transformed tiles stay in cache:

    x --B^T x C--> V[xi][d][tile] --micro-kernel, U[xi]--> M[xi][k][tile] --A^T M D--> y

A stride becomes phases of the planes, a dilation phases of the outputs: see ``decimation.py``.
Where a phase of a stride has one tap less than others, its product at the point infinity is 0 and
left out.

A non-finite value spreads over its whole tile in the transforms, so an image with a non-finite
output is computed again by the direct algorithm.

References
----------
.. [1] A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

cimport numpy as cnp
from libc.math cimport INFINITY

from cyconv.planning.estimates cimport core_of, core_t, products, roofline, vectors
from cyconv.planning.rates cimport constants
from cyconv.problem.sizes cimport Sizes
from cyconv.runtime.parallel cimport divide, parallel_for, piece_t
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
from cyconv.algorithms.decimation cimport decimated, decimated_axis, decimated_t
from cyconv.kernels.kernels cimport (
    CYCONV_MR,
    CYCONV_OVERREAD,
    axis_t,
    epilogue_t,
    geometry_slab,
    geometry_t,
    kernels_t,
    winograd_t,
)

from functools import cache

import numpy as np

from cyconv.planning import cost
from cyconv.planning.cost import BALANCED
from cyconv.algorithms.direct import repair, repairer
from cyconv.algorithms.pairs_winograd import WinogradPairs
from cyconv.algorithms.winograd_matrices import VARIANTS
from cyconv.runtime import machine

cnp.import_array()

# Error in multiples of direct summation's, on one axis, measured at C = 64
# (tests/test_algorithms.py). Only F(2, 3) divides by no more than 2.
_ERROR = {
    (1, 1): 1.0, (2, 3): 0.8, (4, 3): 1.6, (6, 3): 3.2, (4, 2): 1.8, (3, 4): 1.3,
    (2, 5): 1.3, (4, 5): 2.3, (2, 7): 2.4,
}  # fmt: skip
ERROR = {pair: max(1.0, _ERROR[pair[0]] * _ERROR[pair[1]]) for pair in VARIANTS}

cdef enum:
    PLANES = 256         # of one product: a panel of tiles, 16 KiB, stays in the first-level cache
    FILTERS = 96         # filters whose products are kept before they are transformed back
    MOST_TILES = 64      # tiles of one block with MOST_POINTS points; more of fewer points
    MOST_POINTS = 36
    FEW_PLANES = 32      # the phases of a stride are multiplied together under so many planes
    MOST_STRIDE = 4
    NEAR_BYTES = 1 << 20  # of inputs that stay in a second-level cache, about
    PITCH = 32           # elements after each xi and panel: a vector's overrun, no powers of two

# The unit of both is the time of one product of a vector of tiles with MR weights, at one point.
cdef double THERE = 2.3  # the time to transform one vector of tiles, there or back
cdef double READ = 1.0   # the time to read MR weights
# Seconds to read a pixel of float32 again for the other phases of a stride, from far away.
cdef double FAR_PIXEL = 1.3e-9


cdef struct Context:
    geometry_t g
    const kernels_t *k
    const winograd_t *f
    const char *x
    char *y
    const char *panels
    const char *weights      # untransformed: each piece of work transforms its own; or NULL
    size_t own               # bytes of scratch before a piece's own transformed weights
    ptrdiff_t[2] strides, dilations  # of each axis: down, across
    ptrdiff_t[2] phases      # phases of the stride that have taps
    ptrdiff_t[2] splits      # phases of the dilation that have outputs
    ptrdiff_t[2] full        # the first phases of the stride; the others have one tap less
    ptrdiff_t parts, depth   # the planes of all phases are cut into `parts` of `depth`
    ptrdiff_t tiles          # tiles of one block, in whole panels
    ptrdiff_t blocks         # blocks of one slab
    ptrdiff_t planes         # planes of one product
    ptrdiff_t u_xi, v_xi, m_xi  # elements of weights, tiles and products to the next point
    ptrdiff_t v_panel        # elements to the next panel of tiles
    ptrdiff_t stage          # elements of one plane's tiles while they are transformed
    ptrdiff_t filters, chunks  # filters of one piece of work; such chunks of all filters
    ptrdiff_t kept           # filters whose products are kept
    epilogue_t e
    char *spoiled            # of each slab: whether an output is not finite


cdef ptrdiff_t decimate(axis_t *a, ptrdiff_t step, ptrdiff_t phase) noexcept nogil:
    """Leave of `a` the pixels i = phase - pad (mod step), as an axis of its own; its offset."""
    cdef ptrdiff_t first = phase - a.pad
    cdef ptrdiff_t rest = (first % step + step) % step
    a.in_ = (a.in_ - rest + step - 1) // step if a.in_ > rest else 0
    a.pad = -((first - rest) // step)
    cdef ptrdiff_t offset = rest * a.x_stride if a.in_ > 0 else 0
    a.x_stride = a.x_stride * step if a.in_ > 1 else 1  # of one pixel any: no overflow
    return offset


cdef ptrdiff_t every(axis_t *a, ptrdiff_t step, ptrdiff_t phase) noexcept nogil:
    """Leave of `a` the outputs phase (mod step); the offset of the first."""
    cdef ptrdiff_t offset = phase * a.y_stride
    a.out = max(<ptrdiff_t>0, (a.out - phase + step - 1) // step)
    a.y_stride *= step if a.out > 1 else 1
    return offset


cdef bint vanishes(const Context *c, ptrdiff_t xi, ptrdiff_t part) noexcept nogil:
    """Whether the weights of a phase are 0 at point xi: at infinity, without the last tap."""
    if c.parts == 1:
        return False
    cdef ptrdiff_t i = xi // c.f.alpha[1], j = xi % c.f.alpha[1]
    return (
        i == c.f.alpha[0] - 1 and part // c.phases[1] >= c.full[0]
        or j == c.f.alpha[1] - 1 and part % c.phases[1] >= c.full[1])


cdef void transform_weights(const kernels_t *k, const winograd_t *f, const char *w,
                            ptrdiff_t rows, ptrdiff_t parts, ptrdiff_t depth, ptrdiff_t planes,
                            char *U, ptrdiff_t u_xi) noexcept nogil:
    """U[xi][block of planes][panel][d][filter] of `rows` filters."""
    cdef ptrdiff_t d = 0, n, row, m, taps = f.r[0] * f.r[1], size = k.itemsize
    cdef ptrdiff_t w_row = parts * depth * taps
    while d < parts * depth:
        n = min(planes, depth - d % depth)
        row = 0
        while row < rows:
            m = min(<ptrdiff_t>CYCONV_MR, rows - row)
            f.weights(w + (row * w_row + d * taps) * size, w_row, m, n,
                      U + (d * rows + row * n) * size, u_xi)
            row += m
        d += n


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One block of tiles of one slab, for one chunk of its filters."""
    cdef const Context *c = <const Context *>context
    cdef const kernels_t *k = c.k
    cdef const winograd_t *f = c.f
    cdef int size = k.itemsize, points = f.alpha[0] * f.alpha[1]
    cdef ptrdiff_t group, i, d, t, n, xi, row, m, j, tile_row, column, part, offset
    cdef ptrdiff_t u_xi = c.u_xi, u_row = c.g.K, u_first
    cdef ptrdiff_t first = item % c.chunks * c.filters
    cdef ptrdiff_t last = min(first + c.filters, c.g.K)
    cdef ptrdiff_t t0 = item // c.chunks % c.blocks * c.tiles
    cdef ptrdiff_t split = item // (c.chunks * c.blocks) % (c.splits[0] * c.splits[1])
    cdef ptrdiff_t slab = item // (c.chunks * c.blocks * c.splits[0] * c.splits[1])
    cdef const char **planes = <const char **>scratch
    cdef char *V = scratch + pointer_table(c.g.D)
    cdef char *M = V + points * c.v_xi * size
    cdef char *stage = M  # of one plane: free until the products
    cdef int x_size = cell_size(c.g.x_cells, size)
    cdef ptrdiff_t start = geometry_slab(&c.g, slab, c.x, x_size, planes, &group)
    cdef geometry_t g = c.g, phase
    cdef char *y
    cdef const char *U
    cdef const char *plane
    cdef const char *after
    cdef epilogue_t e
    offset = decimate(&g.h, c.dilations[0], split // c.splits[1])
    offset += decimate(&g.w, c.dilations[1], split % c.splits[1])
    start += every(&g.h, c.dilations[0], split // c.splits[1])
    start += every(&g.w, c.dilations[1], split % c.splits[1])
    for d in range(c.g.D):
        if planes[d] != NULL:
            planes[d] += offset * x_size
    cdef ptrdiff_t tile_columns = (g.w.out + f.m[1] - 1) // f.m[1]
    cdef ptrdiff_t count = min(
        c.tiles, (g.h.out + f.m[0] - 1) // f.m[0] * tile_columns - t0)
    if count <= 0:  # a split with fewer outputs than the first
        return
    for i in range(c.phases[0] * c.phases[1]):
        phase = g
        offset = decimate(&phase.h, c.strides[0], i // c.phases[1])
        offset += decimate(&phase.w, c.strides[1], i % c.phases[1])
        for d in range(c.g.D):
            plane, after = planes[d], planes[min(d + 1, c.g.D - 1)]
            plane = plane + offset * x_size if plane != NULL else NULL
            after = after + offset * x_size if after != NULL else NULL
            t = 0
            while t < count:
                tile_row, column = (t0 + t) // tile_columns, (t0 + t) % tile_columns
                n = min(count - t, tile_columns - column)
                f.input(&phase, plane, after, tile_row, column, n, stage + t * size, c.stage)
                t += n
            k.spread_tiles(points, count, stage, c.stage, V + (i * c.g.D + d) * k.nr * size,
                           c.v_panel, c.v_xi)
    for i in range(ceil_div(last - first, c.kept)):
        row = u_first = first + i * c.kept
        m = min(c.kept, last - row)
        if c.weights == NULL:
            U = c.panels + group * points * u_xi * size
        else:
            U = scratch + c.own
            u_xi, u_row, u_first = c.kept * c.parts * c.depth + PITCH, m, 0
            transform_weights(
                k, f, c.weights
                + (group * c.g.K + row) * c.parts * c.depth * f.r[0] * f.r[1] * size,
                m, c.parts, c.depth, c.planes, scratch + c.own, u_xi)
        for xi in range(points):
            for part in range(c.parts):
                if vanishes(c, xi, part):
                    continue
                d = part * c.depth
                while d < (part + 1) * c.depth:
                    n = min(c.planes, (part + 1) * c.depth - d)
                    k.multiply(
                        m, count, n, U + (xi * u_xi + d * u_row + u_first * n) * size,
                        V + (xi * c.v_xi + d * k.nr) * size, k.nr, c.v_panel,
                        NULL, M + xi * c.m_xi * size, c.tiles, 1, d > 0, NULL)
                    d += n
        for j in range(m):
            e = from_row(&c.e, group * c.g.K + row + j, size)
            y = c.y + (start + (row + j) * c.g.y_k) * cell_size(c.g.y_cells, size)
            t = 0
            while t < count:
                tile_row, column = (t0 + t) // tile_columns, (t0 + t) % tile_columns
                n = min(count - t, tile_columns - column)
                if f.output(&g, M + (j * c.tiles + t) * size, c.m_xi, tile_row, column, n, y, &e):
                    c.spoiled[slab] = 1
                t += n


cdef class Algorithm(Base):
    """Fewer multiplications through polynomial transforms; see the module."""

    name, of_narrow = "winograd", WinogradPairs
    channels_last = 1.3
    cdef const winograd_t *f
    cdef decimated_t h, w  # the last two axes
    cdef object direct
    cdef ptrdiff_t parts, depth, tiles, planes, u_xi, v_xi, m_xi, v_panel
    cdef bint alone  # of a group: one piece of work

    @classmethod
    def supports(cls, problem):
        """Kernels that have transforms, after decimation (on the last two axes)."""
        if problem.dtype.kind != "f":
            return f"winograd needs a float dtype, got {problem.dtype}"
        cdef Sizes s = problem.sizes
        cdef decimated_t h = decimated_axis(&s.h), w = decimated_axis(&s.w)
        for i, (stride, dilation) in enumerate(((h.stride, h.dilation), (w.stride, w.dilation))):
            if stride > 1 and dilation > 1:
                return "winograd does not support stride and dilation on one axis"
            if stride > MOST_STRIDE:
                stride = problem.stride[i - 2]
                return f"winograd does not support stride {stride}, at most {MOST_STRIDE}"
        if not _fitting(h.taps, w.taps):
            kernel = " x ".join(map(str, problem.kernel))
            return f"winograd has no transforms for a {kernel} kernel of this stride"
        return None

    @classmethod
    def variant(cls, problem, allowed):
        """The pair of F(m, r) that is taken within `allowed` times direct's error."""
        cdef core_t core = core_of(problem.sizes)
        return variant_of(problem, &core, allowed)

    @classmethod
    def cost(cls, problem, threads, allowed=BALANCED):
        """Seconds: products at all points, the transforms, the transformed weights once."""
        cdef core_t core = core_of(problem.sizes)
        return seconds_of(problem.sizes, &core, threads, variant_of(problem, &core, allowed))

    @classmethod
    def error_bound(cls, problem, allowed=BALANCED):
        """Error relative to direct summation: F(2, 3) sums fewer, larger terms."""
        return ERROR[cls.variant(problem, allowed)]

    def layout(self):
        """Tiles of one block: as many as keep V in cache, whole panels of them."""
        cdef Sizes s = self.problem.sizes
        self.f = &self.k.winograd[VARIANTS.index(self.variant(self.problem, self.allowed))]
        cdef decimated_t h = decimated_axis(&s.h), w = decimated_axis(&s.w)
        cdef const winograd_t *f = self.f
        self.h, self.w = h, w
        size, nr, points = self.k.itemsize, self.k.nr, f.alpha[0] * f.alpha[1]
        total = max(1, tiles_of(&h, f.m[0]) * tiles_of(&w, f.m[1]))
        phases = h.phases * w.phases
        self.parts, self.depth = phases, self.g.D
        if self.g.D < FEW_PLANES:  # longer products are worth the zeros
            self.parts, self.depth = 1, phases * self.g.D
        depth = phases * int(self.g.D)
        kept = min(max(self.g.K, 2), FILTERS)  # room for one plane's tiles
        fixed = pointer_table(self.g.D)
        fixed += (2 * points * PITCH + CYCONV_OVERREAD) * size
        per_panel = points * (nr * (depth + kept) + PITCH) * size
        block = max(machine.caches().l2 * 3 // 4, machine.caches().l3 * 3 // 32)
        wanted = block // max(1, points * depth * size * nr)
        most = MOST_TILES * max(1, MOST_POINTS // points) // nr
        wanted = max(ceil_div(32, nr), min(most, wanted))
        panels = max(1, min(wanted, (self.workspace_limit - fixed) // per_panel))
        blocks = ceil_div(ceil_div(total, nr), panels)
        panels = ceil_div(ceil_div(total, nr), blocks)  # as even as can be
        self.tiles = panels * nr
        self.planes = ceil_div(
            self.depth, max(1, ceil_div(self.depth, PLANES * 4 // size)))
        self.u_xi = self.g.K * depth + PITCH
        self.v_panel = depth * nr + PITCH
        self.v_xi, self.m_xi = panels * self.v_panel + PITCH, kept * self.tiles + PITCH
        needed = fixed + panels * per_panel
        self.check_workspace(needed)
        self.workspace_per_thread = needed
        self.alone = self.g.slabs == self.g.G and blocks == 1 and h.splits * w.splits == 1
        self.direct = repairer(self)

    def stores(self, dtype, out_dtype):
        """Cells are converted by the transforms, if a repair's are too."""
        return self.direct.stores(dtype, out_dtype)

    def pack(self, w):
        """U[group][xi][block of planes][panel][d][filter], and the weights for repairs."""
        cdef const winograd_t *f = self.f
        cdef ptrdiff_t group, points = f.alpha[0] * f.alpha[1], size = self.k.itemsize
        dense = in_order(w)
        cdef cnp.ndarray taps = decimated(dense, &self.h, &self.w)
        cdef Packed packed = self.new_packed(self.g.G * points * self.u_xi, (dense,))
        cdef const char *weights = cnp.PyArray_BYTES(taps)
        cdef size_t one = self.g.K * self.parts * self.depth * f.r[0] * f.r[1] * size
        with nogil:
            for group in range(self.g.G):
                transform_weights(
                    self.k, f, weights + group * one, self.g.K, self.parts, self.depth,
                    self.planes, packed.panels.data + group * points * self.u_xi * size, self.u_xi)
        return packed

    def lend(self, w):
        """The weights by phases, where no two pieces of work would transform the same."""
        cdef Packed packed
        if not self.alone:
            return self.pack(w)
        packed = self.lent(w)
        packed.arrays += (decimated(packed.arrays[0], &self.h, &self.w),)
        return packed

    def run(self, cnp.ndarray x, Packed packed, cnp.ndarray y, bias, clamp, int threads,
            double seconds, add=None):
        """y = x correlated with the packed weights, through the epilogue."""
        cdef Context c
        cdef decimated_t[2] axes
        cdef cnp.ndarray spoiled
        cdef piece_t piece
        cdef ptrdiff_t tiles, step
        cdef int i, n = self.threads_for(threads)
        cdef size_t scratch = self.workspace_per_thread
        w = packed.arrays[0]
        if self.g.D == 0:
            return fill(y, bias, clamp, add)
        c.g = self.placed(x, y)
        c.k = self.k
        c.f = self.f
        c.x, c.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
        spoiled = np.zeros(c.g.slabs, np.uint8)
        c.spoiled = cnp.PyArray_BYTES(spoiled)
        c.panels = c.weights = NULL
        axes[0], axes[1] = self.h, self.w
        for i in range(2):
            c.strides[i], c.dilations[i] = axes[i].stride, axes[i].dilation
            c.phases[i], c.full[i], c.splits[i] = axes[i].phases, axes[i].full, axes[i].splits
        splits = c.splits[0] * c.splits[1]
        c.parts, c.depth = self.parts, self.depth
        tiles = tiles_of(&self.h, c.f.m[0]) * tiles_of(&self.w, c.f.m[1])
        step = self.tiles if packed.panels is None else 1  # one piece packs each weight
        piece = divide(c.g.slabs * splits, tiles, step, self.tiles, c.g.K, CYCONV_MR, c.k.lanes,
                       THERE, READ, n, seconds)
        c.tiles, c.planes, c.v_panel = piece.columns, self.planes, self.v_panel
        c.stage = c.tiles + self.k.nr
        c.u_xi, c.v_xi, c.m_xi = self.u_xi, self.v_xi, self.m_xi
        c.blocks = ceil_div(tiles, c.tiles)
        c.filters = piece.filters
        c.chunks = ceil_div(c.g.K, c.filters)
        c.e = epilogue(bias, clamp, add)
        c.own, c.kept = scratch, FILTERS
        if packed.panels is None:
            c.weights = cnp.PyArray_BYTES(packed.arrays[1])
            points, depth = c.f.alpha[0] * c.f.alpha[1], c.parts * c.depth
            # A piece transforms weights for itself, so many at a time.
            rows = machine.caches().l3 // 32 // (points * depth * self.k.itemsize)
            c.kept = min(<ptrdiff_t>FILTERS, c.filters, max(1, rows // CYCONV_MR) * CYCONV_MR)
            own = points * (c.kept * depth + PITCH) + CYCONV_OVERREAD
            scratch += ceil_div(own * self.k.itemsize, 64) * 64
        else:
            c.panels = packed.panels.data
        parallel_for(run_item, &c, c.g.slabs * splits * c.blocks * c.chunks, n, scratch, seconds)
        if spoiled.any():
            images = spoiled.reshape(self.problem.batch, -1).any(axis=1)
            repair(self.direct, x, w, y, images, bias, clamp, threads, seconds, add)


@cache
def _fitting(down, across):
    """The variants for so many taps of each axis, decimated."""
    return [v for v in VARIANTS if (v[0][1], v[1][1]) == (down, across)]


cdef variant_of(problem, const core_t *core, double allowed):
    """The pair of F(m, r) of least cost among those within `allowed` times direct's error."""
    cdef Sizes one = cost.one_image(problem).sizes
    cdef double seconds, least = INFINITY
    cdef list fitting = _fitting(decimated_axis(&one.h).taps, decimated_axis(&one.w).taps)
    best = fitting[0]
    for v in fitting:
        if ERROR[v] <= allowed:
            if len(fitting) == 1:
                return v
            seconds = seconds_of(one, core, 1, v)
            if seconds < least:
                best, least = v, seconds
    return best


cdef ptrdiff_t tiles_of(const decimated_t *a, ptrdiff_t m) noexcept nogil:
    """Tiles along an axis, of the largest of the splits by dilation."""
    return ceil_div(ceil_div(a.out, a.dilation), m)


cdef double seconds_of(Sizes s, const core_t *core, int threads, variant) except -1:
    """Predicted seconds with one pair of F(m, r)."""
    cdef decimated_t h = decimated_axis(&s.h), w = decimated_axis(&s.w)
    cdef ptrdiff_t m = variant[0][0], r = variant[0][1], n = variant[1][0], t = variant[1][1]
    cdef ptrdiff_t alpha = m + r - 1, beta = n + t - 1, points = alpha * beta
    cdef double slabs = s.N * s.G * s.outer * h.splits * w.splits
    cdef ptrdiff_t planes = s.planes, rows = tiles_of(&h, m), columns = tiles_of(&w, n)
    cdef ptrdiff_t all_planes = planes * h.phases * w.phases
    cdef double multiplied, work, transformed, weights, pixels
    cdef double share = constants.winograd_share
    cdef double tile = constants.winograd_tile_seconds
    cdef double row = constants.winograd_row_seconds
    cdef double bandwidth = constants.weights_bandwidth
    if planes >= FEW_PLANES:
        multiplied = (h.phases * (alpha - 1) + h.full) * (w.phases * (beta - 1) + w.full)
    else:
        planes, multiplied = all_planes, points
    work = multiplied * products(core, s.K, rows * columns, planes) / share
    transformed = rows * vectors(core, columns) * (all_planes + s.K) * s.itemsize / 4
    work += transformed * tile * points / 16
    work += row * rows * (all_planes + s.K)
    if h.phases * w.phases > 1:  # each phase reads the rows again, from beyond the second cache
        pixels = <double>s.h.in_ * s.w.in_ * s.planes
        if s.G * pixels * s.itemsize > NEAR_BYTES:
            work += pixels * FAR_PIXEL * s.itemsize / 4
    weights = <double>(s.K * s.G) * all_planes * points * s.itemsize / bandwidth
    return roofline(s, threads, slabs * work + weights, slabs)
