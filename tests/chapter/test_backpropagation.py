"""Backpropagation through convolution: the three gradients, each by the text's sum."""

import numpy as np

import cyconv

from .numbers import by_algorithm, integers, turned

# Of a layer from 2 to 4 channels, 3 x 3 taps, on an image of 6 x 5.
IMAGE_SHAPE, WEIGHT_SHAPE = (2, 6, 5), (4, 2, 3, 3)
LOSS, INPUT, WEIGHTS = integers(
    1, (4, 4, 3), IMAGE_SHAPE, WEIGHT_SHAPE, dtype=np.int64
)  # LOSS is dL/dY


def swapped(w):
    """The weights with filters and channels in each other's place."""
    return w.swapaxes(0, 1)


# ---- with respect to the input -----------------------------------------------------------------


@by_algorithm
def test_the_inputs_gradient_is_the_sum_of_dl_dy_i_minus_m_j_minus_n_times_w(algorithm):
    """``dL/dX[c, i, j] = sum over k, m, n of dL/dY[k, i - m, j - n] W[k, c, m, n]``."""
    expected = np.zeros(IMAGE_SHAPE)
    for c, i, j in np.ndindex(IMAGE_SHAPE):
        for k, m, n in np.ndindex(4, 3, 3):
            if 0 <= i - m < 4 and 0 <= j - n < 3:
                expected[c, i, j] += LOSS[k, i - m, j - n] * WEIGHTS[k, c, m, n]
    w, loss = WEIGHTS.astype(np.float32), LOSS.astype(np.float32)
    g = cyconv.conv_grad_input(IMAGE_SHAPE, w, loss, algorithm=algorithm)
    np.testing.assert_array_equal(g, expected)


def test_it_is_a_full_convolution_or_a_full_correlation_with_the_weights_turned():
    """The text says full convolution *and* flipped weights: for true convolution that is one turn
    too many. As elsewhere it means cross-correlation, and the turn makes a true convolution of it.
    """
    g = cyconv.conv_grad_input(IMAGE_SHAPE, WEIGHTS, LOSS)
    w = swapped(WEIGHTS)
    np.testing.assert_array_equal(cyconv.conv2d(LOSS, turned(w), padding=2), g)
    np.testing.assert_array_equal(cyconv.conv2d(LOSS, w, padding=2, flip=True), g)
    twice = cyconv.conv2d(LOSS, turned(w), padding=2, flip=True)
    assert twice.shape == g.shape
    assert not np.array_equal(twice, g)


def test_it_is_the_transposed_convolution():
    g = cyconv.conv_grad_input(IMAGE_SHAPE, WEIGHTS, LOSS)
    np.testing.assert_array_equal(cyconv.conv_transpose2d(LOSS, WEIGHTS), g)


# ---- with respect to the weights ---------------------------------------------------------------


def test_the_weights_gradient_is_the_sum_of_dl_dy_times_x_i_plus_m_j_plus_n():
    """``dL/dW[k, c, m, n] = sum over i, j of dL/dY[k, i, j] X[c, i + m, j + n]``."""
    g = cyconv.conv_grad_weight(INPUT, WEIGHT_SHAPE, LOSS)
    for k, c, m, n in np.ndindex(WEIGHT_SHAPE):
        assert g[k, c, m, n] == sum(
            LOSS[k, i, j] * INPUT[c, i + m, j + n] for i, j in np.ndindex(4, 3)
        )


def test_it_is_a_cross_correlation_of_the_input_with_the_outputs_gradient():
    """Each channel is an image, and each filter's gradient a kernel."""
    g = cyconv.conv_grad_weight(INPUT, WEIGHT_SHAPE, LOSS)
    correlated = cyconv.conv2d(INPUT[:, None], LOSS[:, None])
    np.testing.assert_array_equal(correlated, swapped(g))
    assert not np.array_equal(cyconv.conv2d(INPUT[:, None], LOSS[:, None], flip=True), correlated)


# ---- with respect to the bias ------------------------------------------------------------------


def test_the_bias_gradient_is_the_sum_over_the_image():
    np.testing.assert_array_equal(cyconv.conv_grad_bias(LOSS[None]), LOSS.sum((1, 2)))


def test_over_a_batch_the_gradients_of_weights_and_bias_add_up():
    """The text's sums are of one image."""
    loss, x = integers(2, (3, 4, 4, 3), (3, *IMAGE_SHAPE), dtype=np.int64)
    _, of_weights, of_bias = cyconv.conv_vjp(x, WEIGHTS, loss)
    each = [cyconv.conv_vjp(x[n : n + 1], WEIGHTS, loss[n : n + 1]) for n in range(3)]
    np.testing.assert_array_equal(of_weights, sum(w for _, w, _ in each))
    np.testing.assert_array_equal(of_bias, sum(b for *_, b in each))


# ---- all three ---------------------------------------------------------------------------------


def test_they_are_the_gradients_of_a_loss():
    """L = <LOSS, Y> is linear in each operand, so a step of 1 in one cell changes it by dL/d."""
    bias = np.zeros(4, np.int64)
    operands = INPUT, WEIGHTS, bias
    for at, gradient in enumerate(cyconv.conv_vjp(INPUT, WEIGHTS, LOSS)):
        for cell in np.ndindex(gradient.shape):
            moved = [a.copy() for a in operands]
            moved[at][cell] += 1
            change = cyconv.conv2d(*moved) - cyconv.conv2d(*operands)
            assert (LOSS * change).sum() == gradient[cell]
