"""How images are laid out for OpenCL kernels: no more memory than is read, offsets of 32 bits."""

from math import prod

import numpy as np
import pytest

import cyconv

from .cases import seeds

pytest.importorskip("pyopencl", reason="pyopencl is not installed: pip install 'cyconv[opencl]'")

from cyconv.opencl import arrays, staging
from cyconv.opencl import device as door
from cyconv.opencl.registry import registry_of

from .test_opencl import DEVICES, device, pytestmark, random_problem  # noqa: F401  (its fixture)


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
def test_the_tail_of_a_plane_is_zeros(stride, cpu, device):  # noqa: F811
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
def test_images_that_32_bits_do_not_reach_are_refused(x, w, geometry, device):  # noqa: F811
    """Whatever is not refused has offsets that 32 bits hold, whatever the batch."""
    for batch in (1, 1000):
        problem = cyconv.Problem((batch, *x[1:]), w, **geometry)
        registry = registry_of(door.get("test", device))
        gemm, sums = registry.get("implicit_gemm"), registry.get("batch_gemm")
        fits = problem.channels * gemm.staged_for(problem).plane < 2**31
        assert gemm.supports(problem) is not None or fits
        assert fits or "llvmpipe" in gemm.device.name or "2**31" in gemm.supports(problem)
        assert sums.supports(problem) is not None or sums.staged_for(problem).plane < 2**31


@pytest.mark.parametrize("algorithm", ["implicit_gemm", "batch_gemm"])
def test_the_workspace_of_a_plane_is_no_second_plane(algorithm, device):  # noqa: F811
    """A 9 x 9 plane between borders, summed by 3 x 3 taps."""
    problem = cyconv.Problem((1, 8, 9, 9), (4, 8, 3, 3), padding=1)
    plan = cyconv.plan(problem, device=device, algorithm=algorithm)
    laid = 4 * 8 * (11 * 11 + 16)
    sums = 4 * 4 * 81 * 8 if algorithm == "batch_gemm" else 0  # of eight channels
    assert plan.workspace_bytes <= laid + sums
