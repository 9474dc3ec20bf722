"""The machine's caches: who tells their sizes, and right results whatever they are."""

import numpy as np
import pytest

import cyconv
from cyconv.runtime import machine

from . import tolerances
from .cases import Case, named, supported
from .variants import cache, without_plans

SMALL, OTHER = "8K,64K", "48K,2M,8M"
LARGE_IMAGE = Case("large_image", (1, 3, 150, 170), (8, 3, 3, 3), padding=1)
DEEP = Case("deep", (2, 70, 23, 29), (40, 70, 3, 3), padding=1)
STRIDED = Case("strided", (1, 24, 45, 61), (30, 24, 5, 5), stride=2, padding=2)
DEPTHWISE = Case("depthwise", (1, 6, 90, 110), (6, 1, 5, 5), padding=2, groups=6)
CORE = [
    *named("batch", "line", "volume", "groups_2", "channels_300", "tiles_grouped"),
    LARGE_IMAGE,
    DEEP,
    STRIDED,
    DEPTHWISE,
]


@pytest.fixture(params=[SMALL, OTHER])
def elsewhere(request, monkeypatch):
    """A machine with other caches, and no plans of this one."""
    without_plans(monkeypatch)
    with machine.assumed(request.param):
        yield machine.caches()


@supported(CORE)
def test_results_are_right_with_other_caches(elsewhere, algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    y = case.run(x, w, bias, algorithm=algorithm)
    tolerances.assert_close(y, case.expected(x, w, bias), algorithm, x, w, bias, **case.geometry)


@pytest.mark.parametrize("direction", ["grad_input", "grad_weight"])
@pytest.mark.parametrize("case", [LARGE_IMAGE, DEEP, STRIDED, DEPTHWISE], ids=str)
def test_gradients_are_exact_with_other_caches(elsewhere, case, direction):
    """On small integers, where every order of a sum gives the same bits."""
    problem = cyconv.Problem(case.x, case.w, "float32", **case.geometry, direction=direction)
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-4, 5, shape).astype("f4") for shape in problem.operand_shapes)
    with machine.assumed("32K,512K,32M"):
        expected = cyconv.plan(problem, "direct")(a, b)
    cache.drop(lambda plan: True)
    np.testing.assert_array_equal(cyconv.plan(problem, "direct")(a, b), expected)
    np.testing.assert_array_equal(cyconv.plan(problem, "implicit_gemm")(a, b), expected)


@pytest.mark.parametrize(
    ("algorithm", "case"),
    [
        ("direct", Case("image", (1, 1, 700, 900), (4, 1, 5, 5))),
        ("implicit_gemm", Case("image", (1, 8, 200, 300), (16, 8, 5, 5))),
        ("winograd", Case("deep", (1, 64, 56, 56), (64, 64, 3, 3), padding=1)),
        ("im2col", Case("layer", (1, 64, 56, 56), (64, 64, 3, 3), padding=1)),
    ],
    ids=str,
)
def test_tiles_follow_the_caches(monkeypatch, algorithm, case):
    """A machine with smaller caches is given less scratch, as the tiles in it are smaller.

    With short vectors: where they are long, one vector of tiles is the least and the most.
    """
    monkeypatch.setattr(cyconv.kernels.kernels, "_isa", "baseline")
    needed = []
    for sizes in (SMALL, "32K,512K,32M"):
        without_plans(monkeypatch)
        with machine.assumed(sizes):
            plan = cyconv.plan(case.problem("float32"), algorithm, threads=1)
        needed.append(plan.workspace_bytes)
    assert needed[0] < needed[1]


def test_caches_are_what_the_environment_says(child):
    code = "from cyconv.runtime import machine; c = machine.caches(); print(c.l1, c.l2, c.l3, c)"
    said = child(code, CYCONV_CACHES=OTHER).stdout.strip()
    assert said == f"{48 << 10} {2 << 20} {8 << 20} L1 48 KiB, L2 2 MiB, L3 8 MiB (CYCONV_CACHES)"


def test_without_a_third_level_the_second_is_the_last():
    with machine.assumed("32768, 1 MiB"):
        assert machine.caches() == machine.Caches(1 << 15, 1 << 20, 1 << 20, "CYCONV_CACHES")


@pytest.mark.parametrize(
    "text",
    ["", "32K", "32K,", "a,b", "0,0", "512K,32K", "-32K,1M", "1K,2K", "32K,1M,2M,4M", "1.5M,2M"],
)
def test_wrong_sizes_are_refused(text):
    with pytest.raises(ValueError, match=r"^CYCONV_CACHES: must be .*, got "):
        machine.parsed(text)


def test_wrong_sizes_in_the_environment_are_refused(child):
    done = child("import cyconv", check=False, CYCONV_CACHES="32K,cheese")
    assert "ValueError: CYCONV_CACHES: must be" in done.stderr


def test_what_linux_lists_is_read(tmp_path):
    for i, (kind, level, size) in enumerate(
        [("Data", 1, "48K"), ("Instruction", 1, "32K"), ("Unified", 2, "2048K")]
    ):
        folder = tmp_path / f"index{i}"
        folder.mkdir()
        for name, value in (("type", kind), ("level", level), ("size", size)):
            (folder / name).write_text(f"{value}\n")
    assert machine._sysfs(tmp_path) == [48 << 10, 2 << 20]
    (tmp_path / "index2" / "size").write_text("?\n")
    assert machine._sysfs(tmp_path) == []


def test_a_machine_that_tells_nothing_is_assumed(monkeypatch):
    monkeypatch.delenv("CYCONV_CACHES", raising=False)
    monkeypatch.setattr(machine, "_sysfs", list)
    monkeypatch.setattr(machine, "_sysctl", list)
    monkeypatch.setattr(cyconv.kernels, "cpuid_caches", list)
    assert machine._read() == machine.Caches(*machine.ASSUMED, "assumed")


def test_the_processor_says_what_linux_lists():
    """Where both are to be had, in the order of the levels."""
    told, listed = cyconv.kernels.cpuid_caches(), machine._sysfs()
    if not (told and listed):
        pytest.skip("this machine tells its caches in one way only")
    assert told[:2] == listed[:2]
