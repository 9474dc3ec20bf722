"""Every number of axes from 1 to 8, in every direction, by every algorithm that sums products."""

import numpy as np
import pytest
from scipy import signal

import cyconv

from . import oracle, tolerances
from .cases import Case
from .test_directions import GRADIENTS, expected_gradient, gradient, integers, supporting
from .variants import forced


def case_of(rank):
    """Two axes of three cells, the others of two; a stride, a dilation and paddings among them."""
    spatial = (*(2,) * (rank - 2), 5, 6)[-rank:]
    kernel = (*(2,) * (rank - 2), 3, 2)[-rank:]
    return Case(
        f"rank_{rank}_of_8",
        (2, 2, *spatial),
        (4, 1, *kernel),
        (*(1,) * (rank - 1), 2),
        ((1, 0), *((0, 1),) * (rank - 1)),
        (2, *(1,) * (rank - 1)),
        2,
    )


@pytest.mark.parametrize("rank", range(1, 9))
def test_forward(rank):
    case = case_of(rank)
    x, w, _ = integers(case, "float32")
    bias = np.arange(4, dtype="f4")
    expected = case.expected(x, w, bias)
    assert "direct" in supporting(case, "float32", "forward")
    for name in supporting(case, "float32", "forward", tolerances.EXACT):
        with forced(name):
            y = cyconv.conv(x, w, bias, **case.geometry, algorithm=name)
        np.testing.assert_array_equal(y, expected, name)
    np.testing.assert_array_equal(cyconv.conv(x[0], w, bias, **case.geometry), expected[0])
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    y = cyconv.conv(last, w, bias, **case.geometry, data_format="channels_last")
    np.testing.assert_array_equal(np.moveaxis(y, -1, 1), expected)


@pytest.mark.parametrize("direction", GRADIENTS)
@pytest.mark.parametrize("rank", range(1, 9))
def test_gradients(rank, direction):
    case = case_of(rank)
    arrays = integers(case, "float32")
    expected = expected_gradient(case, direction, *arrays)
    for name in supporting(case, "float32", direction, tolerances.EXACT):
        with forced(name):
            y = gradient(case, direction, *arrays, algorithm=name)
        np.testing.assert_array_equal(y, expected, name)


@pytest.mark.parametrize("rank", range(1, 9))
def test_transposed(rank):
    rng = np.random.default_rng(rank)
    x = rng.integers(-6, 7, (1, 2, *(2,) * rank)).astype("f4")
    w = rng.integers(-6, 7, (2, 1, *(2,) * rank)).astype("f4")
    geometry = {"stride": (*(1,) * (rank - 1), 2), "padding": ((1, 0), *((0, 0),) * (rank - 1))}
    expected = oracle.conv_transpose(x, w, None, **geometry)
    np.testing.assert_array_equal(cyconv.conv_transpose(x, w, None, **geometry), expected)


@pytest.mark.parametrize("rank", range(1, 6))
def test_flip_is_true_convolution(rank):
    """``y[i] = sum over r of w[r] x[i - r]``, as SciPy's, in every form that the padding gives."""
    rng = np.random.default_rng(rank)
    x, w = rng.integers(-6, 7, (4,) * rank), rng.integers(-6, 7, (*(2,) * (rank - 1), 3))
    full = tuple((k - 1, k - 1) for k in w.shape)
    for mode, padding in (("valid", 0), ("full", full)):
        y = cyconv.conv(x[None, None], w[None, None], padding=padding, flip=True)
        np.testing.assert_array_equal(y[0, 0], signal.convolve(x, w, mode, method="direct"))
    assert not np.array_equal(y, cyconv.conv(x[None, None], w[None, None], padding=full))


def test_nine_axes_are_refused():
    with pytest.raises(ValueError, match=r"^conv: w must .* 8 "):
        cyconv.conv(np.ones((1,) * 11), np.ones((1,) * 11))
