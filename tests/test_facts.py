"""What courses on convolution teach, each fact a test named for what it states."""

import numpy as np
import pytest
from scipy.signal import convolve2d

import cyconv
from cyconv import filters

from . import oracle
from .tolerances import EXACT
from .variants import label

by_algorithm = pytest.mark.parametrize("algorithm", EXACT, ids=label)


def plane(values, dtype=np.float32):
    """A 2-D table as one image, or one filter, of one channel."""
    return np.array(values, dtype)[None, None]


# ---- the worked example ------------------------------------------------------------------------

IMAGE_5X5 = plane(
    [
        [3, 0, 1, 2, 7],
        [1, 5, 8, 9, 3],
        [2, 7, 2, 5, 1],
        [0, 1, 3, 1, 7],
        [4, 2, 1, 6, 2],
    ]
)
VERTICAL_EDGE = plane([[1, 0, -1]] * 3)


@by_algorithm
def test_the_worked_5x5_example_ends_in_minus_4(algorithm):
    """A 5x5 image and the vertical edge kernel, by hand.

    ::

        3 0 1 2 7
        1 5 8 9 3      1 0 -1       -5 -4  0
        2 7 2 5 1   *  1 0 -1   =  -10 -2  2
        0 1 3 1 7      1 0 -1        0 -2 -4
        4 2 1 6 2

    Each output is the sum of its window's left column less that of the right one.

    - first: (3 + 1 + 2) - (1 + 8 + 2) = 6 - 11 = -5
    - middle: (5 + 7 + 1) - (9 + 5 + 1) = 13 - 15 = -2
    - last, over rows 3-5 and columns 3-5: (2 + 3 + 1) - (1 + 7 + 2) = 6 - 10 = -4
    """
    y = cyconv.conv2d(IMAGE_5X5, VERTICAL_EDGE, algorithm=algorithm)
    np.testing.assert_array_equal(y[0, 0], [[-5, -4, 0], [-10, -2, 2], [0, -2, -4]])
    assert y[0, 0, -1, -1] == -4


# ---- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("h", "k"), [(5, 3), (7, 7), (28, 5), (224, 3), (9, 2)])
def test_the_output_has_h_minus_k_plus_1_rows(h, k):
    y = cyconv.conv2d(np.ones((1, 1, h, h), np.float32), np.ones((1, 1, k, k), np.float32))
    assert y.shape == (1, 1, h - k + 1, h - k + 1)


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


def test_64_filters_on_32_channels_have_18_496_parameters():
    problem = cyconv.Problem((1, 32, 28, 28), (64, 32, 3, 3))
    assert problem.parameters == 64 * 32 * 3 * 3
    assert problem.parameters_with_bias == 18_496


def test_64_filters_on_a_colour_image_have_1_792_parameters():
    assert cyconv.Problem((1, 3, 224, 224), (64, 3, 3, 3)).parameters_with_bias == 1_792


@pytest.mark.parametrize(
    ("x_shape", "filters_out", "parameters", "multiplications"),
    [
        ((1, 3, 224, 224), 64, 1_792, 86_704_128),
        ((1, 64, 224, 224), 64, 36_928, 1_849_688_064),
        ((1, 64, 112, 112), 128, 73_856, 924_844_032),
    ],
    ids=["conv1_1", "conv1_2", "conv2_1"],
)
def test_vgg_16_begins_with_1_792_then_36_928_then_73_856_parameters(
    x_shape, filters_out, parameters, multiplications
):
    """Simonyan and Zisserman, arXiv 1409.1556, table 1, column D; pooling halves before conv2_1."""
    problem = cyconv.Problem(x_shape, (filters_out, x_shape[1], 3, 3), padding=1)
    assert problem.output_shape == (1, filters_out, *x_shape[2:])
    assert problem.parameters_with_bias == parameters
    assert problem.flops == 2 * multiplications


def test_parameters_do_not_depend_on_the_image():
    small = cyconv.Problem((1, 3, 8, 8), (64, 3, 3, 3))
    large = cyconv.Problem((16, 3, 999, 777), (64, 3, 3, 3), stride=2, padding=1)
    assert small.parameters == large.parameters


def test_a_depthwise_layer_has_a_channels_th_of_the_parameters():
    dense = cyconv.Problem((1, 32, 14, 14), (32, 32, 3, 3))
    depthwise = cyconv.Problem((1, 32, 14, 14), (32, 1, 3, 3), groups=32)
    assert dense.parameters == 32 * depthwise.parameters
    assert dense.flops == 32 * depthwise.flops


def test_a_kernel_of_k_cells_dilated_by_d_sees_d_k_minus_1_plus_1_cells():
    problem = cyconv.Problem((1, 1, 30, 30), (1, 1, 3, 5), dilation=(2, 3))
    assert problem.receptive_field == (5, 13)


# ---- what the operation is ---------------------------------------------------------------------


def true_convolution(x, w):
    """``y[i] = sum over r of w[r] x[i - r]``, where every x is inside: SciPy's "valid"."""
    return convolve2d(x[0, 0], w[0, 0], mode="valid")


@by_algorithm
def test_cross_correlation_is_not_true_convolution(algorithm):
    kernel = plane([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    y = cyconv.conv2d(IMAGE_5X5, kernel, algorithm=algorithm)[0, 0]
    turned = cyconv.conv2d(IMAGE_5X5, kernel[..., ::-1, ::-1], algorithm=algorithm)[0, 0]
    assert not np.array_equal(y, true_convolution(IMAGE_5X5, kernel))
    np.testing.assert_array_equal(turned, true_convolution(IMAGE_5X5, kernel))


@by_algorithm
def test_cross_correlation_is_true_convolution_for_a_kernel_symmetric_under_180_degrees(algorithm):
    kernel = plane([[1, 2, 3], [4, 5, 4], [3, 2, 1]])
    y = cyconv.conv2d(IMAGE_5X5, kernel, algorithm=algorithm)[0, 0]
    np.testing.assert_array_equal(y, true_convolution(IMAGE_5X5, kernel))


@by_algorithm
@pytest.mark.parametrize("shift", [(1, 0), (0, 1), (3, 2)])
def test_a_shifted_image_gives_a_shifted_output_away_from_the_border(algorithm, shift):
    rng = np.random.default_rng(5)
    x = rng.integers(-9, 10, (1, 3, 20, 22)).astype(np.float32)
    w = rng.integers(-9, 10, (4, 3, 3, 3)).astype(np.float32)
    moved = np.roll(x, shift, (2, 3))
    y, y_moved = (cyconv.conv2d(a, w, padding=1, algorithm=algorithm) for a in (x, moved))
    inside = (..., slice(5, -5), slice(5, -5))
    np.testing.assert_array_equal(y_moved[inside], np.roll(y, shift, (2, 3))[inside])
    assert not np.array_equal(y_moved, np.roll(y, shift, (2, 3)))  # the border differs


@by_algorithm
def test_an_output_moves_only_with_its_window(algorithm):
    """Changing one cell changes the 3x3 outputs whose window holds it, and no bit of the others."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((1, 2, 12, 13)).astype(np.float32)
    w = rng.standard_normal((3, 2, 3, 3)).astype(np.float32)
    y = cyconv.conv2d(x, w, padding=1, algorithm=algorithm)
    for i, j in [(0, 0), (5, 6), (11, 12), (4, 0)]:
        changed = x.copy()
        changed[0, 1, i, j] += 1
        moved = cyconv.conv2d(changed, w, padding=1, algorithm=algorithm) != y
        window = np.zeros((12, 13), bool)
        window[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2] = True
        np.testing.assert_array_equal(moved[0], np.broadcast_to(window, (3, 12, 13)))


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


# ---- im2col ------------------------------------------------------------------------------------


def test_im2col_has_c_k_squared_rows_and_a_column_for_each_output():
    x = np.arange(2 * 3 * 8 * 9, dtype=np.float32).reshape(2, 3, 8, 9)
    columns = cyconv.unfold(x, (3, 3))
    assert columns.shape == (2, 3 * 3 * 3, 6 * 7)
    np.testing.assert_array_equal(columns, oracle.unfold(x, (3, 3)))


def test_im2col_turns_convolution_into_one_matrix_product():
    rng = np.random.default_rng(8)
    x = rng.integers(-9, 10, (2, 3, 8, 9)).astype(np.float32)
    w = rng.integers(-9, 10, (4, 3, 3, 5)).astype(np.float32)
    columns = cyconv.unfold(x, (3, 5), dilation=(2, 1), padding=(1, 2), stride=(1, 3))
    y = cyconv.conv2d(x, w, None, (1, 3), (1, 2), (2, 1))
    np.testing.assert_array_equal(w.reshape(4, -1) @ columns, y.reshape(2, 4, -1))


def test_im2col_of_the_worked_example_begins_with_its_first_window():
    columns = cyconv.unfold(IMAGE_5X5, 3)
    assert columns.shape == (1, 9, 9)
    np.testing.assert_array_equal(columns[0, :, 0], [3, 0, 1, 1, 5, 8, 2, 7, 2])
    np.testing.assert_array_equal(columns[0, :, -1], [2, 5, 1, 3, 1, 7, 1, 6, 2])


# ---- the classic kernels -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "values"),
    [
        ("sobel_x", [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
        ("sobel_y", [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
        ("laplacian", [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
        ("sharpen", [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
        ("gaussian", np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16),
        ("identity", [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    ],
)
def test_the_classic_kernels_have_their_classic_values(kernel, values):
    np.testing.assert_array_equal(filters.get_kernel(kernel), values)


def test_derivative_kernels_sum_to_zero_and_averaging_ones_to_one():
    for name in ("sobel_x", "sobel_y", "prewitt_x", "scharr_y", "laplacian"):
        assert filters.get_kernel(name).sum() == 0, name
    for name in ("gaussian", "sharpen", "identity"):
        assert filters.get_kernel(name).sum() == 1, name


@by_algorithm
def test_the_identity_kernel_returns_the_image_and_sobel_x_sees_vertical_edges(algorithm):
    def apply(name):
        kernel = filters.get_kernel(name)[None, None]
        return cyconv.conv2d(step, kernel, algorithm=algorithm)[0, 0]

    step = plane([[0, 0, 0, 1, 1, 1]] * 5)
    np.testing.assert_array_equal(apply("identity"), step[0, 0, 1:-1, 1:-1])
    np.testing.assert_array_equal(apply("sobel_x"), [[0, 4, 4, 0]] * 3)
    np.testing.assert_array_equal(apply("sobel_y"), np.zeros((3, 4)))
