"""FFT by pieces of tiles: the same bits on any threads, errors raised, quiet parts kept."""

import gc

import numpy as np
import pytest
import scipy.fft

import cyconv
from cyconv.algorithms.fft import Piece
from cyconv.algorithms.tiling import fast_length

LONG = ((1, 1, 600_000), (1, 1, 300))  # several pieces
TILED = ((1, 6, 90, 700), (6, 1, 15, 17))


def data(shapes, dtype=np.float32):
    rng = np.random.default_rng(7)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def packed(shapes, w, **options):
    groups = shapes[0][1] // shapes[1][1]
    problem = cyconv.Problem(*shapes, dtype=w.dtype, groups=groups)
    return cyconv.plan(problem, algorithm="fft", **options).pack(w)


@pytest.mark.parametrize("shapes", [LONG, TILED])
def test_pieces_on_two_threads_give_the_bits_of_one(shapes):
    x, w = data(shapes)
    expected = packed(shapes, w, threads=1)(x)
    np.testing.assert_array_equal(packed(shapes, w, threads=2)(x), expected)


def test_lengths_of_tiles_are_those_that_scipy_transforms_fast():
    rng = np.random.default_rng(5)
    for n in [*range(1, 300), *rng.integers(300, 2**31, 300).tolist()]:
        assert fast_length(n) == scipy.fft.next_fast_len(n, real=True)


@pytest.mark.parametrize("shapes", [LONG, TILED])
@pytest.mark.parametrize("limit", [2**20, 2**18])
def test_a_small_workspace_takes_smaller_pieces(shapes, limit):
    x, w = data(shapes, np.float64)
    conv = packed(shapes, w, threads=2, workspace_limit=limit)
    assert conv.plan.workspace_bytes <= limit
    np.testing.assert_allclose(conv(x), packed(shapes, w)(x), rtol=0, atol=1e-12 * w[0].size)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_piece_raises_is_raised_and_out_untouched(threads, monkeypatch):
    x, w = data(LONG)
    conv = packed(LONG, w, threads=threads)
    calls, irfftn = [], scipy.fft.irfftn

    def failing(*args, **kwargs):
        calls.append(None)
        if len(calls) == 2:
            raise MemoryError("no more")
        return irfftn(*args, **kwargs)

    out = np.full(conv.plan.problem.output_shape, np.nan, np.float32)
    monkeypatch.setattr(scipy.fft, "irfftn", failing)
    with pytest.raises(MemoryError, match="no more"):
        conv(x, out=out)
    assert np.isnan(out).all()
    monkeypatch.undo()
    assert np.isfinite(conv(x, out=out)).all()


def test_a_quiet_part_keeps_its_digits_beside_a_loud_one():
    x, w = data(LONG)
    x[..., 200_000:] *= 1e-6
    y = packed(LONG, w)(x)[..., 200_000:]
    expected = cyconv.conv1d(x[..., 200_000:].astype(float), w.astype(float), algorithm="direct")
    assert abs(y - expected).max() <= 1e-5 * abs(expected).max()


def test_a_call_leaves_nothing_for_the_collector_of_cycles():
    x, w = data(LONG)
    conv, y = packed(LONG, w, threads=2), np.empty((1, 1, 600_000 - 299), np.float32)
    conv(x, out=y)
    gc.collect()
    gc.disable()
    try:
        conv(x, out=y)
        assert not any(isinstance(o, Piece) for o in gc.get_objects())
    finally:
        gc.enable()
