"""What must hold for every problem, tried on random ones."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import cyconv

from . import tolerances
from .cases import TIMES, Case
from .variants import WAYS, forced, reason

DTYPES = st.sampled_from(["float32", "float64"])


@st.composite
def cases(draw, max_rank=3):
    """A small problem of any geometry, with at least one output cell."""
    rank = draw(st.integers(1, max_rank))

    def axes(low, high):
        return st.tuples(*[st.integers(low, high)] * rank)

    kernel = draw(st.one_of(st.just((3,) * rank), axes(1, 5)))
    stride = draw(st.one_of(st.just((1,) * rank), axes(1, 4)))
    dilation = draw(st.one_of(st.just((1,) * rank), axes(1, 3)))
    padding = draw(st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 4))] * rank))
    least = [
        max(1, d * (k - 1) + 1 - lo - hi)
        for d, k, (lo, hi) in zip(dilation, kernel, padding, strict=True)
    ]
    spatial = draw(st.tuples(*[st.integers(n, n + 24 // rank) for n in least]))
    groups = draw(st.integers(1, 3))
    channels, filters = (groups * draw(st.integers(1, 5)) for _ in range(2))
    batch = draw(st.integers(1, 3))
    return Case(
        f"random_{draw(st.integers(0, 2**32))}",
        (batch, channels, *spatial),
        (filters, channels // groups, *kernel),
        stride,
        padding,
        dilation,
        groups,
        bias=draw(st.booleans()),
    )


def supporting(case, dtype, ways=WAYS):
    problem = case.problem(dtype)
    return [way for way in ways if reason(problem, way) is None]


@settings(max_examples=200 * TIMES)
@given(case=cases(), dtype=DTYPES)
def test_every_algorithm_agrees_with_the_oracle(case, dtype):
    data = case.data(dtype)
    expected = case.expected(*data)
    assert case.problem(dtype).output_shape == expected.shape
    names = supporting(case, dtype)
    assert "direct" in names
    for name in names:
        with forced(name):
            y = case.run(*data, algorithm=name)
        tolerances.assert_close(y, expected, name, *data, **case.geometry)


@given(case=cases(), dtype=DTYPES)
def test_integers_are_exact(case, dtype):
    data = case.integers(dtype)
    for name in supporting(case, dtype, tolerances.EXACT):
        with forced(name):
            y = case.run(*data, algorithm=name)
        np.testing.assert_array_equal(y, case.expected(*data), name)


@given(case=cases(), factor=st.integers(-4, 4))
def test_it_is_linear_in_both_arguments(case, factor):
    """On integers linearity is exact: ``conv(a x + x', w) = a conv(x, w) + conv(x', w)``."""
    x, w, _ = case.integers("float32")
    x2, w2 = np.roll(x, 1), np.roll(w, 1)
    for name in supporting(case, "float32", tolerances.EXACT):

        def run(x, w, name=name):
            return case.run(x, w, None, algorithm=name)

        with forced(name):
            y = run(x, w)
            np.testing.assert_array_equal(run(factor * x + x2, w), factor * y + run(x2, w))
            np.testing.assert_array_equal(run(x, factor * w + w2), factor * y + run(x, w2))


@given(case=cases(), exponent=st.integers(-20, 20))
def test_scaling_by_a_power_of_two_scales_every_bit(case, exponent):
    x, w, _ = case.data("float32")
    scale = np.float32(2.0**exponent)
    for name in supporting(case, "float32"):
        with forced(name):
            y = case.run(x, w, None, algorithm=name)
            scaled = case.run(x * scale, w, None, algorithm=name)
        np.testing.assert_array_equal(scaled, y * scale)


@given(case=cases(), shift=st.integers(1, 3))
def test_it_is_translation_equivariant(case, shift):
    """`shift` more cells of zeros before the input, `shift` strides long: `shift` outputs later."""
    x, w, bias = case.integers("float32")
    step = case.stride[-1] * shift
    later = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(step, 0)])
    for name in supporting(case, "float32", tolerances.EXACT):
        with forced(name):
            y = case.run(x, w, bias, algorithm=name)
            moved = case.run(later, w, bias, algorithm=name)
        np.testing.assert_array_equal(moved[..., shift:], y)


@given(case=cases(), dtype=DTYPES)
def test_a_sample_has_the_same_bits_alone_and_in_a_batch(case, dtype):
    x, w, bias = case.data(dtype)
    for name in supporting(case, dtype):
        with forced(name):
            together = case.run(x, w, bias, algorithm=name)
            for n in range(len(x)):
                alone = case.run(x[n : n + 1], w, bias, algorithm=name)
                np.testing.assert_array_equal(alone, together[n : n + 1])
                unbatched = case.run(x[n], w, bias, algorithm=name)
                np.testing.assert_array_equal(unbatched, together[n])


@given(case=cases(), dtype=DTYPES)
def test_groups_are_separate_convolutions(case, dtype):
    x, w, bias = case.integers(dtype)
    y = case.run(x, w, bias, algorithm="direct")
    c, k = w.shape[1], w.shape[0] // case.groups
    for g in range(case.groups):
        part = Case("part", x[:, :c].shape, w[:k].shape, case.stride, case.padding, case.dilation)
        here, there = slice(g * c, (g + 1) * c), slice(g * k, (g + 1) * k)
        alone = part.run(
            x[:, here], w[there], None if bias is None else bias[there], algorithm="direct"
        )
        np.testing.assert_array_equal(alone, y[:, there])


@given(case=cases(max_rank=1), dtype=DTYPES)
def test_a_line_is_an_image_of_one_row(case, dtype):
    x, w, bias = case.integers(dtype)
    flat = cyconv.conv2d(
        x[:, :, None],
        w[:, :, None],
        bias,
        (1, *case.stride),
        ((0, 0), *case.padding),
        (1, *case.dilation),
        case.groups,
        algorithm="direct",
    )
    np.testing.assert_array_equal(flat[:, :, 0], case.run(x, w, bias, algorithm="direct"))
