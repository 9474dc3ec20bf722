"""Which algorithm: one cost model in seconds, for all algorithms, in one place.

An algorithm's time is nearly the larger of its arithmetic at a fraction of the machine's peak and
its traffic at the memory's bandwidth (the roofline model [1]_), plus a constant for the call. Each
algorithm states its own arithmetic and traffic (``Algorithm.cost``); the constants stand here.

References
----------
.. [1] S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52(4), 2009.
"""

from dataclasses import replace
from math import ceil, inf, prod, sqrt

import numpy as np

import cyconv.kernels

WORKSPACE_LIMIT = 256 << 20
"""Bytes of scratch a call may take unless it says otherwise, all threads together."""

# Measured on an AMD Zen 3 (AVX2, 2 cores) in November 2026 from packed calls on one thread:
#   python asv_bench/calibrate.py --fit
# Rates are of float32; float64 has half the lanes.
PEAK = {"baseline": 20e9, "avx2": 99e9, "avx512": 150e9, "neon": 40e9}  # FLOP/s of one core
INTEGERS = 0.22  # of that, for integers: their products take more instructions
TILE = (0.36, 0.55, 0.65, 0.93, 0.82, 0.93)  # of peak, for register tiles of 1, 2, ... 6 filters
TILE_CALL = 6.4e-9  # seconds to begin and store one register tile
STENCIL = (0.5, 0.85)  # of peak, for filters one at a time, by short and by long runs of taps
STENCIL_ITEM = 6.4e-8  # seconds to begin one strip of them,
STENCIL_ROW = 4e-9  # and one row of tiles
IMAGE3 = (0.7, 0.4)  # of peak, for 3 x 3 taps read from the image, by stride
GRADIENT3 = (0.65, 0.35)  # and for the gradient of their weights,
GRADIENT3_TAPS = 16  # of so many taps and more
IMAGE3_PLANE = 2e-8  # seconds to begin one plane of either
ITEM = 8e-7  # seconds to begin one piece of work,
CALL = 3e-6  # and one call from Python
BANDWIDTH = 22e9  # bytes/s between the cores and memory, all cores together
BESIDE = (
    0.065  # of the time for arithmetic that shows beside a longer one for memory, and the reverse
)
WEIGHTS = 70e9  # bytes/s of one core reading packed weights that are used once
COPY = (0.15e-9, 0.4e-9)  # seconds to copy one pixel into a strip, without and with a stride,
COPY_ROW = 5.5e-9  # and to begin one row;
PATCH = (0.88e-9, 1.0e-9)  # and one element of a patch into its column
OFFSETS = 0.88  # of a tile's rate, where it reads a strip through a table of offsets
GATHER = (0.11e-9, 0.19e-9)  # and one element of a patch into a panel, from wide and narrow rows
COLUMN_ROW = 3e-9  # and to find a kernel row for one column of a panel,
COLUMN = 0.2e-9  # and copy one element of it
STORE = 0.45e-9  # and one output from a block of BLAS
GEMM_CALL = 2e-5  # seconds to hold BLAS to one thread and let it go;
GEMM = 0.81  # of peak, BLAS with enough filters;
GEMM_PIXELS = 12  # more pixels than there are, that it takes the time of;
GEMM_ROW = 0.15  # of peak for each filter, where they are few
WINOGRAD = 0.95  # of a tile's rate, for products over transformed tiles
WINOGRAD_ROW = 5e-8  # seconds to begin one row of tiles of one plane or filter;
TRANSFORM = 5.2e-9  # seconds to transform one tile of one plane by F(2, 3), there or back
FFT_CALL = 1.8e-4  # seconds to start a piece's transforms from Python,
FFT_AXIS = 0.35e-9  # per point of one real float32 transform along one axis,
FFT_TRANSFORM = 0.115e-9  # and log2(length) times this,
FFT_LONE = 2.4  # times that, where no others of its length are transformed beside it,
FFT_FAR = 1.4  # and so many times where a piece is larger than the caches;
FFT_POINT = 1.3e-9  # per point that is loaded or stored,
FFT_PRODUCT = 0.53e-9  # and per point of one product of spectra;
FFT_WIDER = 0.75  # float64 takes 2 to this power as long

BALANCED = 4.0
ACCURACY = {"strict": 1.5, "balanced": BALANCED, "fast": inf}
"""Error allowed, in multiples of direct summation's."""


def seconds(problem, threads, work, pieces=1, item=ITEM, traffic=None):
    """Time of `work` seconds of one core in `pieces`, or of memory: nearly the longer one.

    `traffic` is in bytes, by default those of the problem's arrays.
    """
    work += item * pieces
    traffic = problem.bytes if traffic is None else traffic
    times = work / max(1, min(threads, pieces)), traffic / BANDWIDTH
    return CALL + max(times) + BESIDE * min(times)


def one_image(problem):
    """The problem for one image: it decides what bits come out, whatever the batch."""
    return replace(problem, x_shape=(min(1, problem.batch), *problem.x_shape[1:]))


def peak(problem):
    """FLOP/s of one core for this problem's dtype."""
    share = INTEGERS if problem.dtype.kind in "iu" else 1
    return share * PEAK[cyconv.kernels.isa()] * 4 / problem.dtype.itemsize


def vectors(problem, columns):
    """How many whole vectors hold `columns` elements, in elements."""
    lanes = cyconv.kernels.lanes(cyconv.kernels.isa(), problem.dtype)
    return ceil(max(1, columns) / lanes) * lanes


def products(problem, filters, columns, taps):
    """Seconds of one core for ``multiply`` over (filters x taps) (taps x columns)."""
    full, rest = divmod(filters, len(TILE))
    rows = full * len(TILE) / TILE[-1] + (rest / TILE[rest - 1] if rest else 0)
    padded = vectors(problem, columns)
    lanes = vectors(problem, 1)
    few = columns % lanes
    if filters >= len(TILE) and 0 < few <= lanes // 2:  # filters lie in the lanes
        padded = columns - few + lanes / 4 + 1.5 * few
    tiles = ceil(filters / len(TILE)) * ceil(padded / vectors(problem, 9))
    return 2 * rows * padded * taps / peak(problem) + tiles * TILE_CALL


def copied(problem):
    """Seconds of one core to copy the pixels that a tap touches into strips."""
    *outer, h, w = problem.x_shape
    rows, columns = (
        size * min(1, taps / step)
        for size, taps, step in zip((h, w), problem.kernel[-2:], problem.stride[-2:], strict=True)
    )
    return prod(outer) * rows * (COPY[problem.stride[-1] > 1] * columns + COPY_ROW)


def summation_error(problem):
    """Typical relative error of direct summation of n terms: sqrt(n) * eps / 2 (random walk)."""
    if problem.dtype.kind in "iu":
        return 0.0  # exact
    terms = prod(problem.w_shape[1:])
    return np.finfo(problem.dtype).eps / 2 * sqrt(max(terms, 1))


def check_accuracy(operation, accuracy):
    """`accuracy` as a name or a bound on relative error."""
    if isinstance(accuracy, str):
        if accuracy in ACCURACY:
            return accuracy
    elif isinstance(accuracy, (float, np.floating)) and accuracy > 0:
        return float(accuracy)
    raise ValueError(
        f"{operation}: accuracy must be 'strict', 'balanced', 'fast' or a float > 0, "
        f"got {accuracy!r}"
    )


def allowed(problem, accuracy):
    """The error that `accuracy` allows, in multiples of direct summation's."""
    if isinstance(accuracy, str):
        return ACCURACY[accuracy]
    typical = summation_error(problem)
    return accuracy / typical if typical else inf
