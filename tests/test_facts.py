"""What courses teach of strides, groups, dilation and depth, each fact a test named for it.

What they teach of the plain operation is in the folder chapter.
"""

import numpy as np
import pytest

import cyconv

from .chapter.numbers import by_algorithm, plane

# ---- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("h", [7, 8, 224])
@pytest.mark.parametrize(
    ("k", "p", "d", "s"), [(3, 1, 1, 2), (7, 3, 1, 2), (3, 0, 2, 1), (5, 2, 1, 4), (2, 1, 3, 3)]
)
def test_the_output_has_floor_h_plus_2p_minus_d_k_minus_1_minus_1_over_s_plus_1_rows(h, k, p, d, s):
    expected = (h + 2 * p - d * (k - 1) - 1) // s + 1
    shapes = (1, 1, h, h), (1, 1, k, k)
    problem = cyconv.Problem(*shapes, stride=s, padding=p, dilation=d)
    assert problem.output_shape == (1, 1, expected, expected)
    x, w = (np.ones(shape, np.float32) for shape in shapes)
    assert cyconv.conv2d(x, w, None, s, p, d).shape == problem.output_shape


def test_padding_by_half_an_odd_kernel_keeps_the_size():
    for k in (1, 3, 5, 7, 11):
        problem = cyconv.Problem((1, 1, 30, 40), (1, 1, k, k), padding=k // 2)
        assert problem.output_shape == (1, 1, 30, 40)


# ---- parameters --------------------------------------------------------------------------------


def test_a_depthwise_layer_has_a_channels_th_of_the_parameters():
    dense = cyconv.Problem((1, 32, 14, 14), (32, 32, 3, 3))
    depthwise = cyconv.Problem((1, 32, 14, 14), (32, 1, 3, 3), groups=32)
    assert dense.parameters == 32 * depthwise.parameters
    assert dense.flops == 32 * depthwise.flops


def test_a_kernel_of_k_cells_dilated_by_d_sees_d_k_minus_1_plus_1_cells():
    problem = cyconv.Problem((1, 1, 30, 30), (1, 1, 3, 5), dilation=(2, 3))
    assert problem.receptive_field == (5, 13)


# ---- layers ------------------------------------------------------------------------------------


@by_algorithm
def test_two_3x3_layers_see_5x5_cells(algorithm):
    x = np.zeros((1, 1, 11, 11), np.float32)
    x[0, 0, 5, 5] = 1
    w = plane(np.ones((3, 3)))
    y = x
    for _ in range(2):
        y = cyconv.conv2d(y, w, padding=1, algorithm=algorithm)
    seen = np.zeros((11, 11), bool)
    seen[3:8, 3:8] = True
    np.testing.assert_array_equal(y[0, 0] != 0, seen)


def test_a_1x1_convolution_mixes_channels_pixel_by_pixel():
    rng = np.random.default_rng(7)
    x = rng.integers(-9, 10, (1, 5, 4, 6)).astype(np.float32)
    w = rng.integers(-9, 10, (7, 5, 1, 1)).astype(np.float32)
    y = cyconv.conv2d(x, w)
    mixed = w[:, :, 0, 0] @ x[0].reshape(5, 24)
    np.testing.assert_array_equal(y[0].reshape(7, 24), mixed)
