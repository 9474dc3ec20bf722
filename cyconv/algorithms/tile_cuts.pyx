"""How `fft` cuts a problem into pairs of tiles, and what they cost.

Along each axis that is cut a tile of `length` inputs gives ``length - span + 1`` outputs. Lengths
are those that the kernels' transforms take; the cheapest are found by trying them all.
"""

from libc.math cimport log2, pow
from libc.string cimport memset

from cyconv.kernels.kernels cimport spectra_for, spectra_t, tile_t
from cyconv.planning.estimates cimport ceil_div
from cyconv.planning.rates cimport constants
from cyconv.problem.sizes cimport Sizes, axis_sizes_t

from cyconv.planning.estimates import planned_isa
from cyconv.runtime import machine

cdef enum:
    LENGTHS = 128
    SHORTEST = 8
    LONGEST = 1 << 24   # of a line's tile
    WIDEST = 4096       # of a plane's tile

cdef int[5] FACTORS = [1, 3, 5, 9, 15]

# Of a transform there and back: what a channel takes, which is looked at and loaded from two tiles,
# and a filter.
cdef double CHANNEL = 0.75
cdef double FILTER = 0.4
# Seconds of a row of a tile that comes from beyond the second cache, where a pair's rows of all
# channels lie on more pages than a core has at hand.
cdef double FAR_ROW = 4e-8
cdef double AT_HAND = 1 << 17


cdef rates_t rates_of(ptrdiff_t lanes) except *:
    cdef rates_t rates
    cdef double size
    size = 8.0 / lanes
    rates.point = constants.pair_point_seconds * size
    rates.stage = constants.pair_stage_seconds * size
    rates.product = constants.pair_product_seconds * size
    rates.column = constants.pair_column_seconds
    rates.far, rates.near = constants.pair_far_share, machine.caches().l2
    rates.begin, rates.bandwidth = constants.pairs_seconds, constants.bandwidth
    return rates


cdef int lengths_of(ptrdiff_t least, ptrdiff_t enough, ptrdiff_t multiple, ptrdiff_t longest,
                    ptrdiff_t *found) noexcept nogil:
    """Lengths m 2^a that transforms take, rising, from `least` to the first that is `enough`."""
    cdef ptrdiff_t length, least_of_all = max(least, multiple, <ptrdiff_t>SHORTEST)
    cdef int count = 0, i, j
    enough = max(enough, least_of_all)
    for i in range(5):
        length = FACTORS[i] * 4
        while length < longest and length < 2 * enough:
            length *= 2
            if length >= least_of_all and length % multiple == 0:
                j = count
                while j and found[j - 1] > length:
                    found[j] = found[j - 1]
                    j -= 1
                found[j] = length
                count += 1
                if count == LENGTHS:
                    return count
    for i in range(count):
        if found[i] >= enough:
            return i + 1
    return count


cdef ptrdiff_t rows_of(ptrdiff_t length, ptrdiff_t lanes) noexcept nogil:
    """Into how many rows a line is folded: a power of 2, about its root, or 0. Both lengths hold a
    factor of 4, which transforms want, and one of the lanes."""
    cdef ptrdiff_t twos = length & -length, least = max(lanes, <ptrdiff_t>4), rows = least
    while 4 * rows * rows <= length and twos % (2 * rows) == 0:
        rows *= 2
    while rows > least and (twos // rows) % least:
        rows //= 2
    return rows if twos % rows == 0 and length // rows % least == 0 else 0


def least_seconds(problem):
    """What no tiles take less than, of these or of SciPy's: each input and result is transformed,
    and their products are taken, at each of the points that results are kept of.
    """
    cdef Sizes s = problem.sizes
    cdef const spectra_t *k = spectra_for(planned_isa(), s.dtype)
    cdef rates_t rates = rates_of(k.lanes if k != NULL else 8)
    cdef double size = pow(s.itemsize / 4.0, constants.fft_wider_power)
    cdef double planes = s.C + s.K, products = <double>s.C * s.K, ours, theirs
    ours = CHANNEL * s.C + FILTER * s.K
    ours *= rates.point + rates.stage * log2(<double>SHORTEST)
    ours += products * rates.product
    theirs = planes * constants.fft_point_seconds + products * constants.fft_product_seconds
    return (min(rates.begin, constants.fft_seconds)
            + min(ours, size * theirs) * s.N * s.G * s.outer * s.h.out * s.w.out)


cdef class TileCut:
    """The tiles of one problem."""

    cdef bint lay(self, problem, isa, double limit) except -1:
        """Find them: False if the kernels cannot or none fits."""
        cdef Sizes s = problem.sizes
        cdef int axis, first = s.rank - 1
        self.k = spectra_for(isa, s.dtype)
        if self.k == NULL or s.rank < 2 or s.G * s.C * s.K * s.N == 0:
            return False
        for axis in range(s.rank - 1, -1, -1):
            if s.axes[axis].span > 1:
                first = axis
            if s.axes[axis].out == 0 or s.axes[axis].in_ == 0:
                return False
        if s.rank - first > AXES:
            return False
        self.problem, self.isa, self.s = problem, isa, s
        self.lanes, self.depth = self.k.lanes, s.rank - first
        self.lines = 1
        for axis in range(first):
            self.lines *= s.axes[axis].out
        if not self.find(limit):
            return False
        self.pairs = ceil_div(
            self.best.counts[0] * self.best.counts[1] * self.best.counts[2], 2)
        return True

    cdef double price(self, cut_t *cut, const rates_t *rates) noexcept:
        """Seconds for one image."""
        cdef Sizes s = self.s
        cdef double points = 1, levels, each, tiles = 1, columns = 0, touched, packing, products
        cdef double image, rows
        cdef int a
        for a in range(AXES - self.depth, AXES):
            points *= cut.lengths[a]
            tiles *= cut.counts[a]
        levels = log2(points)
        for a in range(AXES - self.depth, AXES):
            columns += points / cut.lengths[a]
        if self.depth == 1:
            columns = cut.tile.rows + cut.tile.columns
        each = 2 * points * (rates.point + rates.stage * levels)
        each += columns / self.lanes * rates.column
        cut.spectra_bytes = 2.0 * points * s.itemsize * s.G * s.C * s.K
        cut.bytes = self.bytes_of(cut)
        touched = cut.bytes + 2 * points * s.itemsize * (1 + (self.depth == 1))
        if touched > rates.near:
            each *= 1 + rates.far * log2(touched / rates.near)
        packing = s.G * s.C * s.K * each / 2
        products = 2 * points * s.C * s.K * rates.product
        touched = cut.spectra_bytes / s.G  # by each pair; beyond the cache they come from afar,
        if touched + cut.bytes > rates.near:
            if cut.bytes > rates.near:  # and so do the channels' for each filter
                touched *= 2
            products = max(products, touched / (2 * rates.bandwidth))
        each = each * (CHANNEL * s.C + FILTER * s.K) + products
        image = s.h.in_ * <double>s.w.in_ * s.itemsize
        rows = points / cut.lengths[AXES - 1]
        if (s.C * image * min(1.0, rows / s.h.in_) > AT_HAND
                and s.G * s.C * image > rates.near):
            each += 2 * s.C * rows * FAR_ROW
        each *= s.G * <double>self.lines * <ptrdiff_t>((tiles + 1) / 2)
        each += s.bytes / s.N / rates.bandwidth
        packing += rates.begin
        cut.seconds_of_one = each + packing
        cut.seconds = s.N * each + packing
        return cut.seconds_of_one

    cdef double bytes_of(self, const cut_t *cut) noexcept:
        """Scratch of one thread."""
        cdef double planes = self.k.plane(&cut.tile)
        planes *= 1 if self.s.C * self.s.K == 1 else self.s.C + self.s.K
        return (planes + self.k.scratch(&cut.tile)) * self.s.itemsize + 2 * LINE

    cdef bint find(self, double limit) except -1:
        """The cheapest tiles within the limit, if there are any."""
        cdef rates_t rates = rates_of(self.lanes)
        cdef ptrdiff_t[AXES][LENGTHS] lengths
        cdef int[AXES] counts
        cdef cut_t cut
        cdef const axis_sizes_t *axis
        cdef int a, i, j, k
        cdef bint found = False
        memset(&cut, 0, sizeof(cut))
        for a in range(AXES):
            counts[a], lengths[a][0] = 1, 1
            cut.lengths[a] = cut.outputs[a] = cut.counts[a] = 1
        for a in range(AXES - self.depth, AXES):
            axis = &self.s.axes[self.s.rank - AXES + a]
            counts[a] = lengths_of(
                axis.span,
                (axis.out - 1) * axis.stride + axis.span,
                self.lanes * self.lanes if self.depth == 1 else self.lanes if a else 1,
                LONGEST if self.depth == 1 else WIDEST,
                lengths[a])
        for i in range(counts[0]):
            for j in range(counts[1]):
                for k in range(counts[2]):
                    self.cut_axis(&cut, 0, lengths[0][i])
                    self.cut_axis(&cut, 1, lengths[1][j])
                    self.cut_axis(&cut, 2, lengths[2][k])
                    if not self.lay_out(&cut):
                        continue
                    self.price(&cut, &rates)
                    if cut.bytes + cut.spectra_bytes > limit:
                        continue
                    if not found or cut.seconds_of_one < self.best.seconds_of_one:
                        self.best = cut
                        found = True
        return found

    cdef void cut_axis(self, cut_t *cut, int a, ptrdiff_t length) noexcept:
        cdef const axis_sizes_t *axis
        if a < AXES - self.depth:
            return
        axis = &self.s.axes[self.s.rank - AXES + a]
        cut.lengths[a] = length
        cut.outputs[a] = min(max(axis.out, <ptrdiff_t>1), (length - axis.span) // axis.stride + 1)
        cut.counts[a] = ceil_div(max(axis.out, <ptrdiff_t>1), cut.outputs[a])

    cdef bint lay_out(self, cut_t *cut) noexcept:
        """What the kernels take; whether they can: a line must fold into rows."""
        cdef tile_t *t = &cut.tile
        t.channels, t.filters = self.s.C, self.s.K
        t.outer, t.rows, t.columns = cut.lengths[0], cut.lengths[1], cut.lengths[2]
        t.folded = self.depth == 1
        if t.folded:
            t.rows = rows_of(t.columns, self.lanes)
            if t.rows == 0:
                return False
            t.columns //= t.rows
        t.pitch = pitch_of(t.columns, self.s.itemsize)
        return True

    @property
    def seconds(self):
        """Predicted, of all images, on one thread."""
        return self.best.seconds

    @property
    def bytes(self):
        """Scratch of one thread."""
        return int(self.best.bytes)

    @property
    def spectra_bytes(self):
        """Of the weights."""
        return int(self.best.spectra_bytes)

    @property
    def lengths(self):
        """Inputs of a tile along the axes that are cut."""
        return [self.best.lengths[a] for a in range(AXES - self.depth, AXES)]


cdef ptrdiff_t pitch_of(ptrdiff_t columns, ptrdiff_t itemsize) noexcept nogil:
    """Elements from a row to the next: an odd number of cache lines, and no more in one set."""
    cdef ptrdiff_t line = LINE // itemsize
    return (ceil_div(columns, line) | 1) * line
