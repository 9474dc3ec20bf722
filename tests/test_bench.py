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
from cyconv.cli import common, contest, networks, reference, report
from cyconv.cli.contestants import CONTESTANTS, PEERS
from cyconv.cli.networks import Layer
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
        assert all(y == problem.y_shape for problem in problems)


@pytest.mark.parametrize("layer", TINY.values(), ids=TINY)
def test_the_reference_is_the_definition(layer):
    x, w, *gradient = data(layer, "float64")
    results = reference.reference(layer, x, w, *gradient)
    if layer.direction == "forward":
        geometry = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
        expected = (oracle.conv(x, w, **geometry),)
    else:
        expected = [
            cyconv.conv_grad_input(layer.x, w, *gradient, **layer.geometry, accuracy="strict"),
            cyconv.conv_grad_weight(x, layer.w, *gradient, **layer.geometry, accuracy="strict"),
        ]
    # The longest sum has 225 terms; each rounding is 1.1e-16 of at most the largest value.
    assert reference.error(results, expected) < 1e-13


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


@pytest.mark.parametrize("layer", TINY.values(), ids=TINY)
@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_contestant_computes_what_it_takes(name, layer):
    contestant = CONTESTANTS[name]
    if not contestant.takes(layer):
        pytest.skip("not its kind of layer")
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
    expected = {"net", "dtype", "device", "rounds", "machine", "versions", "rows", "summary"}
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
    for module in ("torch", "onnxruntime", "cv2"):
        monkeypatch.setitem(sys.modules, module, None)
    code, out, err = run(capsys, "bench tiny --rounds 1 --threads 1 --layers dense")
    assert code == 0
    assert "cyconv bench: torch is not installed, left out\n" in err
    assert "cyconv bench: onnxruntime is not installed, left out\n" in err
    assert "opencv" not in err  # it would not take these layers
    assert "torch" not in out


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
