"""cyconv.signal against scipy.signal: the same call, the same answer, the same refusal."""

import itertools
from decimal import Decimal

import numpy as np
import pytest

from cyconv import signal

from .cases import seeds
from .test_ndimage import outcome

scipy_version = pytest.importorskip("scipy", minversion="1.17")
from scipy import signal as peer

MODES = ("full", "same", "valid")
DTYPES = (
    "bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16",
    ">f4", ">i2", "g", "G",
)  # fmt: skip
FUNCTIONS = (
    "convolve",
    "correlate",
    "fftconvolve",
    "oaconvolve",
    "convolve2d",
    "correlate2d",
    "choose_conv_method",
)


def operand(rng, shape, dtype):
    """Normal numbers; integers of at most 300 in magnitude, or one in five times any."""
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    bound = 300 if rng.random() < 0.8 else 2**63
    low, high = max(info.min, -bound), min(info.max, bound)
    native = dtype.newbyteorder("=")
    return rng.integers(low, high, shape, dtype=native, endpoint=True).astype(dtype)


def call(rng, name):
    """The operands and keywords of one random call."""
    ndim = 2 if name.endswith("2d") else int(rng.integers(1, 4))
    n, k = rng.integers(1, 10, ndim), rng.integers(1, 7, ndim)
    if rng.random() < 0.4:
        k = np.minimum(n, k)
    keywords = {"mode": str(rng.choice(MODES))}
    if name in ("fftconvolve", "oaconvolve") and rng.random() < 0.6:
        axes = rng.permutation(ndim)[: rng.integers(1, ndim + 1)].tolist()
        keywords["axes"] = axes
        for axis in set(range(ndim)) - set(axes):
            sizes = n[axis], k[axis]
            n[axis], k[axis] = [sizes, sizes[:1] * 2, (1, sizes[1]), (sizes[0], 1)][rng.integers(4)]
    if name in ("convolve", "correlate"):
        keywords["method"] = str(rng.choice(["auto", "direct", "fft"]))
    if name.endswith("2d"):
        keywords["boundary"] = str(rng.choice(["fill", "pad", "wrap", "circular", "symm"]))
        keywords["fillvalue"] = rng.choice([0, 1, 2.5]).item()
    first = rng.choice(DTYPES)
    second = first if rng.random() < 0.6 else rng.choice(DTYPES)
    operands = [operand(rng, n, first), operand(rng, k, second)]
    return operands[:: rng.choice([1, -1])], keywords


def assert_same(ours, theirs, operands, spectral, context):
    """Equal integers where SciPy's are exact; else within rounding of the coarsest operand."""
    if isinstance(theirs, (type, str)) or isinstance(ours, type):
        assert ours == theirs, context
        return
    assert ours.dtype == theirs.dtype, context
    assert ours.shape == theirs.shape, context
    largest = [float(np.abs(a.astype(complex)).max(initial=0)) for a in operands]
    scale = largest[0] * largest[1] * min(a.size for a in operands)
    if theirs.dtype.kind == "b" and spectral:
        return  # SciPy takes the rounding of zero for True
    if theirs.dtype.kind in "biu":
        if not spectral or scale < 2 ** (40 if theirs.dtype.itemsize == 8 else 31):
            # Past that SciPy's floats are rounded, or no int32, which C leaves undefined.
            np.testing.assert_array_equal(ours, theirs, context)
        return
    dtypes = [np.float64, theirs.dtype]
    if spectral:
        dtypes += [np.float32 if a.dtype.char == "e" else a.dtype for a in operands]
    eps = max(np.finfo(d).eps for d in map(np.dtype, dtypes) if d.kind in "fc")
    wide = [y.astype(complex) for y in (ours, theirs)]
    np.testing.assert_allclose(*wide, rtol=4 * eps, atol=8 * eps * scale, err_msg=context)


@seeds(3)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_random_calls_answer_as_scipy(name, seed):
    for i in range(150):
        rng = np.random.default_rng([seed, i, FUNCTIONS.index(name)])
        operands, keywords = call(rng, name)
        ours = outcome(getattr(signal, name), *operands, **keywords)
        theirs = outcome(getattr(peer, name), *operands, **keywords)
        shown = " ".join(f"{a.dtype}{a.shape}" for a in operands)
        spectral = keywords.get("method", "fft") != "direct" and not name.endswith("2d")
        assert_same(ours, theirs, operands, spectral, f"seed {seed}, call {i}: {shown} {keywords}")


@pytest.mark.parametrize("method", ["direct", "fft", "auto"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_every_pair_of_small_lengths(name, mode, method):
    for n, k in itertools.product(range(1, 8), range(1, 8)):
        a, b = np.arange(1.0, n + 1) ** 2, np.arange(1.0, k + 1) * 1j
        ours, theirs = (getattr(m, name)(a, b, mode, method) for m in (signal, peer))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-11, err_msg=f"{n}, {k}")


@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["convolve2d", "correlate2d"])
def test_kernels_larger_than_the_image_wrap_more_than_once(name, mode, boundary):
    rng = np.random.default_rng(2)
    for shapes in itertools.product([(1, 1), (2, 3), (3, 4)], [(1, 2), (7, 4), (6, 9)]):
        for a, b in (shapes, shapes[::-1]):
            a, b = (rng.integers(-9, 9, s) + 1j * rng.integers(-9, 9, s) for s in (a, b))
            ours, theirs = (
                outcome(getattr(m, name), a, b, mode, boundary, 2 - 1j) for m in (signal, peer)
            )
            if isinstance(theirs, type):
                assert ours is theirs, shapes
            else:
                np.testing.assert_array_equal(ours, theirs, str(shapes))


# From SciPy's documentation and the well-known values of its functions.
PUBLISHED = [
    ("convolve", ([3, 4, 5, 6, 5, 4], [1, 2, 3], "full"), [3, 10, 22, 28, 32, 32, 23, 12]),
    ("convolve", ([3, 4, 5, 6, 5, 4], [1, 2, 3, 4], "full"), [3, 10, 22, 40, 48, 52, 47, 32, 16]),
    ("convolve", ([3, 4, 5, 6, 5, 4], [1, 2, 3], "same"), [10, 22, 28, 32, 32, 23]),
    ("convolve", ([3, 4, 5, 6, 5, 4], [1, 2, 3], "valid"), [22, 28, 32, 32]),
    ("convolve", ([1, 2, 3], [3, 4, 5, 6, 5, 4], "same"), [22, 28, 32]),
    ("convolve", ([1 + 1j, 2 + 1j, 3 + 1j], [1 + 1j, 2 + 1j]), [2j, 2 + 6j, 5 + 8j, 5 + 5j]),
    ("convolve2d", ([[1, 2, 3], [3, 4, 5]], [[2, 3, 4], [4, 5, 6]]),
     [[2, 7, 16, 17, 12], [10, 30, 62, 58, 38], [12, 31, 58, 49, 30]]),
    ("convolve2d", ([[1, 2, 3], [3, 4, 5]], [[2, 3, 4], [4, 5, 6]], "full", "fill", 1),
     [[24, 26, 31, 34, 32], [28, 40, 62, 64, 52], [32, 46, 67, 62, 48]]),
    ("convolve2d", ([[1, 2, 3], [3, 4, 5]], [[2, 3, 4], [4, 5, 6]], "full", "wrap"),
     [[80, 80, 74, 80, 80], [68, 68, 62, 68, 68], [80, 80, 74, 80, 80]]),
    ("convolve2d", ([[1, 2, 3], [3, 4, 5]], [[2, 3, 4], [4, 5, 6]], "full", "symm"),
     [[34, 30, 44, 62, 66], [52, 48, 62, 80, 84], [82, 78, 92, 110, 114]]),
    ("fftconvolve", ([1, 2, 3], [1, 2, 3]), [1, 4, 10, 12, 9]),
    ("oaconvolve", ([1, 2, 3], [1, 2, 3], "same"), [4, 10, 12]),
    ("correlation_lags", (3, 2), [-1, 0, 1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "expected"), PUBLISHED)
def test_published_examples(name, args, expected):
    np.testing.assert_allclose(getattr(signal, name)(*args), expected, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(getattr(peer, name)(*args), expected, rtol=1e-14, atol=1e-14)


PLANE, SMALL = np.arange(6.0).reshape(2, 3), np.ones((2, 2))
EMPTY = np.zeros((0, 2))
REFUSALS = [
    *((name, args, {}) for name in ("convolve", "correlate", "fftconvolve", "oaconvolve")
      for args in ((2, 3), ([1, 2], 3), ([1, 2], [[1]]), ([1, 2], [1], "bad"), ([1, 2], [1], 1),
                   (PLANE, PLANE.T, "valid"))),
    *((name, args, {"method": method}) for name in ("convolve", "correlate")
      for method in ("direct", "auto")
      for args in (([], [1]), ([1], []), (EMPTY, SMALL), (SMALL, EMPTY), (SMALL, EMPTY, "valid"),
                   (SMALL, EMPTY, "same"), (EMPTY, SMALL, "same"), (EMPTY, SMALL, "valid"))),
    *((name, ([1, 2], [1], "full", "bad"), {}) for name in ("convolve", "correlate")),
    *((name, (PLANE, b), {"axes": axes}) for name in ("fftconvolve", "oaconvolve")
      for b in (SMALL, PLANE)
      for axes in ([], [5], [0, 0], 1.5, "a", [1.5], [-3], 1, (0, -1), [[0, 1]], None)),
    *((name, args, {}) for name in ("fftconvolve", "oaconvolve")
      for args in ((EMPTY, SMALL), ([], [1]), (np.ones((2, 5)), np.ones((2, 1)), "same"),
                   (np.ones((1, 5)), np.ones((4, 3)), "same", 1),
                   (np.ones((1, 5)), np.ones((3, 3)), "valid"), ([[2]], [[1, 2]]))),
    *((name, args, {}) for name in ("convolve2d", "correlate2d")
      for args in (([1], [1]), (EMPTY, SMALL), (SMALL, EMPTY), (PLANE, PLANE.T, "valid"),
                   (PLANE, SMALL, "bad"), (PLANE, SMALL, 1))),
    *((name, (PLANE, SMALL), {"boundary": b}) for name in ("convolve2d", "correlate2d")
      for b in ("pad", "circular", "symmetric", "reflect", "bad", 1, None)),
    *(("convolve2d", (PLANE.astype(dtype), SMALL.astype(dtype)), {"fillvalue": fill})
      for dtype in ("i1", "u1", "u8", "f4", "c8", "f8")
      for fill in (2, -1, 2.5, -0.5, 300, 2**40, 1j, 2 + 0j, None, np.nan, "1", "1j", "a", [2],
                   [1, 2], [], np.array(2), np.array([2.5]), np.float32(1.5), np.int8(2))),
    *((name, (a.astype(dtype), b.astype(dtype)), {})
      for a, b in (([1, 2, 3], [1, 2]), (PLANE, SMALL))
      for a, b in [(np.asarray(a), np.asarray(b))]
      for name in ("convolve", "correlate", "convolve2d", "correlate2d", "fftconvolve")
      for dtype in ("bool", "f2", "g", "O")
      if name == "fftconvolve" or dtype != "O" or a.ndim == 1 or "2d" in name),
    *(("correlation_lags", args, {})
      for args in ((3, 2), (2, 3, "same"), (4, 2, "same"), (3, 5, "same"), (3, 5, "valid"),
                   (5, 3, "valid"), (3, 0, "valid"), (0, 3), (3, 5, "bad"), (3, 5, None))),
    ("choose_conv_method", ([1], [1], "bad"), {}),
    ("choose_conv_method", (np.ones(5000), np.ones(5000)), {}),
    ("choose_conv_method", ([2**60], [2**60]), {}),
    ("choose_conv_method", (np.array([Decimal(3)]), [1]), {}),
    ("choose_conv_method", (np.ones((300, 300)), np.ones((30, 30)), "same"), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "keywords"), REFUSALS)
def test_refusals_are_scipys(name, args, keywords):
    ours, theirs = (outcome(getattr(m, name), *args, **keywords) for m in (signal, peer))
    if isinstance(theirs, (type, str)):
        assert ours == theirs
    else:
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype
        assert np.shape(ours) == np.shape(theirs)
        np.testing.assert_allclose(
            np.asarray(ours).astype(complex), np.asarray(theirs).astype(complex), atol=1e-5
        )


@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_what_numpy_sums_along_one_axis_is_summed(name):
    numbers = np.array([Decimal("0.1"), Decimal("0.2"), Decimal("0.3")])
    for a, b in [
        (numbers, numbers[:2]),
        (np.array([True, False, True]), np.array([True, False])),
        (np.arange(5, dtype=np.float16), np.ones(3, np.float16)),
    ]:
        for mode in MODES:
            ours, theirs = (getattr(m, name)(a, b, mode) for m in (signal, peer))
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("name", ["convolve", "correlate", "convolve2d", "correlate2d"])
def test_integers_are_exact_and_wrap(name, dtype):
    info = np.iinfo(dtype)
    rng = np.random.default_rng(3)
    a, b = (rng.integers(info.min, info.max, s, dtype, endpoint=True) for s in ((6, 7), (3, 4)))
    method = {} if name.endswith("2d") else {"method": "direct"}
    for mode in MODES:
        ours, theirs = (getattr(m, name)(a, b, mode, **method) for m in (signal, peer))
        np.testing.assert_array_equal(ours, theirs)


def test_more_axes_than_a_convolution_takes():
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 9, (2,) * 9 + (3,)), rng.integers(0, 9, (1,) + (2,) * 9)
    for mode in ("full", "same"):
        np.testing.assert_array_equal(
            signal.convolve(a, b, mode, "direct"), peer.convolve(a, b, mode, "direct")
        )


def test_channels_may_share_an_operand_or_have_their_own():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3, 2, 40))
    for shape in [(3, 2, 9), (1, 1, 9), (3, 1, 9), (1, 2, 9), (1, 2, 50)]:
        w = rng.normal(size=shape)
        for a, b in [(x, w), (w, x)]:
            np.testing.assert_allclose(
                signal.fftconvolve(a, b, axes=-1), peer.fftconvolve(a, b, axes=-1), atol=1e-12
            )


def test_long_signals():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=20_000), rng.normal(size=3_000)
    for name in ("fftconvolve", "oaconvolve", "convolve"):
        for mode in MODES:
            ours, theirs = (getattr(m, name)(a, b, mode) for m in (signal, peer))
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


def test_measuring_returns_the_times():
    method, times = signal.choose_conv_method(np.ones(30), np.ones(3), measure=True)
    assert method == min(times, key=times.get)
    assert set(times) == {"direct", "fft"}
    assert all(seconds > 0 for seconds in times.values())


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_differs_a_non_finite_cell_stays_in_its_windows_by_any_method(value):
    x = np.ones(500)
    x[100] = value
    reached = slice(100, 150)
    for method in ("direct", "fft", "auto"):
        result = signal.convolve(x, np.ones(50), method=method)
        assert not np.isfinite(result[reached]).any()
        assert np.isfinite(np.delete(result, np.arange(500)[reached])).all()


def test_an_infinite_kernel_is_not_multiplied_with_what_lies_outside_a_line():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([np.inf, 1.0])
    for mode in MODES:
        ours, theirs = (m.convolve(a, b, mode, "direct") for m in (signal, peer))
        np.testing.assert_array_equal(ours, theirs)
