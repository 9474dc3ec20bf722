"""The same answers as PyTorch's, exactly: every direction, dtype and border that PyTorch has.

On small integers every sum is exact in float32, so nothing is left to a tolerance.
"""

import numpy as np
import pytest

import cyconv

from . import tolerances
from .cases import Case, seeds
from .test_directions import normal, normwise, out_shape, random_case

torch = pytest.importorskip("torch")
F = torch.nn.functional

DTYPES = ("float32", "float64", "complex64", "complex128")
TORCH_MODES = {"reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def tensor(array):
    return None if array is None else torch.from_numpy(np.ascontiguousarray(array))


def integers(rng, shape, dtype):
    a = rng.integers(-6, 7, shape)
    return (a + 1j * rng.integers(-6, 7, shape) if np.dtype(dtype).kind == "c" else a).astype(dtype)


def symmetric(case):
    """`case` as PyTorch can say it: as much padding before as after, no flip, no border mode.

    "same" is left where it needs no odd cell and no stride.
    """
    padding = case.padding
    if not isinstance(padding, str):
        padding = tuple(max(pair) for pair in padding)
    elif max(case.stride) > 1 or padding == "same_lower" or not all(k % 2 for k in case.w[2:]):
        padding = tuple(d * (k - 1) for k, d in zip(case.w[2:], case.dilation, strict=True))
    return Case(case.name, case.x, case.w, case.stride, padding, case.dilation, case.groups)


def arguments(case):
    return case.stride, case.padding, case.dilation, case.groups


@seeds(120)
def test_conv_and_its_gradients(seed):
    """`conv*d` and what autograd makes of it: all four dtypes in turn, gradients conjugated."""
    case, dtype = symmetric(random_case(seed)), DTYPES[seed % 4]
    rng = np.random.default_rng(seed)
    x, w, g = (integers(rng, s, dtype) for s in (case.x, case.w, out_shape(case)))
    bias = integers(rng, case.w[0], dtype)
    leaves = [tensor(a).requires_grad_() for a in (x, w, bias)]
    theirs = getattr(F, f"conv{case.rank}d")(*leaves, *arguments(case))
    ours = getattr(cyconv, f"conv{case.rank}d")(x, w, bias, *arguments(case))
    assert ours.dtype == dtype
    np.testing.assert_array_equal(ours, theirs.detach().numpy())
    gradients = torch.autograd.grad(theirs, leaves, tensor(g))
    for a, b in zip(cyconv.conv_vjp(x, w, g, *arguments(case)), gradients, strict=True):
        np.testing.assert_array_equal(a, b.numpy())


@seeds(60, 200)
def test_nn_grad(seed):
    """`torch.nn.grad.conv*d_input` and `_weight`: the same order of arguments."""
    case, dtype = symmetric(random_case(seed)), DTYPES[seed % 2]
    padding = (9,) * case.rank if isinstance(case.padding, str) else case.padding
    x_shape = (2, *case.x[-case.rank - 1 :])  # torch.nn.grad takes batches, and numbers only
    case = Case(case.name, x_shape, case.w, case.stride, padding, case.dilation, case.groups)
    rng = np.random.default_rng(seed)
    x, w, g = (integers(rng, s, dtype) for s in (case.x, case.w, out_shape(case)))
    name, rest = f"conv{case.rank}d", arguments(case)
    theirs = getattr(torch.nn.grad, f"{name}_input")(x.shape, tensor(w), tensor(g), *rest)
    ours = cyconv.conv_grad_input(x.shape, w, g, *rest)
    np.testing.assert_array_equal(ours, theirs.numpy())
    theirs = getattr(torch.nn.grad, f"{name}_weight")(tensor(x), w.shape, tensor(g), *rest)
    ours = cyconv.conv_grad_weight(x, w.shape, g, *rest)
    np.testing.assert_array_equal(ours, theirs.numpy())


@seeds(120)
def test_conv_transpose(seed):
    """`conv_transpose*d`, with its order of arguments."""
    rng, dtype = np.random.default_rng(seed), DTYPES[seed % 4]
    rank = int(rng.integers(1, 4))

    def axes(low, high):
        return tuple(int(n) for n in rng.integers(low, high + 1, rank))

    kernel, stride, dilation, sizes = axes(1, 4), axes(1, 4), axes(1, 3), axes(1, 9 // rank)
    extra = tuple(int(rng.integers(0, max(pair))) for pair in zip(stride, dilation, strict=True))
    full = [
        (n - 1) * s + d * (k - 1) + 1
        for n, s, d, k in zip(sizes, stride, dilation, kernel, strict=True)
    ]
    padding = tuple(int(rng.integers(0, min(4, (n + 1) // 2))) for n in full)
    groups = int(rng.integers(1, 4))
    channels, filters = (groups * int(rng.integers(1, 4)) for _ in range(2))
    batch = () if rng.random() < 0.15 else (int(rng.integers(1, 4)),)
    x = integers(rng, (*batch, channels, *sizes), dtype)
    w = integers(rng, (channels, filters // groups, *kernel), dtype)
    bias = integers(rng, filters, dtype) if seed % 3 else None
    rest = stride, padding, extra, groups, dilation
    theirs = getattr(F, f"conv_transpose{rank}d")(*map(tensor, (x, w, bias)), *rest)
    ours = getattr(cyconv, f"conv_transpose{rank}d")(x, w, bias, *rest)
    assert ours.dtype == dtype
    np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_weight_that_is_not_finite(dtype, value):
    """Transposed, and in the gradient of the input: at the ends there is nothing to multiply."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(1, 7, s).astype(dtype) for s in ((2, 4, 5, 6), (4, 3, 3, 3)))
    w[1, 2, 0, 2] = value
    for rest in ((1, 0, 0, 1, 1), (2, 1, 1, 1, 1), (3, 1, 0, 1, 2)):
        theirs = F.conv_transpose2d(tensor(x), tensor(w), None, *rest)
        ours = cyconv.conv_transpose2d(x, w, None, *rest)
        np.testing.assert_array_equal(ours, theirs.numpy())
        assert np.isfinite(ours).any()
        stride, padding, _, groups, dilation = rest
        ours = cyconv.conv_grad_input(ours.shape, w, x, stride, padding, dilation, groups)
        np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("mode", TORCH_MODES)
@seeds(15, 300)
def test_border_modes_and_their_gradients(seed, mode):
    """`F.pad` and then `conv*d`, whose autograd is ours with a padding mode."""
    case = random_case(seed)
    rank, dtype = case.rank, DTYPES[seed % 2]
    most = [n - 1 if mode == "reflect" else n for n in case.x[-rank:]]
    wanted = ((2, 1),) * rank if isinstance(case.padding, str) else case.padding
    pairs = tuple((min(lo, n), min(hi, n)) for (lo, hi), n in zip(wanted, most, strict=True))
    kernel = tuple(
        min(k, (n + sum(pair) - 1) // d + 1)
        for k, n, pair, d in zip(case.w[2:], case.x[-rank:], pairs, case.dilation, strict=True)
    )
    x_shape = (1, *case.x[-rank - 1 :])
    case = Case(
        case.name,
        x_shape,
        (*case.w[:2], *kernel),
        case.stride,
        pairs,
        case.dilation,
        case.groups,
        mode,
    )
    rng = np.random.default_rng(seed)
    x, w, g = (integers(rng, s, dtype) for s in (case.x, case.w, out_shape(case)))
    leaves = [tensor(a).requires_grad_() for a in (x, w)]
    padded = F.pad(leaves[0], [n for pair in pairs[::-1] for n in pair], TORCH_MODES[mode])
    function = getattr(F, f"conv{rank}d")
    theirs = function(padded, leaves[1], None, case.stride, 0, case.dilation, case.groups)
    np.testing.assert_array_equal(cyconv.conv(x, w, **case.geometry), theirs.detach().numpy())
    gradients = torch.autograd.grad(theirs, leaves, tensor(g))
    for a, b in zip(cyconv.conv_vjp(x, w, g, **case.geometry)[:2], gradients, strict=True):
        np.testing.assert_array_equal(a, b.numpy())


@seeds(60)
def test_unfold_and_fold(seed):
    rng, dtype = np.random.default_rng(seed), DTYPES[seed % 4]

    def axes(low, high):
        return tuple(int(n) for n in rng.integers(low, high + 1, 2))

    kernel, stride, dilation, padding = axes(1, 4), axes(1, 3), axes(1, 3), axes(0, 3)
    size = tuple(d * (k - 1) + 1 + e for k, d, e in zip(kernel, dilation, axes(0, 6), strict=True))
    batch = () if seed % 5 == 0 else (2,)
    x = integers(rng, (*batch, 3, *size), dtype)
    rest = kernel, dilation, padding, stride
    theirs = F.unfold(tensor(x), *rest)
    np.testing.assert_array_equal(cyconv.unfold(x, *rest), theirs.numpy())
    columns = integers(rng, tuple(theirs.shape), dtype)
    theirs = F.fold(tensor(columns), size, *rest)
    np.testing.assert_array_equal(cyconv.fold(columns, size, *rest), theirs.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@seeds(10, 400)
def test_normal_data(seed, dtype):
    """What is not exact lies within both bounds: each is within one of the truth."""
    case = symmetric(random_case(seed))
    x, w, g = normal(case, dtype)
    real = np.dtype(dtype).type(0).real.dtype
    leaves = [tensor(a).requires_grad_() for a in (x, w)]
    theirs = getattr(F, f"conv{case.rank}d")(*leaves, None, *arguments(case))
    ours = cyconv.conv(x, w, None, *arguments(case))
    assert abs(ours - theirs.detach().numpy()).max() <= 2 * normwise(real, x, w)
    if dtype in ("float32", "float64"):
        allowed = 2 * tolerances.bound("direct", x, w, None, dtype, **case.geometry)
        ours = cyconv.conv(x, w, None, *arguments(case), algorithm="direct")
        assert (abs(ours - theirs.detach().numpy()) <= allowed).all()
    gradients = [a.numpy() for a in torch.autograd.grad(theirs, leaves, tensor(g))]
    ours = cyconv.conv_vjp(x, w, g, *arguments(case))[:2]
    for a, b, operand in zip(ours, gradients, (w, x), strict=True):
        assert abs(a - b).max() <= 2 * normwise(real, g, operand)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@seeds(6, 420)
def test_halves(seed, dtype):
    """Integers whose sums a half holds come out as PyTorch's."""
    pytest.importorskip("ml_dtypes")
    case = symmetric(random_case(seed, max_rank=2))
    rng = np.random.default_rng(seed)
    x, w = (rng.integers(-1, 2, s).astype("f4") for s in (case.x, case.w))
    halves = [tensor(a).to(getattr(torch, dtype)) for a in (x, w)]
    theirs = getattr(F, f"conv{case.rank}d")(*halves, None, *arguments(case))
    ours = cyconv.conv(x.astype(dtype), w.astype(dtype), None, *arguments(case))
    np.testing.assert_array_equal(ours.astype("f4"), theirs.float().numpy())


@seeds(10, 430)
def test_integers(seed):
    """PyTorch's int64 convolution; ours of int64 wraps the same way."""
    case = symmetric(random_case(seed))
    rng = np.random.default_rng(seed)
    x, w = (rng.integers(-(2**40), 2**40, s) for s in (case.x, case.w))
    theirs = getattr(F, f"conv{case.rank}d")(tensor(x), tensor(w), None, *arguments(case))
    np.testing.assert_array_equal(cyconv.conv(x, w, None, *arguments(case)), theirs.numpy())
