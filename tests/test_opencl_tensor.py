"""NVIDIA's instructions in the tiles' kernel, on any device: the same source over a model of them.

``ptx_model.cl`` stands in for ``ptx.cl``, so that all else is what a GPU would be given: what is
copied where and when, which work item holds what of a matrix, the split of a number into two.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cyconv

pytest.importorskip("pyopencl", reason="pyopencl is not installed: pip install 'cyconv[opencl]'")

from cyconv.opencl import device as door
from cyconv.opencl import implicit_gemm, programs, tensor
from cyconv.opencl.plan import DevicePlan, Opened

from .test_opencl import DEVICES, device, pytestmark

MODEL = (Path(__file__).parent / "ptx_model.cl").read_text(encoding="utf-8")
PTX = (programs.FOLDER / "ptx.cl").read_text(encoding="utf-8")
source_of = programs.source_of

APART = cyconv.Problem((2, 32, 13, 19), (128, 16, 3, 3), padding=1, groups=2)
ALIGNED = cyconv.Problem((2, 40, 8, 8), (72, 40, 1, 1))
LONG = cyconv.Problem((1, 160, 7, 7), (64, 160, 3, 3), padding=1)  # its sum is cut into parts
SHORT = {"TILE_K": 64, "TILE_P": 128, "TILE_T": 8, "THREAD_K": 8, "THREAD_P": 8}


def modelled(name, monkeypatch, model=MODEL, **limits):
    """A device as if it were an NVIDIA GPU whose instructions are a model's."""
    found = door.Device(door.get("test", name).queue)
    if not found.float64:
        pytest.skip("the model sums in float64, which the device has not")
    if found.max_group < 256 or found.local_memory < tensor.LOCAL:
        pytest.skip("the device has no room for the tiles")
    for limit, value in {"cpu": False, "capability": (8, 0), **limits}.items():
        setattr(found, limit, value)
    monkeypatch.setattr(door, "get", lambda operation, name: found)
    monkeypatch.setattr(programs, "source_of", lambda stem: source_of(stem).replace(PTX, model))
    return found


@pytest.fixture(params=["early", "late"])
def when(request):
    """When copies are made: as soon as they may be, or as late."""
    return {"early": MODEL, "late": "#define LATE\n" + MODEL}[request.param]


def planned(found, problem, algorithm="implicit_gemm", accuracy="balanced"):
    return DevicePlan(problem, algorithm, None, accuracy, 2**28, Opened("opencl", found))


def algorithm_of(found, problem, accuracy="balanced"):
    """The algorithm of the plan's first primitive problem."""
    node = planned(found, problem, accuracy=accuracy)._root
    while not hasattr(node, "algorithm"):
        node = node.children[0]
    return node.algorithm


def whole_numbers(problem):
    rng = np.random.default_rng(20261128)
    shapes = problem.x_shape, problem.w_shape, problem.output_shape
    return [rng.integers(-8, 9, shape).astype(np.float32) for shape in shapes]


def normal(problem):
    rng = np.random.default_rng(20261129)
    return [rng.standard_normal(shape, np.float32) for shape in (problem.x_shape, problem.w_shape)]


def reference(problem, x, w):
    wide = replace(problem, dtype=np.dtype(np.float64))
    return cyconv.plan(wide, algorithm="direct")(x.astype(float), w.astype(float))


def error(problem, y, x, w):
    """Root mean square, in multiples of direct summation's."""
    exact = reference(problem, x, w)
    direct = cyconv.plan(problem, algorithm="direct", accuracy="strict")(x, w)
    return np.sqrt(np.mean((y - exact) ** 2) / np.mean((direct - exact) ** 2))


def multiplied(found):
    """The macros of the tiles' kernels that were compiled."""
    return [dict(key[1:]) for name, key in found._kernels if name == "multiply_tiles"]


@pytest.mark.parametrize("problem", [APART, ALIGNED, LONG], ids=["apart", "aligned", "long"])
def test_whole_numbers_come_out_exactly(problem, when, device, monkeypatch):
    found = modelled(device, monkeypatch, when)
    x, w, add = whole_numbers(problem)
    y = planned(found, problem)(x, w, add=add)
    np.testing.assert_array_equal(y, reference(problem, x, w) + add)
    (macros,) = multiplied(found)
    assert macros["MATRICES"] == macros["ASYNC"] == 1
    assert ("ALIGNED" in macros) == (problem is ALIGNED)


def test_three_chunks_in_turns(when, device, monkeypatch):
    found = modelled(device, monkeypatch, when)
    x, w, _ = whole_numbers(APART)
    with implicit_gemm.TUNABLES.forced(found, False, SHORT):
        y = planned(found, APART)(x, w)
    np.testing.assert_array_equal(y, reference(APART, x, w))
    assert multiplied(found)[0]["TILE_T"] == 8


@pytest.mark.full
@pytest.mark.parametrize("problem", [APART, replace(ALIGNED, w_shape=(136, 40, 1, 1))])
def test_copies_alone_change_no_bit(problem, when, device, monkeypatch):
    found = modelled(device, monkeypatch, when)
    x, w = normal(problem)
    y = planned(found, problem, accuracy="strict")(x, w)
    (macros,) = multiplied(found)
    assert "ASYNC" in macros
    assert "MATRICES" not in macros
    found = modelled(device, monkeypatch, when, capability=(7, 5))
    np.testing.assert_array_equal(y, planned(found, problem, accuracy="strict")(x, w))
    assert "ASYNC" not in multiplied(found)[0]


MISTAKES = {
    "no wait": ("ASYNC_WAIT(CHUNKS - 2);", ""),
    "a wait too short": ("ASYNC_WAIT(CHUNKS - 2);", "ASYNC_WAIT(CHUNKS - 1);"),
    "a batch not closed": ("ASYNC_BATCH();\n        PRODUCTS", "PRODUCTS"),
    "a chunk too early": ("next = now;", "next = next;"),
}


@pytest.mark.full
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_model_tells_a_kernel_that_does_not_wait(mistake, device, monkeypatch):
    found = modelled(device, monkeypatch)
    right, wrong = MISTAKES[mistake]
    assert right in source_of("implicit_gemm")
    late = "#define LATE\n" + MODEL

    def mistaken(stem):
        return source_of(stem).replace(PTX, late).replace(right, wrong)

    monkeypatch.setattr(programs, "source_of", mistaken)
    x, w, _ = whole_numbers(APART)
    with implicit_gemm.TUNABLES.forced(found, False, SHORT):
        y = planned(found, APART)(x, w)
    assert (y != reference(APART, x, w)).any()


def test_the_error_is_no_more_than_direct_summations(device, monkeypatch):
    found = modelled(device, monkeypatch)
    for taps, most in ((tensor.TAPS, 1.25), (150, 0.8), (600, 0.6), (2400, 0.5)):
        problem = cyconv.Problem((1, taps, 8, 8), (64, taps, 1, 1))
        x, w = normal(problem)
        assert error(problem, planned(found, problem)(x, w), x, w) <= most, taps
    assert "MATRICES" in multiplied(found)[0]


def test_winograd_by_matrices_has_winograds_error(device, monkeypatch):
    problem = cyconv.Problem((1, 64, 16, 20), (64, 64, 3, 3), padding=1)
    x, w = normal(problem)
    found = modelled(device, monkeypatch)
    by_matrices = error(problem, planned(found, problem, "winograd")(x, w), x, w)
    assert "MATRICES" in multiplied(found)[0]
    found = modelled(device, monkeypatch, capability=(0, 0))
    plain = error(problem, planned(found, problem, "winograd")(x, w), x, w)
    assert by_matrices <= 1.2 * plain
    assert by_matrices <= 4


def test_what_is_not_finite_touches_what_sees_it(device, monkeypatch):
    found = modelled(device, monkeypatch)
    x, w = normal(APART)
    w[5] = 1  # 10 bits hold it: its rest is 0, which infinity would make NaN
    x[0, 3, 4, 5], x[0, 20, 10, 10], x[1, 1, 0, 0] = np.inf, np.nan, 3e38
    x[1, 2, 12, 18] = np.finfo(np.float32).max  # infinite in 10 bits
    y = planned(found, APART)(x, w)
    with np.errstate(all="ignore"):
        exact = cyconv.plan(APART, algorithm="direct")(x, w)
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(np.isfinite(y), finite)
    np.testing.assert_array_equal(y[~finite], exact[~finite])
    np.testing.assert_allclose(y[finite], exact[finite], rtol=1e-4, atol=1e-4)
    x[1, 1, 0, 0] = x[1, 2, 12, 18] = 0  # no others change by a bit
    x = np.where(np.isfinite(x), x, 0)
    seen = np.zeros(APART.output_shape, bool)
    seen[0, :64, 3:6, 4:7] = seen[0, 64:, 9:12, 9:12] = True
    seen[1, :64, :2, :2] = seen[1, :64, 11:, 17:] = True
    np.testing.assert_array_equal(y[~seen], planned(found, APART)(x, w)[~seen])


def test_the_bits_of_an_image_alone_and_of_a_part(device, monkeypatch):
    found = modelled(device, monkeypatch)
    x, w = normal(APART)
    whole = planned(found, APART)(x, w)
    one = replace(APART, x_shape=(1, *APART.x_shape[1:]))
    np.testing.assert_array_equal(planned(found, one)(x[1:], w), whole[1:])
    few = replace(APART, x_shape=(2, 16, 13, 19), w_shape=(40, 16, 3, 3), groups=1)
    assert not algorithm_of(found, few).matrices  # by itself: as a part it must
    part = algorithm_of(found, APART).part(few, 2**28)
    assert part.matrices
    assert dict(part.tile)["TILE_K"] == 64


def test_who_may_not_multiply_by_matrices(device, monkeypatch):
    found = modelled(device, monkeypatch)

    def by_matrices(problem, accuracy="balanced"):
        return algorithm_of(found, problem, accuracy).matrices

    assert by_matrices(ALIGNED)
    assert by_matrices(ALIGNED, "fast")
    assert not by_matrices(ALIGNED, "strict")
    assert not by_matrices(ALIGNED, 1e-8)
    assert not by_matrices(replace(ALIGNED, dtype=np.dtype(np.float64)))
    assert not by_matrices(replace(ALIGNED, w_shape=(40, 40, 1, 1)))
    assert not by_matrices(cyconv.Problem((2, 24, 8, 8), (72, 24, 1, 1)))
    for limits in ({"capability": (7, 5)}, {"cpu": True}, {"local_memory": 32 << 10}):
        found = modelled(device, monkeypatch, **limits)
        assert not by_matrices(ALIGNED), limits


def test_a_driver_that_refuses_has_the_plain_kernel(device, monkeypatch):
    found = modelled(device, monkeypatch, "#ifdef ASYNC\n#error no PTX here\n#endif\n" + PTX)
    another = door.Device(found.queue)  # as of a caller's queue
    another.capability = found.capability
    monkeypatch.setitem(door._queues, "another", another)
    x, w, _ = whole_numbers(APART)
    plan = planned(found, APART)
    with cyconv.opencl.log() as events:
        y = plan(x, w)
    np.testing.assert_array_equal(y, reference(APART, x, w))
    assert events.count(("refused", "implicit_gemm")) == 1
    assert another.capability == (0, 0)
    assert not algorithm_of(found, APART).matrices
    np.testing.assert_array_equal(plan(x, w), y)


def test_a_driver_that_refuses_while_a_call_goes_on_in_parts(device, monkeypatch):
    found = modelled(device, monkeypatch, "#ifdef ASYNC\n#error no PTX here\n#endif\n" + PTX)
    problem = cyconv.Problem((8, 37, 8, 8), (200, 37, 1, 1))
    x, w, _ = whole_numbers(problem)
    plan = planned(found, problem)
    monkeypatch.setattr(found, "max_buffer", x.nbytes // 3)
    np.testing.assert_array_equal(plan(x, w), reference(problem, x, w))


def test_a_driver_that_refuses_and_sums_of_halves_in_parts(device, monkeypatch):
    found = modelled(device, monkeypatch, "#ifdef ASYNC\n#error no PTX here\n#endif\n" + PTX)
    x, w, _ = whole_numbers(LONG)
    problem = replace(LONG, out_dtype="float16")
    y = planned(found, problem)(x, w)
    np.testing.assert_array_equal(y, reference(LONG, x, w).astype("f2"))


def test_the_instructions_themselves(device, monkeypatch):
    found = door.get("test", device)
    if found.capability < tensor.CAPABILITY:
        pytest.skip("the device has no such instructions")
    monkeypatch.setattr(door, "get", lambda operation, name: found)
    for problem in (APART, ALIGNED, LONG):
        x, w, _ = whole_numbers(problem)
        with cyconv.opencl.log() as events:
            y = planned(found, problem)(x, w)
        np.testing.assert_array_equal(y, reference(problem, x, w))
        assert ("refused", "implicit_gemm") not in events
        x, w = normal(problem)
        assert error(problem, planned(found, problem)(x, w), x, w) <= 1.25
