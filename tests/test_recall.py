"""Calls of filters that were made before: what they return, and what is not the same call."""

import inspect
import pickle

import numpy as np
import pytest
from scipy import ndimage as scipy_ndimage

import cyconv
from cyconv import filters, ndimage
from cyconv.algorithms import chains


def runs(call):
    """The result of a call made twice; and how many chains its second run laid out."""
    call()
    noted = []
    before = chains.note(noted)
    try:
        y = call()
    finally:
        chains.note(before)
    return y, len(noted)


IMAGE = np.random.default_rng(5).integers(0, 200, (13, 17)).astype(np.float32)
LINE, SQUARE = [1.0, 2, 4], np.arange(9.0).reshape(3, 3) - 2
WIDE = np.random.default_rng(6).random((30, 41))


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: ndimage.correlate(x, SQUARE),
        lambda x: ndimage.convolve(x, SQUARE, mode="constant", cval=2.0),
        lambda x: ndimage.correlate1d(x, LINE, 0),
        lambda x: ndimage.convolve1d(x, LINE),
        lambda x: ndimage.gaussian_filter(x, (1, 2.0)),
        lambda x: ndimage.gaussian_filter1d(x, 1),
        lambda x: ndimage.uniform_filter(x, 4),
        lambda x: ndimage.uniform_filter1d(x, 4),
        lambda x: ndimage.sobel(x, 0, mode=["wrap", "nearest"]),
        lambda x: ndimage.prewitt(x, output=np.float32),
        ndimage.laplace,
        lambda x: ndimage.gaussian_laplace(x, 1),
        lambda x: filters.apply(x, "gaussian", out_dtype="uint8"),
        filters.gradient,
        lambda x: filters.gradient_magnitude(x, mode="zeros"),
    ],
)
def test_the_second_call_of_a_kind_is_the_first(call, dtype):
    """It lays out nothing, filters the image that it is given, and returns a new array."""
    x = IMAGE.astype(dtype)
    first = call(x.copy(order="F"))  # the long way, each time
    y, laid_out = runs(lambda: call(x))
    assert laid_out == 0
    np.testing.assert_array_equal(y, first)
    np.testing.assert_array_equal(call(x[::-1].copy()), call(np.asfortranarray(x[::-1])))
    again = call(x)
    assert type(again) is type(y)
    assert not np.shares_memory(again[0], y[0])


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
@pytest.mark.parametrize(
    ("shape", "call"),
    [
        ((90, 120), lambda x: ndimage.correlate(x, WIDE, output=np.float32, mode="mirror")),
        ((90, 120), lambda x: ndimage.convolve(x, WIDE, "d", "constant", 2.0, origin=(1, -2))),
        ((90, 71, 3), lambda x: ndimage.correlate(x, WIDE[..., None], output=np.float64)),
        ((2, 81, 80), lambda x: ndimage.correlate(x, WIDE[None], output=np.float32)),
        ((90, 120), lambda x: filters.apply(x, WIDE, out_dtype="uint8")),
        ((90, 71, 3), lambda x: filters.apply(x, WIDE, mode="circular", threads=1)),
    ],
)
def test_the_second_call_of_a_large_kernel_is_the_first(shape, call, dtype):
    """Its spectra are kept; what an image's values put in doubt is its own."""
    x = np.random.default_rng(7).integers(0, 200, shape).astype(dtype)
    first = call(x.copy(order="F"))
    y, laid_out = runs(lambda: call(x))
    assert laid_out == 0
    np.testing.assert_array_equal(y, first)
    if x.dtype.kind == "f":
        x[x == x.max()] = np.inf
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(call(x), call(x.copy(order="F")))


def test_a_large_kernel_with_taps_of_zero_looks_at_every_image():
    """Infinite cells reach what the other taps hold, in a call like those before."""
    x = np.random.default_rng(8).random((90, 120))
    kernel = np.where(WIDE > 0.5, WIDE, 0)
    ndimage.correlate(x, kernel)
    x[40, 50] = np.inf
    expected = scipy_ndimage.correlate(x, kernel)
    np.testing.assert_allclose(ndimage.correlate(x, kernel), expected, rtol=1e-12)


@pytest.mark.parametrize("axes", [0, 1, (0, 1), (2, 0), None])
def test_what_is_done_after_a_chain_is_done_again(axes):
    """Lengths along one axis are the roots of squares that no chain takes."""
    x = np.random.default_rng(3).normal(size=(5, 6, 7))
    expected = scipy_ndimage.gaussian_gradient_magnitude(x, 1, axes=axes)
    for _ in range(3):
        y = ndimage.gaussian_gradient_magnitude(x, 1, axes=axes)
        np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_weights_are_known_by_their_values():
    w = SQUARE.copy()
    runs(lambda: ndimage.correlate(IMAGE, w, mode="nearest"))
    w[0, 1] += 1
    expected = scipy_ndimage.correlate(IMAGE, w, mode="nearest")
    np.testing.assert_array_equal(ndimage.correlate(IMAGE, w, mode="nearest"), expected)


def test_equal_arguments_of_another_kind_are_another_call():
    runs(lambda: ndimage.gaussian_filter(IMAGE, 1, 1))
    with pytest.raises(TypeError):
        ndimage.gaussian_filter(IMAGE, 1, 1.0)
    x = -np.ones((5, 5))
    for cval in (0.0, -0.0):  # equal, and the sum of a product with -0.0 shows which it was
        y, _ = runs(lambda cval=cval: ndimage.correlate1d(x, [1.0], mode="constant", cval=cval))
        corner = ndimage.correlate1d(x, [1.0, 0, 0], 0, mode="constant", cval=cval)
        assert (y == x).all()
        assert np.signbit(corner[0, 0]) == np.signbit(np.float64(cval) + 0.0 * cval)


def test_results_are_written_where_they_are_wanted():
    y = np.empty_like(IMAGE)
    result, laid_out = runs(lambda: ndimage.sobel(IMAGE, 1, y))
    assert result is y
    assert laid_out == 0
    np.testing.assert_array_equal(y, ndimage.sobel(IMAGE, 1))
    itself = IMAGE.copy()
    for _ in range(2):
        itself[...] = IMAGE
        ndimage.sobel(itself, 1, itself)
        np.testing.assert_array_equal(itself, y)
    y.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        ndimage.sobel(IMAGE, 1, y)
    with pytest.raises(RuntimeError, match="shape"):
        ndimage.sobel(IMAGE, 1, np.empty((3, 3), np.float32))


def test_threads_that_are_set_later_count():
    before = cyconv.get_num_threads()
    try:
        for threads in (1, 3):
            cyconv.set_num_threads(threads)
            y, laid_out = runs(lambda: ndimage.gaussian_filter(IMAGE, 1))
            assert laid_out == 0
            np.testing.assert_array_equal(y, ndimage.gaussian_filter(IMAGE.tolist(), 1, output="f"))
    finally:
        cyconv.set_num_threads(before)


def test_functions_stay_functions():
    assert inspect.isroutine(ndimage.sobel)
    assert pickle.loads(pickle.dumps(ndimage.sobel)) is ndimage.sobel
    assert list(inspect.signature(ndimage.sobel).parameters)[:2] == ["input", "axis"]
    assert "Sobel" in ndimage.sobel.__doc__
