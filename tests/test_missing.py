"""Normalised convolution against the definition, summed cell by cell in float64."""

import numpy as np
import pytest

from cyconv import filters

from .cases import seeds

MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap", "symmetric": "symmetric"}


def definition(x, there, kernel, mode, channels=False):
    """(weighted sum of what is there, its weight), by windows over an array with its border."""
    pad = [((n - 1) // 2, n // 2) for n in kernel.shape] + [(0, 0)] * channels
    how = {"mode": MODES[mode]} if mode in MODES else {"mode": "constant"}
    value = np.pad(np.where(there, x, 0).astype(float), pad, **how)
    weight = np.pad(there.astype(float), pad, **how)
    if mode == "zeros":  # what lies outside is there, and 0
        weight = np.pad(there.astype(float), pad, mode="constant", constant_values=1)
    axes = tuple(range(kernel.ndim))
    sums = [
        np.tensordot(
            np.lib.stride_tricks.sliding_window_view(a, kernel.shape, axis=axes),
            kernel.astype(float),
            kernel.ndim,
        )
        for a in (value, weight)
    ]
    return sums


def holes(rng, shape, dtype, share=0.2):
    x = rng.normal(size=shape).astype(dtype)
    there = rng.random(shape) >= share
    x[~there] = np.nan
    return x, there


@seeds(2)
@pytest.mark.parametrize("mode", [*MODES, "zeros"])
@pytest.mark.parametrize(
    ("shape", "kernel", "channels"),
    [
        ((19, 23), (5, 3), False),
        ((17, 14, 3), (3, 3), True),
        ((40,), (7,), False),
        ((9, 8, 7), (3, 3, 3), False),
        ((12, 13), (9, 9), False),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_mean_of_what_is_there(dtype, shape, kernel, channels, mode, seed):
    rng = np.random.default_rng([seed, len(shape)])
    x, there = holes(rng, shape, dtype)
    w = rng.random(kernel) + 0.1
    sums, weights = definition(x, there, w, mode, channels)
    y = filters.normalized(x, w, mode=mode, channels=channels)
    assert y.dtype == dtype
    assert (np.isnan(y) == (weights == 0)).all()
    tolerance = 40 * w.size * np.finfo(dtype).eps
    inside = weights > 0
    np.testing.assert_allclose(
        y[inside],
        sums[inside] / weights[inside],
        rtol=tolerance,
        atol=tolerance * 4,
        err_msg=f"seed {seed}",
    )


def test_nothing_missing_is_the_plain_filter():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(20, 21, 3)), rng.random((5, 5))
    plain = filters.apply(x, w)
    np.testing.assert_allclose(filters.apply(x, w, missing="omit"), plain, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        filters.normalized(x, w, channels=True), plain / w.sum(), rtol=1e-12, atol=1e-13
    )


def test_a_constant_image_stays_constant_whatever_is_missing():
    rng = np.random.default_rng(1)
    x = np.where(rng.random((30, 31)) < 0.3, np.nan, 7.5)
    y = filters.apply(x, "gaussian", missing="omit")
    np.testing.assert_allclose(y[~np.isnan(y)], 7.5, rtol=1e-13)


def test_masks_masked_arrays_and_nan_mean_the_same():
    rng = np.random.default_rng(2)
    x, there = holes(rng, (15, 16), "f8")
    whole = np.where(there, x, 99.0)
    expected = filters.normalized(x, "gaussian")
    np.testing.assert_array_equal(filters.normalized(whole, "gaussian", mask=~there), expected)
    masked = np.ma.MaskedArray(whole, ~there)
    np.testing.assert_array_equal(filters.normalized(masked, "gaussian"), expected)
    total = filters.get_kernel("gaussian", dtype=float).sum()
    np.testing.assert_allclose(
        filters.apply(masked, "gaussian", missing="omit"), expected * total, rtol=1e-15
    )


def test_bytes_have_a_mask_and_an_infinity_that_is_masked_does_not_spread():
    image = np.arange(30, dtype=np.uint8).reshape(5, 6)
    mask = image == 14
    assert filters.normalized(image, "box", mask=mask).dtype == np.float32
    x = image.astype(float)
    x[2, 2] = np.inf
    assert np.isfinite(filters.normalized(x, "box", mask=mask)).all()


def test_min_weight_is_a_share_of_the_kernels_weight():
    x = np.full((5, 5), np.nan)
    x[:, :2] = 1
    share = np.array([6, 6, 3, 0, 0]) / 9  # of a box of 3 x 3, with a mirrored border
    share[0] = 1
    for least in (0, 1 / 3, 0.5, 2 / 3, 1):
        y = filters.normalized(x, "box", min_weight=least)
        expected = np.where((share >= least - 1e-12) & (share > 0), 1, np.nan)
        np.testing.assert_allclose(y[2], expected, rtol=1e-12)


@seeds(2)
@pytest.mark.parametrize("mode", [*MODES, "zeros"])
@pytest.mark.parametrize(
    ("shape", "kernel", "channels"),
    [((7, 6), (3, 3), False), ((5, 6, 2), (3, 2), True), ((9,), (4,), False)],
)
def test_the_gradient_is_the_adjoint(shape, kernel, channels, mode, seed):
    """<g, dy> == <grad, dx>: what is there enters linearly."""
    rng = np.random.default_rng(seed)
    x, there = holes(rng, shape, "f8", 0.3)
    w, how = rng.random(kernel), {"mode": mode, "channels": channels}
    g, dx = rng.normal(size=(2, *shape))
    grad = filters.normalized_grad(g, x, w, **how)
    assert (grad[~there] == 0).all()
    dy = np.nan_to_num(filters.normalized(np.where(there, dx, np.nan), w, **how))
    assert abs((g * dy).sum() - (grad * dx).sum()) < 1e-11, f"seed {seed}"


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda x: filters.normalized(x, "sobel_x"), ValueError, "must not sum to 0.*0 / 0"),
        (lambda x: filters.apply(x, "laplacian", missing="omit"), ValueError, "not sum to 0"),
        (lambda x: filters.apply(x, "box", missing="drop"), ValueError, "missing must be None or"),
        (lambda x: filters.normalized(x, "box", min_weight=2), ValueError, "lie in .0, 1., got 2"),
        (lambda x: filters.normalized(x, "box", mask=x), ValueError, "mask must hold bools"),
        (lambda x: filters.normalized(x, "box", mask=[True]), ValueError, "mask must hold bools"),
        (lambda x: filters.normalized(x, np.ones(3)), ValueError, "kernel must have 2 axes"),
        (lambda x: filters.normalized(x, "box", out_dtype="u1"), TypeError, "to hold NaN, got"),
        (lambda x: filters.normalized(x > 0, "box"), TypeError, "real numbers, got dtype bool"),
        (lambda x: filters.normalized(x, "box", device="cpu"), TypeError, "is called device"),
        (lambda x: filters.normalized_grad(x[1:], x, "box"), ValueError, "grad_output must have"),
    ],
)
def test_what_is_wrong_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call(np.arange(30.0).reshape(5, 6))
