"""unfold and fold: any rank, any dtype, against the oracle's windows, and adjoint."""

from itertools import product

import numpy as np
import pytest

import cyconv

from . import oracle
from .cases import seeds
from .test_directions import inner, random_case

DTYPES = (
    "float16", "float32", "float64", "complex64", "complex128", "longdouble", "object", "bool",
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
)  # fmt: skip
SEEDS = seeds(60)


def problem(seed, dtype="int64", max_rank=4):
    """`(x, arguments)` of a random unfold: kernel, dilation, padding, stride."""
    case = random_case(seed, max_rank=max_rank)
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 7, case.x).astype(dtype)
    return x, (case.w[2:], case.dilation, case.padding, case.stride)


def batched(x, kernel):
    return x if x.ndim == len(kernel) + 2 else x[None]


@SEEDS
def test_unfold_is_the_oracles_windows(seed):
    x, arguments = problem(seed)
    before = x.copy()
    columns = cyconv.unfold(x, *arguments)
    expected = oracle.unfold(batched(x, arguments[0]), *arguments)
    assert columns.dtype == x.dtype
    assert columns.ndim == (3 if batched(x, arguments[0]) is x else 2)
    np.testing.assert_array_equal(columns.reshape(expected.shape), expected)
    np.testing.assert_array_equal(x, before)
    columns[...] = 0  # its own memory: x does not move
    np.testing.assert_array_equal(x, before)


@SEEDS
def test_fold_is_the_adjoint_of_unfold(seed):
    """``<unfold(x), c> = <x, fold(c)>``, in integers, exactly."""
    x, arguments = problem(seed)
    columns = cyconv.unfold(x, *arguments)
    c = np.random.default_rng(seed + 1).integers(-9, 10, columns.shape)
    kernel = arguments[0]
    before = c.copy()
    folded = cyconv.fold(c, x.shape[-len(kernel) :], *arguments)
    assert folded.shape == x.shape
    assert folded.dtype == c.dtype
    assert inner(columns, c) == inner(x, folded)
    np.testing.assert_array_equal(c, before)


@SEEDS
def test_fold_of_unfold_counts_the_windows_over_each_cell(seed):
    x, arguments = problem(seed)
    size = x.shape[-len(arguments[0]) :]
    counts = cyconv.fold(cyconv.unfold(np.ones_like(x), *arguments), size, *arguments)
    folded = cyconv.fold(cyconv.unfold(x, *arguments), size, *arguments)
    np.testing.assert_array_equal(folded, counts * x)


@seeds(20, first=60)
def test_convolution_is_a_product_with_the_columns(seed):
    """``w.reshape(K, -1) @ unfold(x) = conv(x, w)``, and fold of ``w^T g`` is grad_input."""
    x, (kernel, dilation, padding, stride) = problem(seed, max_rank=3)
    x = batched(x, kernel)
    rng = np.random.default_rng(seed)
    w = rng.integers(-6, 7, (3, x.shape[1], *kernel))
    geometry = {"stride": stride, "padding": padding, "dilation": dilation}
    matrix = w.reshape(3, -1)
    y = cyconv.conv(x, w, **geometry)
    columns = cyconv.unfold(x, kernel, dilation, padding, stride)
    np.testing.assert_array_equal(matrix @ columns, y.reshape(len(x), 3, -1))
    g = rng.integers(-6, 7, y.shape)
    gx = cyconv.conv_grad_input(x.shape, w, g, **geometry)
    back = matrix.T @ g.reshape(len(x), 3, -1)
    folded = cyconv.fold(back, x.shape[2:], kernel, dilation, padding, stride)
    np.testing.assert_array_equal(folded, gx)


@pytest.mark.parametrize("rank", range(1, 9))
def test_every_rank(rank):
    x = np.arange(2 * 3**rank).reshape(1, 2, *(3,) * rank)
    columns = cyconv.unfold(x, 2)
    assert columns.shape == (1, 2 * 2**rank, 2**rank)
    np.testing.assert_array_equal(columns, oracle.unfold(x, (2,) * rank))
    assert cyconv.fold(columns, x.shape[2:], 2).shape == x.shape


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(dtype):
    x, arguments = problem(3, dtype)
    columns = cyconv.unfold(x, *arguments)
    expected = oracle.unfold(batched(x, arguments[0]), *arguments)
    assert columns.dtype == x.dtype
    np.testing.assert_array_equal(columns.reshape(expected.shape), expected)
    folded = cyconv.fold(columns, x.shape[-len(arguments[0]) :], *arguments)
    assert folded.dtype == x.dtype
    assert folded.shape == x.shape


def test_bfloat16_and_byte_swapped():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    expected = cyconv.unfold(x, 2, padding=1)
    for dtype in (ml_dtypes.bfloat16, ">f4", ">i2"):
        np.testing.assert_array_equal(cyconv.unfold(x.astype(dtype), 2, padding=1), expected)


@pytest.mark.parametrize("lay", [np.asfortranarray, lambda a: a[::-1].copy()[::-1]])
def test_any_strides(lay):
    x, arguments = problem(4)
    columns = cyconv.unfold(x, *arguments)
    np.testing.assert_array_equal(cyconv.unfold(lay(x), *arguments), columns)
    size = x.shape[-len(arguments[0]) :]
    np.testing.assert_array_equal(
        cyconv.fold(lay(columns), size, *arguments), cyconv.fold(columns, size, *arguments)
    )


def test_non_finite_cells_stay_where_they_are():
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 1, 2] = np.inf
    columns = cyconv.unfold(x, 3, padding=1)
    assert np.isposinf(columns).sum() == 9
    folded = cyconv.fold(columns, (4, 4), 3, padding=1)
    assert np.argwhere(~np.isfinite(folded)).tolist() == [[0, 0, 1, 2]]


@pytest.mark.parametrize(("n", "c"), [(0, 3), (2, 0), (0, 0)])
def test_no_images_or_channels(n, c):
    columns = cyconv.unfold(np.ones((n, c, 5, 4)), 3, padding=1)
    assert columns.shape == (n, 9 * c, 20)
    assert cyconv.fold(columns, (5, 4), 3, padding=1).shape == (n, c, 5, 4)


def test_an_int_stands_for_every_axis_and_names_are_paddings():
    x = np.arange(2 * 7 * 8).reshape(1, 2, 7, 8)
    np.testing.assert_array_equal(
        cyconv.unfold(x, 3, 2, 1, 2), cyconv.unfold(x, (3, 3), (2, 2), ((1, 1), (1, 1)), (2, 2))
    )
    np.testing.assert_array_equal(
        cyconv.unfold(x, 3, padding="same"), cyconv.unfold(x, 3, padding=1)
    )
    columns = np.ones((1, 18, 56))
    np.testing.assert_array_equal(
        cyconv.fold(columns, (7, 8), 3, padding="same"), cyconv.fold(columns, (7, 8), 3, 1, 1)
    )
    assert cyconv.fold(np.ones((1, 2, 4)), 5, (2,)).shape == (1, 1, 5)


X, COLUMNS = np.ones((2, 3, 5, 6)), np.ones((2, 12, 20))
WRONG = [
    ("unfold", {"x": X, "kernel_size": 0}, ValueError, ".*kernel.*0$"),
    ("unfold", {"x": X, "kernel_size": (2, -1)}, ValueError, ".*-1$"),
    ("unfold", {"x": X, "kernel_size": 2.0}, TypeError, r".*2\.0$"),
    ("unfold", {"x": X, "kernel_size": None}, TypeError, ".*None$"),
    ("unfold", {"x": X, "kernel_size": (2, 2, 2, 2)}, ValueError, ".*x .*axes"),
    ("unfold", {"x": X, "kernel_size": 7}, ValueError, ".*kernel.* 7 "),
    ("unfold", {"x": X, "kernel_size": 2, "dilation": 2**62}, ValueError, ".*kernel"),
    ("unfold", {"x": X, "kernel_size": 2, "dilation": 0}, ValueError, r"dilation\[0\] .*got 0$"),
    ("unfold", {"x": X, "kernel_size": 2, "stride": 0}, ValueError, r"stride\[0\] .*got 0$"),
    ("unfold", {"x": X, "kernel_size": 2, "stride": True}, TypeError, "stride.*True$"),
    ("unfold", {"x": X, "kernel_size": 2, "padding": -1}, ValueError, r"padding\[0\] .*got -1$"),
    ("unfold", {"x": X, "kernel_size": 2, "padding": "full"}, ValueError, "padding .*'full'$"),
    ("unfold", {"x": np.ones(4), "kernel_size": (2,)}, ValueError, ".*x .*axes"),
    ("unfold", {"x": np.ma.array(X), "kernel_size": 2}, TypeError, "x .*mask"),
    ("unfold", {"x": np.float64(1), "kernel_size": (2,)}, ValueError, ".*x "),
    ("fold", {"columns": COLUMNS[..., :19]}, ValueError, "columns .*20.*got 19$"),
    ("fold", {"columns": COLUMNS[..., :0]}, ValueError, "columns .*20.*got 0$"),
    ("fold", {"columns": COLUMNS[:, :11]}, ValueError, "columns .*multiple.*4 .*got 11$"),
    ("fold", {"columns": COLUMNS[0, 0]}, ValueError, r"columns .*got shape \(20,\)$"),
    ("fold", {"columns": COLUMNS[None]}, ValueError, "columns .*got shape"),
    ("fold", {"columns": np.ma.array(COLUMNS)}, TypeError, "columns .*mask"),
    ("fold", {"output_size": (5, 7)}, ValueError, "columns .*24.*got 20$"),
    ("fold", {"output_size": (5, -6)}, ValueError, ".*-6$"),
    ("fold", {"output_size": (1, 6)}, ValueError, ".*kernel"),
    ("fold", {"output_size": None}, TypeError, ".*None$"),
    ("fold", {"output_size": (5.0, 6)}, TypeError, r".*5\.0$"),
    ("fold", {"kernel_size": 0}, ValueError, ".*"),
    ("fold", {"kernel_size": None}, TypeError, ".*None$"),
    ("fold", {"kernel_size": "22"}, TypeError, ".*'2"),
    ("fold", {"kernel_size": 2.0}, TypeError, r".*2\.0$"),
    ("fold", {"kernel_size": (2, 2, 3)}, ValueError, ".*"),
    ("fold", {"stride": 2}, ValueError, "columns .*6 .*got 20$"),
    ("fold", {"padding": -1}, ValueError, r"padding\[0\] .*got -1$"),
]


@pytest.mark.parametrize(("function", "changes", "error", "message"), WRONG)
def test_wrong_arguments(function, changes, error, message):
    call = {"columns": COLUMNS, "output_size": (5, 6), "kernel_size": 2}
    call = {**call, **changes} if function == "fold" else changes
    with pytest.raises(error, match=f"^{function}: {message}"):
        getattr(cyconv, function)(**call)


def test_random_problems_hold_every_feature():
    found = [problem(seed)[1] for seed in range(60)]
    assert {len(kernel) for kernel, *_ in found} == {1, 2, 3, 4}
    assert any(isinstance(padding, str) for _, _, padding, _ in found)
    for axis, low in product((1, 3), (1, 2, 3)):
        assert any(max(arguments[axis]) >= low for arguments in found)
