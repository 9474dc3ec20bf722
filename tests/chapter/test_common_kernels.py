"""Common kernels and their effects."""

import numpy as np
import pytest

import cyconv
from cyconv import filters

from .numbers import IMAGE, PRINTED, by_algorithm, integers, plane


def valid(image, kernel, **how):
    """One kernel over one image, where its windows lie inside."""
    return cyconv.conv2d(plane(image), plane(kernel), **how)[0, 0]


@pytest.mark.parametrize("name", ["sobel_x", "sobel_y", "sharpen", "gaussian", "identity"])
def test_the_classic_kernels_have_the_printed_values(name):
    np.testing.assert_array_equal(filters.get_kernel(name), PRINTED[name])


# ---- edges -------------------------------------------------------------------------------------


@by_algorithm
def test_sobel_x_sees_vertical_edges_and_sobel_y_horizontal_ones(algorithm):
    """The text has the pair detect "horizontal and vertical edges": each sees the other kind."""
    step = [[0, 0, 0, 1, 1, 1]] * 6
    for image, sees, blind in (
        (step, "sobel_x", "sobel_y"),
        (np.transpose(step), "sobel_y", "sobel_x"),
    ):
        edge = valid(image, PRINTED[sees], algorithm=algorithm)
        lines = edge if sees == "sobel_x" else edge.T
        np.testing.assert_array_equal(lines, [[0, 4, 4, 0]] * 4)
        assert not valid(image, PRINTED[blind], algorithm=algorithm).any()


def test_the_printed_laplacian_is_minus_the_second_derivative():
    """On ``i**2 + j**2`` the two second derivatives are 2 each. The filters keep their sign."""
    np.testing.assert_array_equal(filters.get_kernel("laplacian"), -PRINTED["laplacian"])
    rows, columns = np.mgrid[:6, :7]
    bowl = rows**2 + columns**2
    np.testing.assert_array_equal(valid(bowl, PRINTED["laplacian"]), np.full((4, 5), -4))
    np.testing.assert_array_equal(valid(bowl, filters.LAPLACIAN_4), np.full((4, 5), 4))
    assert not valid(3 * rows - 2 * columns, PRINTED["laplacian"]).any()


@pytest.mark.parametrize(
    ("down", "right"), [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]
)
def test_the_laplacian_sees_edges_of_every_direction(down, right):
    """A step answers along its whole edge, with both signs, and only there."""
    rows, columns = np.mgrid[-5:6, -5:6]
    side = down * rows + right * columns
    answer = valid(side > 0, PRINTED["laplacian"])
    inside = side[1:-1, 1:-1]
    assert (answer[inside == 0] < 0).all()
    assert (answer[inside == 1] > 0).all()
    assert not answer[(inside < 0) | (inside > 1)].any()


# ---- others ------------------------------------------------------------------------------------


def test_sharpening_adds_the_laplacian_to_the_image_and_overshoots_at_a_step():
    np.testing.assert_array_equal(PRINTED["sharpen"], PRINTED["identity"] + PRINTED["laplacian"])
    y = valid([[0, 0, 0, 1, 1, 1]] * 3, PRINTED["sharpen"])
    np.testing.assert_array_equal(y, [[0, -1, 2, 1]])


def test_gaussian_blur_is_the_mean_weighted_by_1_2_1_twice_and_softens_a_step():
    assert PRINTED["gaussian"].sum() == 1
    np.testing.assert_array_equal(PRINTED["gaussian"] * 16, np.outer([1, 2, 1], [1, 2, 1]))
    y = valid([[0, 0, 0, 1, 1, 1]] * 3, PRINTED["gaussian"])
    np.testing.assert_array_equal(y, [[0, 0.25, 0.75, 1]])


@by_algorithm
def test_the_identity_changes_nothing(algorithm):
    (photo,) = integers(1, (9, 8))
    np.testing.assert_array_equal(filters.apply(photo, "identity", algorithm=algorithm), photo)
    np.testing.assert_array_equal(
        valid(IMAGE, PRINTED["identity"], algorithm=algorithm), IMAGE[1:-1, 1:-1]
    )
