"""Who takes part in ``cyconv bench``: cyconv and its peers, each by its best means.

A contestant is made for one task in a process of its own, with its thread count set beforehand. It
gives a function of no arguments that computes the result once, as fast as it can with all that can
be prepared prepared, and one that turns what that returns into arrays like the reference's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import doors, integers, peers
from .calls import Call
from .integers import Quantised
from .networks import Layer, half
from .peers import Made, Task


def _layer(row):
    return isinstance(row, Layer)


@dataclass(frozen=True)
class Contestant:
    """One way to compute layers or calls.

    `peer` is the name that ``--against`` knows it by, None for cyconv's own; `needs` the modules to
    import; `takes` says whether it knows how to compute a row.
    """

    peer: str | None
    make: Callable[[Task], Made]
    takes: Callable[[Any], bool] = _layer
    needs: tuple[str, ...] = ()


def _plans(task):
    """A plan for each result of the layer, and the names of their algorithms."""
    import cyconv

    cells = task.layer.cells
    dtype = task.x.dtype if cells is None else half(cells)
    problems = [cyconv.Problem(dtype=dtype, **given) for given in task.layer.problems]
    how = {"threads": task.threads, "device": task.device}
    plans = [cyconv.plan(problem, **how) for problem in problems]
    return plans, " / ".join(plan.algorithm for plan in plans)


def _cyconv(task):
    """Plans made before; forward with the weights packed, which a step of training changes.

    A call as it is typed.
    """
    if isinstance(task.layer, Call):
        return doors.by_cyconv(task)
    if isinstance(task.layer, Quantised):
        return integers.by_cyconv(task)
    plans, algorithm = _plans(task)
    if task.device != "cpu":
        return _on_device(task, plans, algorithm)
    outs = [np.empty(plan.problem.output_shape, plan.problem.out_dtype) for plan in plans]
    if task.forward:
        x = np.ascontiguousarray(np.moveaxis(task.x, 1, -1)) if task.layer.last else task.x
        x, w = (a.astype(plans[0].problem.dtype, copy=False) for a in (x, task.w))
        packed, (y,) = plans[0].pack(w), outs
        first = np.moveaxis(y, -1, 1) if task.layer.last else y
        return Made(lambda: packed(x, out=y), lambda _: (first.astype(task.x.dtype),), algorithm)
    operands = (task.gradient, task.w), (task.x, task.gradient)
    steps = list(zip(plans, operands, outs, strict=False))

    def backward():
        for plan, pair, out in steps:
            plan(*pair, out=out)
        return outs

    return Made(backward, tuple, algorithm)


def _on_device(task, plans, algorithm):
    """The same with all arrays in the device's memory, waited for."""
    from pyopencl import array

    import cyconv

    queue = cyconv.opencl.queue(task.device)
    x, w = (array.to_device(queue, a) for a in (task.x, task.w))
    if task.forward:
        packed = plans[0].pack(w)
        steps = [lambda out: packed(x, out=out)]
    else:
        g = array.to_device(queue, task.gradient)
        steps = [lambda out: plans[0](g, w, out=out), lambda out: plans[1](x, g, out=out)]
        del steps[len(plans) :]
    outs = [step(None) for step in steps]

    def call():
        for step, out in zip(steps, outs, strict=True):
            step(out)
        queue.finish()
        return outs

    return Made(call, lambda results: tuple(y.get() for y in results), algorithm)


def _float32(task):
    """The same layer in float32, which is what 16 bits are to be as fast as."""
    return _cyconv(replace(task, layer=replace(task.layer, cells=None)))


def _one_shot(task):
    """The functions, with nothing prepared."""
    import cyconv

    how = task.layer.geometry | {"threads": task.threads, "device": task.device}
    x, w, gradient = task.x, task.w, task.gradient
    if task.layer.cells is not None:
        x, w = (a.astype(half(task.layer.cells)) for a in (x, w))
    _, algorithm = _plans(task)
    if task.forward:
        return Made(
            lambda: cyconv.conv(x, w, **how), lambda y: (y.astype(task.x.dtype),), algorithm
        )

    def backward():
        dx = cyconv.conv_grad_input(x.shape, w, gradient, **how)
        if task.layer.direction == "transposed":
            return (dx,)
        return dx, cyconv.conv_grad_weight(x, w.shape, gradient, **how)

    return Made(backward, tuple, algorithm)


def _plain(row):
    return _layer(row) and row.plain


def _forward(row):
    return _plain(row) and row.direction == "forward"


def _planes(row):
    return _layer(row) and row.cells is None and len(row.w) == 4


def _one_channel(row):
    return _plain(row) and row.one_channel


def _rows(row):
    return _plain(row) and row.by_channel


def _image(row):
    return _one_channel(row) and _planes(row)


def _call_of(door):
    return lambda row: isinstance(row, Call) and row.door == door


def _quantised(row):
    return isinstance(row, Quantised)


CONTESTANTS = {
    "cyconv": Contestant(None, _cyconv, lambda row: True),
    "cyconv one-shot": Contestant(None, _one_shot, lambda row: _layer(row) and not row.last),
    "cyconv float32": Contestant("float32", _float32, lambda row: _layer(row) and bool(row.cells)),
    "torch": Contestant("torch", peers.torch_in("nchw"), _plain, ("torch",)),
    "torch channels_last": Contestant(
        "torch", peers.torch_in("channels_last"), _planes, ("torch",)
    ),
    "torch prepacked": Contestant(
        "torch",
        peers.torch_in("prepacked"),
        lambda row: _planes(row) and row.direction == "forward",
        ("torch",),
    ),
    "onnxruntime": Contestant(
        "onnxruntime", peers.make_onnxruntime, _forward, ("onnxruntime", "onnx")
    ),
    "onnxruntime QLinearConv": Contestant(
        "onnxruntime", integers.by_onnxruntime, _quantised, ("onnxruntime", "onnx")
    ),
    "cyconv unquantised": Contestant("float32", integers.by_float32, _quantised),
    "opencv filter2D": Contestant("opencv", peers.make_opencv, _image, ("cv2",)),
    "scipy ndimage.correlate": Contestant("scipy", peers.make_ndimage, _image, ("scipy",)),
    "scipy fftconvolve": Contestant(
        "scipy", peers.signal_by("fftconvolve"), _one_channel, ("scipy",)
    ),
    "scipy oaconvolve": Contestant(
        "scipy", peers.signal_by("oaconvolve"), _one_channel, ("scipy",)
    ),
    "scipy correlate": Contestant("scipy", peers.signal_by("correlate"), _one_channel, ("scipy",)),
    "numpy convolve": Contestant(
        "scipy",
        peers.make_numpy,
        lambda row: _one_channel(row) and len(row.w) == 3,
        ("numpy",),
    ),
    "torch.fft": Contestant("torch", peers.spectra_by("torch"), _rows, ("torch",)),
    "mkl_fft": Contestant("mkl_fft", peers.spectra_by("mkl_fft"), _rows, ("mkl_fft",)),
    "pyfftw": Contestant("pyfftw", peers.spectra_by("pyfftw"), _rows, ("pyfftw",)),
    "opencv": Contestant("opencv", doors.by_opencv, _call_of("filters"), ("cv2",)),
    "scipy": Contestant("scipy", doors.by_scipy, _call_of("ndimage"), ("scipy",)),
}
"""By name. Halves and quantised layers have our own float32 as a peer.

NumPy's function is one of the ways that SciPy's users have.
"""

PEERS = tuple(dict.fromkeys(c.peer for c in CONTESTANTS.values() if c.peer))
