"""Tunables of kernels: each candidate computes right, and the tuning file's choice is used."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import cyconv
from cyconv.opencl.registry import ALGORITHMS
from cyconv.planning import tuning

pytest.importorskip("pyopencl", reason="pyopencl is not installed: pip install 'cyconv[opencl]'")

from cyconv.cli import main
from cyconv.opencl import arrays, implicit_gemm, parts, registry, tunables, tune
from cyconv.opencl import device as door
from cyconv.opencl.plan import DevicePlan, Opened, PackedDeviceConv

from .test_opencl import DEVICES, device, pytestmark


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """A tuning file that does not exist yet."""
    path = tmp_path / "tuning.json"
    monkeypatch.setenv("CYCONV_TUNING_FILE", str(path))
    monkeypatch.setattr(tuning, "SECONDS", 0.01)
    forget(monkeypatch)
    return path


def forget(monkeypatch):
    """As if in a new process: no plans, and the file not read."""
    monkeypatch.setattr(tuning, "_remembered", {})
    monkeypatch.setattr(tuning, "_warned", set())
    monkeypatch.setattr(tunables, "_read", {})
    monkeypatch.setattr(cyconv.api.cache, "_plans", {})


def opened(name, **limits):
    """A Device of its own, as if it had these limits."""
    found = door.Device(door.get("test", name).queue)
    for limit, value in limits.items():
        setattr(found, limit, value)
    return found


def planned(limited, algorithm, problem):
    """A plan on such a Device."""
    return DevicePlan(problem, algorithm, None, "strict", 2**28, Opened("opencl", limited))


PROBLEM = cyconv.Problem((2, 4, 13, 19), (136, 2, 3, 3), padding=1, groups=2)
IMAGE = cyconv.Problem((2, 1, 21, 67), (1, 1, 3, 3), padding=1)


@cache
def operands(problem):
    """x, w and what they give."""
    rng = np.random.default_rng(20261122)
    x, w = (
        rng.integers(-8, 9, shape).astype(problem.dtype)
        for shape in (problem.x_shape, problem.w_shape)
    )
    return x, w, cyconv.plan(problem, algorithm="direct")(x, w)


@cache
def residual(problem):
    """An array to add to the result."""
    rng = np.random.default_rng(20261128)
    return rng.integers(-99, 100, problem.output_shape).astype(problem.dtype)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_candidate_computes_right(algorithm, kind, device, monkeypatch):
    limited = opened(device, cpu=kind == "cpu")
    monkeypatch.setattr(door, "get", lambda operation, name: limited)
    table = registry.Registry(limited).get(algorithm).tunables[0]
    candidates = table.candidates(limited, False)
    assert candidates
    for choice in candidates:
        ends = choice in (candidates[0], candidates[-1])
        for problem in (PROBLEM, IMAGE) if ends else (PROBLEM,):
            x, w, expected = operands(problem)
            add = residual(problem)
            with table.forced(limited, False, choice):
                y = planned(limited, algorithm, problem)(x, w, add=add)
            np.testing.assert_array_equal(y, expected + add, str(choice))


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_float64_by_the_default_and_another(algorithm, kind, device, monkeypatch):
    limited = opened(device, cpu=kind == "cpu")
    if not limited.float64:
        pytest.skip("the device has no float64")
    monkeypatch.setattr(door, "get", lambda operation, name: limited)
    table = registry.Registry(limited).get(algorithm).tunables[0]
    problem = cyconv.Problem(PROBLEM.x_shape, PROBLEM.w_shape, "float64", padding=1, groups=2)
    x, w, expected = operands(problem)
    candidates = table.candidates(limited, True)
    for choice in (candidates[0], candidates[-1]):
        add = residual(problem)
        with table.forced(limited, True, choice):
            y = planned(limited, algorithm, problem)(x, w, add=add)
        np.testing.assert_array_equal(y, expected + add, str(choice))


@pytest.mark.parametrize("group", [32, 64, 128, 256, 1024])
@pytest.mark.parametrize("local", [16 << 10, 32 << 10, 64 << 10])
@pytest.mark.parametrize("wide", [False, True])
def test_a_tile_is_within_the_limits(group, local, wide, device):
    limited = opened(device, cpu=False, max_group=group, local_memory=local)
    for choice in implicit_gemm.TUNABLES.candidates(limited, wide):
        assert implicit_gemm.items_of(choice) <= group
        chunk = choice["TILE_T"] * (choice["TILE_K"] + choice["TILE_P"])
        assert 2 * chunk * (8 if wide else 4) <= local
    best = implicit_gemm.TUNABLES.candidates(limited, wide)[0]
    if group >= 256 and not wide:
        assert best == {
            "TILE_K": 128,
            "TILE_P": 128,
            "TILE_T": 8,
            "THREAD_K": 8,
            "THREAD_P": 8,
        }


@pytest.mark.parametrize("group", [1, 12, 32, 64])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_small_work_groups_are_enough(algorithm, group, device, monkeypatch):
    if group < 32 and algorithm in ("implicit_gemm", "winograd"):
        pytest.skip("they are refused, see below")
    limited = opened(device, cpu=False, max_group=group, local_memory=32 << 10)
    monkeypatch.setattr(door, "get", lambda operation, name: limited)
    groups, launch = [], door.Device.launch

    def noted(self, kernel, size, group, *arguments):
        groups.append(int(np.prod(group)))
        return launch(self, kernel, size, group, *arguments)

    monkeypatch.setattr(door.Device, "launch", noted)
    x, w, expected = operands(PROBLEM)
    np.testing.assert_array_equal(planned(limited, algorithm, PROBLEM)(x, w), expected)
    assert max(groups) <= group


@pytest.mark.parametrize("algorithm", ["implicit_gemm", "winograd"])
def test_too_small_work_groups_are_refused_with_the_reason(algorithm, device):
    limited = opened(device, cpu=False, max_group=8)
    with pytest.raises(ValueError, match="too little for a tile: work-groups of 8 work items"):
        planned(limited, algorithm, PROBLEM)


SHARES = {  # of a CPU's work item
    "one tile": {"DOWN": 1, "ITEM": 1},
    "columns": {"DOWN": 1, "EACH": 1},
    "blocks": {"EACH": 1, "ITEM": 1},
    "blocks, by chunks of taps": {"EACH": 1, "ITEM": 1, "CHUNK": 256},
    "blocks and columns, by chunks of taps": {"EACH": 1, "CHUNK": 256},
}


@pytest.mark.parametrize("filters", [6, 136])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("algorithm", ["implicit_gemm", "winograd"])
def test_a_work_item_takes_any_share_of_the_tiles(algorithm, share, filters, device, monkeypatch):
    for name, value in SHARES[share].items():
        monkeypatch.setattr(implicit_gemm, name, value)
    target, local, launch = door.get("test", device), [], door.Device.launch

    def noted(self, kernel, size, group, *arguments):
        if kernel.function_name == "multiply_rows":
            local.append(arguments[-1].size)
        return launch(self, kernel, size, group, *arguments)

    monkeypatch.setattr(door.Device, "launch", noted)
    for spatial, groups in ((9, 10), 1), ((23, 21), 2):
        shapes = (2, 20, *spatial), (filters, 20 // groups, 3, 3)
        problem = cyconv.Problem(*shapes, padding=1, groups=groups)
        x, w, expected = operands(problem)
        plan, add = planned(target, algorithm, problem), residual(problem)
        np.testing.assert_array_equal(plan(x, w), expected)
        np.testing.assert_array_equal(plan(x, w, add=add), expected + add)
    if target.cpu and filters > 6:
        choice = implicit_gemm.TUNABLES.chosen(target, False)
        _, positions = implicit_gemm.sides(target, False, choice)
        assert (max(local) > 4 * positions) == ("blocks" in share)


# Aligned and not, whole chunks of taps and not, outputs in a row and not.
VARIANTS = {
    "aligned": cyconv.Problem((3, 8, 6, 6), (20, 8, 1, 1)),
    "aligned, ragged": cyconv.Problem((3, 5, 6, 6), (20, 5, 1, 1)),
    "odd planes": cyconv.Problem((3, 8, 7, 7), (20, 8, 1, 1)),
    "ragged": cyconv.Problem((2, 3, 9, 10), (20, 3, 3, 3), padding=1),
    "whole": cyconv.Problem((2, 8, 9, 10), (20, 8, 3, 3), stride=2),
}


@pytest.mark.parametrize("problem", VARIANTS.values(), ids=VARIANTS)
def test_variants_of_a_gpu_tile(problem, device, monkeypatch):
    limited = opened(device, cpu=False)
    monkeypatch.setattr(door, "get", lambda operation, name: limited)
    x, w, expected = operands(problem)
    plan, add = planned(limited, "implicit_gemm", problem), residual(problem)
    np.testing.assert_array_equal(plan(x, w), expected)
    np.testing.assert_array_equal(plan(x, w, add=add), expected + add)


@pytest.mark.parametrize("shift", [4, 1, 2, 3])
def test_only_an_aligned_residual_is_read_by_fours(shift, device, monkeypatch):
    """One that begins `shift` elements into its buffer."""
    limited = opened(device, cpu=False)
    problem = VARIANTS["aligned"]
    x, w, expected = operands(problem)
    add, variants, kernel = residual(problem), [], door.Device.kernel

    def noted(self, stem, name, **defines):
        if name == "multiply_tiles":
            variants.append("ALIGNED" in defines)
        return kernel(self, stem, name, **defines)

    monkeypatch.setattr(door.Device, "kernel", noted)
    root = planned(limited, "implicit_gemm", problem)._root
    ahead = np.concatenate([np.zeros(shift, np.float32), add.reshape(-1)])
    there = arrays.to_device(limited, ahead)[shift:].reshape(add.shape)
    y = arrays.empty(limited, add.shape, add.dtype)
    packed = root.pack(arrays.to_device(limited, w))
    to_add = arrays.Residual(there, y)
    root.run(arrays.to_device(limited, x), packed, y, None, None, None, to_add)
    np.testing.assert_array_equal(y.numpy(), expected + add)
    assert variants == [shift % 4 == 0]


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_repaired_output_has_its_residual_once(value, device, monkeypatch):
    """What a transform spoils in its tile is summed again; a residual that is NaN spoils one."""
    limited = opened(device, cpu=False)
    monkeypatch.setattr(door, "get", lambda operation, name: limited)
    x, w, _ = operands(PROBLEM)
    x, add = x.copy(), residual(PROBLEM).copy()
    x[0, 1, 4, 7] = value
    add[1, 3, 5, 5] = np.nan
    expected = cyconv.plan(PROBLEM, algorithm="direct")(x, w, add=add)
    y = planned(limited, "winograd", PROBLEM)(x, w, add=add)
    np.testing.assert_array_equal(y, expected)


MANY_TAPS = {
    "copied": cyconv.Problem((3, 256, 5, 6), (20, 256, 3, 3), padding=1),
    "as it lies": cyconv.Problem((3, 1100, 4, 5), (20, 1100, 1, 1)),
}


@pytest.mark.parametrize("problem", MANY_TAPS.values(), ids=MANY_TAPS)
def test_sums_in_parts_fill_a_gpu(problem, device, monkeypatch):
    """Where one image has few tiles: with bias and bounds, and the bits of an image alone."""
    limited = opened(device, cpu=False, compute_units=64)
    monkeypatch.setattr(door, "get", lambda operation, name: limited)
    plan = planned(limited, "implicit_gemm", problem)
    (leaf,) = plan._root.leaves()
    assert leaf.algorithm.parts > 1
    x, w, expected = operands(problem)
    bias, add = np.arange(-10, 10, dtype=np.float32), residual(problem)
    y = plan(x, w, bias, activation="relu", add=add)
    shifted = expected + bias[:, None, None] + add
    np.testing.assert_array_equal(y, np.maximum(shifted, 0))
    x = (x + np.random.default_rng(1).random(x.shape)).astype(np.float32)
    one = planned(limited, "implicit_gemm", replace(problem, x_shape=(1, *problem.x_shape[1:])))
    together, alone = plan(x, w), [one(image[None], w)[0] for image in x]
    np.testing.assert_array_equal(together, alone)


def test_a_small_gpus_parts_keep_the_order_of_the_sum(device, monkeypatch):
    """Where memory has room for some rows of an image: of those alone, tiles are fewer."""
    problem = cyconv.Problem((1, 256, 32, 32), (20, 256, 3, 3), padding=1)
    limited = opened(device, cpu=False, compute_units=8)
    monkeypatch.setattr(door, "get", lambda operation, name: limited)
    plan = planned(limited, "implicit_gemm", problem)
    (leaf,) = plan._root.leaves()
    assert leaf.algorithm.parts > 1
    rng = np.random.default_rng(2)
    shapes = problem.x_shape, problem.w_shape, problem.output_shape
    x, w, add = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    expected = plan(x, w, add=add)
    limited.release()
    limited.max_buffer = 900 << 10
    assert parts.needed(plan, limited, residual=True)
    np.testing.assert_array_equal(plan(x, w, add=add), expected)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", ["ragged", "aligned, ragged"])
def test_chunks_that_are_not_full_add_nothing(name, value, device, monkeypatch):
    """What lies where a tap beyond the last would read touches no sum twice."""
    limited = opened(device, cpu=False)
    monkeypatch.setattr(door, "get", lambda operation, name: limited)
    problem = VARIANTS[name]
    x, w, _ = operands(problem)
    x = x.copy()
    x[:, 0, 2, 3] = value
    expected = cyconv.plan(problem, algorithm="direct")(x, w)
    np.testing.assert_array_equal(planned(limited, "implicit_gemm", problem)(x, w), expected)


def another(device):
    """A choice for implicit GEMM that is not the default."""
    found = door.get("test", device)
    return found, implicit_gemm.TUNABLES.candidates(found, False)[-1]


def test_plans_use_what_the_file_holds_and_say_so(file, device, monkeypatch):
    found, choice = another(device)
    plan = cyconv.plan(PROBLEM, device=device, algorithm="implicit_gemm")
    assert plan.explain().tunables == {}
    assert "tuned" not in str(plan.explain())
    tuning.write(str(file), {implicit_gemm.TUNABLES.question(found, False): choice})
    forget(monkeypatch)
    plan = cyconv.plan(PROBLEM, device=device, algorithm="implicit_gemm")
    told = plan.explain()
    assert told.tunables
    assert told.tunables.items() <= choice.items()
    assert "tuned: FILTERS=8" in str(told) or not found.cpu
    assert json.loads(json.dumps(told.to_dict()))["tunables"] == told.tunables
    x, w, expected = operands(PROBLEM)
    np.testing.assert_array_equal(plan(x, w), expected)


@pytest.mark.parametrize(
    "entry",
    [
        None, 7, [], {}, "FILTERS=8", {"FILTERS": 8}, {"FILTERS": 8.0, "VECTORS": 2},
        {"FILTERS": 5, "VECTORS": 2}, {"FILTERS": True, "VECTORS": 2},
        {"FILTERS": "8 -DEVIL", "VECTORS": 2}, {"FILTERS": 8, "VECTORS": 2, "EVIL": 1},
        {"FILTERS": [8], "VECTORS": 2},
    ],
)  # fmt: skip
def test_an_entry_that_is_no_choice_is_ignored(entry, file, device):
    found = door.get("test", device)
    tuning.write(str(file), {implicit_gemm.TUNABLES.question(found, False): entry})
    default = implicit_gemm.TUNABLES.candidates(found, False)[0]
    assert implicit_gemm.TUNABLES.chosen(found, False) == default
    x, w, expected = operands(PROBLEM)
    how = {"padding": 1, "groups": 2, "algorithm": "implicit_gemm"}
    np.testing.assert_array_equal(cyconv.conv2d(x, w, device=device, **how), expected)


def test_a_file_that_is_not_ours_is_ignored_with_one_warning(file, device):
    file.write_text("nonsense")
    x, w, expected = operands(PROBLEM)
    with pytest.warns(RuntimeWarning, match="ignores the tuning file") as caught:
        y = cyconv.conv2d(x, w, padding=1, groups=2, device=device, accuracy="strict")
    assert len(caught) == 1
    np.testing.assert_array_equal(y, expected)
    assert file.read_text() == "nonsense"


def test_the_key_names_device_driver_precision_and_version(device, monkeypatch):
    found = door.get("test", device)
    table = implicit_gemm.TUNABLES
    question = table.question(found, False)
    for part in (found.platform, found.name, found.driver, cyconv.__version__, "float32"):
        assert part in question
    assert table.question(found, True) != question
    monkeypatch.setattr(found, "key", "another driver")
    assert table.question(found, False) != question


def test_what_the_driver_refuses_is_passed_over(device, monkeypatch):
    found = door.get("test", device)
    kernel = door.Device.kernel

    def side(choice):
        return choice.get("FILTERS", choice.get("TILE_K"))

    def refusing(self, stem, name, **defines):
        if stem == "implicit_gemm" and side(defines) not in (4, 64):
            raise door.DeviceError("compiling failed")
        return kernel(self, stem, name, **defines)

    monkeypatch.setattr(found, "_kept", {})  # neither tiles that were compiled before
    monkeypatch.setattr(door.Device, "kernel", refusing)
    table = implicit_gemm.TUNABLES
    scores = tune.measure(Opened(device, found), "implicit_gemm", table, [PROBLEM], False, 2**28)
    candidates = table.candidates(found, False)
    assert scores
    assert all(side(candidates[i]) in (4, 64) for i in scores)


def test_a_choice_that_was_slow_once_is_timed_again(device, monkeypatch):
    now, calls = [0.0], []

    def repeated(self, x, out):
        place = len(calls)
        calls.append(0)

        def call():
            calls[place] += 1
            slow = place == 0 and calls[place] in (1, 2)  # to warm up, and the first that is timed
            now[0] += 9 if slow else 1 if place == 0 else 2

        return call

    monkeypatch.setattr(PackedDeviceConv, "repeated", repeated)
    monkeypatch.setattr(tune, "perf_counter", lambda: now[0])
    table, found = implicit_gemm.TUNABLES, door.get("test", device)
    scores = tune.measure(Opened(device, found), "implicit_gemm", table, [PROBLEM], False, 2**28)
    assert scores[0] == 1
    assert all(ratio == 2 for place, ratio in scores.items() if place)


def test_the_command_measures_once(file, device, capsys, child, monkeypatch):
    monkeypatch.setattr(tune, "MOST", 7)
    line = ["tune", "mobilenet_v2", "--device", device, "--layers", "160->960", "--json"]
    assert main(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["source"] for row in told["tunables"]} == {"measured now"}
    entries = tuning.read(str(file))
    found = door.get("test", device)
    for row in told["tunables"]:
        table = registry.registry_of(found).get(row["algorithm"]).tunables[0]
        assert entries[table.question(found, False)] == row["choice"]
    forget(monkeypatch)
    assert main([arg for arg in line if arg != "--json"]) == 0
    out = capsys.readouterr().out
    assert "measured now" not in out
    assert "implicit_gemm float32" in out
    code = f"""
import cyconv
problem = cyconv.Problem((1, 160, 7, 7), (960, 160, 1, 1))
plan = cyconv.plan(problem, device={device!r}, algorithm="implicit_gemm")
print(plan._root.algorithm.choice)
"""
    choice = next(r["choice"] for r in told["tunables"] if r["algorithm"] == "implicit_gemm")
    assert child(code).stdout.strip() == str(choice)
