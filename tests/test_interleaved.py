"""Phases of a stride by implicit GEMM in one pass: the bits of each alone, the oracle's sums."""

from dataclasses import replace

import numpy as np
import pytest

import cyconv

from .cases import Case, seeds
from .one_pass import OnePass, in_one_pass
from .test_directions import normal

SEEDS = 150


def random_case(seed):
    """A layer of several filters and channels, of any size, stride and border; some have rows of
    one cell, as signals are.
    """
    rng = np.random.default_rng(seed)
    draw = lambda low, high: tuple(int(n) for n in rng.integers(low, high + 1, 2))
    stride = draw(1, 5) if rng.random() < 0.3 else [(2, 2), (2, 2), (4, 4), (8, 8)][seed % 4]
    kernel = tuple(s * int(rng.integers(1, 3)) for s in stride)
    if rng.random() < 0.4:
        kernel = tuple(s + int(rng.integers(0, 3)) for s in stride)
    line = rng.random() < 0.2
    if line:
        stride, kernel = (1, stride[1]), (1, kernel[1])
    padding = tuple(tuple(int(n) for n in rng.integers(0, k, 2)) for k in kernel)
    spatial = tuple(
        max(n, k - lo - hi, 1) for n, k, (lo, hi) in zip(draw(1, 50), kernel, padding, strict=True)
    )
    if line:
        spatial = (1, spatial[1] * 10)
        padding = ((0, 0), padding[1])
    groups = int(rng.choice([1, 1, 2, 3]))
    channels = int(rng.choice([6, 7, 13, 21]))
    filters = int(rng.choice([2, 5, 40, 300], p=(0.3, 0.3, 0.3, 0.1)))
    return Case(
        f"seed_{seed}",
        (int(rng.integers(1, 3)), channels * groups, *spatial),
        (filters * groups, channels, *kernel),
        stride,
        padding,
        1,
        groups,
    )


ONE_PASS = OnePass("implicit_gemm")
plan_of = ONE_PASS.plan_of


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


DOUBLED = Case("doubled", (2, 12, 20, 18), (32, 12, 2, 2), 2, 0, 1, 1)


def test_which_problems_are_solved_in_one_pass():
    assert in_one_pass(plan_of(DOUBLED))
    assert in_one_pass(cyconv.plan(plan_of(DOUBLED).problem))  # the library's choice
    for changes in (
        {"stride": 1},  # one phase
        {"w": (32, 12, 1, 2)},  # phases without a tap
        {"dilation": 3},
    ):
        assert not in_one_pass(plan_of(replace(DOUBLED, **changes))), changes
    assert not in_one_pass(cyconv.plan(plan_of(DOUBLED).problem, algorithm="im2col"))


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_the_library_takes_one_pass_where_channels_are_many(kernel):
    case = replace(DOUBLED, x=(1, 64, 56, 56), w=(64, 64, kernel, kernel))
    plan = cyconv.plan(plan_of(case).problem)
    assert in_one_pass(plan)
    batch = replace(case, x=(3, 64, 56, 56))
    assert in_one_pass(cyconv.plan(plan_of(batch).problem))  # the choice is one image's


def test_a_call_is_written_to_out_itself_and_takes_the_workspace_it_says():
    plan = plan_of(DOUBLED, threads=1)
    x, w, g = normal(DOUBLED, "float32")
    out = np.empty_like(x)
    assert plan(g, w, out=out) is out
    assert plan._all_or_nothing
    assert plan.workspace_bytes > 0
    two = plan_of(DOUBLED, threads=2)
    assert two.workspace_bytes == 2 * plan.workspace_bytes
    np.testing.assert_array_equal(two(g, w), out)
