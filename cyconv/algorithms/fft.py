r"""FFT: cross-correlation as a product of spectra, in overlapping tiles.

.. math:: y = F^{-1} \Big[ \sum_c F[x_c] \, \overline{F[w_{kc}]} \Big]

Overlap-save [1]_ over the axes on which the kernel has more than one tap; a dilated kernel is
filled with zeros, a stride keeps every s-th output. The kernels' own transforms take lines, planes
and volumes, tiles in pairs (:mod:`cyconv.algorithms.tile_pairs`). SciPy's real ones take what those
do not; how the problem is then cut into tiles, and tiles into pieces of work, says
:mod:`cyconv.algorithms.tiling`. Neither depends on the batch or on the threads, so neither do the
bits.

The transform spreads a non-finite value, and the rounding of a large one, over its whole tile: a
tile with a non-finite output is computed again by the direct algorithm, and so are the outputs that
rounding may have spoiled (:mod:`cyconv.algorithms.fft_floor`).

References
----------
.. [1] A. V. Oppenheim, R. W. Schafer, *Discrete-Time Signal Processing*, section 8.7.
"""

from functools import cache
from itertools import product
from math import log2, prod, sqrt

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import as_strided

import cyconv.kernels
from cyconv.algorithms.fft_floor import Weights
from cyconv.algorithms.mending import mend
from cyconv.algorithms.tile_cuts import least_seconds
from cyconv.algorithms.tile_pairs import best_pairs
from cyconv.algorithms.tiling import PIECE, best_tiling, spread_taps, tile_of
from cyconv.lowering.borders import Border
from cyconv.planning import cost
from cyconv.planning.cost import BALANCED
from cyconv.planning.estimates import planned_isa
from cyconv.problem.operands import finish
from cyconv.runtime.parallel import share


class Algorithm:
    """Spectra multiplied tile by tile; see the module."""

    name = "fft"
    all_or_nothing = False  # every piece of SciPy's allocates

    def __init__(self, problem, workspace_limit=cost.WORKSPACE_LIMIT, isa=None, allowed=BALANCED):
        self.problem, self.isa = problem, isa or cyconv.kernels.isa()
        self.workspace_limit = workspace_limit
        self.pairs, self.tiling = ways(problem, workspace_limit, self.isa)
        if self.pairs is not None:
            self.all_or_nothing = True
            return
        self.complex = np.result_type(problem.dtype, np.complex64)
        needed = self.workspace(1)
        if needed > workspace_limit:
            raise MemoryError(
                f"{problem.operation}: needs {needed} bytes of workspace, limit {workspace_limit}"
            )

    @classmethod
    def supports(cls, problem):
        """Floats, on axes that a transform can take whole."""
        if problem.dtype.kind != "f":
            return f"fft needs a float dtype, got {problem.dtype}"
        longest = problem.sizes.longest
        if longest >= 2**31:
            return f"fft needs padded axes shorter than 2**31, got {longest}"
        return None

    least = staticmethod(least_seconds)

    @classmethod
    def cost(cls, problem, threads, allowed=BALANCED):
        """Seconds: the transforms of all tiles and the products of their spectra."""
        pairs, tiling = ways(problem, cost.WORKSPACE_LIMIT, planned_isa())
        return (pairs or tiling).seconds

    @classmethod
    def error_bound(cls, problem, allowed=BALANCED):
        """Error relative to direct summation's.

        It is of sqrt(log2 length) roundings, not sqrt(n), but of the largest value in the tile.
        """
        taps = max(1, prod(problem.w_shape[1:]))
        return max(2.0, sqrt(6 * log2(max(2, prod(problem.receptive_field))) / taps))

    @classmethod
    def together(cls, rule, algorithms):
        """Where the tiles are the kernels' own, they read an image's border as they are loaded."""
        (algorithm,) = algorithms if len(algorithms) == 1 else (None,)
        if type(rule) is Border and rule.problem.direction == "forward" and algorithm.reads_borders:
            return Bordered(rule, algorithm)
        return None

    def workspace(self, threads):
        """Bytes of scratch: a piece's on every thread, and the weights' spectra."""
        t = self.pairs or self.tiling
        return t.spectra_bytes + self.threads_for(threads) * t.bytes

    def threads_for(self, threads):
        """As many of `threads` as the workspace limit lets run."""
        t = self.pairs or self.tiling
        return max(1, min(threads, (self.workspace_limit - t.spectra_bytes) // max(1, t.bytes)))

    def pack(self, w):
        """The conjugate spectra of the weights, the weights for repairs, how much they enlarge."""
        if self.pairs is not None:
            return self.pairs.pack(w)
        p, t = self.problem, self.tiling
        spectra = np.empty((p.filters, t.channels, *t.sizes), self.complex)
        some = max(1, PIECE // max(1, t.channels * t.points))
        for k in range(0, p.filters if t.channels else 0, some):  # Ctrl-C is seen between them
            spread = spread_taps(p, w[k : k + some])
            transformed = scipy.fft.rfftn(spread, t.transformed_lengths, axes=t.axes)
            np.conjugate(transformed, out=spectra[k : k + some])
        spectra = spectra.reshape(p.groups, t.filters, *spectra.shape[1:])
        with np.errstate(all="ignore"):
            weights = Weights(np.array(w, order="C"), p.groups, self.isa)
        return spectra, weights

    lend = pack

    def run(self, x, packed, y, bias, clamp, threads, seconds, add=None):
        """y = x correlated with the packed weights, then the epilogue."""
        p, t = self.problem, self.tiling
        if p.channels == 0:  # the empty sum
            y[...] = 0
            return finish(y, bias, clamp, add)
        if self.pairs is not None:
            self.pairs.run(x, packed, y, self.threads_for(threads), seconds)
            return finish(y, bias, clamp, add)
        keep_freed_memory()
        *above, last = t.counts
        groups, tiles = range(0, p.groups, t.groups), range(0, last, t.tiles)
        pieces = product(range(p.batch), groups, *map(range, above), tiles)

        def work(places):
            piece = Piece(self, x, packed, y, bias, clamp, add)
            with np.errstate(all="ignore"):  # what is not finite is computed again
                for place in places:
                    piece.run(*place)

        share(work, pieces, self.threads_for(threads), seconds)

    @property
    def reads_borders(self):
        """Whether there is :meth:`run_bordered`."""
        return self.pairs is not None

    def run_bordered(self, x, packed, y, threads, seconds, border, saturate=False):
        """As `run`, of the image within the border, without the last step: see `pairs`."""
        self.pairs.run(x, packed, y, self.threads_for(threads), seconds, border, saturate)


class Bordered:
    """The call of a rule that makes a border: see :meth:`Algorithm.together`."""

    all_or_nothing = True

    def __init__(self, rule, algorithm):
        self.border, self.algorithm = (rule.problem.padding, rule.map, 0.0), algorithm

    def workspace(self, threads):
        """As the algorithm's."""
        return self.algorithm.workspace(threads)

    def run(self, x, packed, y, bias, clamp, threads, seconds, add=None):
        """As the algorithm's, of the image within the border."""
        self.algorithm.run_bordered(x, packed[0], y, threads, seconds, self.border)
        finish(y, bias, clamp, add)


class Piece:
    """One thread's pieces of one call."""

    def __init__(self, algorithm, x, packed, y, bias, clamp, add):
        self.problem, self.tiling, self.isa = algorithm.problem, algorithm.tiling, algorithm.isa
        self.spectra, self.weights = packed
        self.x, self.y, self.bias, self.clamp, self.add = x, y, bias, clamp, add

    def run(self, n, group, *place):
        """The outputs of image `n`, of the groups from `group` on, of the tiles from `place` on."""
        p, t = self.problem, self.tiling
        groups = min(t.groups, p.groups - group)
        count = min(t.tiles, t.counts[-1] - place[-1])
        channels = slice(group * t.channels, (group + groups) * t.channels)
        filters = slice(group * t.filters, (group + groups) * t.filters)
        strip, inside = self.load(self.x[n, channels], place, count)
        *outer, step = strip.strides
        tiles = as_strided(
            strip, (count, len(strip), *t.lengths), (t.steps[-1] * step, *outer, step)
        )
        result = scipy.fft.irfftn(
            self.products(tiles, group, groups), t.transformed_lengths, axes=t.axes
        )
        cells, kept = self.cells(place, count)
        result = result[(..., *kept)]
        growth = self.weights.growth * t.points**2
        for g in np.flatnonzero(self.weights.doubtful(inside, group, groups, growth)):
            of_group = [slice(g * size, (g + 1) * size) for size in (t.channels, t.filters)]
            for tile, outputs in zip(tiles, result, strict=True):
                inputs, outputs = tile[of_group[0]], outputs[of_group[1]]
                mend(p, self.weights, group + g, inputs, outputs, t.axes)
        out = self.y[(n, filters, *cells)]
        per, size = result.shape[-1], out.shape[-1]
        full = size // per
        whole = out[..., : full * per].reshape(*out.shape[:-1], full, per)  # a view
        result = result[(..., *map(slice, out.shape[1:-1]), slice(None))]
        whole[...] = result[:full].transpose(*range(1, out.ndim), 0, out.ndim)
        if full < count:
            out[..., full * per :] = result[full, ..., : size - full * per]
        bias = None if self.bias is None else self.bias[filters]
        finish(out[None], bias, self.clamp, self.add)

    def products(self, tiles, group, groups):
        """The sums over channels of the products of spectra, (tile, filter, *spectrum)."""
        t = self.tiling
        spectra = self.spectra[group : group + groups]
        transformed = scipy.fft.rfftn(tiles, axes=t.axes)
        sizes = transformed.shape[2:]
        transformed = transformed.reshape(len(tiles), groups, t.channels, 1, *sizes)
        result = transformed[:, :, 0]  # to be overwritten, where one filter reads it
        result = np.multiply(result, spectra[:, :, 0], out=result if t.filters == 1 else None)
        if t.channels > 1:
            term = np.empty_like(result)
            for c in range(1, t.channels):
                result += np.multiply(transformed[:, :, c], spectra[:, :, c], out=term)
        return result.reshape(len(tiles), groups * t.filters, *sizes)

    def load(self, x, place, count):
        """The inputs that `count` tiles read, with zeros beyond the image, and those within it."""
        t = self.tiling
        sizes = [*t.lengths[:-1], (count - 1) * t.steps[-1] + t.lengths[-1]]
        starts = [
            j * step - lo
            for j, step, (lo, _) in zip(place, t.steps, self.problem.padding, strict=True)
        ]
        return tile_of(x, starts, sizes)

    def cells(self, place, count):
        """Where the outputs of the tiles go, and where they lie in each tile."""
        p, t = self.problem, self.tiling
        tiles = [1] * (p.rank - 1) + [count]
        cells, kept = [], []
        for j, n, per, s, size in zip(
            place, tiles, t.outputs, p.stride, p.output_spatial, strict=True
        ):
            cells.append(slice(j * per, min((j + n) * per, size)))
            kept.append(slice(0, (per - 1) * s + 1, s))
        return cells, kept


def ways(problem, workspace_limit, isa):
    """How the problem is cut: (pairs, None) for the kernels' own transforms, which are the faster
    ones, or (None, tiling) for SciPy's, where those cannot or where their tiles fit no limit.
    """
    pairs = best_pairs(problem, workspace_limit, isa)
    return (pairs, None) if pairs else (None, best_tiling(problem, workspace_limit))


@cache
def keep_freed_memory():
    """Let the C library keep what SciPy frees after each transform, up to some 32 MiB.

    glibc hands freed memory back to the system, to be cleared again page by page, unless it has
    seen a block as large come and go [1]_. This one is never touched.

    .. [1] mallopt(3), M_MMAP_THRESHOLD: "dynamic".
    """
    np.empty(16 << 20, np.uint8)
