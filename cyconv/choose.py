"""Which algorithm: one cost model in seconds, for all algorithms, in one place.

An algorithm's time is the larger of its arithmetic at a fraction of the machine's peak and its
traffic at the memory's bandwidth (the roofline model [1]_), plus a constant for the call. Each
algorithm states its own arithmetic and traffic (``Algorithm.cost``); the constants stand here.

References
----------
.. [1] S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52(4), 2009.
"""

from math import ceil, inf, prod, sqrt

import numpy as np

import cyconv.kernels

WORKSPACE_LIMIT = 256 << 20
"""Bytes of scratch a call may take unless it says otherwise, all threads together."""

# Measured on an AMD Zen 3 (AVX2, 2 cores), November 2026; shown again by
#   asv run --bench forward
# FLOP/s of one core in float32; float64 has half.
PEAK = {"baseline": 20e9, "avx2": 90e9, "avx512": 150e9, "neon": 40e9}
BANDWIDTH = 12e9  # bytes/s between the cores and memory, all cores together
CALL = 3e-6  # seconds to enter a kernel from Python
DIRECT = 0.75  # fractions of peak: full register tiles over strips,
GEMM = 0.9  # BLAS,
WINOGRAD = 0.65  # and the micro-kernel over transformed tiles
FFT_CALL = 1.2e-4  # seconds to start one tile's transforms from Python,
FFT_TRANSFORM = 0.6e-9  # per point and log2(points) of one real float32 transform,
FFT_PRODUCT = 1.2e-9  # and per point of one product of spectra
TRANSFORM = 1.0  # FLOPs that one element of a transform costs, counted in the products' own

ACCURACY = {"strict": 1.5, "balanced": 4.0, "fast": inf}
"""Error allowed, in multiples of direct summation's."""

ITEMS = 8  # pieces of work that keep a few threads busy


def seconds(problem, threads, flops, fraction, traffic):
    """Roofline time of `flops` at a fraction of peak and `traffic` bytes, on `threads` threads."""
    peak = PEAK[cyconv.kernels.isa()] * 4 / problem.dtype.itemsize
    return CALL + max(flops / (peak * fraction * threads), traffic / BANDWIDTH)


def vector_fraction(problem):
    """How full the vectors along the last axis are."""
    lanes = cyconv.kernels.lanes(cyconv.kernels.isa(), problem.dtype)
    q = max(1, problem.output_spatial[-1])
    return q / (ceil(q / lanes) * lanes)


def chunk(filters, unit, items, fewest=24):
    """Filters in one piece of work: all, unless there are few other pieces.

    A function of the problem alone, so that the split of work is too.
    """
    if items >= ITEMS:
        return max(1, filters)
    pieces = ceil(ITEMS / max(1, items))
    return max(1, min(filters, ceil(max(fewest, ceil(filters / pieces)) / unit) * unit))


def summation_error(problem):
    """Typical relative error of direct summation of n terms: sqrt(n) * eps / 2 (random walk)."""
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


def accurate_enough(problem, algorithm, accuracy):
    """Whether `algorithm` keeps the accuracy asked for."""
    times_direct = algorithm.error_bound(problem)
    if isinstance(accuracy, str):
        return times_direct <= ACCURACY[accuracy]
    return times_direct * summation_error(problem) <= accuracy
