"""2D convolution for images: the formula, the size, the worked example, the layer on 1 to 16."""

import numpy as np
import pytest

import cyconv

from .numbers import IMAGE, KERNEL, ONE_TO_NINE, PRINTED, by_algorithm, plane


@pytest.mark.parametrize(
    "kernel", [KERNEL, ONE_TO_NINE, ONE_TO_NINE[:2], ONE_TO_NINE[:, :1]], ids=lambda k: str(k.shape)
)
def test_an_output_is_the_sum_of_image_times_kernel_over_its_window(kernel):
    """At every (i, j), for M x N kernels that need not be square."""
    rows, columns = kernel.shape
    y = cyconv.conv2d(plane(IMAGE), plane(kernel))[0, 0]
    assert y.shape == (5 - rows + 1, 5 - columns + 1)
    for i, j in np.ndindex(y.shape):
        assert y[i, j] == sum(
            IMAGE[i + m, j + n] * kernel[m, n] for m in range(rows) for n in range(columns)
        )


@pytest.mark.parametrize(
    ("h", "w", "k"), [(5, 5, 3), (4, 4, 3), (8, 8, 3), (7, 7, 7), (28, 20, 5), (9, 32, 2)]
)
def test_without_padding_the_output_is_h_minus_k_plus_1_by_w_minus_k_plus_1(h, w, k):
    y = cyconv.conv2d(np.ones((1, 1, h, w), np.float32), np.ones((1, 1, k, k), np.float32))
    expected = (1, 1, h - k + 1, w - k + 1)
    assert y.shape == cyconv.Problem((1, 1, h, w), (1, 1, k, k)).output_shape == expected


# ---- the worked example ------------------------------------------------------------------------


@by_algorithm
def test_the_worked_5x5_example_begins_with_minus_4(algorithm):
    """A 5 x 5 image and a vertical edge kernel, by hand.

    ::

        1 2 3 0 1
        0 1 2 3 1      1 0 -1      -4  2  4
        1 2 1 0 0   *  1 0 -1  =   -3 -2  2
        0 0 1 2 1      1 0 -1       0  0  1
        1 1 0 1 0

    Each output is the sum of its window's left column less that of the right one; the first is
    (1 + 0 + 1) - (3 + 2 + 1) = 2 - 6 = -4.
    """
    y = cyconv.conv2d(plane(IMAGE), plane(KERNEL), algorithm=algorithm)
    assert y[0, 0, 0, 0] == -4
    np.testing.assert_array_equal(y[0, 0], [[-4, 2, 4], [-3, -2, 2], [0, 0, 1]])


def test_the_first_window_is_multiplied_cell_by_cell_and_summed():
    """The nine products of the worked example, as they are written out."""
    window = cyconv.unfold(plane(IMAGE), 3)[0, :, 0]
    products = window * KERNEL.ravel()
    assert products.tolist() == [1, 0, -3, 0, 0, -2, 1, 0, -1]
    assert products.sum() == cyconv.conv2d(plane(IMAGE), plane(KERNEL))[0, 0, 0, 0] == -4


def test_the_kernel_slides_from_the_top_left_row_by_row():
    """The windows in order, each output its window's dot product with the kernel."""
    windows = cyconv.unfold(plane(IMAGE), 3)[0].T
    y = cyconv.conv2d(plane(IMAGE), plane(KERNEL)).ravel()
    places = [(i, j) for i in range(3) for j in range(3)]
    for (i, j), window, value in zip(places, windows, y, strict=True):
        np.testing.assert_array_equal(window.reshape(3, 3), IMAGE[i : i + 3, j : j + 3])
        assert np.dot(window, KERNEL.ravel()) == value


# ---- the layer on 1 to 16 ----------------------------------------------------------------------


@by_algorithm
def test_the_layer_on_1_to_16_gives_2_by_2_cells_of_minus_8(algorithm):
    """Each step to the right adds 1, and the kernel's halves lie 2 apart: -(1 + 2 + 1) 2 = -8."""
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    kernel = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    y = cyconv.conv2d(x, plane(kernel), algorithm=algorithm)
    assert y.shape == (1, 1, 2, 2)
    assert y[0, 0].tolist() == [[-8, -8], [-8, -8]]
    np.testing.assert_array_equal(kernel, -PRINTED["sobel_x"])
