"""conv_integer and qlinear_conv on OpenCL devices: the CPU's numbers, bit for bit."""

import numpy as np
import pytest

import cyconv

from .cases import named, seeds
from .test_quantized import CASES, TYPES, numbers, operands

pytest.importorskip("pyopencl", reason="pyopencl is not installed: pip install 'cyconv[opencl]'")

import pyopencl.array

from cyconv import opencl

from .test_opencl import (
    DEVICES,
    EXACT,
    _buffers_that_oclgrind_knows,
    device,
    kind,
    pytestmark,
)

SOME = [case for case in CASES if case.rank < 4]


def layer(seed, case, x_dtype=None, w_dtype=None):
    """The arguments of a layer whose sums meet both ends of y's type."""
    rng = np.random.default_rng(seed)
    types = [str(rng.choice(TYPES)) if of is None else of for of in (x_dtype, w_dtype, None)]
    each = bool(rng.integers(2))
    x, x_zero, w, w_zero = operands(rng, case, *types[:2], each)
    bias = rng.integers(-(2**20), 2**20, len(w)).astype("i4")
    sums = abs(cyconv.conv_integer(x, w, x_zero, w_zero, **case.geometry).astype("i8"))
    x_scale = np.float32(rng.uniform(0.001, 1))
    w_scale = rng.uniform(0.001, 1, len(w) if each else ()).astype("f4")
    most = np.iinfo(types[2]).max / rng.uniform(0.3, 3)
    y_scale = np.float32(max(sums.max(initial=1), 1) * x_scale * w_scale.max() / most)
    return x, x_scale, x_zero, w, w_scale, w_zero, y_scale, numbers(rng, (), types[2]), bias


@pytest.mark.parametrize("algorithm", EXACT)
@pytest.mark.parametrize("types", [("uint8", "int8"), ("int16", "int16")], ids="-".join)
@pytest.mark.parametrize(
    "case", named("groups_3_strided", "pointwise", "volume", "unbatched"), ids=str
)
def test_every_algorithm(case, types, algorithm, kind):
    arguments = layer(case.seed, case, *types)
    x, _, x_zero, w, _, w_zero, *_ = arguments
    how = {"device": kind, "algorithm": algorithm, **case.geometry}
    sums = cyconv.conv_integer(x, w, x_zero, w_zero, **how)
    assert sums.dtype == np.int32
    np.testing.assert_array_equal(sums, cyconv.conv_integer(x, w, x_zero, w_zero, **case.geometry))
    y = cyconv.qlinear_conv(*arguments, **how)
    expected = cyconv.qlinear_conv(*arguments, **case.geometry)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y, expected)


@seeds(12, full=400)
def test_random_layers(seed, kind):
    rng = np.random.default_rng((seed, 3))
    case = SOME[rng.integers(len(SOME))]
    x, *rest = layer(seed, case)
    how = dict(case.geometry)
    if rng.integers(2):
        x, how["data_format"] = np.moveaxis(x, -case.rank - 1, -1), "channels_last"
    if rng.integers(2):
        how["out_dtype"] = str(rng.choice(["int16"]))
    y = cyconv.qlinear_conv(x, *rest, device=kind, **how)
    expected = cyconv.qlinear_conv(x, *rest, **how)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y, expected, f"seed {seed}: {case}")


def test_halves_go_to_the_even_number_before_the_zero_point_is_added(device):
    x = np.arange(-9, 10, 2, dtype="i1").reshape(1, 1, -1)
    one = np.ones((1, 1, 1), "i1")
    y = cyconv.qlinear_conv(x, 1.0, 0, one, 1.0, 0, 2.0, np.int8(1), device=device)
    assert y.ravel().tolist() == [-3, -3, -1, -1, 1, 1, 3, 3, 5, 5]


def test_arrays_in_device_memory_stay_there(device):
    case = named("groups_3_strided")[0]
    x, x_scale, x_zero, w, *rest = layer(5, case, "uint8", "int8")
    queue = opencl.queue(device)
    there, weights = (pyopencl.array.to_device(queue, a) for a in (x, w))
    how = {"device": device, **case.geometry}
    with opencl.log() as events:
        y = cyconv.qlinear_conv(there, x_scale, x_zero, weights, *rest, **how)
        sums = cyconv.conv_integer(there, weights, x_zero, rest[1], **how)
    assert not [kind for kind, _ in events if kind == "download"]
    expected = cyconv.qlinear_conv(x, x_scale, x_zero, w, *rest, **case.geometry)
    np.testing.assert_array_equal(y.get(), expected)
    expected = cyconv.conv_integer(x, w, x_zero, rest[1], **case.geometry)
    np.testing.assert_array_equal(sums.get(), expected)
    out = pyopencl.array.zeros(queue, expected.shape, np.int32)
    assert cyconv.conv_integer(there, w, x_zero, rest[1], out=out, **how) is out
    np.testing.assert_array_equal(out.get(), expected)
    own = np.zeros(expected.shape, np.int32)
    assert cyconv.conv_integer(x, weights, x_zero, rest[1], out=own, **how) is own
    np.testing.assert_array_equal(own, expected)


def test_what_a_device_refuses(device):
    x, w = np.ones((1, 2, 5, 5), "u1"), np.ones((3, 2, 3, 3), "i1")
    there = pyopencl.array.to_device(opencl.queue(device), x)
    with pytest.raises(TypeError, match="conv_integer: x must be an ndarray for device='cpu'"):
        cyconv.conv_integer(there, w)
    with pytest.raises(TypeError, match="conv_integer: x_zero_point must be an ndarray"):
        cyconv.conv_integer(there, w, there[0, 0, 0, :1], device=device)
    with pytest.raises(ValueError, match="winograd needs a float dtype on an OpenCL device"):
        cyconv.conv_integer(x, w, algorithm="winograd", device=device)
    with pytest.raises(TypeError, match=r"x\.dtype must be one of uint8, int8, int16"):
        cyconv.conv_integer(there.astype(np.float32), w, device=device)
