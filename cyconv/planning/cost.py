"""What the choice of an algorithm asks: the constants in use, accuracy and limits.

All costs are seconds of one model.
An algorithm's time is nearly the larger of its arithmetic at a fraction of the machine's peak and
its traffic at the memory's bandwidth (the roofline model [1]_), plus a constant for the call. Each
algorithm states its own arithmetic and traffic (``Algorithm.cost``) with the formulas of
:mod:`cyconv.planning.estimates`. The constants are those of :mod:`cyconv.planning.constants`, with
the values of a machine (:mod:`cyconv.planning.model`).

References
----------
.. [1] S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52(4), 2009.
"""

from math import inf, prod, sqrt

import numpy as np

from cyconv.planning import model

WORKSPACE_LIMIT = 256 << 20
"""Bytes of scratch a call may take unless it says otherwise, all threads together."""

constants, model_file = model.load()
"""The record of all constants, and the file it was read from: None for the built-in one."""

# A fit changes these groups in place.
arithmetic, memory, copies = constants.arithmetic, constants.memory, constants.copies
transforms, calls = constants.transforms, constants.calls

BALANCED = 4.0
SCATTER = 2e-9  # seconds of a cell that is no row's neighbour
ACCURACY = {"strict": 1.5, "balanced": BALANCED, "fast": inf}
"""Error allowed, in multiples of direct summation's."""


def one_image(problem):
    """The problem for one image: it decides what bits come out, whatever the batch."""
    if problem.batch <= 1:
        return problem
    return problem.rewritten(x_shape=(1, *problem.x_shape[1:]))


def scatter_seconds(problem):
    """Seconds to copy one image's result into every s-th cell, phase by phase of a stride."""
    return prod(problem.x_shape[1:]) * SCATTER


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
