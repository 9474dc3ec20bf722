"""Calls larger than the device's memory: in parts that fit, with the result of the whole."""

from dataclasses import replace

import numpy as np
import pytest

import cyconv
from cyconv.opencl.registry import ALGORITHMS
from cyconv.problem import slab

from .cases import seeds

pytest.importorskip("pyopencl", reason="pyopencl is not installed: pip install 'cyconv[opencl]'")

import pyopencl.array

from cyconv import opencl
from cyconv.opencl import device as door
from cyconv.opencl import parts

from .test_opencl import DEVICES, device, pytestmark, random_problem


def shrink(monkeypatch, device, nbytes):
    """As if the device had so little memory, and half of it in one buffer at most."""
    found = door.get("test", device)
    monkeypatch.setattr(found, "global_memory", nbytes * 4 // 3)
    monkeypatch.setattr(found, "max_buffer", nbytes // 2)
    monkeypatch.setattr(found, "_free", [])
    return found


def draw(shape, seed=0):
    return np.random.default_rng((20261122, seed)).standard_normal(shape).astype(np.float32)


def downloads(events):
    return sum(kind == "download" for kind, _ in events)


SHAPES = {
    "images": (((7, 8, 28, 28), (8, 8, 3, 3), {"padding": 1}), 300_000),
    "rows": (((1, 8, 96, 40), (8, 8, 3, 3), {"padding": 1}), 200_000),
    "columns": (((1, 4, 3, 3000), (8, 4, 3, 3), {"padding": 1}), 200_000),
    "line": (((1, 2, 30_000), (3, 2, 9), {"padding": 4}), 150_000),
    "volume": (((1, 3, 20, 18, 22), (4, 3, 3, 3, 3), {"padding": 1}), 250_000),
    "filters": (((1, 64, 7, 7), (256, 64, 1, 1), {}), 80_000),
    "whole_image": (((1, 16, 8, 8), (64, 16, 8, 8), {}), 120_000),
    "groups": (((2, 32, 20, 20), (32, 1, 5, 5), {"padding": 2, "groups": 32}), 40_000),
    "strided": (((2, 6, 61, 47), (9, 6, 5, 3), {"stride": (3, 2), "padding": 2}), 90_000),
    "dilated": (((1, 6, 61, 47), (9, 6, 5, 3), {"dilation": (2, 3), "padding": (7, 1)}), 150_000),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("algorithm", ["auto", *ALGORITHMS])
def test_parts_have_the_bits_of_the_whole(name, algorithm, device, monkeypatch):
    (x_shape, w_shape, how), memory = SHAPES[name]
    problem = cyconv.Problem(x_shape, w_shape, **how)
    why = opencl.algorithms(problem, device).get(algorithm)
    if why is not None:
        pytest.skip(why)
    x, w, bias = draw(x_shape), draw(w_shape, 1), draw(w_shape[:1], 2)
    plan = cyconv.plan(problem, device=device, algorithm=algorithm)
    add = draw(problem.output_shape, 3)
    expected = plan(x, w, bias, activation="relu", add=add)
    shrink(monkeypatch, device, memory)
    if algorithm == "batch_gemm":
        memory *= 4  # its chunks of sums
        shrink(monkeypatch, device, memory)
    with opencl.log() as events:
        y = plan(x, w, bias, activation="relu", add=add)
    assert downloads(events) > 1 or algorithm == "batch_gemm"
    assert all(n <= memory // 2 for kind, n in events if kind in ("upload", "download"))
    if algorithm == "batch_gemm":  # its sums are cut by the problem's size
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-3)
    else:
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("share", [3, 12])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@seeds(10, first=300)
def test_any_geometry_in_all_directions(seed, layout, share, device, monkeypatch):
    case = random_problem(seed)
    x, w, bias = case.integers("float32")
    if layout == "channels_last":
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    how = {"data_format": layout, **case.geometry}
    y = cyconv.conv(x, w, bias, **how)
    where = {"device": device, "accuracy": "strict", **how}  # exact on small integers
    g = np.random.default_rng(seed).integers(-4, 5, y.shape).astype(np.float32)
    expected = cyconv.conv_vjp(x, w, g, **how)
    widest = 4 * max(x.size, w.size, y.size)
    shrink(monkeypatch, device, max(widest // share, 4096))
    np.testing.assert_array_equal(cyconv.conv(x, w, bias, **where), y, f"seed {seed}")
    problem = cyconv.Problem(x.shape, w.shape, **how)
    for direction, operands, result in (
        ("grad_input", (g, w), expected[0]),
        ("grad_weight", (x, g), expected[1]),
    ):
        plan = cyconv.plan(replace(problem, direction=direction), device=device, accuracy="strict")
        np.testing.assert_array_equal(plan(*operands), result, f"seed {seed}")


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_other_dtypes(dtype, device, monkeypatch):
    x, w = (np.round(4 * draw(shape)) for shape in ((2, 4, 40, 30), (6, 4, 3, 3)))
    x, w = x.astype(dtype), w.astype(dtype)
    if dtype == "complex64":
        x, w = x * (1 - 2j), w * (2 + 1j)
        x, w = x.astype(dtype), w.astype(dtype)
    expected = cyconv.conv2d(x, w, padding=1)
    shrink(monkeypatch, device, 20_000 * x.itemsize)
    with opencl.log() as events:
        y = cyconv.conv2d(x, w, padding=1, device=device, accuracy="strict")
    assert downloads(events) > 1
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("groups", [1, 2])
def test_the_gradient_of_the_weights_sums_parts_in_order(groups, device, monkeypatch):
    x, g = draw((9, 8, 30, 28)), draw((9, 12, 30, 28), 1)
    shape = (12, 8 // groups, 3, 3)
    how = {"padding": 1, "groups": groups}
    expected = cyconv.conv_grad_weight(x.astype("f8"), shape, g.astype("f8"), **how)
    shrink(monkeypatch, device, 600_000)
    with opencl.log() as events:
        got = cyconv.conv_grad_weight(x, shape, g, device=device, **how)
    assert downloads(events) > 1
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)
    again = cyconv.conv_grad_weight(x, shape, g, device=device, **how)
    np.testing.assert_array_equal(again, got)


def test_transposed_with_bias(device, monkeypatch):
    x, w, bias = draw((2, 6, 20, 20)), draw((6, 5, 4, 3), 1), draw((5,), 2)
    how = {"stride": 2, "padding": 1, "output_padding": 1, "dilation": 2}
    expected = cyconv.conv_transpose2d(x, w, bias, **how)
    shrink(monkeypatch, device, 40_000)
    with opencl.log() as events:
        y = cyconv.conv_transpose2d(x, w, bias, device=device, **how)
    assert downloads(events) > 4
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_packed_weights_out_and_a_bias_there(device, monkeypatch):
    x, w, bias = draw((3, 4, 50, 40)), draw((6, 4, 3, 3), 1), draw((6,), 2)
    problem = cyconv.Problem(x.shape, w.shape, padding=1)
    plan = cyconv.plan(problem, device=device)
    expected = plan(x, w, bias)
    shrink(monkeypatch, device, 200_000)
    there = pyopencl.array.to_device(opencl.queue(device), bias)
    np.testing.assert_array_equal(plan(x, w, there), expected)
    packed = plan.pack(w, bias)
    w[...] = bias[...] = 0
    out = np.full((3, 6, 40, 50), np.nan, np.float32).swapaxes(2, 3)
    with opencl.log() as events:
        assert packed(x, out=out) is out
    assert downloads(events) > 1
    np.testing.assert_array_equal(out, expected)
    own = np.zeros((3, 4, 50, 40), np.float32)
    same = cyconv.plan(cyconv.Problem(own.shape, (4, 4, 3, 3), padding=1), device=device)
    own[...], k = x, draw((4, 4, 3, 3), 3)
    expected = cyconv.conv2d(own, k, padding=1)
    assert same(own, k, out=own) is own
    np.testing.assert_allclose(own, expected, atol=1e-4)


def test_what_no_part_fits_is_refused(device, monkeypatch):
    x, w = draw((1, 1, 300)), draw((1, 1, 300), 1)
    shrink(monkeypatch, device, 8)
    with pytest.raises(MemoryError, match=r"conv1d: .* has no room for the smallest part"):
        cyconv.conv1d(x, w, device=device)


def test_one_value_that_is_not_finite_touches_what_sees_it(device, monkeypatch):
    x, w = draw((1, 4, 60, 40)), draw((6, 4, 3, 3), 1)
    x[0, 2, 30, 20] = np.inf
    expected = cyconv.conv2d(x, w, padding=1)
    shrink(monkeypatch, device, 60_000)
    y = cyconv.conv2d(x, w, padding=1, device=device)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@seeds(20, first=500)
def test_a_slab_sees_what_its_outputs_see(seed):
    case = random_problem(seed)
    problem = replace(case.problem("float32"), padding_mode="zeros", flip=False)
    x, w, _ = case.integers("float32")
    whole = cyconv.plan(problem)(x, w)
    rng = np.random.default_rng(seed)
    for axis, n in enumerate(problem.output_spatial):
        first = int(rng.integers(0, n))
        last = int(rng.integers(first + 1, n + 1))
        before, taps = (slice(None),) * (2 + axis), problem.kernel[axis]
        cut = int(rng.integers(0, taps))
        y = 0
        for ends in ((0, cut), (cut, taps)) if cut else ((0, taps),):
            part, cells = slab(problem, axis, (first, last), ends)
            seen, used = x[(*before, cells)], w[(*before, slice(*ends))]
            y = y + cyconv.plan(part)(np.ascontiguousarray(seen), np.ascontiguousarray(used))
        np.testing.assert_array_equal(y, whole[(*before, slice(first, last))])


@pytest.mark.parametrize("align", [1, 2, 4])
def test_every_split_covers_the_problem_once(align):
    problem = cyconv.Problem((3, 6, 11, 9), (8, 3, 3, 3), padding=1, groups=2)
    for kind, halves in parts.splits(problem, align):
        assert len(halves) == 2
        larger, smaller = (half[0] for half in halves)
        assert larger.flops >= smaller.flops > 0
        assert larger.flops + smaller.flops == problem.flops, kind
