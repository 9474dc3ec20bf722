"""Layers of narrow maps by `direct`, with filters in the lanes: the oracle's sums, any arrays."""

from dataclasses import replace

import numpy as np
import pytest

import cyconv

from . import oracle, tolerances
from .cases import Case, seeds
from .test_directions import channels_last, normal

SEEDS = 120


def random_case(seed):
    """A layer of whole vectors of filters, and maps so narrow that few lanes hold a row's end."""
    rng = np.random.default_rng(seed)
    pair = lambda low, high: tuple(int(n) for n in rng.integers(low, high + 1, 2))
    kernel, stride, dilation = pair(1, 5), pair(1, 2), pair(1, 2)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(tuple(int(n) for n in rng.integers(0, span, 2)) for span in spans)
    spatial = tuple(max(n, span) for n, span in zip(pair(1, 20), spans, strict=True))
    groups, planes = int(rng.integers(1, 6)), int(rng.choice([1, 4, 8, 33, 200]))
    filters = groups * int(rng.choice([8, 16, 24, 32, 48]))
    x, w = (int(rng.integers(1, 3)), groups * planes, *spatial), (filters, planes, *kernel)
    return Case(f"seed_{seed}", x, w, stride, padding, dilation, groups)


def plan_of(case, dtype="float32", **options):
    problem = cyconv.Problem(case.x, case.w, dtype, **case.geometry)
    return cyconv.plan(problem, algorithm="direct", **options)


@seeds(SEEDS)
def test_the_sums_are_the_oracles(seed, isa):
    case, rng = random_case(seed), np.random.default_rng(seed)
    x, w, _ = normal(case, "float32")
    shape = plan_of(case).problem.output_shape
    options = {}
    if rng.random() < 0.5:
        options["bias"] = rng.standard_normal(len(w)).astype(np.float32)
    if rng.random() < 0.5:
        options["add"] = rng.standard_normal(shape).astype(np.float32)
    y = plan_of(case)(x, w, **options)
    sums = [oracle.conv(f(x), f(w), **case.geometry) for f in (np.asarray, abs)]
    for i, f in enumerate((np.asarray, abs)):
        if "bias" in options:
            sums[i] = sums[i] + f(options["bias"])[:, None, None].astype(float)
        sums[i] = sums[i] + f(options.get("add", np.zeros(1))).astype(float)
    terms = int(np.prod(w.shape[1:])) + 2
    assert (abs(y - sums[0]) <= tolerances.gamma(terms, "float32") * sums[1]).all()


@seeds(SEEDS)
def test_any_arrays_and_threads_have_the_same_bits(seed, isa):
    case = random_case(seed)
    x, w, _ = normal(case, "float32")
    y = plan_of(case)(x, w, activation=(-0.5, 0.75))
    for threads in (1, 2, 5):
        other = plan_of(case, threads=threads)(x, w, activation=(-0.5, 0.75))
        np.testing.assert_array_equal(other, y)
    out = np.moveaxis(np.full_like(channels_last(y), np.nan), -1, 1)
    plan_of(case)(x, w, out=out, activation=(-0.5, 0.75))
    np.testing.assert_array_equal(out, y)
    rows = np.full((*y.shape[:3], y.shape[3] + 3), np.nan, np.float32)
    plan_of(case)(x, w, out=rows[..., 1:-2], activation=(-0.5, 0.75))
    np.testing.assert_array_equal(rows[..., 1:-2], y)
    assert np.isnan(rows[..., [0, -2, -1]]).all()
    one = plan_of(replace(case, x=(1, *case.x[1:])))(x[-1:], w, activation=(-0.5, 0.75))
    np.testing.assert_array_equal(one, y[-1:])


@pytest.mark.parametrize("size", [7, 14])
def test_grouped_layers_of_narrow_maps_take_direct(size):
    """Whole vectors of filters in each group: pixels would leave lanes empty."""
    problem = cyconv.Problem((1, 256, size, size), (256, 32, 3, 3), padding=1, groups=8)
    assert cyconv.plan(problem, accuracy="strict").algorithm == "direct"
