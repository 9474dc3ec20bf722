"""``cyconv run``: what it computes, writes and says, and how it refuses."""

import json
import os
import re

import numpy as np
import pytest

from cyconv.cli import main

onnx = pytest.importorskip("onnx")
from onnx import helper
from onnx.reference import ReferenceEvaluator

from .test_onnx_backend import network

X = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype("f4")
W = np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype("f4")


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])]
    onnx.save(network(nodes, {"x": X}, {"w": W}), "net.onnx")
    onnx.save(network(nodes, {"x": X}, {"w": W}, ("y", "c")), "two.onnx")
    np.save("x.npy", X)


@pytest.fixture
def command(capsys):
    def run(line):
        code = main(["run", *line.split()])
        return code, *capsys.readouterr()

    return run


def expected():
    return ReferenceEvaluator("net.onnx").run(None, {"x": X})[0]


def test_it_writes_what_the_model_gives_and_says_what_was_done(command):
    code, out, err = command("net.onnx x.npy -o y.npy --threads 1 --repeat 3")
    assert (code, err) == (0, "")
    np.testing.assert_allclose(np.load("y.npy"), expected(), rtol=1e-4, atol=1e-4)
    lines = out.splitlines()
    assert lines[0] == "convolutions packed: 1 Conv"
    assert lines[1] == "joined to them: 1 Relu"
    assert lines[2].startswith("y: float32 (2, 4, 4, 4), 0 to ")
    assert re.fullmatch(
        r"ran in [\d.]+ ms with packing, then [\d.]+ ms, median of 3; wrote y\.npy", lines[3]
    )


def test_many_outputs_go_into_one_file(command):
    assert command("two.onnx x.npy -o y.npz")[0] == 0
    with np.load("y.npz") as found:
        assert set(found) == {"y", "c"}
        np.testing.assert_allclose(found["y"], expected(), rtol=1e-4, atol=1e-4)


def test_json(command):
    code, out, _ = command("net.onnx x.npy --json --repeat 1")
    found = json.loads(out)
    assert code == 0
    assert found["outputs"] == [{"name": "y", "dtype": "float32", "shape": [2, 4, 4, 4]}]
    assert found["milliseconds"].keys() == {"first", "median"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("no.onnx x.npy", "cannot read no.onnx: No such file or directory"),
        ("x.npy x.npy", "x.npy is no model that can be run: "),
        ("net.onnx no.npy", "cannot read no.npy: No such file or directory"),
        ("net.onnx net.onnx", "cannot read net.onnx: "),
        ("net.onnx", "inputs must be 1 arrays, x, got 0"),
        ("net.onnx x.npy x.npy", "inputs must be 1 arrays, x, got 2"),
        ("net.onnx x.npy -o y.png", "--output must end in .npy for 1 output, got y.png"),
        ("two.onnx x.npy -o y.npy", "--output must end in .npz for 2 outputs, got y.npy"),
        ("net.onnx x.npy -o no/y.npy", "cannot write no/y.npy: no folder "),
        ("net.onnx x.npy --accuracy good", "--accuracy: must be strict, balanced, fast or a"),
        ("net.onnx double.npy", "x must have dtype float32, got float64"),
        ("net.onnx small.npy", "extent"),
    ],
)
def test_bad_input_ends_in_one_line_and_writes_nothing(command, line, says):
    np.save("double.npy", X.astype("f8"))
    np.save("small.npy", X[..., :1])
    before = sorted(os.listdir())
    code, out, err = command(line)
    assert (code, out) == (2, "")
    assert err.startswith("cyconv run: ")
    assert says in err
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_without_onnx_it_says_what_to_install(child):
    found = child(
        "import sys\nsys.modules['onnx'] = None\n"
        "from cyconv.cli import main\nsys.exit(main(['run', 'net.onnx', 'x.npy']))",
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr == "cyconv run: cyconv.onnx needs ONNX: pip install 'cyconv[onnx]'\n"
