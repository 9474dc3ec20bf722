"""All phases of a stride in one pass: the bits that each phase has on its own, and the oracle's."""

from dataclasses import replace

import numpy as np
import pytest

import cyconv

from . import oracle
from .cases import Case, seeds
from .one_pass import OnePass, in_one_pass
from .test_directions import normal, out_shape

SEEDS = 150


def random_case(seed):
    """A layer whose groups have one filter and few channels, of any size, stride and border."""
    rng = np.random.default_rng(seed)
    draw = lambda low, high: tuple(int(n) for n in rng.integers(low, high + 1, 2))
    kernel = (3, 3) if rng.random() < 0.4 else draw(1, 7)
    strides = [(1, 2), (2, 1), (2, 2), (2, 2), (3, 2), (2, 3)]
    stride = strides[rng.integers(len(strides))]
    dilation = (1, 1) if rng.random() < 0.7 else draw(1, 3)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(tuple(int(n) for n in rng.integers(0, span, 2)) for span in spans)
    spatial = tuple(
        max(n, span - lo - hi, 1)
        for n, span, (lo, hi) in zip(draw(1, 40), spans, padding, strict=True)
    )
    groups = int(rng.integers(1, 5))
    channels = groups * int(rng.choice([1, 1, 1, 2, 3]))
    return Case(
        f"seed_{seed}",
        (int(rng.integers(1, 3)), channels, *spatial),
        (groups, channels // groups, *kernel),
        stride,
        padding,
        dilation,
        groups,
    )


ONE_PASS = OnePass("direct")
plan_of, apart = ONE_PASS.plan_of, ONE_PASS.apart


@seeds(SEEDS)
def test_the_bits_of_each_phase_on_its_own(seed, isa):
    ONE_PASS.check_bits(random_case(seed), seed)


@seeds(SEEDS)
def test_the_sums_are_the_oracles(seed, isa):
    ONE_PASS.check_sums(random_case(seed))


def test_random_cases_are_solved_in_one_pass():
    """Where all phases have taps; a stride of one phase has no others."""
    found = [plan_of(random_case(seed)) for seed in range(SEEDS)]
    assert sum(map(in_one_pass, found)) > SEEDS // 2


STRIDED = Case("strided", (2, 4, 15, 18), (4, 1, 3, 3), 2, 1, 1, 4)


def test_which_problems_are_solved_in_one_pass():
    assert in_one_pass(plan_of(STRIDED))
    assert in_one_pass(cyconv.plan(plan_of(STRIDED).problem))  # the library's choice
    for changes in (
        {"stride": 1},  # one phase
        {"w": (4, 1, 1, 1)},  # phases without a tap
        {"w": (4, 4, 3, 3), "groups": 1},  # sums over several planes
    ):
        assert not in_one_pass(plan_of(replace(STRIDED, **changes))), changes
    assert not in_one_pass(cyconv.plan(plan_of(STRIDED).problem, algorithm="implicit_gemm"))


def test_a_call_is_written_to_out_itself_and_takes_the_workspace_it_says():
    plan = plan_of(STRIDED, threads=1)
    x, w, g = normal(STRIDED, "float32")
    out = np.empty_like(x)
    assert plan(g, w, out=out) is out
    assert plan._all_or_nothing
    assert 0 < plan.workspace_bytes <= apart(STRIDED, threads=1).workspace_bytes
    least = plan_of(STRIDED, threads=1, workspace_limit=apart(STRIDED).workspace_bytes)
    np.testing.assert_array_equal(least(g, w), out)


def test_images_and_threads_change_no_bit():
    case = Case("large", (3, 5, 61, 47), (5, 1, 5, 5), 2, 2, 1, 5)
    _, w, g = normal(case, "float32")
    y = plan_of(case, threads=1)(g, w)
    for threads in (2, 5):
        np.testing.assert_array_equal(plan_of(case, threads=threads)(g, w), y)
    for n in range(3):
        one = plan_of(replace(case, x=(1, *case.x[1:])))
        np.testing.assert_array_equal(one(g[n : n + 1], w), y[n : n + 1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_non_finite_value_touches_what_its_taps_do(value):
    x, w, g = normal(STRIDED, "float32")
    for operand in (g, w):
        kept = operand.copy()
        operand[(1, 0, *(n // 2 for n in operand.shape[2:]))] = value
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(plan_of(STRIDED)(g, w), apart(STRIDED)(g, w))
            touched = oracle.grad_input(x.shape, w, g, **STRIDED.geometry)
        np.testing.assert_array_equal(np.isfinite(plan_of(STRIDED)(g, w)), np.isfinite(touched))
        operand[...] = kept


@pytest.mark.parametrize("height", [1, 2, 7, 8])
def test_one_column_is_no_pair_of_phases(height):
    """Its phases are rows of it: written to no cell beside it."""
    case = Case("column", (2, 3, height, 1), (3, 1, 3, 3), 2, 1, 1, 3)
    _, w, g = normal(case, "float32")
    expected = apart(case)(g, w)
    beside, after = np.zeros((*case.x[:3], 4), np.float32), np.zeros(6 * height + 4, np.float32)
    for whole, out in ((beside, beside[..., 1:2]), (after, after[:-4].reshape(case.x))):
        np.testing.assert_array_equal(plan_of(case)(g, w, out=out), expected)
        out[...] = 0
        assert not whole.any()


def test_an_empty_batch():
    case = replace(STRIDED, x=(0, *STRIDED.x[1:]))
    g = np.empty(out_shape(case), np.float32)
    assert plan_of(case)(g, np.ones(case.w, np.float32)).shape == case.x
