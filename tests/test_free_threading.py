"""Eight threads at every door at once get the bits that one gets alone.

Where Python has no global lock they run at the same time; where it has one they take turns very
often. `test_threads` is about the threads of one call.
"""

import pkgutil
import sys
import sysconfig
from itertools import cycle

import numpy as np
import pytest

import cyconv
from cyconv import filters, ndimage, signal, toeplitz

from .callers import CALLERS, ROUNDS, at_once
from .variants import by_way, cache

FREE = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

rng = np.random.default_rng(11)
X = rng.standard_normal((2, 8, 20, 21), np.float32)
W = rng.standard_normal((12, 8, 3, 3), np.float32)
BIAS = rng.standard_normal(12, np.float32)
G = rng.standard_normal((2, 12, 20, 21), np.float32)
VOLUME, TAPS3 = rng.standard_normal((1, 3, 7, 8, 9)), rng.standard_normal((4, 3, 3, 3, 3))
LINE, TAPS1 = rng.standard_normal((2, 3, 500)), rng.standard_normal((4, 3, 9))
BYTES = rng.integers(0, 256, (60, 70), np.uint8)
PHOTO = rng.standard_normal((60, 70))
HOLES = np.where(PHOTO > 1, np.nan, PHOTO)
SOUND = rng.standard_normal(2000)
# Its packed weights fill a block large enough to be kept for the next one.
DEEP_X = rng.standard_normal((1, 512, 3, 3), np.float32)
DEEP_W = rng.standard_normal((300, 512, 3, 3), np.float32)
I8_W = rng.integers(-128, 128, (12, 8, 3, 3), np.int8)
U8_X = rng.integers(0, 256, (2, 8, 20, 21), np.uint8)

DOORS = {
    "conv1d": lambda: cyconv.conv1d(LINE, TAPS1, padding=4),
    "conv2d": lambda: cyconv.conv2d(X, W, BIAS, padding=1, activation="relu"),
    "conv3d": lambda: cyconv.conv3d(VOLUME, TAPS3, dilation=2),
    "half": lambda: cyconv.conv2d(X.astype(np.float16), W.astype(np.float16), padding=1),
    "complex": lambda: cyconv.conv2d(X + 1j * X[::-1], W.astype(np.complex64), stride=2),
    "integers": lambda: cyconv.conv_integer(U8_X, I8_W, 3, padding=1),
    "qlinear": lambda: cyconv.qlinear_conv(U8_X, 0.1, 3, I8_W, 0.2, np.int8(0), 40.0, np.uint8(9)),
    "mirrored": lambda: cyconv.conv2d(X, W, padding=2, padding_mode="reflect"),
    "channels_last": lambda: cyconv.conv2d(
        np.ascontiguousarray(X.transpose(0, 2, 3, 1)), W, padding=1, data_format="channels_last"
    ),
    "transposed": lambda: cyconv.conv_transpose2d(G, W, stride=2, padding=1),
    "grad_input": lambda: cyconv.conv_grad_input(X.shape, W, G, padding=1),
    "grad_weight": lambda: cyconv.conv_grad_weight(X, W.shape, G, padding=1),
    "grad_bias": lambda: cyconv.conv_grad_bias(G),
    "deep": lambda: cyconv.conv2d(DEEP_X, DEEP_W, padding=1, algorithm="winograd"),
    "deep_packed": lambda: cyconv.plan(cyconv.Problem(DEEP_X.shape, DEEP_W.shape)).pack(DEEP_W)(
        DEEP_X
    ),
    "unfold": lambda: cyconv.unfold(X, 3, padding=1),
    "fold": lambda: cyconv.fold(cyconv.unfold(X, 3, padding=1), (20, 21), 3, padding=1),
    "gaussian": lambda: ndimage.gaussian_filter(PHOTO, 1.5),
    "correlate": lambda: ndimage.correlate(BYTES, np.ones((5, 4)), mode="mirror"),
    "uniform": lambda: ndimage.uniform_filter(BYTES, 7),
    "sobel": lambda: ndimage.sobel(PHOTO, mode="wrap"),
    "laplace": lambda: ndimage.gaussian_laplace(PHOTO, 2.0),
    "filters_gaussian": lambda: filters.apply(BYTES, filters.gaussian(7, 1.2)),
    "filters_sobel": lambda: filters.gradient_magnitude(BYTES),
    "filters_sharpen": lambda: filters.apply(PHOTO, filters.SHARPEN),
    "missing": lambda: filters.apply(HOLES, filters.GAUSSIAN_3, missing="omit"),
    "fftconvolve": lambda: signal.fftconvolve(SOUND, SOUND[:99], "same"),
    "convolve2d": lambda: signal.convolve2d(PHOTO, W[0, 0], boundary="symm"),
    "lfilter": lambda: signal.lfilter([1.0, 0.5, 0.2], [1.0], SOUND),
    "resample": lambda: signal.resample_poly(SOUND, 3, 2),
    "savgol": lambda: signal.savgol_filter(SOUND, 11, 3),
    "toeplitz": lambda: toeplitz.sparse(W[:3, :2], (2, 6, 7)).toarray(),
}


@pytest.fixture(autouse=True)
def _turns():
    """Threads change often where they take turns."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def forget():
    """No plan is known: the callers make them side by side."""
    cache.drop(lambda plan: True)


@pytest.mark.parametrize("door", DOORS)
def test_a_door_has_the_same_bits_for_eight_at_once(door):
    alone = DOORS[door]()
    forget()
    at_once(lambda: np.testing.assert_array_equal(DOORS[door](), alone))


def test_all_doors_at_once():
    alone = {door: call() for door, call in DOORS.items()}
    forget()

    def all_from(first):
        names = [*alone][first:] + [*alone][:first]
        return lambda: [np.testing.assert_array_equal(DOORS[n](), alone[n], n) for n in names]

    at_once(*(all_from(i * len(alone) // CALLERS) for i in range(CALLERS)))


@by_way
@pytest.mark.parametrize("threads", [1, 2])
def test_one_packed_plan_for_all(algorithm, threads):
    """Each caller has its own image and output; the plan and the packed weights are everyone's."""
    problem = cyconv.Problem(X.shape, W.shape, padding=1)
    packed = cyconv.plan(problem, algorithm, threads=threads).pack(W, BIAS, "relu")
    images = [np.roll(X, n, -1) for n in range(CALLERS)]
    alone = [packed(x) for x in images]

    def caller(n):
        out = np.empty_like(alone[n])

        def work():
            out.fill(np.nan)
            np.testing.assert_array_equal(packed(images[n], out=out), alone[n])

        return work

    at_once(*map(caller, range(CALLERS)))


def test_a_question_is_planned_once():
    """Whoever asks first: all have the one plan that the cache keeps."""
    for width in range(20, 30):
        problem, plans = cyconv.Problem((1, 8, 9, width), W.shape), []
        at_once(lambda problem=problem, plans=plans: plans.append(cyconv.plan(problem)))
        assert len(plans) == CALLERS * ROUNDS
        assert len({*map(id, plans)}) == 1


def test_more_plans_than_the_cache_keeps():
    widths = range(3, 3 + 2 * cache.size // ROUNDS)
    kernel = np.ones((1, 1, 1, 3), np.float32)
    x = np.arange(1 + max(widths), dtype=np.float32)

    def caller(n):
        def work():
            for width in widths:
                shape = 1, 1, 1 + n, width
                y = cyconv.conv2d(np.broadcast_to(x[:width], shape), kernel)
                np.testing.assert_array_equal(y[0, 0, n], 3 * x[1 : width - 1])

        return work

    at_once(*map(caller, range(CALLERS)))
    assert len(cache) <= 2 * cache.size


def test_settings_change_beside_calls():
    """The number of threads changes no bit; an instruction set's bits are one of the sets'."""
    sets, before = cyconv.kernels.available(), cyconv.kernels.isa()
    expected = []
    try:
        for isa in sets:
            cyconv.kernels.set_isa(isa)
            expected.append((DOORS["conv2d"](), DOORS["gaussian"]()))
        turns = cycle(sets)

        def change():
            for n in range(1, 5):
                cyconv.set_num_threads(n)
                assert 1 <= cyconv.get_num_threads() <= 4
                cyconv.kernels.set_isa(next(turns))

        def call():
            for i, door in enumerate(("conv2d", "gaussian")):
                y = DOORS[door]()
                assert any(np.array_equal(y, answers[i]) for answers in expected)

        # An iterator is one thread's: one changes, the others call.
        at_once(change, *[call] * (CALLERS - 1))
    finally:
        cyconv.kernels.set_isa(before)


def test_measured_once_for_all(tmp_path, monkeypatch):
    monkeypatch.setenv("CYCONV_TUNING_FILE", str(tmp_path / "tuning.json"))
    problem, chosen = cyconv.Problem((1, 4, 9, 10), (4, 4, 3, 3)), []
    at_once(lambda: chosen.append(cyconv.plan(problem, effort="measure").algorithm))
    assert len(chosen) == CALLERS * ROUNDS
    assert len({*chosen}) == 1


@pytest.mark.skipif(not FREE, reason="this Python has its global lock")
def test_an_import_leaves_the_lock_off(child):
    """Nor does it warn, as Python does of a module that does not say that it needs none."""
    rooms = [
        module.name
        for module in pkgutil.walk_packages(cyconv.__path__, "cyconv.")
        if module.name.split(".")[1] not in ("cli", "dask", "onnx", "opencl", "torch", "__main__")
    ]
    assert len(rooms) > 40
    child(
        f"import importlib, sys\nfor room in {rooms}: importlib.import_module(room)\n"
        "assert not sys._is_gil_enabled()",
        PYTHON_GIL="",
    )
