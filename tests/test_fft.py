"""FFT of tiles, by the kernels' transforms and by SciPy's: the same bits on any threads, errors
raised, quiet parts kept.
"""

import gc

import numpy as np
import pytest
import scipy.fft

import cyconv
from cyconv.algorithms import fft, mending
from cyconv.algorithms.fft import Piece
from cyconv.algorithms.fft_floor import Tile
from cyconv.algorithms.tiling import fast_length
from cyconv.planning.plan import cache

LONG = ((1, 1, 600_000), (1, 1, 300))  # several pieces
TILED = ((1, 6, 90, 700), (6, 1, 15, 17))


@pytest.fixture(params=["kernels", "scipy"], autouse=True)
def way(request, monkeypatch):
    """Whose transforms the plans made meanwhile take."""
    cache.drop(lambda plan: True)
    if request.param == "scipy":
        monkeypatch.setattr(fft, "best_pairs", lambda *args: None)
    yield request.param
    cache.drop(lambda plan: True)


by_scipy = pytest.mark.parametrize("way", ["scipy"], indirect=True)


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


@by_scipy
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


WIDE = {
    "float32": 6,
    "float64": 60,
}
"""Decades above and below 1 that sizes of numbers are drawn from; products stay in the type."""


def wide(rng, shape, dtype, decades):
    return (rng.standard_normal(shape) * 10 ** rng.uniform(-decades, decades, shape)).astype(dtype)


def assert_componentwise(x, w, limit=8192, **geometry):
    """Each output within `limit` roundings of its own terms' sizes; of the largest's, if empty."""
    problem = cyconv.Problem(x.shape, w.shape, dtype=x.dtype, **geometry)
    y = cyconv.plan(problem, algorithm="fft").pack(w)(x)
    how = {"algorithm": "direct", **geometry}
    expected = cyconv.conv(x.astype(float), w.astype(float), **how)
    sizes = cyconv.conv(abs(x).astype(float), abs(w).astype(float), **how)
    sizes[sizes == 0] = sizes.max() / limit
    assert (abs(y - expected) <= limit * np.finfo(x.dtype).eps * sizes).all()


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize(
    ("shapes", "geometry"),
    [
        (((1, 1, 5000), (1, 1, 400)), {"padding": 399}),
        (((1, 4, 900), (4, 2, 301)), {"groups": 2, "padding": 150}),
        (((2, 2, 90, 80), (4, 1, 21, 19)), {"groups": 2, "padding": 10}),
        (((1, 2, 90, 80), (3, 2, 11, 9)), {"stride": 2, "dilation": 2, "padding": 20}),
        (((1, 1, 24, 25, 26), (1, 1, 9, 8, 7)), {}),
    ],
)
def test_each_output_keeps_the_digits_of_its_own_terms(shapes, geometry, dtype, both):
    rng = np.random.default_rng(11)
    decades = WIDE[dtype]
    x = wide(rng, shapes[0], dtype, decades)
    w = wide(rng, shapes[1], dtype, decades if both else 0)
    assert_componentwise(x, w, **geometry)
    x = wide(rng, shapes[0], dtype, 0)
    assert_componentwise(x, wide(rng, shapes[1], dtype, decades), **geometry)


@pytest.mark.parametrize("dtype", WIDE)
def test_quiet_parts_between_silence_and_tails_keep_their_digits(dtype):
    rng = np.random.default_rng(12)
    x = rng.standard_normal((1, 1, 40_000)).astype(dtype)
    w = rng.standard_normal((1, 1, 700)).astype(dtype)
    tails = np.exp(-(np.linspace(-8, 8, 301) ** 2) / 2).astype(dtype)
    assert_componentwise(x, tails[None, None], padding=300)
    x[..., 20_000:] *= 1e-7
    assert_componentwise(x, w)
    x[..., 20_000:] = 0
    x[..., 30_000] = 1e-9
    assert_componentwise(x, w)


@pytest.mark.parametrize("dtype", WIDE)
def test_flat_areas_are_not_summed_again_one_by_one(dtype, monkeypatch):
    """Sums that cancel are small by rights: the spectra of the sizes tell."""
    summed = []
    again = Tile.sum_again
    monkeypatch.setattr(
        Tile, "sum_again", lambda tile, cells: (summed.append(cells.sum()), again(tile, cells))
    )
    monkeypatch.setattr(mending, "repair", None)  # nor all of them
    x = np.ones((1, 1, 40_000), dtype)
    x[..., 17_000:17_350] = 1e-9  # dark, so that the outputs are looked at
    x[..., 20_000:30_000] = 0
    w = np.repeat([1, -1], 150).astype(dtype)[None, None]
    assert_componentwise(x, w)
    assert 0 < sum(summed) < 10_000


def test_a_geometric_series_keeps_each_of_its_digits():
    """Entries from 1 to 1e162, and zeros that are zero, where the largest decides SciPy's error."""
    a = np.concatenate([np.zeros(10_000), 10.0 ** (9 * np.arange(10))])
    ends = [min(i, 18 - i) + 1 for i in range(19)]
    exact = np.concatenate([np.zeros(20_000), ends * 10.0 ** (9 * np.arange(19))])
    found = {
        "convolve": cyconv.signal.convolve(a, a),
        "by fft": cyconv.signal.convolve(a, a, method="fft"),
        "conv1d": cyconv.conv1d(a[None], a[None, None], padding=len(a) - 1, flip=True)[0],
    }
    for name, y in found.items():
        np.testing.assert_allclose(y, exact, rtol=1e-12, atol=0, err_msg=name)
    plane = a[9890:].reshape(1, 1, 10, 12)
    how = {"padding": (9, 11), "flip": True}
    expected = cyconv.conv2d(plane, plane, **how, algorithm="direct")
    for algorithm in "auto", "fft":
        y = cyconv.conv2d(plane, plane, **how, algorithm=algorithm)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=0)
