"""How well `cyconv` chooses on this machine, and constants of its cost model that fit better.

    python asv_bench/calibrate.py [--problems 300] [--seed 0] [--fit]

Random convolutions of many kinds are computed by every algorithm that may (within the default
accuracy, one thread, packed weights, taking turns), and the choice is compared with the fastest.
``--fit`` then changes the constants of ``cyconv/cost.py`` one after the other as long as
choices and predictions improve on every other problem, and prints them with the score on the rest.
"""

import argparse
import os
from contextlib import suppress

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

from functools import partial
from math import exp, log
from statistics import fmean, median
from time import perf_counter

import numpy as np

import cyconv
from cyconv.algorithms.tiling import best_tiling
from cyconv.planning import cost

ROUNDS = 5
TURN = 2e-3  # seconds of one algorithm's turn, or one call
PASSED = 4  # an algorithm predicted to take so many times the fastest is left out
FLOPS = 6e9  # of the largest problem
FITTED = (
    "TILE", "TILE_CALL", "STENCIL", "STENCIL_ITEM", "STENCIL_ROW", "ITEM", "CALL", "BANDWIDTH",
    "BESIDE", "WEIGHTS", "COPY", "COPY_ROW", "PATCH", "OFFSETS", "GATHER", "COLUMN_ROW", "COLUMN",
    "STORE", "GEMM_CALL", "GEMM", "WINOGRAD", "WINOGRAD_ROW", "TRANSFORM", "FFT_CALL", "FFT_AXIS",
    "FFT_TRANSFORM", "FFT_POINT", "FFT_PRODUCT",
)  # fmt: skip
SHARES = {"TILE", "STENCIL", "OFFSETS", "GEMM", "WINOGRAD", "BESIDE"}
FACTORS = (0.8, 0.9, 1.1, 1.25, 0.6, 1.6, 0.95, 1.05)


def random_problem(rng):
    """A layer of a network, a depthwise one, an image, a signal or something small."""
    pick = lambda *values: int(rng.choice(values))  # noqa: E731
    kind = rng.choice(["layer"] * 3 + ["pointwise"] * 2 + ["depthwise", "image", "signal"] * 1
                      + ["large kernel", "small"])  # fmt: skip
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
        (1, channels, *[size] * rank), (filters, channels // groups, *[kernel] * rank),
        rng.choice(["float32"] * 4 + ["float64"]), stride, kernel // 2 * dilation, dilation, groups,
    )  # fmt: skip


def measured(problem, rng):
    """``{algorithm: (least seconds of a packed call, what predicts them)}``."""
    x, w = (
        rng.standard_normal(s).astype(problem.dtype) for s in (problem.x_shape, problem.w_shape)
    )
    y = np.empty(problem.output_shape, problem.dtype)
    plans = {}
    for name, reason in cyconv.algorithms(problem).items():
        with suppress(MemoryError):  # over the limit on workspace
            if reason is not None:
                continue
            plan = cyconv.plan(problem, name, threads=1)
            leaves = plan._root.leaves()
            bound = max(leaf.algorithm.error_bound(leaf.problem) for leaf in leaves)
            if bound <= cost.BALANCED:
                plans[name] = plan
    fastest = min(plan.seconds for plan in plans.values())
    plans = {name: plan for name, plan in plans.items() if plan.seconds < PASSED * fastest}
    calls = {name: partial(plan.pack(w), x, out=y) for name, plan in plans.items()}
    best = {}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            count = max(1, min(50, int(TURN / plans[name].seconds)))
            begun = perf_counter()
            for _ in range(count):
                call()
            best[name] = min(best.get(name, 1e9), (perf_counter() - begun) / count)
    return {name: (seconds, predictor(plans[name])) for name, seconds in best.items()}


def predictor(plan):
    """The plan's prediction with the constants of the moment."""
    leaves = [(type(leaf.algorithm).cost, leaf.problem) for leaf in plan._root.leaves()]
    return lambda: sum(cost(problem, 1) for cost, problem in leaves)


def choices(results):
    """Of each problem: the chosen and the best algorithm, and times for all."""
    best_tiling.cache_clear()
    for problem, times in results:
        predicted = {name: predict() for name, (_, predict) in times.items()}
        taken = {name: seconds for name, (seconds, _) in times.items()}
        yield (
            problem,
            min(predicted, key=predicted.get),
            min(taken, key=taken.get),
            taken,
            predicted,
        )


def score(results):
    """(what to make small, the share of choices within 10% of the best)."""
    losses, errors = [], []
    for _, auto, best, taken, predicted in choices(results):
        losses.append(taken[auto] / taken[best])
        near = [name for name in taken if taken[name] < 2.5 * taken[best]]
        errors += [min(1, log(taken[name] / predicted[name]) ** 2) for name in near]
    lost = fmean(min(1, max(0, loss - 1.03)) for loss in losses)
    return lost + 0.3 * fmean(errors), fmean(loss <= 1.1 for loss in losses)


def fit(results):
    """Change one constant of `cost` after the other, as long as that helps."""
    least, before = score(results)[0], None
    while before is None or least < 0.99 * before:
        before = least
        for name in FITTED:
            for i in range(len(np.atleast_1d(getattr(cost, name)))):
                for factor in FACTORS:
                    old = getattr(cost, name)
                    new = np.atleast_1d(old) * np.where(np.arange(np.size(old)) == i, factor, 1)
                    if name in SHARES and max(new) > 0.98:
                        continue
                    setattr(cost, name, tuple(new) if isinstance(old, tuple) else new[0])
                    now = score(results)[0]
                    if now < least - 1e-5:
                        least = now
                        break
                    setattr(cost, name, old)


def main():
    """Measure, compare, and fit if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--problems", type=int, default=300, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--fit", action="store_true", help="search better constants, and print them"
    )
    args = parser.parse_args()
    rng, results = np.random.default_rng(args.seed), []
    while len(results) < args.problems:
        problem = random_problem(rng)
        if problem.flops <= FLOPS and min(problem.output_spatial) > 0:
            results.append((problem, measured(problem, rng)))
    behind, ratios = 0, {}
    for problem, auto, best, taken, predicted in choices(results):
        loss = taken[auto] / taken[best]
        behind += taken[auto] > 1.1 * taken.get("im2col", np.inf)
        for name in taken:
            ratios.setdefault(name, []).append(taken[name] / predicted[name])
        if loss > 1.1:
            times = ", ".join(f"{n} {taken[n] * 1e6:.0f} ({predicted[n] * 1e6:.0f})" for n in taken)
            print(f"{auto} for {best}, {loss:.2f} x: {problem.x_shape} * {problem.w_shape} "
                  f"{problem.dtype} stride {problem.stride} dilation {problem.dilation}: "
                  f"{times} us (predicted)")  # fmt: skip
    for name, values in sorted(ratios.items()):
        spread = exp(median(abs(log(value)) for value in values))
        print(f"{name}: {median(values):.2f} of the prediction, half within {spread:.2f} x")
    print(f"within 10% of the best: {score(results)[1]:.1%} of {len(results)}; "
          f"more than 10% behind im2col: {behind}")  # fmt: skip
    if args.fit:
        rest = results[1::2]
        before = score(rest)
        fit(results[::2])
        for name in FITTED:
            print(name, "=", getattr(cost, name))
        print(f"on the other half: {before[1]:.1%} before, {score(rest)[1]:.1%} with these")


if __name__ == "__main__":
    main()
