"""How well `cyconv` chooses on this machine, and constants of its cost model that fit better.

    python asv_bench/calibrate.py [--problems 300] [--seed 0] [--fit [FILE]]

Random convolutions of many kinds are computed by every algorithm that may (within the default
accuracy, one thread, packed weights, taking turns), and the choice is compared with the fastest.
``--fit`` then fits the constants to every other problem, says how well they choose on the rest, and
writes them: to FILE, or as those that are built in.
"""

import argparse
import shlex
import sys
from math import exp, log
from statistics import median

import numpy as np

from cyconv.cli import fitting
from cyconv.cli.model import PROBLEMS, changes, write
from cyconv.cli.progress import progress
from cyconv.planning import cost, model


def report(results):
    """Print each choice that is not within 10% of the best, and how right predictions are."""
    behind, ratios = 0, {}
    for problem, auto, best, taken, predicted in fitting.choices(results):
        loss = taken[auto] / taken[best]
        behind += taken[auto] > 1.1 * taken.get("im2col", np.inf)
        for name in taken:
            ratios.setdefault(name, []).append(taken[name] / predicted[name])
        if loss > 1.1:
            times = ", ".join(f"{n} {taken[n] * 1e6:.0f} ({predicted[n] * 1e6:.0f})" for n in taken)
            print(
                f"{auto} for {best}, {loss:.2f} x: {problem.x_shape} * {problem.w_shape} "
                f"{problem.dtype} stride {problem.stride} dilation {problem.dilation}: "
                f"{times} us (predicted)"
            )
    for name, values in sorted(ratios.items()):
        spread = exp(median(abs(log(value)) for value in values))
        print(f"{name}: {median(values):.2f} of the prediction, half within {spread:.2f} x")
    print(
        f"within 10% of the best: {fitting.score(results)[1]:.1%} of {len(results)}; "
        f"more than 10% behind im2col: {behind}"
    )


def main():
    """Measure, compare, and fit if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--problems", type=int, default=PROBLEMS, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--fit", nargs="?", const=model.BUILT_IN, metavar="FILE", help="fit constants, write them"
    )
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    with progress(args.problems) as step:
        results = fitting.measure(args.problems, rng, step)
    report(results)
    if args.fit:
        command = shlex.join(["python", *sys.argv])
        constants, before, after = fitting.refit(results, rng, command)
        write(args.fit, constants)
        print(changes(cost.constants, constants))
        print(f"on the other half: {before:.1%} before, {after:.1%} with these, in {args.fit}")


if __name__ == "__main__":
    main()
