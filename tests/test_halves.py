"""Cells of 16 bits in the kernels: what is read and stored is what a cast of whole arrays gives."""

import numpy as np
import pytest

import cyconv
from cyconv.runtime.halves import cast, is_half

ml_dtypes = pytest.importorskip("ml_dtypes")

HALVES = (np.dtype("float16"), np.dtype(ml_dtypes.bfloat16))
F4 = np.dtype("float32")
CASES = {
    "winograd": ((2, 5, 13, 15), (7, 5, 3, 3), {"padding": 1}),
    "depthwise": ((1, 6, 9, 20), (6, 1, 3, 3), {"groups": 6, "padding": 1}),
    "depthwise_strided": ((2, 6, 9, 7), (6, 1, 3, 3), {"groups": 6, "padding": 1, "stride": 2}),
    "planes_in_blocks": ((1, 300, 7, 7), (64, 300, 1, 1), {}),
    "one_block": ((2, 40, 10, 11), (30, 40, 1, 1), {}),
    "strips_in_blocks": ((1, 300, 9, 9), (20, 300, 3, 3), {"stride": 2, "padding": 1}),
    "large_kernel": ((1, 3, 30, 31), (8, 3, 7, 7), {"stride": 2, "padding": 3}),
    "rows_in_batches": ((1, 4, 130, 140), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    "many_columns": ((1, 4, 80, 200), (4, 1, 5, 5), {"groups": 4, "padding": 2}),
    "three_axes": ((1, 2, 5, 6, 7), (3, 2, 2, 3, 3), {"padding": 1}),
    "one_axis": ((2, 3, 50), (4, 3, 5), {}),
    "border": ((1, 4, 9, 9), (3, 4, 3, 3), {"padding": 2, "padding_mode": "reflect", "flip": True}),
    "channels_last": ((1, 12, 12, 8), (8, 8, 3, 3), {"data_format": "NHWC"}),
    "no_planes": ((2, 0, 5, 5), (3, 0, 3, 3), {}),
}


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_results_are_sums_rounded_once_however_arrays_lie(case, dtype):
    x_shape, w_shape, how = CASES[case]
    rng = np.random.default_rng(3)
    shapes = x_shape, w_shape, w_shape[:1]
    x, w, bias = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    wide = [a.astype(F4) for a in (x, w, bias)]
    able = cyconv.algorithms(cyconv.Problem(x_shape, w_shape, dtype=dtype, **how))
    for name in (name for name, reason in able.items() if reason is None):
        options = how | {"algorithm": name}
        add = rng.standard_normal(cyconv.conv(*wide, **options).shape).astype(F4)
        options |= {"add": add, "activation": (-1, 2)}
        sums = cyconv.conv(*wide, **options)
        for stored in (dtype, F4):
            out = np.asfortranarray(np.empty(sums.shape, stored))
            options["out_dtype"] = stored
            for source, target in (x, None), (np.asfortranarray(x), out):
                y = cyconv.conv(source, w, bias, out=target, threads=2, **options)
                assert y.dtype == stored
                np.testing.assert_array_equal(y, sums.astype(stored), name)


@pytest.mark.parametrize("isa", cyconv.kernels.available())
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_every_cell_and_every_tie(dtype, isa):
    before = cyconv.kernels.isa()
    cyconv.kernels.set_isa(isa)
    try:
        cells = np.arange(1 << 16, dtype=np.uint16).view(dtype)
        with np.errstate(all="ignore"):
            wide = cells.astype(F4)
            np.testing.assert_array_equal(cast(cells, F4), wide)
            ties = ((wide[1:].astype("f8") + wide[:-1].astype("f8")) / 2).astype(F4)
            near = [np.nextafter(ties, F4.type(to)) for to in (-np.inf, np.inf)]
            values = np.concatenate([wide, ties, *near])
            got, right = (a.astype(F4) for a in (cast(values, dtype), values.astype(dtype)))
        np.testing.assert_array_equal(got, right)
        np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(right[right == 0]))
    finally:
        cyconv.kernels.set_isa(before)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_short_and_scattered_rows(dtype):
    values = np.linspace(-3, 3, 40).astype(dtype)
    for n in range(40):
        np.testing.assert_array_equal(cast(values[:n], F4), values[:n].astype(F4))
        np.testing.assert_array_equal(cast(values[:n].astype(F4), dtype), values[:n])
    np.testing.assert_array_equal(cast(values[::3], F4), values[::3].astype(F4))
    assert cast(values, dtype) is values
    assert is_half(dtype)
    assert not is_half(F4)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_no_whole_copy_is_made(dtype):
    """`explain` says that nothing is converted beforehand, and the scratch is counted."""
    for x, w, groups in (
        ((1, 64, 56, 56), (64, 64, 1, 1), 1),
        ((1, 300, 28, 28), (64, 300, 1, 1), 1),
        ((1, 64, 56, 56), (64, 1, 3, 3), 64),
        ((1, 64, 56, 56), (64, 64, 3, 3), 1),
    ):
        problem = cyconv.Problem(x, w, dtype=dtype, groups=groups)
        plan = cyconv.plan(problem)
        assert plan.explain().chain == (f"{dtype} -> sums in float32, rounded once, in one pass",)
        assert plan.workspace_bytes <= plan.workspace_limit


def test_a_limit_that_leaves_no_room_for_sums_casts_whole_arrays():
    problem = cyconv.Problem((1, 600, 9, 9), (512, 600, 1, 1), dtype="float16")
    rng = np.random.default_rng(1)
    x, w = (rng.standard_normal(s).astype("f2") for s in (problem.x_shape, problem.w_shape))
    plain = cyconv.plan(problem, algorithm="implicit_gemm", threads=1)
    assert "one pass" in plain.explain().chain[0]
    plans = (
        cyconv.plan(problem, algorithm="implicit_gemm", workspace_limit=limit, threads=1)
        for limit in range(plain.workspace_bytes, plain.workspace_bytes // 4, -4096)
    )
    tight = next(plan for plan in plans if "one pass" not in plan.explain().chain[0])
    np.testing.assert_array_equal(tight(x, w), plain(x, w))
