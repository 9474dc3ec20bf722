"""cyconv.onnx: ONNX's own cases and networks, and networks beside ONNX Runtime's answers."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.runner import Runner
from onnx.reference import ReferenceEvaluator

import cyconv.onnx as door

from .cases import seeds
from .test_onnx import by_runtime, published, random_node

OPERATORS = ("conv", "convtranspose", "convinteger", "qlinearconv", "col2im", "deformconv")
OTHERS = (
    "maxpool", "averagepool", "gemm", "batchnorm", "lrn", "softmax", "relu", "clip", "dropout",
)  # fmt: skip
PUBLISHED = published(OPERATORS)


def network(nodes, inputs, constants, outputs=("y",), opset=20):
    """A model of these nodes; the constants are initialisers."""

    def info(name, array):
        return helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )

    graph = helper.make_graph(
        nodes,
        "net",
        [info(n, a) for n, a in inputs.items()],
        [helper.make_empty_tensor_value_info(n) for n in outputs],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    net = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return onnx.shape_inference.infer_shapes(net)


def runtime(net, inputs):
    """ONNX Runtime's outputs."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(net.SerializeToString(), options)
    return session.run(None, inputs)


def assert_equal(found, expected):
    for y, z in zip(found, expected, strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-4, atol=1e-4 * max(1, abs(z).max(initial=0)))
        assert y.dtype == z.dtype


# ---- ONNX's own cases --------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["evaluator", "node", "packed"])
@pytest.mark.parametrize(("node", "inputs", "outputs"), PUBLISHED)
def test_published_cases(node, inputs, outputs, way):
    names = [name for name in node.input if name]
    inputs = dict(zip(names, inputs, strict=True))
    if way == "evaluator":
        found = ReferenceEvaluator(node, new_ops=door.operators).run(None, inputs)
    elif way == "node":
        found = door.Backend.run_node(node, list(inputs.values()))
    else:  # all but the first are known beforehand
        first = {names[0]: inputs.pop(names[0])}
        found = door.prepare(network([node], first, inputs, node.output)).run(first)
    assert len(found) == len(outputs)
    Runner.assert_similar_outputs(outputs, found, 1e-3, 1e-7)


def test_the_published_cases_are_found():
    assert len(PUBLISHED) >= 29
    found = {case.values[0].op_type for case in PUBLISHED}
    assert found == {operator.__name__ for operator in door.operators}


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")  # the cases are made with many
def test_node_cases_of_the_backend_tests():
    """The models as ONNX's runner has them, of the convolutions and of all that NumPy computes."""
    from onnx.backend.test.loader import load_model_tests

    named = re.compile(rf"^test_(basic_conv|{'|'.join((*OPERATORS, *OTHERS))})")
    cases = [case for case in load_model_tests(kind="node") if named.match(case.name)]
    assert len(cases) > 100
    for case in cases:
        prepared = door.Backend.prepare(case.model)
        for inputs, outputs in case.data_sets:
            arrays, expected = (
                [numpy_helper.to_array(a) if isinstance(a, TensorProto) else a for a in side]
                for side in (inputs, outputs)
            )
            Runner.assert_similar_outputs(expected, prepared.run(arrays), case.rtol, case.atol)


# ---- networks ----------------------------------------------------------------------------------

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
QUICK = ("light_shufflenet", "light_squeezenet")
NETWORKS = [
    pytest.param(path, id=path.stem, marks=() if path.stem in QUICK else pytest.mark.full)
    for path in sorted(LIGHT.glob("*.onnx"))
]


@pytest.mark.parametrize("path", NETWORKS)
def test_light_networks(path):
    """Known networks, their weights all 0.02: whole graphs of every operator that they have."""
    prepared = door.prepare(path)
    proto = onnx.load(path)
    (info,) = (i for i in proto.graph.input if i.name in prepared.input_names)
    x = Runner.generate_dummy_data(info)
    expected = numpy_helper.to_array(onnx.load_tensor(path.with_name(f"{path.stem}_output_0.pb")))
    Runner.assert_similar_outputs([expected], prepared.run([x]), 2e-3, 1e-7)
    convolutions = sum(node.op_type == "Conv" for node in proto.graph.node)
    assert f"convolutions packed: {convolutions} Conv" in str(prepared)


def test_the_light_networks_are_there():
    assert len(NETWORKS) == 9


def residual(rng, opset=20):
    """A network with all that joins a convolution."""

    def normal(*shape):
        return rng.standard_normal(shape).astype("f4")

    constants = {
        "w1": normal(8, 3, 3, 3), "b1": normal(8), "w2": normal(8, 8, 1, 1),
        "w3": normal(8, 1, 3, 3), "w4": normal(8, 3, 2, 2) / 4, "m": normal(8, 1, 1),
        "a": normal(1, 8, 1, 1), "scale": normal(8), "shift": normal(8), "mean": normal(8),
        "var": rng.uniform(0.5, 2, 8).astype("f4"), "six": np.float32(6), "none": np.float32(0),
        "wf": normal(6 * 12 * 12, 5) / 30, "bf": normal(5),
        "scale6": normal(6), "shift6": normal(6), "mean6": normal(6),
        "var6": rng.uniform(0.5, 2, 6).astype("f4"),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "var"], ["n1"], epsilon=1e-3),
        node("Mul", ["n1", "m"], ["p1"]),
        node("Add", ["a", "p1"], ["q1"]),
        node("Relu", ["q1"], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"]),
        node("Clip", ["c2", "none", "six"], ["r2"]),
        node("Conv", ["r2", "w3"], ["c3"], group=8, auto_pad="SAME_UPPER"),
        node("Add", ["c3", "r1"], ["s"]),  # a residual
        node("Relu", ["s"], ["t"]),
        node("MaxPool", ["t"], ["u"], kernel_shape=[2, 2], strides=[2, 2]),
        node("ConvTranspose", ["u", "w4"], ["v"], strides=[2, 2], group=2),
        node("BatchNormalization", ["v", "scale6", "shift6", "mean6", "var6"], ["n2"]),
        node("Relu", ["n2"], ["z"]),
        node("Flatten", ["z"], ["f"]),
        node("Gemm", ["f", "wf", "bf"], ["g"]),
        node("Softmax", ["g"], ["y"]),
    ]
    return nodes, constants


@seeds(3)
def test_a_network_beside_the_runtime(seed):
    rng = np.random.default_rng(seed)
    nodes, constants = residual(rng)
    x = rng.standard_normal((2, 3, 12, 12)).astype("f4")
    net = network(nodes, {"x": x}, constants, ("y", "t"))
    prepared = door.prepare(net)
    assert_equal(prepared.run([x]), runtime(net, {"x": x}))
    assert_equal(prepared.run({"x": x}), prepared.run(x))
    assert str(prepared) == (
        "convolutions packed: 3 Conv, 1 ConvTranspose, 1 Gemm\n"
        "joined to them: 2 BatchNormalization, 1 Mul, 2 Add, 3 Relu, 1 Clip\n"
        "by NumPy: 1 MaxPool, 1 Softmax\n"
        "by ONNX's reference evaluator: 1 Flatten"
    )
    assert_equal(pickle.loads(pickle.dumps(prepared)).run(x), prepared.run(x))


@pytest.mark.parametrize("order", ["ca", "ac"])
def test_a_sum_of_two_convolutions(order):
    rng = np.random.default_rng(0)
    x, w, v = (rng.standard_normal(s).astype("f4") for s in ((1, 2, 5, 6), (4, 2, 3, 3), (4, 4)))
    node = helper.make_node
    both = {
        "c": node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        "a": node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
    }
    nodes = [
        *(both[name] for name in order),
        node("Add", ["c", "a"], ["s"]),
        node("Relu", ["s"], ["r"]),
        node("Conv", ["r", "v"], ["d"]),
        node("Neg", ["r"], ["n"]),
        node("Add", ["n", "d"], ["e"]),
        node("Mul", ["e", "two"], ["m"]),  # after a residual no product joins
        node("Relu", ["m"], ["y"]),
    ]
    constants = {"w": w, "v": v[:, :, None, None], "two": np.float32(-2)}
    net = network(nodes, {"x": x}, constants)
    prepared = door.prepare(net)
    assert_equal(prepared.run(x), runtime(net, {"x": x}))
    assert "joined to them: 2 Add, 1 Relu\n" in str(prepared)


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (3, 4, 5, 6), (6,), (2, 1, 4, 5, 6)])
@pytest.mark.parametrize("last", ["Relu", "Neg"])
def test_a_residual_of_another_shape(shape, last):
    rng = np.random.default_rng(0)
    x, w, r = (rng.standard_normal(s).astype("f4") for s in ((1, 2, 5, 6), (4, 2, 3, 3), shape))
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Add", ["r", "c"], ["s"]),
        helper.make_node(last, ["s"], ["y"]),
    ]
    net = network(nodes, {"x": x, "r": r}, {"w": w})
    prepared = door.prepare(net)
    for _ in range(2):
        assert_equal(prepared.run({"x": x, "r": r}), runtime(net, {"x": x, "r": r}))


@pytest.mark.parametrize("rows", [0, 1, 3, 70])
@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("bias", [None, (), (1,), (5,), (1, 5), (70, 1), (70, 5)])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, -2.0), (-3.0, 0.0)])
def test_fully_connected_layers(rows, turned, bias, alpha, beta):
    if bias and bias[0] == 70 != rows:
        pytest.skip("as many values as rows")
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype("f4") for s in ((rows, 4), (5, 4) if turned else (4, 5)))
    constants = {"w": w} | ({} if bias is None else {"b": rng.standard_normal(bias).astype("f4")})
    factors = {"alpha": alpha, "beta": beta}
    nodes = [
        helper.make_node("Gemm", ["x", *constants], ["g"], transB=turned, **factors),
        helper.make_node("Add", ["g", "r"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    for residual in ((rows, 5), (1, 5), (5,)):
        given = {"x": x, "r": rng.standard_normal(residual).astype("f4")}
        net = network(nodes, given, constants)
        prepared = door.prepare(net)
        assert_equal(prepared.run(given), runtime(net, given))
        assert ("by NumPy: 1 Gemm" in str(prepared)) == (bool(beta) and str(bias).startswith("(70"))


def test_any_batch_and_size_and_number_of_threads():
    rng = np.random.default_rng(0)
    nodes, constants = residual(rng)
    net = network(nodes[:14], {"x": np.zeros((1, 3, 2, 2), "f4")}, constants, ("z",))
    for dimension in net.graph.output[0].type.tensor_type.shape.dim:
        dimension.dim_param = "m"
    del net.graph.value_info[:]
    for dimension in net.graph.input[0].type.tensor_type.shape.dim:
        dimension.dim_param = "n"
    prepared = door.prepare(net, accuracy="strict", threads=2)
    for batch, size in ((1, 12), (3, 8), (1, 12), *((1, 2 * n) for n in range(2, 13))):
        x = rng.standard_normal((batch, 3, size, size)).astype("f4")
        assert_equal(prepared.run(x), runtime(net, {"x": x}))


@pytest.mark.parametrize("kept", ["c", "n", "r"])
def test_what_others_read_stays(kept):
    """An output in the middle, or a second reader of one, ends what joins."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype("f4") for s in ((1, 2, 5, 5), (4, 2, 3, 3)))
    four = rng.uniform(0.5, 2, 4).astype("f4")
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("BatchNormalization", ["c", "f", "f", "f", "f"], ["n"]),
        node("Relu", ["n"], ["r"]),
    ]
    for net in (
        network(nodes, {"x": x}, {"w": w, "f": four}, ("r", kept) if kept != "r" else ("r",)),
        network([*nodes, node("Sub", ["r", kept], ["y"])], {"x": x}, {"w": w, "f": four}),
    ):
        prepared = door.prepare(net)
        assert_equal(prepared.run(x), ReferenceEvaluator(net).run(None, {"x": x}))


def test_a_graph_within_reads_what_is_around_it():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype("f4") for s in ((1, 2, 5, 5), (4, 2, 3, 3)))
    out = helper.make_empty_tensor_value_info
    branches = [
        helper.make_graph([helper.make_node("Add", ["c", "one"], ["t"])], "then", [], [out("t")]),
        helper.make_graph([helper.make_node("Neg", ["c"], ["e"])], "else", [], [out("e")]),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMax", ["r"], ["m"], keepdims=0),
        helper.make_node("Greater", ["m", "one"], ["q"]),
        helper.make_node("If", ["q"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    net = network(nodes, {"x": x}, {"w": w, "one": np.float32(1)})
    prepared = door.prepare(net)
    for scale in (1, 1e-3):
        assert_equal(
            prepared.run(scale * x.astype("f4")),
            ReferenceEvaluator(net).run(None, {"x": scale * x}),
        )


def test_functions_of_the_model():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype("f4") for s in ((1, 2, 5, 5), (4, 2, 3, 3)))
    opset = [helper.make_opsetid("", 20)]
    block = helper.make_function(
        "own",
        "Block",
        ["a", "b"],
        ["d"],
        [helper.make_node("Conv", ["a", "b"], ["c"]), helper.make_node("Relu", ["c"], ["d"])],
        opset,
    )
    net = network([helper.make_node("Relu", ["x"], ["y"])], {"x": x}, {"w": w})
    net.graph.node[0].CopyFrom(helper.make_node("Block", ["x", "w"], ["y"], domain="own"))
    for dimension in net.graph.output[0].type.tensor_type.shape.dim:
        dimension.dim_param = "m"
    net.functions.append(block)
    net.opset_import.append(helper.make_opsetid("own", 1))
    prepared = door.prepare(net)
    assert str(prepared) == "convolutions packed: 1 Conv\njoined to them: 1 Relu"
    assert_equal(prepared.run(x), ReferenceEvaluator(net).run(None, {"x": x}))


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
@seeds(10)
def test_random_nodes_are_packed(seed, operator):
    node, (x, w, b) = random_node(seed, operator, "NOTSET")
    prepared = door.prepare(network([node], {"x": x}, {"w": w, "b": b}))
    assert f"convolutions packed: 1 {operator}" in str(prepared)
    np.testing.assert_array_equal(prepared.run(x)[0], by_runtime(node, [x, w, b]))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_types(dtype):
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-3, 4, s).astype(dtype) for s in ((1, 2, 5, 5), (4, 2, 3, 3)))
    node = helper.make_node("Conv", ["x", "w"], ["c"])
    net = network([node, helper.make_node("Relu", ["c"], ["y"])], {"x": x}, {"w": w})
    (y,) = door.prepare(net).run(x)
    assert y.dtype == dtype
    (expected,) = ReferenceEvaluator(net).run(None, {"x": x})
    np.testing.assert_array_equal(y, expected)


# ---- pools and other layers --------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@seeds(40)
def test_random_pools(seed, operator):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))

    def axes(low, high):
        return [int(n) for n in rng.integers(low, high + 1, rank)]

    kernel, strides, dilations = axes(1, 4), axes(1, 3), axes(1, 2)
    given = {"kernel_shape": kernel, "strides": strides, "dilations": dilations}
    if rng.random() < 0.3:
        given["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        given["dilations"] = [1] * rank
        given["strides"] = [min(s, k) for s, k in zip(strides, kernel, strict=True)]
    else:
        given["pads"] = [int(rng.integers(0, k)) for k in kernel * 2]
        given["ceil_mode"] = int(rng.integers(2))
    if operator == "AveragePool":
        given["count_include_pad"] = int(rng.integers(2))
        if given.get("ceil_mode"):  # where implementations differ in what they count
            given["count_include_pad"] = 0
    sizes = [d * (k - 1) + 1 + e for k, d, e in zip(kernel, dilations, axes(0, 6), strict=True)]
    x = rng.standard_normal((2, 3, *sizes)).astype("f4")
    node = helper.make_node(operator, ["x"], ["y"], **given)
    found = door.Backend.run_node(node, [x], opset_version=20)
    assert_equal(found, [by_runtime(node, [x])])


@pytest.mark.parametrize("bytes_at_a_time", [1, 600])
def test_maxima_of_some_planes_at_a_time(bytes_at_a_time, monkeypatch):
    monkeypatch.setattr("cyconv.onnx.pooling.BLOCK", bytes_at_a_time)
    x = np.random.default_rng(2).standard_normal((2, 5, 9, 8)).astype("f4")
    given = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
    node = helper.make_node("MaxPool", ["x"], ["y"], **given)
    assert_equal(door.Backend.run_node(node, [x], opset_version=20), [by_runtime(node, [x])])


@pytest.mark.parametrize("cells", [(6,), (7, 7), (2, 3, 4), (40, 30)], ids=str)
def test_mean_of_the_planes(cells):
    x = np.random.default_rng(4).standard_normal((2, 5, *cells)).astype("f4")
    node = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    assert_equal(door.Backend.run_node(node, [x], opset_version=20), [by_runtime(node, [x])])
    turned = x.swapaxes(0, 1)
    found = door.Backend.run_node(node, [turned], opset_version=20)
    assert_equal(found, [by_runtime(node, [np.ascontiguousarray(turned)])])


@pytest.mark.parametrize("size", [1, 3, 5, 9])  # odd, as the runtime wants it
@pytest.mark.parametrize("beta", [0.75, 0.5])
def test_lrn(size, beta):
    x = np.random.default_rng(0).standard_normal((2, 7, 3, 4)).astype("f4")
    node = helper.make_node("LRN", ["x"], ["y"], size=size, beta=beta, alpha=0.3, bias=1.5)
    assert_equal(door.Backend.run_node(node, [x]), [by_runtime(node, [x])])


@pytest.mark.parametrize("opset", [9, 11, 13])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1])
def test_softmax_of_each_version(opset, axis):
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype("f4")
    node = helper.make_node("Softmax", ["x"], ["y"], **({} if axis is None else {"axis": axis}))
    net = network([node], {"x": x}, {}, opset=opset)
    assert_equal(door.prepare(net).run(x), runtime(net, {"x": x}))


# ---- what is wrong -----------------------------------------------------------------------------


def test_refusals():
    x, w = np.ones((1, 1, 4, 4), "f4"), np.ones((1, 1, 3, 3), "f4")
    net = network([helper.make_node("Conv", ["x", "w"], ["y"])], {"x": x}, {"w": w})
    prepared = door.prepare(net)
    with pytest.raises(ValueError, match=r"^run: inputs must be 1 arrays, x, got 2$"):
        prepared.run([x, w])
    with pytest.raises(ValueError, match=r"^run: inputs must be named x, got w$"):
        prepared.run({"w": w})
    with pytest.raises(
        TypeError, match=r"^prepare: model must be a ModelProto or a path, got int$"
    ):
        door.prepare(3)
    with pytest.raises(ValueError, match=r"^prepare: accuracy must be"):
        door.prepare(net, accuracy="exact")
    with pytest.raises(ValueError, match=r"^prepare: device must be 'CPU', got 'CUDA'$"):
        door.Backend.prepare(net, "CUDA")
    assert not door.Backend.supports_device("CUDA:1")
    with pytest.raises(TypeError, match=r"^conv: x must have dtype float32, got float64$"):
        prepared.run(x.astype("f8"))


def test_attributes_that_contradict_the_weights():
    x, w = np.ones((1, 1, 4, 4), "f4"), np.ones((1, 1, 3, 3), "f4")
    for change, message in (
        ({"kernel_shape": [2, 2]}, r"kernel_shape must be \(3, 3\), as that of W, got \(2, 2\)"),
        ({"pads": [1, 1]}, r"pads must have 4 integers, got \(1, 1\)"),
        ({"auto_pad": "FULL"}, "auto_pad must be NOTSET or one of .*, got FULL"),
    ):
        node = helper.make_node("Conv", ["x", "w"], ["y"], **change)
        with pytest.raises(ValueError, match=f"^Conv: {message}"):
            ReferenceEvaluator(node, new_ops=door.operators).run(None, {"x": x, "w": w})


def test_nothing_of_onnx_is_imported_before_it_is_asked_for(child):
    child("import sys, cyconv\nassert not {'onnx', 'cyconv.onnx'} & sys.modules.keys()")


def test_without_onnx_it_says_what_to_install(child):
    found = child(
        "import sys\nsys.modules['onnx'] = None\n"
        "import cyconv\n"
        "try:\n    cyconv.onnx\nexcept ImportError as error:\n    print(error)"
    )
    assert found.stdout.strip() == "cyconv.onnx needs ONNX: pip install 'cyconv[onnx]'"
