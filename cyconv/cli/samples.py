"""Random convolutions of many kinds, what each algorithm takes for them, and what it should take.

Measured are packed calls on one thread; the algorithms take turns.
"""

from contextlib import suppress
from functools import partial
from time import perf_counter

import numpy as np

import cyconv
from cyconv.planning import cost

ROUNDS = 5
TURN = 2e-3  # seconds of one algorithm's turn, or one call
PASSED = 4  # an algorithm predicted to take so many times the fastest is left out
FLOPS = 6e9  # of the largest problem

KINDS = ["layer"] * 3 + ["pointwise"] * 2 + [
    "depthwise", "image", "signal", "large kernel", "small",
]  # fmt: skip


def random_problems(rng):
    """Without end: layers of networks, depthwise ones, images, signals and small things."""
    while True:
        problem = _random_problem(rng)
        if problem.flops <= FLOPS and min(problem.output_spatial) > 0:
            yield problem


def _random_problem(rng):
    pick = lambda *values: int(rng.choice(values))
    kind = rng.choice(KINDS)
    groups = stride = dilation = 1
    if kind == "layer":
        channels, filters = pick(3, 16, 32, 64, 128, 256, 512), pick(3, 16, 32, 64, 128, 256, 512)
        size, kernel = pick(7, 14, 20, 28, 40, 56, 112), pick(2, 3, 3, 5, 7)
        stride, dilation = pick(1, 1, 2), pick(1, 1, 1, 2)
    elif kind == "pointwise":
        channels, filters = pick(16, 24, 64, 128, 256, 512, 1024), pick(16, 24, 64, 128, 256, 512)
        size, kernel, stride = pick(1, 7, 14, 28, 56), 1, pick(1, 1, 2)
    elif kind == "depthwise":
        channels = groups = pick(16, 64, 144, 384)
        filters, size = channels * pick(1, 1, 2), pick(7, 14, 28, 56, 112)
        kernel, stride = pick(3, 3, 5, 7, 31), pick(1, 1, 2)
    elif kind == "image":
        channels = filters = 1
        size, kernel = pick(100, 256, 512, 1024), pick(3, 5, 7, 15, 31)
    elif kind == "signal":
        channels, filters = pick(1, 1, 4), pick(1, 1, 4)
        size, kernel = pick(2000, 10_000, 48_000, 200_000), pick(16, 64, 256, 1024)
    elif kind == "large kernel":
        channels, filters = pick(1, 3, 8, 16), pick(1, 3, 8, 16)
        size, kernel = pick(64, 128), pick(9, 11, 15, 21)
    else:
        channels, filters = rng.integers(1, 20, 2).tolist()
        size, kernel = int(rng.integers(6, 40)), int(rng.integers(1, 6))
    rank = 1 if kind == "signal" else 2
    return cyconv.Problem(
        (1, channels, *[size] * rank),
        (filters, channels // groups, *[kernel] * rank),
        rng.choice(["float32"] * 4 + ["float64"]),
        stride,
        kernel // 2 * dilation,
        dilation,
        groups,
    )


def measured(problem, rng):
    """``{algorithm: (seconds, predictor)}`` of all that keep the default accuracy."""
    plans = {}
    for name, reason in cyconv.algorithms(problem).items():
        if reason is None:
            with suppress(MemoryError):  # over the limit on workspace
                plan = cyconv.plan(problem, name, threads=1)
                leaves = plan._root.leaves()
                bounds = [leaf.algorithm.error_bound(leaf.problem) for leaf in leaves]
                if max(bounds) <= cost.BALANCED:
                    plans[name] = plan
    fastest = min(plan.seconds for plan in plans.values())
    plans = {name: plan for name, plan in plans.items() if plan.seconds < PASSED * fastest}
    taken = timed(plans, rng)
    return {name: (taken[name], predictor(plan)) for name, plan in plans.items()}


def timed(plans, rng):
    """The least seconds of a packed call of each of the `plans` of one problem."""
    problem = next(iter(plans.values())).problem
    x, w = (_random(shape, problem.dtype, rng) for shape in (problem.x_shape, problem.w_shape))
    y = np.empty(problem.output_shape, problem.out_dtype)
    calls = {name: partial(plan.pack(w), x, out=y) for name, plan in plans.items()}
    best = {}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            count = max(1, min(50, int(TURN / plans[name].seconds)))
            begun = perf_counter()
            for _ in range(count):
                call()
            best[name] = min(best.get(name, 1e9), (perf_counter() - begun) / count)
    return best


def _random(shape, dtype, rng):
    if dtype.kind in "iu":
        return rng.integers(-99, 100, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def predictor(plan):
    """A function that predicts the plan's seconds with the constants of the moment."""
    leaves = [(type(leaf.algorithm).cost, leaf.problem) for leaf in plan._root.leaves()]
    return lambda: sum(cost(problem, 1) for cost, problem in leaves)
