"""Inf, NaN and the ends of the range: what a cell touches, by every algorithm."""

import numpy as np
import pytest

from . import tolerances
from .cases import Case, supported

TOUCHED = [
    Case("touched", (2, 3, 11, 14), (7, 3, 3, 3), padding=1),
    Case("touched_pointwise", (1, 5, 6, 9), (7, 5, 1, 1)),
    Case("touched_large", (1, 2, 21, 19), (3, 2, 7, 7), padding=3),
    Case("touched_strided", (1, 3, 12, 15), (4, 3, 3, 3), stride=2, padding=1),
    Case("touched_dilated", (1, 3, 12, 15), (4, 3, 3, 3), padding=2, dilation=2),
    Case("touched_grouped", (1, 6, 9, 10), (8, 3, 3, 3), padding=1, groups=2),
    Case("touched_depthwise", (1, 4, 9, 18), (4, 1, 3, 3), padding=1, groups=4),
    Case("touched_deep", (1, 80, 8, 9), (10, 80, 3, 3), padding=1),
    Case("touched_line", (2, 3, 40), (4, 3, 3), padding=1),
]


def assert_same_kinds(y, expected):
    """NaN, +Inf and -Inf stand in exactly the same cells."""
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isposinf(y), np.isposinf(expected))
    np.testing.assert_array_equal(np.isneginf(y), np.isneginf(expected))


def assert_local(algorithm, case, x, w, bias):
    """Non-finite cells as the oracle has them; the finite ones within the bound.

    The bound is that of the finite data: what is finite was not near the rest.
    """
    y = case.run(x, w, bias, algorithm=algorithm)
    with np.errstate(invalid="ignore"):
        expected = case.expected(x, w, bias)
    assert_same_kinds(y, expected)
    finite = np.isfinite(expected)
    xs, ws = (np.where(np.isfinite(a), a, 0) for a in (x, w))
    allowed = tolerances.bound(algorithm, xs, ws, bias, y.dtype, **case.geometry)
    assert (abs(y[finite] - expected[finite]) <= allowed[finite]).all()
    return finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@supported(TOUCHED)
def test_a_non_finite_input_touches_its_windows_only(algorithm, case, dtype, value, isa):
    x, w, bias = case.data(dtype)
    shape = np.array(x.shape)
    for where in (0 * shape, shape - 1, shape // 2, (shape - 1) * [0, *[1] * (x.ndim - 1)]):
        touched = x.copy()
        touched[tuple(where)] = value
        finite = assert_local(algorithm, case, touched, w, bias)
        assert finite.any()


@supported(TOUCHED)
def test_infinities_of_both_signs_meet_as_nan(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    first = (0,) * x.ndim
    x[first], x[(*first[:-1], 1)] = np.inf, -np.inf
    w[...] = abs(w)
    assert_local(algorithm, case, x, w, bias)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@supported(TOUCHED)
def test_a_non_finite_weight_touches_its_channel_only(algorithm, case, dtype, value):
    x, w, bias = case.data(dtype)
    w[(-1, *(n // 2 for n in w.shape[1:]))] = value
    finite = assert_local(algorithm, case, x, w, bias)
    assert finite[:, :-1].all()


@supported(TOUCHED)
def test_a_non_finite_bias_touches_its_channel_only(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    bias[1] = np.inf
    y = case.run(x, w, bias, algorithm=algorithm)
    assert np.isposinf(y[:, 1]).all()
    assert np.isfinite(np.delete(y, 1, axis=1)).all()


@supported([case for case in TOUCHED if case.padding])
def test_padding_is_multiplied(algorithm, case, dtype):
    """Zero padding is a border of zeros that the taps multiply, so an infinite tap gives NaN there.

    It is the same answer as for the input with its border written out.
    """
    x, w, bias = case.data(dtype)
    w[(0,) * w.ndim] = np.inf
    y = case.run(x, w, bias, algorithm=algorithm)
    assert np.isnan(y[(0,) * y.ndim])
    p = case.padding
    written = np.pad(x, ((0, 0), (0, 0), *[(p, p)] * case.rank))
    bare = Case(case.name, written.shape, case.w, case.stride, 0, case.dilation, case.groups)
    assert_same_kinds(y, bare.run(written, w, bias, algorithm=algorithm))
    assert_local(algorithm, case, x, w, bias)


@supported(TOUCHED)
def test_sums_that_fit_do_not_overflow_on_the_way(algorithm, case, dtype):
    """Cells near the largest float, small weights: an algorithm's sums of cells must not show."""
    x, w, _ = case.data(dtype)
    x = np.copysign(np.finfo(dtype).max, x)
    w = np.copysign(np.array(2.0**-20, dtype), w)
    y = case.run(x, w, None, algorithm=algorithm)
    expected = case.expected(x, w, None)
    assert np.isfinite(expected).all()
    tolerances.assert_close(y, expected, algorithm, x, w, None, **case.geometry)
