"""The three gradients: exact against the oracle, adjoint, and with gradients of their own."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import cyconv

from . import oracle, tolerances
from .cases import ALGORITHMS, Case, named, seeds
from .variants import WAYS, forced, label, reason

MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
GRADIENTS = ("grad_input", "grad_weight")
LETTERS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


def random_case(seed, modes=MODES, max_rank=3, flips=True):
    """A small problem of any geometry; half of them zero padded, some by name, some unbatched."""
    rng = np.random.default_rng(seed)

    def axes(low, high):
        return tuple(int(n) for n in rng.integers(low, high + 1, rank))

    rank = int(rng.integers(1, max_rank + 1))
    kernel = (3,) * rank if rng.random() < 0.3 else axes(1, 4 if rank < 3 else 3)
    stride = (1,) * rank if rng.random() < 0.4 else axes(1, 4)
    dilation = (1,) * rank if rng.random() < 0.5 else axes(1, 3)
    padding = tuple(zip(axes(0, 4), axes(0, 4), strict=True))
    if rng.random() < 0.2:
        padding = str(rng.choice(["same", "same_lower"]))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    lacking = [(0, 0) if isinstance(padding, tuple) else (99, 0)] * rank
    pairs = padding if isinstance(padding, tuple) else lacking
    least = [max(1, n - lo - hi) for n, (lo, hi) in zip(spans, pairs, strict=True)]
    spatial = tuple(n + e for n, e in zip(least, axes(0, 12 // rank), strict=True))
    groups = int(rng.integers(1, 4))
    channels, filters = (groups * int(rng.integers(1, 4)) for _ in range(2))
    batch = () if rng.random() < 0.15 else (int(rng.integers(1, 4)),)
    return Case(
        f"seed_{seed}",
        (*batch, channels, *spatial),
        (filters, channels // groups, *kernel),
        stride,
        padding,
        dilation,
        groups,
        str(rng.choice(modes)) if rng.random() < 0.5 else "zeros",
        bool(flips and rng.random() < 0.3),
    )


def out_shape(case):
    """Shape of the forward answer, by the oracle's count."""
    rank = case.rank
    *_, out = oracle.geometry(case.x[-rank:], case.w[2:], case.stride, case.padding, case.dilation)
    return (*case.x[: -rank - 1], case.w[0], *out)


def integers(case, dtype):
    """`(x, w, grad_output)`, integer-valued and small."""
    rng = np.random.default_rng(case.seed)
    shapes = case.x, case.w, out_shape(case)
    return tuple(rng.integers(-6, 7, shape).astype(dtype) for shape in shapes)


def normal(case, dtype):
    rng = np.random.default_rng(case.seed)
    arrays = [rng.standard_normal(s) for s in (case.x, case.w, out_shape(case))]
    if np.dtype(dtype).kind == "c":
        arrays = [a + 1j * rng.standard_normal(a.shape) for a in arrays]
    return tuple(a.astype(dtype) for a in arrays)


def gradient(case, direction, x, w, g, **options):
    """The product's gradient with respect to x or w."""
    geometry = {**case.geometry, **options}
    if direction == "grad_input":
        return cyconv.conv_grad_input(x.shape, w, g, **geometry)
    return cyconv.conv_grad_weight(x, w.shape, g, **geometry)


def expected_gradient(case, direction, x, w, g, **options):
    """The oracle's: the transpose, without conjugates."""
    geometry = {**case.geometry, **options}
    if direction == "grad_input":
        return oracle.grad_input(x.shape, w, g, **geometry)
    return oracle.grad_weight(x, w.shape, g, **geometry)


def supporting(case, dtype, direction, algorithms=WAYS):
    problem = cyconv.Problem(case.x, case.w, dtype, **case.geometry, direction=direction)
    return [way for way in algorithms if reason(problem, way) is None]


def channels_last(array):
    """The same cells, batched, in memory channels last; and back again."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


def normwise(dtype, *operands):
    """A bound on any algorithm's error in any cell of a bilinear form of two arrays.

    Every bound of `tolerances` is at most gamma(n) |a|_2 |b|_1 over the whole of both arrays, for n
    of a few hundred.
    """
    a, b = operands
    return tolerances.gamma(1000, dtype) * np.linalg.norm(a.ravel()) * np.abs(b).sum()


# ---- gradients against the oracle --------------------------------------------------------------

SOME = named(
    "odd_5x7", "even_4x6", "kernel_over_image", "per_side_strided", "same_strided", "stride_1x4",
    "stride_over_kernel", "dilation_strided", "border_replicate", "border_circular", "line_strided",
    "flipped_even", "groups_3_strided", "depthwise_multiplier", "volume_strided", "volume_border",
    "volume_unbatched", "rank_4", "rank_5", "tiles_grouped", "stride_over_image",
)  # fmt: skip


@pytest.mark.parametrize("direction", GRADIENTS)
@pytest.mark.parametrize("case", SOME, ids=str)
def test_gradients_of_named_problems(case, direction):
    """Exact in float32 on small integers, by every algorithm that sums products."""
    arrays = integers(case, "float32")
    expected = expected_gradient(case, direction, *arrays)
    assert abs(expected).max() < 2**22
    for name in supporting(case, "float32", direction, tolerances.EXACT):
        with forced(name):
            y = gradient(case, direction, *arrays, algorithm=name)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, expected, name)


@pytest.mark.parametrize("direction", GRADIENTS)
@seeds(150)
def test_gradients_of_random_problems(seed, direction):
    """By every algorithm; by products of spectra within the bound of the whole arrays."""
    case = random_case(seed)
    dtype = ("float32", "float64")[seed % 2]
    arrays = integers(case, dtype)
    expected = expected_gradient(case, direction, *arrays)
    operands = arrays[1:] if direction == "grad_input" else arrays[::2]
    names = supporting(case, dtype, direction)
    assert "direct" in names
    for name in names:
        with forced(name):
            y = gradient(case, direction, *arrays, algorithm=name)
        assert y.shape == expected.shape, label(name)
        if tolerances.exact(name):
            np.testing.assert_array_equal(y, expected, name)
        else:
            assert abs(y - expected).max(initial=0) <= normwise(dtype, *operands), label(name)


def test_random_problems_hold_every_feature():
    found = [random_case(seed) for seed in range(150)]
    assert {case.rank for case in found} == {1, 2, 3}
    assert {case.padding_mode for case in found} == set(MODES)
    assert {case.padding for case in found} >= {"same", "same_lower"}
    for feature in (
        lambda case: case.flip and case.groups > 1,
        lambda case: len(case.x) == case.rank + 1,
        lambda case: any(s < d for s, d in zip(case.stride, case.dilation, strict=True)),
        lambda case: any(s > k for s, k in zip(case.stride, case.w[2:], strict=True)),
        lambda case: case.padding_mode != "zeros" and max(case.stride) > 1,
    ):
        assert sum(map(feature, found)) >= 5


def test_every_algorithm_takes_gradients():
    taken = {
        name
        for seed, direction in product(range(150), GRADIENTS)
        for name in supporting(random_case(seed), ("float32", "float64")[seed % 2], direction)
    }
    assert taken >= set(ALGORITHMS)


@pytest.mark.parametrize("direction", GRADIENTS)
@pytest.mark.parametrize("seed", range(200, 220))
def test_gradients_with_channels_last(seed, direction):
    """Only x and grad_output lie differently; the letters are the same as the name."""
    case = random_case(seed)
    x, w, g = integers(case, "float64")
    expected = expected_gradient(case, direction, x, w, g)
    batched = x.ndim == w.ndim
    format_ = "channels_last" if seed % 2 else LETTERS[case.rank]
    last = (a if batched else a[None] for a in (x, g))
    last = [channels_last(a)[() if batched else 0] for a in last]
    y = gradient(case, direction, last[0], w, last[1], data_format=format_)
    if direction == "grad_input":
        y = np.moveaxis(y, -1, y.ndim - case.rank - 1)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("seed", range(220, 240))
def test_grad_bias(seed):
    case = random_case(seed)
    g = integers(case, "float32")[2].reshape((-1, *out_shape(case)[-case.rank - 1 :]))
    expected = oracle.grad_bias(g, case.rank)
    np.testing.assert_array_equal(cyconv.conv_grad_bias(g), expected)
    for format_ in ("channels_last", LETTERS[case.rank]):
        y = cyconv.conv_grad_bias(channels_last(g), data_format=format_)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("seed", range(240, 260))
def test_vjp_is_the_three_gradients(seed):
    case = random_case(seed)
    x, w, g = integers(case, "float64")
    gx, gw, gb = cyconv.conv_vjp(x, w, g, **case.geometry)
    np.testing.assert_array_equal(gx, oracle.grad_input(x.shape, w, g, **case.geometry))
    np.testing.assert_array_equal(gw, oracle.grad_weight(x, w.shape, g, **case.geometry))
    np.testing.assert_array_equal(gb, oracle.grad_bias(g, case.rank))


# ---- adjointness, and gradients of gradients ---------------------------------------------------


def inner(a, b):
    """The sum of products, in Python's integers."""
    return sum(int(p) * int(q) for p, q in zip(a.ravel(), b.ravel(), strict=True))


@seeds(100, 300)
def test_the_three_directions_are_adjoint(seed):
    """``<conv(x, w), g> = <x, convT(g, w)> = <w, grad_weight(x, g)>``, in integers, exactly."""
    case = random_case(seed)
    x, w, g = integers(case, "int64")
    value = inner(cyconv.conv(x, w, **case.geometry), g)
    assert inner(x, cyconv.conv_grad_input(x.shape, w, g, **case.geometry)) == value
    assert inner(w, cyconv.conv_grad_weight(x, w.shape, g, **case.geometry)) == value
    # convT knows x's size only as that of the smallest x with this output, and what is added.
    rank = case.rank
    stride, pairs, dilation, out = oracle.geometry(
        case.x[-rank:], case.w[2:], case.stride, case.padding, case.dilation
    )
    extra = tuple(
        n + lo + hi - d * (k - 1) - 1 - (m - 1) * s
        for n, (lo, hi), d, k, m, s in zip(
            case.x[-rank:], pairs, dilation, case.w[2:], out, stride, strict=True
        )
    )
    y = cyconv.conv_transpose(
        g,
        w,
        None,
        stride,
        pairs,
        extra,
        case.groups,
        dilation,
        padding_mode=case.padding_mode,
        flip=case.flip,
    )
    assert y.shape == x.shape
    assert inner(x, y) == value


@pytest.mark.parametrize("seed", range(400, 420))
def test_complex_gradients_are_the_adjoint_of_the_inner_product(seed):
    """``<conv(x, w), g> = <x, grad_input> = <w, grad_weight>`` with ``<a, b> = sum conj(a) b``."""
    case = random_case(seed)
    rng = np.random.default_rng(seed)
    x, w, g = (a + 1j * rng.permutation(a.ravel()).reshape(a.shape) for a in integers(case, "f8"))
    value = np.vdot(cyconv.conv(x, w, **case.geometry), g)
    assert np.vdot(x, cyconv.conv_grad_input(x.shape, w, g, **case.geometry)) == value
    assert np.vdot(w, cyconv.conv_grad_weight(x, w.shape, g, **case.geometry)) == value


def numerical(function, a, cotangent):
    """The gradient of ``<cotangent, function(a)>`` by central differences.

    The functions here are linear in each argument, so a step of one has no error but rounding.
    """
    result = np.empty_like(a)
    for cell in np.ndindex(a.shape):
        step = np.zeros_like(a)
        step[cell] = 1
        difference = function(a + step) - function(a - step)
        result[cell] = np.sum(cotangent * difference) / 2
    return result


CHECKED = [
    Case("checked_strided", (2, 2, 5, 4), (2, 2, 3, 2), (2, 1), ((1, 0), (0, 2))),
    Case("checked_dilated", (1, 4, 6), (2, 2, 2), 1, 1, 3, 2),
    Case("checked_reflect", (1, 2, 4, 3), (2, 1, 2, 3), 2, 1, 1, 2, "reflect"),
    Case("checked_circular", (3, 5), (2, 3, 3), 3, ((2, 4),), 2, 1, "circular", flip=True),
    Case("checked_same", (1, 1, 5, 3), (2, 1, 3, 3), 2, "same"),
    Case("checked_volume", (1, 2, 3, 2, 3), (2, 1, 2, 1, 2), (1, 2, 1), 1, 1, 2, "replicate"),
]


@pytest.mark.parametrize("case", CHECKED, ids=str)
def test_gradcheck(case):
    x, w, g = normal(case, "float64")
    gx, gw, gb = cyconv.conv_vjp(x, w, g, **case.geometry)
    bias, close = np.zeros(w.shape[0]), {"rtol": 1e-11, "atol": 1e-11}

    def forward(x, w, bias):
        return cyconv.conv(x, w, bias, **case.geometry)

    np.testing.assert_allclose(gx, numerical(lambda a: forward(a, w, bias), x, g), **close)
    np.testing.assert_allclose(gw, numerical(lambda a: forward(x, a, bias), w, g), **close)
    np.testing.assert_allclose(gb, numerical(lambda a: forward(x, w, a), bias, g), **close)


@pytest.mark.parametrize("case", CHECKED, ids=str)
def test_gradgradcheck(case):
    """The gradients' own gradients are the convolution and the other gradient.

    ``<v, grad_input(w, g)>`` has the gradient grad_weight(v, g) in w and conv(v, w) in g;
    ``<u, grad_weight(x, g)>`` has grad_input(u, g) in x and conv(x, u) in g.
    """
    x, w, g = normal(case, "float64")
    v, u, _ = normal(replace(case, name=case.name + "_again"), "float64")
    geometry, close = case.geometry, {"rtol": 1e-11, "atol": 1e-11}

    def grad_input(w, g):
        return cyconv.conv_grad_input(x.shape, w, g, **geometry)

    def grad_weight(x, g):
        return cyconv.conv_grad_weight(x, w.shape, g, **geometry)

    for ours, function, at, cotangent in [
        (grad_weight(v, g), lambda a: grad_input(a, g), w, v),
        (cyconv.conv(v, w, **geometry), lambda a: grad_input(w, a), g, v),
        (grad_input(u, g), lambda a: grad_weight(a, g), x, u),
        (cyconv.conv(x, u, **geometry), lambda a: grad_weight(x, a), g, u),
    ]:
        np.testing.assert_allclose(ours, numerical(function, at, cotangent), **close)


# ---- threads, out, empty axes ------------------------------------------------------------------

WORK = Case("directions_work", (3, 16, 21, 22), (24, 16, 3, 3), padding=1)
WORK_STRIDED = Case("directions_work_strided", (3, 8, 21, 22), (24, 4, 5, 5), 2, 2, 1, 2)


def by_name(cases, dtype="float32"):
    """Runs a test of `(case, direction, algorithm)` on all that can be done, in every way."""
    return pytest.mark.parametrize(
        ("case", "direction", "algorithm"),
        [
            pytest.param(case, direction, name, id=f"{case}-{direction}-{label(name)}")
            for case in cases
            for direction in GRADIENTS
            for name in supporting(case, dtype, direction)
        ],
    )


@by_name([WORK, WORK_STRIDED])
def test_gradients_have_the_same_bits_at_1_2_and_7_threads(case, direction, algorithm):
    arrays = normal(case, "float32")
    one, two, seven = (
        gradient(case, direction, *arrays, algorithm=algorithm, threads=n) for n in (1, 2, 7)
    )
    np.testing.assert_array_equal(two, one)
    np.testing.assert_array_equal(seven, one)
    operands = arrays[1:] if direction == "grad_input" else arrays[::2]
    expected = expected_gradient(case, direction, *arrays)
    assert abs(one - expected).max() <= normwise("float32", *operands)


@by_name([WORK, *named("groups_3_strided", "border_reflect", "line_strided", "flipped")])
def test_gradients_into_out(case, direction, algorithm):
    arrays = normal(case, "float32")
    before = [a.copy() for a in arrays]
    expected = gradient(case, direction, *arrays, algorithm=algorithm)
    for order in "CF":
        out = np.full_like(expected, np.nan, order=order)
        assert gradient(case, direction, *arrays, algorithm=algorithm, out=out) is out
        np.testing.assert_array_equal(out, expected)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b, "an operand was changed")


@pytest.mark.parametrize("name", ["no_images", "no_channels", "no_channels_no_bias", "no_cells"])
def test_gradients_of_empty_problems(name):
    """Empty, or sums of nothing: zeros of the right shape."""
    (case,) = named(name)
    x, w, g = integers(case, "float32")
    for direction, like in zip(GRADIENTS, (x, w), strict=True):
        y = gradient(case, direction, x, w, g)
        assert y.shape == like.shape
        assert not y.any()
    assert cyconv.conv_grad_bias(g).shape == w.shape[:1]
