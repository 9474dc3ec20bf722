"""Computational complexity, in operations counted and times predicted: nothing here is measured."""

from collections import Counter
from fractions import Fraction
from math import prod

import numpy as np
import pytest
import scipy.fft

import cyconv
from cyconv.algorithms.winograd_matrices import cook_toom
from tests import oracle

from .numbers import plane

# ---- direct ------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [3, 5, 11])
def test_direct_convolution_takes_h_w_c_in_c_out_k_squared_multiply_adds(k):
    """Of the output's H and W, which are the input's under "same" padding; less without."""
    x_shape, w_shape = (1, 3, 32, 32), (64, 3, k, k)
    same = cyconv.Problem(x_shape, w_shape, padding="same")
    assert same.flops == 2 * 32 * 32 * 3 * 64 * k**2
    bare = cyconv.Problem(x_shape, w_shape)
    assert bare.flops == 2 * (32 - k + 1) ** 2 * 3 * 64 * k**2


@pytest.mark.parametrize(
    ("change", "factor"),
    [
        ({"h": 64}, 2),
        ({"w": 96}, 3),
        ({"c_in": 6}, 2),
        ({"c_out": 640}, 10),
        ({"k": 9}, 9),
    ],
    ids=str,
)
def test_each_factor_of_the_formula_multiplies_the_operations(change, factor):
    def flops(h=32, w=32, c_in=3, c_out=64, k=3):
        return cyconv.Problem((1, c_in, h, w), (c_out, c_in, k, k), padding="same").flops

    assert flops(**change) == factor * flops()


# ---- by FFT ------------------------------------------------------------------------------------


def test_a_product_of_spectra_is_a_circular_convolution():
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((16, 16)), rng.standard_normal((11, 11))
    spectra = np.fft.rfft2(x) * np.fft.rfft2(w, x.shape)
    y = cyconv.conv2d(
        x[None], w[None, None], padding=((10, 0), (10, 0)), padding_mode="circular", flip=True
    )
    np.testing.assert_allclose(np.fft.irfft2(spectra, x.shape), y[0], atol=1e-12)


def test_each_channel_and_each_filter_is_transformed_once(monkeypatch):
    """The text multiplies the transforms' cost, H W log(H W), by C_in C_out.

    So many planes has only the kernel, and its spectra are made once. An image takes C_in
    transforms there and C_out back for each tile; only products of spectra, which have no
    logarithm, come C_in C_out times.
    """
    planes = Counter()

    def counting(name, transform):
        def counted(a, *args, **kwargs):
            planes[name] += prod(np.shape(a)[:-4])
            return transform(a, *args, **kwargs)

        return counted

    for name in ("rfftn", "irfftn"):  # what is transformed along four axes is SciPy's
        monkeypatch.setattr(scipy.fft, name, counting(name, getattr(scipy.fft, name)))
    x, w = np.ones((1, 3, *[9] * 4), np.float32), np.ones((16, 3, *[4] * 4), np.float32)
    packed = cyconv.plan(cyconv.Problem(x.shape, w.shape), algorithm="fft", threads=1).pack(w)
    assert planes == {"rfftn": 16 * 3}
    planes.clear()
    y = packed(x)
    np.testing.assert_allclose(y, 3 * 4**4, rtol=1e-5)
    tiles = planes["rfftn"] // 3
    assert 1 <= tiles <= 4
    assert planes == {"rfftn": tiles * 3, "irfftn": tiles * 16}


def predicted(k):
    """The algorithm chosen for 64 to 64 channels of 128 x 128, and each one's predicted seconds."""
    problem = cyconv.Problem((1, 64, 128, 128), (64, 64, k, k), padding="same")
    told = cyconv.plan(problem).explain().to_dict()
    return told["algorithm"], {each["name"]: each["seconds"] for each in told["candidates"]}


def test_larger_kernels_cost_direct_the_square_and_fft_far_less(isa):
    """By prediction: 31 x 31 taps are 107 times 3 x 3; their tiles are larger and overlap more."""
    (_, small), (_, large) = predicted(3), predicted(31)
    assert large["direct"] > 50 * small["direct"]
    assert large["fft"] < 7 * small["fft"]


def test_for_3x3_another_way_than_fft_is_chosen_and_for_large_kernels_fft(isa):
    """Whether Winograd or a direct sum is best for 3 x 3 depends on the channels."""
    assert predicted(3)[0] != "fft"
    assert predicted(15)[0] == predicted(31)[0] == "fft"


def test_from_which_size_on_fft_pays_depends_on_the_layer(isa):
    """At the text's 11 x 11 it pays on 64 large channels, and not on a small one."""

    def chosen(c, hw, k):
        return cyconv.plan(cyconv.Problem((1, c, hw, hw), (64, c, k, k), padding="same")).algorithm

    assert chosen(1, 32, 11) != "fft"
    assert chosen(64, 224, 11) == "fft"


# ---- in practice -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "fewer"), [(2, Fraction(9, 4)), (4, 4), (6, Fraction(81, 16))], ids=["f23", "f43", "f63"]
)
def test_winograd_saves_2_25_times_the_multiplications_of_3x3_and_larger_tiles_more(m, fewer):
    """An m x m tile takes (m + 2)^2 products in place of 9 m^2, here on the image 1 to 16."""
    at, g, bt = (np.array(matrix, float) for matrix in cook_toom(m, 3))
    w = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], float)
    x = np.arange(1.0, (m + 2) ** 2 + 1).reshape(m + 2, m + 2)
    products = (g @ w @ g.T) * (bt @ x @ bt.T)
    np.testing.assert_allclose(at @ products @ at.T, np.full((m, m), -8), atol=1e-9)
    np.testing.assert_allclose(cyconv.conv2d(plane(x), plane(w))[0, 0], -8)
    assert Fraction(9 * m**2, products.size) == fewer


@pytest.mark.parametrize("algorithm", ["im2col", "winograd", "fft"])
def test_each_of_the_named_optimizations_can_be_asked_for_and_gives_the_same(algorithm):
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((1, 3, 32, 32)), rng.standard_normal((64, 3, 3, 3))
    y = cyconv.conv2d(x, w, padding=1, algorithm=algorithm)
    np.testing.assert_allclose(y, oracle.conv(x, w, padding=1), atol=1e-12)


def test_the_choice_depends_on_the_shapes_and_is_the_fastest_predicted(isa):
    found = set()
    for k in (1, 3, 31):
        chosen, seconds = predicted(k)
        possible = {name: s for name, s in seconds.items() if s is not None}
        assert chosen == min(possible, key=possible.get)
        found.add(chosen)
    assert len(found) == 3
