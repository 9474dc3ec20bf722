"""Products of spectra by the kernels' own transforms, of tiles in pairs (``spectra.h``).

The axes from the first on that has more than one tap are cut into tiles, at most three of them; a
line's tiles are folded into planes. Two neighbouring tiles of one image and group of channels are
the real and the imaginary parts of one transform: which they are depends on the problem alone, and
so do the bits.
"""

cimport numpy as cnp
from libc.math cimport INFINITY
from libc.string cimport memset

from cyconv.algorithms.tile_cuts cimport AXES, LINE, TileCut, cut_t
from cyconv.kernels.kernels cimport (
    border_mode_t,
    border_source,
    spectra_for,
    spectra_t,
    spread_t,
    storage_t,
    tile_source_t,
    tile_t,
    tile_target_t,
)
from cyconv.planning.estimates cimport ceil_div
from cyconv.problem.sizes cimport Sizes, axis_sizes_t
from cyconv.runtime.memory cimport Buffer
from cyconv.runtime.parallel cimport parallel_for

from functools import lru_cache
from math import prod

import numpy as np

from cyconv.algorithms import chains
from cyconv.algorithms.chains import BORDER, STORAGE
from cyconv.algorithms.fft_floor import SMALL, Weights
from cyconv.algorithms.mending import mend
from cyconv.algorithms.tiling import spread_taps, tile_of
from cyconv.lowering.borders import extended

cnp.import_array()

cdef enum:
    RANK = 8

cdef double LOOK = 0.05  # of a pair's time: a look at its inputs


cdef class TilePairs(TileCut):
    """Products of spectra of one problem; see :func:`best_pairs`."""

    def pack(self, w):
        """The spectra of the weights, and the weights for repairs."""
        cdef Spectra packed = Spectra()
        cdef const spectra_t *k = self.k
        cdef tile_t t = self.best.tile
        cdef tile_source_t taps, none
        cdef ptrdiff_t i, itemsize = self.s.itemsize, plane
        cdef char *scratch
        cdef Buffer memory = Buffer()
        cdef cnp.ndarray spread
        cdef int a, axis
        p = self.problem
        packed.tables = tables(self.isa, itemsize, t.outer, t.rows, t.columns, t.folded)
        packed.place(&t)
        spread = spread_taps(p, w)
        packed.bytes = <ptrdiff_t>self.best.spectra_bytes
        packed.spectra.reserve(<size_t>self.best.spectra_bytes + LINE, "spectra of weights")
        memory.reserve(<size_t>self.best.bytes, "workspace")
        plane = ceil_div(k.plane(&t) * itemsize, LINE) * LINE
        scratch = memory.data + plane
        memset(&none, 0, sizeof(none))
        memset(&taps, 0, sizeof(taps))
        for a in range(AXES):
            taps.end[a] = taps.step[a] = 1
        taps.type = <storage_t><int>STORAGE[spread.dtype]
        for a in range(AXES - self.depth, AXES):
            axis = self.s.rank - AXES + a
            taps.end[a] = self.s.axes[axis].span
            taps.step[a] = spread.strides[2 + axis] // itemsize
        for i in range(spread.shape[0]):
            for c in range(spread.shape[1]):
                taps.x = (cnp.PyArray_BYTES(spread) + i * spread.strides[0]
                          + <ptrdiff_t>c * spread.strides[1])
                k.load(&t, &taps, 0, memory.data)
                k.load(&t, &none, 1, memory.data)
                k.transform(&t, memory.data, packed.spectra.data + 2 * itemsize * (
                    i * self.s.C + <ptrdiff_t>c) * t.outer * t.rows * t.columns, scratch)
        with np.errstate(all="ignore"):
            packed.weights = Weights(np.array(w, order="C"), p.groups, self.isa)
        return packed

    def run(self, cnp.ndarray x, Spectra packed, cnp.ndarray y, int threads, double seconds,
            border=None, bint saturate=False):
        """y = x correlated with the packed weights, without the last step.

        Nothing can fail once y is written: what is to be mended lies elsewhere first.

        Parameters
        ----------
        x, y : arrays (N, channels, *spatial) of steps in whole elements
            Of types that chains hold.
        packed : Spectra
        threads : int
        seconds : float
        border : (widths, mode, cval), optional
            What makes of x the problem's: for :func:`cyconv.lowering.borders.extended`, of the
            spatial axes alone.
        saturate : bool
            An integer y is rounded to the nearest and clipped, instead of C's cast.
        """
        cdef call_t call
        cdef Sizes s = self.s
        cdef int a
        cdef ptrdiff_t items = s.N * s.G * self.lines * self.pairs
        cdef cnp.ndarray doubtful = np.zeros(items, np.uint8)
        cdef cnp.ndarray even = packed.weights.even, span = packed.weights.span
        limits = np.finfo(s.dtype)
        memset(&call, 0, sizeof(call))
        call.k = self.k
        call.t = self.best.tile
        packed.place(&call.t)
        call.cut, call.depth = self.best, self.depth
        call.G, call.pairs, call.lines = s.G, self.pairs, self.lines
        call.rank = s.rank
        for a in range(s.rank):
            call.axes[a] = s.axes[a]
            call.x_step[a] = cnp.PyArray_STRIDE(x, 2 + a) // cnp.PyArray_ITEMSIZE(x)
            call.image[a] = cnp.PyArray_DIM(x, 2 + a)
        call.x_n, call.x_c = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1)
        call.x, call.x_type = cnp.PyArray_BYTES(x), <storage_t><int>STORAGE[x.dtype]
        call.x_size = cnp.PyArray_ITEMSIZE(x)
        if border is not None:
            widths, mode, cval = border
            call.bordered, call.constant = True, cval
            call.border = <border_mode_t><int>BORDER[mode]
            for a in range(s.rank):
                call.before[a] = widths[a][0]
        call.spectra = packed.spectra.data
        call.itemsize = s.itemsize
        call.plane = call.k.plane(&call.t)
        call.doubtful = <unsigned char *>cnp.PyArray_DATA(doubtful)
        call.even = <const unsigned char *>cnp.PyArray_DATA(even)
        call.span = <const double *>cnp.PyArray_DATA(span)
        call.least = not even.all()
        call.eps, call.small = limits.eps, SMALL
        growth = packed.weights.growth * float(prod(self.lengths)) ** 2
        call.largest = float(limits.max) / growth if growth < INFINITY else 0
        call.saturate = saturate
        if not are_bytes(&call, packed.weights):
            parallel_for(look_work, &call, items, threads, 0, seconds * LOOK)
        found = np.flatnonzero(doubtful)
        target = np.empty((<object>y).shape, s.dtype) if len(found) else y
        write_to(&call, target)
        parallel_for(pair_work, &call, items, threads, <size_t>self.best.bytes, seconds)
        if len(found):
            if border is not None:
                x = extended(x, ((0, 0), (0, 0), *widths), mode, cval, s.dtype)
            elif x.dtype != s.dtype:
                x = x.astype(s.dtype)
            for item in found:
                self.mend(x, packed.weights, target, item)
            y[...] = saturated(target, y.dtype) if saturate else target

    def mend(self, x, weights, y, item):
        """Repair what is in doubt of one pair."""
        p, depth = self.problem, self.depth
        item, pair = divmod(item, self.pairs)
        item, line = divmod(item, self.lines)
        n, group = divmod(item, p.groups)
        channels, filters = self.s.C, self.s.K
        x = x[n, group * channels : (group + 1) * channels]
        y = y[n, group * filters : (group + 1) * filters]
        above = p.rank - depth
        place = np.unravel_index(line, p.output_spatial[:above]) if above else ()
        counts = [self.best.counts[a] for a in range(AXES - depth, AXES)]
        outputs = [1] * above + [self.best.outputs[a] for a in range(AXES - depth, AXES)]
        lengths = [1] * above + self.lengths
        tiles = []
        for one in range(2 * pair, min(2 * pair + 2, prod(counts))):
            starts, cells = [], [slice(None)]
            for axis, j in enumerate((*place, *np.unravel_index(one, counts))):
                begin = int(j) * outputs[axis]
                starts.append(begin * p.stride[axis] - p.padding[axis][0])
                cells.append(slice(begin, min(begin + outputs[axis], p.output_spatial[axis])))
            tile, _ = tile_of(x, starts, lengths)
            tiles.append((tile, y[tuple(cells)]))
        with np.errstate(all="ignore"):
            sizes = [float(np.linalg.norm(tile.astype(np.float64))) for tile, _ in tiles]
            for (tile, outs), size in zip(tiles, reversed(sizes), strict=True):
                beside = size if len(tiles) > 1 else 0.0
                mend(p, weights, group, tile, outs, list(range(-depth, 0)), beside)


cdef class Spectra:
    """Those of the weights, the weights, and the tables of the transforms."""

    cdef Buffer spectra
    cdef Tables tables
    cdef readonly object weights
    cdef readonly ptrdiff_t bytes

    def __cinit__(self):
        self.spectra = Buffer()

    cdef place(self, tile_t *t):
        """Give a tile its tables."""
        cdef char *at = self.tables.memory.data
        cdef const ptrdiff_t *starts = self.tables.starts
        t.outer_roots, t.row_roots = at + starts[0], at + starts[1]
        t.column_roots = at + starts[2]
        t.turns = at + starts[3] if t.folded else NULL


cdef class Tables:
    """Roots and turns of the transforms of one size of tile."""

    cdef Buffer memory
    cdef ptrdiff_t[4] starts


@lru_cache(maxsize=16)
def tables(isa, itemsize, outer, rows, columns, folded):
    """The same for all tiles of these lengths."""
    cdef Tables of = Tables()
    cdef const spectra_t *k = spectra_for(isa, np.dtype(f"f{itemsize}"))
    cdef ptrdiff_t[3] lengths = [outer, rows, columns]
    cdef ptrdiff_t bytes = 0, size = itemsize
    cdef int a
    for a in range(3):
        of.starts[a] = bytes
        if lengths[a] > 1:
            bytes += ceil_div(k.fill_roots(lengths[a], NULL) * size, LINE) * LINE
    of.starts[3] = bytes
    if folded:
        bytes += 2 * lengths[1] * lengths[2] * size
    of.memory = Buffer()
    of.memory.reserve(bytes + LINE, "tables of transforms")
    for a in range(3):
        if lengths[a] > 1:
            k.fill_roots(lengths[a], of.memory.data + of.starts[a])
    if folded:
        k.fill_turns(lengths[1], lengths[2], of.memory.data + of.starts[3])
    return of


cdef struct call_t:
    const spectra_t *k
    tile_t t
    cut_t cut
    int depth, rank, itemsize
    bint least, bordered, saturate
    border_mode_t border
    double constant
    storage_t x_type, y_type
    ptrdiff_t x_size, y_size         # of elements, bytes
    ptrdiff_t[RANK] image, before    # cells of the image, and of its border before them
    ptrdiff_t G, pairs, lines, plane
    axis_sizes_t[RANK] axes
    ptrdiff_t[RANK] x_step, y_step   # in elements
    ptrdiff_t x_n, x_c, y_n, y_k     # in bytes
    const char *x
    char *y
    const char *spectra
    unsigned char *doubtful
    const unsigned char *even
    const double *span
    double eps, small, largest


cdef bint are_bytes(const call_t *call, weights) except -1:
    """Whether no look at an image of bytes finds a doubt: none is under a 255th of another."""
    if call.x_size > 1 or (call.bordered and call.constant != 0):
        return False
    even = weights.even | (weights.span * (255 * call.eps) <= 1)
    return call.small * 255 < 1 and 255 < call.largest and even.all()


cdef saturated(y, dtype):
    """Integers rounded to the nearest and clipped to those that the dtype holds, as kernels do."""
    found = np.empty(y.shape, dtype)
    as_it_is = ((chains.line([1.0], 0), False),)
    chains.run(y, found, (1, 1, y.size, 1), (as_it_is,), ("constant", "constant"), 0.0,
               y.dtype == np.float64, y.dtype, saturate=True, threads=1)
    return found


cdef write_to(call_t *call, cnp.ndarray y):
    """Where results go."""
    for a in range(call.rank):
        call.y_step[a] = cnp.PyArray_STRIDE(y, 2 + a) // cnp.PyArray_ITEMSIZE(y)
    call.y_n, call.y_k = cnp.PyArray_STRIDE(y, 0), cnp.PyArray_STRIDE(y, 1)
    call.y, call.y_type = cnp.PyArray_BYTES(y), <storage_t><int>STORAGE[y.dtype]
    call.y_size = cnp.PyArray_ITEMSIZE(y)


cdef struct pair_t:
    ptrdiff_t group
    tile_source_t[2] source
    tile_target_t[2] target


cdef pair_t pair_at(const call_t *call, ptrdiff_t item) noexcept nogil:
    """Where a pair of tiles of one group reads its first channel and writes its first filter."""
    cdef pair_t found
    cdef ptrdiff_t tile = item % call.pairs * 2, rest = item // call.pairs
    cdef ptrdiff_t line = rest % call.lines, n
    cdef const char *x
    cdef char *y
    rest //= call.lines
    found.group, n = rest % call.G, rest // call.G
    x = call.x + n * call.x_n + found.group * call.t.channels * call.x_c
    y = call.y + n * call.y_n + found.group * call.t.filters * call.y_k
    place(call, line, tile, x, y, &found.source[0], &found.target[0])
    place(call, line, tile + 1, x, y, &found.source[1], &found.target[1])
    return found


cdef void look_work(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """Whether what a pair computes may have lost its digits, or overflow."""
    cdef const call_t *call = <const call_t *>context
    cdef pair_t pair = pair_at(call, item)
    cdef spread_t found
    cdef ptrdiff_t _c
    cdef int half
    cdef bint sound
    found.largest, found.least, found.least_run = 0, INFINITY, INFINITY
    for half in range(2):
        for _c in range(call.t.channels):
            call.k.look(&call.t, &pair.source[half], call.least, &found)
            pair.source[half].x = <const char *>pair.source[half].x + call.x_c
    sound = found.least_run >= found.largest * call.small and found.largest < call.largest
    if sound and not call.even[pair.group]:
        sound = call.span[pair.group] * call.eps * found.largest <= found.least
    call.doubtful[item] = not sound


cdef void pair_work(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One pair of tiles of one group, all its channels and filters."""
    cdef const call_t *call = <const call_t *>context
    cdef pair_t pair = pair_at(call, item)
    cdef ptrdiff_t c, k, size = call.itemsize, plane = call.plane * size
    cdef ptrdiff_t C = call.t.channels, K = call.t.filters
    cdef ptrdiff_t points = call.t.outer * call.t.rows * call.t.columns
    cdef char *results = scratch + (0 if C == 1 and K == 1 else C * plane)
    cdef int half
    for half in range(2):
        for c in range(C):
            call.k.load(&call.t, &pair.source[half], half, scratch + c * plane)
            pair.source[half].x = <const char *>pair.source[half].x + call.x_c
    call.k.correlate(&call.t, scratch, call.spectra + pair.group * K * C * 2 * size * points,
                     results + K * plane)
    for half in range(2):
        for k in range(K):
            call.k.store(&call.t, &pair.target[half], 1 - half, results + k * plane)
            pair.target[half].y = <char *>pair.target[half].y + call.y_k


cdef void place(const call_t *call, ptrdiff_t line, ptrdiff_t tile, const char *x, char *y,
                tile_source_t *source, tile_target_t *target) noexcept nogil:
    """Where a tile of a line reads and writes: nowhere, if there are fewer tiles."""
    cdef int a, axis, above = call.rank - call.depth
    cdef ptrdiff_t j, start, length, x_at = 0, y_at = 0
    cdef const axis_sizes_t *sizes
    cdef bint outside
    memset(source, 0, sizeof(tile_source_t))
    memset(target, 0, sizeof(tile_target_t))
    for a in range(AXES):
        source.end[a] = source.step[a] = 1
        target.count[a] = target.stride[a] = target.step[a] = 1
    source.type, target.type = call.x_type, call.y_type
    target.saturate = call.saturate
    source.border, source.constant = call.border, call.constant
    outside = False
    for axis in range(above - 1, -1, -1):
        sizes = &call.axes[axis]
        j = line % sizes.out
        line //= sizes.out
        start = j * sizes.stride - sizes.lo
        if call.bordered:
            start = border_source(call.border, start - call.before[axis], call.image[axis])
        outside = outside or start < 0 or start >= sizes.in_
        x_at += start * call.x_step[axis]
        y_at += j * call.y_step[axis]
    for a in range(AXES - 1, AXES - call.depth - 1, -1):
        axis = call.rank - AXES + a
        sizes = &call.axes[axis]
        j = tile % call.cut.counts[a]
        tile //= call.cut.counts[a]
        length = call.cut.lengths[a]
        start = j * call.cut.outputs[a] * sizes.stride - sizes.lo
        if call.bordered:
            source.held[a] = min(length, sizes.in_ - start)
            start -= call.before[axis]
        source.place[a], source.size[a] = start, call.image[axis]
        source.begin[a] = max(<ptrdiff_t>0, -start)
        source.end[a] = min(length, call.image[axis] - start)
        source.step[a] = call.x_step[axis]
        outside = outside or (not call.bordered and source.begin[a] >= source.end[a])
        x_at += (start + source.begin[a]) * call.x_step[axis]
        target.count[a] = min(call.cut.outputs[a], sizes.out - j * call.cut.outputs[a])
        target.stride[a] = sizes.stride
        target.step[a] = call.y_step[axis]
        y_at += j * call.cut.outputs[a] * call.y_step[axis]
    if tile:  # of an odd number the last one has none beside it
        outside = True
        target.count[2] = 0
    if outside:
        source.end[2] = source.begin[2] = source.held[2] = 0
        x_at = 0
    source.x = x + x_at * call.x_size
    target.y = y + (y_at if target.count[2] else 0) * call.y_size


def best_pairs(problem, workspace_limit, isa):
    """The cheapest tiles within the limit, or None if the kernels cannot or none fits."""
    cdef TilePairs found = TilePairs.__new__(TilePairs)
    return found if found.lay(problem, isa, workspace_limit) else None
