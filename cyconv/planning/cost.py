"""Which algorithm: one cost model in seconds, for all algorithms, in one place.

An algorithm's time is nearly the larger of its arithmetic at a fraction of the machine's peak and
its traffic at the memory's bandwidth (the roofline model [1]_), plus a constant for the call. Each
algorithm states its own arithmetic and traffic (``Algorithm.cost``). The constants are those of
:mod:`cyconv.planning.constants`, with the values of a machine (:mod:`cyconv.planning.model`).

References
----------
.. [1] S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52(4), 2009.
"""

from dataclasses import replace
from math import ceil, inf, prod, sqrt

import numpy as np

import cyconv.kernels
from cyconv.planning import model

WORKSPACE_LIMIT = 256 << 20
"""Bytes of scratch a call may take unless it says otherwise, all threads together."""

constants, model_file = model.load()
"""The record of all constants, and the file it was read from: None for the built-in one."""

# A fit changes these groups in place.
arithmetic, memory, copies = constants.arithmetic, constants.memory, constants.copies
transforms, calls = constants.transforms, constants.calls

BALANCED = 4.0
ACCURACY = {"strict": 1.5, "balanced": BALANCED, "fast": inf}
"""Error allowed, in multiples of direct summation's."""


def seconds(problem, threads, work, pieces=1, item=None, traffic=None):
    """Time of `work` seconds of one core in `pieces`, or of memory: nearly the longer one.

    `item` is the time to begin one piece, by default ``calls.piece_seconds``. `traffic` is in
    bytes, by default those of the problem's arrays.
    """
    work += (calls.piece_seconds if item is None else item) * pieces
    traffic = problem.bytes if traffic is None else traffic
    times = work / max(1, min(threads, pieces)), traffic / memory.bandwidth
    return calls.call_seconds + max(times) + memory.shown_share * min(times)


def one_image(problem):
    """The problem for one image: it decides what bits come out, whatever the batch."""
    return replace(problem, x_shape=(min(1, problem.batch), *problem.x_shape[1:]))


def peak(problem):
    """FLOP/s of one core for this problem's dtype."""
    share = arithmetic.integer_share if problem.dtype.kind in "iu" else 1
    return share * arithmetic.peak[cyconv.kernels.isa()] * 4 / problem.dtype.itemsize


def vectors(problem, columns):
    """How many whole vectors hold `columns` elements, in elements."""
    lanes = cyconv.kernels.lanes(cyconv.kernels.isa(), problem.dtype)
    return ceil(max(1, columns) / lanes) * lanes


def products(problem, filters, columns, taps):
    """Seconds of one core for ``multiply`` over (filters x taps) (taps x columns)."""
    shares = arithmetic.tile_shares
    full, rest = divmod(filters, len(shares))
    rows = full * len(shares) / shares[-1] + (rest / shares[rest - 1] if rest else 0)
    padded = vectors(problem, columns)
    lanes = vectors(problem, 1)
    few = columns % lanes
    if filters >= len(shares) and 0 < few <= lanes // 2:  # filters lie in the lanes
        padded = columns - few + lanes / 4 + 1.5 * few
    tiles = ceil(filters / len(shares)) * ceil(padded / vectors(problem, 9))
    return 2 * rows * padded * taps / peak(problem) + tiles * arithmetic.tile_seconds


def copied(problem):
    """Seconds of one core to copy the pixels that a tap touches into strips."""
    *outer, h, w = problem.x_shape
    rows, columns = (
        size * min(1, taps / step)
        for size, taps, step in zip((h, w), problem.kernel[-2:], problem.stride[-2:], strict=True)
    )
    pixel = copies.pixel_seconds[problem.stride[-1] > 1]
    return prod(outer) * rows * (pixel * columns + copies.row_seconds)


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
