"""cyconv.dask: the values of the call in memory, whatever the chunks; nothing is computed early."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cyconv
import cyconv.ndimage as ndi
import cyconv.signal as signal

from .cases import BORDERS, GEOMETRIES, GROUPS, LINES, SHAPES, VOLUMES, seeds
from .test_ndimage import FILTERS, MODES, arguments, image

da = pytest.importorskip("dask.array")
import dask

import cyconv.dask as door


@pytest.fixture(autouse=True)
def _one_thread_scheduler():
    """No pool is kept; a test that needs one asks for it."""
    with dask.config.set(scheduler="synchronous"):
        yield


def chunks(rng, shape):
    """Unequal chunks of random sizes, most of them small, along each axis."""
    found = []
    for n in shape:
        most = int(rng.choice([2, 4, 9, 30]))
        axis, left = [], n
        while left > 0:
            axis.append(min(left, int(rng.integers(1, most + 1))))
            left -= axis[-1]
        found.append(tuple(axis) or (0,))
    return tuple(found)


def lazy(rng, x):
    """`x` in random chunks."""
    return da.from_array(x, chunks=chunks(rng, x.shape))


def assert_equals(result, expected, gain, context):
    """Equal integers; floats within the rounding of another algorithm, 4 times direct sums'."""
    assert isinstance(result, da.Array), context
    assert result.shape == expected.shape, context
    assert result.dtype == expected.dtype, context
    y = result.compute()
    assert y.shape == expected.shape, context
    assert y.dtype == expected.dtype, context
    if expected.dtype.kind in "biu":
        np.testing.assert_array_equal(y, expected, context)
    else:
        # Direct sums of n terms err by n eps times the sum of magnitudes, `gain`; both sides do.
        atol = 32 * np.finfo(expected.dtype).eps * gain
        np.testing.assert_allclose(y, expected, rtol=0, atol=atol, err_msg=context)


def random_call(rng):
    """Arrays and arguments of a random convolution."""
    rank = int(rng.integers(1, 4))
    groups = int(rng.choice([1, 1, 2, 3]))
    depth, filters = int(rng.integers(1, 4)), groups * int(rng.integers(1, 3))
    kernel = tuple(rng.integers(1, 6 if rank < 3 else 4, rank).tolist())
    dilation = tuple(rng.integers(1, 4, rank).tolist())
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    spatial = [int(span + rng.integers(0, 30 if rank < 3 else 9)) for span in spans]
    padding = [tuple(rng.integers(0, rng.choice([2, 5, 2 * n]), 2).tolist()) for n in spatial]
    mode = str(rng.choice(["zeros", "reflect", "replicate", "circular", "symmetric"]))
    last = rng.random() < 0.3
    x = [groups * depth, *spatial]
    x = [*spatial, groups * depth] if last else x
    batch = [int(rng.integers(1, 4))] if rng.random() < 0.8 else []
    keywords = {
        "stride": tuple(rng.integers(1, 5, rank).tolist()),
        "dilation": dilation,
        "padding": str(rng.choice(["same", "valid", "same_lower"]))
        if rng.random() < 0.3
        else tuple(padding),
        "groups": groups,
        "padding_mode": mode,
        "flip": bool(rng.random() < 0.3),
        "data_format": "channels_last" if last else "channels_first",
        "activation": [None, "relu", (-1, 2)][rng.integers(3)],
    }
    return (*batch, *x), (filters, depth, *kernel), keywords


@seeds(60, full=200)
def test_random_chunkings_of_random_convolutions(seed):
    rng = np.random.default_rng([seed, 1])
    x_shape, w_shape, keywords = random_call(rng)
    dtype = np.dtype(str(rng.choice(["f4", "f8", "i1", "u2", "i8", "f2", "c8"])))
    if dtype.kind == "c":
        keywords["activation"] = None
    x, w = image(rng, x_shape, dtype), image(rng, w_shape, dtype)
    if dtype.kind == "i":
        keywords["activation"] = None
    bias = None if rng.random() < 0.5 else np.arange(w_shape[0]).astype(w.dtype)
    expected = cyconv.conv(x, w, bias, **keywords)
    result = door.conv(lazy(rng, x), w, bias, **keywords)
    gain = np.abs(w.astype(complex)).sum() * np.abs(x.astype(complex)).max() + 3
    assert_equals(result, expected, gain, f"seed {seed}: {x_shape} {w_shape} {keywords}")


@seeds(20, full=40)
def test_random_chunkings_of_random_transposes_and_gradients(seed):
    rng = np.random.default_rng([seed, 8])
    x_shape, w_shape, keywords = random_call(rng)
    activation = keywords.pop("activation")
    keywords["padding_mode"] = "zeros"
    dtype = np.dtype(str(rng.choice(["f4", "f8", "i1", "i8", "f2", "c8"])))
    shape = cyconv.Problem(x_shape, w_shape, "f4", **keywords).output_shape
    g, w = image(rng, shape, dtype), image(rng, w_shape, dtype)
    gain = np.abs(w.astype(complex)).sum() * np.abs(g.astype(complex)).max() + 3
    context = f"seed {seed}: {x_shape} {w_shape} {keywords}"
    expected = cyconv.conv_grad_input(x_shape, w, g, **keywords)
    result = door.conv_grad_input(x_shape, w, lazy(rng, g), **keywords)
    assert_equals(result, expected, gain, context)
    if dtype.kind == "f":
        keywords["activation"] = activation
    bias = (
        None
        if rng.random() < 0.5
        else np.arange(
            x_shape[
                -1
                if keywords["data_format"] == "channels_last"
                else len(x_shape) - len(w_shape) + 1
            ]
        ).astype(dtype)
    )
    widest = np.maximum(keywords["stride"], keywords["dilation"])
    keywords["output_padding"] = tuple(int(rng.integers(n)) for n in widest)
    try:
        expected = cyconv.conv_transpose(g, w, bias, **keywords)
    except ValueError as error:  # the padding cuts all of it
        with pytest.raises(ValueError, match=re.escape(str(error))):
            door.conv_transpose(lazy(rng, g), w, bias, **keywords)
        return
    result = door.conv_transpose(lazy(rng, g), w, bias, **keywords)
    assert_equals(result, expected, gain, context)


@seeds(20, full=40)
def test_random_chunkings_of_random_gradients_of_weights(seed):
    rng = np.random.default_rng([seed, 9])
    x_shape, w_shape, keywords = random_call(rng)
    del keywords["activation"]
    dtype = np.dtype(str(rng.choice(["f4", "f8", "i1", "i8", "f2", "c8"])))
    shape = cyconv.Problem(x_shape, w_shape, "f4", **keywords).output_shape
    x, g = image(rng, x_shape, dtype), image(rng, shape, dtype)
    expected = cyconv.conv_grad_weight(x, w_shape, g, **keywords)
    result = door.conv_grad_weight(lazy(rng, x), w_shape, lazy(rng, g), **keywords)
    gain = np.abs(g.astype(complex)).sum() * np.abs(x.astype(complex)).max() + 3
    assert_equals(result, expected, gain, f"seed {seed}: {x_shape} {w_shape} {keywords}")


def test_chunks_of_a_transpose_are_those_of_the_array_times_the_stride():
    x = da.zeros((3, 5, 40, 60), chunks=(1, 2, (10, 30), 20), dtype="f4")
    w = np.zeros((5, 2, 2, 2), "f4")
    assert door.conv_transpose2d(x, w, stride=2).chunks == (
        (1, 1, 1),
        (2,),
        (20, 60),
        (40, 40, 40),
    )


def test_refusals_of_transposes():
    x, w = da.ones((1, 2, 6), chunks=3), np.ones((2, 3, 2))
    for function, args, keywords, message in (
        (
            door.conv_transpose1d,
            (x, w),
            {"padding": 1, "padding_mode": "reflect"},
            "padding_mode must be 'zeros' for a dask array, got 'reflect'",
        ),
        (door.conv_transpose2d, (x, w), {}, "w must have 4 axes"),
        (door.conv_transpose1d, (x, w), {"threads": 2}, "threads must be None or 1"),
        (door.conv_grad_input, ((1, 3, 9), w, x), {}, r"grad_output must have shape \(1, 2, 8\)"),
        (door.conv_transpose1d, (x, w), {"algorithm": "winograd"}, "algorithm='winograd'"),
    ):
        with pytest.raises(ValueError, match=f"^{function.__name__}: {message}"):
            function(*args, **keywords)
    y = da.ones((1, 3, 7), chunks=3)
    with pytest.raises(ValueError, match=r"^conv_grad_weight: grad_output must have shape \(1, 2"):
        door.conv_grad_weight(y, w.shape, y)
    with pytest.raises(ValueError, match=r"^conv_grad_weight: algorithm='winograd'"):
        door.conv_grad_weight(y, w.shape, x, algorithm="winograd")
    with pytest.raises(TypeError, match=r"^conv_grad_weight: grad_output must be a dask"):
        door.conv_grad_weight(y, w.shape, np.ones((1, 2, 6)))
    with pytest.raises(TypeError, match=r"^conv_transpose: x must be a dask\.array\.Array"):
        door.conv_transpose(np.ones((1, 2, 6)), w)
    with pytest.raises(TypeError, match=r"^conv_grad_input: w must be an array in memory"):
        door.conv_grad_input((1, 3, 7), da.from_array(w), x)


NAMED = [*BORDERS, *GEOMETRIES, *GROUPS, *LINES[:1], *SHAPES, *VOLUMES]


@pytest.mark.parametrize("case", NAMED, ids=str)
def test_named_problems_of_integers_are_equal(case):
    x, w, bias = case.integers("int32")
    rng = np.random.default_rng(case.seed)
    result = door.conv(lazy(rng, x), w, bias, **case.geometry)
    assert_equals(result, case.run(x, w, bias), 0, str(case))


@seeds(1, full=2)
@pytest.mark.parametrize("name", FILTERS)
def test_random_chunkings_of_random_filters(name, seed):
    for i in range(20):
        rng = np.random.default_rng([seed, i, FILTERS.index(name), 7])
        ndim = int(rng.integers(1, 4))
        dtype = str(rng.choice(["bool", "u1", "i2", "i4", "f4", "f8", "c16", ">f4"]))
        x = image(rng, rng.integers(1, 14, ndim), dtype)
        args, keywords = arguments(rng, name, ndim)
        if rng.random() < 0.3:
            keywords["output"] = np.dtype(str(rng.choice(["u1", "i4", "f4", "f8"])))
        context = f"seed {seed}, call {i}: {x.dtype} {x.shape} {args} {keywords}"
        ours, theirs = getattr(door.ndimage, name), getattr(ndi, name)
        try:
            expected = theirs(x, *args, **keywords)
        except Exception as error:
            with pytest.raises(type(error)):
                ours(lazy(rng, x), *args, **keywords)
            continue
        gain = np.abs(args[0]).sum() if args and np.ndim(args[0]) else 8.0**ndim
        gain *= max(3, np.abs(x.astype(complex)).max())
        assert_equals(ours(lazy(rng, x), *args, **keywords), expected, gain, context)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["generic_laplace", "generic_gradient_magnitude"])
def test_generic_filters_by_the_depth_that_is_given_or_known(name, mode):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(12, 17))

    def twice(x, axis, output, mode, cval, weights):
        y = ndi.correlate1d(x, weights, axis, np.float64, mode, cval)
        return ndi.correlate1d(y, weights, axis, output, mode, cval)

    keywords = {"mode": mode, "cval": 2.0, "extra_arguments": ([1, 3, -2],)}
    expected = getattr(ndi, name)(x, twice, **keywords)
    result = getattr(door.ndimage, name)(lazy(rng, x), twice, **keywords, depth=2)
    assert_equals(result, expected, 500, mode)
    expected = getattr(ndi, name)(x, ndi.sobel, mode=mode)
    assert_equals(
        getattr(door.ndimage, name)(lazy(rng, x), ndi.sobel, mode=mode), expected, 500, ""
    )
    with pytest.raises(ValueError, match=f"{name}: depth must be the number of cells"):
        getattr(door.ndimage, name)(lazy(rng, x), twice, **keywords)


@pytest.mark.parametrize("name", ["gaussian_laplace", "gaussian_gradient_magnitude"])
def test_a_mode_that_wraps_along_one_axis_only(name):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(12, 17, 5))
    keywords = {"mode": ["wrap", "mirror"], "axes": (2, 0)}
    expected = getattr(ndi, name)(x, 0.8, **keywords)
    assert_equals(getattr(door.ndimage, name)(lazy(rng, x), 0.8, **keywords), expected, 50, name)


def test_origins_that_look_to_one_side_only():
    rng = np.random.default_rng(5)
    x = rng.normal(size=23)
    for mode in MODES:
        for origin in (-3, -1, 0, 2):
            call = {"mode": mode, "origin": origin}
            expected = ndi.correlate1d(x, [1, -2, 3, 4, -5, 6], **call)
            result = door.ndimage.correlate1d(lazy(rng, x), [1, -2, 3, 4, -5, 6], **call)
            assert_equals(result, expected, 100, str(call))


@seeds(20, full=60)
def test_random_chunkings_of_random_signals(seed):
    rng = np.random.default_rng([seed, 2])
    ndim = int(rng.integers(1, 4))
    dtype = str(rng.choice(["i2", "f4", "f8", "c16", "i8"]))
    x, w = image(rng, rng.integers(4, 20, ndim), dtype), image(rng, rng.integers(1, 8, ndim), dtype)
    mode = str(rng.choice(["full", "same", "valid"]))
    name = str(rng.choice(["convolve", "fftconvolve", "oaconvolve"]))
    keywords = {"mode": mode}
    if name == "convolve":
        keywords["method"] = str(rng.choice(["auto", "direct", "fft"]))
    elif ndim > 1 and rng.random() < 0.6:  # the first axis broadcasts
        keywords["axes"] = list(range(1, ndim))
        which = rng.integers(3)
        x, w = (x[:1] if which == 1 else x), (w[:1] if which == 0 else w)
        if which == 2:
            w = np.repeat(w[:1], len(x), 0) * (1 + np.arange(len(x))[(...,) + (None,) * (ndim - 1)])
            w = w.astype(dtype)
    if mode == "valid":  # one holds the other
        w = w[tuple(slice(n) if w.shape[a] > n > 1 else slice(None) for a, n in enumerate(x.shape))]
    context = f"seed {seed}: {name} {x.dtype} {x.shape} {w.shape} {keywords}"
    gain = np.abs(w.astype(complex)).sum() * np.abs(x.astype(complex)).max()
    ours, theirs = getattr(door.signal, name), getattr(signal, name)
    assert_equals(ours(lazy(rng, x), w, **keywords), theirs(x, w, **keywords), gain, context)
    assert_equals(ours(w, lazy(rng, x), **keywords), theirs(w, x, **keywords), gain, context)


def test_nothing_is_computed_before_it_is_asked_for():
    def explode(block):
        raise AssertionError("computed")

    x = da.ones((2, 3, 32, 32), chunks=(1, 3, 8, 8)).map_blocks(
        explode, dtype=float, meta=np.ones(0)
    )
    w = np.ones((4, 3, 3, 3))
    results = [
        door.conv2d(x, w, padding=1, padding_mode="circular"),
        door.ndimage.gaussian_filter(x, 1.0, axes=(2, 3), mode="wrap"),
        door.signal.oaconvolve(x, w[:1], axes=(2, 3)),
    ]
    for result in results:
        with pytest.raises(AssertionError, match="computed"):
            result.compute()


def test_chunks_of_the_result_are_those_of_the_array():
    x = da.zeros((3, 2, 40, 60), chunks=(1, 2, (10, 30), 20), dtype="f4")
    w = np.zeros((5, 2, 3, 3), "f4")
    same = door.conv2d(x, w, padding="same")
    assert same.chunks == ((1, 1, 1), (5,), (10, 30), (20, 20, 20))
    half = door.conv2d(x, w, padding=1, stride=2)
    assert half.chunks == ((1, 1, 1), (5,), (5, 15), (10, 10, 10))
    assert door.ndimage.gaussian_filter(x, 9).chunks == x.chunks
    wide = door.conv2d(x, w, padding=(0, 500))  # a border far wider than the image is divided
    assert max(wide.chunks[3]) <= 40


def test_each_chunk_is_read_once():
    reads = []

    def read(block):
        reads.append(block.shape)
        return block

    x = da.ones((30, 30), chunks=10).map_blocks(read, dtype=float, meta=np.ones((0, 0)))
    door.ndimage.gaussian_filter(x, 3.0).compute()
    assert reads == [(10, 10)] * 9


def test_tasks_use_one_thread_and_the_process_keeps_its_number():
    cyconv.set_num_threads(3)
    seen = []

    def derivative(x, axis, output, mode, cval):
        seen.append(cyconv.get_num_threads())
        return ndi.prewitt(x, axis, output, mode, cval)

    x = da.ones((20, 20), chunks=5)
    y = door.ndimage.generic_laplace(x, derivative, depth=1)
    seen.clear()
    y.compute(scheduler="threads", num_workers=2)
    assert seen == [1] * 32
    assert cyconv.get_num_threads() == 3


X = da.ones((1, 2, 8, 8), chunks=4)
W = np.ones((3, 2, 3, 3))
UNKNOWN = da.ones(8, chunks=4)[da.ones(8, chunks=4) > 0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: door.conv2d(np.ones((1, 2, 8, 8)), W), TypeError,
         "conv2d: x must be a dask.array.Array, got ndarray"),
        (lambda: door.conv2d(X, da.ones(W.shape)), TypeError,
         "conv2d: w must be an array in memory"),
        (lambda: door.conv2d(X, W, device="opencl"), ValueError,
         "conv2d: device must be 'cpu' for a dask array, got 'opencl'"),
        (lambda: door.conv2d(X, W, threads=4), ValueError,
         "conv2d: threads must be None or 1"),
        (lambda: door.conv2d(X, W, out=np.ones(3)), TypeError,
         "conv2d: out must be None for a dask array"),
        (lambda: door.conv2d(X, W, stride=0), ValueError,
         r"conv2d: stride\[0\] must be >= 1, got 0"),
        (lambda: door.conv2d(X, W, algorithm="magic"), ValueError, "conv2d: algorithm"),
        (lambda: door.conv2d(X, W, algorithm="winograd", workspace_limit=0), MemoryError, "conv2d"),
        (lambda: door.conv2d(X, W, activation="tanh"), ValueError, "conv2d: activation must be"),
        (lambda: door.conv2d(X, W, np.ones(4)), ValueError, r"conv2d: bias must have shape \(3,\)"),
        (lambda: door.conv1d(X, W), ValueError, "conv1d: w must have 3 axes"),
        (lambda: door.ndimage.sobel(np.ones(3)), TypeError, "sobel: input must be a dask.array"),
        (lambda: door.ndimage.sobel(X, output=np.ones(X.shape)), TypeError,
         "sobel: output must be None or a dtype for a dask array, got ndarray"),
        (lambda: door.ndimage.correlate(X, X), TypeError,
         "correlate: weights must be an array in memory"),
        (lambda: door.ndimage.sobel(X, mode="mirrored"), RuntimeError, "mode must be one of"),
        (lambda: door.ndimage.sobel(X, way=1), TypeError, "sobel: got an unexpected keyword"),
        (lambda: door.ndimage.gaussian_filter1d(UNKNOWN, 1), ValueError,
         "gaussian_filter1d: input must have chunks of known sizes"),
        (lambda: door.signal.convolve(X, X), TypeError,
         "convolve: in2 must be an array in memory"),
        (lambda: door.signal.convolve(W, W), TypeError,
         "convolve: in1 must be a dask.array.Array"),
        (lambda: door.signal.convolve(X, np.ones(3)), ValueError, "same dimensionality"),
        (lambda: door.signal.oaconvolve(X, W, "some"), ValueError, "mode"),
        (lambda: door.signal.oaconvolve(X, W[:0], "same"), ValueError, "in2 must have cells"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_before_anything_is_computed(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_every_filter_of_ndimage_is_there():
    assert door.ndimage.__all__ == ndi.__all__
    for name in ndi.__all__:
        assert f"cyconv.ndimage.{name}" in getattr(door.ndimage, name).__doc__


def test_dask_is_imported_only_by_its_room():
    code = "import sys, cyconv, cyconv.ndimage, cyconv.signal; print('dask' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_dask_the_error_says_what_to_install(child):
    code = "import sys; sys.modules['dask'] = None\nimport cyconv\ncyconv.dask.conv2d"
    done = child(code, check=False)
    assert "pip install 'cyconv[dask]'" in done.stderr


MEMORY = """
import resource, sys
import dask, dask.array as da, numpy as np, zarr
import cyconv.dask as door

zarr.config.set({"threading.max_workers": 2})  # each thread has a stack of its own
folder, megabytes, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
shape, chunks = (megabytes * 2**20 // 4 // 256**2, 256, 256), (32, 128, 128)
store = zarr.create_array(f"{folder}/in.zarr", shape=shape, chunks=chunks, dtype="f4", fill_value=1)
store[40:50] = 3
resource.setrlimit(resource.RLIMIT_AS, (limit << 20, limit << 20))
y = door.ndimage.gaussian_filter1d(da.from_zarr(f"{folder}/in.zarr"), 2.0, axis=0)
with dask.config.set(scheduler="threads", num_workers=2):
    da.to_zarr(y, f"{folder}/out.zarr")
result = da.from_zarr(f"{folder}/out.zarr")
assert result.shape == shape and np.allclose(result[80:].sum(axis=(1, 2))[:4].compute(), 256**2)
assert 2.9 < float(result[45, 100, 100].compute()) <= 3
print(next(line for line in open("/proc/self/status") if line.startswith("VmPeak")).split()[1])
"""


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, limits the address space")
def test_an_array_of_four_times_the_memory_from_zarr_to_zarr(tmp_path, record_property):
    pytest.importorskip("zarr")
    limit, size = 512, 2100
    few = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path), str(size), str(limit)],
        env={**os.environ, **few},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout) / 1024
    print(f"{size} MB filtered, {peak:.0f} MB of address space at most, {limit} MB allowed")
    record_property("peak_megabytes", peak)
    assert size >= 4 * limit > 4 * peak


@pytest.mark.filterwarnings("default")  # what the other libraries' processes leave behind
def test_every_block_of_the_page_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("zarr")
    pytest.importorskip("distributed")
    page = Path(__file__).parents[1] / "docs" / "dask.md"
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, "docs/dask.md", "exec"), names)
    assert names["features"].chunks == ((4,), (16, 16, 8), (16,) * 3, (16,) * 4)
    assert {"edges.zarr", "means.zarr", "smooth.zarr"} <= {path.name for path in tmp_path.iterdir()}
