"""The same answer as PyTorch, where PyTorch is installed."""

import numpy as np
import pytest
from hypothesis import given, settings

import cyconv

from . import tolerances
from .cases import CASES, TIMES, Case
from .test_properties import DTYPES, cases, supporting
from .variants import forced, label

torch = pytest.importorskip("torch")


def torch_conv(x, w, bias, case):
    """`torch.nn.functional.conv*d` on the input with its border written, since it has no pairs."""
    function = getattr(torch.nn.functional, f"conv{case.rank}d")
    tensors = [None if a is None else torch.from_numpy(a.copy()) for a in (x, w, bias)]
    padding = case.padding if isinstance(case.padding, tuple) else (case.padding,) * case.rank
    if any(isinstance(p, tuple) for p in padding):
        pairs = [(p, p) if isinstance(p, int) else p for p in padding]
        tensors[0] = torch.nn.functional.pad(tensors[0], [n for p in pairs[::-1] for n in p])
        padding = (0,) * case.rank
    return function(*tensors, case.stride, padding, case.dilation, case.groups).numpy()


def assert_agree(case, dtype):
    """Both lie within a bound of the truth, so they lie within the sum of the bounds.

    PyTorch is granted the bound of a plain sum, and Winograd's where its backend may use that.
    """
    x, w, bias = case.data(dtype)
    theirs = torch_conv(x, w, bias, case)
    granted = tolerances.bound("direct", x, w, bias, dtype, **case.geometry)
    for name in supporting(case, dtype):
        with forced(name):
            ours = case.run(x, w, bias, algorithm=name)
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        allowed = granted + tolerances.bound(name, x, w, bias, dtype, **case.geometry)
        assert (abs(ours.astype(np.float64) - theirs) <= allowed).all(), label(name)


@settings(max_examples=100 * TIMES)
@given(case=cases(), dtype=DTYPES)
def test_random_problems(case, dtype):
    assert_agree(case, dtype)


# PyTorch stops at three axes, gives no output channels without input channels, and refuses an
# image without cells; it has no flip, and its border modes are `torch.nn.functional.pad`'s.
NAMED = [
    case
    for case in CASES
    if case.rank <= 3
    and 0 not in case.x
    and not isinstance(case.padding, str)
    and case.padding_mode == "zeros"
    and not case.flip
]


@pytest.mark.parametrize("case", NAMED, ids=str)
def test_named_problems(case):
    assert_agree(case, "float32")


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_padding_by_name(padding):
    x, w, bias = Case("by_name", (2, 3, 9, 10), (4, 3, 5, 3)).integers("float32")
    theirs = torch.nn.functional.conv2d(*map(torch.from_numpy, (x, w, bias)), padding=padding)
    np.testing.assert_array_equal(cyconv.conv2d(x, w, bias, padding=padding), theirs.numpy())


def test_the_positional_order_is_torchs():
    rng = np.random.default_rng(0)
    x, w = rng.integers(-8, 9, (2, 4, 9, 9)), rng.integers(-8, 9, (6, 2, 3, 3))
    x, w, b = (a.astype(np.float32) for a in (x, w, np.arange(6)))
    ours = cyconv.conv2d(x, w, b, 2, 1, 1, 2)
    theirs = torch.nn.functional.conv2d(*map(torch.from_numpy, (x, w, b)), 2, 1, 1, 2)
    np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_unfold(dtype):
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 11)).astype(dtype)
    arguments = (3, 2), (1, 2), (1, 0), (2, 1)
    theirs = torch.nn.functional.unfold(torch.from_numpy(x), *arguments).numpy()
    np.testing.assert_array_equal(cyconv.unfold(x, *arguments), theirs)
