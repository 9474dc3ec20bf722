"""cyconv.ndimage against scipy.ndimage: the same call, the same answer, the same refusal."""

import itertools
import tracemalloc
import warnings

import numpy as np
import pytest

import cyconv.ndimage as ndi

from .cases import seeds

scipy_version = pytest.importorskip("scipy", minversion="1.17")
import scipy.ndimage as peer

MODES = ("reflect", "mirror", "nearest", "wrap", "constant",
         "grid-mirror", "grid-wrap", "grid-constant")  # fmt: skip
DTYPES = ("bool", "u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8", "c8", "c16", ">f4", ">i2")
# uint64 stands apart: a negative sum wraps to above 2^53, where float64 holds not every integer.


def image(rng, shape, dtype):
    """Normal numbers; integers of at most 300 in magnitude; one in five a constant."""
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    low, high = max(info.min, -300), min(info.max, 300)
    flat = rng.random() < 0.2
    return (np.full(shape, high // 3) if flat else rng.integers(low, high + 1, shape)).astype(dtype)


def kernel(rng, shape):
    """Integers, normal numbers or complex ones; symmetric, antisymmetric or neither."""
    w = rng.choice([rng.integers(-3, 4, shape), rng.normal(size=shape)])
    if rng.random() < 0.15:
        w = w + 1j * rng.normal(size=shape)
    return w + rng.choice([0, 0, 1, -1]) * np.flip(w)


def origin(rng, taps, flip=False):
    low, high = -(taps // 2), (taps - 1) // 2
    return int(rng.integers(-high, -low + 1) if flip else rng.integers(low, high + 1))


def arguments(rng, name, ndim):
    """Arguments after the image, and keywords, of one random call."""
    axes = tuple(rng.permutation(ndim)[: rng.integers(1, ndim + 1)].tolist())
    axis = int(rng.integers(-ndim, ndim))
    keywords = {"mode": str(rng.choice(MODES)), "cval": float(rng.choice([0, 1.5, -3]))}
    modes = [str(mode) for mode in rng.choice(MODES, ndim)]
    if name in ("correlate", "convolve"):
        axes = tuple(sorted(axes))
        shape = rng.integers(1, 7, len(axes))
        keywords |= {"axes": axes, "origin": [origin(rng, k, name == "convolve") for k in shape]}
        return [kernel(rng, shape)], keywords
    if name in ("correlate1d", "convolve1d"):
        taps = int(rng.integers(1, 14))
        keywords |= {"axis": axis, "origin": origin(rng, taps, name == "convolve1d")}
        return [kernel(rng, taps)], keywords
    if name in ("uniform_filter", "uniform_filter1d"):
        taps = int(rng.integers(1, 9))
        keywords |= {"origin": origin(rng, taps)}
        return [taps], keywords | ({"axis": axis} if name[-1] == "d" else {"axes": axes})
    if name in ("sobel", "prewitt"):
        return [], keywords | {"axis": axis, "mode": modes}
    if name == "laplace":
        return [], keywords | {"axes": axes}
    if name == "gaussian_filter":
        keywords |= {"axes": axes, "mode": modes[: len(axes)], "truncate": float(rng.uniform(1, 5))}
        return [rng.uniform(0.7, 3, len(axes)).tolist(), rng.integers(0, 4, len(axes)).tolist()], (
            keywords
        )
    if name == "gaussian_filter1d":
        return [float(rng.uniform(0.7, 3))], keywords | {"axis": axis, "order": int(axis % 3)}
    return [float(rng.uniform(0.7, 2))], keywords | {"axes": axes}


def assert_same(ours, theirs, x, args, context):
    """Equal integers; floats within rounding: of 64 terms in float64, of 8 passes in float32."""
    assert ours.dtype == theirs.dtype, context
    assert ours.shape == theirs.shape, context
    if theirs.dtype == bool:
        np.testing.assert_array_equal(ours, theirs.view(np.uint8) != 0, context)
    elif theirs.dtype.kind in "iu":
        np.testing.assert_array_equal(ours, theirs, context)
    else:
        gain = np.abs(args[0]).sum() if args and np.ndim(args[0]) else 8.0**x.ndim
        scale = max(3, np.abs(x.astype(complex)).max(initial=0)) * max(1, gain)
        terms = 8 if theirs.dtype.char in "fF" else 64
        atol = terms * np.finfo(theirs.dtype).eps * scale
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol, err_msg=context)


def outcome(function, *args, **keywords):
    """The result, or the exception's type."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return function(*args, **keywords)
    except Exception as error:
        return type(error)


FILTERS = (
    "correlate", "convolve", "correlate1d", "convolve1d", "sobel", "prewitt", "laplace",
    "gaussian_filter", "gaussian_filter1d", "gaussian_laplace", "gaussian_gradient_magnitude",
    "uniform_filter", "uniform_filter1d",
)  # fmt: skip


@seeds(2)
@pytest.mark.parametrize("name", FILTERS)
def test_random_calls_answer_as_scipy(name, seed):
    for i in range(120):
        rng = np.random.default_rng([seed, i, FILTERS.index(name)])
        ndim = int(rng.integers(1, 4))
        x = image(rng, rng.integers(1, 9, ndim), rng.choice(DTYPES))
        args, keywords = arguments(rng, name, ndim)
        if rng.random() < 0.4:
            keywords["output"] = np.dtype(str(rng.choice(DTYPES)))
        ours = outcome(getattr(ndi, name), x, *args, **keywords)
        again = outcome(getattr(ndi, name), x, *args, **keywords)  # from what is remembered
        theirs = outcome(getattr(peer, name), x, *args, **keywords)
        context = f"seed {seed}, call {i}: {x.dtype} {x.shape} {args} {keywords}"
        if isinstance(theirs, type) or isinstance(ours, type):
            assert ours is again is theirs, context
        else:
            assert_same(ours, theirs, x, args, context)
            np.testing.assert_array_equal(again, ours, err_msg=context)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["correlate1d", "convolve1d", "uniform_filter1d"])
def test_every_origin_of_kernels_far_longer_than_the_line(name, mode):
    for size, taps in itertools.product(range(1, 5), range(1, 12)):
        x = np.arange(1.0, size + 1) ** 2
        w = taps if name == "uniform_filter1d" else np.arange(1.0, taps + 1)
        for o in range(-(taps // 2), (taps - 1) // 2 + 1):
            o = -o - (taps + 1) % 2 if name == "convolve1d" else o
            keywords = {"mode": mode, "cval": 7.0, "origin": o}
            np.testing.assert_allclose(
                getattr(ndi, name)(x, w, **keywords),
                getattr(peer, name)(x, w, **keywords),
                rtol=1e-14,
                err_msg=f"{size} cells, {taps} taps, {keywords}",
            )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["correlate", "convolve"])
def test_every_origin_of_a_kernel_larger_than_the_image(name, mode):
    x, w = np.arange(6.0).reshape(2, 3), np.arange(20.0).reshape(4, 5)
    for origins in itertools.product(range(-2, 3), range(-2, 3)):
        call = {"mode": mode, "cval": 7.0, "origin": origins}
        ours, theirs = (outcome(getattr(m, name), x, w, **call) for m in (ndi, peer))
        if isinstance(theirs, type):
            assert ours is theirs, call
        else:
            np.testing.assert_array_equal(ours, theirs, str(call))


@pytest.mark.parametrize("output", [d for d in DTYPES if np.dtype(d).kind != "c"])
@pytest.mark.parametrize("dtype", [d for d in DTYPES if np.dtype(d).kind != "c"])
def test_truncation_is_scipys_where_the_exact_sum_is_an_integer(dtype, output):
    x = np.full((9, 8), 100).astype(dtype)
    x[3, 4] = 1
    for sigma in (0.5, 1.0, 1.7, 2.4):
        ours, theirs = (m.gaussian_filter(x, sigma, output=np.dtype(output)) for m in (ndi, peer))
        assert_same(ours, theirs, x, (), f"sigma {sigma}")
    w = np.full((3, 3), 1 / 9)
    ours, theirs = (m.correlate(x, w, output=np.dtype(output)) for m in (ndi, peer))
    assert_same(ours, theirs, x, (w,), "mean")


def test_uint64_is_exact_below_2_to_the_53():
    x = np.random.default_rng(0).integers(0, 2**40, (7, 9), dtype=np.uint64)
    for name, args in [
        ("correlate", ([[1, 2], [3, 4]],)),
        ("uniform_filter", (4,)),
        ("gaussian_filter", (1.3,)),
    ]:
        ours, theirs = (getattr(m, name)(x, *args) for m in (ndi, peer))
        np.testing.assert_array_equal(ours, theirs, name)


def test_the_gaussian_is_scipys_to_the_last_bit():
    impulse = np.zeros(41)
    impulse[20] = 1
    for sigma, order in itertools.product((0.3, 0.9, 2.2, 4.9), range(6)):
        np.testing.assert_array_equal(
            ndi.gaussian_filter1d(impulse, sigma, order=order),
            peer.gaussian_filter1d(impulse, sigma, order=order),
            f"sigma {sigma}, order {order}",
        )


# From SciPy's documentation of the functions.
PUBLISHED = [
    (ndi.correlate1d, ([2, 8, 0, 4, 1, 9, 9, 0],), {"weights": [1, 3]},
     [8, 26, 8, 12, 7, 28, 36, 9]),
    (ndi.convolve1d, ([2, 8, 0, 4, 1, 9, 9, 0],), {"weights": [1, 3]},
     [14, 24, 4, 13, 12, 36, 27, 0]),
    (ndi.uniform_filter1d, ([2, 8, 0, 4, 1, 9, 9, 0],), {"size": 3}, [4, 3, 4, 1, 4, 6, 6, 3]),
    (ndi.gaussian_filter1d, ([1.0, 2.0, 3.0, 4.0, 5.0], 1), {},
     [1.42704095, 2.06782203, 3.0, 3.93217797, 4.57295905]),
    (ndi.convolve,
     ([[1, 2, 0, 0], [5, 3, 0, 4], [0, 0, 0, 7], [9, 3, 0, 0]], [[1, 1, 1], [1, 1, 0], [1, 0, 0]]),
     {"mode": "constant", "cval": 0.0},
     [[11, 10, 7, 4], [10, 3, 11, 11], [15, 12, 14, 7], [12, 3, 7, 0]]),
    (ndi.convolve,
     ([[1, 2, 0, 0], [5, 3, 0, 4], [0, 0, 0, 7], [9, 3, 0, 0]], [[1, 1, 1], [1, 1, 0], [1, 0, 0]]),
     {"mode": "constant", "cval": 1.0},
     [[13, 11, 8, 7], [11, 3, 11, 14], [16, 12, 14, 10], [15, 6, 10, 5]]),
    (ndi.convolve, ([[2, 0, 0], [1, 0, 0], [0, 0, 0]], [[0, 1, 0], [0, 1, 0], [0, 1, 0]]),
     {"mode": "nearest"}, [[7, 0, 0], [5, 0, 0], [1, 0, 0]]),
    (ndi.convolve, ([[2, 0, 0], [1, 0, 0], [0, 0, 0]], [[0, 1, 0], [0, 1, 0], [0, 1, 0]]),
     {"mode": "reflect"}, [[5, 0, 0], [3, 0, 0], [1, 0, 0]]),
    (ndi.gaussian_filter, (np.arange(50, step=2).reshape(5, 5),), {"sigma": 1},
     [[4, 6, 8, 9, 11], [10, 12, 14, 15, 17], [20, 22, 24, 25, 27], [29, 31, 33, 34, 36],
      [35, 37, 39, 40, 42]]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "keywords", "expected"), PUBLISHED)
def test_published_examples(function, args, keywords, expected):
    result = function(*map(np.array, args[:1]), *args[1:], **keywords)
    if function is ndi.convolve and keywords["mode"] in ("nearest", "reflect"):
        expected = peer.convolve(*map(np.array, args), **keywords)
    np.testing.assert_allclose(result, expected, atol=5e-9)


X = np.arange(12.0).reshape(3, 4)
LINE = X[0]
READ_ONLY = np.zeros_like(X)
READ_ONLY.flags.writeable = False
THREE = np.ones((3, 3))
REFUSALS = [
    *((name, (LINE, [1, 2, 3]), {"origin": o}) for name in ("correlate1d", "convolve1d")
      for o in (2, -2, 0.5, "a", None, [0])),
    *((name, (X, THREE), {"origin": o}) for name in ("correlate", "convolve")
      for o in (2, -2, 0.5, "a", None, [0], [0, 2])),
    *(("uniform_filter1d", (LINE, 3), {"origin": o}) for o in (2, -2, 0.5, "a", None)),
    *((name, (LINE, [1, 2, 3]), {"cval": c}) for name in ("correlate1d", "correlate")
      for c in (1j, "a", None, [1])),
    *((name, args, {"mode": mode})
      for name, args in (("correlate1d", (LINE, [1, 2])), ("correlate", (X, THREE)),
                         ("gaussian_filter", (X, 1)), ("sobel", (X,)), ("laplace", (X,)))
      for mode in ("bad", None, 1, ["reflect"], ("a",), [])),
    *((name, (X, w), {}) for name in ("correlate1d", "correlate", "convolve")
      for w in ([], [[[1]]], 3, "a", np.zeros((0, 3)), np.ones((3, 3, 3)))),
    *(("uniform_filter1d", (LINE, size), {}) for size in (0, -1, 1.0, 2.5, "a", None)),
    *(("uniform_filter", (X, size), {}) for size in ("a", None, [3])),
    *(("gaussian_filter1d", (LINE, sigma), {}) for sigma in (0, "a", None, [1, 2])),
    *(("gaussian_filter", (X, sigma), {}) for sigma in ("a", None, [1])),
    *(("gaussian_filter1d", (LINE, 1), {"order": o}) for o in (-1, "a", None)),
    *(("gaussian_filter1d", (LINE, 1), {"radius": r}) for r in (-1, 1.5, "a")),
    *((name, args, {"axes": axes})
      for name, args in (("correlate", (X, np.ones(3))), ("gaussian_filter", (X, 1)),
                         ("uniform_filter", (X, 3)), ("laplace", (X,)),
                         ("gaussian_laplace", (X, 1)), ("gaussian_gradient_magnitude", (X, 1)))
      for axes in ((0, 0), 5, (5,), "a", 1.5, [1.5], -3, {})),
    *(("correlate1d", (X, [1, 2]), {"axis": axis}) for axis in (2, -3, 1.5, None, (0,))),
    *((name, args, {"output": output})
      for name, args in (("correlate1d", (X, [1, 2])), ("correlate", (X, THREE)),
                         ("gaussian_filter", (X, 1)), ("uniform_filter", (X, 3)), ("sobel", (X,)),
                         ("laplace", (X,)), ("gaussian_gradient_magnitude", (X, 1)))
      for output in (np.zeros((3, 3)), READ_ONLY, [0], 3, "O", "bad", complex, object, str,
                     np.float16, np.longdouble, np.complex64)),
    *((name, (np.ones(5).astype(dtype), *args), {})
      for name, args in (("correlate1d", ([1, 2],)), ("correlate", ([1, 2],)),
                         ("gaussian_filter", (1,)), ("uniform_filter", (3,)))
      for dtype in ("f2", "g", "O", "G", "U3")),
    ("correlate", (X + 0j, THREE), {"output": np.zeros((3, 4))}),
    ("correlate", (X + 0j, THREE), {"output": "f8"}),
    ("correlate", (X, THREE + 0j), {"cval": 1j}),
    ("gaussian_filter", (X + 0j, 1), {"output": float}),
    ("sobel", (np.float64(3),), {}),
    ("correlate1d", (np.float64(3), [1, 2]), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "keywords"), REFUSALS)
def test_refusals_are_scipys(name, args, keywords):
    """Of SciPy's type; AxisError is the ValueError and the IndexError that SciPy has for axes."""
    ours, theirs = (outcome(getattr(m, name), *args, **keywords) for m in (ndi, peer))
    if isinstance(theirs, type):
        assert issubclass(ours, theirs)
    else:
        assert_same(ours, theirs, np.asarray(args[0]), (), "both accept")


@pytest.mark.parametrize("name", FILTERS)
def test_empty_and_scalar_inputs(name):
    args = {"c": ([1, 2, 3],), "g": (1.0,), "u": (3,)}.get(name[0], ())
    for shape in ((0,), (0, 3), (3, 0), ()):
        x = np.full(shape, 2.0)
        these = (np.ones((3,) * x.ndim),) if name in ("correlate", "convolve") else args
        ours, theirs = (outcome(getattr(m, name), x, *these) for m in (ndi, peer))
        if isinstance(theirs, type):
            assert ours is theirs
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-15)
            assert ours.shape == shape


def test_a_complex_output_dtype_is_promoted_with_a_warning():
    with pytest.warns(UserWarning, match="promoting specified output dtype to complex"):
        assert ndi.correlate(X + 1j, THREE, output=np.float32).dtype == np.complex64


@pytest.mark.parametrize("layout", ["C", "F", "reversed", "byte-swapped", "int16", "in place"])
@pytest.mark.parametrize("name", ["correlate", "correlate1d", "gaussian_filter", "sobel"])
def test_output_arrays_of_any_layout_are_filled_and_returned(name, layout):
    args = {"correlate": (THREE,), "correlate1d": ([1, 2, 4],), "sobel": ()}.get(name, (1.0,))
    x = X.copy()
    output = {
        "C": np.zeros_like(X),
        "F": np.zeros((3, 4), order="F"),
        "reversed": np.zeros((3, 4))[::-1, ::-1],
        "byte-swapped": np.zeros((3, 4), ">f8"),
        "int16": np.zeros((3, 4), np.int16),
        "in place": x,
    }[layout]
    expected = getattr(peer, name)(X, *args, output=output.dtype)
    assert getattr(ndi, name)(x, *args, output=output) is output
    np.testing.assert_allclose(output, expected, rtol=1e-14)


@pytest.mark.parametrize("layout", ["F", "reversed", "transposed", "read-only", "list"])
def test_inputs_of_any_layout_are_left_alone(layout):
    x = {
        "F": np.asfortranarray(X),
        "reversed": X[::-1, ::-1],
        "transposed": X.T,
        "read-only": READ_ONLY + X,
        "list": X.tolist(),
    }[layout]
    before = np.array(x)
    np.testing.assert_array_equal(ndi.correlate(x, THREE), peer.correlate(before, THREE))
    np.testing.assert_array_equal(x, before)


def test_more_axes_than_a_convolution_takes():
    rng = np.random.default_rng(5)
    x, w = rng.integers(0, 9, (2,) * 10).astype(float), rng.integers(0, 3, (2,) * 9 + (1,))
    np.testing.assert_array_equal(ndi.correlate(x, w), peer.correlate(x, w))
    np.testing.assert_array_equal(ndi.sobel(x, 3), peer.sobel(x, 3))
    w = w[(slice(1),) * 7]
    np.testing.assert_array_equal(ndi.convolve(x, w), peer.convolve(x, w))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_non_finite_cell_reaches_what_scipy_lets_it_reach(value):
    x = np.random.default_rng(6).normal(size=(12, 13))
    x[5, 6] = value
    cross = np.array([[0, 1, 0], [1, -4, 1], [0, 1e-17, 0]])
    for name, args in [
        ("correlate", (cross,)),
        ("convolve", (cross,)),
        ("correlate", (THREE,)),
        ("correlate1d", ([0, 1, 0, 2],)),
        ("gaussian_filter", (1.0,)),
    ]:
        with np.errstate(invalid="ignore"):
            ours, theirs = (getattr(m, name)(x, *args) for m in (ndi, peer))
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs), name)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13, err_msg=name)


def test_differs_uniform_filter_keeps_a_non_finite_cell_in_its_windows():
    x = np.ones(9)
    x[2] = np.inf
    np.testing.assert_array_equal(ndi.uniform_filter1d(x, 3), [1, np.inf, np.inf, np.inf, *[1] * 5])
    assert np.isnan(peer.uniform_filter1d(x, 3)[4:]).all()


def test_differs_bools_are_zero_or_one():
    ours = ndi.sobel(np.eye(4, dtype=bool), 0)
    assert set(ours.view(np.uint8).flat) <= {0, 1}


def test_generic_filters_call_what_they_are_given():
    def derivative(x, axis, output, mode, cval, scale, *, shift):
        return ndi.correlate1d(x, [-scale, shift, scale], axis, output, mode, cval)

    given = {"extra_arguments": (2,), "extra_keywords": {"shift": 1}}
    for name in ("generic_laplace", "generic_gradient_magnitude"):
        for keywords in ({}, {"axes": (1,)}, {"axes": ()}, {"output": np.float32}):
            ours, theirs = (
                getattr(m, name)(X, derivative, **given, **keywords) for m in (ndi, peer)
            )
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, err_msg=f"{name} {keywords}")
            assert ours.dtype == theirs.dtype


WHOLE = ("u1", "i1", "u2", "i2")


@seeds(2)
@pytest.mark.parametrize("source", WHOLE)
@pytest.mark.parametrize("target", [*WHOLE, "u4", "i4", "i8", "f4", "f8"])
def test_small_integers_are_summed_exactly_in_any_type(source, target, seed):
    """Whatever sums are kept in: the largest cells, results that wrap, a border of any value."""
    rng = np.random.default_rng([seed, WHOLE.index(source), np.dtype(target).num])
    limits = np.iinfo(source)
    x = rng.integers(limits.min, limits.max, rng.integers(1, 40, 2), endpoint=True).astype(source)
    calls = [
        ("sobel", ()),
        ("prewitt", (0,)),
        ("laplace", ()),
        ("correlate", (rng.integers(-4, 5, rng.integers(1, 6, 2)),)),
        ("correlate1d", (rng.integers(-400, 500, 7),)),
    ]
    if np.dtype(target).kind != "f":  # where SciPy's running sum rounds
        calls += [("uniform_filter", (int(rng.integers(2, 15)),)), ("uniform_filter1d", (29,))]
    if target in ("u1", "u2"):
        calls += [("gaussian_gradient_magnitude", (float(rng.uniform(0.5, 2)),))]
    for mode, cval in ("reflect", 0.0), ("constant", 300.0), ("constant", -2.5):
        for name, args in calls:
            keywords = {"output": target, "mode": mode, "cval": cval}
            ours = outcome(getattr(ndi, name), x, *args, **keywords)
            theirs = outcome(getattr(peer, name), x, *args, **keywords)
            context = f"seed {seed}: {name} {args} {mode} {cval}"
            np.testing.assert_array_equal(ours, theirs, err_msg=context)


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "u2", "i2", "i4"])
@pytest.mark.parametrize("mode", MODES)
def test_large_kernels_need_no_second_image_for_floats(mode, dtype):
    rng = np.random.default_rng(8)
    x = rng.uniform(40, 120, (200, 300)).astype(dtype)  # no size that needs a second look
    w = rng.standard_normal((31, 32))
    y = np.empty(x.shape, "f")
    ndi.correlate(x, w, y, mode, 0.5)
    tracemalloc.start()
    try:
        ndi.correlate(x, w, y, mode, 0.5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < y.nbytes // 4
    expected = peer.correlate(x, w, np.float64, mode, 0.5)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-7 * abs(expected).max())
