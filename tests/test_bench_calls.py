"""``cyconv bench filters`` and ``faces``: what the calls are, compute, and report."""

import json
from dataclasses import asdict

import numpy as np
import pytest

import cyconv
from cyconv import cli
from cyconv.cli import calls, networks, reference, report
from cyconv.cli.calls import Call
from cyconv.cli.contestants import CONTESTANTS
from cyconv.cli.layer import Layer
from cyconv.cli.peers import Task

FILTERS = [
    Call("filters", function, shape, dtype, kernel, size, options=options)
    for function, kernel, size in (
        ("apply", "weights", 5),
        ("apply", "gaussian", 1.0),
        ("apply", "box", 3),
        ("apply", "sobel_x", None),
        ("apply", "laplacian", None),
        ("gradient", None, None),
        ("gradient_magnitude", None, None),
    )
    for shape in ((13, 17), (13, 17, 3))
    for dtype, options in (
        ("float32", ()),
        ("float64", ()),
        ("uint8", ()),
        ("uint8", (("out_dtype", "uint8"),)),
    )
]
FACES = [
    Call("ndimage", function, shape, dtype, kernel, size)
    for shape in ((12, 13), (9, 10, 11))
    for dtype in calls.SHORT
    for function, kernel, size, _ in calls._faces_of(len(shape))
]
LAYER = Layer("image", (1, 1, 12, 12), (1, 1, 5, 5), padding=2)
SEED = 3


@pytest.fixture(autouse=True)
def _few(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cyconv, "set_num_threads", lambda n: None)  # as it is, after the test
    monkeypatch.setitem(calls.CALLS, "few", lambda: [FILTERS[0], FILTERS[3], FACES[0]])


def run(capsys, line):
    """(exit code, stdout, stderr) of the command `line`."""
    code = cli.main(line.split())
    return code, *capsys.readouterr()


# ---- the nets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("net", ["filters", "faces"])
def test_every_row_has_a_name_and_survives_json(net):
    rows = networks.layers(net)
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert networks.row(json.loads(json.dumps(asdict(row)))) == row


def test_a_layer_survives_json_too():
    assert networks.row(json.loads(json.dumps(asdict(LAYER)))) == LAYER


@pytest.mark.parametrize("dtype", calls.SHORT)
@pytest.mark.parametrize("size", [16, 256])
def test_the_faces_are_every_function_in_every_type(size, dtype):
    rows = [row for row in networks.layers("faces") if row.x == (size, size)]
    found = {row.function for row in rows if row.dtype == dtype}
    assert found == set(cyconv.ndimage.__all__)


@pytest.mark.parametrize("net", ["filters", "faces"])
def test_the_taps_of_a_row_are_those_of_its_weights(net):
    for row in networks.layers(net):
        if row.x[0] > 256:
            continue
        _, *weights = row.arrays(np.random.default_rng(SEED))
        for w in weights:
            assert row.taps == w.size, row.name


def test_a_name_is_what_is_typed():
    assert FILTERS[3].name == "filters.apply(x, weights 5, out_dtype=uint8) u8 @13x17"
    rgb = Call("filters", "gradient", (64, 64, 3), "float32")
    assert rgb.name == "filters.gradient(x) f32 @64 RGB"
    cube = Call("ndimage", "uniform_filter", (9, 9, 9), "uint16", None, 5)
    assert cube.name == "ndimage.uniform_filter(x, 5) u16 @9x9x9"


# ---- contestants -------------------------------------------------------------------------------


def most_off(name, call):
    """By how much an integer of a result may be another than the reference's."""
    if call.door == "ndimage":
        return 0
    # Near the middle of two integers a sum in float32 is rounded to either. OpenCV's blur of bytes
    # has weights of 8 bits and rounds after each pass.
    return 2 if (name, call.kernel) == ("opencv", "gaussian") else 1


@pytest.mark.parametrize(
    ("name", "call"),
    [
        pytest.param(name, call, id=f"{name}-{call.name}")
        for name in ("cyconv", "opencv", "scipy")
        for call in FILTERS + FACES
        if CONTESTANTS[name].takes(call)
    ],
)
def test_every_contestant_computes_what_it_takes(name, call):
    contestant = CONTESTANTS[name]
    for module in contestant.needs:
        pytest.importorskip(module)
    operands = call.arrays(np.random.default_rng(SEED))
    x, w = [*operands, None][:2]
    made = contestant.make(Task(call, x, w, None, 1))
    expected = reference.reference(call, *operands)
    results = made.arrays(made.call())
    for y, right in zip(results, expected, strict=True):
        assert y.shape == right.shape
        assert y.dtype == (call.result_dtype if call.door == "filters" else call.dtype)
        if y.dtype.kind == "u":
            assert np.max(np.abs(y - right.astype(int))) <= most_off(name, call)
        else:
            # At most 7 passes of 17 taps, each sum rounded as often as it has terms.
            assert reference.error([y], [right]) < 7 * 17 * np.finfo(y.dtype).eps


def test_layers_and_calls_have_contestants_of_their_own():
    def takers(row):
        return {name for name, contestant in CONTESTANTS.items() if contestant.takes(row)}

    assert takers(FILTERS[0]) == {"cyconv", "opencv"}
    assert takers(FACES[0]) == {"cyconv", "scipy"}
    assert {"cyconv", "cyconv one-shot", "torch", "opencv filter2D"} <= takers(LAYER)
    assert not takers(LAYER) & {"opencv", "scipy"}


# ---- the command -------------------------------------------------------------------------------


def test_bench_of_calls(capsys):
    pytest.importorskip("cv2")
    code, out, err = run(capsys, "bench few --rounds 2 --threads 1 --json out.json")
    assert code == 0
    with open("out.json", encoding="utf-8") as file:
        told = json.load(file, parse_constant=pytest.fail)
    assert [row["layer"] for row in told["rows"]] == [
        "filters.apply(x, weights 5) f32 @13x17",
        "filters.apply(x, weights 5, out_dtype=uint8) u8 @13x17",
        "ndimage.correlate(x, weights 3) f32 @12x13",
    ]
    assert len(err.splitlines()) == 3
    for row, peer in zip(told["rows"], ("opencv", "opencv", "scipy"), strict=True):
        assert list(row["results"]) == ["cyconv", peer]
        assert row["best_peer"] == peer
        seconds = [result["seconds"] for result in row["results"].values()]
        assert row["ratio"] == pytest.approx(seconds[1] / seconds[0])
        assert row["results"]["cyconv"]["error"] < 0.01  # a byte may be rounded to its neighbour
    for text in ("few, several types, 1 thread(s)", "calls: geomean", "opencv"):
        assert text in out
    assert "packed" not in out
    assert str(report.Report.read("out.json")) == out.rstrip("\n")


def test_bench_of_calls_beside_one_peer(capsys):
    code, out, _ = run(capsys, "bench few --rounds 1 --against scipy --layers @12x13")
    assert code == 0
    assert "ndimage.correlate" in out
    assert "filters" not in out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("bench few --dtype f64", "--dtype: not for few: its calls have types of their own"),
        ("bench few --one-shot", "--one-shot: not for few: its calls"),
        ("bench few --device opencl", "--device: not for few: its calls"),
        ("bench few --layers nix", "--layers: 'nix' is in none of filters.apply(x, weights 5)"),
        ("tune few", "invalid choice: 'few' (choose from"),
    ],
)
def test_bad_input_ends_in_one_line(capsys, line, says):
    code, out, err = run(capsys, line)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
