"""Who takes part in ``cyconv bench``: cyconv and its peers, each by its best means.

A contestant is made for one task in a process of its own, with its thread count set beforehand. It
gives a function of no arguments that computes the result once, as fast as it can with all that can
be prepared prepared, and one that turns what that returns into arrays like the reference's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import peers
from .peers import Made, Task


@dataclass(frozen=True)
class Contestant:
    """One way to compute layers.

    `peer` is the name that ``--against`` knows it by, None for cyconv's own; `needs` the modules to
    import; `takes` says whether it knows how to compute a layer.
    """

    peer: str | None
    make: Callable[[Task], Made]
    takes: Callable[[Any], bool] = lambda layer: True
    needs: tuple[str, ...] = ()


def _plans(task):
    """A plan for each result of the layer, and the names of their algorithms."""
    import cyconv

    problems = [cyconv.Problem(dtype=task.x.dtype, **given) for given in task.layer.problems]
    how = {"threads": task.threads, "device": task.device}
    plans = [cyconv.plan(problem, **how) for problem in problems]
    return plans, " / ".join(plan.algorithm for plan in plans)


def _cyconv(task):
    """Plans made before; forward with the weights packed, which a step of training changes."""
    plans, algorithm = _plans(task)
    if task.device != "cpu":
        return _on_device(task, plans, algorithm)
    outs = [np.empty(plan.problem.output_shape, task.x.dtype) for plan in plans]
    if task.forward:
        packed, (y,) = plans[0].pack(task.w), outs
        return Made(lambda: packed(task.x, out=y), algorithm=algorithm)
    (dx, dw), (grad_input, grad_weight) = outs, plans

    def backward():
        grad_input(task.gradient, task.w, out=dx)
        grad_weight(task.x, task.gradient, out=dw)
        return dx, dw

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
    outs = [step(None) for step in steps]

    def call():
        for step, out in zip(steps, outs, strict=True):
            step(out)
        queue.finish()
        return outs

    return Made(call, lambda results: tuple(y.get() for y in results), algorithm)


def _one_shot(task):
    """The functions, with nothing prepared."""
    import cyconv

    how = task.layer.geometry | {"threads": task.threads, "device": task.device}
    x, w, gradient = task.x, task.w, task.gradient
    _, algorithm = _plans(task)
    if task.forward:
        return Made(lambda: cyconv.conv(x, w, **how), algorithm=algorithm)

    def backward():
        return (
            cyconv.conv_grad_input(x.shape, w, gradient, **how),
            cyconv.conv_grad_weight(x, w.shape, gradient, **how),
        )

    return Made(backward, tuple, algorithm)


def _forward(layer):
    return layer.direction == "forward"


def _planes(layer):
    return len(layer.w) == 4


def _image(layer):
    return layer.one_channel and _planes(layer)


def _one_channel(layer):
    return layer.one_channel


CONTESTANTS = {
    "cyconv": Contestant(None, _cyconv),
    "cyconv one-shot": Contestant(None, _one_shot),
    "torch": Contestant("torch", peers.torch_in("nchw"), needs=("torch",)),
    "torch channels_last": Contestant(
        "torch", peers.torch_in("channels_last"), _planes, ("torch",)
    ),
    "torch prepacked": Contestant(
        "torch",
        peers.torch_in("prepacked"),
        lambda layer: _forward(layer) and _planes(layer),
        ("torch",),
    ),
    "onnxruntime": Contestant(
        "onnxruntime", peers.make_onnxruntime, _forward, ("onnxruntime", "onnx")
    ),
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
        lambda layer: layer.one_channel and not _planes(layer),
        ("numpy",),
    ),
}
"""By name. NumPy's function is one of the ways that SciPy's users have."""

PEERS = tuple(dict.fromkeys(c.peer for c in CONTESTANTS.values() if c.peer))
