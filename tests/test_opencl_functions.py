"""Every public function, given arrays in device memory: a result there, or why there is none."""

import numpy as np
import pytest

import cyconv
import cyconv.ndimage
import cyconv.signal
from cyconv import filters, toeplitz

from .test_opencl import DEVICES, device, double, pytestmark

array = pytest.importorskip("pyopencl.array")


def draw(*shape, dtype=np.float32):
    drawn = np.random.default_rng(20261122).integers(-4, 5, (2, *shape))
    if np.dtype(dtype).kind == "c":
        return (drawn[0] + 1j * drawn[1]).astype(dtype)
    return (abs(drawn[0]) if np.dtype(dtype).kind == "u" else drawn[0]).astype(dtype)


@pytest.fixture
def there(device):
    """An array's copy in device memory, a view of every second cell along its second axis."""
    queue = cyconv.opencl.queue(device)

    def moved(a):
        wide = np.repeat(a, 2, axis=1) if a.ndim > 1 else a
        view = array.to_device(queue, wide)
        return view[:, ::2] if a.ndim > 1 else view

    return moved


def stays(events):
    """Whether nothing large met the host: kernels, weights and tables only."""
    return not [what for kind, what in events if kind == "download"]


X, W, G = draw(2, 4, 9, 10), draw(6, 4, 3, 3), draw(2, 6, 7, 8)
SPATIAL = {1: (9,), 2: (9, 8), 3: (5, 6, 7)}


@pytest.mark.parametrize("rank", SPATIAL)
@pytest.mark.parametrize("named", [True, False], ids=["by rank", "any rank"])
def test_convolutions_of_every_rank(rank, named, there, device):
    x, w = draw(2, 4, *SPATIAL[rank]), draw(6, 4, *(3,) * rank)
    for name in ("conv", "conv_transpose"):
        function = getattr(cyconv, f"{name}{rank}d" if named else name)
        operand = x if name == "conv" else draw(2, 6, *SPATIAL[rank])
        got = function(there(operand), there(w), device=device, accuracy="strict")
        assert isinstance(got, array.Array)
        np.testing.assert_array_equal(got.get(), function(operand, w))


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_gradients(dtype, there, device):
    x, w, g = (draw(*a.shape, dtype=dtype) for a in (X, W, G))
    how = {"device": device, "accuracy": "strict"}
    with cyconv.opencl.log() as events:
        results = [
            (
                cyconv.conv_grad_input(x.shape, there(w), there(g), **how),
                cyconv.conv_grad_input(x.shape, w, g),
            ),
            (
                cyconv.conv_grad_weight(there(x), w.shape, there(g), **how),
                cyconv.conv_grad_weight(x, w.shape, g),
            ),
            (cyconv.conv_grad_bias(there(g), device=device), cyconv.conv_grad_bias(g)),
        ]
    assert stays(events)
    for got, expected in results:
        assert isinstance(got, array.Array)
        np.testing.assert_array_equal(got.get(), expected)
    both = [cyconv.conv_vjp(there(x), w, there(g), **how), cyconv.conv_vjp(x, w, g)]
    for got, expected in zip(*both, strict=True):
        np.testing.assert_array_equal(got.get(), expected)
    one = [cyconv.conv_vjp(there(x[0]), w, there(g[0]), **how), cyconv.conv_vjp(x[0], w, g[0])]
    for got, expected in zip(*one, strict=True):
        np.testing.assert_array_equal(got.get(), expected)


DTYPES = [
    ("float32", "float64"),
    ("float16", "float32"),
    ("float32", "complex64"),
    ("int16", "float32"),
    ("uint8", "float32"),
    ("int32", "float64"),
    ("uint8", "int32"),
    ("int64", "int16"),
    ("complex64", "complex128"),
]


@pytest.mark.parametrize(("mine", "other"), DTYPES)
def test_operands_of_two_dtypes_meet_on_the_device(mine, other, there, device):
    if other in ("float64", "complex128"):
        double(device)
    x, w = draw(*X.shape, dtype=mine), draw(*W.shape, dtype=other)
    with cyconv.opencl.log() as events:
        got = cyconv.conv2d(there(x), w, device=device, accuracy="strict")
        swapped = cyconv.conv2d(w, there(x[:, :, :3, :3]), device=device, accuracy="strict")
    assert stays(events)
    expected = cyconv.conv2d(x, w)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got.get(), expected)
    np.testing.assert_array_equal(swapped.get(), cyconv.conv2d(w, x[:, :, :3, :3]))


def test_dtypes_that_do_not_meet_there_are_refused(there, device):
    with pytest.raises(TypeError, match="conv2d: x must be an Array with a queue"):
        cyconv.conv2d(there(X.astype(np.float16)).with_queue(None), W, device=device)


@pytest.mark.parametrize("colours", [False, True], ids=["grey", "RGB"])
@pytest.mark.parametrize("out_dtype", [None, "uint8"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float16", "int32"])
def test_images_of_numpy_are_sent_as_they_are_and_come_back_filtered(
    dtype, out_dtype, colours, device
):
    """Whatever lies between: two passes, two derivatives and their root, a rounding."""
    if dtype == "int32":
        double(device)
    image = np.random.default_rng(20261128).integers(0, 100, (20, 22, *(3,) * colours))
    image = image.astype(dtype)
    for function, arguments in (
        (filters.apply, ("box",)),
        (filters.apply, ("sharpen",)),
        (filters.gradient, ("scharr",)),
        (filters.gradient_magnitude, ()),
    ):
        how = {"out_dtype": out_dtype, "mode": "symmetric"}
        if arguments == ("box",):
            how["separable"] = True
        with cyconv.opencl.log() as events:
            got = function(image, *arguments, **how, device=device)
        got, expected = np.asarray(got), np.asarray(function(image, *arguments, **how))
        assert max(size for kind, size in events if kind == "upload") == image.nbytes
        assert sum(size for kind, size in events if kind == "download") == got.nbytes
        assert got.dtype == expected.dtype
        one = 1 if np.dtype(expected.dtype).kind in "iu" else 1e-4  # of sums near a half
        apart = abs(got.astype("f8") - expected)
        assert (apart <= one + 1e-3 * abs(expected)).all()
        assert (apart > 1e-3 * abs(expected) + 1e-4).mean() < 0.02


@pytest.mark.parametrize("out_dtype", ["uint8", "int16", "int32", "float16", None])
def test_results_of_filters_are_rounded_to_nearest_and_clipped(out_dtype, there, device):
    image = np.array([[-0.5, 0.5, 1.5, 2.5, -300, 300, 1e5, 1e30]], np.float32)
    one = np.ones((1, 1), np.float32)
    got = filters.apply(there(image), one, device=device, out_dtype=out_dtype)
    assert isinstance(got, array.Array)
    with np.errstate(over="ignore"):
        expected = filters.apply(image, one, out_dtype=out_dtype)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got.get(), expected)


def test_filters_refuse_missing_cells_on_a_device(there, device):
    for image in (X[0, 0], there(X[0, 0])):
        with pytest.raises(ValueError, match=r"filters\.apply: missing must be None on a device"):
            filters.apply(image, "box", missing="omit", device=device)


@pytest.mark.parametrize("colours", [False, True], ids=["grey", "RGB"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int16", "float64"])
def test_filters(dtype, colours, there, device):
    if dtype == "float64":
        double(device)
    image = draw(20, 22, *(3,) * colours, dtype=dtype)
    how = {"device": device}
    with cyconv.opencl.log() as events:
        results = [
            (filters.apply(there(image), "sharpen", **how), filters.apply(image, "sharpen")),
            (
                filters.apply(there(image), "gaussian", mode="zeros", **how),
                filters.apply(image, "gaussian", mode="zeros"),
            ),
            *zip(
                filters.gradient(there(image), "scharr", **how),
                filters.gradient(image, "scharr"),
                strict=True,
            ),
            (filters.gradient_magnitude(there(image), **how), filters.gradient_magnitude(image)),
        ]
    assert stays(events)
    for got, expected in results:
        assert isinstance(got, array.Array)
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got.get(), expected, rtol=1e-5, atol=1e-4)
    assert len(filters.passes(there(image), "gaussian", **how)) in (1, 2)


def test_magnitudes_do_not_overflow(there, device):
    image = np.zeros((9, 9), np.float32)
    image[:, 5:] = 5e37
    got = filters.gradient_magnitude(there(image), device=device)
    np.testing.assert_allclose(got.get(), filters.gradient_magnitude(image), rtol=1e-5)


@pytest.mark.parametrize("function", ["apply", "gradient", "gradient_magnitude"])
def test_filters_on_the_cpu_name_the_image(function, there):
    arguments = ("box",) if function == "apply" else ()
    with pytest.raises(TypeError, match=r"filters\.\w+: image must be an ndarray for device='cpu'"):
        getattr(filters, function)(there(X[0, 0]), *arguments)


def nothing(*_, **__):
    """A derivative, of which no function here has need."""


LINE, PLANE = np.ones(3, np.float32), np.ones((3, 3), np.float32)
OF_NUMBERS = ("correlation_lags", "savgol_coeffs")
OF_MORE = ("lfilter", "resample_poly", "savgol_filter")
"""Functions of `cyconv.signal` without operands, and those whose arguments are not two."""
HOST_ONLY = {
    "unfold": lambda a: cyconv.unfold(a, (3, 3)),
    "fold": lambda a: cyconv.fold(a, (9, 10), (3, 3)),
    "toeplitz.matrix": lambda a: toeplitz.matrix(a, (4, 9, 10)),
    "toeplitz.sparse": lambda a: toeplitz.sparse(a, (4, 9, 10)),
    "toeplitz.operator": lambda a: toeplitz.operator(a, (4, 9, 10)),
    "filters.separate": filters.separate,
    "kernel": lambda a: filters.apply(PLANE, a),
    "signal.choose_conv_method": lambda a: cyconv.signal.choose_conv_method(LINE, a),
    **{
        f"signal.{name}": lambda a, name=name: getattr(cyconv.signal, name)(a, PLANE)
        for name in cyconv.signal.__all__
        if name not in ("choose_conv_method", *OF_NUMBERS, *OF_MORE)
    },
    **{
        f"signal.{name}, second": lambda a, name=name: getattr(cyconv.signal, name)(PLANE, a)
        for name in cyconv.signal.__all__
        if name not in (*OF_NUMBERS, *OF_MORE)
    },
    "signal.resample_poly": lambda a: cyconv.signal.resample_poly(a, 3, 2),
    "signal.resample_poly, window": lambda a: cyconv.signal.resample_poly(LINE, 3, 2, window=a),
    "signal.savgol_filter": lambda a: cyconv.signal.savgol_filter(a, 3, 1),
    "signal.lfilter, b": lambda a: cyconv.signal.lfilter(a, 1, LINE),
    "signal.lfilter, a": lambda a: cyconv.signal.lfilter(LINE, a, LINE),
    "signal.lfilter, x": lambda a: cyconv.signal.lfilter(LINE, 1, a),
    "signal.lfilter, zi": lambda a: cyconv.signal.lfilter(LINE, 1, LINE, zi=a),
}
ARGUMENTS = {
    "convolve": (PLANE,), "correlate": (PLANE,), "convolve1d": (LINE,), "correlate1d": (LINE,),
    "gaussian_filter": (1.0,), "gaussian_filter1d": (1.0,), "gaussian_laplace": (1.0,),
    "gaussian_gradient_magnitude": (1.0,), "generic_gradient_magnitude": (nothing,),
    "generic_laplace": (nothing,), "uniform_filter1d": (3,),
}  # fmt: skip
HOST_ONLY |= {
    f"ndimage.{name}": lambda a, name=name: getattr(cyconv.ndimage, name)(
        a, *ARGUMENTS.get(name, ())
    )
    for name in cyconv.ndimage.__all__
}
HOST_ONLY |= {
    f"ndimage.{name}, weights": lambda a, name=name: getattr(cyconv.ndimage, name)(PLANE, a)
    for name in ("convolve", "correlate", "convolve1d", "correlate1d")
}
HOST_ONLY["output"] = lambda a: cyconv.ndimage.sobel(PLANE, output=a)


@pytest.mark.parametrize("function", HOST_ONLY)
def test_what_computes_only_on_the_host_says_so(function, there):
    """At once: NumPy would fetch such an array cell by cell."""
    refused = pytest.raises(TypeError, match=r"must be an ndarray, got one in .*array\.get\(\)")
    with cyconv.opencl.log() as events, refused:
        HOST_ONLY[function](there(PLANE))
    assert events == []
