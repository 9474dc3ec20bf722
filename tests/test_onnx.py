"""The same answers as ONNX's Conv, ConvTranspose, ConvInteger and QLinearConv.

The published cases of the operators run as they stand; random nodes are compared with ONNX Runtime
and, where no padding is chosen by name, with ONNX's own reference evaluator. Data are small
integers, so equal means equal.
"""

import warnings
from importlib import import_module
from unittest import mock

import numpy as np
import pytest

import cyconv

from .cases import seeds

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

PADDING = {b"SAME_UPPER": "same", b"SAME_LOWER": "same_lower", b"VALID": "valid"}


def attributes(node):
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def run_node(node, x, w, *rest):
    """The node through cyconv: what an ONNX importer would call."""
    given = attributes(node)
    rank = x.ndim - 2
    pads = given.get("pads", [0] * 2 * rank)
    geometry = {
        "stride": tuple(given.get("strides", [1] * rank)),
        "dilation": tuple(given.get("dilations", [1] * rank)),
        "padding": PADDING.get(
            given.get("auto_pad"), tuple(zip(pads[:rank], pads[rank:], strict=True))
        ),
        "groups": given.get("group", 1),
    }
    if node.op_type == "ConvInteger":
        return cyconv.conv_integer(x, w, *rest, **geometry)
    if node.op_type == "QLinearConv":  # x, its scale and zero point, w, ...
        return cyconv.qlinear_conv(x, w, *rest, **geometry)
    if node.op_type == "Conv":
        return cyconv.conv(x, w, *rest, **geometry)
    geometry["output_padding"] = tuple(given.get("output_padding", [0] * rank))
    return cyconv.conv_transpose(x, w, *rest, **geometry, output_shape=given.get("output_shape"))


# ---- the published cases -----------------------------------------------------------------------


def published(operators):
    """`(name, node, inputs, outputs)` of every example of the operators."""
    found = []

    def expect(node, inputs, outputs, name, **_):
        found.append(pytest.param(node, inputs, outputs, id=name))

    with warnings.catch_warnings():
        # ONNX 1.23's examples do so, which NumPy 2.5 no longer likes.
        warnings.filterwarnings("ignore", "Setting the shape", DeprecationWarning)
        for operator in operators:
            room = import_module(f"onnx.backend.test.case.node.{operator}")
            with mock.patch.object(room, "expect", expect):
                for thing in list(vars(room).values()):
                    if isinstance(thing, type) and thing.__module__ == room.__name__:
                        for name in vars(thing):
                            if name.startswith("export"):
                                getattr(thing, name)()
    return found


PUBLISHED = published(("conv", "convtranspose", "convinteger", "qlinearconv"))


@pytest.mark.parametrize(("node", "inputs", "outputs"), PUBLISHED)
def test_published_cases(node, inputs, outputs):
    y = run_node(node, *inputs)
    assert y.dtype == outputs[0].dtype
    np.testing.assert_array_equal(y, outputs[0])


def test_the_published_cases_are_found():
    assert len(PUBLISHED) >= 19
    assert {case.values[0].op_type for case in PUBLISHED} == {
        "Conv",
        "ConvTranspose",
        "ConvInteger",
        "QLinearConv",
    }


# ---- random nodes ------------------------------------------------------------------------------


def model(node, inputs, output):
    """A model of one node, its inputs before the last ones named and of these shapes."""

    def info(name, array):
        return helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )

    graph = helper.make_graph(
        [node],
        "one",
        [info(n, a) for n, a in zip(node.input, inputs, strict=True)],
        [helper.make_tensor_value_info("y", output, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def by_runtime(node, inputs, output=TensorProto.FLOAT):
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(
        model(node, inputs, output).SerializeToString(), options, ["CPUExecutionProvider"]
    )
    return session.run(None, dict(zip(node.input, inputs, strict=True)))[0]


def random_node(seed, operator, auto_pad, most_groups=3):
    """`(node, inputs)` of any geometry, 1 to 3 axes."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))

    def axes(low, high):
        return [int(n) for n in rng.integers(low, high + 1, rank)]

    strides, dilations = axes(1, 3), axes(1, 3)
    kernel, groups = axes(1, 4 if rank < 3 else 3), int(rng.integers(1, most_groups + 1))
    transposed = operator == "ConvTranspose"
    given = {"strides": strides, "dilations": dilations, "group": groups, "kernel_shape": kernel}
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    sizes = axes(1, 6) if transposed else [n + e for n, e in zip(spans, axes(0, 6), strict=True)]
    if auto_pad.startswith("SAME"):  # the runtime refuses dilations with it
        given["dilations"] = [1] * rank
    if transposed and auto_pad.startswith("SAME"):  # in * stride cells, all met by a tap
        given["kernel_shape"] = kernel = [max(k, s) for k, s in zip(kernel, strides, strict=True)]
    if auto_pad == "NOTSET":
        most = [min(3, (n - 1) // 2) for n in spans] if transposed else [3] * rank
        given["pads"] = [int(rng.integers(0, n + 1)) for n in most * 2]
    else:
        given["auto_pad"] = auto_pad
    if transposed and auto_pad in ("NOTSET", "VALID"):
        given["output_padding"] = [int(rng.integers(0, s)) for s in strides]
    channels, filters = (groups * int(rng.integers(1, 4)) for _ in range(2))
    w_shape = (channels, filters // groups) if transposed else (filters, channels // groups)
    shapes = (int(rng.integers(1, 3)), channels, *sizes), (*w_shape, *kernel), filters
    inputs = [rng.integers(-6, 7, s).astype("f4") for s in shapes]
    return helper.make_node(operator, ["x", "w", "b"], ["y"], **given), inputs


@pytest.mark.parametrize("auto_pad", ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
@seeds(40)
def test_runtime(seed, operator, auto_pad):
    node, inputs = random_node(seed, operator, auto_pad)
    np.testing.assert_array_equal(run_node(node, *inputs), by_runtime(node, inputs))


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
@seeds(20, 40)
def test_reference_evaluator(seed, operator):
    """It has groups for Conv only."""
    node, inputs = random_node(seed, operator, "NOTSET", 3 if operator == "Conv" else 1)
    evaluator = ReferenceEvaluator(model(node, inputs, TensorProto.FLOAT))
    (expected,) = evaluator.run(None, dict(zip(node.input, inputs, strict=True)))
    np.testing.assert_array_equal(run_node(node, *inputs), expected)


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@seeds(20)
def test_output_shape(seed, auto_pad):
    """The shape chooses the pads: the odd cell at the end for SAME_UPPER, else at the start."""
    node, inputs = random_node(seed, "ConvTranspose", "VALID")
    given, rng = attributes(node), np.random.default_rng(seed)
    del given["auto_pad"], given["output_padding"]
    full = [
        (n - 1) * s + d * (k - 1) + 1
        for n, s, d, k in zip(
            inputs[0].shape[2:],
            given["strides"],
            given["dilations"],
            inputs[1].shape[2:],
            strict=True,
        )
    ]
    given["output_shape"] = [int(rng.integers((n + 1) // 2, n + 1)) for n in full]
    if auto_pad != "NOTSET":
        given["auto_pad"] = auto_pad
    node = helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **given)
    y = run_node(node, *inputs)
    assert list(y.shape[2:]) == given["output_shape"]
    np.testing.assert_array_equal(y, by_runtime(node, inputs))


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
@seeds(10)
def test_conv_integer(seed, auto_pad):
    node, inputs = random_node(seed, "Conv", auto_pad)
    rng = np.random.default_rng(seed)
    x, w = (rng.integers(0, 256, a.shape).astype("u1") for a in inputs[:2])
    inputs = [x, w, np.uint8(rng.integers(256)), np.uint8(rng.integers(256))]
    node = helper.make_node("ConvInteger", ["x", "w", "xz", "wz"], ["y"], **attributes(node))
    y = run_node(node, *inputs)
    assert y.dtype == np.int32
    np.testing.assert_array_equal(
        y, by_runtime(node, [np.asarray(a) for a in inputs], TensorProto.INT32)
    )


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
@seeds(10)
def test_qlinear_conv(seed, auto_pad, dtype):
    """Weights of seven bits: the runtime saturates sums of two products in int16."""
    node, (x, w, bias) = random_node(seed, "Conv", auto_pad)
    rng = np.random.default_rng(seed)
    info, each = np.iinfo(dtype), bool(rng.integers(2))

    def any_of(shape=()):
        return np.asarray(rng.integers(info.min, info.max, shape, endpoint=True), dtype)

    def scale(shape=()):
        return np.asarray(rng.uniform(0.01, 0.1, shape), "f4")

    x, bias = any_of(x.shape), rng.integers(-5000, 5000, bias.shape).astype("i4")
    w = rng.integers(-63, 64, w.shape).astype("i1")
    filters = (len(w),) if each else ()
    inputs = [
        x,
        scale(),
        any_of(),
        w,
        scale(filters),
        np.zeros(filters, "i1"),
        scale(),
        any_of(),
        bias,
    ]
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"]
    node = helper.make_node("QLinearConv", names, ["y"], **attributes(node))
    y = run_node(node, *inputs)
    assert y.dtype == dtype
    found = by_runtime(node, inputs, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    np.testing.assert_array_equal(y, found)


def test_names_of_padding_are_the_operators():
    """SAME_UPPER puts the odd cell at the end: ceil(in / stride) outputs."""
    x, w = np.arange(6.0).reshape(1, 1, 6), np.ones((1, 1, 2))
    assert cyconv.conv1d(x, w, padding="same").tolist() == [[[1, 3, 5, 7, 9, 5]]]
    assert cyconv.conv1d(x, w, padding="same_lower").tolist() == [[[0, 1, 3, 5, 7, 9]]]
    assert cyconv.conv1d(x, w, stride=4, padding="same").shape == (1, 1, 2)
