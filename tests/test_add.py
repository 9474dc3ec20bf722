"""The residual: ``add=``, whose values meet the sums before the activation.

A residual is added to the rounded sum and bias, by the kernel or after it, so the answer has the
bits of the plain call with the residual added and clipped by NumPy.
"""

import pickle

import numpy as np
import pytest

import cyconv

from . import oracle
from .cases import named, seeds, supported
from .test_algorithms import LAYOUTS
from .test_directions import integers, random_case
from .tolerances import EXACT

SOME = named(
    "one_cell", "odd_5x7", "pointwise", "pointwise_padded", "row_1x7", "large_15x15", "one_channel",
    "one_channel_out", "batch_of_single_windows", "unbatched", "without_bias", "row_of_outputs",
    "row_strided", "stride_2", "stride_1x4", "dilation_strided", "border_reflect", "flipped_even",
    "groups_3_strided", "depthwise", "depthwise_strided", "depthwise_multiplier", "no_channels",
    "no_cells", "line_strided", "volume_strided", "rank_4", "tiles_odd", "tiles_mixed",
    "tiles_grouped", "channels_300", "width_5", "width_9", "width_23",
)  # fmt: skip
LAID = named("tiles_mixed", "stride_2", "depthwise", "line", "volume")
BOUNDS = (-0.5, 2.0)


def residual(like, seed=0):
    return np.random.default_rng(seed).integers(-9, 9, like.shape).astype(like.dtype)


def clipped(y, low=BOUNDS[0], high=BOUNDS[1]):
    return np.minimum(np.maximum(y, low), high).astype(y.dtype)


@supported(SOME)
def test_every_algorithm(algorithm, case, dtype, isa):
    x, w, bias = case.data(dtype)
    plain = case.run(x, w, bias, algorithm=algorithm)
    add = residual(plain)
    y = case.run(x, w, bias, algorithm=algorithm, add=add)
    assert y.dtype == plain.dtype
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(y, plain + add)
    y = case.run(x, w, bias, algorithm=algorithm, add=add, activation=BOUNDS)
    np.testing.assert_array_equal(y, clipped(plain + add))


@supported(SOME, algorithms=EXACT)
def test_small_integers_are_exact(algorithm, case, dtype):
    x, w, bias = case.integers(dtype)
    expected = case.expected(x, w, bias)
    add = residual(expected)
    y = case.run(x, w, bias, algorithm=algorithm, add=add.astype(dtype), activation="relu")
    np.testing.assert_array_equal(y, np.maximum(expected + add, 0))


@pytest.mark.parametrize("layout", [*LAYOUTS, "broadcast"])
@supported(LAID, ["float32"])
def test_any_strides(algorithm, case, dtype, layout):
    """Of the residual, of `out`, and of both."""
    x, w, bias = case.data(dtype)
    plain = case.run(x, w, bias, algorithm=algorithm)
    add = residual(plain)
    if layout == "broadcast":
        lain = add = np.broadcast_to(add[:, :1], add.shape)
        out = None
    else:
        lain = LAYOUTS[layout](add)
        out = None if layout == "read_only" else LAYOUTS[layout](np.zeros_like(add))
    before = lain.copy()
    expected = plain + add
    np.testing.assert_array_equal(case.run(x, w, bias, algorithm=algorithm, add=lain), expected)
    np.testing.assert_array_equal(lain, before)
    if out is not None and out.flags.writeable:
        for given in (add, lain):
            assert case.run(x, w, bias, algorithm=algorithm, add=given, out=out) is out
            np.testing.assert_array_equal(out, expected)


@supported(LAID, ["float32"])
def test_into_the_residual_itself(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    add = residual(case.run(x, w, bias, algorithm=algorithm))
    expected = case.run(x, w, bias, algorithm=algorithm, add=add)
    assert case.run(x, w, bias, algorithm=algorithm, add=add, out=add) is add
    np.testing.assert_array_equal(add, expected)


@supported(LAID, ["float32"])
def test_into_a_part_of_the_residual(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    plain = case.run(x, w, bias, algorithm=algorithm)
    memory = np.zeros((2 * plain.shape[0], *plain.shape[1:]), dtype)
    add, out = memory[: len(plain)], memory.reshape(-1)[5 : 5 + plain.size].reshape(plain.shape)
    add[...] = residual(plain)
    expected = plain + add
    assert case.run(x, w, bias, algorithm=algorithm, add=add, out=out) is out
    np.testing.assert_array_equal(out, expected)


@supported(LAID, ["float32"])
def test_packed(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    plan = cyconv.plan(case.problem(dtype), algorithm=algorithm)
    plain = plan(x, w, bias)
    add, expected = residual(plain), clipped(plain + residual(plain))
    np.testing.assert_array_equal(plan(x, w, bias, activation=BOUNDS, add=add), expected)
    packed = plan.pack(w, bias, BOUNDS)
    np.testing.assert_array_equal(packed(x, add=add), expected)
    out = add.copy()
    assert packed(x, out=out, add=out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(packed(x), clipped(plain))  # nothing is left of it


@supported(LAID, ["float32"])
def test_same_bits_for_any_threads(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    add = residual(case.run(x, w, bias, algorithm=algorithm))
    answers = [
        case.run(x, w, bias, algorithm=algorithm, add=add, activation="relu", threads=n)
        for n in (1, 2, 7)
    ]
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


@supported(named("tiles_even", "stride_2", "depthwise", "large_15x15"), ["float32"])
def test_values_that_are_not_finite(algorithm, case, dtype):
    """Of the image and of the residual: each touches its own outputs."""
    x, w, bias = case.data(dtype)
    x.reshape(-1)[7] = np.inf
    plain = case.run(x, w, bias, algorithm=algorithm)
    add = residual(plain)
    add.reshape(-1)[[3, 11]] = np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        expected = plain + add
    np.testing.assert_array_equal(case.run(x, w, bias, algorithm=algorithm, add=add), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("case", LAID, ids=str)
def test_halves_are_rounded_once(case, dtype):
    dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype)
    x, w, bias = case.data(dtype)
    wide = [a.astype(np.float32) for a in (x, w, bias)]
    add = (residual(case.run(*wide)) / 3).astype(dtype)
    expected = case.run(*wide, add=add.astype(np.float32), activation="relu").astype(dtype)
    for given in (add, add.astype(np.float32)):
        y = case.run(x, w, bias, add=given, activation="relu")
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("case", LAID, ids=str)
def test_integers_are_exact(case, dtype):
    rng = np.random.default_rng(5)
    x, w = (rng.integers(0, 9, shape).astype(dtype) for shape in (case.x, case.w))
    plain = case.run(x, w, None)
    info = np.iinfo(plain.dtype)
    add = rng.integers(info.min, info.max, plain.shape, plain.dtype, endpoint=True)
    np.testing.assert_array_equal(case.run(x, w, None, add=add), plain + add)  # both wrap
    np.testing.assert_array_equal(
        case.run(x, w, None, add=add, activation=(0, 6)), np.clip(plain + add, 0, 6)
    )


@pytest.mark.parametrize("accuracy", ["balanced", "strict"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("case", LAID, ids=str)
def test_complex(case, dtype, accuracy):
    x, w, bias = (a.astype(dtype) for a in case.integers("float64"))
    x, w = x * (1 + 2j), w * (2 - 1j)
    plain = case.run(x, w, bias, accuracy=accuracy)
    add = residual(plain) * (3 + 1j)
    add = add.astype(dtype)
    np.testing.assert_array_equal(case.run(x, w, bias, accuracy=accuracy, add=add), plain + add)


@pytest.mark.parametrize("case", LAID, ids=str)
def test_channels_last(case):
    x, w, bias = case.data("float32")
    expected = case.run(x, w, bias, add=residual(case.run(x, w, bias)), activation="relu")
    add = np.ascontiguousarray(np.moveaxis(residual(expected), 1, -1))
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    y = case.run(last, w, bias, add=add, activation="relu", data_format="channels_last")
    np.testing.assert_array_equal(np.moveaxis(y, -1, 1), expected)


# ---- other directions --------------------------------------------------------------------------

TRANSPOSED = [
    ((2, 4, 7, 6), (4, 3, 4, 4), {"stride": 2, "padding": 1}),
    ((1, 6, 5, 5), (6, 1, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 6}),
    ((1, 3, 5, 6), (3, 4, 2, 2), {"stride": 3}),  # cells that no tap meets
    ((1, 3, 5, 6), (3, 4, 3, 3), {"padding": 1}),
    ((1, 3, 9), (3, 4, 4), {"stride": 2, "dilation": 3}),
    ((1, 3, 4, 5, 3), (3, 2, 2, 3, 2), {"stride": (1, 2, 2)}),
    ((1, 3, 5, 6), (3, 4, 3, 3), {"padding": 1, "padding_mode": "circular"}),
    ((3, 5, 6), (3, 4, 3, 3), {"stride": 2}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64", "int32"])
@pytest.mark.parametrize("problem", TRANSPOSED, ids=str)
def test_transposed(problem, dtype):
    x_shape, w_shape, geometry = problem
    rng = np.random.default_rng(1)
    x, w = (rng.integers(-4, 5, shape).astype(dtype) for shape in (x_shape, w_shape))
    bias = np.arange(w_shape[1] * geometry.get("groups", 1)).astype(dtype)
    plain = cyconv.conv_transpose(x, w, bias, **geometry)
    add = residual(plain)
    y = cyconv.conv_transpose(x, w, bias, add=add, **geometry)
    np.testing.assert_array_equal(y, plain + add)
    if dtype != "complex64":
        y = cyconv.conv_transpose(x, w, bias, add=add, activation=(0, 9), **geometry)
        np.testing.assert_array_equal(y, np.clip(plain + add, 0, 9))


def test_transposed_weights_that_are_not_finite():
    x, w = np.ones((1, 2, 4, 4), np.float32), np.ones((2, 3, 3, 3), np.float32)
    w[0, 1, 0, 2] = np.inf
    plain = cyconv.conv_transpose2d(x, w, stride=2)
    add = residual(plain)
    y = cyconv.conv_transpose2d(x, w, stride=2, add=add, activation="relu")
    np.testing.assert_array_equal(y, np.maximum(plain + add, 0))


@pytest.mark.parametrize("direction", ["forward", "grad_input", "grad_weight"])
@seeds(20)
def test_random_problems_in_all_directions(seed, direction):
    """Through every rewrite: a gradient is added to what there is."""
    case = random_case(seed)
    x, w, g = integers(case, "float32")
    problem = cyconv.Problem(case.x, case.w, "float32", **case.geometry, direction=direction)
    plan = cyconv.plan(problem, accuracy="strict")
    operands = {"forward": (x, w), "grad_input": (g, w), "grad_weight": (x, g)}[direction]
    plain = plan(*operands)
    add = residual(plain, seed)
    np.testing.assert_array_equal(plan(*operands, add=add), plain + add)


# ---- what is refused ---------------------------------------------------------------------------


def call(**options):
    x, w = np.ones((1, 2, 5, 5), np.float32), np.ones((3, 2, 3, 3), np.float32)
    return cyconv.conv2d(x, w, **options)


def test_another_shape():
    message = r"conv2d: add must have shape \(1, 3, 3, 3\), got \(1, 3, 3, 4\)"
    with pytest.raises(ValueError, match=message):
        call(add=np.ones((1, 3, 3, 4), np.float32))
    with pytest.raises(ValueError, match="conv2d: add must have shape"):
        call(add=np.float32(1))


@pytest.mark.parametrize("dtype", ["float64", "complex64", "int64", "U1", "bool"])
def test_another_dtype(dtype):
    with pytest.raises(
        TypeError, match=f"conv2d: add must be safe to cast to float32, got .*{dtype}"
    ):
        call(add=np.zeros((1, 3, 3, 3), dtype))


def test_a_narrower_dtype_is_taken():
    add = np.arange(27, dtype=np.int8).reshape(1, 3, 3, 3)
    np.testing.assert_array_equal(call(add=add), call() + add)


def test_a_masked_array():
    with pytest.raises(TypeError, match="conv2d: add must not be a masked array"):
        call(add=np.ma.zeros((1, 3, 3, 3), np.float32))


def test_a_refused_call_writes_nothing():
    out = np.full((1, 3, 3, 3), 7, np.float32)
    with pytest.raises(ValueError, match="add must have shape"):
        call(out=out, add=np.ones((3, 3, 3), np.float32))
    assert (out == 7).all()


def test_a_pickled_packed_call_takes_one():
    x, w = np.ones((1, 2, 5, 5), np.float32), np.ones((3, 2, 3, 3), np.float32)
    packed = cyconv.plan(cyconv.Problem(x.shape, w.shape, "float32")).pack(w)
    add = residual(packed(x))
    again = pickle.loads(pickle.dumps(packed))
    np.testing.assert_array_equal(again(x, add=add), oracle.conv(x, w, None) + add)
