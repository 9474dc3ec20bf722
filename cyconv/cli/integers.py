"""The quantised layers that ``bench`` measures, and who computes them.

Stored integers stand for real numbers; the result is rounded to the type of the input. Peers are
ONNX Runtime's QLinearConv, and cyconv's own float32 of the same numbers, which does not round.
"""

from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from .peers import Made
from .peers.onnx_engines import onnxruntime_node

_DEVIATION = 256 / sqrt(12)  # of all numbers of 8 bits, each as likely
_RESULTS = 50  # of y


@dataclass(frozen=True)
class Quantised:
    """One quantised convolution: `x` (N, C, *spatial), `w` (K, C/groups, *kernel), of `types`."""

    name: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: int
    padding: int
    groups: int
    types: tuple[str, str]
    repeats: int = 1

    one_channel = False

    @property
    def y(self):
        """Shape of the output."""
        sizes = zip(self.x[2:], self.w[2:], strict=True)
        spatial = tuple((n + 2 * self.padding - k) // self.stride + 1 for n, k in sizes)
        return (self.x[0], self.w[0], *spatial)

    @property
    def flops(self):
        """Of direct summation: a multiplication and an addition count as two."""
        return 2 * prod(self.y) * prod(self.w[1:])

    @property
    def zeros(self):
        """The zero points of x and w; y's is that of x."""
        return tuple(128 if of == "uint8" else 0 for of in self.types)

    @property
    def factor(self):
        """What the sums are multiplied by."""
        terms = sqrt(prod(self.w[1:]))
        return np.float32(_RESULTS / (_DEVIATION**2 * terms))

    def arrays(self, rng, _):
        """The input and the weights, any numbers of their types."""
        both = zip((self.x, self.w), map(np.iinfo, self.types), strict=True)
        return [rng.integers(i.min, i.max, shape, i.dtype, endpoint=True) for shape, i in both]

    def rounded(self, sums):
        """What the sums become."""
        info = np.iinfo(self.types[0])
        return np.clip(np.rint(sums * self.factor) + self.zeros[0], info.min, info.max)


def layers():
    """Layers of ResNet-50 and MobileNet-v2, in unsigned and signed bytes."""
    sizes = (
        *((c, size, c, 3, 1, 1) for c, size in ((64, 56), (128, 28), (256, 14), (512, 7))),
        (128, 56, 128, 3, 2, 1),
        *((64, 56, 256, 1, 1, 1), (256, 56, 64, 1, 1, 1), (1024, 14, 256, 1, 1, 1)),
        *((512, 7, 2048, 1, 1, 1), (256, 56, 512, 1, 2, 1)),
        *((3, 224, 64, 7, 2, 1), (3, 224, 32, 3, 2, 1)),
        *((c, size, c, 3, 1, c) for c, size in ((144, 56), (384, 14), (960, 7))),
        (144, 56, 144, 3, 2, 144),
    )
    for types in ("uint8", "int8"), ("int8", "int8"), ("uint8", "uint8"):
        short = "x".join(of.replace("uint", "u").replace("int", "s") for of in types)
        for c, size, k, kernel, stride, groups in sizes:
            name = f"{short} {c}->{k} @{size} k{kernel}" + f" s{stride}" * (stride != 1)
            x, w = (1, c, size, size), (k, c // groups, kernel, kernel)
            name += " dw" * (groups != 1)
            yield Quantised(name, x, w, stride, kernel // 2, groups, types)


def by_cyconv(task):
    """The weights packed before."""
    from cyconv import quantized

    of = task.layer
    call, algorithm = quantized.prepared(
        task.x,
        1.0,
        of.zeros[0],
        task.w,
        of.factor,
        of.zeros[1],
        1.0,
        of.zeros[0],
        None,
        of.stride,
        of.padding,
        1,
        of.groups,
        threads=task.threads,
    )
    return Made(lambda: call(task.x), algorithm=algorithm)


def by_float32(task):
    """cyconv's float32 of the same numbers, the weights packed before; rounded where it is read."""
    import cyconv

    of = task.layer
    x, w = (np.subtract(a, z, dtype="f4") for a, z in zip((task.x, task.w), of.zeros, strict=True))
    problem = cyconv.Problem(x.shape, w.shape, "f4", of.stride, of.padding, 1, of.groups)
    plan = cyconv.plan(problem, threads=task.threads)
    packed, y = plan.pack(w), np.empty(of.y, "f4")
    return Made(lambda: packed(x, out=y), lambda sums: (of.rounded(sums),), plan.algorithm)


def by_onnxruntime(task):
    """A session of one QLinearConv node with its constants in the model."""
    from onnx import helper, numpy_helper

    of, rank = task.layer, task.w.ndim - 2
    one, scale = np.float32(1), np.full(len(task.w), of.factor)
    x_zero = np.array(of.zeros[0], task.x.dtype)
    constants = {
        "x_scale": one,
        "x_zero": x_zero,
        "w": task.w,
        "w_scale": scale,
        "w_zero": np.full(len(task.w), of.zeros[1], task.w.dtype),
        "y_scale": one,
        "y_zero": x_zero,
    }
    node = helper.make_node(
        "QLinearConv",
        ["x", *constants],
        ["y"],
        strides=[of.stride] * rank,
        pads=[of.padding] * (2 * rank),
        group=of.groups,
        kernel_shape=task.w.shape[2:],
    )
    kept = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    return onnxruntime_node(task, node, kept)
