"""conv_integer and qlinear_conv: sums equal to those of 64-bit integers, rounded by the book."""

import numpy as np
import pytest

import cyconv

from . import oracle
from .cases import GEOMETRIES, GROUPS, LINES, SHAPES, VOLUMES, seeds

TYPES = ("uint8", "int8", "int16")
CASES = [
    case
    for case in SHAPES + GEOMETRIES + GROUPS + LINES + VOLUMES
    if not {"padding_mode", "flip"} & case.geometry.keys()
]


def numbers(rng, shape, dtype):
    """Any numbers of the type, its ends most of all."""
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, shape, endpoint=True)
    ends = rng.random(shape) < 0.6
    return np.where(ends, rng.choice([info.min, info.max], shape), x).astype(dtype)


def operands(rng, case, x_dtype, w_dtype, each):
    """x, its zero point, w, its zero points: one, or one for each filter."""
    x, w = numbers(rng, case.x, x_dtype), numbers(rng, case.w, w_dtype)
    return x, numbers(rng, (), x_dtype), w, numbers(rng, (len(w),) if each else (), w_dtype)


def wide(x, x_zero, w, w_zero):
    """The differences, in 64 bits."""
    w_zero = np.asarray(w_zero, "i8")
    return x.astype("i8") - int(x_zero), w.astype("i8") - w_zero.reshape(-1, *(1,) * (w.ndim - 1))


def wrapped(sums):
    return sums.astype("i8").astype("i4")


@pytest.mark.parametrize("each", [False, True], ids=["one", "each"])
@pytest.mark.parametrize("w_dtype", TYPES)
@pytest.mark.parametrize("x_dtype", TYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_sums_are_exact(case, x_dtype, w_dtype, each):
    rng = np.random.default_rng(case.seed)
    x, x_zero, w, w_zero = operands(rng, case, x_dtype, w_dtype, each)
    y = cyconv.conv_integer(x, w, x_zero, w_zero, **case.geometry)
    expected = oracle.conv(*wide(x, x_zero, w, w_zero), **case.geometry, dtype="i8")
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, wrapped(expected))


@pytest.mark.parametrize("algorithm", cyconv.planning.registry.names())
@pytest.mark.parametrize("case", GEOMETRIES[:6] + GROUPS, ids=str)
def test_every_algorithm_of_integers(case, algorithm):
    rng = np.random.default_rng(case.seed)
    x, x_zero, w, w_zero = operands(rng, case, "uint8", "int8", True)
    if case.reasons("int8")[algorithm] is not None:
        pytest.skip("not for this problem")
    y = cyconv.conv_integer(x, w, x_zero, w_zero, **case.geometry, algorithm=algorithm)
    np.testing.assert_array_equal(
        y, oracle.conv(*wide(x, x_zero, w, w_zero), **case.geometry, dtype="i8")
    )


LAYERS = [
    ((1, 1, 7, 7), (2, 1, 3, 3), {"padding": 1}),
    ((2, 3, 20, 21), (4, 3, 7, 7), {"stride": 2, "padding": 3}),
    ((1, 700, 7, 7), (20, 700, 1, 1), {}),
    ((1, 9, 12, 11), (5, 9, 1, 1), {"stride": 2}),
    ((1, 70, 13, 14), (66, 70, 3, 3), {"padding": 1}),
    ((1, 12, 40, 31), (12, 1, 3, 3), {"padding": 1, "groups": 12}),
    ((2, 6, 15, 80), (12, 1, 5, 4), {"stride": (1, 2), "padding": 2, "groups": 6}),
    ((1, 4, 9, 300), (4, 1, 3, 5), {"dilation": (2, 1), "groups": 4}),
    ((1, 4, 12, 30), (4, 2, 2, 3), {"stride": 3, "dilation": 2, "groups": 2}),
    ((1, 4, 12, 30), (4, 1, 3, 2), {"padding": 2, "dilation": 2, "groups": 4}),
    ((1, 2, 9000), (2, 1, 9), {"groups": 2}),
    ((1, 8, 30, 40), (100, 8, 1, 1), {}),
    ((1, 3, 40, 41), (80, 3, 7, 7), {"stride": 2, "padding": 3}),
    ((1, 1, 30, 31), (20, 1, 5, 5), {"padding": 2}),
    ((2, 3, 9, 8, 7), (3, 1, 1, 3, 3), {"padding": 1, "groups": 3}),
    ((1, 20, 28, 60), (20, 20, 3, 3), {"padding": 1}),
]


@pytest.mark.parametrize("algorithm", ["auto", "direct", "implicit_gemm", "winograd"])
@pytest.mark.parametrize(
    "types",
    [("uint8", "int8"), ("int8", "int8"), ("uint8", "uint8"), ("int16", "int16")],
    ids="-".join,
)
@pytest.mark.parametrize(("x_shape", "w_shape", "geometry"), LAYERS)
def test_bytes_at_the_ends_of_their_range(x_shape, w_shape, geometry, types, algorithm):
    """Zero points at one end, numbers at the other: the largest differences there are."""
    rng = np.random.default_rng(0)
    ends = [np.iinfo(of) for of in types]
    wide_zeros = types[0] != "int16"
    zeros = [i.min if wide_zeros else 0 for i in ends]
    x = np.full(x_shape, ends[0].max, types[0])
    w = np.where(rng.random(w_shape) < 0.9, ends[1].max, ends[1].min).astype(types[1])
    problem = cyconv.Problem(x_shape, w_shape, "int8" if wide_zeros else "int16", **geometry)
    if algorithm != "auto" and cyconv.algorithms(problem)[algorithm] is not None:
        pytest.skip("not for this problem")
    y = cyconv.conv_integer(x, w, *zeros, **geometry, algorithm=algorithm)
    expected = oracle.conv(*wide(x, zeros[0], w, zeros[1]), **geometry, dtype="i8")
    np.testing.assert_array_equal(y, wrapped(expected))
    for threads in 1, 2:
        y = cyconv.qlinear_conv(
            x,
            1,
            zeros[0],
            w,
            1,
            zeros[1],
            2.0**20,
            3,
            **geometry,
            algorithm=algorithm,
            threads=threads,
            out_dtype="int16",
        )
        right = np.rint(np.float32(wrapped(expected)) * np.float32(2.0**-20)) + 3
        np.testing.assert_array_equal(y, np.clip(right, -(2**15), 2**15 - 1))


def test_bytes_out_of_winograds_range_are_refused_by_it():
    can = cyconv.algorithms(cyconv.Problem((1, 918, 5, 5), (4, 918, 3, 3), "int8"))
    assert "C/groups <= 917" in can["winograd"]


def test_conv2d_of_stored_integers_with_a_residual_into_scattered_cells():
    rng = np.random.default_rng(0)
    x, w = numbers(rng, (2, 6, 9, 9), "u1"), numbers(rng, (8, 6, 1, 1), "u1")
    add, bias = rng.integers(-9, 9, (2, 8, 9, 9), "i4"), rng.integers(-9, 9, 8, "i4")
    out = np.empty((2, 8, 12, 9), "i4")[:, :, 1:10]
    for kernel, groups in ((w, 1), (numbers(rng, (6, 1, 3, 3), "u1"), 6)):
        padding = kernel.shape[-1] // 2
        here, k = out[:, : len(kernel)], len(kernel)
        y = cyconv.conv2d(
            x,
            kernel,
            bias[:k],
            1,
            padding,
            1,
            groups,
            out=here,
            add=add[:, :k],
            activation=(-1000, 10**6),
        )
        assert y is here
        sums = oracle.conv(
            x.astype("i8"), kernel.astype("i8"), None, padding=padding, groups=groups, dtype="i8"
        )
        right = sums + bias[:k].reshape(-1, 1, 1) + add[:, :k]
        np.testing.assert_array_equal(y, np.clip(right, -1000, 10**6))


def test_the_border_is_the_zero_point():
    x, w = np.full((1, 1, 3), 200, "u1"), np.full((1, 1, 3), 2, "i1")
    assert not cyconv.conv_integer(x, w, 200, padding=5).any()
    assert cyconv.conv_integer(x, w, padding=1).tolist() == [[[800, 1200, 800]]]


# ---- requantisation ----------------------------------------------------------------------------


def rounded(sums, factor, zero, dtype):
    """The numbers that may stand for sums * factor: two where float32's error reaches a tie."""
    info = np.iinfo(dtype)
    exact = sums.astype("f8") * factor  # 32 bits by 24: rounded in the 53rd
    error = 2.0**-22 * abs(exact)
    return [
        np.clip(np.rint(exact + e) + zero, info.min, info.max).astype(dtype)
        for e in (-error, error)
    ]


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("each", [False, True], ids=["one", "each"])
@pytest.mark.parametrize("y_dtype", TYPES)
@pytest.mark.parametrize("x_dtype", TYPES)
@seeds(12)
def test_random_layers(seed, x_dtype, y_dtype, each, last):
    rng = np.random.default_rng(seed)
    case = CASES[rng.integers(len(CASES))]
    x, x_zero, w, w_zero = operands(rng, case, x_dtype, "int8", each)
    bias = rng.integers(-(2**20), 2**20, len(w)).astype("i4")
    sums = wrapped(oracle.conv(*wide(x, x_zero, w, w_zero), bias, **case.geometry, dtype="i8"))
    x_scale = np.float32(rng.uniform(0.001, 1))
    w_scale = rng.uniform(0.001, 1, len(w) if each else ()).astype("f4")
    largest = max(abs(sums.astype("i8")).max(initial=1), 1) * x_scale * w_scale.max()
    y_scale = np.float32(largest / np.iinfo(y_dtype).max * rng.uniform(0.3, 3))
    y_zero = numbers(rng, (), y_dtype)
    batched = x.ndim == w.ndim
    axis = 1 if batched else 0
    options = {"data_format": "channels_last"} if last else {}
    y = cyconv.qlinear_conv(
        np.moveaxis(x, axis, -1) if last else x,
        x_scale,
        x_zero,
        w,
        w_scale,
        w_zero,
        y_scale,
        y_zero,
        bias,
        **case.geometry,
        **options,
    )
    assert y.dtype == y_dtype
    factor = (x_scale * w_scale / y_scale).astype("f8").reshape(-1, *(1,) * (w.ndim - 2))
    low, high = rounded(sums, factor, int(y_zero), y_dtype)
    y = np.moveaxis(y, -1, axis) if last else y
    assert y.shape == low.shape
    assert ((y == low) | (y == high)).all()
    assert (low == high).mean() > 0.9


def test_halves_go_to_the_even_number_before_the_zero_point_is_added():
    x = np.arange(-9, 10, 2, dtype="i1").reshape(1, 1, -1)
    one = np.ones((1, 1, 1), "i1")
    y = cyconv.qlinear_conv(x, 1.0, 0, one, 1.0, 0, 2.0, np.int8(1))
    assert y.ravel().tolist() == [-3, -3, -1, -1, 1, 1, 3, 3, 5, 5]


def test_saturation():
    x, w = np.full((1, 1, 2), 127, "i1"), np.array([[[127]], [[-128]]], "i1")
    for dtype in TYPES:
        y = cyconv.qlinear_conv(x, 100.0, 0, w, [1.0, 1.0], 0, 0.01, 3, out_dtype=dtype)
        info = np.iinfo(dtype)
        assert y.dtype == dtype
        assert y[0, :, 0].tolist() == [info.max, info.min]


def test_layers_of_many_blocks():
    """Blocks are some channels of an image, or many images, and all cells are in one."""
    rng = np.random.default_rng(0)
    for shape in ((3, 2, 200, 300), (5, 2, 90, 90), (900, 2, 5, 5), (0, 2, 5, 5)):
        x, w = numbers(rng, shape, "u1"), numbers(rng, (7, 2, 1, 1), "i1")
        scale = rng.uniform(0.1, 1, 7).astype("f4")
        y = cyconv.qlinear_conv(x, 0.5, 128, w, scale, 0, 64.0, 100)
        sums = oracle.conv(*wide(x, 128, w, 0), dtype="i8")
        factor = (np.float32(0.5) * scale / np.float32(64)).astype("f8").reshape(7, 1, 1)
        low, high = rounded(sums, factor, 100, "uint8")
        assert ((y == low) | (y == high)).all()


def test_y_is_of_the_type_of_its_zero_point_or_of_x():
    x, w = np.ones((1, 1, 4), "u1"), np.ones((1, 1, 2), "i1")
    for zero, dtype in ((0, "uint8"), (np.int8(0), "int8"), (np.zeros(1, "i2"), "int16")):
        assert cyconv.qlinear_conv(x, 1, 0, w, 1, 0, 1, zero).dtype == dtype


def test_sums_into_out_by_threads_and_a_limit():
    rng = np.random.default_rng(0)
    x, w = numbers(rng, (2, 8, 9, 9), "u1"), numbers(rng, (6, 8, 3, 3), "i1")
    out = np.empty((2, 6, 7, 7), "i4")
    y = cyconv.conv_integer(x, w, 3, 4, threads=2, workspace_limit=2**20, out=out)
    assert y is out
    np.testing.assert_array_equal(out, cyconv.conv_integer(x, w, 3, 4, threads=1))


# ---- wrong arguments ---------------------------------------------------------------------------

U8, I8 = np.ones((1, 2, 5), "u1"), np.ones((3, 2, 3), "i1")
SUMS = {"x": U8, "w": I8}
WRONG_SUMS = [
    ({"x": U8.astype("f4")}, TypeError, r"x\.dtype must be one of uint8, int8, int16, got float32"),
    ({"w": I8.astype("i4")}, TypeError, r"w\.dtype must be one of uint8, int8, int16, got int32"),
    ({"x_zero_point": 256}, ValueError, "x_zero_point must be within 0 to 255, as uint8 is, got 2"),
    ({"w_zero_point": -129}, ValueError, "w_zero_point must be within -128 to 127, as int8 is"),
    ({"x_zero_point": 0.5}, TypeError, "x_zero_point must hold integers, got float64"),
    ({"x_zero_point": [1, 2]}, ValueError, r"x_zero_point must be one number, got shape \(2,\)"),
    (
        {"w_zero_point": [1, 2]},
        ValueError,
        r"w_zero_point must be one number or have shape \(3,\), got shape \(2,\)",
    ),
    ({"stride": 0}, ValueError, r"stride\[0\] must be >= 1, got 0"),
    ({"groups": 2}, ValueError, ".*groups"),
]
LAYER = SUMS | {
    "x_scale": 1.0,
    "x_zero_point": 0,
    "w_scale": 1.0,
    "w_zero_point": 0,
    "y_scale": 1.0,
    "y_zero_point": 0,
}
WRONG_LAYERS = [
    *((change, *rest) for change, *rest in WRONG_SUMS),
    ({"x_scale": 0.0}, ValueError, "x_scale must be > 0 and finite, got 0.0"),
    ({"y_scale": np.inf}, ValueError, "y_scale must be > 0 and finite, got inf"),
    ({"w_scale": [1.0, -1.0, 1.0]}, ValueError, "w_scale must be > 0 and finite, got -1.0"),
    ({"w_scale": [1.0, 1.0]}, ValueError, r"w_scale must be one number or have shape \(3,\)"),
    ({"y_scale": [1.0, 1.0]}, ValueError, r"y_scale must be one number, got shape \(2,\)"),
    ({"x_scale": "1"}, TypeError, "x_scale must hold real numbers, got <U1"),
    ({"y_zero_point": 300}, ValueError, "y_zero_point must be within 0 to 255, as uint8 is"),
    ({"y_zero_point": np.int32(3)}, TypeError, r"y_zero_point\.dtype must be one of .*got int32"),
    ({"out_dtype": "float32"}, TypeError, "out_dtype must be one of uint8, int8, int16, got flo"),
    ({"bias": [0.5, 1, 2]}, TypeError, "bias must be safe to cast to int32, got float64"),
    ({"bias": [1, 2]}, ValueError, r"bias must have shape \(3,\), got \(2,\)"),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG_SUMS)
def test_wrong_sums(change, error, message):
    with pytest.raises(error, match=f"^conv_integer: {message}"):
        cyconv.conv_integer(**SUMS | change)


@pytest.mark.parametrize(("change", "error", "message"), WRONG_LAYERS)
def test_wrong_layers(change, error, message):
    with pytest.raises(error, match=f"^qlinear_conv: {message}"):
        cyconv.qlinear_conv(**LAYER | change)
