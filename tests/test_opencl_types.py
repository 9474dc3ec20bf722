"""Every type of cells on OpenCL devices: read and written as stored, with the CPU's sums."""

from dataclasses import replace

import numpy as np
import pytest

import cyconv

from .cases import named, seeds
from .test_dtypes import COMPLEX, DTYPES, HALVES, INTEGERS, SUMS, any_integers, ml_dtypes

pytest.importorskip("pyopencl", reason="pyopencl is not installed: pip install 'cyconv[opencl]'")

import pyopencl.array

from cyconv import opencl
from cyconv.opencl import device as door
from cyconv.opencl import parts

from .test_opencl import (
    DEVICES,
    EXACT,
    _buffers_that_oclgrind_knows,
    device,
    double,
    kind,
    pytestmark,
    random_problem,
)

STORED = (*HALVES, *INTEGERS)
BEYOND = {
    "float64": (1, 1 + 2.0**-11 + 2.0**-40, 65519.99999999),
    "float32": (3.4e38, 1.17549435e-38, 1e-45, 65519.996, 65520, 2.0**-25, 3.3895314e38),
}
"""What is rounded at the ends of the halves' ranges, or twice if by way of float32."""


def wide(dtype, device):
    """Skip where a device has not the type of these sums."""
    if dtype in ("float64", "complex128"):
        double(device)


def cells(dtype, shape, rng):
    """Any integers of `dtype`; of floats small ones, whose sums are exact in float32."""
    if np.dtype(dtype).kind in "iu":
        return any_integers(dtype, shape, rng)
    a = rng.integers(-8, 9, shape)
    return ((a - 1j * rng.integers(-8, 9, shape)) if dtype in COMPLEX else a).astype(dtype)


def same(got, expected, told=""):
    """Of one dtype and equal."""
    assert got.dtype == expected.dtype, told
    if got.dtype == ml_dtypes.bfloat16:  # whose NaN differs from itself to NumPy's testing
        got, expected = got.astype("f4"), expected.astype("f4")
    np.testing.assert_array_equal(got, expected, told)


@pytest.mark.parametrize("algorithm", EXACT)
@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("case", named("groups_3_strided", "pointwise"), ids=str)
def test_every_algorithm_reads_cells_as_they_are_stored(case, dtype, algorithm, kind):
    if case.name == "pointwise" and algorithm != "implicit_gemm":
        pytest.skip("only implicit_gemm reads such an image in another way")
    rng = np.random.default_rng(case.seed)
    x, w, bias = (cells(dtype, shape, rng) for shape in (case.x, case.w, case.w[:1]))
    problem = case.problem(dtype)
    add = cells(dtype, problem.output_shape, rng)
    expected = case.run(x, w, bias, add=add, activation=(-1000.5, 1e5), algorithm="direct")
    how = {"device": kind, "algorithm": algorithm}
    if opencl.algorithms(problem, kind)[algorithm] is None:
        same(case.run(x, w, bias, add=add, activation=(-1000.5, 1e5), **how), expected)
        same(case.run(x, w, None, **how), case.run(x, w, None, algorithm="direct"))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_winograd_refuses_integers(dtype, device):
    problem = cyconv.Problem((1, 4, 9, 9), (4, 4, 3, 3), dtype)
    reasons = opencl.algorithms(problem, device)
    assert "float dtype" in reasons.pop("winograd")
    assert set(reasons.values()) <= {None}
    with pytest.raises(ValueError, match="winograd needs a float dtype on an OpenCL device"):
        cyconv.plan(problem, "winograd", device=device)


@pytest.mark.parametrize("dtype", HALVES)
def test_winograd_of_halves(dtype, kind):
    rng = np.random.default_rng(20261128)
    x, w = (rng.standard_normal(s).astype(dtype) for s in ((2, 5, 13, 12), (7, 5, 3, 3)))
    x[1, 2, 5, 6] = np.inf
    y = cyconv.conv2d(x, w, padding=1, device=kind, algorithm="winograd")
    assert y.dtype == dtype
    expected = cyconv.conv2d(x.astype("f4"), w.astype("f4"), padding=1, algorithm="direct")
    eps = float(ml_dtypes.finfo(dtype).eps)
    np.testing.assert_allclose(y.astype("f4"), expected, rtol=eps, atol=1e-4)


@pytest.mark.parametrize("algorithm", ["auto", *EXACT, "winograd"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("border", ["zeros", "reflect"])
def test_doubles_keep_their_digits(algorithm, dtype, border, kind):
    wide(dtype, kind)
    rng = np.random.default_rng(20261129)
    x, w, bias = (rng.standard_normal(s) for s in ((2, 24, 13, 12), (7, 24, 3, 3), (7,)))
    if dtype in COMPLEX:
        x, w = x - 1j * x[::-1], w + 1j * w[::-1]
    how = {"padding": 1, "padding_mode": border}
    expected = cyconv.conv2d(x, w, bias, algorithm="direct", **how)
    y = cyconv.conv2d(x, w, bias, algorithm=algorithm, device=kind, **how)
    assert np.abs(y - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("types", [("float32", "float64"), ("float64", "float32")], ids=str)
def test_winograd_between_floats(types, kind):
    """Of one precision in memory and another in the sums, on rows of whole fours of cells."""
    wide("float64", kind)
    rng = np.random.default_rng(20261129)
    x, w = (rng.standard_normal(s).astype(types[0]) for s in ((1, 16, 24, 24), (16, 16, 3, 3)))
    how = {"padding": 1, "out_dtype": types[1]}
    expected = cyconv.conv2d(x, w, algorithm="direct", **how)
    y = cyconv.conv2d(x, w, algorithm="winograd", accuracy="fast", device=kind, **how)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6)


def test_images_of_wide_integers_keep_them(device):
    wide("float64", device)
    image = np.full((9, 11), 2**24 + 1, np.int32)
    kernel = np.zeros((3, 3))
    kernel[1, 1] = 1
    y = cyconv.filters.apply(image, kernel, out_dtype="int32", device=device)
    np.testing.assert_array_equal(y, image)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "uint32"])
@pytest.mark.parametrize("out_dtype", ["int64", "int16", "float64", "bfloat16"])
def test_results_of_other_types(dtype, out_dtype, device):
    wide(out_dtype, device)
    rng = np.random.default_rng(20261128)
    x, w, bias = (cells(dtype, s, rng) for s in ((2, 4, 7, 9), (6, 2, 3, 3), (6,)))
    how = {"groups": 2, "padding": 1, "out_dtype": out_dtype, "activation": (-300, 70000.5)}
    try:
        expected = cyconv.conv2d(x, w, bias, **how)
    except TypeError as error:
        with pytest.raises(TypeError, match=str(error).partition("got")[0]):
            cyconv.conv2d(x, w, bias, device=device, **how)
        return
    same(cyconv.conv2d(x, w, bias, device=device, **how), expected)


@pytest.mark.parametrize("sums", BEYOND)
@pytest.mark.parametrize("dtype", HALVES)
def test_sums_become_the_nearest_half(dtype, sums, device):
    """The even one of two; NaN stays NaN, and what is beyond the range is infinite."""
    wide(sums, device)
    with np.errstate(invalid="ignore", over="ignore"):
        halves = np.arange(2**16, dtype="u2").view(dtype).astype(sums)
        between = (halves[:-1] + halves[1:]) / 2
        x = np.concatenate([halves, between, -np.array(BEYOND[sums]), BEYOND[sums]]).astype(sums)
        x = np.concatenate([x, np.nextafter(x, np.inf), np.nextafter(x, -np.inf)])
        normal = ~np.isfinite(x) | (abs(x) >= 2.0**-126)  # kernels may take the rest for 0
        x = x[normal].reshape(1, 1, 1, -1)
        expected = x.astype("f4").astype(dtype) if dtype == "bfloat16" else x.astype(dtype)
    one = np.ones((1, 1, 1, 1), sums)
    for algorithm in ("direct", "implicit_gemm"):
        y = cyconv.conv2d(x, one, device=device, algorithm=algorithm, out_dtype=dtype)
        same(y, expected, algorithm)


@pytest.mark.parametrize("dtype", STORED)
def test_no_pass_over_an_image_but_the_kernels_own(dtype, device):
    """A layer without a border reads the image where it lies, one with a border copies it once."""
    queue = opencl.queue(device)
    for kernel, kinds in ((1, {"multiply"}), (3, {"multiply", "stage"})):
        problem = cyconv.Problem(
            (1, 16, 8, 8), (16, 16, kernel, kernel), dtype, padding=kernel // 2
        )
        packed = cyconv.plan(problem, "implicit_gemm", device=device).pack(
            np.zeros(problem.w_shape, dtype)
        )
        there = pyopencl.array.empty(queue, problem.x_shape, problem.dtype)
        with opencl.log() as events:
            y = packed(there)
        assert y.dtype == problem.out_dtype
        assert {what.partition("_")[0] for k, what in events if k == "kernel"} == kinds, events


@pytest.mark.parametrize("dtype", STORED)
def test_arrays_in_device_memory(dtype, device):
    rng = np.random.default_rng(20261128)
    x, w = cells(dtype, (2, 4, 9, 10), rng), cells(dtype, (4, 4, 3, 3), rng)
    queue = opencl.queue(device)

    def there(a):
        moved = pyopencl.array.to_device(queue, a.view(f"u{a.itemsize}"))
        return moved.view(a.dtype)

    expected = cyconv.conv2d(x, w, padding=1)
    y = cyconv.conv2d(there(x)[:, ::-1][:, ::-1], there(w), padding=1, device=device)
    assert y.dtype == expected.dtype
    bits = f"u{expected.itemsize}"
    np.testing.assert_array_equal(y.view(bits).get(), expected.view(bits))
    g = cells(dtype, expected.shape, rng)
    results = cyconv.conv_vjp(there(x), there(w), there(g), padding=1, device=device)
    for got, right in zip(results, cyconv.conv_vjp(x, w, g, padding=1), strict=True):
        assert got.dtype == right.dtype
        got = got.view(f"u{right.itemsize}").get().view(right.dtype)
        np.testing.assert_array_equal(got, right)


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", *STORED])
def test_few_channels_of_many_filters_are_spread(dtype, stride, device):
    """The gradient that a CPU solves all phases of at once."""
    rng = np.random.default_rng(20261128)
    size = 2 * stride
    x, w = cells(dtype, (1, 20, 4, 5), rng), cells(dtype, (20, 3, size, size), rng)
    bias = cells(dtype, (3,), rng)
    y = cyconv.conv_transpose2d(x, w, bias, stride=stride, padding=1, device=device)
    same(y, cyconv.conv_transpose2d(x, w, bias, stride=stride, padding=1, algorithm="direct"))


LAYOUTS = ("channels_first", "channels_last", "strided", "unbatched")


@seeds(20, full=1000)
def test_random_problems_of_every_type(seed, kind):
    """All directions, borders and layouts, against the CPU's defining sums."""
    rng = np.random.default_rng((seed, 7))
    dtype, layout = str(rng.choice(DTYPES)), str(rng.choice(LAYOUTS))
    if dtype in ("float64", "complex128") and not door.get("test", kind).float64:
        dtype = "float32"
    case = random_problem(seed + 1000)
    if layout == "unbatched":
        case = replace(case, x=case.x[1:])
    told = f"seed {seed}: {dtype}, {layout}, {case.x} * {case.w}, {case.geometry}"
    x, w, bias = (cells(dtype, shape, rng) for shape in (case.x, case.w, case.w[:1]))
    how = dict(case.geometry)
    if layout == "channels_last":
        x, how["data_format"] = np.ascontiguousarray(np.moveaxis(x, 1, -1)), layout
    if layout == "strided":
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    there, here = {**how, "device": kind, "accuracy": "strict"}, {**how, "algorithm": "direct"}
    y = cyconv.conv(x, w, bias, **here)
    same(cyconv.conv(x, w, bias, **there), y, told)
    more = {"add": cells(dtype, y.shape, rng)}
    if dtype not in COMPLEX:
        more["activation"] = (-20.5, 100)
    expected = cyconv.conv(x, w, bias, **here, **more)
    algorithm = str(rng.choice(["auto", *EXACT]))
    if algorithm != "auto":
        problem = cyconv.Problem(x.shape, w.shape, dtype, **how)
        algorithm = algorithm if opencl.algorithms(problem, kind)[algorithm] is None else "auto"
    same(cyconv.conv(x, w, bias, **there, **more, algorithm=algorithm), expected, told)
    g = cells(dtype, y.shape, rng)
    for got, right in zip(
        cyconv.conv_vjp(x, w, g, **there), cyconv.conv_vjp(x, w, g, **here), strict=True
    ):
        same(got, right, told)
    if case.padding_mode == "zeros" and layout != "channels_last":
        how = {"stride": case.stride, "dilation": case.dilation, "groups": case.groups}
        spread = cyconv.conv_transpose(g, w, **how, device=kind, accuracy="strict")
        same(spread, cyconv.conv_transpose(g, w, **how, algorithm="direct"), told)


@pytest.mark.parametrize("dtype", ["bfloat16", "uint8", "int64"])
@pytest.mark.parametrize("channels", [3, 64])
def test_parts_of_calls_larger_than_the_device(dtype, channels, device, monkeypatch):
    """Partial sums are not rounded."""
    rng = np.random.default_rng(20261128)
    x, w = cells(dtype, (1, channels, 40, 30), rng), cells(dtype, (6, channels, 3, 3), rng)
    bias = cells(dtype, (6,), rng)
    right = {"padding": 1, "algorithm": "direct"}
    expected = cyconv.conv2d(x, w, bias, activation=(-100, 1000), **right)
    found = door.get("test", device)
    memory = 1600 * channels * x.itemsize
    monkeypatch.setattr(found, "global_memory", memory * 4 // 3)
    monkeypatch.setattr(found, "max_buffer", memory // 2)
    monkeypatch.setattr(found, "_free", [])
    how = {"padding": 1, "device": device, "accuracy": "strict"}
    with opencl.log() as events:
        y = cyconv.conv2d(x, w, bias, activation=(-100, 1000), **how)
    assert sum(k == "download" for k, _ in events) > 1
    same(y, expected)
    g = cells(dtype, expected.shape, rng).astype(dtype)
    for function, arguments in (
        (cyconv.conv_grad_input, (x.shape, w, g)),
        (cyconv.conv_grad_weight, (x, w.shape, g)),
    ):
        same(function(*arguments, **how), function(*arguments, **right))
