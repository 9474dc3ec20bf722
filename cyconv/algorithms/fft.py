r"""FFT: cross-correlation as a product of spectra, in overlapping tiles.

.. math:: y = F^{-1} \Big[ \sum_c F[x_c] \, \overline{F[w_{kc}]} \Big]

Along each axis a tile of `length` inputs gives ``length - extent + 1`` outputs that the circular
transform does not wrap (overlap-save [1]_); the next tile starts that much later. Real transforms
over the axes on which the kernel has more than one tap; a dilated kernel is filled with zeros, a
stride keeps every s-th output. One image at a time, so that its bits do not depend on its batch.

The transform spreads a non-finite value, and the rounding of a large one, over its whole tile: a
tile with a non-finite output, or with parts a thousand times smaller than others, is computed again
by the direct algorithm.

References
----------
.. [1] A. V. Oppenheim, R. W. Schafer, *Discrete-Time Signal Processing*, section 8.7.
"""

from functools import lru_cache
from itertools import product
from math import ceil, log2, prod, sqrt

import numpy as np
import scipy.fft

from cyconv import choose
from cyconv.algorithms.direct import Algorithm as Direct
from cyconv.operands import finish
from cyconv.problem import Problem

FACTORS = (1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 32, 64, 256)
"""Tile lengths that are tried, in multiples of the kernel's extent."""


EVEN = 1024
"""Between a tile's parts: more of the smaller one's digits than this are lost to the larger's."""


class Algorithm:
    """Spectra multiplied tile by tile; see the module."""

    name = "fft"
    all_or_nothing = False  # every tile allocates

    def __init__(
        self, problem, workspace_limit=choose.WORKSPACE_LIMIT, isa=None, allowed=choose.BALANCED
    ):
        self.problem, self.isa = problem, isa
        self.tiling = best_tiling(problem, workspace_limit)
        self.workspace_per_thread = self.tiling.bytes
        self.complex = np.result_type(problem.dtype, np.complex64)
        if self.workspace_per_thread > workspace_limit:
            raise MemoryError(
                f"{problem.operation}: needs {self.workspace_per_thread} bytes of workspace, "
                f"limit {workspace_limit}"
            )

    @classmethod
    def supports(cls, problem):
        """Floats, on axes that a transform can take whole."""
        if problem.dtype.kind != "f":
            return f"fft needs a float dtype, got {problem.dtype}"
        longest = max(
            n + lo + hi for n, (lo, hi) in zip(problem.spatial, problem.padding, strict=True)
        )
        if longest >= 2**31:
            return f"fft needs padded axes shorter than 2**31, got {longest}"
        return None

    @classmethod
    def cost(cls, problem, threads, allowed=choose.BALANCED):
        """Seconds: the transforms of all tiles and the products of their spectra."""
        return best_tiling(problem, choose.WORKSPACE_LIMIT).seconds

    @classmethod
    def error_bound(cls, problem, allowed=choose.BALANCED):
        """Error relative to direct summation's.

        It is of sqrt(log2 length) roundings, not sqrt(n), but of the largest value in the tile.
        """
        taps = max(1, prod(problem.w_shape[1:]))
        return max(2.0, sqrt(6 * log2(max(2, prod(problem.receptive_field))) / taps))

    def workspace(self, threads):
        """Bytes of scratch: one tile's and the weights' spectra, whatever the threads."""
        return self.workspace_per_thread

    def pack(self, w):
        """The conjugate spectra of the weights, and the weights themselves for repairs."""
        p, t = self.problem, self.tiling
        taps = (..., *(slice(None, None, d) for d in p.dilation))
        sizes = [n if axis in t.axes else 1 for axis, n in enumerate(t.lengths, 1)]
        sizes[t.axes[-1] - 1] = sizes[t.axes[-1] - 1] // 2 + 1  # of a real transform
        depth = p.channels // p.groups
        spread = np.zeros((depth, *p.receptive_field), p.dtype)
        spectra = np.empty((p.filters, depth, *sizes), self.complex)
        for k in range(p.filters if depth else 0):  # one at a time: Ctrl-C is seen between them
            spread[taps] = w[k]
            transformed = scipy.fft.rfftn(spread, t.transformed_lengths, axes=t.axes)
            np.conjugate(transformed, out=spectra[k])
        spectra = spectra.reshape(p.groups, p.filters // p.groups, *spectra.shape[1:])
        return spectra, np.array(w, order="C")

    def run(self, x, packed, y, bias, clamp, threads, seconds):
        """y = x correlated with the packed weights, then the epilogue."""
        spectra, w = packed
        t = self.tiling
        if self.problem.channels == 0:  # the empty sum
            y[...] = 0
            return finish(y, bias, clamp)
        padded = np.empty((self.problem.channels, *t.lengths), self.problem.dtype)
        with np.errstate(all="ignore"):  # what is not finite is computed again
            for n in range(self.problem.batch):
                for place in product(*map(range, t.counts)):
                    self.run_tile(x[n], spectra, w, y[n], place, padded, threads)
        return finish(y, bias, clamp)

    def run_tile(self, x, spectra, w, y, place, padded, threads):
        """The outputs of one tile of one image."""
        p, t = self.problem, self.tiling
        self.load_tile(x, place, padded)
        transformed = scipy.fft.rfftn(padded, axes=t.axes, workers=threads)
        transformed = transformed.reshape(p.groups, -1, *transformed.shape[1:])
        result = spectra[:, :, 0] * transformed[:, None, 0]
        for c in range(1, transformed.shape[1]):
            result += spectra[:, :, c] * transformed[:, None, c]
        result = result.reshape(p.filters, *result.shape[2:])
        values = scipy.fft.irfftn(result, t.transformed_lengths, axes=t.axes, workers=threads)
        first = [j * step // s for j, step, s in zip(place, t.steps, p.stride, strict=True)]
        cells = tuple(
            slice(i, min(i + step // s, size))
            for i, step, s, size in zip(first, t.steps, p.stride, p.output_spatial, strict=True)
        )
        kept = tuple(
            slice(0, (cell.stop - cell.start - 1) * s + 1, s)
            for cell, s in zip(cells, p.stride, strict=True)
        )
        tile = values[(slice(None), *kept)]
        if not np.isfinite(tile).all() or self.uneven(padded):
            tile = self.repair(padded, w, kept, threads)
        y[(slice(None), *cells)] = tile

    def load_tile(self, x, place, padded):
        """The inputs that one tile reads, zero beyond the image."""
        padded[...] = 0
        source, target = [slice(None)], [slice(None)]
        for axis, (lo, _) in enumerate(self.problem.padding):
            start = place[axis] * self.tiling.steps[axis] - lo
            begin = max(start, 0)
            end = max(begin, min(start + self.tiling.lengths[axis], self.problem.spatial[axis]))
            source.append(slice(begin, end))
            target.append(slice(begin - start, end - start))
        padded[tuple(target)] = x[tuple(source)]

    def uneven(self, padded):
        """Whether some window's largest input is under a thousandth of the tile's, and not zero."""
        largest = np.abs(padded).max(axis=0)
        for axis, span in enumerate(self.problem.receptive_field):
            cuts = range(0, largest.shape[axis], max(span, 8))
            largest = np.maximum.reduceat(largest, cuts, axis=axis)
        parts = largest[largest > 0]
        return parts.size > 0 and parts.min() * EVEN < parts.max()

    def repair(self, padded, w, kept, threads):
        """The same outputs by the defining sum."""
        p = self.problem
        sizes = [cut.stop - 1 + extent for cut, extent in zip(kept, p.receptive_field, strict=True)]
        problem = Problem(
            (1, p.channels, *sizes), p.w_shape, p.dtype, p.stride, 0, p.dilation, p.groups
        )
        direct = Direct(problem, isa=self.isa)
        tile = np.empty(problem.output_shape, p.dtype)
        inputs = padded[None][(..., *(slice(0, size) for size in sizes))]
        seconds = Direct.cost(problem, 1)
        direct.run(inputs, direct.pack(w), tile, None, None, threads, seconds)
        return tile[0]


class Tiling:
    """Tile lengths along each axis, and what they cost."""

    def __init__(self, problem, factor):
        p = problem
        self.lengths, self.steps, self.counts = [], [], []
        taps = [axis for axis, extent in enumerate(p.receptive_field) if extent > 1]
        taps = taps or [p.rank - 1]  # one tap: an axis has to be transformed
        for axis, (n, (lo, hi), extent, s) in enumerate(
            zip(p.spatial, p.padding, p.receptive_field, p.stride, strict=True)
        ):
            whole = n + lo + hi
            length = whole
            if axis in taps:
                whole = scipy.fft.next_fast_len(whole, real=True)
                length = scipy.fft.next_fast_len(max(32, int(extent * factor)), real=True)
                length = whole if length + s >= whole else length
            step = (length - extent + 1) // s * s
            if step == 0 or length == whole:  # one tile; its last step may be shorter than s
                length, step = whole, max(s, -(-(whole - extent + 1) // s) * s)
            self.lengths.append(length)
            self.steps.append(step)
        self.counts = [
            max(1, ceil(size * s / step))
            for size, s, step in zip(p.output_spatial, p.stride, self.steps, strict=True)
        ]
        self.axes = [1 + axis for axis in taps]  # of one image (C, *spatial)
        self.transformed_lengths = [self.lengths[axis] for axis in taps]
        points = prod(self.lengths)
        spectra = p.filters * p.channels // p.groups
        self.bytes = p.dtype.itemsize * points * (2 * p.channels + 4 * p.filters + spectra)
        depth = log2(max(2, prod(self.transformed_lengths)))
        transforms = (p.channels + p.filters) * points * depth
        products = p.filters * p.channels / p.groups * points
        size = p.dtype.itemsize / 4
        packing = spectra * points * depth * choose.FFT_TRANSFORM * size
        packing += p.filters * choose.FFT_CALL
        image = prod(self.counts) * (
            choose.FFT_CALL
            + (transforms * choose.FFT_TRANSFORM + products * choose.FFT_PRODUCT) * size
        )
        self.seconds_of_one = image + packing
        self.seconds = p.batch * image + packing


@lru_cache(maxsize=64)  # a plan asks for it to lay out, to predict and to choose
def best_tiling(problem, workspace_limit):
    """The cheapest tiling within the limit, or the smallest of all if none is.

    Cheapest for one image: the tiles decide the bits, which may not depend on the batch.
    """
    tilings = [Tiling(problem, factor) for factor in FACTORS]
    fitting = [t for t in tilings if t.bytes <= workspace_limit]
    if fitting:
        return min(fitting, key=lambda t: t.seconds_of_one)
    return min(tilings, key=lambda t: t.bytes)
