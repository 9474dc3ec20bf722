"""The kernels' own transforms: every geometry, any threads, batch and strides, bounded scratch."""

import numpy as np
import pytest

import cyconv
from cyconv.algorithms import mending
from cyconv.algorithms.tile_pairs import best_pairs
from cyconv.lowering.borders import BORDERS, extended

LIMIT = 2**28
SHAPES = {
    "a line": (((1, 1, 1, 5000), (1, 1, 1, 100)), {}),
    "a short line": (((1, 1, 1, 40), (1, 1, 1, 31)), {"padding": (0, 30)}),
    "lines beside each other": (((2, 3, 4, 900), (3, 1, 1, 77)), {"groups": 3, "padding": (1, 30)}),
    "strided lines": (((1, 4, 30, 300), (4, 2, 1, 35)), {"groups": 2, "stride": (3, 2)}),
    "a plane": (((1, 1, 100, 120), (1, 1, 11, 13)), {"padding": 5}),
    "one column": (((1, 1, 50, 1), (1, 1, 9, 1)), {}),
    "planes with everything": (
        ((2, 4, 100, 90), (6, 2, 11, 5)),
        {"groups": 2, "padding": ((3, 20), (0, 7)), "stride": (2, 3), "dilation": (1, 4)},
    ),
    "a padding beyond the kernel": (((1, 2, 20, 30), (1, 2, 5, 5)), {"padding": 40}),
    "a volume": (((1, 2, 20, 21, 42), (2, 2, 9, 8, 7)), {"padding": 4}),
    "a volume's planes": (((1, 1, 5, 40, 42), (1, 1, 1, 9, 7)), {"padding": 1}),
    "a volume's lines": (((1, 1, 3, 4, 420), (1, 1, 1, 1, 70)), {"stride": (2, 1, 1)}),
    "volumes beside each other": (((1, 1, 3, 12, 13, 14), (1, 1, 1, 5, 4, 3)), {}),
    "one tap": (((1, 1, 6, 7), (1, 1, 1, 1)), {"padding": 1}),
}


def operands(shapes, dtype):
    rng = np.random.default_rng(3)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def correlated(x, w, threads=1, limit=LIMIT, out=None, **geometry):
    """By pairs of tiles; a result filled with NaN before."""
    problem = cyconv.Problem(x.shape, w.shape, dtype=x.dtype, **geometry)
    pairs = best_pairs(problem, limit, cyconv.kernels.isa())
    assert pairs.bytes + pairs.spectra_bytes <= limit
    y = np.full(problem.output_shape, np.nan, x.dtype) if out is None else out
    pairs.run(x, pairs.pack(w), y, threads, 1.0)
    return y


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("isa", cyconv.kernels.available())
@pytest.mark.parametrize("name", SHAPES)
def test_sums_are_those_of_the_definition(name, isa, dtype, monkeypatch):
    shapes, geometry = SHAPES[name]
    x, w = operands(shapes, dtype)
    monkeypatch.setattr(cyconv.kernels, "isa", lambda: isa)
    y = correlated(x, w, **geometry)
    expected = cyconv.conv(x.astype(float), w.astype(float), algorithm="direct", **geometry)
    error = np.linalg.norm(y - expected) / np.linalg.norm(expected)
    assert error <= 6 * np.finfo(dtype).eps  # each of some 32 levels rounds at random


@pytest.mark.parametrize("name", SHAPES)
def test_neither_threads_nor_batch_nor_strides_change_a_bit(name):
    shapes, geometry = SHAPES[name]
    x, w = operands(shapes, "float32")
    x = np.concatenate([x, x[:, :, ::-1]])
    y = correlated(x, w, **geometry)
    np.testing.assert_array_equal(correlated(x, w, threads=2, **geometry), y)
    np.testing.assert_array_equal(correlated(x[-1:], w, **geometry), y[-1:])
    apart = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)[..., ::2]
    apart[...] = x
    out = np.full((*y.shape[:-1], 3 * y.shape[-1]), np.nan, y.dtype)
    correlated(apart, w, out=out[..., ::3], **geometry)
    np.testing.assert_array_equal(out[..., ::3], y)
    assert np.isnan(out[..., 1::3]).all()


@pytest.mark.parametrize("name", ["a line", "a plane", "a volume"])
def test_a_small_limit_takes_smaller_tiles_or_none(name):
    shapes, geometry = SHAPES[name]
    x, w = operands(shapes, "float64")
    problem = cyconv.Problem(*shapes, dtype="float64", **geometry)
    most = best_pairs(problem, LIMIT, cyconv.kernels.isa())
    limit = most.bytes + most.spectra_bytes - 1
    less = best_pairs(problem, limit, cyconv.kernels.isa())
    if less is not None:
        assert less.lengths != most.lengths
        y = correlated(x, w, limit=limit, **geometry)
        np.testing.assert_allclose(y, correlated(x, w, **geometry), rtol=0, atol=1e-12)
    assert best_pairs(problem, 1000, cyconv.kernels.isa()) is None


def test_what_the_kernels_leave_to_scipy():
    isa = cyconv.kernels.isa()
    four = cyconv.Problem((1, 1, 5, 6, 7, 8), (1, 1, 2, 2, 2, 2))
    empty = cyconv.Problem((1, 0, 5, 6), (1, 0, 2, 2))
    assert best_pairs(four, LIMIT, isa) is None
    assert best_pairs(empty, LIMIT, isa) is None


IMAGES = {
    "a line": ((1, 1, 1, 5000), (1, 1, 1, 100), ((0, 0), (60, 39))),
    "a plane": ((2, 3, 100, 120), (2, 3, 11, 13), ((3, 7), (12, 0))),
    "a plane in many tiles": ((1, 1, 700, 40), (1, 1, 11, 33), ((5, 5), (16, 16))),
    "a border wider than the image": ((1, 1, 6, 5), (1, 1, 31, 41), ((15, 15), (40, 0))),
    "a volume": ((1, 1, 20, 21, 42), (1, 1, 9, 8, 7), ((4, 4), (0, 7), (3, 3))),
    "a volume's lines": ((1, 2, 5, 420), (2, 1, 1, 70), ((3, 9), (35, 34))),
}


@pytest.mark.parametrize("stored", ["float32", "uint8", "uint16", "int16"])
@pytest.mark.parametrize("mode", BORDERS)
@pytest.mark.parametrize("name", IMAGES)
def test_a_border_is_read_with_the_tiles_from_any_type(name, mode, stored):
    x_shape, w_shape, widths = IMAGES[name]
    if mode == "constant" and name == "a volume's lines":
        widths = ((0, 0), *widths[1:])  # lines of nothing else are no tile's
    rng = np.random.default_rng(5)
    x = rng.integers(0, 99, x_shape).astype(stored)
    w = rng.standard_normal(w_shape)
    whole = extended(x, ((0, 0), (0, 0), *widths), mode, 2.5, np.float64)
    problem = cyconv.Problem(whole.shape, w.shape, dtype="float64", groups=x_shape[1] // w_shape[1])
    pairs = best_pairs(problem, LIMIT, cyconv.kernels.isa())
    packed = pairs.pack(w)
    expected = np.full(problem.output_shape, np.nan)
    pairs.run(whole, packed, expected, 1, 1.0)
    for out in ("float64", "float32"):
        y = np.full(problem.output_shape, np.nan, out)
        pairs.run(x, packed, y, 2, 1.0, (widths, mode, 2.5))
        np.testing.assert_array_equal(y, expected.astype(out))


@pytest.mark.parametrize("value", [np.nan, 1e30])
@pytest.mark.parametrize("mode", BORDERS)
def test_a_value_that_the_border_repeats_is_mended_there_too(mode, value):
    x, w = operands(SHAPES["a plane"][0], "float32")
    x[0, 0, 2, 3] = value
    widths = ((5, 5), (6, 6))
    whole = extended(x, ((0, 0), (0, 0), *widths), mode, 0.5, np.float64)
    w = w.astype(float)
    expected = cyconv.conv(whole, w, algorithm="direct").astype(x.dtype)
    problem = cyconv.Problem(whole.shape, w.shape, dtype="float64")
    pairs = best_pairs(problem, LIMIT, cyconv.kernels.isa())
    y = np.full(problem.output_shape, 7, x.dtype)
    with np.errstate(all="ignore"):
        pairs.run(x, pairs.pack(w), y, 1, 1.0, (widths, mode, 0.5))
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_value_that_spoils_a_pair_touches_its_own_windows_only(value):
    x, w = operands(SHAPES["a plane"][0], "float32")
    x[0, 0, 40, 50] = value
    expected = cyconv.conv(x, w, padding=5, algorithm="direct")
    with np.errstate(all="ignore"):
        y = correlated(x, w, padding=5)
    spoiled = ~(abs(expected) < 1e6)
    assert spoiled.sum() == 11 * 13
    np.testing.assert_allclose(y[~spoiled], expected[~spoiled], rtol=0, atol=1e-4)
    np.testing.assert_allclose(y[spoiled], expected[spoiled], rtol=1e-4)


def test_a_call_that_fails_while_it_mends_leaves_the_result_alone(monkeypatch):
    x, w = operands(SHAPES["a plane"][0], "float32")
    x[0, 0, 40, 50] = np.nan
    problem = cyconv.Problem(x.shape, w.shape, padding=5)
    conv = cyconv.plan(problem, algorithm="fft").pack(w)
    out = np.full(problem.output_shape, 7, np.float32)

    def failing(*args):
        raise MemoryError("no more")

    monkeypatch.setattr(mending, "repair", failing)
    with pytest.raises(MemoryError, match="no more"):
        conv(x, out=out)
    assert (out == 7).all()
