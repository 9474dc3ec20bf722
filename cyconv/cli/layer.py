"""One convolution that ``bench`` and ``tune`` measure, as data."""

from dataclasses import dataclass
from math import prod

import numpy as np


@dataclass(frozen=True)
class Layer:
    """One convolution: `x` (N, C, *spatial), `w` (K, C/groups, *kernel).

    `stride`, `padding` and `dilation` are one number, or one an axis. `direction` is 'forward';
    'backward': the gradients of the input and of the weights; or 'transposed', where `w` is
    (C, K/groups, *kernel). `cells` is 'float16' or 'bfloat16' where arrays are stored so; `last`
    whether channels lie last.
    """

    name: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    groups: int = 1
    direction: str = "forward"
    repeats: int = 1
    cells: str | None = None
    last: bool = False
    dilation: int | tuple[int, ...] = 1
    output_padding: int = 0

    @property
    def plain(self):
        """Whether it is of the net's own dtype, channels first."""
        return self.cells is None and not self.last

    @property
    def transposed(self):
        """Whether it is a transposed convolution."""
        return self.direction == "transposed"

    @property
    def geometry(self):
        """Keyword arguments shared by `Problem` and the conv functions."""
        names = ("stride", "padding", "groups", "dilation")
        return {name: getattr(self, name) for name in names}

    @property
    def axes(self):
        """For each spatial axis its (stride, padding, dilation)."""
        rank = len(self.w) - 2
        both = (self.stride, self.padding, self.dilation)
        return list(zip(*(n if isinstance(n, tuple) else (n,) * rank for n in both), strict=True))

    @property
    def y(self):
        """Shape of the output."""
        sizes = list(zip(self.x[2:], self.w[2:], self.axes, strict=True))
        if self.transposed:
            spatial = (
                (n - 1) * s - 2 * p + d * (k - 1) + 1 + self.output_padding
                for n, k, (s, p, d) in sizes
            )
            return (self.x[0], self.w[1] * self.groups, *spatial)
        spatial = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, (s, p, d) in sizes)
        return (self.x[0], self.w[0], *spatial)

    @property
    def flops(self):
        """Of direct summation: a multiplication and an addition count as two."""
        gradients = 2 if self.direction == "backward" else 1
        return 2 * gradients * prod(self.x if self.transposed else self.y) * prod(self.w[1:])

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
            "backward": ("grad_input", "grad_weight"),
            "transposed": ("grad_input",),
        }
        shapes = {"x_shape": self.y if self.transposed else self.x, "w_shape": self.w}
        if self.last:
            x = (self.x[0], *self.x[2:], self.x[1])
            shapes |= {"x_shape": x, "data_format": "channels_last"}
        return [shapes | self.geometry | {"direction": d} for d in directions[self.direction]]

    def arrays(self, rng, dtype):
        """The input, the weights and, backward, the output's gradient, standard normal."""
        shapes = [self.x, self.w] + [self.y] * (self.direction == "backward")
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


def square(c, k, size, kernel, stride=1, groups=1, padding=None, dilation=1):
    """Square map; unless told, padding that keeps the size at stride 1 under an odd kernel.

    `kernel` is one number, or one an axis.
    """
    kernels = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    if padding is None:
        padding = tuple(dilation * (n // 2) for n in kernels)
        padding = padding[0] if len(set(padding)) == 1 else padding
    name = f"{c}->{k} @{size} k{'x'.join(map(str, dict.fromkeys(kernels)))}"
    name += f" s{stride}" * (stride != 1) + f" d{dilation}" * (dilation != 1)
    name += (" dw" if groups == c == k else f" g{groups}") * (groups != 1)
    return Layer(
        name,
        (1, c, size, size),
        (k, c // groups, *kernels),
        stride,
        padding,
        groups,
        dilation=dilation,
    )
