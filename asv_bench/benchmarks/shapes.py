"""The layers that are measured, as data: three networks, one-channel images, 1-D signals.

A network's table is the one of its paper; a layer that occurs twice is listed once. Batch 1,
except in training.
"""

from typing import NamedTuple


class Layer(NamedTuple):
    """One convolution: `x` (N, C, *spatial), `w` (K, C/groups, *kernel)."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def geometry(self):
        """Keyword arguments shared by `Problem` and the conv functions."""
        return {"stride": self.stride, "padding": self.padding, "groups": self.groups}

    @property
    def name(self):
        """`C->K @H kR`, then `s2` and `dw` where they apply: `64->64 @56 k3`."""
        name = f"{self.x[1]}->{self.w[0]} @{self.x[-1]} k{self.w[-1]}"
        if self.stride != 1:
            name += f" s{self.stride}"
        if self.groups != 1:
            name += " dw"
        return name


def _square(c, k, size, kernel, stride=1, groups=1):
    """Square map, odd kernel, padding that keeps the size at stride 1."""
    w = (k, c // groups, kernel, kernel)
    return Layer((1, c, size, size), w, stride, kernel // 2, groups)


def _named(layers):
    return {layer.name: layer for layer in layers}


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


VGG16 = _named(_vgg16())
RESNET50 = _named(_resnet50())
MOBILENET_V2 = _named(_mobilenet_v2())
NETWORKS = VGG16 | RESNET50 | MOBILENET_V2

IMAGES = _named(_square(1, 1, size, k) for size in (256, 1024, 4096) for k in (3, 5, 7, 15))
SIGNALS = _named(
    Layer((1, 1, n), (1, 1, taps)) for n in (48_000, 1_000_000) for taps in (16, 128, 1024)
)

# What a step of training is measured on: the kinds of layers there are, with a batch.
TRAINED = {
    name: NETWORKS[name]._replace(x=(4, *NETWORKS[name].x[1:]))
    for name in (
        "3->64 @224 k7 s2",
        "64->64 @56 k3",
        "64->256 @56 k1",
        "128->128 @56 k3 s2",
        "256->256 @14 k3",
        "512->2048 @7 k1",
        "3->32 @224 k3 s2",
        "96->96 @112 k3 s2 dw",
        "192->192 @28 k3 dw",
        "960->960 @7 k3 dw",
        "960->160 @7 k1",
    )
}

LAYERS = NETWORKS | IMAGES | SIGNALS

# The layer the peers publish most figures for, and the plainest image filter.
DEEP_3X3 = VGG16["256->256 @56 k3"]
ONE_CHANNEL = {f"k{k}": IMAGES[f"1->1 @1024 k{k}"] for k in (3, 7, 15)}
# Small enough that the work is all overhead.
TINY = Layer((1, 1, 8, 8), (1, 1, 3, 3))
# Of these the first call is measured: planning and packing are a share of it.
FIRST_SEEN = {
    "tiny": Layer((1, 3, 8, 8), (8, 3, 3, 3), padding=1),
    "64->64 @37": Layer((1, 64, 37, 37), (64, 64, 3, 3), padding=1),
    "depthwise": Layer((1, 64, 37, 37), (64, 1, 3, 3), padding=1, groups=64),
    "line": Layer((1, 64, 1000), (128, 64, 3), padding=1),
}
