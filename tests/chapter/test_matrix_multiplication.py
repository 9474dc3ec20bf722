"""Convolution as matrix multiplication: Toeplitz, im2col, and the transpose."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import cyconv
from cyconv import toeplitz

from .numbers import H, X, integers, plane

#: the matrix of a kernel of three taps on five cells, each entry the number of its tap
TAPS = np.array([[0, 1, 2, -1, -1], [-1, 0, 1, 2, -1], [-1, -1, 0, 1, 2]])


# ---- the Toeplitz matrix -----------------------------------------------------------------------


@pytest.mark.parametrize("tap", [0, 1, 2])
def test_the_toeplitz_matrix_has_each_tap_where_it_is_printed(tap):
    k = np.eye(3)[tap]
    np.testing.assert_array_equal(toeplitz.matrix(k[None, None], (1, 5)), tap == TAPS)


def test_the_toeplitz_matrix_of_1_2_3():
    t = toeplitz.matrix(plane(H), (1, 5))
    np.testing.assert_array_equal(t, [[1, 2, 3, 0, 0], [0, 1, 2, 3, 0], [0, 0, 1, 2, 3]])


@pytest.mark.parametrize("form", [toeplitz.matrix, toeplitz.sparse, toeplitz.operator])
def test_its_product_with_x_is_the_convolution(form):
    y = form(plane(H), (1, 5)) @ np.array(X, np.float32)
    assert y.tolist() == cyconv.conv1d(plane(X), plane(H)).ravel().tolist() == [14, 8, 6]


def test_the_matrix_of_a_true_convolution_has_the_taps_reversed():
    """The text's matrix, with k0 k1 k2 along its rows, is that of cross-correlation."""
    t = toeplitz.matrix(plane(H), (1, 5), flip=True)
    np.testing.assert_array_equal(t, [[3, 2, 1, 0, 0], [0, 3, 2, 1, 0], [0, 0, 3, 2, 1]])
    np.testing.assert_array_equal(t @ X, np.convolve(X, H, "valid"))


# ---- im2col ------------------------------------------------------------------------------------

# The text's layer: two images of three channels, 8 x 8, and sixteen 3 x 3 filters with a bias.
IMAGES, WEIGHTS, BIAS = integers(1, (2, 3, 8, 8), (16, 3, 3, 3), 16, dtype=np.int64)


@pytest.mark.parametrize("padding", [0, 1])
def test_a_column_is_a_patch_flattened(padding):
    padded = np.pad(IMAGES, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    columns = cyconv.unfold(IMAGES, 3, padding=padding)
    out = 8 + 2 * padding - 3 + 1
    for n, i, j in np.ndindex(2, out, out):
        patch = padded[n, :, i : i + 3, j : j + 3]
        np.testing.assert_array_equal(columns[n, :, i * out + j], patch.ravel())


@pytest.mark.parametrize(("padding", "h_out"), [(0, 6), (1, 8)])
def test_the_columns_are_c_in_k_squared_by_h_out_w_out(padding, h_out):
    assert cyconv.unfold(IMAGES, 3, padding=padding).shape == (2, 3 * 3**2, h_out * h_out)


@pytest.mark.parametrize("padding", [0, 1])
def test_the_product_of_weight_rows_and_columns_is_the_convolution(padding):
    """``Y = W_row X_col``, to the last digit in whole numbers."""
    w_row = WEIGHTS.reshape(16, 3 * 3**2)
    product = w_row @ cyconv.unfold(IMAGES, 3, padding=padding)
    y = cyconv.conv2d(IMAGES, WEIGHTS, BIAS, padding=padding)
    np.testing.assert_array_equal(product.reshape(y.shape) + BIAS.reshape(16, 1, 1), y)


def test_the_taps_must_stand_before_the_places_when_windows_become_columns():
    """The text's code reshapes windows (C, H_out, W_out, kH, kW) to columns as they lie.

    That gives a matrix of the right shape with its cells in the wrong places, and another answer;
    the taps' axes have to come before the places' first.
    """
    padded = np.pad(IMAGES, [(0, 0), (0, 0), (1, 1), (1, 1)])
    windows = sliding_window_view(padded, (3, 3), (2, 3))
    columns = cyconv.unfold(IMAGES, 3, padding=1)
    as_they_lie = windows.reshape(2, 27, 64)
    assert as_they_lie.shape == columns.shape
    y = cyconv.conv2d(IMAGES, WEIGHTS, padding=1).reshape(2, 16, 64)
    assert not np.array_equal(WEIGHTS.reshape(16, 27) @ as_they_lie, y)
    np.testing.assert_array_equal(windows.transpose(0, 1, 4, 5, 2, 3).reshape(2, 27, 64), columns)


def test_the_im2col_product_takes_the_operations_of_the_sum_and_no_more():
    """(C_out x C_in K^2) by (C_in K^2 x H_out W_out); the Toeplitz matrix is mostly zeros."""
    problem = cyconv.Problem((1, 3, 8, 8), WEIGHTS.shape, padding=1)
    rows, depth = WEIGHTS.reshape(16, -1).shape
    columns = cyconv.unfold(IMAGES[:1], 3, padding=1).shape[-1]
    assert problem.flops == 2 * rows * depth * columns
    t = toeplitz.sparse(WEIGHTS, (3, 8, 8), padding=1)
    assert 2 * np.prod(t.shape) > 7 * problem.flops


# ---- the transpose -----------------------------------------------------------------------------


def test_the_gradient_of_the_input_is_the_product_with_the_transposed_matrix():
    g = np.array([5, -2, 7], np.float32)
    back = toeplitz.matrix(plane(H), (1, 5)).T @ g
    assert back.tolist() == [5, 8, 18, 8, 21]
    np.testing.assert_array_equal(cyconv.conv_grad_input((1, 1, 5), plane(H), plane(g))[0, 0], back)
    np.testing.assert_array_equal(cyconv.conv_transpose1d(plane(g), plane(H))[0, 0], back)


def test_so_it_is_for_images():
    t = toeplitz.sparse(WEIGHTS, (3, 8, 8), padding=1)
    (g,) = integers(2, (16, 8, 8), dtype=np.int64)
    back = (t.T @ g.ravel()).reshape(3, 8, 8)
    np.testing.assert_array_equal(cyconv.conv_grad_input((3, 8, 8), WEIGHTS, g, padding=1), back)
    np.testing.assert_array_equal(cyconv.conv_transpose2d(g, WEIGHTS, padding=1), back)
