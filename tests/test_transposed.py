"""Transposed convolution: exact against the oracle, with every way to say how large it is."""

import numpy as np
import pytest

import cyconv

from . import oracle, tolerances
from .cases import seeds
from .test_directions import LETTERS, MODES, channels_last, normwise
from .variants import WAYS, Way, forced, label, reason

TRANSPOSES = {1: "conv_transpose1d", 2: "conv_transpose2d", 3: "conv_transpose3d"}


def random_transposed(seed):
    """`(x, w, bias, geometry)` of a transposed convolution with a non-empty result."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))

    def axes(low, high):
        return [int(n) for n in rng.integers(low, high + 1, rank)]

    kernel, stride, dilation = axes(1, 4), axes(1, 4), axes(1, 3)
    sizes = axes(1, 8 // rank)
    extra = [int(rng.integers(0, max(pair))) for pair in zip(stride, dilation, strict=True)]
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e
        for n, s, d, k, e in zip(sizes, stride, dilation, kernel, extra, strict=True)
    ]
    pairs = []
    for n in full:
        lo = int(rng.integers(0, min(4, n)))
        pairs.append((lo, int(rng.integers(0, min(4, n - lo)))))
    groups = int(rng.integers(1, 4))
    channels, filters = (groups * int(rng.integers(1, 4)) for _ in range(2))
    batch = () if rng.random() < 0.15 else (int(rng.integers(1, 4)),)
    x = rng.integers(-6, 7, (*batch, channels, *sizes)).astype(np.float64)
    w = rng.integers(-6, 7, (channels, filters // groups, *kernel)).astype(np.float64)
    bias = rng.integers(-6, 7, filters).astype(np.float64) if rng.random() < 0.5 else None
    geometry = {
        "stride": tuple(stride),
        "padding": tuple(pairs),
        "output_padding": tuple(extra),
        "groups": groups,
        "dilation": tuple(dilation),
    }
    return x, w, bias, {**geometry, "flip": True} if rng.random() < 0.3 else geometry


def transpose(x, w, *arguments, **options):
    return getattr(cyconv, TRANSPOSES[w.ndim - 2])(x, w, *arguments, **options)


@seeds(100)
def test_transposed_random_problems(seed):
    """By name and by the choice; `conv_transpose` takes the rank from the weights."""
    x, w, bias, geometry = random_transposed(seed)
    x, w = x.astype("f4"), w.astype("f4")
    bias = None if bias is None else bias.astype("f4")
    expected = oracle.conv_transpose(x, w, bias, **geometry)
    forward = {name: value for name, value in geometry.items() if name != "output_padding"}
    problem = cyconv.Problem(expected.shape, w.shape, **forward, direction="grad_input")
    names = [way for way in WAYS if reason(problem, way) is None]
    assert "direct" in names
    for name in (Way("auto"), *names):
        with forced(name):
            y = transpose(x, w, bias, **geometry, algorithm=name)
        assert y.shape == expected.shape, label(name)
        if name != "auto" and tolerances.exact(name):
            np.testing.assert_array_equal(y, expected, name)
        else:
            allowed = normwise("f4", x, w) + tolerances.gamma(1, "f4") * 6
            assert abs(y - expected).max() <= allowed, label(name)
    same = cyconv.conv_transpose(x, w, bias, **geometry)
    np.testing.assert_array_equal(same, transpose(x, w, bias, **geometry))


@seeds(20, 60)
def test_transposed_with_channels_last(seed):
    x, w, bias, geometry = random_transposed(seed)
    x = x.reshape(-1, *x.shape[-w.ndim + 1 :])
    expected = transpose(x, w, bias, **geometry)
    for format_ in ("channels_last", LETTERS[w.ndim - 2]):
        y = transpose(channels_last(x), w, bias, **geometry, data_format=format_)
        np.testing.assert_array_equal(np.moveaxis(y, -1, 1), expected)


def kinds(a):
    """1, -1, 2, 0 for infinity, minus infinity, NaN and what is finite."""
    return np.select([np.isnan(a), np.isinf(a)], [2, np.sign(a)])


def with_unsound(rng, a):
    """`a` without zeros, which BLAS may leave out of a sum, and with infinities and NaN."""
    a = np.where(a == 0, 3, a).astype("f4")
    cells = rng.random(a.shape) < rng.choice([0.05, 0.3, 1])
    a[cells] = rng.choice([np.inf, -np.inf, np.nan], cells.sum(), p=[0.45, 0.45, 0.1])
    return a


@seeds(60, 500)
def test_weights_that_are_not_finite_touch_what_they_reach(seed):
    """Bias and activation come after; where the result is finite, nothing has changed."""
    x, w, bias, geometry = random_transposed(seed)
    extra = zip(geometry["output_padding"], geometry["stride"], strict=True)
    geometry["output_padding"] = tuple(min(e, s - 1) for e, s in extra)
    rng = np.random.default_rng(seed)
    w, x = with_unsound(rng, w), np.where(x == 0, 2, x).astype("f4")
    x = with_unsound(rng, x) if seed % 3 == 0 else x
    bias = None if bias is None else bias.astype("f4")
    with np.errstate(invalid="ignore"):
        expected = oracle.conv_transpose(x, w, bias, **geometry)
    if not expected.size:
        return
    problem = cyconv.Problem(
        expected.shape,
        w.shape,
        direction="grad_input",
        **{name: value for name, value in geometry.items() if name != "output_padding"},
    )
    for name, why in cyconv.algorithms(problem).items():
        if why is None:
            y = transpose(x, w, bias, **geometry, algorithm=name)
            np.testing.assert_array_equal(kinds(y), kinds(expected), name)
            finite = np.isfinite(expected)
            np.testing.assert_allclose(y[finite], expected[finite], rtol=1e-3, atol=1e-3)
            out = np.zeros_like(y)
            clamped = transpose(x, w, bias, **geometry, algorithm=name, activation="relu", out=out)
            np.testing.assert_array_equal(clamped, np.maximum(y, 0), name)


@pytest.mark.parametrize("mode", MODES)
@seeds(10, 80)
def test_transposed_border_modes(seed, mode):
    """The adjoint of `conv` with that border: what would be cut is added where it was copied from.

    Cells of the forward result that x does not reach, for an output padding of a stride and more,
    are zeros.
    """
    x, w, _, geometry = random_transposed(seed)
    rank = w.ndim - 2
    y = transpose(x, w, **geometry, padding_mode=mode)
    forward = {name: geometry[name] for name in ("stride", "padding", "dilation")}
    *_, out = oracle.geometry(y.shape[-rank:], w.shape[2:], **forward)
    beyond = [(0, n - m) for n, m in zip(out, x.shape[-rank:], strict=True)]
    reached = np.pad(x, [(0, 0)] * (x.ndim - rank) + beyond)
    forward |= {"groups": geometry["groups"], "flip": geometry.get("flip", False)}
    expected = oracle.grad_input(y.shape, w, reached, **forward, padding_mode=mode)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("upper", [True, False])
@seeds(20)
def test_transposed_output_shape(seed, upper):
    """ONNX: the shape chooses the padding; its odd cell is at the end for "same", else the start.

    A shape beyond the full result is its zeros at the end.
    """
    x, w, bias, geometry = random_transposed(seed)
    rank = w.ndim - 2
    geometry = {**geometry, "padding": 0, "output_padding": 0}
    whole = oracle.conv_transpose(x, w, None, **geometry)
    rng = np.random.default_rng(seed)
    wanted, cut = [], []
    for n in whole.shape[-rank:]:
        wanted.append(int(rng.integers(1, n + 3)))
        less = max(0, n - wanted[-1])
        cut.append(less // 2 if upper else less - less // 2)
    after = [(0, 2)] * rank
    window = tuple(slice(lo, lo + n) for lo, n in zip(cut, wanted, strict=True))
    expected = np.pad(whole, [(0, 0)] * (x.ndim - rank) + after)[(..., *window)]
    if bias is not None:
        expected = expected + bias.reshape(-1, *(1,) * rank)
    geometry["padding"] = "same" if upper else "same_lower"
    y = transpose(x, w, bias, **geometry, output_shape=wanted)
    np.testing.assert_array_equal(y, expected)


def test_transposed_output_shape_beside_padding_in_an_array():
    x, w = np.ones((1, 2, 3, 3), "f4"), np.ones((2, 1, 3, 3), "f4")
    given = {"stride": 2, "output_shape": (6, 6)}
    y = cyconv.conv_transpose2d(x, w, padding=np.array([1, 1]), **given)
    np.testing.assert_array_equal(y, cyconv.conv_transpose2d(x, w, padding=[1, 1], **given))


def test_transposed_same_gives_in_times_stride():
    x, w = np.ones((1, 2, 5, 7)), np.ones((2, 3, 3, 4))
    for name in ("same", "same_lower"):
        y = cyconv.conv_transpose2d(x, w, stride=(2, 3), padding=name)
        assert y.shape == (1, 3, 10, 21)


def test_the_positional_order_of_transposed_is_stride_padding_output_padding_groups_dilation():
    rng = np.random.default_rng(0)
    x, w, b = rng.integers(-6, 7, (2, 4, 5, 6)), rng.integers(-6, 7, (4, 3, 3, 3)), np.arange(6)
    y = cyconv.conv_transpose2d(x, w, b, 3, 2, 1, 2, 2)
    expected = oracle.conv_transpose(
        x, w, b, stride=3, padding=2, output_padding=1, groups=2, dilation=2
    )
    np.testing.assert_array_equal(y, expected)


def test_transposed_has_the_same_bits_at_1_2_and_7_threads():
    rng = np.random.default_rng(0)
    w, g = (
        (rng.standard_normal(s) + 1j * rng.standard_normal(s)).astype("c8")
        for s in ((24, 4, 5, 5), (3, 24, 11, 11))
    )
    geometry = {"stride": 2, "padding": 2, "groups": 2, "output_padding": (0, 1)}
    one = cyconv.conv_transpose2d(g, w, **geometry, threads=1)
    assert one.shape == (3, 8, 21, 22)
    for n in (2, 7):
        y = cyconv.conv_transpose2d(g, w, **geometry, threads=n)
        np.testing.assert_array_equal(y, one)


def test_transposed_into_out_with_bias_and_activation():
    x, w, bias, geometry = random_transposed(1)
    bias = np.zeros(w.shape[1] * geometry["groups"]) if bias is None else bias
    expected = oracle.conv_transpose(x, w, bias, **geometry).clip(0, 6)
    out = np.full_like(expected, np.nan)
    assert cyconv.conv_transpose(x, w, bias, **geometry, activation="relu6", out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("algorithm", ["auto", "direct", "im2col", "fft"])
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_of_no_channels_is_zeros_or_the_bias(groups, algorithm):
    x, w, bias = np.ones((2, 0, 3, 4)), np.ones((0, 3, 3, 3)), np.arange(3.0 * groups)
    y = cyconv.conv_transpose2d(x, w, groups=groups, stride=2, algorithm=algorithm)
    np.testing.assert_array_equal(y, np.zeros((2, 3 * groups, 7, 9)))
    y = cyconv.conv_transpose2d(x, w, bias, groups=groups, stride=2, algorithm=algorithm)
    np.testing.assert_array_equal(y, np.broadcast_to(bias[:, None, None], y.shape))


def test_transposed_of_no_images_and_to_no_channels():
    y = cyconv.conv_transpose2d(np.ones((0, 2, 3, 4)), np.ones((2, 3, 3, 3)))
    assert y.shape == (0, 3, 5, 6)
    y = cyconv.conv_transpose2d(np.ones((2, 2, 3, 4)), np.ones((2, 0, 3, 3)), stride=2)
    assert y.shape == (2, 0, 7, 9)


@seeds(40)
def test_few_channels_of_many_whose_phases_have_as_many_taps(seed):
    """One product at a time: also of taps that are not finite, which meet no zeros around x."""
    rng = np.random.default_rng(seed)
    rank, groups, c = (int(rng.integers(1, n)) for n in (4, 3, 6))
    stride, spatial = rng.integers(1, 4, rank), rng.integers(1, 7, rank)
    kernel = stride * rng.integers(1, 4, rank)
    padding = [int(rng.integers(0, k)) for k in kernel]
    extra = [int(rng.integers(0, s)) for s in stride]
    x = rng.standard_normal((2, 16 * groups, *spatial))
    w = rng.standard_normal((16 * groups, c, *kernel))
    if seed % 4 == 0:
        w = with_unsound(rng, w)
    sizes = (spatial - 1) * stride + kernel + extra
    expected = np.zeros((2, groups, c, *sizes))
    with np.errstate(invalid="ignore"):
        for tap in np.ndindex(*kernel):
            ends = zip(tap, spatial, stride, strict=True)
            cells = (slice(r, r + (n - 1) * s + 1, s) for r, n, s in ends)
            products = np.einsum(
                "ngk...,gkc->ngc...",
                x.reshape(2, groups, 16, *spatial),
                w[(..., *tap)].reshape(groups, 16, c),
            )
            expected[(..., *cells)] += products
    inside = (slice(p, n - p) for p, n in zip(padding, sizes, strict=True))
    expected = expected.reshape(2, groups * c, *sizes)[(..., *inside)]
    if 0 in expected.shape:
        return
    how = {"stride": stride.tolist(), "padding": padding, "output_padding": extra}
    y = cyconv.conv_transpose(x, w, groups=groups, **how)
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("groups", [1, 2])
def test_one_cell_is_a_product(groups):
    rng = np.random.default_rng(11)
    x = rng.standard_normal((3, 6, 1, 1))
    w, bias = rng.standard_normal((6, 8 // groups, 3, 5)), rng.standard_normal(8)
    problem = cyconv.Problem(
        (3, 8, 3, 5), w.shape, "float64", groups=groups, direction="grad_input"
    )
    plan = cyconv.plan(problem)
    assert "one window covers" in plan.explain().chain[0]
    products = np.einsum(
        "ngk,gkcrs->ngcrs",
        x.reshape(3, groups, -1),
        w.reshape(groups, 6 // groups, 8 // groups, 3, 5),
    )
    expected = products.reshape(3, 8, 3, 5) + bias.reshape(-1, 1, 1)
    wide = np.full((3, 8, 3, 9), 7.0)
    for out in np.empty((3, 8, 3, 5)), wide[..., 2:7]:
        plan.pack(w, bias)(x, out=out)
        # sums of at most 6 products of numbers under 5, each rounded by 1.1e-16 of at most 150
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-13)
    assert (wide[..., :2] == 7).all()
    assert (wide[..., 7:] == 7).all()


def test_one_cell_among_padding_or_others_is_not_a_product():
    for size, padding in ((3, 1), (5, 0)):
        given = {"stride": 3, "padding": padding, "direction": "grad_input"}
        problem = cyconv.Problem((1, 2, size, size), (4, 2, 3, 3), **given)
        assert problem.output_spatial == (1, 1)
        assert "one window" not in cyconv.plan(problem).explain().chain[0]
