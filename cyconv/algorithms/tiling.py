"""How `fft` cuts a problem into overlapping tiles, and tiles into pieces of work.

Along each axis a tile of `length` inputs gives ``length - extent + 1`` outputs that the circular
transform does not wrap; the next tile starts that much later. A piece is some groups of channels by
some tiles that are neighbours along the last axis: as many as a cache holds, transformed at once.
"""

from functools import lru_cache
from math import ceil, log2, prod

import scipy.fft

from cyconv.planning import cost
from cyconv.runtime import machine

FACTORS = (1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 256)
"""Tile lengths that are tried, in multiples of the kernel's extent."""

SHORTEST = 32  # of those lengths
PIECE = 1 << 18  # points of a piece, unless one tile has more
WIDE = 1024  # inputs of a tile along an axis that is not transformed
LINE = 64  # bytes of a cache line
VECTOR = 16  # bytes in which SciPy transforms several rows side by side


class Tiling:
    """Tile lengths along each axis, what a piece is, and what they cost."""

    def __init__(self, problem, factor, piece):
        p = problem
        self.lanes = max(1, VECTOR // p.dtype.itemsize)
        taps = [axis for axis, extent in enumerate(p.receptive_field) if extent > 1]
        taps = taps or [p.rank - 1]  # one tap: an axis has to be transformed
        self.row = taps == [p.rank - 1]
        self.lengths, self.steps, self.counts = [], [], []
        for axis in range(p.rank):
            self.cut(p, axis, factor if axis in taps else None)
        self.axes = [axis - p.rank for axis in taps]
        self.transformed_lengths = [self.lengths[axis] for axis in taps]
        self.sizes = [n if axis in taps else 1 for axis, n in enumerate(self.lengths)]
        self.sizes[taps[-1]] = self.sizes[taps[-1]] // 2 + 1  # of a real transform
        self.channels, self.filters = p.channels // p.groups, p.filters // p.groups
        self.points = prod(self.lengths)
        self.gather(p, piece)
        self.predict(p)

    def cut(self, p, axis, factor):
        """Even tiles of one axis; `factor` None where it has one tap."""
        size, s = max(1, p.output_spatial[axis]), p.stride[axis]
        extent, whole = p.receptive_field[axis], p.spatial[axis] + sum(p.padding[axis])
        if factor is None:
            length, count = WIDE, ceil(size * s / max(s, WIDE))
        else:
            length = max(SHORTEST, int(extent * factor))
            count = ceil(size / max(1, (length - extent + 1) // s))
            if self.row and count > 1:
                count = ceil(count / self.lanes) * self.lanes
        # Copies to whole cache lines are several times as fast as to parts of two.
        line = LINE // p.dtype.itemsize if axis == p.rank - 1 and size > LINE * count else 1
        step = ceil(size / count / line) * line * s
        length = step + extent - 1
        if count == 1 or length >= whole:
            length, step, count = whole, size * s, 1
        if factor is not None:
            length = scipy.fft.next_fast_len(length, real=True)
        if count > 1:
            step = (length - extent + 1) // (line * s) * line * s
        self.lengths.append(length)
        self.steps.append(step)
        self.counts.append(ceil(size * s / step))

    def gather(self, p, piece):
        """What one piece of about so many points holds, and its bytes."""
        one = self.points * max(1, self.channels, self.filters)
        self.groups = max(1, min(p.groups, piece // one))
        fewest = self.lanes if self.row and piece == PIECE else 1
        tiles = min(self.counts[-1], max(fewest, piece // (one * self.groups)))
        tiles = ceil(self.counts[-1] / ceil(self.counts[-1] / tiles))
        if self.row and tiles > self.lanes:
            tiles = tiles // self.lanes * self.lanes
        self.tiles = tiles
        width = (tiles - 1) * self.steps[-1] + self.lengths[-1]
        strip = self.channels * prod(self.lengths[:-1]) * width
        tile = self.points * (self.channels + 4 * self.filters)
        self.bytes = p.dtype.itemsize * self.groups * (strip + tiles * tile)
        self.spectra_bytes = 2 * p.dtype.itemsize * prod(self.sizes) * p.filters * self.channels

    def predict(self, p):
        """Seconds on one thread, for one image and for all."""
        logarithms = sum(log2(max(2, n)) for n in self.transformed_lengths)
        of = cost.transforms
        transform = of.fft_stage_seconds * logarithms + of.fft_axis_seconds * len(self.axes)
        size = (p.dtype.itemsize / 4) ** of.fft_wider_power
        transform *= of.fft_far_factor if self.bytes > machine.caches().l3 * 3 // 4 else 1
        # SciPy transforms `lanes` rows at a time, and those left over one by one.
        lone = of.fft_lone_factor if self.row else 1
        each = p.channels * self.rate(self.channels, lone) + p.filters * self.rate(
            self.filters, lone
        )
        tile = self.points * size * (
            each * transform
            + (p.channels + p.filters) * of.fft_point_seconds
            + p.filters * self.channels * of.fft_product_seconds
        )  # fmt: skip
        pieces = ceil(p.groups / self.groups) * prod(self.counts[:-1])
        pieces *= ceil(self.counts[-1] / self.tiles)
        packing = p.filters * self.channels * self.points * transform * size
        self.seconds_of_one = pieces * cost.calls.fft_seconds + prod(self.counts) * tile + packing
        self.seconds = p.batch * (self.seconds_of_one - packing) + packing

    def rate(self, planes, lone):
        """Time of a transform where a piece has so many `planes` of a group, in multiples."""
        rows = max(1, self.groups * self.tiles * planes)
        rest = rows % self.lanes
        return (rows - rest + lone * rest) / rows


@lru_cache(maxsize=64)  # a plan asks for it to lay out, to predict and to choose
def best_tiling(problem, workspace_limit):
    """The cheapest tiling within the limit, or the smallest of all if none is.

    Cheapest for one image: the tiles decide the bits, which may not depend on the batch.
    """
    for piece in (PIECE, PIECE // 8, 1):
        tilings = [Tiling(problem, factor, piece) for factor in FACTORS]
        fitting = [t for t in tilings if t.bytes + t.spectra_bytes <= workspace_limit]
        if fitting:
            return min(fitting, key=lambda t: t.seconds_of_one)
    return min(tilings, key=lambda t: t.bytes + t.spectra_bytes)
