"""The layers that ``bench`` and ``tune`` measure, as data; ``bench``'s calls are in `calls`.

A network's table is the one of its paper. A layer that occurs several times is listed once, with
how often; a network's total counts it so often.
"""

from collections import Counter
from dataclasses import replace
from functools import partial

from . import newer
from .calls import CALLS, Call
from .graph import WHOLE, Graph, Step, whole
from .integers import Quantised
from .layer import Layer, square


def _alexnet():
    """Krizhevsky 2014 (arXiv:1404.5997), one tower."""
    yield square(3, 64, 224, 11, stride=4, padding=2)
    yield square(64, 192, 27, 5)
    yield square(192, 384, 13, 3)
    yield square(384, 256, 13, 3)
    yield square(256, 256, 13, 3)


def _layers_of(net):
    return whole(net).layers


def _images():
    """One channel, zeros beyond the border, as large a result."""
    for size in (256, 1024, 4096):
        for kernel in (3, 5, 7, 11, 15, 31, 63):
            yield replace(square(1, 1, size, kernel), name=f"image @{size} k{kernel}")


def _signals():
    """One channel; results where the taps lie inside the signal."""
    for n in (48_000, 1_000_000):
        for taps in (16, 64, 256, 1024, 4096, 16_384, 65_536):
            if taps <= n:
                yield Layer(f"signal @{n} k{taps}", (1, 1, n), (1, 1, taps))
    long = Layer("256 signals @2048 k2048", (1, 256, 2048), (256, 1, 2048), padding=1024)
    yield replace(long, groups=256)
    inverse = Layer("inverse STFT 1026->1 k1024 s256", (1, 1026, 190), (1026, 1, 1024), 256)
    yield replace(inverse, direction="transposed")


def _volumes():
    """One channel, zeros beyond the border, as large a result; large images too."""
    for size, kernel in (64, 9), (64, 21), (96, 21), (128, 31):
        name = f"volume @{size} k{kernel}"
        yield Layer(name, (1, 1, *(size,) * 3), (1, 1, *(kernel,) * 3), padding=kernel // 2)
    for kernel in (63, 127, 255):
        yield replace(square(1, 1, 2048, kernel), name=f"image @2048 k{kernel}")


def _training():
    """Both gradients of two networks' layers, of a batch of 4."""
    for net in "resnet50", "mobilenet_v2":
        for layer in whole(net).layers:
            batch = (4, *layer.x[1:])
            yield replace(layer, name=f"{net} {layer.name}", x=batch, direction="backward")


def _both():
    for net in "resnet50", "mobilenet_v2":
        for layer in whole(net).layers:
            yield replace(layer, name=f"{net} {layer.name}")


def _halves():
    """Two networks' layers, stored in 16 bits."""
    for cells in "float16", "bfloat16":
        for layer in _both():
            yield replace(layer, name=f"{layer.name} {cells}", cells=cells)


def _nhwc():
    """Two networks' layers, channels last."""
    for layer in _both():
        yield replace(layer, last=True)


NETS = {
    "alexnet": _alexnet,
    **{net: partial(_layers_of, net) for net in WHOLE},
    "images": _images,
    "signals": _signals,
    "volumes": _volumes,
    "training": _training,
    "halves": _halves,
    "nhwc": _nhwc,
    **newer.NETS,
}


def layers(net):
    """The different layers or calls of `net`, in its order, each with its repeats."""
    rows = (NETS | CALLS)[net]()
    return [replace(layer, repeats=n) for layer, n in Counter(rows).items()]


def row(fields):
    """The row that has these fields, lists for tuples."""
    given = {name: _tuples(value) for name, value in fields.items()}
    if "steps" in given:
        return Graph(**given | {"steps": tuple(map(_step, given["steps"]))})
    kind = Call if "function" in given else Quantised if "types" in given else Layer
    return kind(**given)


def _step(fields):
    layer = fields["layer"]
    fields = {name: _tuples(value) for name, value in fields.items()}
    return Step(**fields | {"layer": layer and row(layer)})


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
