"""Fitting the constants of the cost model to this machine.

The peak rates are solved, each from one convolution that is nearly all arithmetic. The rest is
fitted: one number after the other is changed as long as choices and predictions improve on random
problems. A number of which those say nothing keeps its value.
"""

import os
from contextlib import contextmanager
from copy import deepcopy
from datetime import date
from itertools import islice
from math import log, sqrt
from statistics import fmean

import cyconv
from cyconv.planning import cost
from cyconv.planning.constants import FITTED, GROUPS, MeasuredOn
from cyconv.runtime import machine

from . import samples
from .interrupts import check
from .numbers import numbers

FACTORS = (0.8, 0.9, 1.1, 1.25, 0.6, 1.6, 0.95, 1.05)
LARGEST_SHARE = 0.98  # that a fit tries
RANGE = 64  # a solved number may be so many times larger or smaller than before


def solve_peaks(rng):
    """The peak of every instruction set that this machine has, then the share for integers."""
    found = {(number.name, number.part): number for number in numbers(cost.constants)}
    before = cyconv.kernels.isa()
    try:
        for isa in cyconv.kernels.available():
            check()
            cyconv.kernels.set_isa(isa)
            _solve(found["arithmetic.peak", isa], "float32", rng)
    finally:
        cyconv.kernels.set_isa(before)
    _solve(found["arithmetic.integer_share", ""], "int64", rng)


def _solve(number, dtype, rng):
    """Set the number, a rate, so that a layer full of arithmetic should take what it takes."""
    problem = cyconv.Problem((1, 128, 28, 28), (192, 128, 3, 3), dtype, padding=1)
    plan = cyconv.plan(problem, "implicit_gemm", threads=1)
    predict, taken = samples.predictor(plan), samples.timed({"": plan}, rng)[""]
    least, most = number.value / RANGE, number.value * RANGE
    for _ in range(40):
        number.value = sqrt(least * most)
        if predict() > taken:
            least = number.value
        else:
            most = number.value


def choices(results):
    """Of each problem: the chosen and the best algorithm, and times for all."""
    for problem, times in results:
        predicted = {name: predict() for name, (_, predict) in times.items()}
        taken = {name: seconds for name, (seconds, _) in times.items()}
        auto, best = min(predicted, key=predicted.get), min(taken, key=taken.get)
        yield problem, auto, best, taken, predicted


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
    """Change one number of the record in use after the other, as long as that helps."""
    fitted = [number for number in numbers(cost.constants) if number.origin == FITTED]
    least, before = score(results)[0], None
    while before is None or least < 0.99 * before:
        before = least
        for number in fitted:
            check()
            least = _improve(number, results, least)


def _improve(number, results, least):
    """Take the first factor that makes the score less than `least`, and return what it is then."""
    old = number.value
    for factor in FACTORS:
        if number.unit.startswith("share") and old * factor > LARGEST_SHARE:
            continue
        number.value = old * factor
        now = score(results)[0]
        if now < least - 1e-5:
            return now
    number.value = old
    return least


@contextmanager
def record_kept():
    """Put the record in use back as it was."""
    before = {name: deepcopy(vars(getattr(cost, name))) for name in GROUPS}
    try:
        yield
    finally:
        for name, values in before.items():
            for constant, value in values.items():
                setattr(getattr(cost, name), constant, value)


def measure(count, rng, step):
    """``[(problem, {algorithm: (seconds, predictor)})]`` of so many random problems."""
    results = []
    for problem in islice(samples.random_problems(rng), count):
        step(f"{problem.x_shape} * {problem.w_shape} {problem.dtype}")
        results.append((problem, samples.measured(problem, rng)))
    return results


def refit(results, rng, command):
    """A record for this machine, fitted to every other result.

    Returns
    -------
    constants : Constants
    before, after : float
        The shares of choices within 10% of the best among the other results, with the record in
        use and with this one.
    """
    rest = results[1::2] or results
    before = score(rest)[1]
    with record_kept():
        solve_peaks(rng)
        fit(results[::2])
        for number in numbers(cost.constants):
            number.value = float(f"{number.value:.4g}")
        after = score(rest)[1]
        constants = deepcopy(cost.constants)
    constants.measured_on = MeasuredOn(processor(), date.today().isoformat(), command)
    return constants, before, after


def processor():
    """Name of the processor, its instruction set and its number."""
    return f"{machine.cpu()} ({cyconv.kernels.isa()}, {os.cpu_count()} CPUs)"
