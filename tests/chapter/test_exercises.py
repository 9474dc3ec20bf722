"""The exercises: by hand, edges, VGG-16's parameters, when both operations agree."""

import numpy as np
import pytest

import cyconv
from cyconv import filters

from .numbers import ONE_TO_NINE, PRINTED, integers, plane, turned


def convolve_lists(image, kernel):
    """Cross-correlation of nested lists."""
    return [
        [
            sum(
                weight * image[i + m][j + n]
                for m, row in enumerate(kernel)
                for n, weight in enumerate(row)
            )
            for j in range(len(image[0]) - len(kernel[0]) + 1)
        ]
        for i in range(len(image) - len(kernel) + 1)
    ]


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (5, 1)], ids=str)
def test_1_without_any_library_the_answer_is_the_same(shape):
    image, kernel = integers(1, (8, 9), shape)
    y = cyconv.conv2d(plane(image), plane(kernel))[0, 0]
    assert y.tolist() == convolve_lists(image.tolist(), kernel.tolist())


@pytest.mark.parametrize(
    ("kernel", "edge"),
    [
        ("sobel_x", [4, 4]),
        ("prewitt_x", [3, 3]),
        ("scharr_x", [16, 16]),
        ("laplacian", [1, -1]),
        ("laplacian_8", [3, -3]),
    ],
)
def test_2_other_kernels_find_the_edges_of_a_square(kernel, edge):
    """Along the middle of the left side, outside in; examples/edges_four_kernels.py has a photo."""
    square = np.zeros((64, 64), np.float32)
    square[16:48, 16:48] = 1
    found = filters.apply(square, kernel, mode="zeros", separable=False, accuracy="strict")
    assert found[32, 15:17].tolist() == edge
    assert not found[32, :15].any()
    assert not found[17:47, 17:47].any()


@pytest.mark.parametrize(
    ("x_shape", "filters_out", "parameters", "multiplications"),
    [
        ((1, 3, 224, 224), 64, 1_792, 86_704_128),
        ((1, 64, 224, 224), 64, 36_928, 1_849_688_064),
        ((1, 64, 112, 112), 128, 73_856, 924_844_032),
    ],
    ids=["conv1_1", "conv1_2", "conv2_1"],
)
def test_3_vgg_16_begins_with_1_792_then_36_928_then_73_856_parameters(
    x_shape, filters_out, parameters, multiplications
):
    """Simonyan and Zisserman, arXiv 1409.1556, table 1, column D; pooling halves before conv2_1."""
    problem = cyconv.Problem(x_shape, (filters_out, x_shape[1], 3, 3), padding=1)
    assert problem.output_shape == (1, filters_out, *x_shape[2:])
    assert problem.parameters_with_bias == parameters
    assert problem.flops == 2 * multiplications


def impulse():
    """One bright cell, wide enough around it for a whole kernel."""
    image = np.zeros((5, 5), np.float32)
    image[2, 2] = 1
    return plane(image)


@pytest.mark.parametrize(
    ("kernel", "agree"),
    [
        (ONE_TO_NINE, False),
        (PRINTED["gaussian"], True),
        (PRINTED["laplacian"], True),
        (PRINTED["sobel_x"], False),  # symmetric from top to bottom
        ([[1, 2, 3], [2, 4, 5], [3, 5, 6]], False),  # a symmetric matrix
        ([[1, 2, 3], [4, 5, 4], [3, 2, 1]], True),  # symmetric in neither way
    ],
    ids=["1_to_9", "gaussian", "laplacian", "sobel_x", "own_transpose", "own_half_turn"],
)
def test_4_they_agree_on_every_image_just_when_the_kernel_is_its_own_half_turn(kernel, agree):
    """The symmetry that the text asks for is that one, not a mirror's, nor a matrix's.

    On an impulse convolution gives the kernel and correlation the kernel turned, so they cannot
    agree for another; where it is its own half turn they are the same sum.
    """
    kernel = np.array(kernel, np.float32)
    assert np.array_equal(kernel, turned(kernel)) == agree
    convolved = cyconv.conv2d(impulse(), plane(kernel), flip=True)[0, 0]
    correlated = cyconv.conv2d(impulse(), plane(kernel))[0, 0]
    np.testing.assert_array_equal(convolved, kernel)
    np.testing.assert_array_equal(correlated, turned(kernel))
    (x,) = integers(2, (1, 1, 9, 9))
    y, other = (cyconv.conv2d(x, plane(kernel), flip=flip) for flip in (True, False))
    assert np.array_equal(y, other) == agree
