"""Arrays in device memory stay there: results on their queue, chains that never meet the host."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

import cyconv
from cyconv.cli import main

from .test_opencl import ALGORITHMS, DEVICES, device, pytestmark

cl = pytest.importorskip("pyopencl")
array = pytest.importorskip("pyopencl.array")

SEED = 20261122


def draw(*shape, dtype=np.float32):
    return np.random.default_rng(SEED).integers(-4, 5, shape).astype(dtype)


@pytest.fixture
def queue(device):
    return cyconv.opencl.queue(device)


@pytest.mark.parametrize("own_queue", [False, True])
def test_the_result_is_an_array_on_the_same_queue(own_queue, device, queue):
    x, w, bias = draw(2, 4, 9, 10), draw(6, 4, 3, 3), draw(6)
    context = cl.Context([queue.device])  # which a queue of Intel's does not keep
    if own_queue:
        queue = cl.CommandQueue(context)
    a = array.to_device(queue, x)
    y = cyconv.conv2d(a, w, bias, padding=1, device=device, accuracy="strict")
    assert isinstance(y, array.Array)
    assert y.queue == queue
    np.testing.assert_array_equal(y.get(), cyconv.conv2d(x, w, bias, padding=1))


def test_all_operands_in_device_memory(device, queue):
    x, w, bias = draw(2, 4, 9, 10), draw(6, 2, 3, 3), draw(6)
    how = {"stride": (1, 2), "padding": 2, "groups": 2}
    y = cyconv.conv2d(x, w, bias, **how)
    g = draw(*y.shape)
    X, W, B, G = (array.to_device(queue, a) for a in (x, w, bias, g))
    there = {**how, "device": device}
    np.testing.assert_array_equal(cyconv.conv2d(X, W, B, **there).get(), y)
    got = cyconv.conv_vjp(X, W, G, **there)
    for one, expected in zip(got, cyconv.conv_vjp(x, w, g, **how), strict=True):
        assert isinstance(one, array.Array)
        np.testing.assert_array_equal(one.get(), expected)


def test_views_are_used_as_they_lie(device, queue):
    x, w = draw(2, 4, 20, 21), draw(6, 4, 3, 3)
    a = array.to_device(queue, x)[:, 1:3, ::2, 3:]
    y = cyconv.conv2d(a, w[:, :2], device=device, accuracy="strict")
    np.testing.assert_array_equal(y.get(), cyconv.conv2d(x[:, 1:3, ::2, 3:], w[:, :2]))


def test_transposed(device, queue):
    x, w = draw(2, 6, 5, 6), draw(6, 4, 3, 3)
    how = {"stride": 2, "padding": 0, "output_padding": 1}
    y = cyconv.conv_transpose2d(array.to_device(queue, x), w, device=device, **how)
    np.testing.assert_array_equal(y.get(), cyconv.conv_transpose2d(x, w, **how))
    how = {"output_padding": 2, "dilation": 3}
    y = cyconv.conv_transpose2d(array.to_device(queue, x), w, device=device, **how)
    np.testing.assert_array_equal(y.get(), cyconv.conv_transpose2d(x, w, **how))


def test_out(device, queue):
    x, w = draw(2, 4, 9, 10), draw(4, 4, 3, 3)
    expected = cyconv.conv2d(x, w, padding=1)
    a, out = array.to_device(queue, x), array.zeros(queue, expected.shape, np.float32)
    how = {"padding": 1, "device": device, "accuracy": "strict"}
    assert cyconv.conv2d(a, w, out=out, **how) is out
    np.testing.assert_array_equal(out.get(), expected)
    assert cyconv.conv2d(a, w, out=a, **how) is a  # over its own input
    np.testing.assert_array_equal(a.get(), expected)
    with pytest.raises(TypeError, match="conv2d: out must be a pyopencl Array"):
        cyconv.conv2d(a, w, out=np.empty(expected.shape, np.float32), **how)
    with pytest.raises(TypeError, match="conv2d: out must be an ndarray"):
        cyconv.conv2d(x, w, out=out, **how)
    with pytest.raises(ValueError, match=r"conv2d: out must have shape \(2, 4, 9, 10\)"):
        cyconv.conv2d(a, w, out=out[:1], **how)
    with pytest.raises(TypeError, match="conv2d: out must have dtype float32, got int32"):
        cyconv.conv2d(a, w, out=out.astype(np.int32), **how)


def test_a_residual(device, queue):
    x, w = draw(2, 4, 9, 10), draw(4, 4, 3, 3)
    how = {"padding": 1, "device": device, "accuracy": "strict"}
    plain = cyconv.conv2d(x, w, padding=1)
    add = draw(*plain.shape)
    a, there = array.to_device(queue, x), array.to_device(queue, add)
    for given in (there, array.to_device(queue, np.asfortranarray(add)), add):
        np.testing.assert_array_equal(cyconv.conv2d(a, w, add=given, **how).get(), plain + add)
    np.testing.assert_array_equal(cyconv.conv2d(x, w, add=there, **how), plain + add)
    packed = cyconv.plan(cyconv.Problem(x.shape, w.shape, padding=1), device=device).pack(w)
    out = packed(a, out=there, add=there)  # over the residual itself
    assert out is there
    np.testing.assert_array_equal(out.get(), packed(a).get() + add)
    with pytest.raises(TypeError, match="add must be an ndarray for device='cpu'"):
        cyconv.conv2d(x, w, padding=1, add=there)


def test_wrong_arrays_are_named(device, queue):
    x, w = array.to_device(queue, draw(2, 4, 9, 10)), draw(6, 4, 3, 3)
    packed = cyconv.plan(cyconv.Problem(x.shape, w.shape), device=device).pack(w)
    with pytest.raises(ValueError, match=r"x must have shape \(2, 4, 9, 10\), got \(1, 4, 9, 10\)"):
        packed(x[:1])
    with pytest.raises(TypeError, match="x must have dtype float32, got int32"):
        packed(x.astype(np.int32))
    with pytest.raises(TypeError, match="x must be an ndarray for device='cpu'"):
        cyconv.conv2d(x, w)
    loose = cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE
    if queue.device.queue_properties & loose:
        disordered = cl.CommandQueue(queue.context, properties=loose)
        with pytest.raises(ValueError, match="queue must be in-order"):
            packed(array.to_device(disordered, draw(2, 4, 9, 10)))
    context = cl.Context([queue.device])
    other = cl.CommandQueue(context)
    with pytest.raises(ValueError, match="of the context"):
        packed(array.to_device(other, draw(2, 4, 9, 10)))
    with pytest.raises(ValueError, match="of one OpenCL context"):
        cyconv.conv2d(x, array.to_device(other, w), device=device)


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "batch_gemm"])
def test_a_chain_of_layers_never_meets_the_host(algorithm, device, queue):
    x = draw(2, 3, 20, 20)
    weights = [draw(8, 3, 3, 3), draw(8, 8, 3, 3), draw(4, 8, 3, 3)]
    layers, shape = [], x.shape
    for w in weights:
        problem = cyconv.Problem(shape, w.shape, padding=1)
        plan = cyconv.plan(problem, algorithm=algorithm, device=device)
        layers.append(plan.pack(w, activation="relu"))
        shape = problem.output_shape
    a = array.to_device(queue, x)
    with cyconv.opencl.log() as events:
        for layer in layers:
            a = layer(a)
    kinds = {kind for kind, _ in events}
    assert kinds <= {"kernel", "build"}, events
    assert sum(kind == "kernel" for kind, _ in events) >= 3
    with cyconv.opencl.log() as events:
        layers[0](x)
    moved = [(kind, count) for kind, count in events if kind in ("upload", "download")]
    assert moved == [("upload", x.nbytes), ("download", x.nbytes * 8 // 3)]
    expected = x
    for w in weights:
        expected = cyconv.conv2d(expected, w, padding=1, activation="relu", accuracy="strict")
    np.testing.assert_allclose(a.get(), expected, rtol=1e-5, atol=1e-4 * expected.max())


def held(queue, *changed):
    """Numbers that `queue` will copy into arrays when the event is set."""
    event = cl.UserEvent(queue.context)
    ready = [(there, array.to_device(queue, numbers)) for there, numbers in changed]
    queue.finish()
    cl.enqueue_barrier(queue, wait_for=[event])
    for there, numbers in ready:
        cl.enqueue_copy(queue, there.data, numbers.data)
    queue.flush()
    return event


def test_queues_of_one_context_wait_for_one_another(device, queue):
    x, w, bias = draw(2, 4, 9, 10), draw(6, 4, 3, 3), draw(6)
    problem = cyconv.Problem(x.shape, w.shape, padding=1)
    expected = cyconv.conv2d(x, w, bias, padding=1)
    other = cl.CommandQueue(queue.context)
    X, out = array.to_device(queue, x), array.zeros(other, expected.shape, np.float32)
    W, B = array.zeros(other, w.shape, w.dtype), array.zeros(other, bias.shape, bias.dtype)
    plan = cyconv.plan(problem, device=device, algorithm="implicit_gemm")
    plan(X, W, B, out=out).get()  # compiled, its tables sent: what follows waits for nothing
    queue.finish()

    def reset():
        for a in (W, B, out):
            a.fill(0)
        other.finish()

    reset()
    event = held(other, (W, w), (B, bias))
    y = plan(X, W, B)
    event.set_status(cl.command_execution_status.COMPLETE)
    assert y.queue == queue
    np.testing.assert_array_equal(y.get(), expected)

    event = held(queue, (X, x))
    got = plan(X, W, B, out=out)
    after = out.copy()
    event.set_status(cl.command_execution_status.COMPLETE)
    assert got is out
    np.testing.assert_array_equal(after.get(), expected)

    reset()
    plan.pack(W, B)  # the other queue's tables
    event = held(other, (W, w), (B, bias))
    packed = plan.pack(W, B)
    y = packed(X)
    event.set_status(cl.command_execution_status.COMPLETE)
    np.testing.assert_array_equal(y.get(), expected)


def test_arrays_without_a_queue_are_named(device, queue):
    x, w, g = draw(2, 4, 9, 10), draw(6, 4, 3, 3), draw(2, 6, 7, 8)
    X, W, G = (array.to_device(queue, a).with_queue(None) for a in (x, w, g))
    plan = cyconv.plan(cyconv.Problem(x.shape, w.shape), device=device)
    for name, call in {
        "x": lambda: cyconv.conv2d(X, w, device=device),
        "w": lambda: cyconv.conv2d(x, W, device=device),
        "bias": lambda: cyconv.conv2d(x, w, W[:, 0, 0, 0], device=device),
        "out": lambda: plan(X.with_queue(queue), w, out=G),
        "grad_output": lambda: cyconv.conv_grad_bias(G, device=device),
    }.items():
        with pytest.raises(TypeError, match=f"{name} must be an Array with a queue"):
            call()
    with pytest.raises(TypeError, match="x must be an Array with a queue"):
        plan.pack(w)(X)


def test_arrays_of_a_device_are_refused_on_the_cpu(device, queue):
    x, w, bias = draw(2, 4, 9, 10), draw(6, 4, 3, 3), draw(6)
    out = array.zeros(queue, (2, 6, 7, 8), np.float32)
    with pytest.raises(TypeError, match="bias must be an ndarray for device='cpu'"):
        cyconv.conv2d(x, w, array.to_device(queue, bias))
    with pytest.raises(TypeError, match=r"out must be an ndarray .* give device='opencl'"):
        cyconv.conv2d(x, w, out=out)


def test_pack_names_itself_and_threads_are_checked(device):
    x, w = draw(2, 4, 9, 10), draw(6, 4, 3, 3)
    plan = cyconv.plan(cyconv.Problem(x.shape, w.shape), device=device)
    with pytest.raises(ValueError, match=r"^pack: w must have shape \(6, 4, 3, 3\)"):
        plan.pack(w[:2])
    for call in (lambda: plan(x, w, threads=-1), lambda: plan.pack(w)(x, threads=-1)):
        with pytest.raises(ValueError, match="threads must be"):
            call()


def test_threads_share_a_device(device):
    x, w = draw(3, 4, 20, 21), draw(6, 4, 3, 3)
    expected = cyconv.conv2d(x, w, padding=1)
    for algorithm in ("implicit_gemm", "batch_gemm"):
        how = {"padding": 1, "device": device, "algorithm": algorithm}
        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(cyconv.conv2d, x, w, **how) for _ in range(24)]
        for job in jobs:
            np.testing.assert_array_equal(job.result(), expected)


def test_a_log_holds_what_its_own_thread_asks(device, queue):
    x, w = array.to_device(queue, draw(2, 4, 9, 10)), draw(6, 4, 3, 3)
    problem = cyconv.Problem(x.shape, w.shape)
    packed = cyconv.plan(problem, device=device, algorithm="direct").pack(w)
    packed(x)
    both = Barrier(2, timeout=60)

    def logged(times):
        with cyconv.opencl.log() as events:
            both.wait()
            for _ in range(times):
                packed(x)
            both.wait()
        return events

    with cyconv.opencl.log() as outer, ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(logged, times) for times in (1, 3)]
        lengths = [len(job.result()) for job in jobs]
    assert lengths == [1, 3]
    assert outer == []


def test_a_log_within_a_log(device, queue):
    x, w = array.to_device(queue, draw(2, 4, 9, 10)), draw(6, 4, 3, 3)
    problem = cyconv.Problem(x.shape, w.shape)
    packed = cyconv.plan(problem, device=device, algorithm="direct").pack(w)
    packed(x)
    with cyconv.opencl.log() as outer:
        packed(x)
        with cyconv.opencl.log() as inner:
            packed(x)
        packed(x)
    packed(x)
    assert inner == [("kernel", "direct")]
    assert outer == 3 * inner


COMMANDS = {
    "explain": ("--input", "1,4,9,9", "--weight", "6,4,3,3"),
    "doctor": (),
    "bench": ("images", "--layers", "@256 k3", "--against", "none", "--rounds", "1"),
    "tune": ("images", "--layers", "@256 k3"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_take_a_device(command, device, capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("CYCONV_TUNING_FILE", str(tmp_path / "tuning.json"))
    assert main([command, *COMMANDS[command], "--device", device]) == 0
    assert capfd.readouterr().out
    assert main([command, *COMMANDS[command], "--device", "cuda"]) == 2
    assert "must be" in capfd.readouterr().err
