"""The constants of the cost model: the record, its file, and fitting it to a machine."""

import json
from dataclasses import asdict

import numpy as np
import pytest

import cyconv
from cyconv import cli
from cyconv.cli import fitting, samples
from cyconv.cli.numbers import numbers
from cyconv.planning import cost, model
from cyconv.planning.constants import CHOSEN, FITTED, SOLVED, described

PREDICT = """
import cyconv
print(cyconv.plan(cyconv.Problem((1, 16, 9, 9), (8, 16, 3, 3)), "direct", threads=1).seconds)
"""


@pytest.fixture
def file(tmp_path):
    """The built-in record in a file of its own."""
    path = tmp_path / "here.json"
    path.write_text(model.text(model.read(model.BUILT_IN)))
    return path


def changed(file, change):
    """The same file after `change` of its content."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return file


# ---- the record ---------------------------------------------------------------------------------


def test_every_constant_has_a_unit_a_meaning_and_an_origin():
    for group, name, told in described():
        assert told["unit"], (group, name)
        assert told["means"][0].isupper(), (group, name)
        assert told["means"].endswith("."), (group, name)
        assert told["origin"] in (FITTED, SOLVED, CHOSEN), (group, name)
        assert not name.endswith("_seconds") or told["unit"] == "seconds", (group, name)
        assert ("_share" not in name) or told["unit"].startswith("share of "), (group, name)
        assert len(set(told["parts"])) == len(told["parts"]) != 1, (group, name)


def test_no_two_constants_mean_the_same():
    meanings = [told["means"] for _, _, told in described()]
    assert len(set(meanings)) == len(meanings)


def test_every_instruction_set_has_a_peak():
    assert set(cyconv.kernels.available()) <= set(cost.arithmetic.peak)


def test_a_number_can_be_changed_in_place():
    with fitting.record_kept():
        for number in numbers(cost.constants):
            number.value *= 2
        doubled = {(number.name, number.part): number.value for number in numbers(cost.constants)}
    for number in numbers(cost.constants):
        assert doubled[number.name, number.part] == 2 * number.value


# ---- the file -----------------------------------------------------------------------------------


def test_the_record_comes_back_from_its_file(file):
    constants = model.read(str(file))
    for i, number in enumerate(numbers(constants)):
        number.value *= 1 + i / 7
    file.write_text(model.text(constants))
    assert asdict(model.read(str(file))) == asdict(constants)


def test_the_built_in_file_is_as_it_would_be_written():
    with open(model.BUILT_IN, encoding="utf-8") as opened:
        assert opened.read() == model.text(model.read(model.BUILT_IN))


def test_the_environment_names_the_record(child, file):
    changed(file, lambda content: content["calls"].update(call_seconds=1.0))
    assert float(child(PREDICT, CYCONV_MODEL="").stdout) < 0.1
    assert 1 < float(child(PREDICT, CYCONV_MODEL=str(file)).stdout) < 1.1


BROKEN = {
    "missing": (None, "No such file or directory"),
    "empty": (b"", "it is not JSON"),
    "bytes": (bytes(range(256)), "it is not JSON"),
    "deep": (b"[" * 100_000, "it is not JSON"),
    "list": (b"[1]", "it is not a model file of cyconv"),
    "foreign": (b'{"format": "cyconv tuning"}', "it is not a model file of cyconv"),
    "newer": (b'{"format": "cyconv model", "schema": 2}', "its schema is not 1"),
    "bare": (b'{"format": "cyconv model", "schema": 1}', "its measured_on lacks"),
}


@pytest.mark.parametrize(("content", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_ignored_with_one_warning(monkeypatch, tmp_path, content, says):
    path = tmp_path / "here.json"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("CYCONV_MODEL", str(path))
    with pytest.warns(RuntimeWarning) as caught:
        constants, used = model.load()
    (warning,) = caught
    assert f"cyconv ignores the model file {path}: {says}" in str(warning.message)
    assert used is None
    assert asdict(constants) == asdict(model.read(model.BUILT_IN))


CHANGES = {
    "no group": lambda content: content.pop("memory"),
    "no constant": lambda content: content["memory"].pop("bandwidth"),
    "another constant": lambda content: content["memory"].update(more=1.0),
    "text": lambda content: content["memory"].update(bandwidth="fast"),
    "true": lambda content: content["memory"].update(bandwidth=True),
    "zero": lambda content: content["memory"].update(bandwidth=0),
    "infinite": lambda content: content["memory"].update(bandwidth=float("inf")),
    "a list": lambda content: content["memory"].update(bandwidth=[1.0]),
    "few": lambda content: content["arithmetic"]["tile_shares"].pop(),
    "no list": lambda content: content["arithmetic"].update(tile_shares=0.5),
    "no peak": lambda content: content["arithmetic"]["peak"].pop("avx2"),
    "a number": lambda content: content["measured_on"].update(date=2026),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_record_that_is_not_whole_is_refused(file, change):
    with pytest.raises(model.ModelFileError, match=r"^its (memory|arithmetic|measured_on)\b"):
        model.read(str(changed(file, change)))


# ---- the fit ------------------------------------------------------------------------------------


@pytest.fixture
def _tiny(monkeypatch):
    """Small problems, each measured once."""
    tiny = [
        cyconv.Problem((1, 3, 8, 8), (4, 3, 3, 3)),
        cyconv.Problem((1, 4, 9, 9), (4, 1, 3, 3), groups=4),
        cyconv.Problem((1, 1, 200), (1, 1, 20)),
        cyconv.Problem((1, 8, 7, 7), (8, 8, 1, 1), "float64"),
    ]
    monkeypatch.setattr(samples, "random_problems", lambda rng: iter(tiny))
    monkeypatch.setattr(samples, "ROUNDS", 1)
    monkeypatch.setattr(samples, "TURN", 0)


@pytest.mark.usefixtures("_tiny")
def test_tune_writes_a_record_that_loads(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = asdict(cost.constants)
    assert cli.main(["tune", "--model", "here.json", "--problems", "4", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "4/5 (1, 8, 7, 7) * (8, 8, 1, 1) float64" in err
    assert asdict(cost.constants) == before, "the record in use is what it was"
    monkeypatch.setenv("CYCONV_MODEL", "here.json")
    constants, used = model.load()
    assert used == str(tmp_path / "here.json")
    assert constants.measured_on.command == "cyconv tune --model here.json --problems 4"
    assert cyconv.kernels.isa() in constants.measured_on.processor
    told = json.loads(out)
    assert told["measured_on"] == vars(constants.measured_on)
    assert [n["value"] for n in told["numbers"]] == [n.value for n in numbers(constants)]
    for number, first in zip(numbers(constants), numbers(cost.constants), strict=True):
        assert number.origin != CHOSEN or number.value == first.value


@pytest.mark.usefixtures("_tiny")
def test_tune_prints_every_constant_with_what_it_means(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["tune", "--model", "here.json", "--problems", "2"]) == 0
    out, _ = capsys.readouterr()
    for group, name, told in described():
        assert f"{group}.{name}, {told['unit']}\n    {told['means']}\n" in out
    assert "model file: here.json" in out


def test_a_fit_finds_what_the_times_follow():
    """Times that are those of a machine with half the bandwidth: a fit comes near them."""
    rng = np.random.default_rng(4)
    problems = [cyconv.Problem((1, c, 40, 40), (c, 1, 3, 3), groups=c) for c in (64, 128, 256)]
    with fitting.record_kept():
        cost.memory.bandwidth /= 2
        results = []
        for problem in problems:
            plans = {n: cyconv.plan(problem, n, threads=1) for n in ("direct", "im2col")}
            predictors = {name: samples.predictor(plan) for name, plan in plans.items()}
            times = {name: (p() * rng.uniform(0.99, 1.01), p) for name, p in predictors.items()}
            results.append((problem, times))
        cost.memory.bandwidth *= 2
        before = fitting.score(results)[0]
        fitting.fit(results)
        assert fitting.score(results)[0] < before / 10


def test_random_problems_are_those_of_their_seed():
    first, again = (samples.random_problems(np.random.default_rng(3)) for _ in range(2))
    assert [next(first) for _ in range(20)] == [next(again) for _ in range(20)]
