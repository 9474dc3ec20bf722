"""Layers of networks later than the first ones, each by its paper's table, and random ones.

They have what those lack: larger depthwise kernels, groups, kernels of one axis, dilation, few
filters on a large map, transposed convolution.
"""

from dataclasses import replace

import numpy as np

from .layer import Layer, square

SEED, RANDOM = 2407, 300


def _efficientnet_b0():
    """Tan & Le 2019 (arXiv:1905.11946), table 1; a squeeze to a quarter of a block's input."""
    yield square(3, 32, 224, 3, stride=2)
    c, size = 32, 112
    for expansion, k, repeats, first_stride, kernel in (
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ):
        for stride in [first_stride] + [1] * (repeats - 1):
            hidden = c * expansion
            if expansion != 1:
                yield square(c, hidden, size, 1)
            yield square(hidden, hidden, size, kernel, stride, groups=hidden)
            yield square(hidden, c // 4, 1, 1)
            yield square(c // 4, hidden, 1, 1)
            size //= stride
            yield square(hidden, k, size, 1)
            c = k
    yield square(c, 1280, size, 1)


def _convnext_tiny():
    """Liu et al. 2022 (arXiv:2201.03545), table 9: 4×4/4 stem, depthwise 7×7, 2×2/2 between."""
    yield square(3, 96, 224, 4, stride=4, padding=0)
    size = 56
    for c, blocks in (96, 3), (192, 3), (384, 9), (768, 3):
        for _ in range(blocks):
            yield square(c, c, size, 7, groups=c)
            yield square(c, 4 * c, size, 1)
            yield square(4 * c, c, size, 1)
        if c < 768:
            yield square(c, 2 * c, size, 2, stride=2, padding=0)
            size //= 2


def _densenet121():
    """Huang et al. 2017 (arXiv:1608.06993), table 1: 32 filters are added by every layer."""
    yield square(3, 64, 224, 7, stride=2)
    c, size = 64, 56
    for block, repeats in enumerate((6, 12, 24, 16)):
        for _ in range(repeats):
            yield square(c, 128, size, 1)
            yield square(128, 32, size, 3)
            c += 32
        if block < 3:
            yield square(c, c // 2, size, 1)
            c, size = c // 2, size // 2


def _resnext50_32x4d():
    """Xie et al. 2017 (arXiv:1611.05431), table 1: the 3×3 in 32 groups."""
    yield square(3, 64, 224, 7, stride=2)
    c, size = 64, 56
    for width, blocks, first_stride in (128, 3, 1), (256, 4, 2), (512, 6, 2), (1024, 3, 2):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            yield square(c, width, size, 1)
            yield square(width, width, size, 3, stride, groups=32)
            if block == 0:
                yield square(c, 2 * width, size, 1, stride)
            c, size = 2 * width, size // stride
            yield square(width, c, size, 1)


def _path(c, size, *steps):
    """Convolutions in a row that keep the size: (filters, kernel) each."""
    for k, kernel in steps:
        yield square(c, k, size, kernel)
        c = k


def _inception_v3():
    """Szegedy et al. 2016 (arXiv:1512.00567), table 1 and figures 5 to 7, with 1×7 and 7×1."""
    yield square(3, 32, 299, 3, stride=2, padding=0)
    yield square(32, 32, 149, 3, padding=0)
    yield square(32, 64, 147, 3)
    yield square(64, 80, 73, 1)
    yield square(80, 192, 73, 3, padding=0)
    for c, pooled in (192, 32), (256, 64), (288, 64):
        yield from _path(c, 35, (64, 1))
        yield from _path(c, 35, (48, 1), (64, 5))
        yield from _path(c, 35, (64, 1), (96, 3), (96, 3))
        yield from _path(c, 35, (pooled, 1))
    yield square(288, 384, 35, 3, stride=2, padding=0)
    yield from _path(288, 35, (64, 1), (96, 3))
    yield square(96, 96, 35, 3, stride=2, padding=0)
    row, column = (1, 7), (7, 1)
    for n in 128, 160, 160, 192:
        yield from _path(768, 17, (192, 1))
        yield from _path(768, 17, (n, 1), (n, row), (192, column))
        yield from _path(768, 17, (n, 1), (n, column), (n, row), (n, column), (192, row))
        yield from _path(768, 17, (192, 1))
    yield from _path(768, 17, (192, 1))
    yield square(192, 320, 17, 3, stride=2, padding=0)
    yield from _path(768, 17, (192, 1), (192, row), (192, column))
    yield square(192, 192, 17, 3, stride=2, padding=0)
    for c in 1280, 2048:
        yield from _path(c, 8, (320, 1))
        yield from _path(c, 8, (384, 1), (384, (1, 3)))
        yield from _path(384, 8, (384, (3, 1)))
        yield from _path(c, 8, (448, 1), (384, 3), (384, (1, 3)))
        yield from _path(384, 8, (384, (3, 1)))
        yield from _path(c, 8, (192, 1))


def _deeplabv3():
    """Chen et al. 2017 (arXiv:1706.05587): ResNet-50 at an eighth of 513 cells, rates 12 to 36."""
    yield square(3, 64, 513, 7, stride=2)
    c, size = 64, 129
    for width, blocks, first_stride, rates in (
        (64, 3, 1, (1, 1)),
        (128, 4, 2, (1, 1)),
        (256, 6, 1, (1, 2)),
        (512, 3, 1, (2, 4)),
    ):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            yield square(c, width, size, 1)
            yield square(width, width, size, 3, stride, dilation=rates[block > 0])
            if block == 0:
                yield square(c, 4 * width, size, 1, stride)
            c, size = 4 * width, (size + 1) // 2 if stride == 2 else size
            yield square(width, c, size, 1)
    yield square(2048, 256, 65, 1)
    for rate in 12, 24, 36:
        yield square(2048, 256, 65, 3, dilation=rate)
    yield square(2048, 256, 1, 1)
    yield square(5 * 256, 256, 65, 1)
    yield square(256, 256, 65, 3)
    yield square(256, 21, 65, 1)


def _unet():
    """Ronneberger et al. 2015 (arXiv:1505.04597), figure 1: 572 cells, nothing padded."""
    c, size = 1, 572
    for k in 64, 128, 256, 512, 1024:
        yield square(c, k, size, 3, padding=0)
        yield square(k, k, size - 2, 3, padding=0)
        c, size = k, (size - 4) // 2
    size *= 2
    for k in 512, 256, 128, 64:
        yield up(2 * k, k, size, 2, 2)
        size *= 2
        yield square(2 * k, k, size, 3, padding=0)
        yield square(k, k, size - 2, 3, padding=0)
        size -= 4
    yield square(64, 2, size, 1)


def _yolo():
    """Redmon & Farhadi 2018 (arXiv:1804.02767), table 1 on 416 cells, and the three scales."""
    yield square(3, 32, 416, 3)
    c, size = 32, 416
    for blocks in 1, 2, 8, 8, 4:
        yield square(c, 2 * c, size, 3, stride=2)
        c, size = 2 * c, size // 2
        for _ in range(blocks):
            yield from _path(c, size, (c // 2, 1), (c, 3))
    for start, k, size in (1024, 512, 13), (768, 256, 26), (384, 128, 52):
        yield from _path(start, size, *[(k, 1), (2 * k, 3)] * 3, (255, 1))
        if k > 128:
            yield square(k, k // 2, size, 1)


def _super_resolution():
    """SRCNN 9-1-5 and 9-5-5 (arXiv:1501.00092), ESPCN ×3 (1609.05158), FSRCNN ×2 (1608.00367),
    VDSR (1511.04587), EDSR (1707.02921); on 256, 85, 128, 256 and 48 cells.
    """
    yield from _path(1, 256, (64, 9), (32, 1), (1, 5))
    yield from _path(64, 256, (32, 5))
    yield from _path(1, 85, (64, 5), (32, 3), (9, 3))
    yield from _path(1, 128, (56, 5), (12, 1), *[(12, 3)] * 4, (56, 1))
    yield up(56, 1, 128, 9, 2, 4, 1)
    yield from _path(1, 256, *[(64, 3)] * 19, (1, 3))
    yield from _path(3, 48, (64, 3), *[(64, 3)] * 33, (256, 3))
    yield from _path(256, 48, *[(256, 3)] * 2, (1024, 3))
    yield square(64, 3, 96, 3)


def _transposed():
    """U-Net's 2×2/2, DCGAN's 4×4 (arXiv:1511.06434), FCN-8s' 4×4/2 and 16×16/8 (1411.4038),
    layers that double 112 cells, and HiFi-GAN's 1-D ones (2010.05646, V1).
    """
    for k, size in (512, 28), (256, 52), (128, 100), (64, 196):
        yield up(2 * k, k, size, 2, 2)
    yield up(100, 512, 1, 4)
    for c, k, size in (512, 256, 4), (256, 128, 8), (128, 64, 16), (64, 3, 32):
        yield up(c, k, size, 4, 2, 1)
    for size in 16, 34:
        yield up(21, 21, size, 4, 2)
    yield up(21, 21, 70, 16, 8)
    yield up(64, 64, 112, 2, 2)
    yield up(64, 32, 112, 3, 2, 1, 1)
    yield up(64, 3, 112, 4, 2, 1)
    for c, size, kernel, stride in (512, 32, 16, 8), (256, 256, 16, 8), (128, 2048, 4, 2):
        yield up(c, c // 2, size, kernel, stride, (kernel - stride) // 2, rank=1)
    yield up(64, 32, 4096, 4, 2, 1, rank=1)


def up(c, k, size, kernel, stride=1, padding=0, output_padding=0, rank=2):
    """A transposed convolution of a square map, or of a line."""
    name = (
        f"{c}->{k} @{size} k{kernel}" + f" s{stride}" * (stride != 1) + " up" + " 1-D" * (rank < 2)
    )
    x, w = (1, c, *(size,) * rank), (c, k, *(kernel,) * rank)
    how = {"direction": "transposed", "output_padding": output_padding}
    return Layer(name, x, w, stride, padding, **how)


def _random():
    """Layers as image networks have them, seeded: no more than 1.5 GFLOP each.

    Channels of 3 to 2048, mostly multiples of 8, and fewer on larger maps; maps of 7 to 224 cells;
    kernels of 1 to 11, odd; strides, groups, depthwise layers and dilation as often as classifiers
    have them.
    """
    rng, found = np.random.default_rng(SEED), 0
    while found < RANDOM:
        size = int(
            rng.choice((7, 8, 13, 14, 16, 17, 20, 28, 32, 35, 40, 56, 64, 80, 112, 128, 224))
        )
        most = min(2048, 28_672 // size)
        c, k = (_channels(rng, most) for _ in range(2))
        kernel = int(rng.choice((1, 3, 5, 7, 9, 11), p=(0.4, 0.4, 0.1, 0.06, 0.02, 0.02)))
        stride = int(rng.choice((1, 2), p=(0.8, 0.2)))
        groups = 1
        kind = rng.choice(("dense", "depthwise", "grouped"), p=(0.72, 0.2, 0.08))
        if kind == "depthwise" and kernel > 1:
            groups = k = c
        elif kind == "grouped" and c % 8 == 0 and c >= 32:
            groups, k = int(rng.choice((4, 8))), c
        dilation = int(rng.choice((1, 2, 4), p=(0.93, 0.05, 0.02))) if kernel == 3 else 1
        layer = square(c, k, size, kernel, stride, groups, dilation=dilation)
        if layer.flops <= 1.5e9:
            found += 1
            yield replace(layer, name=f"{found:03} {layer.name}")


_SIZES = (7, 8, 13, 14, 16, 17, 20, 28, 32, 35, 40, 56, 64, 80, 112, 128, 224)


def _channels(rng, most):
    """Log-uniform from 3: one in ten any number, the others multiples of 8."""
    n = int(np.exp(rng.uniform(np.log(3), np.log(most))))
    return n if n < 8 or rng.random() < 0.1 else n // 8 * 8


NETS = {
    "efficientnet_b0": _efficientnet_b0,
    "convnext_tiny": _convnext_tiny,
    "densenet121": _densenet121,
    "resnext50_32x4d": _resnext50_32x4d,
    "inception_v3": _inception_v3,
    "deeplabv3": _deeplabv3,
    "unet": _unet,
    "yolo": _yolo,
    "super_resolution": _super_resolution,
    "transposed": _transposed,
    "random": _random,
}
