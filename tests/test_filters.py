"""The classic kernels' values, and the filters against SciPy."""

import numpy as np
import pytest
from scipy import ndimage

import cyconv
from cyconv import filters
from cyconv.algorithms.bordered import tiles

from . import tolerances
from .cases import seeds
from .variants import by_way

SEED = 20260203
#: cyconv's border modes by SciPy's names
SCIPY_MODES = {
    "reflect": "mirror",
    "replicate": "nearest",
    "circular": "grid-wrap",
    "symmetric": "reflect",
    "zeros": "constant",
}
MODES = pytest.mark.parametrize("mode", SCIPY_MODES)
U32 = np.finfo(np.float32).eps / 2


def photo(shape=(23, 31), dtype=np.uint8, seed=SEED):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 256, shape).astype(dtype)


def correlate(image, kernel, mode):
    """SciPy's answer in float64; an even kernel is moved to where "same" puts it."""
    origin = tuple(-1 if n % 2 == 0 else 0 for n in kernel.shape)
    image, kernel = image.astype(np.float64), kernel.astype(np.float64)
    return ndimage.correlate(image, kernel, mode=SCIPY_MODES[mode], origin=origin)


def one_pass_bound(image, problem, weights, algorithm):
    """How far one pass may lie from its exact value, cell by cell, for an image (H, W)."""
    return tolerances.bound(
        algorithm,
        image[None, None],
        weights,
        None,
        problem.dtype,
        padding=problem.padding,
        padding_mode=problem.padding_mode,
    )[0, 0]


# ---- values -------------------------------------------------------------------------------------


def test_prewitt_x_is_the_difference_to_the_right_smoothed_by_1_1_1():
    np.testing.assert_array_equal(filters.PREWITT_X, [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])


def test_scharr_x_is_the_difference_to_the_right_smoothed_by_3_10_3():
    np.testing.assert_array_equal(filters.SCHARR_X, [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]])


@pytest.mark.parametrize("name", ["sobel", "prewitt", "scharr"])
def test_the_y_kernel_is_the_x_kernel_transposed(name):
    x, y = filters.GRADIENTS[name]
    np.testing.assert_array_equal(y, x.T)


def test_roberts_takes_the_differences_along_the_two_diagonals():
    np.testing.assert_array_equal(filters.ROBERTS_X, [[1, 0], [0, -1]])
    np.testing.assert_array_equal(filters.ROBERTS_Y, [[0, 1], [-1, 0]])


def test_laplacian_4_sees_four_neighbours_and_laplacian_8_eight():
    np.testing.assert_array_equal(filters.LAPLACIAN_4, [[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    np.testing.assert_array_equal(filters.LAPLACIAN_8, [[1, 1, 1], [1, -8, 1], [1, 1, 1]])


def test_the_classic_gaussian_is_1_2_1_by_1_2_1_over_16():
    classic = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    np.testing.assert_array_equal(filters.GAUSSIAN_3, classic)
    np.testing.assert_array_equal(filters.gaussian(), classic)


def test_the_binomial_gaussian_of_size_5_is_over_256():
    line = [1, 4, 6, 4, 1]
    np.testing.assert_array_equal(filters.gaussian(5) * 256, np.outer(line, line))


@pytest.mark.parametrize("sigma", [0.6, 1.0, 2.3])
def test_the_gaussian_of_a_sigma_is_scipys(sigma):
    kernel = filters.gaussian(sigma=sigma, dtype=np.float64)
    impulse = np.zeros(kernel.shape)
    impulse[len(kernel) // 2, len(kernel) // 2] = 1
    expected = ndimage.gaussian_filter(impulse, sigma, mode="constant")
    # Both take exp, a sum and a division per axis: a few roundings of values of at most 1.
    np.testing.assert_allclose(kernel, expected, rtol=0, atol=8 * np.finfo(float).eps)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_box_is_the_mean_of_its_window(size):
    np.testing.assert_array_equal(
        filters.box(size, dtype=np.float64), np.full((size, size), size**-2.0)
    )


def test_sharpen_is_identity_minus_the_laplacian():
    np.testing.assert_array_equal(filters.SHARPEN, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    np.testing.assert_array_equal(filters.SHARPEN, filters.identity() - filters.LAPLACIAN_4)


def test_unsharp_of_size_5_is_the_classic_one_over_256():
    line = np.array([1, 4, 6, 4, 1])
    classic = -np.outer(line, line)
    classic[2, 2] = 476
    np.testing.assert_array_equal(filters.unsharp() * 256, classic)


def test_emboss_lights_from_the_upper_left():
    np.testing.assert_array_equal(filters.EMBOSS, [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])


def test_identity_is_one_in_the_middle():
    expected = np.zeros((5, 5))
    expected[2, 2] = 1
    np.testing.assert_array_equal(filters.identity(5), expected)


def test_motion_spreads_a_pixel_along_its_line():
    across = np.zeros((5, 5))
    across[2] = 0.2
    np.testing.assert_allclose(filters.motion(5, dtype=np.float64), across, atol=1e-15)
    np.testing.assert_allclose(filters.motion(5, 90, dtype=np.float64), across.T, atol=1e-15)
    rising = filters.motion(7, 45)
    assert rising[0, 0] == rising[6, 6] == 0, (
        "45 degrees runs from the lower left to the upper right"
    )
    assert rising[1, 5] > 0
    assert rising[5, 1] > 0


def test_log_is_scipys_less_a_constant_that_makes_its_sum_zero():
    kernel = filters.laplacian_of_gaussian(sigma=1.4, dtype=np.float64)
    impulse = np.zeros(kernel.shape)
    impulse[len(kernel) // 2, len(kernel) // 2] = 1
    difference = ndimage.gaussian_laplace(impulse, 1.4, mode="constant") - kernel
    np.testing.assert_allclose(difference, difference[0, 0], atol=1e-15)
    assert abs(kernel.sum()) < 1e-15


def test_gabor_is_a_cosine_under_a_gaussian():
    kernel = filters.gabor(9, sigma=2, wavelength=4, aspect=1, dtype=np.float64)
    bell = filters.gaussian(9, 2, dtype=np.float64)
    wave = np.array([1, 0, -1, 0, 1, 0, -1, 0, 1])
    np.testing.assert_allclose(kernel, bell * wave, atol=1e-16)


def test_gabor_answers_to_stripes_across_its_angle():
    rows, columns = np.mgrid[:40, :40]
    # The wave runs towards the upper right, 45 degrees counter-clockwise from the x axis.
    stripes = np.cos(2 * np.pi * (columns - rows) / np.sqrt(2) / 4)
    along, across = (
        np.abs(filters.apply(stripes, filters.gabor(angle=a, dtype=float))[15:25, 15:25]).max()
        for a in (45, -45)
    )
    assert along > 20 * across


@pytest.mark.parametrize(
    "name", ["identity", "box", "gaussian", "sharpen", "unsharp", "emboss", "motion"]
)
def test_kernels_that_keep_brightness_sum_to_one(name):
    kernel = filters.get_kernel(name, dtype=np.float64)
    assert abs(kernel.sum() - 1) <= kernel.size * np.finfo(float).eps * np.abs(kernel).sum()


@pytest.mark.parametrize(
    "name", [n for n in filters.KERNELS if n[-2:] in ("_x", "_y", "_8")] + ["laplacian", "log"]
)
def test_derivatives_sum_to_zero(name):
    kernel = filters.get_kernel(name, dtype=np.float64)
    assert abs(kernel.sum()) <= kernel.size * np.finfo(float).eps * np.abs(kernel).sum()


@pytest.mark.parametrize("name", filters.KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_get_kernel_gives_a_writable_kernel_of_the_dtype(name, dtype):
    kernel = filters.get_kernel(name, dtype=dtype)
    assert kernel.dtype == dtype
    assert kernel.ndim == 2
    assert kernel.flags.writeable


def test_the_fixed_kernels_cannot_be_changed():
    for kernel in filters.KERNELS.values():
        if isinstance(kernel, np.ndarray):
            assert not kernel.flags.writeable
    with pytest.raises(TypeError):
        filters.KERNELS["sobel_x"] = None


# ---- apply --------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("name", filters.KERNELS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_apply_agrees_with_scipy(name, mode, dtype):
    image = photo(dtype=dtype)
    ((problem, weights),) = filters.passes(image, name, mode=mode, separable=False)
    expected = correlate(image, weights[0, 0], mode)
    y = filters.apply(image, name, mode=mode, separable=False)
    assert y.dtype == problem.dtype == np.result_type(dtype, np.float32)
    algorithm = cyconv.plan(problem).algorithm
    allowed = one_pass_bound(image, problem, weights, algorithm)
    assert (abs(y - expected) <= allowed).all(), f"{algorithm}, seed {SEED}"


@MODES
@pytest.mark.parametrize("name", ["box", "gaussian", "sobel_x", "scharr_y"])
def test_two_passes_agree_with_scipy(name, mode):
    image = photo(dtype=np.float32)
    (down, column), (across, row) = filters.passes(image, name, mode=mode, separable=True)
    assert column.shape[2:] == (3, 1)
    assert row.shape[2:] == (1, 3)
    y = filters.apply(image, name, mode=mode, separable=True)
    expected = correlate(image, np.outer(column.astype(float), row.astype(float)), mode)
    # The first pass's error goes through the second, which adds its own.
    first = one_pass_bound(image, down, column, cyconv.plan(down).algorithm)
    between = abs(correlate(image, column[0, 0], mode)) + first
    second = one_pass_bound(between, across, row, cyconv.plan(across).algorithm)
    allowed = correlate(first, abs(row[0, 0]), mode) + second
    assert (abs(y - expected) <= allowed).all(), f"seed {SEED}"


@pytest.mark.parametrize("separable", [True, False, None])
def test_colour_is_filtered_channel_by_channel(separable):
    image = photo((11, 13, 3))
    y = filters.apply(image, "gaussian", separable=separable)
    assert y.shape == image.shape
    assert y.flags.c_contiguous
    for c in range(3):
        np.testing.assert_array_equal(
            y[..., c], filters.apply(image[..., c], "gaussian", separable=separable)
        )


@by_way
def test_every_algorithm_can_be_named(algorithm):
    image = photo()
    y = filters.apply(image, "sobel_x", algorithm=algorithm)
    expected = correlate(image, filters.SOBEL_X, "reflect")
    if tolerances.exact(algorithm):  # sums of small integers and halves, whatever their order
        np.testing.assert_array_equal(y, expected)
    else:  # a transform's error: some roundings of the largest output, 8 * 255
        np.testing.assert_allclose(y, expected, rtol=0, atol=16 * 2040 * np.finfo(y.dtype).eps)


def test_identity_gives_the_photo_back():
    image = photo((9, 8, 4))
    np.testing.assert_array_equal(filters.apply(image, "identity"), image)


def test_the_kernel_is_not_turned():
    image = np.zeros((5, 5), np.float32)
    image[2, 2] = 1
    kernel = np.arange(9, dtype=np.float32).reshape(3, 3)
    np.testing.assert_array_equal(filters.apply(image, kernel)[1:4, 1:4], kernel[::-1, ::-1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 3), (1, 1, 3)])
@MODES
def test_a_kernel_larger_than_the_image_works_in_every_mode(shape, mode):
    image = photo(shape)
    y = filters.apply(image, filters.box(9), mode=mode)
    planes = image.reshape(*shape[:2], -1)
    for c in range(planes.shape[2]):
        expected = correlate(planes[..., c], filters.box(9), mode)
        # 81 positive terms and the rounding of 1/81, and the same again for two passes
        np.testing.assert_allclose(y.reshape(planes.shape)[..., c], expected, rtol=2 * 90 * U32)


def large_kernel(shape=(25, 38)):
    """Of positive taps, which no two passes give, their sum 1."""
    kernel = np.random.default_rng(SEED).random(shape)
    return (kernel / kernel.sum()).astype(np.float32)


@pytest.mark.parametrize("out", [None, "uint8", "int16", "float64", "float16"])
@pytest.mark.parametrize("dtype", ["uint8", ">i2", "uint32", "int64", "float32"])
@pytest.mark.parametrize("shape", [(90, 131), (83, 90, 3), (60, 71, 8)])
@MODES
def test_a_large_kernel_reads_any_image_as_it_lies(shape, mode, dtype, out):
    """By tiles of transforms: of colours too, the border and the result's type within them."""
    image = photo(shape).astype(dtype)
    kernel = large_kernel()
    expected = np.empty(shape)
    for c in np.ndindex(shape[2:]):
        expected[..., *c] = correlate(image[..., *c], kernel, mode)
    assert tiles((1, *shape[:2], 1), kernel, ((12, 12), (18, 19)), "wrap") is not None
    y = filters.apply(image, kernel, mode=mode, out_dtype=out)
    assert y.shape == shape
    assert y.dtype == (out or np.result_type(dtype, np.float32))
    rounding = np.finfo(np.result_type(dtype, np.float32)).eps * 16 * 255
    if y.dtype.kind in "iu":
        assert (abs(y - expected) <= 0.5 + rounding).all(), f"seed {SEED}"
    else:
        rounding += np.finfo(y.dtype).eps * 128
        np.testing.assert_allclose(y, expected, rtol=0, atol=rounding, err_msg=f"seed {SEED}")


@pytest.mark.parametrize("out", ["uint8", "int16"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_value_that_a_large_kernel_cannot_sum_stays_in_its_windows(value, out):
    """Integers are clipped there as anywhere; of NaN they are the least."""
    image = photo((100, 140)).astype(np.float32)
    kernel = large_kernel()
    plain = filters.apply(image, kernel, out_dtype=out)
    image[50, 70] = value
    y = filters.apply(image, kernel, out_dtype=out)
    limits = np.iinfo(out)
    there = np.zeros(image.shape, bool)
    there[50 - 12 : 50 + 13, 70 - 19 : 70 + 19] = True
    assert (y[there] == (limits.min if np.isnan(value) else limits.max)).all()
    assert (abs(y[~there].astype(int) - plain[~there]) <= 1).all()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", "float32"),
        ("int16", "float32"),
        (">u2", "float32"),
        ("int32", "float64"),
        ("uint64", "float64"),
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
    ],
)
def test_the_image_decides_the_dtype(dtype, expected):
    image = photo(dtype=np.uint8).astype(dtype)
    y = filters.apply(image, filters.SOBEL_X.astype(np.float64), accuracy="strict")
    assert y.dtype == expected
    np.testing.assert_array_equal(y, correlate(photo(), filters.SOBEL_X, "reflect"))


def test_the_image_is_not_changed_and_may_be_a_view():
    image = photo((20, 30, 3), np.float32)
    view = image[::-2, 3:-1:3, ::-1]
    before = image.copy()
    np.testing.assert_array_equal(
        filters.apply(view, "sharpen", algorithm="direct"),
        filters.apply(view.copy(), "sharpen", algorithm="direct"),
    )
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((np.zeros(5), "box"), ValueError, r"filters.apply: image must be .* got shape \(5,\)"),
        ((np.zeros((0, 5)), "box"), ValueError, r"not empty, got shape \(0, 5\)"),
        ((np.zeros((2, 3, 4, 5)), "box"), ValueError, r"got shape \(2, 3, 4, 5\)"),
        (
            (np.zeros((5, 5), bool), "box"),
            TypeError,
            "image must hold real numbers, got dtype bool",
        ),
        ((np.zeros((5, 5), object), "box"), TypeError, "got dtype object"),
        ((np.zeros((5, 5)), "sobel"), ValueError, "must be one of identity, box, .*got 'sobel'"),
        ((np.zeros((5, 5)), [1, 2, 1]), ValueError, r"kernel must be \(R, S\).*got shape \(3,\)"),
        ((np.zeros((5, 5)), np.zeros((0, 3))), ValueError, r"kernel must be .*got shape \(0, 3\)"),
        ((np.zeros((5, 5)), [["a"]]), TypeError, "kernel must hold real numbers"),
        ((np.zeros((5, 5)), [[True]]), TypeError, "kernel must hold real numbers, got dtype bool"),
    ],
)
def test_bad_arguments_are_named(arguments, error, says):
    with pytest.raises(error, match=says):
        filters.apply(*arguments)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: filters.get_kernel("sobel"), ValueError, "name must be one of"),
        (lambda: filters.get_kernel("sobel_x", size=5), ValueError, "sobel_x has no size"),
        (lambda: filters.get_kernel("box", sigma=2), ValueError, "box has no sigma"),
        (lambda: filters.identity(4), ValueError, "size must be odd and >= 1, got 4"),
        (lambda: filters.box(0), ValueError, "size must be >= 1, got 0"),
        (lambda: filters.box(2.0), TypeError, "size must be an int, got 2.0"),
        (lambda: filters.box(True), TypeError, "size must be an int, got True"),
        (lambda: filters.gaussian(sigma=0), ValueError, "sigma must be positive and finite, got 0"),
        (lambda: filters.gaussian(sigma=np.nan), ValueError, "sigma must be positive and finite"),
        (lambda: filters.gabor(wavelength=-1), ValueError, "wavelength must be positive"),
        (lambda: filters.gradient(photo(), "box"), ValueError, "must be one of sobel, prewitt"),
        (
            lambda: filters.apply(photo(), "box", stride=2),
            TypeError,
            "no argument is called stride",
        ),
        (lambda: filters.gradient(photo(), flip=True), TypeError, "called flip"),
        (lambda: filters.apply(photo(), "box", accuracy=-1), ValueError, "accuracy must be"),
        (lambda: filters.apply(photo(), "box", accuracy="x"), ValueError, "accuracy must be"),
        (lambda: filters.apply(photo(), "box", mode="wrap"), ValueError, "padding_mode"),
        (lambda: filters.apply(photo(), "sharpen", separable=True), ValueError, "of rank 1"),
    ],
)
def test_bad_parameters_are_named(make, error, says):
    with pytest.raises(error, match=says):
        make()


# ---- gradient -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "gain"), [("sobel", 8), ("prewitt", 6), ("scharr", 32)])
def test_on_a_ramp_the_gradient_is_the_gain_to_the_right_and_nothing_downwards(name, gain):
    ramp = np.tile(np.arange(7, dtype=np.uint8), (6, 1))
    gx, gy = filters.gradient(ramp, name)
    assert (gx[:, 1:-1] == gain).all()
    assert (gy == 0).all()
    gx, gy = filters.gradient(ramp.T, name)
    assert (gx == 0).all()
    assert (gy[1:-1] == gain).all()


@MODES
@pytest.mark.parametrize("name", filters.GRADIENTS)
@pytest.mark.parametrize("shape", [(17, 19), (17, 19, 3)])
def test_gradient_is_apply_with_the_x_and_the_y_kernel(name, mode, shape):
    image = photo(shape)
    for g, kernel in zip(
        filters.gradient(image, name, mode=mode), filters.GRADIENTS[name], strict=True
    ):
        np.testing.assert_array_equal(g, filters.apply(image, kernel, mode=mode, separable=False))


def test_sobel_is_scipys():
    image = photo()
    gx, gy = filters.gradient(image, mode="symmetric", accuracy="strict")
    np.testing.assert_array_equal(gx, ndimage.sobel(image.astype(float), axis=1))
    np.testing.assert_array_equal(gy, ndimage.sobel(image.astype(float), axis=0))


def test_the_magnitude_is_the_length_of_the_gradient_and_does_not_overflow():
    image = photo((8, 9, 3))
    gx, gy = filters.gradient(image, "prewitt")
    magnitude = filters.gradient_magnitude(image, "prewitt")
    np.testing.assert_allclose(magnitude**2, gx**2 + gy**2, rtol=8 * U32)
    step = np.zeros((4, 4), np.float32)
    step[:, 2:] = 2e37
    assert np.isfinite(filters.gradient_magnitude(step)).all()


# ---- separable kernels --------------------------------------------------------------------------

SEPARABLE = (
    "box",
    "gaussian",
    "identity",
    *(f"{name}_{axis}" for name in ("sobel", "prewitt", "scharr") for axis in "xy"),
)


@pytest.mark.parametrize("name", SEPARABLE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_separable_kernels_are_the_product_of_their_factors(name, dtype):
    kernel = filters.get_kernel(name, dtype=dtype)
    column, row = filters.separate(kernel)
    assert column.dtype == row.dtype == dtype
    np.testing.assert_allclose(
        np.outer(column, row), kernel, rtol=0, atol=4 * np.finfo(dtype).eps * abs(kernel).max()
    )


@pytest.mark.parametrize(
    "name", ["laplacian", "laplacian_8", "log", "sharpen", "unsharp", "emboss", "roberts_x"]
)
def test_kernels_of_a_higher_rank_are_not_separable(name):
    assert filters.separate(filters.get_kernel(name)) is None


@pytest.mark.parametrize("name", ["sobel", "prewitt", "scharr"])
def test_derivatives_separate_without_rounding(name):
    x, y = filters.GRADIENTS[name]
    for kernel in (x, y, x.astype(np.float64), y.astype(int)):
        column, row = (line.astype(np.float32) for line in filters.separate(kernel))
        # products of float32 numbers are exact in float64
        np.testing.assert_array_equal(np.outer(column.astype(float), row), kernel)


@pytest.mark.parametrize("sigma", [0.8, 3.0, 7.5])
def test_a_sampled_gaussian_is_separable(sigma):
    kernel = filters.gaussian(sigma=sigma)
    column, row = filters.separate(kernel)
    np.testing.assert_allclose(np.outer(column, row), kernel, rtol=0, atol=4 * U32 * kernel.max())


def test_tol_is_the_relative_error_that_is_let_pass():
    rng = np.random.default_rng(SEED)
    kernel = np.outer(rng.standard_normal(6), rng.standard_normal(5))
    noise = rng.standard_normal(kernel.shape)
    noisy = kernel + 1e-3 * noise * np.linalg.norm(kernel) / np.linalg.norm(noise)
    assert filters.separate(noisy) is None
    assert filters.separate(noisy, 1e-5) is None
    column, row = filters.separate(noisy, 2e-3)
    error = np.linalg.norm(np.outer(column, row) - noisy) / np.linalg.norm(noisy)
    assert error <= 1e-3, f"seed {SEED}"


def test_separate_takes_lines_zeros_and_what_is_not_finite():
    column, row = filters.separate(np.zeros((3, 4)))
    assert (np.outer(column, row) == np.zeros((3, 4))).all()
    column, row = filters.separate([[1, 2, 1]])
    np.testing.assert_array_equal(np.outer(column, row), [[1, 2, 1]])
    assert filters.separate([[np.nan, 1], [1, 1]]) is None
    assert filters.separate([[np.inf, 1], [1, 1]]) is None


@pytest.mark.parametrize("size", [3, 7, 11, 31])
def test_the_number_of_passes_and_the_bits_do_not_depend_on_the_threads(size):
    image = photo((256, 256), np.float32)
    kernel = filters.gaussian(size, size / 6)
    one, *more = (filters.apply(image, kernel, threads=n) for n in (1, 2, 7))
    for y in more:
        np.testing.assert_array_equal(y, one)


def test_a_large_gaussian_goes_in_two_passes_and_a_small_line_in_one():
    image = photo((64, 64), np.float32)
    assert len(filters.passes(image, filters.gaussian(sigma=6))) == 2
    assert len(filters.passes(image, [[1, 2, 1]])) == 1


@seeds(3)
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "symmetric", "zeros"])
def test_means_of_bytes_are_those_of_whole_numbers(mode, seed):
    """The nearest float32 or integer to the exact mean, for any box, also larger than the image."""
    rng = np.random.default_rng([seed, len(mode)])
    for most in (4, 17, 60):
        x = rng.integers(0, 256, (*rng.integers(1, 50, 2), rng.integers(1, 4)), dtype=np.uint8)
        box = rng.integers(2, most, 2)
        exact = filters.apply(x.astype(float), np.ones(box), mode=mode) / box.prod()
        kernel = np.full(box, 1 / box.prod(), np.float32)
        context = f"seed {seed}: {x.shape} {box}"
        y = filters.apply(x, kernel, mode=mode)
        np.testing.assert_allclose(y, exact, rtol=1.3e-7, err_msg=context)
        for dtype in (np.uint8, np.int16):
            y = filters.apply(x, kernel, mode=mode, out_dtype=dtype)
            np.testing.assert_array_equal(y, np.rint(exact), err_msg=context)
