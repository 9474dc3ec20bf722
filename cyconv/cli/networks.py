"""The layers that ``bench`` and ``tune`` measure, as data; ``bench``'s calls are in `calls`.

A network's table is the one of its paper. A layer that occurs several times is listed once, with
how often; a network's total counts it so often.
"""

from collections import Counter
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from .calls import CALLS, Call
from .integers import Quantised


@dataclass(frozen=True)
class Layer:
    """One convolution: `x` (N, C, *spatial), `w` (K, C/groups, *kernel).

    `direction` is 'forward', or 'backward': the gradients of the input and of the weights, or
    'transposed': that of the input alone. `cells`
    is 'float16' or 'bfloat16' where arrays are stored so; `last` whether channels lie last.
    """

    name: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    groups: int = 1
    direction: str = "forward"
    repeats: int = 1
    cells: str | None = None
    last: bool = False

    @property
    def plain(self):
        """Whether it is of the net's own dtype, channels first."""
        return self.cells is None and not self.last

    @property
    def geometry(self):
        """Keyword arguments shared by `Problem` and the conv functions."""
        return {"stride": self.stride, "padding": self.padding, "groups": self.groups}

    @property
    def y(self):
        """Shape of the output."""
        sizes = zip(self.x[2:], self.w[2:], strict=True)
        spatial = tuple((n + 2 * self.padding - k) // self.stride + 1 for n, k in sizes)
        return (self.x[0], self.w[0], *spatial)

    @property
    def flops(self):
        """Of direct summation: a multiplication and an addition count as two."""
        gradients = 2 if self.direction == "backward" else 1
        return 2 * gradients * prod(self.y) * prod(self.w[1:])

    @property
    def one_channel(self):
        """Whether this is an image or a signal under one filter, one output a cell."""
        plain = self.stride == 1 and self.direction == "forward"
        return plain and self.x[:2] == self.w[:2] == (1, 1)

    @property
    def by_channel(self):
        """Whether each channel has a filter of its own, one output a cell."""
        plain = self.stride == 1 and self.direction == "forward"
        return plain and self.groups == self.x[1] == self.w[0]

    @property
    def problems(self):
        """`Problem` arguments, one dict for each result."""
        directions = {
            "forward": ("forward",),
            "transposed": ("grad_input",),
            "backward": ("grad_input", "grad_weight"),
        }[self.direction]
        shapes = {"x_shape": self.x, "w_shape": self.w}
        if self.last:
            x = (self.x[0], *self.x[2:], self.x[1])
            shapes |= {"x_shape": x, "data_format": "channels_last"}
        return [shapes | self.geometry | {"direction": d} for d in directions]

    def arrays(self, rng, dtype):
        """The input, the weights and, backward, the output's gradient, standard normal."""
        shapes = [self.x, self.w] + [self.y] * (self.direction != "forward")
        arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
        if self.cells is not None:  # what they hold as well
            arrays = [array.astype(half(self.cells)).astype(dtype) for array in arrays]
        return arrays


def half(name):
    """The dtype of 16 bits of this name; NumPy itself has one of them."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _square(c, k, size, kernel, stride=1, groups=1, padding=None):
    """Square map; unless told, padding that keeps the size at stride 1 under an odd kernel."""
    name = f"{c}->{k} @{size} k{kernel}"
    name += f" s{stride}" * (stride != 1) + " dw" * (groups != 1)
    x, w = (1, c, size, size), (k, c // groups, kernel, kernel)
    return Layer(name, x, w, stride, kernel // 2 if padding is None else padding, groups)


def _alexnet():
    """Krizhevsky 2014 (arXiv:1404.5997), one tower."""
    yield _square(3, 64, 224, 11, stride=4, padding=2)
    yield _square(64, 192, 27, 5)
    yield _square(192, 384, 13, 3)
    yield _square(384, 256, 13, 3)
    yield _square(256, 256, 13, 3)


def _vgg16():
    """Simonyan & Zisserman 2015, configuration D: (map, channels, convolutions) per block."""
    c = 3
    for size, k, repeats in (224, 64, 2), (112, 128, 2), (56, 256, 3), (28, 512, 3), (14, 512, 3):
        for _ in range(repeats):
            yield _square(c, k, size, 3)
            c = k


def _resnet50():
    """He et al. 2016, bottlenecks with the stride on the 3×3: (width, blocks, stride) per stage."""
    yield _square(3, 64, 224, 7, stride=2)
    c, size = 64, 56
    for width, blocks, first_stride in (64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            yield _square(c, width, size, 1)
            yield _square(width, width, size, 3, stride)
            yield _square(width, 4 * width, size // stride, 1)
            if block == 0:
                yield _square(c, 4 * width, size, 1, stride)
            c, size = 4 * width, size // stride


def _mobilenet_v2():
    """Sandler et al. 2018, table 2: (expansion, channels, repeats, stride) per bottleneck."""
    yield _square(3, 32, 224, 3, stride=2)
    c, size = 32, 112
    for expansion, k, repeats, first_stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            hidden = c * expansion
            if expansion != 1:
                yield _square(c, hidden, size, 1)
            yield _square(hidden, hidden, size, 3, stride, groups=hidden)
            yield _square(hidden, k, size // stride, 1)
            c, size = k, size // stride
    yield _square(c, 1280, size, 1)


def _images():
    """One channel, zeros beyond the border, as large a result."""
    for size in (256, 1024, 4096):
        for kernel in (3, 5, 7, 11, 15, 31, 63):
            yield replace(_square(1, 1, size, kernel), name=f"image @{size} k{kernel}")


def _signals():
    """One channel; results where the taps lie inside the signal."""
    for n in (48_000, 1_000_000):
        for taps in (16, 64, 256, 1024, 4096, 16_384, 65_536):
            if taps <= n:
                yield Layer(f"signal @{n} k{taps}", (1, 1, n), (1, 1, taps))
    long = Layer("256 signals @2048 k2048", (1, 256, 2048), (256, 1, 2048), padding=1024)
    yield replace(long, groups=256)
    inverse = Layer("inverse STFT 1026->1 k1024 s256", (1, 1, 49_408), (1026, 1, 1024), stride=256)
    yield replace(inverse, direction="transposed")


def _volumes():
    """One channel, zeros beyond the border, as large a result; large images too."""
    for size, kernel in (64, 9), (64, 21), (96, 21), (128, 31):
        name = f"volume @{size} k{kernel}"
        yield Layer(name, (1, 1, *(size,) * 3), (1, 1, *(kernel,) * 3), padding=kernel // 2)
    for kernel in (63, 127, 255):
        yield replace(_square(1, 1, 2048, kernel), name=f"image @2048 k{kernel}")


def _training():
    """Both gradients of two networks' layers, of a batch of 4."""
    for net, layers in ("resnet50", _resnet50()), ("mobilenet_v2", _mobilenet_v2()):
        for layer in layers:
            batch = (4, *layer.x[1:])
            yield replace(layer, name=f"{net} {layer.name}", x=batch, direction="backward")


def _both():
    for net, layers in ("resnet50", _resnet50()), ("mobilenet_v2", _mobilenet_v2()):
        for layer in layers:
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
    "vgg16": _vgg16,
    "resnet50": _resnet50,
    "mobilenet_v2": _mobilenet_v2,
    "images": _images,
    "signals": _signals,
    "volumes": _volumes,
    "training": _training,
    "halves": _halves,
    "nhwc": _nhwc,
}


def layers(net):
    """The different layers or calls of `net`, in its order, each with its repeats."""
    rows = (NETS | CALLS)[net]()
    return [replace(layer, repeats=n) for layer, n in Counter(rows).items()]


def row(fields):
    """The `Layer`, `Call` or `Quantised` that has these fields, lists for tuples."""
    kind = Call if "function" in fields else Quantised if "types" in fields else Layer
    return kind(**{name: _tuples(value) for name, value in fields.items()})


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
