"""How cyconv computes a row, in several ways: see `contestants`."""

from dataclasses import replace

import numpy as np

from . import doors, integers
from .calls import Call
from .graph import Graph
from .integers import Quantised
from .layer import half
from .peers import Made


def prepared(task):
    """Plans made before; forward with the weights packed, which a step of training changes.

    A call as it is typed, a network by the door that users take.
    """
    if isinstance(task.layer, Graph):
        return _network(task)
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
    (dx, dw), (grad_input, grad_weight) = outs, plans

    def backward():
        grad_input(task.gradient, task.w, out=dx)
        grad_weight(task.x, task.gradient, out=dw)
        return dx, dw

    return Made(backward, tuple, algorithm)


def float32(task):
    """The same layer in float32, which is what 16 bits are to be as fast as."""
    return prepared(replace(task, layer=replace(task.layer, cells=None)))


def one_shot(task):
    """The functions, with nothing prepared."""
    import cyconv

    layer = task.layer
    how = layer.geometry | {"threads": task.threads, "device": task.device}
    x, w, gradient = task.x, task.w, task.gradient
    if layer.cells is not None:
        x, w = (a.astype(half(layer.cells)) for a in (x, w))
    _, algorithm = _plans(task)
    if task.forward:
        function = cyconv.conv
        if layer.transposed:
            function = cyconv.conv_transpose
            how["output_padding"] = layer.output_padding
        return Made(lambda: function(x, w, **how), lambda y: (y.astype(task.x.dtype),), algorithm)

    def backward():
        return (
            cyconv.conv_grad_input(x.shape, w, gradient, **how),
            cyconv.conv_grad_weight(x, w.shape, gradient, **how),
        )

    return Made(backward, tuple, algorithm)


def _plans(task):
    """A plan for each result of the layer, and the names of their algorithms."""
    import cyconv

    cells = task.layer.cells
    dtype = task.x.dtype if cells is None else half(cells)
    problems = [cyconv.Problem(dtype=dtype, **given) for given in task.layer.problems]
    how = {"threads": task.threads, "device": task.device}
    plans = [cyconv.plan(problem, **how) for problem in problems]
    return plans, " / ".join(plan.algorithm for plan in plans)


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


def _network(task):
    """`cyconv.onnx.prepare`: layers packed, with what follows them within."""
    import cyconv.onnx

    from .peers.onnx_model import model

    if task.device != "cpu":
        raise ValueError("networks are measured on the CPU")
    made = cyconv.onnx.prepare(model(task), threads=task.threads)
    return Made(lambda: made.run([task.x]), tuple)
