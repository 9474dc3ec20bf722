"""``cyconv bench`` and ``tune``: what they measure, write, print and refuse; never how long."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

import cyconv
from cyconv import cli
from cyconv.cli import common, contest, graph, networks, reference, report
from cyconv.cli.contestants import CONTESTANTS, PEERS
from cyconv.cli.graph import Graph, Step
from cyconv.cli.layer import Layer, square
from cyconv.cli.peers import Task
from cyconv.planning import tuning

from . import oracle

TINY = {
    "dense": Layer("dense", (1, 4, 9, 9), (6, 4, 3, 3), padding=1),
    "strided": Layer("strided", (1, 4, 9, 9), (6, 4, 3, 3), 2, 1),
    "depthwise": Layer("depthwise", (2, 4, 8, 8), (4, 1, 3, 3), 1, 1, 4),
    "image": Layer("image", (1, 1, 12, 12), (1, 1, 5, 5), padding=2),
    "large": Layer("large", (1, 1, 40, 40), (1, 1, 15, 15), padding=7),
    "signal": Layer("signal", (1, 1, 50), (1, 1, 7)),
    "backward": Layer("backward", (2, 4, 9, 9), (6, 2, 3, 3), 2, 1, 2, "backward"),
    "row": Layer("row", (1, 4, 9, 11), (6, 4, 1, 7), 1, (0, 3)),
    "dilated": Layer("dilated", (1, 4, 12, 12), (6, 2, 3, 3), 2, 2, 2, dilation=2),
    "line": Layer("line", (1, 4, 40), (6, 4, 5), 2, 1),
    "video": Layer("video", (1, 4, 6, 7, 8), (6, 4, 3, 3, 2), (1, 2, 2), 1),
    "up": Layer("up", (1, 4, 7, 7), (4, 3, 3, 3), 2, 1, 2, "transposed", output_padding=1),
    "up a line": Layer("up a line", (1, 4, 7), (4, 6, 4), 2, 1, 1, "transposed"),
    "chain": graph.chain(Layer("equal", (1, 8, 9, 9), (8, 8, 3, 3), padding=1), 3),
    "network": Graph(
        "network",
        (1, 3, 13, 13),
        (
            Step(square(3, 8, 13, 3, stride=2), activation="relu"),
            Step(pool=(3, 2, 1)),
            Step(square(8, 16, 4, 1), 2),
            Step(square(8, 8, 4, 1), 2, activation="relu6"),
            Step(square(8, 8, 4, 3, groups=8), activation="relu6"),
            Step(square(8, 16, 4, 1), add=3, activation="relu"),
            Step(square(16, 16, 4, 1, padding=0), add=6),
            Step(square(16, 16, 4, 1, padding=0), add=7, activation="relu6"),
            Step(pool="mean"),
        ),
    ),
}


@pytest.fixture(autouse=True)
def _tiny_nets(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CYCONV_TUNING_FILE", str(tmp_path / "tuning.json"))
    monkeypatch.setattr(tuning, "SECONDS", 0.01)
    monkeypatch.setattr(tuning, "_remembered", {})
    planning = sys.modules["cyconv.planning.plan"]  # the function has its name
    monkeypatch.setattr(planning, "cache", planning._Cache(256))
    monkeypatch.setitem(networks.NETS, "tiny", lambda: [TINY["dense"], *[TINY["strided"]] * 3])


def run(capsys, line):
    """(exit code, stdout, stderr) of the command `line`."""
    code = cli.main(line.split())
    return code, *capsys.readouterr()


def data(layer, dtype="float32"):
    return layer.arrays(np.random.default_rng(3), dtype)


# ---- the nets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "layers", "convolutions", "gflops"),
    [
        ("alexnet", 5, 5, 1.31),
        ("vgg16", 9, 13, 30.7),
        ("resnet50", 23, 53, 8.17),
        ("mobilenet_v2", 30, 52, 0.60),
        ("efficientnet_b0", 46, 81, 0.77),  # 0.39 G multiplications
        ("convnext_tiny", 16, 58, 8.91),  # 4.5 G
        ("densenet121", 66, 120, 5.67),
        ("resnext50_32x4d", 24, 53, 8.46),  # 4.2 G
        ("inception_v3", 43, 94, 11.42),  # 5.7 G
        ("yolo", 23, 75, 65.86),  # 65.9 G operations
    ],
)
def test_the_nets_have_the_layers_of_their_papers(net, layers, convolutions, gflops):
    found = networks.layers(net)
    assert len(found) == layers
    assert len({layer.name for layer in found}) == layers
    assert sum(layer.repeats for layer in found) == convolutions
    total = sum(layer.flops * layer.repeats for layer in found)
    assert total / 1e9 == pytest.approx(gflops, rel=0.01)


@pytest.mark.parametrize("net", networks.NETS)
def test_a_layer_is_a_problem(net):
    for layer in networks.layers(net):
        problems = [cyconv.Problem(**given) for given in layer.problems]
        assert len(problems) == (2 if net == "training" else 1)
        assert layer.flops == sum(problem.flops for problem in problems)
        n, k, *spatial = layer.y
        y = (n, *spatial, k) if layer.last else layer.y
        if layer.transposed:
            assert (problems[0].y_shape, problems[0].output_shape) == (layer.x, y)
        else:
            assert all(y == problem.y_shape for problem in problems)


@pytest.mark.parametrize("net", graph.WHOLE)
def test_a_network_has_its_layers_in_a_row(net):
    whole = graph.whole(net)
    for i, step in enumerate(whole.steps):
        if step.layer:
            assert step.layer.x == whole.shapes[: i + 1][step.source]
            assert step.add is None or whole.shapes[: i + 1][step.add] == step.layer.y
    assert whole.y[2:] == ((7, 7) if net == "vgg16" else (1, 1))
    assert len(whole.layers) == sum(row.repeats for row in networks.layers(net))


def test_random_layers_are_the_same_every_time():
    once, again = networks.layers("random"), networks.layers("random")
    assert once == again
    assert len(once) == 300
    assert max(layer.flops for layer in once) <= 1.5e9
    kernels = {layer.w[-1] for layer in once}
    assert kernels >= {1, 3, 5, 7, 9, 11}
    assert {layer.dilation for layer in once} == {1, 2, 4}


@pytest.mark.parametrize("row", TINY.values(), ids=TINY)
def test_a_row_survives_json(row):
    assert networks.row(json.loads(json.dumps(asdict(row)))) == row


@pytest.mark.parametrize("layer", TINY.values(), ids=TINY)
def test_the_reference_is_the_definition(layer):
    x, w, *gradient = data(layer, "float64")
    results = reference.reference(layer, x, w, *gradient)
    if isinstance(layer, Graph):
        expected = (_by_oracle(layer, x, w),)
    elif layer.transposed:
        rank, beyond = w.ndim - 2, layer.output_padding
        up = getattr(cyconv, f"conv_transpose{rank}d")
        expected = (up(x, w, **layer.geometry, output_padding=beyond, accuracy="strict"),)
    elif layer.direction == "forward":
        expected = (oracle.conv(x, w, **layer.geometry),)
    else:
        expected = [
            cyconv.conv_grad_input(layer.x, w, *gradient, **layer.geometry, accuracy="strict"),
            cyconv.conv_grad_weight(x, layer.w, *gradient, **layer.geometry, accuracy="strict"),
        ]
    # The longest sum has 225 terms; each rounding is 1.1e-16 of at most the largest value.
    assert reference.error(results, expected) < 1e-13


def _by_oracle(net, x, flat):
    """Each step by itself; the pools of the tiny network window by window."""
    values = [x]
    for step, (w, bias) in zip(net.steps, net.parameters(flat), strict=True):
        y = values[step.source]
        if step.pool == "mean":
            values.append(y.mean((2, 3), keepdims=True))
        elif step.pool:
            wide = np.pad(y, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
            rows = [wide[:, :, i : i + 3] for i in range(0, 7, 2)]
            cells = [[row[..., j : j + 3].max((2, 3)) for j in range(0, 7, 2)] for row in rows]
            values.append(np.moveaxis(np.array(cells), (0, 1), (2, 3)))
        else:
            y = oracle.conv(y, w, bias, **step.layer.geometry)
            y = y if step.add is None else y + values[step.add]
            y = np.maximum(y, 0) if step.activation else y
            values.append(np.minimum(y, 6) if step.activation == "relu6" else y)
    return values[-1]


def test_a_chain_is_of_layers_that_keep_their_shape():
    assert graph.chain(TINY["strided"], 3) is None
    assert graph.chain(TINY["backward"], 3) is None
    assert TINY["chain"].flops == 3 * 2 * 9**2 * 8 * 8 * 9
    assert len({w.tobytes() for w, _ in TINY["chain"].parameters(data(TINY["chain"])[1])}) == 3


def test_the_error_is_relative_to_the_largest_value():
    right = np.array([2.0, -4.0])
    assert reference.error([right], [right]) == 0
    assert reference.error([right, right + 1], [right, right]) == 0.25
    assert np.isnan(reference.error([right * np.nan], [right]))
    low, high = np.array([2, 250], np.uint8), np.array([7, 250], np.uint8)
    assert reference.error([low], [high]) == 5 / 250  # bytes don't wrap


@pytest.mark.parametrize("cells", ["float16", "bfloat16"])
def test_cells_of_16_bits_are_computed_from_what_they_hold(cells):
    pytest.importorskip("ml_dtypes")
    layer = replace(TINY["dense"], cells=cells)
    x, w = data(layer)
    expected = reference.reference(layer, x, w)
    eps = {"float16": 2**-11, "bfloat16": 2**-8}[cells]
    for name, worst in ("cyconv", eps), ("cyconv one-shot", eps), ("cyconv float32", 1e-5):
        made = CONTESTANTS[name].make(Task(layer, x, w, None, 1))
        assert reference.error(made.arrays(made.call()), expected) <= worst
    assert not CONTESTANTS["torch"].takes(layer)


def test_channels_last_stands_beside_channels_last():
    layer = replace(TINY["strided"], last=True)
    x, w = data(layer)
    made = CONTESTANTS["cyconv"].make(Task(layer, x, w, None, 1))
    expected = reference.reference(layer, x, w)
    assert reference.error(made.arrays(made.call()), expected) < 1e-5
    peers = {name for name, one in CONTESTANTS.items() if one.takes(layer)}
    assert peers == {"cyconv", "torch channels_last", "torch prepacked"}


# ---- contestants -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        pytest.param(name, TINY[kind], id=f"{name}-{kind}")
        for name, contestant in CONTESTANTS.items()
        for kind in TINY
        if contestant.takes(TINY[kind])
    ],
)
def test_every_contestant_computes_what_it_takes(name, layer):
    contestant = CONTESTANTS[name]
    for module in contestant.needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    if name == "pyfftw" and "mkl_fft" in sys.modules:
        pytest.skip("MKL, once loaded, stands in for FFTW; the bench gives each its own process")
    x, w, *gradient = data(layer)
    made = contestant.make(Task(layer, x, w, *(gradient or [None]), 1))
    expected = reference.reference(layer, x, w, *gradient)
    for _ in range(2):
        # float32 sums of at most 225 terms, or spectra of 55 x 55 cells
        assert reference.error(made.arrays(made.call()), expected) < 1e-5


def test_a_contestant_that_dies_fails_once_and_starts_again():
    child = contest.Child("cyconv", 1)
    try:
        assert "failed" in child.ask(do="turn")  # nothing was prepared; it lives on
        first = child._process
        first.kill()
        assert "crashed" in child.ask(do="turn")["failed"]
        assert first.poll() is not None
        assert "crashed" not in child.ask(do="turn")["failed"]
    finally:
        child.stop()
    assert child._process is None


def test_a_contestant_that_does_not_answer_is_ended(monkeypatch):
    monkeypatch.setattr(contest, "TIMEOUT", 0.001)
    child = contest.Child("cyconv", 1)
    assert child.ask(do="turn") == {"failed": "no answer within 0.001 s"}
    assert child._process is None


def test_a_contestant_that_would_take_too_long_is_left_out():
    with contest.Contest(["cyconv"], 1, 1, "float32") as found:
        found._rates["cyconv"] = 1.0
        assert "would take" in found.measure(TINY["dense"])["cyconv"]["failed"]


def test_what_a_contestant_cannot_do_is_said_and_not_fatal(monkeypatch):
    bad = Layer("bad", (1, 4, 9, 9), (6, 4, 3, 3), groups=1)
    with contest.Contest(["cyconv"], 1, 1, "float32") as found:
        child = found._children["cyconv"]
        layer = asdict(bad) | {"groups": 3}
        answer = child.ask(do="prepare", layer=layer, threads=1, **found._data(bad))
        assert "groups" in answer["failed"]
        assert found.measure(TINY["dense"])["cyconv"]["seconds"] > 0


# ---- the report --------------------------------------------------------------------------------


def test_ratios_and_totals():
    def results(ours, **peers):
        named = {"cyconv": ours, "torch": peers.get("torch"), "onnxruntime": peers.get("ort")}
        return {k: {"seconds": v} if v else {"failed": "no"} for k, v in named.items()}

    rows = [
        report.row(TINY["dense"], results(1.0, torch=4.0, ort=5.0)),
        report.row(replace(TINY["strided"], repeats=3), results(2.0, torch=3.0, ort=2.0)),
    ]
    assert [row["best_peer"] for row in rows] == ["torch", "onnxruntime"]
    assert [row["ratio"] for row in rows] == [4.0, 1.0]
    found = report.summary(rows)
    assert found["geomean"] == pytest.approx(2.0)
    assert (found["least"], found["least_layer"]) == (1.0, "strided")
    # strided occurs three times
    assert found["total_seconds"] == {"cyconv": 7.0, "torch": 13.0, "onnxruntime": 11.0}
    assert found["total_best_peer"] == "onnxruntime"
    assert found["total_ratio"] == pytest.approx(11 / 7)


def test_a_result_that_is_not_right_is_no_best_peer():
    results = {
        "cyconv": {"seconds": 1.0, "error": 1e-6},
        "mnn": {"seconds": 0.5, "error": 1e-3},
        "ncnn": {"seconds": 2.0, "error": 5e-5},
    }
    assert report.row(TINY["dense"], results)["best_peer"] == "ncnn"
    results["cyconv"]["error"] = 2e-5  # ours is not better by much
    assert report.row(TINY["dense"], results)["best_peer"] == "mnn"


@pytest.mark.parametrize("ours", [{"failed": "no memory"}, {"seconds": 1.0}])
def test_a_row_without_peers_or_without_cyconv_has_no_ratio(ours):
    results = {"cyconv": ours} | ({"torch": {"seconds": 1.0}} if "failed" in ours else {})
    rows = [report.row(TINY["dense"], results)]
    assert rows[0]["ratio"] is None
    found = report.summary(rows)
    assert found["geomean"] is None
    assert found["total_ratio"] is None


# ---- the command -------------------------------------------------------------------------------


def test_bench_writes_json_chart_and_table(capsys):
    line = "bench tiny --against scipy --rounds 2 --threads 1 --one-shot --json out.json"
    code, out, err = run(capsys, line)
    assert code == 0
    assert err.splitlines() == ["1/2 dense", "2/2 strided"]
    with open("out.json", encoding="utf-8") as file:
        told = json.load(file, parse_constant=pytest.fail)
    expected = {
        "net",
        "dtype",
        "device",
        "rounds",
        "clock",
        "machine",
        "versions",
        "rows",
        "summary",
    }
    assert set(told) == expected
    assert set(told["machine"]) == {"cpu", "cpus", "isa", "platform", "python", "threads"}
    assert told["versions"]["cyconv"] == cyconv.__version__
    assert [row["layer"] for row in told["rows"]] == ["dense", "strided"]
    for row in told["rows"]:
        assert list(row["results"]) == ["cyconv", "cyconv one-shot"]
        for result in row["results"].values():
            assert result["seconds"] > 0
            assert result["gflops"] == pytest.approx(row["flops"] / result["seconds"] / 1e9)
            assert result["error"] < 1e-5
            assert result["algorithm"] in cyconv.planning.registry.names()
            assert result["rounds"] == 2
    for text in ("dense", "strided", "GFLOP/s", "ratio", "one-shot ms"):
        assert text in out
    assert sorted(os.listdir()) == ["out.json"]


def test_bench_beside_peers_draws_a_chart(capsys):
    pytest.importorskip("matplotlib")
    line = "bench signals --layers @48000_k16 --against scipy --rounds 1 --threads 1"
    words = [word.replace("_", " ") for word in line.split()]
    assert cli.main([*words, "--chart", "ratios.png", "--json", "-"]) == 0
    out, _ = capsys.readouterr()
    told = json.loads(out)
    assert told["summary"]["geomean"] > 0
    assert {row["best_peer"].split()[0] for row in told["rows"]} <= {"scipy", "numpy"}
    assert [row["layer"] for row in told["rows"]] == ["signal @48000 k16", "signal @48000 k16384"]
    with open("ratios.png", "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    assert os.listdir() == ["ratios.png"]


def test_bench_without_peers(capsys):
    code, out, err = run(capsys, "bench tiny --layers dense --against none --rounds 1 --dtype f64")
    assert code == 0
    assert "float64" in out
    assert "strided" not in out + err
    assert "geomean" not in out


def test_peers_that_are_not_installed_are_named_and_left_out(capsys, monkeypatch):
    modules = {"torch": "torch", "onnxruntime": "onnxruntime", "opencv": "cv2", "ncnn": "ncnn"}
    modules |= {"openvino": "openvino", "mnn": "MNN"}
    for module in modules.values():
        monkeypatch.setitem(sys.modules, module, None)
    code, out, err = run(capsys, "bench tiny --rounds 1 --threads 1 --layers dense")
    assert code == 0
    for peer, module in modules.items():
        needs = "" if peer == module else f" ({module})"
        assert f"cyconv bench: {peer}{needs} is not installed, left out\n" in err
        assert peer not in out
    assert "scipy" not in err  # it would not take these layers


@pytest.mark.parametrize("run_of", ["--chain 2 --layers equal", "--whole"])
def test_bench_of_several_layers_at_once(capsys, monkeypatch, run_of):
    pytest.importorskip("onnx")
    monkeypatch.setitem(networks.NETS, "tiny", lambda: [TINY["dense"], _EQUAL])
    monkeypatch.setitem(graph.WHOLE, "tiny", lambda: TINY["chain"].steps)
    monkeypatch.setattr("cyconv.cli.bench.whole", lambda net: replace(TINY["network"], name=net))
    line = f"bench tiny {run_of} --against none --rounds 1 --threads 1 --cpu-time --json out.json"
    code, out, _ = run(capsys, line)
    assert code == 0
    with open("out.json", encoding="utf-8") as file:
        (row,) = json.load(file)["rows"]
    assert row["layer"] == ("tiny" if run_of == "--whole" else "2 x equal")
    assert row["layer"] in out
    assert row["results"]["cyconv"]["error"] < 1e-5


_EQUAL = Layer("equal", (1, 8, 9, 9), (8, 8, 3, 3), padding=1)


BAD = [
    ("bench", "the following arguments are required: NET"),
    ("bench lenet", "invalid choice: 'lenet' (choose from"),
    ("bench tiny --against torch,cudnn", f"'cudnn': any of {', '.join(PEERS)} with commas"),
    ("bench tiny --layers nix", "--layers: 'nix' is in none of dense; strided"),
    ("bench tiny --rounds 0", "--rounds: must be an integer >= 1"),
    ("bench tiny --threads many", "--threads: must be an integer >= 1"),
    ("bench tiny --dtype int8", "--dtype: must be one of f32, f64, float32, float64, got 'int8'"),
    ("bench tiny --json none/out.json", "cannot write none/out.json: no folder"),
    ("bench tiny --json .", "cannot write .: it exists and is not a file"),
    ("bench tiny --chart none/out.png", "cannot write none/out.png: no folder"),
    ("bench tiny --chart out.xyz", "cannot write out.xyz: charts of type .xyz; try .png"),
    ("bench tiny --cpu-time --threads 2", "--cpu-time: only with --threads 1"),
    ("bench tiny --chain 0", "--chain: must be an integer >= 1"),
    ("bench tiny --chain 2", "--chain: no layer of tiny keeps its input's shape"),
    ("bench tiny --chain 2 --one-shot", "--chain N: not with --one-shot"),
    ("bench vgg16 --whole --device opencl", "--whole: not with --device"),
    ("bench vgg16 --whole --layers @7", "--whole: for vgg16, resnet50, mobilenet_v2, without"),
    ("bench alexnet --whole", "--whole: for vgg16, resnet50, mobilenet_v2, without --layers, got"),
    ("bench vgg16 --whole --chain 2", "--chain: not allowed with argument --whole"),
    ("tune lenet", "invalid choice: 'lenet' (choose from"),
    ("tune", "the following arguments are required: NET, or --model FILE"),
    ("tune tiny --model here.json", "NET: not allowed with --model"),
    ("tune --model here.json --threads 1", "--threads: not allowed with --model"),
    ("tune --model here.json --device opencl", "--device: not allowed with --model"),
    ("tune --model here.json --again", "--again: not allowed with --model"),
    ("tune --model here.json --problems 1", "--problems: must be at least 2"),
    ("tune --model none/here.json", "cannot write none/here.json: no folder"),
    ("tune --model .", "cannot write .: it exists and is not a file"),
    ("tune tiny --problems 9", "--problems: only with --model"),
    ("tune tiny --layers nix", "--layers: 'nix' is in none of dense; strided"),
    ("tune tiny --file .", "cannot use the tuning file"),
    ("tune tiny --file foreign.json", "foreign.json: it is not a tuning file of cyconv"),
]


@pytest.mark.parametrize(("line", "says"), BAD)
def test_bad_input_ends_in_one_line(capsys, tmp_path, line, says):
    (tmp_path / "foreign.json").write_text("{}")
    code, out, err = run(capsys, line)
    assert (code, out) == (2, "")
    assert err.startswith(f"cyconv {line.split()[0]}: ")
    assert says in err
    assert err.count("\n") == 1
    assert os.listdir() == ["foreign.json"]


def test_a_chart_without_matplotlib_is_refused_before_any_work(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = run(capsys, "bench tiny --chart out.png")
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install 'cyconv[cli]'" in err


def test_a_failed_write_leaves_what_was_there(tmp_path):
    (tmp_path / "out").write_text("before")

    def fail():
        with common.whole_file("out") as file:
            open(file, "w").close()
            raise OSError(28, "No space left on device")

    with pytest.raises(common.CommandError, match="cannot write out: No space left"):
        fail()
    assert (tmp_path / "out").read_text() == "before"
    assert os.listdir() == ["out"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
@pytest.mark.parametrize(
    "line",
    [
        "bench vgg16 --against none --rounds 9999 --threads 1",
        "tune vgg16 --threads 1",
        "tune --model here.json --problems 8",
    ],
)
def test_an_interrupt_ends_it_with_130_and_leaves_no_process_or_folder(tmp_path, line):
    (tmp_path / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "cyconv", *line.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
    ) as process:
        step = "2/9" if line.startswith("tune") else "1/9"
        for text in process.stderr:
            if text.startswith(step):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    # Python ends itself by the signal, which a shell shows as 130 too, if it hit an exec().
    assert process.returncode in (130, -signal.SIGINT)
    assert out == ""
    assert err.endswith("interrupted\n")
    assert not list((tmp_path / "tmp").iterdir())
    assert not (tmp_path / "here.json").exists()
    if line.startswith("tune vgg16"):
        assert len(tuning.read(str(tmp_path / "tuning.json"))) >= 1


# ---- tune --------------------------------------------------------------------------------------


def test_tune_fills_the_file_that_plans_read(capsys, tmp_path):
    code, out, err = run(capsys, "tune tiny --threads 1 --file mine.json")
    assert code == 0
    assert err.splitlines() == ["1/2 dense", "2/2 strided"]
    for text in ("dense", "strided", "estimated", "measured now", str(tmp_path / "mine.json")):
        assert text in out
    assert len(tuning.read("mine.json")) == 2
    assert os.environ["CYCONV_TUNING_FILE"] == str(tmp_path / "tuning.json")
    assert os.listdir() == ["mine.json"]


def test_tune_takes_what_is_there_unless_told_to_measure_again(capsys, monkeypatch):
    line = "tune tiny --layers dense --threads 1 --json"
    told = [json.loads(run(capsys, line)[1])]
    planning = sys.modules["cyconv.planning.plan"]
    for more in ("", " --again"):
        monkeypatch.setattr(tuning, "_remembered", {})
        monkeypatch.setattr(planning, "cache", planning._Cache(256))
        told.append(json.loads(run(capsys, line + more)[1]))
    rows = [report["layers"][0] for report in told]
    assert [row["source"] for row in rows] == ["measured now", "tuning file", "measured now"]
    assert rows[0]["measured"] == rows[1]["measured"]
    assert rows[0]["seconds"] == rows[1]["seconds"] > 0
    assert rows[0]["ratio"] >= 1


def test_tune_measures_both_gradients(capsys):
    words = ["tune", "training", "--threads", "1", "--json", "--layers"]
    assert cli.main([*words, "960->960 @7"]) == 0
    told = json.loads(capsys.readouterr().out)
    names = [row["layer"].rpartition(" ")[2] for row in told["layers"]]
    assert names == ["grad_input", "grad_weight"]
