"""How `fft` cuts a problem into overlapping tiles, and tiles into pieces of work.

Along each axis a tile of `length` inputs gives ``length - extent + 1`` outputs that the circular
transform does not wrap; the next tile starts that much later. A piece is some groups of channels by
some tiles that are neighbours along the last axis: as many as a cache holds, transformed at once.
"""

from libc.math cimport ceil, floor, log2, pow

from cyconv.planning.estimates cimport ceil_div
from cyconv.planning.rates cimport constants
from cyconv.problem.sizes cimport Sizes, axis_sizes_t

import numpy as np

from cyconv.runtime import machine

FACTORS = (1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 256)
"""Tile lengths that are tried, in multiples of the kernel's extent."""

PIECE = 1 << 18
"""Points of a piece, unless one tile has more."""

cdef enum:
    SHORTEST = 32  # of those lengths
    WIDE = 1024    # inputs of a tile along an axis that is not transformed
    LINE = 64      # bytes of a cache line
    VECTOR = 16    # bytes in which SciPy transforms several rows side by side
    RANK = 8


cdef struct rates_t:
    double stage, axis, far, lone, point, product  # of `constants`
    double size   # of the dtype, as a factor of a transform's time
    double begin  # of a piece
    double cache  # bytes of a piece that are transformed in a cache


cdef rates_t rates_of(Sizes s) except *:
    cdef rates_t rates
    rates.stage, rates.axis = constants.fft_stage_seconds, constants.fft_axis_seconds
    rates.lone, rates.far = constants.fft_lone_factor, constants.fft_far_factor
    rates.point, rates.product = constants.fft_point_seconds, constants.fft_product_seconds
    rates.size = pow(s.itemsize / 4.0, constants.fft_wider_power)
    rates.begin = constants.fft_seconds
    rates.cache = machine.caches().l3 * 3 // 4
    return rates


cpdef ptrdiff_t fast_length(ptrdiff_t n) noexcept:
    """The least 2^i 3^j 5^k >= n, which SciPy transforms fast: ``next_fast_len(n, real=True)``."""
    cdef ptrdiff_t fives = 1, threes, product, least = 1
    while least < n:
        least *= 2
    while fives < least:
        threes = fives
        while threes < least:
            product = threes
            while product < n:
                product *= 2
            least = min(least, product)
            threes *= 3
        fives *= 5
    return least


cdef ptrdiff_t asked(const axis_sizes_t *a, double factor) noexcept nogil:
    """Inputs of a tile of `factor` times the kernel's extent, as far as one has more outputs."""
    cdef ptrdiff_t enough = a.in_ + a.lo + a.hi + a.stride - 1
    return min(max(<ptrdiff_t>SHORTEST, <ptrdiff_t>(a.span * factor)), enough)


cdef class Tiling:
    """Tile lengths along each axis, what a piece is, and what they cost.

    Numbers of points and of bytes may be larger than 64 bits hold: they are doubles.
    """

    cdef Sizes s
    cdef ptrdiff_t[RANK] _lengths, _steps, _outputs, _counts, _sizes
    cdef bint[RANK] transformed      # axes of more than one tap
    cdef readonly bint row           # only the last one
    cdef readonly ptrdiff_t lanes, channels, filters, groups, tiles
    cdef double points_, bytes_, spectra_bytes_
    cdef readonly double seconds, seconds_of_one

    cdef cut(self, int axis, double factor):
        """Even tiles of one axis."""
        cdef const axis_sizes_t *a = &self.s.axes[axis]
        cdef bint last = axis == self.s.rank - 1
        cdef ptrdiff_t size = max(<ptrdiff_t>1, a.out), whole = a.in_ + a.lo + a.hi, count, step
        cdef ptrdiff_t length = WIDE, line = 1
        if not self.transformed[axis]:
            count = 1 if size == 1 else <ptrdiff_t>ceil(
                <double>(size * a.stride) / max(a.stride, <ptrdiff_t>WIDE))
        else:
            length = asked(a, factor)
            count = ceil_div(size, max(<ptrdiff_t>1, (length - a.span + 1) // a.stride))
            if self.row and count > 1:
                count = ceil_div(count, self.lanes) * self.lanes
        # Copies to whole cache lines are several times as fast as to parts of two.
        if last and size > LINE * count:
            line = LINE // self.s.itemsize
        step = ceil_div(size, count * line) * line
        length = step * a.stride + a.span - 1
        if count == 1 or length >= whole:
            length, step, count = whole, size, 1
        if self.transformed[axis]:
            length = fast_length(length)
        if count > 1:
            step = (length - a.span + 1) // (line * a.stride) * line
        self._lengths[axis], self._outputs[axis] = length, step
        self._steps[axis] = step * a.stride
        self._counts[axis] = ceil_div(size, step)

    cdef gather(self, double piece):
        """What one piece of about so many points holds, and its bytes."""
        cdef int i, last = self.s.rank - 1
        cdef double one = self.points_ * max(<ptrdiff_t>1, self.channels, self.filters)
        cdef double planes = 1, width, tile, spectrum = 1
        cdef ptrdiff_t count = self._counts[last], tiles
        self.groups = max(<ptrdiff_t>1, min(self.s.G, <ptrdiff_t>floor(piece / one)))
        tiles = <ptrdiff_t>floor(piece / (one * self.groups))
        tiles = min(count, max(self.lanes if self.row and piece == PIECE else 1, tiles))
        tiles = ceil_div(count, ceil_div(count, tiles))
        if self.row and tiles > self.lanes:
            tiles = tiles // self.lanes * self.lanes
        self.tiles = tiles
        width = (tiles - 1) * self._steps[last] + self._lengths[last]
        for i in range(last):
            planes *= self._lengths[i]
        for i in range(last + 1):
            spectrum *= self._sizes[i]
        tile = self.points_ * (self.channels + 4 * self.filters)
        tile = tiles * tile + self.channels * planes * width
        self.bytes_ = self.s.itemsize * self.groups * tile
        self.spectra_bytes_ = (
            2 * self.s.itemsize * spectrum * (self.s.G * self.filters * self.channels))

    cdef predict(self, const rates_t *rates):
        """Seconds on one thread, for one image and for all."""
        cdef Sizes s = self.s
        cdef int i
        cdef double logarithms = 0, transform, tile, tiles = 1, above = 1, pieces, packing, each
        cdef ptrdiff_t axes = 0, products = self.filters * self.channels
        for i in range(s.rank):
            if self.transformed[i]:
                axes += 1
                logarithms += log2(<double>max(<ptrdiff_t>2, self._lengths[i]))
            tiles *= self._counts[i]
            if i < s.rank - 1:
                above *= self._counts[i]
        transform = rates.stage * logarithms + rates.axis * axes
        if self.bytes_ > rates.cache:
            transform *= rates.far
        each = (s.G * self.channels * self.rate(self.channels, rates.lone)
                + s.G * self.filters * self.rate(self.filters, rates.lone))
        tile = self.points_ * rates.size * (
            each * transform
            + s.G * (self.channels + self.filters) * rates.point
            + s.G * products * rates.product)
        pieces = ceil_div(s.G, self.groups) * above
        pieces *= ceil_div(self._counts[s.rank - 1], self.tiles)
        packing = s.G * products * self.points_ * transform * rates.size
        self.seconds_of_one = pieces * rates.begin + tiles * tile + packing
        self.seconds = s.N * (self.seconds_of_one - packing) + packing

    cdef double rate(self, ptrdiff_t planes, double lone) noexcept:
        """Time of a transform where a piece has so many `planes` of a group, in multiples."""
        cdef ptrdiff_t rows = max(<ptrdiff_t>1, self.groups * self.tiles * planes)
        cdef ptrdiff_t rest = rows % self.lanes
        # SciPy transforms `lanes` rows at a time, and those left over one by one.
        return (rows - rest + (lone if self.row else 1) * rest) / rows

    @property
    def points(self):
        """Inputs of one tile."""
        return int(self.points_)

    @property
    def bytes(self):
        """Scratch of a piece."""
        return int(self.bytes_)

    @property
    def spectra_bytes(self):
        """Of the weights."""
        return int(self.spectra_bytes_)

    @property
    def lengths(self):
        """Inputs of a tile along each axis."""
        return [self._lengths[i] for i in range(self.s.rank)]

    @property
    def steps(self):
        """Inputs from a tile to the next."""
        return [self._steps[i] for i in range(self.s.rank)]

    @property
    def outputs(self):
        """Outputs of a tile."""
        return [self._outputs[i] for i in range(self.s.rank)]

    @property
    def counts(self):
        """Tiles along each axis."""
        return [self._counts[i] for i in range(self.s.rank)]

    @property
    def sizes(self):
        """Of a spectrum, along each axis."""
        return [self._sizes[i] for i in range(self.s.rank)]

    @property
    def axes(self):
        """Those that are transformed, counted from the end."""
        return [i - self.s.rank for i in range(self.s.rank) if self.transformed[i]]

    @property
    def transformed_lengths(self):
        """Their lengths."""
        return [self._lengths[i] for i in range(self.s.rank) if self.transformed[i]]


cdef Tiling tiling(Sizes s, const rates_t *rates, double factor, double piece):
    """Tiles of `factor` times the kernel's extent, in pieces of about `piece` points."""
    cdef Tiling t = Tiling.__new__(Tiling)
    cdef int i, last = -1
    t.s, t.channels, t.filters = s, s.C, s.K
    t.lanes = max(1, VECTOR // s.itemsize)
    t.points_ = 1
    for i in range(s.rank):
        t.transformed[i] = s.axes[i].span > 1
    for i in range(s.rank):
        last = i if t.transformed[i] else last
    if last < 0:  # one tap: an axis has to be transformed
        last = s.rank - 1
        t.transformed[last] = True
    t.row = last == s.rank - 1
    for i in range(last):
        t.row = t.row and not t.transformed[i]
    for i in range(s.rank):
        t.cut(i, factor)
        t.points_ *= t._lengths[i]
        t._sizes[i] = t._lengths[i] if t.transformed[i] else 1
    t._sizes[last] = t._sizes[last] // 2 + 1  # of a real transform
    t.gather(piece)
    t.predict(rates)
    return t


cdef bint same_lengths(Sizes s, double one, double other) noexcept:
    """Whether two factors ask for the same tiles."""
    cdef int i
    for i in range(s.rank):
        if one < 0 or asked(&s.axes[i], one) != asked(&s.axes[i], other):
            return False
    return True


def best_tiling(problem, workspace_limit):
    """The cheapest tiling within the limit, or the smallest of all if none is.

    Cheapest for one image: the tiles decide the bits, which may not depend on the batch.
    """
    cdef Sizes s = problem.sizes
    cdef rates_t rates = rates_of(s)
    cdef Tiling t, best = None, smallest
    cdef double limit = workspace_limit, before
    for piece in (PIECE, PIECE // 8, 1):
        smallest = None
        before = -1
        for factor in FACTORS:
            if same_lengths(s, before, factor):
                continue
            before = factor
            t = tiling(s, &rates, factor, piece)
            if t.bytes_ + t.spectra_bytes_ <= limit:
                if best is None or t.seconds_of_one < best.seconds_of_one:
                    best = t
            if smallest is None or (
                    t.bytes_ + t.spectra_bytes_ < smallest.bytes_ + smallest.spectra_bytes_):
                smallest = t
        if best is not None:
            return best
    return smallest


def tile_of(x, starts, sizes):
    """What a tile reads of `x`, (channels, *spatial), from the cells `starts` on.

    Returns
    -------
    tile : array (channels, *sizes)
        With zeros beyond the image; a view where nothing is.
    inside : array
        The cells within the image, a view.
    """
    source, target = [slice(None)], [slice(None)]
    for start, size, n in zip(starts, sizes, x.shape[1:], strict=True):
        begin = max(start, 0)
        end = max(begin, min(start + size, n))
        source.append(slice(begin, end))
        target.append(slice(begin - start, end - start))
    inside = x[tuple(source)]
    if inside.shape[1:] == tuple(sizes):
        return inside, inside
    tile = np.zeros((len(x), *sizes), x.dtype)
    tile[tuple(target)] = inside
    return tile, inside


def spread_taps(problem, w):
    """The weights with zeros between their taps, as the dilation says."""
    if all(d == 1 for d in problem.dilation) and w.dtype == problem.dtype:
        return w
    spread = np.zeros((*w.shape[:2], *problem.receptive_field), problem.dtype)
    spread[(..., *(slice(None, None, d) for d in problem.dilation))] = w
    return spread
