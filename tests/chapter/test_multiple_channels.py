"""Multi-channel convolution: sums over channels, one output for each filter, parameters."""

import numpy as np
import pytest

import cyconv

from .numbers import by_algorithm, integers


@by_algorithm
def test_a_filter_has_a_plane_for_each_channel_and_sums_their_answers(algorithm):
    x, w = integers(1, (1, 3, 7, 8), (1, 3, 3, 3))
    y = cyconv.conv2d(x, w, algorithm=algorithm)
    assert y.shape == (1, 1, 5, 6)
    each = [cyconv.conv2d(x[:, [c]], w[:, [c]], algorithm=algorithm) for c in range(3)]
    np.testing.assert_array_equal(y, sum(each))


def test_each_of_c_out_filters_makes_one_channel_and_adds_its_bias():
    """``Y[o, i, j] = sum over c, m, n of X[c, i + m, j + n] K[o, c, m, n] + b[o]``."""
    x, k, b = integers(2, (2, 5, 6), (3, 2, 2, 3), 3, dtype=np.int64)
    y = cyconv.conv2d(x, k, b)
    assert y.shape == (3, 4, 4)
    for o, i, j in np.ndindex(y.shape):
        assert y[o, i, j] == b[o] + sum(
            x[c, i + m, j + n] * k[o, c, m, n] for c, m, n in np.ndindex(k.shape[1:])
        )
    for o in range(3):
        np.testing.assert_array_equal(cyconv.conv2d(x, k[o : o + 1], b[o : o + 1])[0], y[o])


# ---- parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "w_shape", [(64, 32, 3, 3), (64, 3, 3, 3), (8, 4, 3, 5), (1, 1, 1, 7)], ids=str
)
def test_a_layer_has_c_out_c_in_k_h_k_w_weights_and_c_out_biases(w_shape):
    c_out, c_in, k_h, k_w = w_shape
    problem = cyconv.Problem((1, c_in, 28, 28), w_shape)
    assert problem.parameters == c_out * c_in * k_h * k_w == np.empty(w_shape).size
    assert problem.parameters_with_bias == c_out * c_in * k_h * k_w + c_out


def test_64_filters_of_3x3_on_32_channels_have_18_496_parameters():
    assert cyconv.Problem((1, 32, 28, 28), (64, 32, 3, 3)).parameters_with_bias == 18_496


# ---- the layer on four colour images -----------------------------------------------------------


def test_64_filters_on_four_colour_images_keep_32x32_and_have_1_792_parameters():
    """A border of 1 is "same" padding for 3 x 3."""
    x, w, b = integers(3, (4, 3, 32, 32), (64, 3, 3, 3), 64, dtype=np.int64)
    y = cyconv.conv2d(x, w, b, padding=1)
    assert y.shape == (4, 64, 32, 32)
    np.testing.assert_array_equal(y, cyconv.conv2d(x, w, b, padding="same"))
    problem = cyconv.Problem(x.shape, w.shape, padding=1)
    assert problem.output_shape == y.shape
    assert problem.parameters_with_bias == w.size + b.size == 1_792
