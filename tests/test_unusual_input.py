"""Unusual input that is right: it ends in the answer the formula gives."""

import warnings

import numpy as np
import pytest

import cyconv

from . import oracle
from .test_bad_input import good_call, ones, refuses


def agree(y, x, w, bias=None, **geometry):
    expected = oracle.conv(x, w, bias, **geometry)
    assert y.shape == expected.shape
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, expected)


by_algorithm = pytest.mark.parametrize("algorithm", ["auto", "direct", "im2col"])


@by_algorithm
def test_no_images_give_no_outputs(algorithm):
    y = cyconv.conv2d(ones(0, 4, 5, 6), ones(6, 4, 3, 3), ones(6), algorithm=algorithm)
    assert y.shape == (0, 6, 3, 4)


@by_algorithm
def test_no_channels_give_the_bias(algorithm):
    bias = np.arange(6, dtype=np.float32)
    y = cyconv.conv2d(ones(2, 0, 5, 6), ones(6, 0, 3, 3), bias, algorithm=algorithm)
    agree(y, ones(2, 0, 5, 6), ones(6, 0, 3, 3), bias)
    np.testing.assert_array_equal(y[1, :, 2, 3], bias)
    assert not cyconv.conv2d(ones(2, 0, 5, 6), ones(6, 0, 3, 3), algorithm=algorithm).any()


@by_algorithm
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8"])
def test_no_filters_give_no_outputs_and_gradients_of_zeros(dtype, groups, algorithm):
    x, w = ones(2, 4, 5, 6, dtype=dtype), ones(0, 4 // groups, 3, 3, dtype=dtype)
    how = {"padding": 1, "groups": groups, "algorithm": algorithm}
    y = cyconv.conv2d(x, w, ones(0, dtype=dtype), **how)
    assert y.shape == (2, 0, 5, 6)
    grad_x, grad_w, grad_bias = cyconv.conv_vjp(x, w, y, **how)
    assert not grad_x.any()
    assert (grad_x.shape, grad_w.shape, grad_bias.shape) == (x.shape, w.shape, (0,))
    plan = cyconv.plan(cyconv.Problem(x.shape, w.shape, dtype, 1, 1, groups=groups))
    assert plan.algorithm == "none"
    assert plan.pack(w)(x).shape == y.shape


@by_algorithm
def test_a_kernel_over_the_image_with_enough_padding(algorithm):
    x, w = ones(1, 2, 3, 1), ones(2, 2, 7, 9)
    agree(cyconv.conv2d(x, w, padding=4, algorithm=algorithm), x, w, padding=4)


@by_algorithm
@pytest.mark.parametrize("stride", [2**62, 2**63, 2**64, 2**200])
def test_a_stride_beyond_everything_gives_one_window(stride, algorithm):
    x, w = ones(1, 2, 5, 6), ones(2, 2, 3, 3)
    y = cyconv.conv2d(x, w, stride=stride, algorithm=algorithm)
    agree(y, x, w, stride=100)


@by_algorithm
@pytest.mark.parametrize(
    ("stride", "padding", "outputs"),
    [(2**62, 2**30, 1), (2**62, 2**60, 1), (2**32, 2**30, 1), (2**61, 2**60, 2), (2**31, 2**30, 2)],
)
def test_wide_padding_with_a_stride_as_wide_gives_the_bias(stride, padding, outputs, algorithm):
    """Every window lies on padding. An algorithm that writes the border out: MemoryError."""
    bias = np.array([2.5, -1], np.float32)
    arrays = ones(1, 2, 5, 6), ones(2, 2, 3, 3), bias
    try:
        y = cyconv.conv2d(*arrays, stride=stride, padding=padding, algorithm=algorithm)
    except MemoryError:
        return
    assert y.shape == (1, 2, outputs, outputs)
    np.testing.assert_array_equal(y, np.broadcast_to(bias[:, None, None], y.shape))


@by_algorithm
@pytest.mark.parametrize("dilation", [2**40, 2**62, 2**63, 2**64])
def test_a_dilation_beyond_everything_is_nothing_to_a_1x1_kernel(dilation, algorithm):
    x, w = ones(1, 2, 5, 6), ones(2, 2, 1, 1)
    agree(cyconv.conv2d(x, w, dilation=dilation, algorithm=algorithm), x, w)


@by_algorithm
def test_far_apart_taps(algorithm):
    """Taps 2**40 cells apart, one of them inside: right, or MemoryError as above."""
    x, w, far = ones(1, 1, 3, 4), ones(1, 1, 3, 3), 2**40
    try:
        y = cyconv.conv2d(x, w, padding=far, dilation=far, algorithm=algorithm)
    except MemoryError:
        return
    agree(y, x, w[..., 1:2, 1:2])


@by_algorithm
def test_an_output_no_machine_can_hold_is_a_memory_error(algorithm):
    with pytest.raises(MemoryError):
        cyconv.conv2d(ones(1, 1, 4, 4), ones(4, 1, 3, 3), padding=2**22, algorithm=algorithm)


@by_algorithm
def test_single_and_double_precision_meet_in_double(algorithm):
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((1, 2, 8, 9)), rng.standard_normal((2, 2, 3, 3))
    x32, w32 = x.astype(np.float32), w.astype(np.float32)
    for a, b in [(x32, w), (x, w32)]:
        y = cyconv.conv2d(a, b, algorithm=algorithm)
        both = cyconv.conv2d(a.astype(np.float64), b.astype(np.float64), algorithm=algorithm)
        assert y.dtype == np.float64
        np.testing.assert_array_equal(y, both)


@by_algorithm
def test_numpy_integers_and_lists_are_ints_and_tuples(algorithm):
    x, w = ones(1, 2, 8, 9), ones(2, 2, 3, 3)
    y = cyconv.conv2d(
        x,
        w,
        stride=np.array([1, 2]),
        padding=[np.int8(1), [np.uint64(0), 2]],
        dilation=np.int32(2),
        groups=np.uint8(1),
        threads=np.int64(2),
        workspace_limit=np.int64(2**24),
        algorithm=algorithm,
    )
    agree(y, x, w, stride=(1, 2), padding=(1, (0, 2)), dilation=2)


@by_algorithm
def test_subclasses_of_ndarray(algorithm, tmp_path):
    """A memmap and a recarray-like view are their data; np.matrix has the wrong rank."""
    x, w = ones(1, 2, 8, 9), ones(2, 2, 3, 3)
    x[...] = np.arange(9)
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=x.shape)
    mapped[...] = x
    y = cyconv.conv2d(mapped, w, algorithm=algorithm)
    assert type(y) is np.ndarray
    agree(y, x, w)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.matrix(np.ones((3, 3), np.float32))
    refuses(ValueError, r"x must .*\(3, 3\)$", cyconv.conv2d, matrix, w, algorithm=algorithm)


def test_masked_arrays_are_refused():
    """A mask can't be honoured, and must not be dropped in silence."""
    masked = np.ma.masked_array(ones(1, 4, 5, 6), mask=ones(1, 4, 5, 6) > 0)
    refuses(TypeError, "x .*mask", cyconv.conv2d, **good_call(x=masked))


class Liar:
    """Says one shape, and has an array of another."""

    shape, ndim, dtype = (1, 4, 50, 60), 4, np.dtype("float32")

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_an_array_protocol_that_lies_is_believed_by_its_array():
    x, w = ones(1, 4, 5, 6), ones(6, 4, 3, 3)
    agree(cyconv.conv2d(Liar(x), w), x, w)
    for array in ("text", None, [1, 2]):
        with pytest.raises((TypeError, ValueError), match=r"x|array"):
            cyconv.conv2d(Liar(array), w)


def test_an_error_of_the_callers_own_array_comes_through():
    class Failing:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        cyconv.conv2d(Failing(), ones(6, 4, 3, 3))
