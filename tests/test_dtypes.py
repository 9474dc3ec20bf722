"""Every dtype: integers exact modulo 2^n, halves rounded once, complex, promotions."""

from itertools import product

import numpy as np
import pytest

import cyconv

from . import oracle, tolerances
from .cases import ALGORITHMS, Case
from .test_directions import GRADIENTS, expected_gradient, gradient, out_shape, random_case
from .variants import WAYS, forced, label, reason

ml_dtypes = pytest.importorskip("ml_dtypes")

SUMS = {
    "int8": "int32",
    "uint8": "int32",
    "int16": "int32",
    "uint16": "int64",
    "int32": "int64",
    "int64": "int64",
    "uint32": "uint64",
    "uint64": "uint64",
}
INTEGERS = tuple(SUMS)
HALVES = ("float16", "bfloat16")
REALS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
DTYPES = (*HALVES, *REALS, *COMPLEX, *INTEGERS)

IMAGE = Case("dtypes_image", (2, 4, 9, 10), (6, 2, 3, 3), (1, 2), ((1, 0), 2), (2, 1), 2)
PLAIN = Case("dtypes_plain", (2, 5, 9, 11), (6, 5, 3, 3), padding=1)
LINE = Case("dtypes_line", (3, 20), (4, 3, 5), padding=2, padding_mode="reflect")
VOLUME = Case("dtypes_volume", (1, 2, 4, 5, 6), (3, 2, 2, 3, 2), padding=1, flip=True)
CASES = [IMAGE, PLAIN, LINE, VOLUME]
on_cases = pytest.mark.parametrize("case", CASES, ids=str)


def supporting(case, dtype, direction="forward"):
    problem = cyconv.Problem(case.x, case.w, dtype, **case.geometry, direction=direction)
    return [way for way in WAYS if reason(problem, way) is None]


def normal(case, dtype):
    """Normal `(x, w)` rounded to `dtype`; complex ones in both parts."""
    rng = np.random.default_rng(case.seed)
    arrays = [rng.standard_normal(s) for s in (case.x, case.w)]
    if np.dtype(dtype).kind == "c":
        arrays = [a + 1j * rng.standard_normal(a.shape) for a in arrays]
    return [a.astype(dtype) for a in arrays]


def any_integers(dtype, shape, seed):
    """Integers of the whole range of `dtype`, its ends among them."""
    info, rng = np.iinfo(dtype), np.random.default_rng(seed)
    a = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    a[rng.random(shape) < 0.1] = info.min
    a[rng.random(shape) < 0.1] = info.max
    return a


def wrapped(values, dtype):
    """Python integers modulo 2^n, as two's complement."""
    bits = 8 * np.dtype(dtype).itemsize
    unsigned = np.array([int(v) % 2**bits for v in values.ravel()], f"u{bits // 8}")
    return unsigned.view(dtype).reshape(values.shape)


def modulo(a):
    """Integers modulo 2^64, the ring in which NumPy's uint64 computes: the oracle's dtype here."""
    return a.astype("i8" if a.dtype.kind == "i" else "u8").view("u8")


# ---- integers ----------------------------------------------------------------------------------


@on_cases
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_exact_modulo_the_sums_range(dtype, case):
    """Of full-range data, by every algorithm."""
    x, w = (any_integers(dtype, s, case.seed) for s in (case.x, case.w))
    bias = any_integers(dtype, case.w[0], 1)
    exact = case.expected(*map(modulo, (x, w, bias)), dtype=np.uint64)
    expected = wrapped(exact, SUMS[dtype])
    names = supporting(case, dtype)
    assert "direct" in names
    for name in ("auto", *names):
        y = case.run(x, w, bias, algorithm=name)
        assert y.dtype == SUMS[dtype]
        np.testing.assert_array_equal(y, expected, name)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_pythons_modulo_the_sums_range(dtype):
    """The same against sums of Python's integers, which have no size."""
    x, w = (any_integers(dtype, s, 5).astype(dtype) for s in (LINE.x, LINE.w))
    exact = LINE.expected(x.astype(object), w.astype(object), None, dtype=object)
    assert {type(value) for value in exact.ravel()} == {int}
    np.testing.assert_array_equal(LINE.run(x, w, None), wrapped(exact, SUMS[dtype]))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_long_sums_of_integers_wrap(dtype):
    """A few hundred products of the largest cells pass every sum's range but those of bytes."""
    top = np.iinfo(dtype).max
    x, w = np.full((1, 16, 9, 9), top, dtype), np.full((2, 16, 5, 5), top, dtype)
    expected = wrapped(np.full((1, 2, 5, 5), 400 * int(top) ** 2, object), SUMS[dtype])
    np.testing.assert_array_equal(cyconv.conv2d(x, w), expected)


@pytest.mark.parametrize("direction", GRADIENTS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_gradients_of_integers_are_exact(dtype, direction):
    for seed in range(500, 504):
        case = random_case(seed)
        x, w, g = (any_integers(dtype, s, seed) for s in (case.x, case.w, out_shape(case)))
        exact = expected_gradient(case, direction, *map(modulo, (x, w, g)), dtype=np.uint64)
        y = gradient(case, direction, x, w, g)
        assert y.dtype == SUMS[dtype]
        np.testing.assert_array_equal(y, wrapped(exact, SUMS[dtype]), f"seed {seed}")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_transposed_of_integers_with_a_bias(dtype):
    x, w = any_integers(dtype, (2, 3, 4, 5), 1), any_integers(dtype, (3, 2, 3, 2), 2)
    bias = any_integers(dtype, 2, 3)
    exact = oracle.conv_transpose(*map(modulo, (x, w, bias)), stride=2, padding=1, dtype=np.uint64)
    y = cyconv.conv_transpose2d(x, w, bias, 2, 1)
    np.testing.assert_array_equal(y, wrapped(exact, SUMS[dtype]))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_grad_bias_of_integers(dtype):
    g = any_integers(dtype, (3, 4, 5, 6), 7)
    y = cyconv.conv_grad_bias(g)
    assert y.dtype == SUMS[dtype]
    exact = oracle.grad_bias(g.astype(object), 2, object)
    np.testing.assert_array_equal(y, wrapped(exact, y.dtype))


def test_int64_is_exact_past_the_53_bits_of_a_double():
    x = np.array([[[2**53 + 1, -1, 3]]])
    y = cyconv.conv1d(x, np.array([[[1, 2**53]]]))
    assert y.tolist() == [[[1, 3 * 2**53 - 1]]]


# ---- float16 and bfloat16 ----------------------------------------------------------------------


@on_cases
@pytest.mark.parametrize("dtype", HALVES)
def test_halves_are_float32_sums_rounded_once(dtype, case):
    """Bit for bit the float32 answer of the same algorithm, then one rounding."""
    x, w = normal(case, dtype)
    bias = np.linspace(-1, 1, case.w[0]).astype(dtype)
    wide = [a.astype("f4") for a in (x, w, bias)]
    for name in supporting(case, dtype):
        with forced(name):
            sums = case.run(*wide, algorithm=name)
            y = case.run(x, w, bias, algorithm=name)
            kept = case.run(x, w, bias, algorithm=name, out_dtype="float32")
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, sums.astype(dtype), name)
        np.testing.assert_array_equal(kept, sums, name)


@on_cases
@pytest.mark.parametrize("dtype", HALVES)
def test_halves_lie_within_one_rounding_and_the_float32_error(dtype, case):
    x, w = normal(case, dtype)
    expected = case.expected(x, w, None)
    info = ml_dtypes.finfo(dtype)
    for name in supporting(case, dtype):
        with forced(name):
            y = case.run(x, w, None, algorithm=name).astype("f8")
        sums = tolerances.bound(name, x, w, None, "f4", **case.geometry)
        rounding = float(info.eps) / 2 * (abs(expected) + sums) + float(info.smallest_subnormal)
        assert (abs(y - expected) <= sums + rounding).all(), label(name)


@pytest.mark.parametrize("direction", GRADIENTS)
@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_of_halves_are_float32_sums_rounded_once(dtype, direction):
    for seed in range(510, 520):
        case = random_case(seed)
        rng = np.random.default_rng(seed)
        shapes = case.x, case.w, out_shape(case)
        arrays = [rng.standard_normal(s).astype(dtype) for s in shapes]
        y = gradient(case, direction, *arrays)
        sums = gradient(case, direction, *(a.astype("f4") for a in arrays))
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, sums.astype(dtype), f"seed {seed}")


def test_sums_of_halves_may_pass_their_range_on_the_way():
    x = np.full((1, 4, 3, 3), 60000, "f2")
    w = np.array([1, 1, 1, -2], "f2").reshape(1, 4, 1, 1)
    assert (cyconv.conv2d(x, w) == 60000).all()
    assert (cyconv.conv2d(x, abs(w), out_dtype="float32") == 300000).all()


def test_a_half_beyond_its_range_is_infinite():
    x, w = np.full((1, 1, 2, 2), 60000, "f2"), np.full((1, 1, 1, 1), 2, "f2")
    with np.errstate(over="ignore"):
        assert np.isposinf(cyconv.conv2d(x, w)).all()


def test_denormal_halves_are_kept():
    """They are normal in float32."""
    tiny = np.finfo("f2").smallest_subnormal
    x = (np.arange(1, 10).reshape(1, 1, 3, 3) * tiny).astype("f2")
    w = np.array([1, -3], "f2").reshape(2, 1, 1, 1)
    for name in tolerances.EXACT:
        if name in supporting(Case("tiny", x.shape, w.shape), "float16"):
            y = cyconv.conv2d(x, w, algorithm=name)
            np.testing.assert_array_equal(y[0], x[0] * w[:, 0])


# ---- complex -----------------------------------------------------------------------------------


def gaussian_integers(case, dtype):
    rng = np.random.default_rng(case.seed)
    return [
        (rng.integers(-6, 7, s) + 1j * rng.integers(-6, 7, s)).astype(dtype)
        for s in (case.x, case.w, case.w[0], out_shape(case))
    ]


@on_cases
@pytest.mark.parametrize("accuracy", ["balanced", "strict"])
@pytest.mark.parametrize("dtype", COMPLEX)
def test_small_complex_integers_are_exact(dtype, accuracy, case):
    x, w, bias, _ = gaussian_integers(case, dtype)
    expected = case.expected(x, w, bias, dtype=complex)
    for name in supporting(case, dtype):
        with forced(name):
            y = case.run(x, w, bias, algorithm=name, accuracy=accuracy)
        assert y.dtype == dtype
        if tolerances.exact(name):
            np.testing.assert_array_equal(y, expected, name)
        else:
            assert np.abs(y - expected).max() <= 5e4 * np.finfo(dtype).eps


@pytest.mark.parametrize("accuracy", ["balanced", "strict"])
@pytest.mark.parametrize("direction", GRADIENTS)
@pytest.mark.parametrize("seed", range(520, 535))
def test_complex_gradients_conjugate_the_other_operand(seed, direction, accuracy):
    case = random_case(seed)
    x, w, _, g = gaussian_integers(case, "complex128")
    expected = expected_gradient(case, direction, x.conj(), w.conj(), g, dtype=complex)
    names = filter(tolerances.exact, supporting(case, "complex128", direction))
    for name in names:
        with forced(name):
            y = gradient(case, direction, x, w, g, algorithm=name, accuracy=accuracy)
        np.testing.assert_array_equal(y, expected, name)


@pytest.mark.parametrize("seed", range(540, 550))
def test_complex_transposed_does_not_conjugate(seed):
    case = random_case(seed, modes=("zeros",), flips=False)
    x, w, _, g = gaussian_integers(case, "complex64")
    arguments = case.stride, 0, 0, case.groups, case.dilation
    y = cyconv.conv_transpose(g, w, None, *arguments)
    np.testing.assert_array_equal(y, oracle.conv_transpose(g, w, None, *arguments, dtype=complex))
    assert y.dtype == x.dtype


def parts_bound(case, x, w, dtype, mixed):
    """``gamma(2 n + 3)`` times what enters the error of a real or imaginary part.

    Four products: ``|a| |c| + |b| |d|`` or ``|a| |d| + |b| |c|``, componentwise. Three: sums of two
    operands before each product, ``(|a| + |b|) (|c| + |d|)``, thrice.
    """
    a, b, c, d = (abs(part).astype("f8") for z in (x, w) for part in (z.real, z.imag))
    n = 2 * tolerances.terms(w) + 5
    if mixed:
        both = 3 * case.expected(a + b, c + d, None)
        sizes = both, both
    else:
        sizes = (
            case.expected(a, c, None) + case.expected(b, d, None),
            case.expected(a, d, None) + case.expected(b, c, None),
        )
    real = np.dtype(dtype).type(0).real.dtype
    return [tolerances.gamma(n, real) * size for size in sizes]


@on_cases
@pytest.mark.parametrize("accuracy", ["balanced", "strict"])
@pytest.mark.parametrize("dtype", COMPLEX)
def test_complex_errors(dtype, accuracy, case):
    """By three products the error is that of the whole number; by four, that of each part."""
    x, w = normal(case, dtype)
    x.imag *= 1e-4
    expected = case.expected(x, w, None, dtype=np.clongdouble)
    allowed = parts_bound(case, x, w, dtype, mixed=accuracy == "balanced")
    y = case.run(x, w, None, algorithm="direct", accuracy=accuracy)
    assert (abs(y.real - expected.real) <= allowed[0]).all()
    assert (abs(y.imag - expected.imag) <= allowed[1]).all()


def test_strict_takes_four_products_and_keeps_a_small_part():
    """(1 + i e) (1 + i e) with e = 2^-30: the sums 1 + e of three products lose the part 2 e."""
    z = np.full((1, 1, 1), 1 + 2.0**-30 * 1j, "complex64")
    assert cyconv.conv1d(z, z, accuracy="strict").imag == 2.0**-29
    problem = cyconv.Problem(z.shape, z.shape, "complex64")
    chains = [
        " ".join(cyconv.plan(problem, accuracy=a).explain().chain) for a in ("balanced", "strict")
    ]
    assert "three real" in chains[0]
    assert "four real" in chains[1]


@pytest.mark.parametrize("accuracy", ["balanced", "strict"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1j * np.inf, complex(np.nan, 1)])
@pytest.mark.parametrize("dtype", COMPLEX)
def test_a_non_finite_complex_cell_touches_its_windows_only(dtype, value, accuracy):
    """Which cells are finite is the oracle's answer, and those have the bits of finite data."""
    x, w = normal(PLAIN, dtype)
    for name in supporting(PLAIN, dtype):
        touched = x.copy()
        touched[0, 2, 4, 5] = value
        with forced(name):
            clean = PLAIN.run(x, w, None, algorithm=name, accuracy=accuracy)
            y = PLAIN.run(touched, w, None, algorithm=name, accuracy=accuracy)
        window = np.zeros(y.shape, bool)
        window[0, :, 3:6, 4:7] = True
        np.testing.assert_array_equal(~np.isfinite(y), window, name)
        if name == "direct":
            np.testing.assert_array_equal(y[~window], clean[~window])


@pytest.mark.parametrize("accuracy", ["balanced", "strict"])
@pytest.mark.parametrize("dtype", COMPLEX)
def test_complex_near_the_largest_float(dtype, accuracy):
    """Both parts near the largest float, small weights: the answer fits, so it has to come out."""
    top, eps = float(np.finfo(dtype).max) * 0.9, float(np.finfo(dtype).eps)
    x = np.full((1, 1, 4, 4), complex(top, top), dtype)
    w = np.full((1, 1, 1, 1), 0.25 + 0.25j, dtype)
    y = cyconv.conv2d(x, w, accuracy=accuracy)
    np.testing.assert_allclose(y.imag, top / 2, rtol=8 * eps)
    assert (abs(y.real) <= top * (8 * eps)).all()


# ---- every dtype -------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", GRADIENTS)
@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("dtype", [*HALVES, *REALS])
def test_a_non_finite_gradient_touches_what_it_meets_only(dtype, value, direction):
    case = Case("touched", (1, 3, 9, 12), (4, 3, 3, 3), (2, 1), 1, (1, 2))
    rng = np.random.default_rng(case.seed)
    x, w, g = (rng.standard_normal(s).astype(dtype) for s in (case.x, case.w, out_shape(case)))
    g[0, 1, 2, 3] = value
    for name in supporting(case, dtype, direction):
        with np.errstate(invalid="ignore"):
            expected = expected_gradient(case, direction, x, w, g)
        with forced(name):
            y = gradient(case, direction, x, w, g, algorithm=name)
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected), name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_byte_swapped_and_unaligned_arrays(dtype):
    """Copied, never reinterpreted; the answer is native."""
    x, w = (np.arange(np.prod(s)).reshape(s) % 7 for s in (IMAGE.x, IMAGE.w))
    x, w, g = x.astype(dtype), w.astype(dtype), np.ones(out_shape(IMAGE), dtype)
    lays = [lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape)]
    if dtype != "bfloat16":
        lays.append(lambda a: a.astype(a.dtype.newbyteorder(">")))
    for lay in lays:
        y = IMAGE.run(lay(x), lay(w), None)
        np.testing.assert_array_equal(y, IMAGE.run(x, w, None))
        assert y.dtype.isnative
        for direction in GRADIENTS:
            y = gradient(IMAGE, direction, lay(x), lay(w), lay(g))
            np.testing.assert_array_equal(y, gradient(IMAGE, direction, x, w, g))
            assert y.dtype.isnative


@pytest.mark.parametrize("dtype", [*HALVES, *REALS, *COMPLEX])
def test_zeros_of_either_sign_are_zero(dtype):
    x, w = normal(PLAIN, dtype)
    x[:, :, ::2], w[:, :, 1] = 0, 0
    minus = np.where(x == 0, -x, x), np.where(w == 0, -w, w)
    np.testing.assert_array_equal(PLAIN.run(*minus, None), PLAIN.run(x, w, None))
    zero = np.full_like(x, -0.0)
    assert (PLAIN.run(zero, w, None) == 0).all()


@pytest.mark.parametrize("dtype", [*HALVES, *REALS])
def test_near_the_largest_float(dtype):
    """Sums that fit come out, by every algorithm, also of gradients."""
    top = float(ml_dtypes.finfo(dtype).max)
    x = np.full(PLAIN.x, top).astype(dtype)
    w = np.full(PLAIN.w, 2.0**-8).astype(dtype)
    g = np.full(out_shape(PLAIN), top).astype(dtype)
    for name in supporting(PLAIN, dtype):
        with forced(name):
            y = PLAIN.run(x, w, None, algorithm=name).astype("f8")
        np.testing.assert_allclose(y[:, :, 1:-1, 1:-1], top * (45 / 256), rtol=0.01, err_msg=name)
    for name in supporting(PLAIN, dtype, "grad_input"):
        with forced(name):
            y = gradient(PLAIN, "grad_input", x, w, g, algorithm=name).astype("f8")
        np.testing.assert_allclose(y[:, :, 1:-1, 1:-1], top * (54 / 256), rtol=0.01, err_msg=name)


# ---- out_dtype and mixed dtypes ----------------------------------------------------------------


def _castable(dtype, out):
    sums = np.dtype({**SUMS, "float16": "f4", "bfloat16": "f4"}.get(dtype, dtype))
    out = np.dtype(out)  # of another package's dtype NumPy says that anything becomes it
    return np.can_cast(sums, out, "same_kind") and not sums.kind == "c" != out.kind


@pytest.mark.parametrize(("dtype", "out"), list(product(DTYPES, DTYPES)))
def test_out_dtype(dtype, out):
    """Sums in the wider of the two, rounded or wrapped once; not to a lesser kind of number."""
    x, w = (np.arange(np.prod(s)).reshape(s) % 11 for s in (IMAGE.x, IMAGE.w))
    x, w, bias = x.astype(dtype), w.astype(dtype), np.arange(6).astype(dtype)
    if not _castable(dtype, out):
        with pytest.raises(TypeError, match=rf"^conv2d: out_dtype must .*{out}$"):
            IMAGE.run(x, w, bias, out_dtype=out)
        return
    y = IMAGE.run(x, w, bias, out_dtype=out)
    assert y.dtype == out
    expected = IMAGE.expected(x, w, bias, dtype=complex).real.astype("i8").astype(out)
    np.testing.assert_array_equal(y, expected)
    given = np.zeros_like(y)
    assert IMAGE.run(x, w, bias, out_dtype=out, out=given) is given
    np.testing.assert_array_equal(given, y)


def test_a_wider_out_dtype_is_a_wider_sum():
    x, w = normal(PLAIN, "float32")
    y = PLAIN.run(x, w, None, out_dtype="float64", algorithm="direct")
    wide = PLAIN.run(x.astype("f8"), w.astype("f8"), None, algorithm="direct")
    np.testing.assert_array_equal(y, wide)
    narrow = PLAIN.run(x.astype("f8"), w.astype("f8"), None, out_dtype="f4", algorithm="direct")
    np.testing.assert_array_equal(narrow, wide.astype("f4"))


@pytest.mark.parametrize(("one", "two"), [(a, b) for a, b in product(DTYPES, DTYPES) if a != b])
def test_operands_of_two_dtypes_are_promoted_as_numpy_does(one, two):
    """In every direction the call is that of the converted operands."""
    x, w = (np.arange(np.prod(s)).reshape(s) % 5 for s in (IMAGE.x, IMAGE.w))
    x, w, g = x.astype(one), w.astype(two), np.ones(out_shape(IMAGE), one)
    try:
        common = np.result_type(one, two)
    except TypeError:
        with pytest.raises(TypeError, match=f"^conv2d: x and w .*{one}.*{two}$"):
            IMAGE.run(x, w, None)
        return
    y, both = IMAGE.run(x, w, None), IMAGE.run(x.astype(common), w.astype(common), None)
    assert y.dtype == both.dtype == SUMS.get(common.name, common)
    np.testing.assert_array_equal(y, both)
    gx = gradient(IMAGE, "grad_input", x, w, g)
    assert gx.dtype == both.dtype
    np.testing.assert_array_equal(
        gx, expected_gradient(IMAGE, "grad_input", x, w, g, dtype=complex)
    )


def test_every_algorithm_has_a_half_and_a_complex_problem():
    for dtype in ("float16", "bfloat16", "complex64"):
        assert set(supporting(PLAIN, dtype)) == set(ALGORITHMS)
