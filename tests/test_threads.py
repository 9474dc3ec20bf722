"""The same bits for any number of threads, callers and processes, and a way out of long calls."""

import os
import signal
import sys
import time
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import cyconv

from .callers import CALLERS, ROUNDS, at_once
from .cases import ALGORITHMS, CASES, Case, supported

LARGE = [
    Case("threads_vgg", (1, 32, 70, 75), (40, 32, 3, 3), padding=1),
    Case("threads_batch", (6, 16, 20, 21), (24, 16, 3, 3), padding=1),
    Case("threads_image", (1, 1, 300, 400), (1, 1, 5, 5), padding=2),
    Case("threads_deep", (1, 256, 14, 14), (96, 256, 3, 3), padding=1),
    Case("threads_pointwise", (2, 128, 20, 20), (70, 128, 1, 1)),
    Case("threads_strided", (1, 24, 61, 63), (30, 24, 5, 5), stride=2, padding=2),
    Case("threads_depthwise", (1, 40, 50, 51), (40, 1, 3, 3), padding=1, groups=40),
    Case("threads_line", (1, 4, 30_000), (8, 4, 9), padding=4),
]


@supported(CASES + LARGE)
def test_same_bits_at_1_2_and_7_threads(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    one = case.run(x, w, bias, algorithm=algorithm, threads=1)
    for threads in (2, 7):
        y = case.run(x, w, bias, algorithm=algorithm, threads=threads)
        np.testing.assert_array_equal(y, one, f"{threads} threads")


@supported(LARGE)
def test_a_sample_has_the_same_bits_alone_and_in_a_batch(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    batch = np.concatenate([x, x[::-1] + 1, x])
    together = case.run(batch, w, bias, algorithm=algorithm, threads=2)
    for n in range(len(batch)):
        alone = case.run(batch[n : n + 1], w, bias, algorithm=algorithm, threads=2)
        np.testing.assert_array_equal(alone[0], together[n])


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "auto"])
def test_no_choice_depends_on_the_batch(algorithm):
    """One image of 10 x 10 takes F(2, 3); packed weights shared by eight would pay for F(4, 3)."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((8, 64, 10, 10), np.float32)
    w = rng.standard_normal((256, 64, 3, 3), np.float32)
    together = cyconv.conv2d(x, w, padding=1, algorithm=algorithm)
    alone = cyconv.conv2d(x[:1], w, padding=1, algorithm=algorithm)
    np.testing.assert_array_equal(alone, together[:1])


def test_the_process_wide_count_is_kept_and_checked():
    before = cyconv.get_num_threads()
    assert before >= 1
    cyconv.set_num_threads(3)
    assert cyconv.get_num_threads() == 3
    for wrong, error in [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)]:
        with pytest.raises(error, match="set_num_threads"):
            cyconv.set_num_threads(wrong)
    assert cyconv.get_num_threads() == 3


def blas_threads():
    return {i["filepath"]: i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}


@supported(LARGE[:3], ["float32"])
def test_8_callers_at_once(algorithm, case, dtype):
    """Each Python thread has its own data; all answers are those of one call after the other.

    BLAS is left with the threads it had.
    """
    w, bias = case.data(dtype)[1:]
    inputs = [np.roll(case.data(dtype)[0], n) for n in range(CALLERS)]
    serial = [case.run(x, w, bias, algorithm=algorithm) for x in inputs]
    answers = [[] for _ in range(CALLERS)]
    before = blas_threads()

    def caller(n):
        return lambda: answers[n].append(
            case.run(inputs[n], w, bias, algorithm=algorithm, threads=2)
        )

    at_once(*map(caller, range(CALLERS)))
    for n in range(CALLERS):
        assert len(answers[n]) == ROUNDS
        for y in answers[n]:
            np.testing.assert_array_equal(y, serial[n])
    assert blas_threads() == before


def in_a_fork(check, seconds=60):
    """`check()` in a forked child: whether it returned true, within the time."""
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside other threads; OpenMP's are what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if check() else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"the child did not end within {seconds} s")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@supported(LARGE[:1], ["float32"])
def test_a_fork_after_a_parallel_region_can_convolve(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    y = case.run(x, w, bias, algorithm=algorithm, threads=4)

    def check():
        again = case.run(x, w, bias, algorithm=algorithm, threads=4)
        return np.array_equal(again, y)

    assert in_a_fork(check)
    assert in_a_fork(lambda: in_a_fork(check))
    assert check()


CTRL_C = """
import os, signal, threading, time
import numpy as np
import cyconv

channels, size, kernel = {sizes}
w = np.ones((channels, channels, kernel, kernel), np.float32)
x = np.broadcast_to(np.float32(1), ({batch}, channels, size, size))
small = np.ones((1, 2, 9, 9), np.float32), np.ones((3, 2, 3, 3), np.float32)
expected = cyconv.conv2d(*small, padding=1, algorithm={algorithm!r}, threads={threads})
sent = []

def interrupt():
    sent.append(time.process_time())  # of all threads: other processes take no part in it
    os.kill(os.getpid(), signal.SIGINT)

timer = threading.Timer(1.5, interrupt)
timer.start()
try:
    cyconv.conv2d(x, w, padding=kernel // 2, algorithm={algorithm!r}, threads={threads},
                  workspace_limit=2**31)
except KeyboardInterrupt:
    waited = (time.process_time() - sent[0]) / {threads}
else:
    raise SystemExit("the convolution ended before the interrupt")
assert waited < 1, f"stopped after {{waited:.2f}} s of each thread"
again = cyconv.conv2d(*small, padding=1, algorithm={algorithm!r}, threads={threads})
assert np.array_equal(again, expected)
print("stopped")
"""

# Minutes of work for one core at any speed known: 4 to 8 tera-operations.
LONG = {"default": ((256, 112, 15), 16), "winograd": ((1024, 112, 3), 16)}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent by kill")
@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.full), 2])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ctrl_c_stops_a_long_convolution_within_a_second(algorithm, threads, child):
    sizes, batch = LONG.get(algorithm, LONG["default"])
    code = CTRL_C.format(sizes=sizes, batch=batch, algorithm=algorithm, threads=threads)
    assert child(code).stdout == "stopped\n"
