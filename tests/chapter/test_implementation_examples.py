"""Implementation examples: by hand, the edges of a square, both operations side by side."""

import numpy as np
from scipy.signal import convolve2d, correlate2d

import cyconv
from cyconv import filters

from .numbers import IMAGE, ONE_TO_NINE, PRINTED, by_algorithm, integers, plane, turned

# ---- by hand -----------------------------------------------------------------------------------


@by_algorithm
def test_a_loop_over_images_filters_and_places_gives_the_same(algorithm):
    """Two images (3, 8, 8), sixteen filters of 3 x 3 and a bias, each output its window's sum."""
    x, kernel, bias = integers(1, (2, 3, 8, 8), (16, 3, 3, 3), 16)
    expected = np.empty((2, 16, 6, 6), np.float32)
    for n, k, i, j in np.ndindex(expected.shape):
        expected[n, k, i, j] = bias[k] + np.sum(x[n, :, i : i + 3, j : j + 3] * kernel[k])
    y = cyconv.conv2d(x, kernel, bias, algorithm=algorithm)
    np.testing.assert_array_equal(y, expected)


# ---- the edges of a square ---------------------------------------------------------------------

SQUARE = np.zeros((64, 64), np.float32)
SQUARE[16:48, 16:48] = 1


def sobel_of_the_square(name):
    return cyconv.conv2d(plane(SQUARE), plane(PRINTED[name]), padding=1)[0, 0]


def test_edge_x_is_4_along_the_left_side_and_minus_4_along_the_right_one():
    """Two cells wide; at the corners, where fewer rows differ, 1 and 3."""
    edge = np.zeros((64, 64))
    along = np.r_[1, 3, [4] * 30, 3, 1]
    edge[15:49, 15:17] = along[:, None]
    edge[15:49, 47:49] = -along[:, None]
    np.testing.assert_array_equal(sobel_of_the_square("sobel_x"), edge)


def test_edge_y_is_the_same_along_the_upper_and_the_lower_side():
    x, y = sobel_of_the_square("sobel_x"), sobel_of_the_square("sobel_y")
    np.testing.assert_array_equal(y, x.T)
    assert (y[15:17, 17:47] == 4).all()
    assert (y[47:49, 17:47] == -4).all()
    assert not y[17:47].any()


def test_the_magnitude_shows_all_four_edges():
    """Not zero on a ring of two cells, and zero inside and outside it."""
    ring = np.zeros((64, 64), bool)
    ring[15:49, 15:49] = True
    ring[17:47, 17:47] = False
    magnitude = filters.gradient_magnitude(SQUARE, "sobel", mode="zeros")
    np.testing.assert_array_equal(magnitude != 0, ring)
    x, y = sobel_of_the_square("sobel_x"), sobel_of_the_square("sobel_y")
    np.testing.assert_allclose(magnitude, np.sqrt(x**2 + y**2), rtol=1e-6)
    assert magnitude[32, 15] == magnitude[48, 32] == 4


# ---- convolution and cross-correlation ---------------------------------------------------------


@by_algorithm
def test_for_the_kernel_1_to_9_they_differ(algorithm):
    """By what ``[[8, 6, 4], [2, 0, -2], [-4, -6, -8]]``, turned less not turned, makes of x."""
    x = plane(IMAGE)
    convolved, correlated = (
        cyconv.conv2d(x, plane(ONE_TO_NINE), flip=flip, algorithm=algorithm)
        for flip in (True, False)
    )
    difference = [[8, 6, 4], [2, 0, -2], [-4, -6, -8]]
    np.testing.assert_array_equal(convolved[0, 0], convolve2d(IMAGE, ONE_TO_NINE, "valid"))
    np.testing.assert_array_equal(correlated[0, 0], correlate2d(IMAGE, ONE_TO_NINE, "valid"))
    assert (convolved != correlated).any()
    np.testing.assert_array_equal(convolved - correlated, cyconv.conv2d(x, plane(difference)))


def test_on_an_image_of_one_value_they_agree_whatever_the_kernel():
    """The text says that they differ for asymmetric kernels; there are images where they don't."""
    x = np.full((1, 1, 5, 5), 2, np.float32)
    y = cyconv.conv2d(x, plane(ONE_TO_NINE), flip=True)
    np.testing.assert_array_equal(y, cyconv.conv2d(x, plane(ONE_TO_NINE)))
    assert (y == 90).all()


@by_algorithm
def test_for_the_symmetric_kernel_1_2_1_they_are_identical(algorithm):
    """On random numbers too the difference is none, not merely small."""
    x = np.random.default_rng(2).standard_normal((1, 1, 5, 5)).astype(np.float32)
    kernel = plane([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    np.testing.assert_array_equal(kernel, turned(kernel))
    y = cyconv.conv2d(x, kernel, flip=True, algorithm=algorithm)
    np.testing.assert_array_equal(y, cyconv.conv2d(x, kernel, algorithm=algorithm))
