"""Convolution as a matrix: its product is the convolution, its transpose the adjoint, its form."""

from itertools import product

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, eigsh, lsqr, svds

import cyconv
from cyconv import toeplitz
from cyconv.problem import PADDING_MODES

from . import oracle, tolerances
from .cases import CASES

SEED = 11
FORMS = {"matrix": toeplitz.matrix, "sparse": toeplitz.sparse, "operator": toeplitz.operator}
FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
# At most 2e5 entries in a sparse matrix, and 32 MB in a dense one.
SMALL = [
    case
    for case in CASES
    if np.prod(case.problem("float32").y_shape) * np.prod(case.w[1:]) <= 2e5
    and np.prod(case.problem("float32").y_shape) * np.prod(case.x) <= 4e6
]


def integers(rng, shape, dtype=np.float64):
    values = rng.integers(-8, 9, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.integers(-8, 9, shape)
    return values.astype(dtype)


def line(w, length, **geometry):
    """The matrix of one kernel (R,) on one channel of `length` cells."""
    return toeplitz.matrix(np.asarray(w)[None, None], (1, length), **geometry)


# ---- the product is the convolution --------------------------------------------------------------


def assert_same(form, got, expected):
    """Exactly, by a matrix; the operator's algorithm may round."""
    rounding = 1e-10 if form is FORMS["operator"] else 0
    np.testing.assert_allclose(got, expected, rtol=rounding, atol=rounding)


@FORM
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_product_is_the_convolution(case, form):
    x, w, _ = case.integers(np.float64)
    t = form(w, x.shape, **case.geometry)
    expected = case.expected(x, w, None)
    assert t.shape == (expected.size, x.size)
    assert_same(form, t @ x.ravel(), expected.ravel())


@FORM
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_conjugate_transpose_is_the_gradient(case, form):
    """<T x, g> = <x, T* g>, on integers, and T* is conv_grad_input."""
    x, w, _ = case.integers(np.float64)
    t = form(w, x.shape, **case.geometry)
    g = integers(np.random.default_rng(SEED), t.shape[0])
    adjoint = t.T @ g
    assert_same(form, (t @ x.ravel()) @ g, x.ravel() @ adjoint)
    expected = oracle.grad_input(
        x.shape, w, g.reshape(case.expected(x, w, None).shape), **case.geometry
    )
    assert_same(form, adjoint, expected.ravel())


def test_small_cases_hold_every_feature():
    """The rows of the table that the two tests above run on."""
    assert len(SMALL) > 50
    assert {case.rank for case in SMALL} >= {1, 2, 3, 4, 5}
    assert {case.padding_mode for case in SMALL} == set(PADDING_MODES)
    assert any(case.flip for case in SMALL)
    assert any(case.groups > 1 for case in SMALL)
    assert any(case.stride != 1 for case in SMALL)
    assert any(case.dilation != 1 for case in SMALL)
    assert any(len(case.x) == len(case.w) - 1 for case in SMALL)
    assert any(0 in case.x for case in SMALL)


@FORM
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("padding", [((4, 1), (2, 3)), ((0, 9), (7, 0)), "same", "same_lower"])
def test_every_padding_mode_and_side(mode, padding, form):
    rng = np.random.default_rng(SEED)
    x, w = integers(rng, (4, 5, 6)), integers(rng, (2, 2, 3, 2))
    geometry = {
        "stride": (2, 1),
        "padding": padding,
        "dilation": (1, 2),
        "groups": 2,
        "padding_mode": mode,
        "flip": True,
    }
    t = form(w, x.shape, **geometry)
    np.testing.assert_array_equal(t @ x.ravel(), oracle.conv(x, w, **geometry).ravel())


@FORM
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64",
                                   "complex128", "int8", "uint8", "int16", "uint16", "int32",
                                   "uint32", "int64", "uint64"])  # fmt: skip
def test_dtype_is_that_of_the_sums(dtype, form):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(SEED)
    x, w = (rng.integers(0, 9, s).astype(dtype) for s in ((1, 6, 7), (2, 1, 3, 3)))
    t = form(w, x.shape)
    problem = cyconv.Problem(x.shape, w.shape, dtype)
    assert t.dtype == problem.sum_dtype
    y = t @ x.ravel().astype(t.dtype)
    assert y.dtype in (t.dtype, np.result_type(np.int64, t.dtype))  # the operator sums int32 wider
    np.testing.assert_array_equal(y, oracle.conv(x.real, w.real).ravel())


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint64])
def test_integers_are_exact_past_the_53_bits_of_a_double(dtype):
    x, w = np.array([[2**30 - 1, 2, 3, 5]], dtype), np.array([[[2**30 + 1, 7]]], dtype)
    exact = [int(a) * (2**30 + 1) + int(b) * 7 for a, b in zip(x[0, :-1], x[0, 1:], strict=True)]
    for form in FORMS.values():
        assert (form(w, x.shape) @ x.ravel()).tolist() == exact


def test_complex_operator_conjugates_in_its_adjoint():
    rng = np.random.default_rng(SEED)
    w = integers(rng, (3, 2, 2, 3), np.complex128)
    geometry = {"padding": 2, "padding_mode": "symmetric", "stride": 2}
    dense, op = (form(w, (2, 5, 6), **geometry) for form in (toeplitz.matrix, toeplitz.operator))
    g = integers(rng, dense.shape[0], np.complex128)
    np.testing.assert_array_equal(op.H @ g, dense.conj().T @ g)
    np.testing.assert_array_equal(op.T @ g, dense.T @ g)


# ---- the three forms are one matrix --------------------------------------------------------------


def test_forms_are_what_they_say():
    w = np.ones((1, 1, 3))
    assert type(toeplitz.matrix(w, (1, 5))) is np.ndarray
    assert isinstance(toeplitz.sparse(w, (1, 5)), scipy.sparse.csr_array)
    assert isinstance(toeplitz.operator(w, (1, 5)), LinearOperator)


@pytest.mark.parametrize("x_shape", [(4, 7, 6), (3, 4, 7, 6)], ids=["one", "batch"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_operator_takes_many_columns_at_once(x_shape, count):
    rng = np.random.default_rng(SEED)
    w = integers(rng, (6, 2, 3, 3))
    geometry = {"stride": 2, "padding": 1, "groups": 2}
    dense, op = (form(w, x_shape, **geometry) for form in (toeplitz.matrix, toeplitz.operator))
    x, g = (integers(rng, (n, count)) for n in dense.shape[::-1])
    np.testing.assert_array_equal(op.matmat(x), dense @ x)
    np.testing.assert_array_equal(op.matmat(np.asfortranarray(x)), dense @ x)
    np.testing.assert_array_equal(op.rmatmat(g), dense.T @ g)
    if count == 1:
        np.testing.assert_array_equal(op.matvec(x[:, 0]), dense @ x[:, 0])
        np.testing.assert_array_equal(op.rmatvec(g[:, 0]), dense.T @ g[:, 0])


def test_operators_compose():
    """A chain of convolutions is the product of their matrices."""
    rng = np.random.default_rng(SEED)
    first, second = integers(rng, (3, 2, 3, 3)), integers(rng, (4, 3, 2, 2))
    a = toeplitz.operator(first, (2, 8, 9), padding=1)
    b = toeplitz.operator(second, (3, 8, 9), stride=2)
    x = integers(rng, (2, 8, 9))
    chain = cyconv.conv2d(cyconv.conv2d(x, first, padding=1), second, stride=2)
    np.testing.assert_array_equal((b @ a) @ x.ravel(), chain.ravel())
    product_ = toeplitz.sparse(second, (3, 8, 9), stride=2) @ toeplitz.sparse(
        first, (2, 8, 9), padding=1
    )
    np.testing.assert_array_equal(product_ @ x.ravel(), chain.ravel())


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_sparse_is_canonical_and_stores_no_padding(mode):
    w = np.ones((2, 3, 3, 3), np.float32)
    t = toeplitz.sparse(w, (3, 4, 5), padding=2, padding_mode=mode)
    assert t.has_canonical_format
    assert t.indices.dtype == t.indptr.dtype == np.int32
    assert (t.data != 0).all()
    if mode == "zeros":  # the full convolution: every tap meets every cell
        assert t.nnz == 2 * 3 * 9 * 4 * 5


def test_weights_are_not_modified():
    w = np.arange(9.0).reshape(1, 1, 3, 3)
    w.flags.writeable = False
    for form in FORMS.values():
        form(w, (1, 5, 5), flip=True, padding=1, padding_mode="circular") @ np.ones(25)
    assert w.ravel().tolist() == list(range(9))


# ---- its form ------------------------------------------------------------------------------------


def test_one_axis_is_scipy_toeplitz():
    w = np.array([2.0, 3.0, 5.0])
    row = np.r_[w, np.zeros(4)]
    np.testing.assert_array_equal(line(w, 7), scipy.linalg.toeplitz(np.r_[w[0], np.zeros(4)], row))


@pytest.mark.parametrize("size", [1, 2, 5, 6])
@pytest.mark.parametrize("mode", ["full", "valid", "same"])
def test_flipped_is_scipy_convolution_matrix(mode, size):
    w = np.arange(1.0, size + 1)
    # NumPy's "same" begins (R - 1) // 2 cells into the full result.
    late = (size - 1) // 2
    padding = {"full": size - 1, "valid": 0, "same": [(size - 1 - late, late)]}[mode]
    np.testing.assert_array_equal(
        line(w, 9, padding=padding, flip=True), scipy.linalg.convolution_matrix(w, 9, mode)
    )


def test_circular_is_circulant_and_fourier_diagonalises_it():
    w = np.array([2.0, 3.0, 5.0, 7.0])
    t = line(w, 8, padding=[(3, 0)], padding_mode="circular", flip=True)
    column = np.r_[w, np.zeros(4)]
    np.testing.assert_array_equal(t, scipy.linalg.circulant(column))
    f = scipy.linalg.dft(8)
    # Sums of 8 products of numbers up to 17 times a unit root, twice.
    bound = 2 * tolerances.gamma(16, np.float64) * 8 * 17 * 8
    assert abs(f @ t @ f.conj().T / 8 - np.diag(np.fft.fft(column))).max() < bound


def test_two_axes_are_doubly_blocked():
    """Block (p, h) is T(w[h - p]), the Toeplitz matrix of that row of the kernel, or zero."""
    w = integers(np.random.default_rng(SEED), (3, 2))
    blocks = toeplitz.matrix(w[None, None], (1, 5, 6)).reshape(3, 5, 5, 6)  # p, q, h, u
    for p, h in product(range(3), range(5)):
        row = h - p
        expected = line(w[row], 6) if 0 <= row < 3 else np.zeros((5, 6))
        np.testing.assert_array_equal(blocks[p, :, h], expected)


def test_rank_one_kernel_is_a_kronecker_product():
    column, row = np.array([1.0, -2.0, 4.0]), np.array([3.0, 5.0])
    t = toeplitz.matrix(np.outer(column, row)[None, None], (1, 6, 7), stride=(2, 3))
    np.testing.assert_array_equal(t, np.kron(line(column, 6, stride=2), line(row, 7, stride=3)))


def test_channels_are_a_grid_of_blocks():
    w = integers(np.random.default_rng(SEED), (3, 2, 2, 2))
    t = toeplitz.matrix(w, (2, 4, 5), padding=1).reshape(3, 30, 2, 20)
    for k, c in product(range(3), range(2)):
        one = toeplitz.matrix(w[k : k + 1, c : c + 1], (1, 4, 5), padding=1)
        np.testing.assert_array_equal(t[k, :, c], one)


def test_groups_and_batch_are_block_diagonal():
    w = integers(np.random.default_rng(SEED), (4, 3, 2))
    parts = [toeplitz.matrix(half, (3, 5)) for half in (w[:2], w[2:])]
    one = scipy.linalg.block_diag(*parts)
    np.testing.assert_array_equal(toeplitz.matrix(w, (6, 5), groups=2), one)
    np.testing.assert_array_equal(toeplitz.matrix(w, (3, 6, 5), groups=2), np.kron(np.eye(3), one))


def test_pointwise_is_a_kronecker_product_with_the_identity():
    w = integers(np.random.default_rng(SEED), (3, 4, 1, 1))
    np.testing.assert_array_equal(toeplitz.matrix(w, (4, 2, 3)), np.kron(w[:, :, 0, 0], np.eye(6)))


def test_stride_keeps_rows():
    w = np.array([2.0, 3.0, 5.0])
    np.testing.assert_array_equal(line(w, 9, padding=1, stride=3), line(w, 9, padding=1)[::3])


def test_dilation_is_a_kernel_with_zeros_between():
    w = np.array([2.0, 3.0, 5.0])
    np.testing.assert_array_equal(line(w, 9, dilation=2), line([2.0, 0, 3, 0, 5], 9))


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_padding_folds_the_columns_of_an_explicit_border(mode):
    w, pair, n = np.array([2.0, 3.0, 5.0]), (4, 6), 5
    whole = line(w, n + sum(pair))
    border = np.pad(np.eye(n), (pair, (0, 0)), oracle.PAD_MODES[mode])  # x to padded x
    np.testing.assert_array_equal(line(w, n, padding=[pair], padding_mode=mode), whole @ border)


# ---- solvers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [toeplitz.sparse, toeplitz.operator])
@pytest.mark.parametrize("mode", PADDING_MODES)
def test_lsqr_deconvolves(mode, form):
    """The kernel's centre outweighs the rest 10 to 2: condition number at most 12 / 8."""
    rng = np.random.default_rng(SEED)
    w = np.array([[0.25, 0.5, 0], [0.25, 10, 0.25], [0, 0.5, 0.25]])[None, None]
    x = rng.standard_normal((1, 12, 13))
    a = form(w, x.shape, padding=1, padding_mode=mode)
    found, stopped, *_ = lsqr(
        a, cyconv.conv2d(x, w, padding=1, padding_mode=mode).ravel(), atol=1e-13, btol=1e-13
    )
    assert stopped in (1, 2)
    # The residual is at most (atol cond + btol) |b|, about, and |b| at most 12 |x|.
    assert np.linalg.norm(found - x.ravel()) < 1e-10 * np.linalg.norm(x), f"seed {SEED}"


def test_operator_has_the_spectrum_of_the_kernel():
    """A circular convolution's singular values are the kernel's spectrum, in absolute value."""
    w = np.array([[1, 2, 1], [2, 5, 2], [1, 2, 0]], float)
    op = toeplitz.operator(w[None, None], (1, 6, 7), padding=1, padding_mode="circular")
    spectrum = np.sort(abs(np.fft.fft2(w, (6, 7))).ravel())
    v0 = np.random.default_rng(SEED).standard_normal(42)
    largest = np.sort(svds(op, 3, return_singular_vectors=False, v0=v0))
    np.testing.assert_allclose(largest[-1], spectrum[-1], rtol=1e-10)
    # Of a value that is there twice, as the second one is, Lanczos' method may find only one.
    for value in largest:
        np.testing.assert_allclose(abs(spectrum - value).min(), 0, atol=1e-9)
    gram = eigsh(op.H @ op, 1, return_eigenvectors=False, v0=v0)
    np.testing.assert_allclose(gram, spectrum[-1:] ** 2, rtol=1e-10)


# ---- wrong arguments -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("w", "x_shape", "geometry", "error", "message"),
    [
        ((1, 1, 3), (1, 5), {"stride": 0}, ValueError, r"stride\[0\] must be >= 1, got 0"),
        ((1, 1, 3), (1, 5), {"padding_mode": "wrap"}, ValueError, "padding_mode must be one of"),
        ((1, 1, 3), (1, 5), {"padding": -1}, ValueError, r"padding\[0\] must be >= 0, got -1"),
        ((1, 1, 3), (1, 2), {}, ValueError, "extent"),
        ((1, 2, 3), (1, 5), {}, ValueError, "input_shape must have 2 . 1 = 2 channels"),
        ((1, 1, 3), (5,), {}, ValueError, "input_shape must have 3 axes, or 2 unbatched"),
        ((3,), (5,), {}, ValueError, "w must be"),
        ((1, 1, 3), 5, {}, TypeError, "input_shape must be a tuple of sizes"),
        ((1, 1, 3), (1, 5.0), {}, TypeError, r"input_shape\[1\] must be an int"),
        ((1, 1, 3), (1, 5), {"flip": 1}, TypeError, "flip must be a bool"),
    ],
)
def test_a_wrong_argument_is_named(name, w, x_shape, geometry, error, message):
    with pytest.raises(error, match=rf"^toeplitz\.{name}: .*{message}"):
        FORMS[name](np.ones(w), x_shape, **geometry)


@FORM
@pytest.mark.parametrize(
    "w", [np.ones((1, 1, 3), bool), np.full((1, 1, 3), "a"), np.ma.ones((1, 1, 3))]
)
def test_weights_that_are_no_numbers_are_refused(w, form):
    with pytest.raises(TypeError, match=r"^toeplitz\.\w+: "):
        form(w, (1, 5))


@pytest.mark.parametrize(
    ("geometry", "error", "message"),
    [
        ({"padding": 2**45}, MemoryError, "needs? .* bytes"),
        ({"padding": 2**45, "padding_mode": "circular"}, MemoryError, "needs? .* bytes"),
        ({"padding": 2**45, "dilation": 2**45}, None, None),
        ({"padding": 2**45, "stride": 2**100}, None, None),
        ({"padding": 2**61}, ValueError, r"padding\[0\] must keep .* under 2\*\*62"),
        ({"dilation": 2**62}, ValueError, "extent dilation"),
    ],
)
@pytest.mark.parametrize("name", ["matrix", "sparse"])
def test_padding_and_steps_of_any_size(name, geometry, error, message):
    """Only what the matrix holds takes memory, and too much of it is refused at once."""
    w, x = np.array([[[2.0, 3.0, 5.0]]]), np.arange(1.0, 6)
    if error is None:
        t = FORMS[name](w, (1, 5), **geometry)
        np.testing.assert_array_equal(t @ x, cyconv.conv(x[None], w, **geometry)[0])
    else:
        with pytest.raises(error, match=rf"^toeplitz\.{name}: .*{message}"):
            FORMS[name](w, (1, 5), **geometry)


@pytest.mark.parametrize("size", [2**24, 2**32])
def test_a_dense_matrix_beyond_memory_says_what_it_needs(size):
    needs = (size - 2) * size * 8
    with pytest.raises(MemoryError, match=f"needs {needs} bytes; toeplitz.sparse stores"):
        line(np.ones(3), size)


def test_the_operator_stores_no_matrix():
    w = np.full((1, 1, 3, 3), 1 / 16)
    op = toeplitz.operator(w, (1, 1000, 1000), padding=1)
    assert op.shape == (10**6, 10**6)
    y = op @ np.ones(10**6)
    assert y[1001] == 9 / 16
