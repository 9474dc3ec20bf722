"""What the library says of itself and keeps, whatever the call: bits, repairs, honest plans."""

import os
import threading

import numpy as np
import pytest

import cyconv

from . import oracle
from .variants import by_way

SEED = 20261122


def random(shape, dtype=np.float32):
    return np.random.default_rng(SEED).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "padding"),
    [
        ((8, 16, 56, 56), (64, 16, 31, 31), 15),
        ((6, 1, 40, 40), (1, 1, 9, 9), 4),
        ((5, 8, 7, 7), (16, 8, 3, 3), 1),
    ],
)
def test_the_choice_does_not_see_the_batch(x_shape, w_shape, padding):
    whole = cyconv.plan(cyconv.Problem(x_shape, w_shape, padding=padding))
    alone = cyconv.plan(cyconv.Problem((1, *x_shape[1:]), w_shape, padding=padding))
    assert whole.algorithm == alone.algorithm


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_choice_does_not_see_the_threads(threads):
    problem = cyconv.Problem((1, 1, 7, 7), (64, 1, 7, 7), padding=3)
    assert cyconv.plan(problem, threads=threads).algorithm == cyconv.plan(problem).algorithm


@by_way
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_repair_keeps_bias_activation_and_the_other_images(algorithm, value):
    x, w, bias = random((3, 4, 12, 11)), random((5, 4, 3, 3)), random(5)
    how = {"bias": bias, "padding": 1, "activation": (-1.0, 2.0), "algorithm": algorithm}
    sound = cyconv.conv2d(x, w, **how)
    x[1, 2, 5, 6] = value
    y = cyconv.conv2d(x, w, **how)
    np.testing.assert_array_equal(y[[0, 2]], sound[[0, 2]], err_msg=f"seed {SEED}")
    with np.errstate(invalid="ignore"):
        expected = np.clip(oracle.conv(x, w, bias, padding=1), -1, 2)
    np.testing.assert_allclose(y[1], expected[1], rtol=1e-4, atol=1e-4, err_msg=f"seed {SEED}")


@pytest.mark.parametrize("name", ["x", "w", "output"])
def test_shapes_beyond_any_memory_are_refused_by_name(name):
    x, w, padding = {
        "x": ((1, 2**61, 4), (1, 2**61, 1), 0),
        "w": ((1, 2**30, 1, 1, 1), (1, 2**30, 2**33, 1, 1), ((2**33, 0), (0, 0), (0, 0))),
        "output": ((1, 1, 1, 1), (1, 1, 1, 1), 2**31),
    }[name]
    with pytest.raises(ValueError, match=rf"{name} of shape .* has more than 2\*\*63 bytes"):
        cyconv.plan(cyconv.Problem(x, w, padding=padding))


def test_a_kernel_too_long_for_a_table_of_taps_says_what_it_needs():
    with pytest.raises(MemoryError, match=r"plan: .*needs \d+ bytes of workspace, limit \d+"):
        cyconv.plan(cyconv.Problem((1, 1, 2**40), (1, 1, 2**40)), algorithm="direct")


def test_spectra_count_as_workspace():
    problem = cyconv.Problem((1, 96, 24, 24), (96, 96, 31, 31), padding=15)
    plan = cyconv.plan(problem, algorithm="fft", workspace_limit=2**30)
    assert plan.workspace_bytes > 96 * 96 * 31 * 31 * 4
    assert cyconv.plan(problem, workspace_limit=2**25).algorithm != "fft"


def test_an_out_that_overlaps_itself_is_refused():
    buffer = np.zeros(40, np.float32)
    out = np.lib.stride_tricks.as_strided(buffer, (1, 1, 4, 4), (4, 4, 4, 4))
    with pytest.raises(ValueError, match="conv2d: out must not overlap itself"):
        cyconv.conv2d(random((1, 1, 4, 4)), random((1, 1, 1, 1)), out=out)
    assert not buffer.any()


@pytest.mark.parametrize("activation", [(np.inf, np.inf), (-np.inf, -np.inf), (-np.inf, np.inf)])
def test_infinite_bounds_clamp_integers_to_their_range(activation):
    x = np.arange(9, dtype=np.int8).reshape(1, 1, 3, 3)
    y = cyconv.conv2d(x, np.ones((1, 1, 1, 1), np.int8), activation=activation)
    info = np.iinfo(y.dtype)
    np.testing.assert_array_equal(y, np.clip(x.astype(float), *activation).clip(info.min, info.max))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_a_thread_is_in_blas_can_convolve():
    x, w = random((1, 16, 40, 40)), random((16, 16, 3, 3))
    expected = cyconv.conv2d(x, w, algorithm="im2col")
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            cyconv.conv2d(x, w, algorithm="im2col")

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(8):
            child = os.fork()
            if child == 0:
                same = np.array_equal(cyconv.conv2d(x, w, algorithm="im2col"), expected)
                os._exit(0 if same else 1)
            assert waited(child, 20) == 0, "the child hung or gave another answer"
    finally:
        stop.set()
        thread.join()


def waited(child, seconds):
    """The exit status of `child`; one that takes longer is killed."""
    timer = threading.Timer(seconds, os.kill, (child, 9))
    timer.start()
    try:
        return os.waitpid(child, 0)[1]
    finally:
        timer.cancel()
