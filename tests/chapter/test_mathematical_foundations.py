"""Mathematical foundations: the two operations, their formulas and the table that compares them."""

import numpy as np
import pytest

import cyconv
from cyconv import signal
from tests.variants import by_every_way

from .numbers import (
    IMAGE,
    KERNEL,
    PRINTED,
    H,
    X,
    by_algorithm,
    integers,
    plane,
    turned,
)


def at(sequence, i):
    """The sequence, zero outside."""
    return sequence[i] if 0 <= i < len(sequence) else 0


# ---- continuous convolution --------------------------------------------------------------------


def test_the_integral_is_the_limit_of_sums():
    """``(f * g)(t) = exp(-t) - exp(-2 t)`` for ``f(t) = exp(-t)``, ``g(t) = exp(-2 t)``, t > 0.

    Values at the middles of cells of width h make the sum, times h, the midpoint rule, so each
    halving of h leaves a quarter of the error.
    """
    errors = []
    for n in (64, 128, 256):
        h = 8 / n
        t = h * (np.arange(n) + 0.5)
        sums = h * signal.convolve(np.exp(-t), np.exp(-2 * t))[:n]
        ends = h * (np.arange(n) + 1)
        errors.append(abs(sums - (np.exp(-ends) - np.exp(-2 * ends))).max())
    assert errors[0] < 1e-2
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.05)


# ---- discrete convolution ----------------------------------------------------------------------


def test_convolution_is_the_sum_of_x_m_h_n_minus_m():
    expected = [sum(X[m] * at(H, n - m) for m in range(5)) for n in range(7)]
    y = cyconv.conv1d(plane(X), plane(H), padding=2, flip=True)
    assert y.ravel().tolist() == expected == [1, 4, 10, 12, 10, 2, 3]
    assert signal.convolve(X, H).tolist() == expected


def test_convolution_slides_the_kernel_reversed():
    y = cyconv.conv1d(plane(X), plane(H), flip=True)
    reversed_ = cyconv.conv1d(plane(X), plane(H[::-1]))
    windows = [np.dot(X[i : i + 3], H[::-1]) for i in range(3)]
    assert y.ravel().tolist() == reversed_.ravel().tolist() == windows


# ---- cross-correlation -------------------------------------------------------------------------


def test_cross_correlation_is_the_sum_of_x_i_plus_j_h_j():
    """What the text gives for a finite kernel, and what the functions named conv compute."""
    expected = [sum(X[i + j] * H[j] for j in range(3)) for i in range(3)]
    assert cyconv.conv1d(plane(X), plane(H)).ravel().tolist() == expected == [14, 8, 6]
    assert signal.correlate(X, H, "valid").tolist() == expected


def test_the_sum_of_x_m_h_n_plus_m_is_that_correlation_backwards():
    """The text calls the two sums equivalent. They are each other's mirror image.

    With ``k = n + m`` the first is ``sum over k of x[k - n] h[k]``, the second's value at -n. The
    formula without the mirror is ``sum over m of x[m] h[m - n]``.
    """
    lags = range(-4, 5)
    first = {n: sum(X[m] * at(H, n + m) for m in range(5)) for n in lags}
    second = {i: sum(at(X, i + j) * H[j] for j in range(3)) for i in lags}
    mended = {n: sum(X[m] * at(H, m - n) for m in range(5)) for n in lags}
    assert first != second
    assert first == {-i: y for i, y in second.items()}
    assert mended == second
    y = cyconv.conv1d(plane(X), plane(H), padding=2)
    assert y.ravel().tolist() == [second[i] for i in range(-2, 5)]


# ---- the comparison, row by row ----------------------------------------------------------------


@by_every_way
def test_true_convolution_is_cross_correlation_with_the_kernel_turned_by_180_degrees(algorithm):
    """To the bit: `flip` only reads the taps backwards."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 3, 12, 13)).astype(np.float32)
    w = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    if algorithm.variant in ("small", "large"):
        w = rng.standard_normal((4, 3, 5, 5)).astype(np.float32)
    y = cyconv.conv2d(x, w, flip=True, algorithm=algorithm)
    np.testing.assert_array_equal(y, cyconv.conv2d(x, turned(w), algorithm=algorithm))
    for other in (w, w[:, :, ::-1], w[..., ::-1], w.swapaxes(2, 3)):
        assert not np.allclose(y, cyconv.conv2d(x, other, algorithm=algorithm))


def test_convolution_commutes_and_cross_correlation_does_not():
    """Swapped, a correlation comes out backwards."""
    x, h = plane(X), plane(H)
    f_g, g_f = (cyconv.conv1d(x, h, padding=2, flip=flip) for flip in (True, False))
    swapped, swapped_g_f = (cyconv.conv1d(h, x, padding=4, flip=flip) for flip in (True, False))
    np.testing.assert_array_equal(f_g, swapped)
    assert not np.array_equal(g_f, swapped_g_f)
    np.testing.assert_array_equal(g_f, swapped_g_f[..., ::-1])


def test_convolution_is_associative_and_cross_correlation_is_not():
    """Two correlations in a row are one, with the kernels *convolved*."""
    f, g, h = X, H, [4, 5, 6]
    convolve, correlate = signal.convolve, signal.correlate
    np.testing.assert_array_equal(convolve(convolve(f, g), h), convolve(f, convolve(g, h)))
    twice = correlate(correlate(f, g), h)
    assert not np.array_equal(twice, correlate(f, correlate(g, h)))
    np.testing.assert_array_equal(twice, correlate(f, convolve(g, h)))


def test_cross_correlation_measures_similarity():
    """It is largest, the pattern's sum of squares, where the pattern lies; convolution is less."""
    x = np.zeros(12, int)
    x[5:8] = H
    y = signal.correlate(x, H, "valid")
    assert y.argmax() == 5
    assert y.max() == np.dot(H, H) == 14
    assert signal.convolve(x, H, "valid").max() == 12


def test_networks_functions_correlate_unless_told_to_flip():
    """The worked example begins with -4; its kernel turned is its negative."""
    x, w = plane(IMAGE), plane(KERNEL)
    assert cyconv.conv2d(x, w)[0, 0, 0, 0] == -4
    assert cyconv.conv2d(x, w, flip=True)[0, 0, 0, 0] == 4


# ---- why networks use cross-correlation --------------------------------------------------------


def learned(x, target, flip):
    """The 3 x 3 kernel that gradient descent finds for ``conv2d(x, w) = target``, from zero."""
    w = np.zeros((1, 1, 3, 3))
    for _ in range(60):
        error = cyconv.conv2d(x, w, flip=flip) - target
        w -= cyconv.conv_grad_weight(x, w.shape, error, flip=flip) / error.size
    return w


def test_training_finds_the_sobel_kernel_and_with_the_flip_finds_it_turned():
    """So it does not matter to a network which of the two operations it computes.

    On white noise the squared error's curvature is the number of outputs in every direction, about,
    so a step of one over that leaves a small part of the error.
    """
    x = np.random.default_rng(2).standard_normal((8, 1, 22, 22))
    sobel = PRINTED["sobel_x"].astype(np.float64)[None, None]
    target = cyconv.conv2d(x, sobel)
    np.testing.assert_allclose(learned(x, target, flip=False), sobel, atol=1e-9)
    np.testing.assert_allclose(learned(x, target, flip=True), turned(sobel), atol=1e-9)


def test_the_flip_costs_no_operations():
    """The text has correlation save an extra step; the products and sums are as many in both."""
    shapes = (1, 3, 32, 32), (64, 3, 3, 3)
    one, other = (cyconv.Problem(*shapes, padding=1, flip=flip) for flip in (False, True))
    assert one != other
    assert one.flops == other.flops


@by_algorithm
@pytest.mark.parametrize("name", ["gaussian", "laplacian", "sharpen", "identity"])
def test_both_are_identical_for_the_symmetric_kernels_of_image_processing(name, algorithm):
    x, w = plane(IMAGE), plane(PRINTED[name])
    y = cyconv.conv2d(x, w, flip=True, algorithm=algorithm)
    np.testing.assert_array_equal(y, cyconv.conv2d(x, w, algorithm=algorithm))


@pytest.mark.parametrize("name", ["sobel_x", "sobel_y"])
def test_a_classic_kernel_may_also_be_antisymmetric(name):
    """The derivatives are no case of the text's "symmetric kernels": convolution negates them."""
    (x,) = integers(3, (1, 1, 9, 8))
    w = plane(PRINTED[name])
    y = cyconv.conv2d(x, w)
    assert y.any()
    np.testing.assert_array_equal(cyconv.conv2d(x, w, flip=True), -y)
