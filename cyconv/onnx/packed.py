"""Convolutions with constant weights, packed once for each size of input."""

from copy import copy

import numpy as np

from cyconv.lowering.transposed import transposed
from cyconv.planning.plan import PackedConv, plan
from cyconv.problem import Problem
from cyconv.problem.operands import check_bias
from cyconv.quantized import layer

PLANS = 8  # input sizes whose packed weights a layer keeps


class Packed:
    """y = clamp(conv(x) + bias + add), for x of any size.

    Parameters
    ----------
    operation : str
        What errors begin with.
    geometry : (stride, padding, dilation, groups)
    weight, bias : arrays; bias may be None
    clamp : (low, high) or None
    accuracy, threads
        As for :func:`cyconv.plan`.
    """

    def __init__(
        self, operation, geometry, weight, bias, clamp=None, accuracy="balanced", threads=None
    ):
        self.operation, self.geometry = operation, geometry
        self.weight, self.bias, self.clamp = weight, bias, clamp
        self.accuracy, self.threads = accuracy, threads
        self._packs, self._unbounded = {}, None

    def __call__(self, x, add=None):
        """The layer's result."""
        return self._convolve(x, add)

    def _convolve(self, x, add=None):
        found = self._packs.pop(x.shape, None) or self._pack(x.shape)
        self._packs[x.shape] = found  # the last
        while len(self._packs) > PLANS:
            self._packs.pop(next(iter(self._packs)), None)
        packed, beyond = found
        if add is not None and add.shape != packed.plan.problem.output_shape:
            return self._broadcast(x, add)
        return self._solved(packed, x if beyond is None else np.pad(x, beyond), add)

    def _solved(self, packed, x, add):
        return packed(x, add=add)

    def _broadcast(self, x, add):
        """The layer's result where the residual has another shape than the convolution's."""
        if self._unbounded is None:
            self._unbounded = copy(self)
            self._unbounded._packs, self._unbounded.clamp = {}, None
        y = self._unbounded._convolve(x) + add
        return y if self.clamp is None else np.clip(y, *self.clamp).astype(y.dtype, copy=False)

    @property
    def algorithm(self):
        """Name of the algorithm for the size that came last, or None before the first."""
        last = next(reversed(self._packs.values()), None)
        return last and last[0].plan.algorithm

    def _pack(self, shape):
        """The packed weights, and the zeros that x lacks or None."""
        problem, beyond = self._problem(shape)
        made = plan(problem, accuracy=self.accuracy, threads=self.threads)
        needed = beyond if any(n for pair in beyond for n in pair) else None
        return self._made(made), needed

    def _made(self, plan):
        return plan.pack(self.weight, self.bias, self.clamp)

    def _problem(self, shape):
        return Problem(
            shape, self.weight.shape, self.weight.dtype, *self.geometry, operation=self.operation
        ), ()


class PackedIntegers(Packed):
    """Sums of integers less their zero points, or what they become."""

    def __init__(self, operation, geometry, weight, bias, dtype, zero, target=None, **options):
        super().__init__(operation, geometry, weight, bias, **options)
        self.dtype, self.zero, self.target = dtype, zero, target

    def _solved(self, packed, x, add):
        """No residual is joined to a sum of integers."""
        return layer(packed, x, self.zero, self.target)

    def _problem(self, shape):
        return Problem(
            shape,
            self.weight.shape,
            self.dtype,
            *self.geometry,
            out_dtype="int32",
            operation=self.operation,
        ), ()

    def _made(self, plan):
        return PackedConv(plan, self.weight, check_bias(plan.problem, self.bias), None)


class PackedProduct(Packed):
    """A fully connected layer, y = clamp(x W^T + bias + add) for x of any number of rows.

    It is the convolution with one tap of one image, whose pixels are the rows.
    """

    def __init__(self, weight, bias, **options):
        super().__init__("gemm", (1, 0, 1, 1), weight[..., None], bias, **options)

    def __call__(self, x, add=None):
        """The layer's result."""
        if not len(x):
            return x @ self.weight[..., 0].T
        if add is not None:
            add = np.atleast_2d(add).T[None]
        return self._convolve(x.T[None], add)[0].T


class PackedTranspose(Packed):
    """The transposed one, with ONNX's output_padding and output_shape."""

    def __init__(self, geometry, weight, bias, output_padding=None, output_shape=None, **options):
        super().__init__("conv_transpose", geometry, weight, bias, **options)
        self.extra = tuple(output_padding or (0,) * (weight.ndim - 2))
        self.output_shape = tuple(output_shape) if output_shape else None

    def _problem(self, shape):
        stride, padding, dilation, groups = self.geometry
        shape, pairs, beyond = transposed(
            self.operation,
            shape,
            self.weight.shape,
            stride,
            padding,
            self.extra,
            dilation,
            groups,
            self.output_shape,
            "channels_first",
        )
        problem = Problem(
            shape,
            self.weight.shape,
            self.weight.dtype,
            stride,
            pairs,
            dilation,
            groups,
            direction="grad_input",
            operation=self.operation,
        )
        return problem, beyond
