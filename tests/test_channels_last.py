"""Channels last as they lie: the bits of channels first, whatever is read from the arrays."""

import numpy as np
import pytest

import cyconv

CASES = {  # x (N, C, H, W), w, geometry, algorithm
    "points": ((2, 40, 9, 11), (30, 40, 1, 1), {}, "implicit_gemm"),
    "points_in_blocks": ((1, 300, 15, 15), (21, 300, 1, 1), {}, "implicit_gemm"),
    "points_strided": ((2, 24, 9, 12), (40, 24, 1, 1), {"stride": (2, 3)}, "implicit_gemm"),
    "points_in_groups": ((1, 24, 8, 8), (48, 8, 1, 1), {"groups": 3}, "implicit_gemm"),
    "few_filters": ((1, 24, 8, 8), (2, 24, 1, 1), {}, "implicit_gemm"),
    "windows": ((2, 3, 17, 19), (32, 3, 3, 3), {"padding": 1, "stride": 2}, "implicit_gemm"),
    "windows_apart": (
        (1, 4, 20, 15),
        (37, 4, 5, 3),
        {"padding": (4, 2), "dilation": (2, 3)},
        "implicit_gemm",
    ),
    "windows_in_groups": ((2, 12, 9, 9), (34, 6, 3, 3), {"groups": 2}, "implicit_gemm"),
    "windows_in_blocks": ((1, 8, 12, 13), (16, 8, 7, 7), {"padding": 3}, "implicit_gemm"),
    "windows_of_padding": ((2, 2, 2, 1), (16, 2, 3, 3), {"padding": 4}, "implicit_gemm"),
    "windows_of_many": (
        (2, 70, 9, 40),
        (20, 70, 3, 3),
        {"padding": 1, "stride": 2},
        "implicit_gemm",
    ),
    "windows_of_columns": ((1, 8, 4, 3000), (16, 8, 3, 3), {"padding": 1}, "implicit_gemm"),
    "depthwise": ((2, 35, 9, 13), (35, 1, 3, 3), {"groups": 35, "padding": 1}, "direct"),
    "strided": ((1, 48, 9, 13), (48, 1, 3, 3), {"groups": 48, "padding": 1, "stride": 2}, "direct"),
    "no_padding": ((1, 19, 3, 8), (19, 1, 3, 3), {"groups": 19}, "direct"),
    "much_padding": ((1, 16, 2, 1), (16, 1, 3, 3), {"groups": 16, "padding": 2}, "direct"),
    "few_channels": ((1, 3, 8, 8), (3, 1, 3, 3), {"groups": 3, "padding": 1}, "direct"),
}


def last(array):
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


@pytest.mark.parametrize("isa", cyconv.kernels.available())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_bits_are_those_of_channels_first(case, dtype, isa):
    x_shape, w_shape, how, name = CASES[case]
    rng = np.random.default_rng(9)
    x, w, bias = (rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape, w_shape[:1]))
    x.reshape(-1)[5], w.reshape(-1)[4] = np.inf, np.nan
    how = how | {"algorithm": name}
    before = cyconv.kernels.isa()
    cyconv.kernels.set_isa(isa)
    try:
        shape = cyconv.conv2d(x, w, **how).shape
        add = rng.standard_normal(shape).astype(dtype)
        for more in {}, {"bias": bias, "activation": (-1, 2)}, {"bias": bias, "add": add}:
            expected = cyconv.conv2d(x, w, **how, **more)
            given = {k: last(v) if k == "add" else v for k, v in more.items()}
            for threads in 1, 3:
                y = cyconv.conv2d(last(x), w, **how, **given, data_format="NHWC", threads=threads)
                np.testing.assert_array_equal(np.moveaxis(y, -1, 1), expected)
        wide = np.zeros((*last(x).shape[:3], x.shape[1] + 5), dtype)  # pixels further apart
        wide[..., 2:-3] = last(x)
        y = cyconv.conv2d(wide[..., 2:-3], w, **how, data_format="NHWC")
        np.testing.assert_array_equal(np.moveaxis(y, -1, 1), cyconv.conv2d(x, w, **how))
    finally:
        cyconv.kernels.set_isa(before)


@pytest.mark.parametrize("case", ["points", "points_in_blocks", "points_strided", "depthwise"])
def test_packed_weights_serve_both_orders(case):
    """A plan of channels first is given arrays seen through `transpose`, and others."""
    x_shape, w_shape, how, name = CASES[case]
    rng = np.random.default_rng(2)
    x, w = (rng.standard_normal(shape).astype("f4") for shape in (x_shape, w_shape))
    plan = cyconv.plan(cyconv.Problem(x_shape, w_shape, **how), algorithm=name)
    packed = plan.pack(w)
    w[...] = 0
    expected = packed(x)
    out = np.moveaxis(np.zeros(last(expected).shape, "f4"), -1, 1)
    for source in np.moveaxis(last(x), -1, 1), x:
        out[...] = 0
        np.testing.assert_array_equal(packed(source, out=out), expected)
        np.testing.assert_array_equal(packed(source), expected)


@pytest.mark.parametrize("case", ["points_strided", "points"])
def test_a_small_workspace_is_enough(case):
    x_shape, w_shape, how, name = CASES[case]
    n, c, *spatial = x_shape
    problem = cyconv.Problem((n, *spatial, c), w_shape, data_format="NHWC", **how)
    x, w = np.ones(problem.x_shape, "f4"), np.ones(w_shape, "f4")
    tight = cyconv.plan(problem, algorithm=name, threads=1, workspace_limit=30_000)
    assert tight.workspace_bytes <= 30_000
    np.testing.assert_array_equal(tight(x, w), np.full(problem.output_shape, float(c), "f4"))


def test_the_choice_knows_where_channels_lie_whatever_the_batch():
    """What moves planes of channels first is slower, and costs more; one choice for any batch."""
    costs, chosen = {}, {}
    for n, data_format in (1, "NCHW"), (1, "NHWC"), (5, "NHWC"):
        x_shape = (n, 64, 56, 56) if data_format == "NCHW" else (n, 56, 56, 64)
        problem = cyconv.Problem(x_shape, (64, 64, 3, 3), stride=2, data_format=data_format)
        found = cyconv.plan(problem, threads=1).explain().to_dict()
        chosen[n, data_format] = found["algorithm"]
        costs[n, data_format] = {c["name"]: c.get("seconds") for c in found["candidates"]}
    first, last = costs[1, "NCHW"], costs[1, "NHWC"]
    assert last["winograd"] > first["winograd"]
    assert last["implicit_gemm"] == first["implicit_gemm"]
    assert chosen[1, "NHWC"] == chosen[5, "NHWC"]
