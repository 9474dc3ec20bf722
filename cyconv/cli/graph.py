"""Layers that follow one another, which ``bench --chain`` and ``--whole`` measure, as data.

What stands between two convolutions here is what a network has after its normalisation is folded
into the weights: a bias, a residual, an activation, a pool. Its dense layers are left out.
"""

from dataclasses import dataclass, replace
from math import prod, sqrt

import numpy as np

from .layer import Layer, square


@dataclass(frozen=True)
class Step:
    """``activation(layer(values[source]) + bias + values[add])``, or a pool of ``values[source]``.

    `values` are the input and the results of the steps so far, -1 the last one. `pool` is
    (kernel, stride, padding) of a maximum, or 'mean' of the whole map. `activation` is None, 'relu'
    or 'relu6'.
    """

    layer: Layer | None = None
    source: int = -1
    add: int | None = None
    activation: str | None = None
    pool: tuple[int, int, int] | str | None = None
    bias: bool = True


@dataclass(frozen=True)
class Graph:
    """Steps from one input to one output."""

    name: str
    x: tuple[int, ...]
    steps: tuple[Step, ...]
    repeats: int = 1

    one_channel = False

    @property
    def shapes(self):
        """Of the values."""
        shapes = [self.x]
        for step in self.steps:
            shapes.append(step.layer.y if step.layer else _pooled(step, shapes[step.source]))
        return shapes

    @property
    def y(self):
        """Shape of the output."""
        return self.shapes[-1]

    @property
    def layers(self):
        """The convolutions, in order."""
        return [step.layer for step in self.steps if step.layer]

    @property
    def flops(self):
        """Of direct summation by the convolutions."""
        return sum(layer.flops for layer in self.layers)

    def arrays(self, rng, dtype):
        """The input, and all weights and biases one behind the other.

        The weights keep the size of a signal that an activation halves, or none.
        """
        parts = []
        for step in self.steps:
            if step.layer:
                gain = sqrt((2 if step.activation else 1) / prod(step.layer.w[1:]))
                parts.append(gain * rng.standard_normal(prod(step.layer.w)))
                parts.append(0.1 * rng.standard_normal(step.layer.y[1] * step.bias))
        x = rng.standard_normal(self.x)
        return [x.astype(dtype), np.concatenate(parts).astype(dtype)]

    def parameters(self, flat):
        """(weights, bias or None) of each step; (None, None) of a pool."""
        found, at = [], 0
        for step in self.steps:
            if step.layer is None:
                found.append((None, None))
                continue
            n, k = prod(step.layer.w), step.layer.y[1] * step.bias
            w = flat[at : at + n].reshape(step.layer.w)
            found.append((w, flat[at + n : at + n + k] if k else None))
            at += n + k
        return found


def of_layer(layer):
    """The graph of one layer."""
    return Graph(layer.name, layer.x, (Step(layer, bias=False),))


def chain(layer, length):
    """`length` equal layers, each with weights of its own; None where shapes don't allow it."""
    if layer.x != layer.y or layer.direction != "forward" or not layer.plain:
        return None
    step = Step(replace(layer, repeats=1), bias=False)
    return Graph(f"{length} x {layer.name}", layer.x, (step,) * length, layer.repeats)


def _pooled(step, shape):
    if step.pool == "mean":
        return (*shape[:2], *[1] * (len(shape) - 2))
    kernel, stride, padding = step.pool
    return (*shape[:2], *((n + 2 * padding - kernel) // stride + 1 for n in shape[2:]))


# ---- networks -----------------------------------------------------------------------------------


def _vgg16():
    """Simonyan & Zisserman 2015, configuration D, as far as its last pool."""
    c, size = 3, 224
    for k, repeats in (64, 2), (128, 2), (256, 3), (512, 3), (512, 3):
        for _ in range(repeats):
            yield Step(square(c, k, size, 3), activation="relu")
            c = k
        yield Step(pool=(2, 2, 0))
        size //= 2


def _resnet50():
    """He et al. 2016, bottlenecks with the stride on the 3×3, as far as the mean of the map."""
    yield Step(square(3, 64, 224, 7, stride=2), activation="relu")
    yield Step(pool=(3, 2, 1))
    c, size, last = 64, 56, 2
    for width, blocks, first_stride in (64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2):
        for block in range(blocks):
            stride, start = first_stride if block == 0 else 1, last
            if block == 0:
                yield Step(square(c, 4 * width, size, 1, stride), start)
                last += 1
            skip = last
            yield Step(square(c, width, size, 1), start, activation="relu")
            yield Step(square(width, width, size, 3, stride), activation="relu")
            c, size = 4 * width, size // stride
            yield Step(square(width, c, size, 1), add=skip, activation="relu")
            last += 3
    yield Step(pool="mean")


MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Sandler et al. 2018, table 2: (expansion, channels, repeats, stride) per bottleneck."""


def _mobilenet_v2():
    """Sandler et al. 2018."""
    yield Step(square(3, 32, 224, 3, stride=2), activation="relu6")
    c, size, last = 32, 112, 1
    for expansion, k, repeats, first_stride in MOBILENET_V2:
        for repeat in range(repeats):
            stride, start = first_stride if repeat == 0 else 1, last
            hidden = c * expansion
            if expansion != 1:
                yield Step(square(c, hidden, size, 1), activation="relu6")
            depthwise = square(hidden, hidden, size, 3, stride, groups=hidden)
            yield Step(depthwise, activation="relu6")
            size //= stride
            skip = start if stride == 1 and c == k else None
            yield Step(square(hidden, k, size, 1), add=skip)
            c, last = k, last + 2 + (expansion != 1)
    yield Step(square(c, 1280, size, 1), activation="relu6")
    yield Step(pool="mean")


WHOLE = {"vgg16": _vgg16, "resnet50": _resnet50, "mobilenet_v2": _mobilenet_v2}


def whole(net):
    """The network of this name as one row."""
    return Graph(net, (1, 3, 224, 224), tuple(WHOLE[net]()))
