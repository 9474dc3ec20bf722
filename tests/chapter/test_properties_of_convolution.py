"""Properties of convolution: equivariance, locality, shared parameters, sparse connections."""

import numpy as np
import pytest

import cyconv
from cyconv import toeplitz

from .numbers import IMAGE, ONE_TO_NINE, by_algorithm, integers, plane


def square(first):
    """An image of 10 x 10 zeros with a 3 x 3 square of ones from cell (first, first) on."""
    image = np.zeros((10, 10), np.float32)
    image[first : first + 3, first : first + 3] = 1
    return plane(image)


def shifted(a, by):
    return np.roll(a, by, (-2, -1))


# ---- translation equivariance ------------------------------------------------------------------


def test_shifting_either_factor_shifts_a_true_convolution():
    """``T (f * g) = (T f) * g = f * (T g)``, where nothing leaves the frame."""
    f, g, by = square(4), plane(np.pad(ONE_TO_NINE, 2)), (1, 2)
    y = cyconv.conv2d(f, g, padding=3, flip=True)
    np.testing.assert_array_equal(
        cyconv.conv2d(shifted(f, by), g, padding=3, flip=True), shifted(y, by)
    )
    np.testing.assert_array_equal(
        cyconv.conv2d(f, shifted(g, by), padding=3, flip=True), shifted(y, by)
    )


def test_shifting_the_kernel_shifts_a_cross_correlation_the_other_way():
    """The text means correlation by convolution, and then its ``f * (T g)`` is ``T^-1 (f * g)``."""
    f, g, by, back = square(4), plane(np.pad(ONE_TO_NINE, 2)), (1, 2), (-1, -2)
    y = cyconv.conv2d(f, g, padding=3)
    np.testing.assert_array_equal(cyconv.conv2d(shifted(f, by), g, padding=3), shifted(y, by))
    np.testing.assert_array_equal(cyconv.conv2d(f, shifted(g, by), padding=3), shifted(y, back))
    assert not np.array_equal(shifted(y, by), shifted(y, back))


@by_algorithm
def test_a_square_moved_from_2_2_to_4_4_moves_its_output_by_2_2(algorithm):
    """Exactly and everywhere: neither square's output reaches the border of 10 x 10 cells."""
    (kernel,) = integers(4, (1, 1, 3, 3))
    out1, out2 = (
        cyconv.conv2d(square(first), kernel, padding=1, algorithm=algorithm) for first in (2, 4)
    )
    assert out1.any()
    np.testing.assert_array_equal(out2, shifted(out1, (2, 2)))


@by_algorithm
@pytest.mark.parametrize("by", [(1, 0), (0, 1), (2, 2)])
def test_an_image_that_reaches_the_border_is_equivariant_away_from_it(algorithm, by):
    """The text's boundary effects: a window over the border sees zeros, not the cells that left."""
    x, w = integers(5, (1, 3, 10, 10), (4, 3, 3, 3))
    y, moved = (cyconv.conv2d(a, w, padding=1, algorithm=algorithm) for a in (x, shifted(x, by)))
    inside = (..., slice(by[0] + 1, -1), slice(by[1] + 1, -1))
    np.testing.assert_array_equal(moved[inside], shifted(y, by)[inside])
    assert not np.array_equal(moved, shifted(y, by))


def test_the_strongest_answer_is_the_same_wherever_the_object_is():
    """What makes a network that then takes the maximum robust to the object's position."""
    (kernel,) = integers(6, (1, 1, 3, 3))
    strongest = {cyconv.conv2d(square(first), kernel, padding=1).max() for first in range(1, 7)}
    assert len(strongest) == 1
    assert strongest.pop() > 0


# ---- locality ----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 7)], ids=str)
def test_the_receptive_field_is_the_kernels_size(kernel):
    """As the problem says it, and as the gradient of one output shows it."""
    problem = cyconv.Problem((1, 1, 10, 10), (1, 1, *kernel))
    assert problem.receptive_field == kernel
    g = np.zeros(problem.output_shape, np.float32)
    g[0, 0, 2, 1] = 1
    seen = cyconv.conv_grad_input(problem.x_shape, np.ones(problem.w_shape, np.float32), g)
    expected = np.zeros((10, 10))
    expected[2 : 2 + kernel[0], 1 : 1 + kernel[1]] = 1
    np.testing.assert_array_equal(seen[0, 0], expected)


# ---- parameter sharing -------------------------------------------------------------------------


def test_the_same_parameters_serve_an_input_of_any_size():
    small = cyconv.Problem((1, 3, 8, 8), (64, 3, 3, 3))
    large = cyconv.Problem((16, 3, 999, 777), (64, 3, 3, 3), stride=2, padding=1)
    assert small.parameters == large.parameters == 1_728


def test_every_row_of_the_matrix_holds_the_same_weights():
    t = toeplitz.matrix(ONE_TO_NINE[None, None], (1, 5, 5))
    for row in t:
        np.testing.assert_array_equal(row[row != 0], ONE_TO_NINE.ravel())


def test_the_weights_learn_from_all_positions_at_once():
    """Their gradient is the sum, over the nine positions, of what each alone would teach."""
    (g,) = integers(7, (1, 1, 3, 3))
    x, alone = plane(IMAGE), []
    for i, j in np.ndindex(3, 3):
        only = np.zeros_like(g)
        only[0, 0, i, j] = g[0, 0, i, j]
        alone.append(cyconv.conv_grad_weight(x, (1, 1, 3, 3), only))
        np.testing.assert_array_equal(alone[-1][0, 0], g[0, 0, i, j] * IMAGE[i : i + 3, j : j + 3])
    np.testing.assert_array_equal(cyconv.conv_grad_weight(x, (1, 1, 3, 3), g), sum(alone))


def test_a_fully_connected_layer_of_the_same_size_has_112_000_times_the_parameters():
    """From 3 to 64 channels of 32 x 32: each of 65 536 cells has a kernel as large as the image."""
    shared = cyconv.Problem((1, 3, 32, 32), (64, 3, 3, 3), padding=1)
    dense = cyconv.Problem((1, 3, 32, 32), (64 * 32 * 32, 3, 32, 32))
    assert np.prod(dense.output_shape) == np.prod(shared.output_shape)
    assert shared.parameters_with_bias == 1_792
    assert dense.parameters_with_bias == 201_392_128
    assert dense.parameters_with_bias // shared.parameters_with_bias == 112_384


# ---- sparse connectivity -----------------------------------------------------------------------


def test_an_output_is_connected_to_c_in_k_squared_inputs_and_no_others():
    """Of 25 in the worked example, and of 3072 in a colour image of 32 x 32."""
    t = toeplitz.sparse(ONE_TO_NINE[None, None], IMAGE[None].shape)
    assert t.shape == (9, 25)
    assert np.diff(t.indptr).tolist() == [9] * 9
    t = toeplitz.sparse(np.ones((2, 3, 3, 3), np.float32), (3, 32, 32))
    assert t.shape == (2 * 30 * 30, 3072)
    assert set(np.diff(t.indptr).tolist()) == {27}
