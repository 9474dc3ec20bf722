"""Every example runs, small, and shows what it says; the gallery shows every example."""

import importlib
import re
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("PIL")
ndimage = pytest.importorskip("scipy.ndimage")

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(p.stem for p in EXAMPLES.glob("*.py") if p.stem != "gallery")
SEED = 5


def example(name):
    """The script as a module; Python puts its folder on the path in the same way."""
    if name == "train_digits":
        pytest.importorskip("sklearn")
    if name == "filter_larger_than_memory":
        pytest.importorskip("dask.array")
        pytest.importorskip("zarr")
    with mock.patch.object(sys, "path", [str(EXAMPLES), *sys.path]), matplotlib.rc_context():
        return importlib.import_module(name)


@pytest.fixture
def run(tmp_path):
    """`run(name)`: what the example's main returns, having written its picture and no more."""

    def small(name):
        result = example(name).main(["--small", "--out", str(tmp_path)])
        assert [path.name for path in tmp_path.iterdir()] == [f"{name}.png"]
        assert matplotlib.image.imread(tmp_path / f"{name}.png").shape[1] > 600
        return result

    return small


def test_edges_four_kernels(run):
    edges = run("edges_four_kernels")
    photo = example("gallery").photograph(small=True)
    kernels = example("edges_four_kernels").KERNELS.values()
    for edge, kernel in zip(edges, kernels, strict=True):  # multiples of 1/256: sums are exact
        np.testing.assert_array_equal(edge, ndimage.correlate(photo, kernel, mode="nearest"))


def test_cross_correlation_vs_convolution(run):
    correlation, convolution = run("cross_correlation_vs_convolution")
    kernel = example("cross_correlation_vs_convolution").KERNEL
    np.testing.assert_array_equal(convolution[3:8, 4:8], kernel)
    np.testing.assert_array_equal(correlation[3:8, 4:8], kernel[::-1, ::-1])


def test_equivariance(run):
    circular, zeros, stride, sobel, laplacian = run("equivariance").values()
    assert not circular.any()
    assert not laplacian.any()
    assert sobel.any()
    assert stride.any()
    # Zeros differ from what wraps around, at either side of both borders.
    down, right = example("equivariance").SHIFT
    rows, columns = np.nonzero(zeros)
    assert set(rows[~np.isin(columns, [0, right - 1, right, 127])]) <= {0, down - 1, down, 127}
    assert zeros.any()


def test_im2col_matrix(run):
    columns, matrix = run("im2col_matrix")
    assert columns.shape == (9, 9)
    assert matrix.shape == (9, 25)
    assert np.count_nonzero(matrix) == 9 * 9


def test_deblur_lsqr(run):
    before, after = run("deblur_lsqr")
    assert after > before + 6, "decibels"


def test_train_digits(run):
    losses, scores = run("train_digits")
    assert scores[-1] >= 0.94
    assert np.mean(losses[-10:]) < 0.2 < np.mean(losses[:10])


@pytest.mark.full
def test_train_digits_in_full_reads_97_of_100(tmp_path):
    """As long as the gallery's picture took: a quarter of a minute on one core."""
    losses, scores = example("train_digits").main(["--out", str(tmp_path)])
    assert scores[-1] >= 0.97
    assert np.mean(losses[-10:]) < 0.05


def test_train_digits_has_the_gradient_of_its_loss():
    """(loss(p + h v) - loss(p - h v)) / 2h = <gradient, v>, up to O(h^2) and rounding / h."""
    digits = example("train_digits")
    rng = np.random.default_rng(SEED)
    parameters = digits.initial(rng, np.float64)
    x, labels = rng.random((6, 1, 8, 8)), np.arange(6)
    drop = digits.dropped(rng, (6, *digits.LAST), np.float64)
    _, gradients = digits.loss_and_gradients(parameters, x, labels, drop)
    h = 1e-5
    for i, gradient in enumerate(gradients):
        v = rng.standard_normal(gradient.shape)
        ahead, behind = (
            digits.loss_and_gradients(
                [p + h * s * v if j == i else p for j, p in enumerate(parameters)],
                x,
                labels,
                drop,
            )[0]
            for s in (1, -1)
        )
        assert (ahead - behind) / (2 * h) == pytest.approx((gradient * v).sum(), rel=1e-6, abs=1e-8)


def test_filter_larger_than_memory(run):
    before, after = run("filter_larger_than_memory")
    slope = np.linspace(0, 1, 64)
    assert abs(np.corrcoef(before.mean(0), slope)[0, 1]) > 0.5
    inside = after[:, 12:-12].mean(0)  # a slope has no band: away from the ends it is gone
    assert abs(inside).max() < 0.3


def test_network_tables(run, capsys):
    found = run("network_tables")
    assert found["VGG-16"][1] == 138_357_544
    assert found["ResNet-50"][1] == 25_557_032
    assert "25,557,032 parameters" in capsys.readouterr().out


def test_network_tables_list_every_layer():
    tables = example("network_tables")
    for convolutions, dense, _ in tables.networks().values():
        lines = list(tables.table(convolutions + dense))[1:]
        counts = [int(re.match(r" *(\d+) x", line)[1]) for line in lines]
        assert sum(counts) == len(convolutions) + len(dense)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_gallery_shows_it(name):
    readme = (EXAMPLES / "README.md").read_text()
    assert f"({name}.py)" in readme
    assert f"(../docs/images/{name}.png)" in readme
    picture = ROOT / "docs" / "images" / f"{name}.png"
    assert 1_000 < picture.stat().st_size < 400_000


def test_every_example_is_tested():
    assert {f"test_{name}" for name in SCRIPTS} <= set(globals())
