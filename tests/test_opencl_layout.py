"""How images are laid out for OpenCL kernels: no more memory than is read, offsets of 32 bits."""

from math import prod

import numpy as np
import pytest

import cyconv

from .cases import seeds

pytest.importorskip("pyopencl", reason="pyopencl is not installed: pip install 'cyconv[opencl]'")

import pyopencl.array as array

from cyconv.opencl import arrays, staging, winograd
from cyconv.opencl import device as door
from cyconv.opencl.plan import DevicePlan, Opened
from cyconv.opencl.registry import registry_of

from .test_opencl import DEVICES, device, pytestmark, random_problem


@pytest.mark.parametrize("swapped", [False, True], ids=["forward", "sums"])
@seeds(12)
def test_planes_hold_their_phases_and_less_than_a_vector_more(seed, swapped):
    case = random_problem(seed)
    problem = cyconv.Problem(case.x, case.w, **{**case.geometry, "padding_mode": "zeros"})
    steps = (problem.dilation, problem.stride) if swapped else (problem.stride, problem.dilation)
    staged = staging.Staged(problem, *steps, least=16, swapped=swapped)
    outputs, taps = problem.output_spatial, problem.kernel
    if swapped:
        outputs, taps = taps, outputs
    cells = 1
    for out, n, step, dilation in zip(outputs, taps, *steps, strict=True):
        far = dilation * np.arange(n)
        cells *= len(np.unique(far % step)) * (out + far.max() // step)
    assert len(staged.phases) * prod(staged.sizes) == cells
    assert staged.plane == cells + max(0, 16 - staged.positions)
    assert staged.shifts.min() == 0
    assert staged.shifts.max() + max(16, staged.positions) <= staged.plane


@pytest.mark.parametrize("cpu", [True, False], ids=["cpu", "gpu"])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_tail_of_a_plane_is_zeros(stride, cpu, device):
    opened = door.Device(door.get("test", device).queue)
    opened.cpu = cpu
    problem = cyconv.Problem((2, 3, 6, 5), (1, 3, 3, 3), stride=stride, padding=1)
    staged = staging.Staged(problem, problem.stride, problem.dilation, least=70)
    x = np.random.default_rng(20261122).standard_normal((2, 3, 6, 5)).astype(np.float32)
    laid = arrays.empty(opened, (6, staged.plane), np.float32)
    arrays.fill(laid, np.nan)
    staged.fill(opened, {"CPU": 1} if cpu else {}, arrays.to_device(opened, x), laid.buffer)
    laid = laid.numpy()
    tail = 70 - staged.positions
    assert tail > 0
    np.testing.assert_array_equal(laid[:, -tail:], 0)
    shape = (6, len(staged.phases), *staged.sizes[1:])
    phases = laid[:, :-tail].reshape(shape)
    bordered = np.pad(x.reshape(6, 6, 5), ((0, 0), (1, 2), (1, 2)))
    for i, (_, first, column) in enumerate(staged.phases):
        rows, columns = staged.sizes[1:]
        expected = bordered[:, first::stride, column::stride][:, :rows, :columns]
        np.testing.assert_array_equal(phases[:, i], expected)


@pytest.mark.parametrize(
    ("x", "w", "geometry"),
    [
        ((1, 2**27, 1), (1, 2**27, 1), {}),
        ((1, 2**24, 7), (1, 2**24, 1), {"padding": 60}),
        ((1, 1, 2**15, 2**16), (1, 1, 3, 3), {"padding": 1}),
        ((1, 1, 46_000, 46_000), (1, 1, 3, 3), {"stride": 2, "padding": 200}),
        ((1, 2, 2**15, 2**15), (2, 1, 3, 5), {"groups": 2, "dilation": 3}),
        ((1, 1, 1200, 1300, 1400), (1, 1, 3, 3, 3), {"stride": (1, 2, 3)}),
    ],
)
def test_images_that_32_bits_do_not_reach_are_refused(x, w, geometry, device):
    """Whatever is not refused has offsets that 32 bits hold, whatever the batch."""
    for batch in (1, 1000):
        problem = cyconv.Problem((batch, *x[1:]), w, **geometry)
        registry = registry_of(door.get("test", device))
        gemm, sums = registry.get("implicit_gemm"), registry.get("batch_gemm")
        limit = {"workspace_limit": 2**62}
        fits = problem.channels * gemm(problem, **limit).staged.plane < 2**31
        assert gemm.supports(problem) is not None or fits
        assert fits or "llvmpipe" in gemm.device.name or "2**31" in gemm.supports(problem)
        assert sums.supports(problem) is not None or sums(problem, **limit).staged.plane < 2**31


@pytest.mark.parametrize("algorithm", ["implicit_gemm", "batch_gemm"])
def test_the_workspace_of_a_plane_is_no_second_plane(algorithm, device):
    """A 9 x 9 plane between borders, summed by 3 x 3 taps."""
    problem = cyconv.Problem((1, 8, 9, 9), (4, 8, 3, 3), padding=1)
    plan = cyconv.plan(problem, device=device, algorithm=algorithm)
    laid = 4 * 8 * (11 * 11 + 16)
    sums = 4 * 4 * 81 * 8 if algorithm == "batch_gemm" else 0  # of eight channels
    assert plan.workspace_bytes <= laid + sums


@pytest.mark.parametrize("algorithm", ["implicit_gemm", "batch_gemm", "winograd"])
def test_a_table_of_offsets_is_built_once_and_sent_once(algorithm, device, monkeypatch):
    """For every call, whatever lies between the channels of an array in device memory."""
    x = np.random.default_rng(20261122).integers(-4, 5, (2, 8, 12, 12)).astype(np.float32)
    w = np.ones((6, 4, 3, 3), np.float32)
    problem = cyconv.Problem((2, 4, 12, 12), w.shape)
    opened = door.get("test", device)
    monkeypatch.setattr(opened, "_constants", type(opened._constants)())
    registry = registry_of(opened)
    if registry.get(algorithm).supports(problem) is not None:
        pytest.skip(registry.get(algorithm).supports(problem))
    there = array.to_device(opened.queue, x)[:, ::2]
    expected = cyconv.conv2d(x[:, ::2], w)
    built = []
    offsets = registry.get(algorithm).offsets

    def counted(self, step):
        built.append(step)
        return offsets(self, step)

    monkeypatch.setattr(registry.get(algorithm), "offsets", counted)
    monkeypatch.setattr(cyconv.api.cache, "_plans", {})
    plan = cyconv.plan(problem, device=device, algorithm=algorithm)
    for _ in range(2):
        packed = plan.pack(w)
        with cyconv.opencl.log() as events:
            for _ in range(3):
                np.testing.assert_allclose(packed(there).get(), expected, atol=1e-3)
                np.testing.assert_allclose(packed(x[:, ::2]), expected, atol=1e-3)
        tables = sum(kind == "table" for kind, _ in events)
        assert tables <= 1  # of the planes as they lie
    assert tables == 0
    assert len(built) == len(set(built))


def test_tables_that_are_used_stay_on_the_device(device, monkeypatch):
    monkeypatch.setattr(door, "CONSTANTS", 3)
    opened = door.Device(door.get("test", device).queue)
    first = opened.constant(b"1")
    for table in (b"2", b"3", b"4", b"5"):
        opened.constant(table)
        assert opened.constant(b"1") is first
    assert len(opened._constants) == 3


@pytest.mark.parametrize("padding", [1, ((1, 3), (1, 3)), ((0, 2), (1, 1)), ((1, 1), (0, 2))])
@pytest.mark.parametrize("width", [16, 18])
def test_winograd_reads_and_writes_rows_by_fours(width, padding, device, monkeypatch):
    opened = door.Device(door.get("test", device).queue)
    opened.cpu = False
    monkeypatch.setattr(door, "get", lambda operation, name: opened)
    monkeypatch.setattr(winograd.Algorithm, "VARIANTS", winograd.Algorithm.VARIANTS[1:])
    problem = cyconv.Problem((2, 8, 12, width), (70, 8, 3, 3), padding=padding)
    rng = np.random.default_rng(20261128)
    x, w, add = (
        rng.standard_normal(shape, np.float32)
        for shape in (problem.x_shape, problem.w_shape, problem.output_shape)
    )
    x[0, 3, 5, 8], x[1, 2, 0, 0], x[1, 1, 11, -1] = np.inf, np.nan, -np.inf
    plan = DevicePlan(problem, "winograd", None, "balanced", 2**28, Opened("opencl", opened))
    y = plan(x, w, add=add)
    with np.errstate(invalid="ignore"):
        exact = cyconv.plan(problem, algorithm="direct")(x, w, add=add)
    np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-4)
    aligned = {name for name, key in opened._kernels if ("ALIGNED", 1) in key}
    assert ("transform_input" in aligned) == (width % 4 == 0 and problem.padding[1][0] == 1)
    assert ("transform_output" in aligned) == (problem.output_shape[-1] % 4 == 0)
