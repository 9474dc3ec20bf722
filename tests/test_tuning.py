"""``effort="measure"``: the choice by measurement, and the file that remembers it."""

import json
import os
import sys
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest

import cyconv
from cyconv.planning import tuning
from cyconv.runtime import machine

PROBLEM = cyconv.Problem((2, 6, 12, 13), (5, 6, 3, 3), padding=1)
QUESTION = {
    "threads": 1,
    "accuracy": "balanced",
    "workspace_limit": 2**28,
    "isa": cyconv.kernels.isa(),
}


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """A tuning file that does not exist yet, in a process that has measured nothing."""
    path = tmp_path / "folder" / "tuning.json"
    monkeypatch.setenv("CYCONV_TUNING_FILE", str(path))
    monkeypatch.setattr(tuning, "SECONDS", 0.01)
    _forget(monkeypatch)
    return path


def _forget(monkeypatch):
    """As if in a new process: nothing planned, remembered or warned of."""
    monkeypatch.setattr(tuning, "_remembered", {})
    monkeypatch.setattr(tuning, "_warned", set())
    planning = sys.modules["cyconv.planning.plan"]  # the function has its name
    monkeypatch.setattr(planning, "cache", planning._Cache(256))


def arrays(problem=PROBLEM):
    rng = np.random.default_rng(7)
    x, w = (rng.integers(-9, 10, shape) for shape in (problem.x_shape, problem.w_shape))
    return x.astype(problem.dtype), w.astype(problem.dtype)


def measured(**options):
    return cyconv.plan(PROBLEM, effort="measure", threads=1, **options)


# ---- the choice --------------------------------------------------------------------------------


def test_what_is_chosen_is_the_fastest_measured(file):
    plan = measured()
    told = plan.explain().to_dict()
    seconds = {c["name"]: c["measured_seconds"] for c in told["candidates"]}
    timed = {name: s for name, s in seconds.items() if s is not None}
    assert len(timed) > 1
    assert min(timed.values()) > 0
    assert plan.algorithm == min(timed, key=timed.get)
    assert told["source"] == "measured now"
    assert plan.effort == "measure"
    assert file.is_file()


def test_a_measured_plan_gives_the_right_result():
    x, w = arrays()
    expected = cyconv.conv2d(x, w, padding=1, algorithm="direct")
    np.testing.assert_allclose(measured()(x, w), expected, rtol=0, atol=0.01)


def test_the_next_process_takes_it_from_the_file(monkeypatch):
    first = measured()
    _forget(monkeypatch)
    monkeypatch.setattr(tuning, "measure", None)
    second = measured()
    assert second is not first
    assert second.algorithm == first.algorithm
    assert second.explain().source == "tuning file"
    assert "(tuning file)" in str(second.explain())


def test_the_file_decides_against_the_estimate(file):
    estimate = cyconv.plan(PROBLEM, threads=1)
    other = estimate.explain().over[-1]
    one = replace(PROBLEM, x_shape=(1, *PROBLEM.x_shape[1:]))
    tuning.write(str(file), {tuning.question(one, **QUESTION): {other: 1e-6}})
    plan = measured()
    assert plan.algorithm == other
    assert plan.explain().over[0] == estimate.algorithm
    x, w = arrays()
    np.testing.assert_allclose(plan(x, w), cyconv.conv2d(x, w, padding=1), atol=1e-2)


def test_the_estimate_and_the_functions_read_no_file(file, monkeypatch):
    monkeypatch.setattr(tuning, "seconds", None)
    file.parent.mkdir()
    file.write_text("nonsense")
    before = cyconv.plan(PROBLEM)
    assert before.explain().source == "estimate"
    assert all(c.measured_seconds is None for c in before.explain().candidates)
    cyconv.conv2d(*arrays(), padding=1)
    assert file.read_text() == "nonsense"


def test_a_named_algorithm_is_not_measured(file):
    plan = measured(algorithm="direct")
    assert plan.algorithm == "direct"
    assert plan.explain().source == "named by caller"
    assert "chosen: direct (named by caller)" in str(plan.explain())
    assert not file.exists()


def test_only_what_keeps_accuracy_and_limit_is_measured():
    told = measured(accuracy="strict", workspace_limit=2**16).explain().to_dict()
    for candidate in told["candidates"]:
        if candidate["measured_seconds"] is not None:
            assert candidate["error"] <= 1.5
            assert candidate["workspace_bytes"] <= 2**16


@pytest.mark.parametrize(
    "problem",
    [
        replace(PROBLEM, direction="grad_input", stride=2),
        replace(PROBLEM, direction="grad_weight"),
        replace(PROBLEM, dtype="complex64", out_dtype="complex64"),
        replace(PROBLEM, dtype="float16", out_dtype="float16"),
        cyconv.Problem((2, 3, 40), (3, 3, 5), "int32"),
        cyconv.Problem((0, 3, 8, 8), (4, 3, 3, 3)),
    ],
    ids=["grad_input", "grad_weight", "complex", "half", "integers", "no_images"],
)
def test_every_kind_of_problem_can_be_measured(problem):
    plan = cyconv.plan(problem, effort="measure", threads=1)
    assert str(plan.explain())
    assert json.loads(json.dumps(plan.explain().to_dict()))["source"]


def test_no_memory_to_measure_leaves_the_estimate(monkeypatch, file):
    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(tuning, "_random", fail)
    assert measured().explain().source == "estimate"
    assert not file.exists()


def test_explain_shows_predicted_beside_measured():
    plan = measured()
    text = str(plan.explain())
    over = ", ".join(plan.explain().over)
    assert f"chosen: {plan.algorithm} over {over} (measured now), 1 thread(s)" in text
    lines = [line for line in text.splitlines() if "ms measured" in line]
    assert lines
    assert all("ms predicted" in line for line in lines)


# ---- the key -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"threads": 2},
        {"accuracy": "fast"},
        {"accuracy": 1e-3},
        {"workspace_limit": 2**20},
        {"isa": "other"},
        {"version": "9.9.9"},
        {"cpu": "another processor"},
        {"caches": machine.Caches(*machine.ASSUMED, "assumed")},
        {"problem": replace(PROBLEM, dtype="float64", out_dtype="float64")},
        {"problem": replace(PROBLEM, padding=((1, 0), (0, 1)))},
        {"problem": replace(PROBLEM, dilation=2)},
        {"problem": replace(PROBLEM, stride=2)},
    ],
    ids=str,
)
def test_the_key_holds_all_that_the_answer_depends_on(monkeypatch, change):
    before = tuning.question(PROBLEM, **QUESTION)
    asked = {"problem": PROBLEM, **QUESTION, **change}
    if "version" in asked:
        monkeypatch.setattr(tuning, "__version__", asked.pop("version"))
    if "caches" in asked:
        monkeypatch.setattr(machine, "_caches", asked.pop("caches"))
    if "cpu" in asked:
        model = asked.pop("cpu")
        monkeypatch.setattr(machine, "cpu", lambda: model)
    assert tuning.question(**asked) != before
    assert "\n" not in before


def test_the_key_has_one_image(file):
    measured()
    cyconv.plan(replace(PROBLEM, x_shape=(9, *PROBLEM.x_shape[1:])), effort="measure", threads=1)
    (key,) = tuning.read(str(file))
    assert "x=1,6,12,13 " in key


# ---- the file ----------------------------------------------------------------------------------

FOREIGN = {
    "empty": b"",
    "cut": b'{"format": "cyconv tuning", "schema": 1, "ent',
    "bytes": bytes(range(256)),
    "deep": b"[" * 100_000,
    "list": b"[1, 2]",
    "foreign": b'{"name": "my settings"}',
    "newer": b'{"format": "cyconv tuning", "schema": 2, "entries": {}}',
    "entries": b'{"format": "cyconv tuning", "schema": 1, "entries": [1]}',
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_is_not_ours_is_left_alone_with_one_warning(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.warns(RuntimeWarning) as caught:
        plan, _ = measured(), measured(accuracy="strict")
    (warning,) = caught
    assert str(file) in str(warning.message)
    assert ": it" in str(warning.message)
    x, w = arrays()
    expected = cyconv.conv2d(x, w, padding=1, algorithm="direct")
    np.testing.assert_allclose(plan(x, w), expected, rtol=0, atol=0.01)
    assert file.read_bytes() == content
    assert os.listdir(file.parent) == [file.name]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such folders here")
@pytest.mark.parametrize("kind", ["folder", "below a file", "no room"])
def test_a_file_that_cannot_be_written_gives_one_warning(tmp_path, monkeypatch, file, kind):
    if kind == "folder":
        file.mkdir(parents=True)
    elif kind == "below a file":
        file.parent.write_text("a file where the folder should be")
    else:

        def full(*args):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(tuning.os, "replace", full)
    with pytest.warns(RuntimeWarning) as caught:
        plan, _ = measured(), measured(accuracy="fast")
    assert len(caught) == 1
    assert str(file) in str(caught[0].message)
    assert plan.explain().source == "measured now"
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"magic": 1.0}, {"direct": "fast"}, {"direct": -1}, {"direct": True}]
)
def test_an_entry_that_makes_no_sense_is_measured_anew(file, answer):
    one = replace(PROBLEM, x_shape=(1, *PROBLEM.x_shape[1:]))
    tuning.write(str(file), {tuning.question(one, **QUESTION): answer})
    assert measured().explain().source == "measured now"
    assert all(tuning.read(str(file)).values())


def test_writing_keeps_what_others_wrote(file):
    tuning.write(str(file), {"theirs": {"direct": 1.0}})
    measured()
    assert len(tuning.read(str(file))) == 2


def test_the_file_is_bounded(file, monkeypatch):
    monkeypatch.setattr(tuning, "MOST", 5)
    tuning.write(str(file), {str(i): {} for i in range(9)})
    tuning.write(str(file), {"last": {}})
    assert list(tuning.read(str(file))) == ["5", "6", "7", "8", "last"]


def test_concurrent_writers_leave_a_valid_file(child, file):
    code = (
        "from cyconv.planning import tuning\n"
        "for i in range(40): tuning.write({!r}, {{f'{}-{{i}}': {{'direct': 1.0}}}})\n"
    )
    writers = [
        threading.Thread(target=child, args=(code.format(str(file), name),)) for name in "ab"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    entries = tuning.read(str(file))
    assert {"a-39", "b-39"} & set(entries)
    assert os.listdir(file.parent) == [file.name]


def test_where_the_file_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("CYCONV_TUNING_FILE", "~/mine.json")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tuning.path() == str(tmp_path / "mine.json")
    monkeypatch.delenv("CYCONV_TUNING_FILE")
    monkeypatch.setattr(tuning.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert tuning.path() == str(tmp_path / "cache" / "cyconv" / "tuning.json")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert tuning.path() == str(tmp_path / ".cache" / "cyconv" / "tuning.json")
    monkeypatch.setattr(tuning.sys, "platform", "darwin")
    assert tuning.path() == str(tmp_path / "Library" / "Caches" / "cyconv" / "tuning.json")


def test_the_processor_has_a_name():
    assert machine.cpu()
    assert "\n" not in machine.cpu()


def test_no_warning_where_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured()
