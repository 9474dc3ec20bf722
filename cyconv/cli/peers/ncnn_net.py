"""ncnn of a net in its own format: a text of layers and a file of weights.

A line of the text is ``Kind name inputs outputs INPUT... OUTPUT... id=value ...``. A value that
several layers read is split first. The shapes of all values are told by id -23330: without them
ncnn chooses an algorithm that serves any.
"""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from . import Made

_SUFFIX = {1: "1D", 2: "", 3: "3D"}


def make_ncnn(task):
    """A net in float32; it reads NumPy's memory and writes to an array of ncnn's own."""
    import ncnn

    task.check_float32("ncnn")
    net = ncnn.Net()
    options = net.opt
    options.num_threads = task.threads
    for bits in "fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage":
        if hasattr(options, f"use_{bits}"):
            setattr(options, f"use_{bits}", False)
    text, weights = written(task)
    with tempfile.TemporaryDirectory() as folder:
        param, binary = Path(folder, "row.param"), Path(folder, "row.bin")
        param.write_text(text, encoding="ascii")
        binary.write_bytes(weights)
        if net.load_param(str(param)) or net.load_model(str(binary)):
            raise ValueError("ncnn does not load the net")
    x = ncnn.Mat(task.x[0])
    result = f"v{len(task.graph.steps)}"

    def call():
        extractor, y = net.create_extractor(), ncnn.Mat()
        extractor.input("v0", x)
        if extractor.extract(result, y):
            raise ValueError("ncnn does not compute the net")
        return y

    return Made(call, lambda y: (np.array(y).reshape(task.graph.y),))


def written(task):
    """The text and the weights of the task's graph."""
    text, weights = _Text(task.graph), []
    for i, (step, (w, bias)) in enumerate(zip(task.graph.steps, task.parameters, strict=True)):
        inputs = [text.read(value) for value in _reads(step, i)]
        output = f"v{i + 1}"
        if step.pool:
            text.add("Pooling", inputs, output, _pooling(step), i + 1)
        else:
            weights += _stored(step.layer, w, bias)
            parts = [_convolution(step, w, bias), *_after(step)]
            names = [f"{output}_{n}" for n in range(1, len(parts))] + [output]
            for (kind, told), name in zip(parts, names, strict=True):
                others = inputs[1:] if kind == "BinaryOp" else []
                text.add(kind, [inputs[0], *others], name, told, i + 1)
                inputs[0] = name
        text.split(i + 1)
    return str(text), b"".join(weights)


class _Text:
    """The lines so far; values are numbered, 0 the input, and named v0, v1, ..."""

    def __init__(self, graph):
        self.shapes = graph.shapes
        self.readers = Counter(v for i, step in enumerate(graph.steps) for v in _reads(step, i))
        self.read_so_far, self.lines, self.outputs = Counter(), [], 0
        sizes = [*reversed(graph.x[2:]), graph.x[1]]
        self.add("Input", [], "v0", dict(enumerate(sizes)), 0)
        self.split(0)

    def __str__(self):
        return "\n".join(["7767517", f"{len(self.lines)} {self.outputs}", *self.lines, ""])

    def add(self, kind, inputs, output, told, value):
        """A line of the layer that makes `output`, of the shape of `value`."""
        sizes = [*reversed(self.shapes[value][2:]), self.shapes[value][1]]
        hint = [len(sizes), *sizes, *[1] * (3 - len(sizes))]
        told = told | {-23330: ",".join(map(str, [len(hint), *hint]))}
        arguments = [f"{key}={argument}" for key, argument in told.items()]
        self._line(kind, inputs, [output], arguments)

    def split(self, value):
        """As many copies of a value as have readers, if more than one."""
        n = self.readers[value]
        if n > 1:
            self._line("Split", [f"v{value}"], [f"v{value}_copy{i}" for i in range(n)], [])

    def read(self, value):
        """The name under which the next reader finds it."""
        if self.readers[value] < 2:
            return f"v{value}"
        self.read_so_far[value] += 1
        return f"v{value}_copy{self.read_so_far[value] - 1}"

    def _line(self, kind, inputs, outputs, arguments):
        counts = [f"{kind.lower()}{len(self.lines)}", str(len(inputs)), str(len(outputs))]
        self.lines.append(" ".join([kind, *counts, *inputs, *outputs, *arguments]))
        self.outputs += len(outputs)


def _reads(step, i):
    """The values that step `i` reads."""
    sources = [step.source] + [step.add] * (step.add is not None)
    return [i if source == -1 else source for source in sources]


def _after(step):
    """The layers after a convolution that has a residual; else it has its activation itself."""
    if step.add is None:
        return []
    activation = {None: [], "relu": [("ReLU", {})], "relu6": [("Clip", {0: 0.0, 1: 6.0})]}
    return [("BinaryOp", {0: 0}), *activation[step.activation]]


def _pooling(step):
    if step.pool == "mean":
        return {0: 1, 4: 1}
    kernel, stride, padding = step.pool
    return {0: 0, 1: kernel, 2: stride, 3: padding, 5: 1}


def _convolution(step, w, bias):
    """The kind of layer and its arguments: the last axis first, ids of the next ones ten apart."""
    layer, rank = step.layer, len(step.layer.w) - 2
    told = {0: layer.y[1]}
    sizes = zip(layer.w[2:], layer.axes, strict=True)
    for i, (kernel, (stride, padding, dilation)) in enumerate(reversed(list(sizes))):
        for key, value in zip((1, 2, 3, 4), (kernel, dilation, stride, padding), strict=True):
            told[key + 10 * i] = value
        if layer.output_padding:
            told[18 + i] = layer.output_padding
    told |= {5: int(bias is not None), 6: w.size}
    if layer.groups > 1:
        told[7] = layer.groups
    if step.add is None and step.activation:
        told |= {9: 1} if step.activation == "relu" else {9: 3, -23310: "2,0.0,6.0"}
    kind = "Deconvolution" if layer.transposed else "Convolution"
    return kind + "DepthWise" * (layer.groups > 1) + _SUFFIX[rank], told


def _stored(layer, w, bias):
    """A mark that says float32, the weights by output channel, and the bias."""
    if layer.transposed:
        w = w.reshape(layer.groups, -1, *layer.w[1:]).swapaxes(1, 2)
    parts = [np.uint32(0).tobytes(), np.ascontiguousarray(w).tobytes()]
    return parts if bias is None else [*parts, bias.tobytes()]
