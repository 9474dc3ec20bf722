"""Gradients and transposed convolutions of bad input: the named error, and `out` as it was."""

import numpy as np
import pytest

import cyconv

X, W, G = np.ones((2, 4, 7, 6)), np.ones((6, 2, 3, 3)), np.ones((2, 6, 3, 3))
GRAD_INPUT = {"input_shape": X.shape, "w": W, "grad_output": G, "stride": 2, "padding": ((0, 1), 1)}
GRAD_WEIGHT = {"x": X, "weight_shape": W.shape, **{n: GRAD_INPUT[n] for n in list(GRAD_INPUT)[2:]}}
TRANSPOSE = {"x": G, "w": W, "stride": 2}
GOOD = {
    "conv_grad_input": {**GRAD_INPUT, "groups": 2},
    "conv_grad_weight": {**GRAD_WEIGHT, "groups": 2},
    "conv_vjp": {"x": X, "w": W, **{n: GRAD_INPUT[n] for n in list(GRAD_INPUT)[2:]}, "groups": 2},
    "conv_transpose2d": {**TRANSPOSE, "groups": 2},
}
BAD_GRADIENT = [
    ({"grad_output": np.ones((2, 6, 3, 4))}, ValueError, r"grad_output .*2, 6, 3, 3\).*3, 4\)$"),
    ({"grad_output": np.ones((1, 6, 3, 3))}, ValueError, r"grad_output .*\(1, 6, 3, 3\)$"),
    ({"grad_output": np.ones((2, 5, 3, 3))}, ValueError, r"grad_output .*\(2, 5, 3, 3\)$"),
    ({"grad_output": np.ones((6, 3, 3))}, ValueError, r"grad_output .*\(6, 3, 3\)$"),
    ({"grad_output": 1.0}, ValueError, r"grad_output .*\(\)$"),
    ({"grad_output": np.ones(0)}, ValueError, r"grad_output .*\(0,\)$"),
    ({"grad_output": np.ones((0, 6, 3, 3))}, ValueError, r"grad_output .*\(0, 6, 3, 3\)$"),
    ({"grad_output": G.astype(bool)}, TypeError, r"grad_output\b.*bool$"),
    ({"grad_output": G.astype(object)}, TypeError, r"grad_output\b.*object$"),
    ({"grad_output": np.ma.array(G)}, TypeError, "grad_output .*mask"),
    ({"grad_output": None}, TypeError, r"grad_output\b.*object$"),
    ({"stride": 0}, ValueError, r"stride\[0\] must be >= 1, got 0$"),
    ({"dilation": 2**62}, ValueError, ".*dilation"),
    ({"groups": 4}, ValueError, "groups .*6 filters.*got 4$"),
    ({"padding": -1}, ValueError, r"padding\[0\] must be >= 0, got -1$"),
    ({"padding_mode": "mirror"}, ValueError, "padding_mode .*'mirror'$"),
    ({"data_format": "NWC"}, ValueError, "data_format 'NWC'"),
    ({"algorithm": "magic"}, ValueError, "algorithm .*'magic'$"),
]
BAD_INPUT_SHAPE = [
    ({"input_shape": (4, 7)}, ValueError, r"input_shape must have 4 axes.*got shape \(4, 7\)$"),
    ({"input_shape": (2, 5, 7, 6)}, ValueError, "groups must divide the 5 channels of input_shape"),
    ({"input_shape": (2, 6, 7, 6)}, ValueError, "input_shape must have 2 . 2 = 4 channels.*got 6$"),
    (
        {"input_shape": (2**40, 4, 2**40, 6)},
        ValueError,
        r"input_shape \(.*\) has more than 2\*\*63",
    ),
    ({"input_shape": (0, 4, 2**62, 6)}, ValueError, r"input_shape \(.*\) has more than 2\*\*63"),
    ({"input_shape": (2, 4, 7, 8)}, ValueError, "grad_output must have shape"),
    ({"input_shape": (2, 4, -7, 6)}, ValueError, r"input_shape\[2\] must be >= 0, got -7$"),
    ({"input_shape": 7}, TypeError, "input_shape .*7$"),
    ({"w": np.ones((6, 2, 0, 3))}, ValueError, r"w\.shape\[2\]"),
    ({"w": 1.0}, ValueError, r"w must .*\(\)$"),
    ({"out": np.ones((2, 4, 7, 5))}, ValueError, r"out must have shape \(2, 4, 7, 6\)"),
    ({"out": np.ones(X.shape, "f4")}, TypeError, "out must have dtype float64"),
]
BAD_WEIGHT_SHAPE = [
    ({"weight_shape": (6, 2, 3)}, ValueError, r"weight_shape must have 4 axes.*\(6, 2, 3\)$"),
    ({"weight_shape": (6, 2)}, ValueError, r"weight_shape must be \(K, .*got shape \(6, 2\)$"),
    ({"weight_shape": (6, 2, 0, 3)}, ValueError, r"weight_shape\[2\].* must be >= 1, got 0$"),
    (
        {"weight_shape": (5, 2, 3, 3)},
        ValueError,
        "groups must divide the 5 filters of weight_shape",
    ),
    ({"weight_shape": (2**60, 2, 3, 3)}, ValueError, r"weight_shape \(.*\) has more than 2\*\*63"),
    ({"weight_shape": (6, 2, 3, 2)}, ValueError, "grad_output must have shape"),
    ({"weight_shape": (6, 4, 3, 3)}, ValueError, r"weight_shape\[1\] must be .*got 4$"),
    ({"weight_shape": (6, 2, 3.0, 3)}, TypeError, r"weight_shape\[2\] must be an int, got 3\.0$"),
    ({"x": X[0]}, ValueError, "grad_output must have shape"),
    ({"x": None}, TypeError, r"x\b.*object$"),
    ({"out": np.ones((6, 2, 3, 2))}, ValueError, r"out must have shape \(6, 2, 3, 3\)"),
]
BAD_TRANSPOSE = [
    ({"output_padding": 2}, ValueError, r"output_padding\[0\] must be < .* = 2, got 2$"),
    (
        {"output_padding": (0, 3), "dilation": (1, 3)},
        ValueError,
        r"output_padding\[1\] .* = 3, got",
    ),
    ({"output_padding": -1}, ValueError, r"output_padding\[0\] must be >= 0, got -1$"),
    ({"output_padding": 1.0}, TypeError, r"output_padding\[0\] must be an int, got 1\.0$"),
    ({"padding": (3, 4)}, ValueError, ".*output.* axis 1 must be >= 1, got -1$"),
    ({"padding": 2**61}, ValueError, ".*output.* axis 0 must be >= 1"),
    ({"output_shape": 0}, ValueError, r"output_shape\[0\] must be >= 1, got 0$"),
    ({"output_shape": (9, 9, 9)}, ValueError, "output_shape must be"),
    ({"x": np.ones((2, 4, 3, 3))}, ValueError, r"w\.shape\[0\] .*4 channels, got 6$"),
    ({"x": np.ones((3, 3))}, ValueError, r"x must .*\(3, 3\)$"),
    ({"x": np.ones((2, 6, 0, 3)), "w": np.ones((6, 2, 1, 3))}, ValueError, ".*output.* axis 0"),
    ({"w": W[..., 0]}, ValueError, "w must have 4 axes"),
    ({"w": W[..., :0]}, ValueError, r"w\.shape\[3\].* must be >= 1, got 0$"),
    ({"stride": 2**62}, ValueError, r"stride\[0\] must keep the result.* 2\*\*62, got 4611"),
    ({"dilation": 2**62}, ValueError, r"dilation\[0\] must keep the result.* 2\*\*62, got 4611"),
    ({"dilation": 2**63 - 1, "padding": 2**62}, ValueError, r"dilation\[0\] must keep the result"),
    ({"dilation": 2**62, "padding": "same"}, ValueError, r"dilation\[0\] must keep the result"),
    ({"dilation": 2**40}, ValueError, r"output of shape .* has more than 2\*\*63 bytes"),
    ({"output_shape": 2**62}, ValueError, r"output of shape .* has more than 2\*\*63 bytes"),
    (
        {"stride": 2**63, "output_padding": 2**62, "x": G[..., :1, :1]},
        ValueError,
        r"output_padding\[0\] must keep the result",
    ),
    ({"groups": 5}, ValueError, "groups .*got 5$"),
    ({"groups": 0}, ValueError, "groups must be >= 1, got 0$"),
    ({"bias": np.ones(6)}, ValueError, r"bias must have shape \(4,\), got \(6,\)$"),
    ({"bias": np.ones(4, complex)}, TypeError, "bias must be safe to cast to float64"),
    ({"x": G.astype(bool)}, TypeError, r"x\b.*bool$"),
    ({"out": np.ones((2, 4, 7, 8))}, ValueError, r"out must have shape \(2, 4, 7, 7\)"),
]
TABLE = [
    *[("conv_grad_input", *row) for row in BAD_GRADIENT + BAD_INPUT_SHAPE],
    *[("conv_grad_weight", *row) for row in BAD_GRADIENT + BAD_WEIGHT_SHAPE],
    *[("conv_transpose2d", *row) for row in BAD_TRANSPOSE],
]


@pytest.mark.parametrize(("function", "changes", "error", "message"), TABLE)
def test_wrong_arguments(function, changes, error, message):
    """The error names function, argument, value and rule; `out` is left as it was."""
    call = {**GOOD[function], **changes}
    out = call.get("out")
    before = None if out is None else out.copy()
    with pytest.raises(error, match=rf"^{function}: {message}"):
        getattr(cyconv, function)(**call)
    if out is not None:
        np.testing.assert_array_equal(out, before)


@pytest.mark.parametrize("function", GOOD)
def test_the_calls_that_are_made_wrong_are_right(function):
    getattr(cyconv, function)(**GOOD[function])
    if not function.startswith("conv_transpose"):
        with pytest.raises(TypeError, match="bias"):
            getattr(cyconv, function)(**GOOD[function], bias=np.ones(6))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"grad_output": 1.0}, ValueError, r"grad_output .*\(\)$"),
        ({"grad_output": np.ones((2, 3))}, ValueError, r"grad_output .*\(2, 3\)$"),
        ({"grad_output": np.ones((2, 3, 4), bool)}, TypeError, r"grad_output\b.*bool$"),
        ({"grad_output": G, "data_format": "HWNC"}, ValueError, "data_format .*'HWNC'$"),
        ({"grad_output": G, "data_format": ["NHWC"]}, ValueError, "data_format "),
        ({"grad_output": G, "data_format": "NWC"}, ValueError, "data_format 'NWC'"),
    ],
)
def test_wrong_arguments_of_grad_bias(arguments, error, message):
    with pytest.raises(error, match=rf"^conv_grad_bias: {message}"):
        cyconv.conv_grad_bias(**arguments)


@pytest.mark.parametrize("option", [{"out": np.full(X.shape, np.nan)}, {"out_dtype": "float32"}])
def test_vjp_takes_no_out(option):
    """Three results have three shapes: it says so before it writes anything."""
    (name,) = option
    with pytest.raises(TypeError, match=rf"{name}\b"):
        cyconv.conv_vjp(**GOOD["conv_vjp"], **option)
    if name == "out":
        assert np.isnan(option["out"]).all()
