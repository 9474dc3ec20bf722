"""What stands between the convolutions of a network, by NumPy.

ONNX's reference evaluator is written to be read: its pools visit each window in Python, and it has
some operators in their newest version only. The classes have the operators' names; for a node that
one doesn't serve, the evaluator's own is made.
"""

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops import load_op

from cyconv.onnx.pooling import averages, maxima


class Layer(OpRun):
    """An operator with one result."""

    def __new__(cls, node, run_params):
        """The evaluator's own where this class doesn't serve."""
        version = run_params["opsets"][""]
        if len(node.output) == 1 and cls.serves(node, version):
            return super().__new__(cls)
        return load_op("", node.op_type, version)(node, run_params)

    @staticmethod
    def serves(node, version):
        """Whether this class computes this node of this version of the operators."""
        return True


class Relu(Layer):
    """max(x, 0)."""

    def _run(self, x):
        return (np.maximum(x, x.dtype.type(0)),)


class MaxPool(Layer):
    """Largest values of windows."""

    def _run(self, x, kernel_shape, storage_order=0, **attributes):
        return (maxima(x, kernel_shape, **attributes),)


class AveragePool(Layer):
    """Means of windows."""

    def _run(self, x, kernel_shape, **attributes):
        return (averages(x, kernel_shape, **attributes),)


class GlobalAveragePool(Layer):
    """Means of the planes."""

    def _run(self, x):
        planes = np.ascontiguousarray(x).reshape(*x.shape[:2], -1)
        y = planes.mean(axis=2)
        return (y.reshape(*y.shape, *(1,) * (x.ndim - 2)),)


class Gemm(Layer):
    """alpha A B + beta C."""

    @staticmethod
    def serves(node, version):
        """Until version 6 C was broadcast only where an attribute said so."""
        return version >= 7

    def _run(self, a, b, c=None, alpha=1.0, beta=1.0, transA=0, transB=0):
        y = (a.T if transA else a) @ (b.T if transB else b)
        if alpha != 1:
            y *= y.dtype.type(alpha)
        if c is not None and beta:
            y += c if beta == 1 else c * y.dtype.type(beta)
        return (y,)


class BatchNormalization(Layer):
    """An affine map of each channel, by statistics that are given."""

    @staticmethod
    def serves(node, version):
        """Inference, which is told from training by one result or by an attribute."""
        given = {a.name: a.i for a in node.attribute}
        return version >= 7 and given.get("spatial", 1) == 1 and not given.get("training_mode")

    def _run(self, x, scale, bias, mean, var, epsilon=1e-5, **_):
        factor, shift = affine(scale, bias, mean, var, epsilon)
        each = (-1, *(1,) * (x.ndim - 2))
        y = x * factor.astype(x.dtype).reshape(each)
        y += shift.astype(x.dtype).reshape(each)
        return (y,)


def affine(scale, bias, mean, var, epsilon):
    """Batch normalisation as factor * x + shift, for each channel, in float64."""
    scale, bias, mean, var = (a.astype(np.float64) for a in (scale, bias, mean, var))
    factor = scale / np.sqrt(var + epsilon)
    return factor, bias - mean * factor


class LRN(Layer):
    """x over a power of the sum of squares of the channels around."""

    def _run(self, x, alpha=1e-4, beta=0.75, bias=1.0, size=1):
        before, after = (size - 1) // 2, size // 2
        squares = np.zeros((x.shape[0], x.shape[1] + size - 1, *x.shape[2:]), x.dtype)
        np.square(x, out=squares[:, before : before + x.shape[1]])
        sums = squares[:, : x.shape[1]].copy()
        for i in range(1, before + after + 1):
            sums += squares[:, i : i + x.shape[1]]
        sums *= x.dtype.type(alpha / size)
        sums += x.dtype.type(bias)
        if beta == 0.75:  # b^(3/4) = sqrt(b) sqrt(sqrt(b)), much faster
            root = np.sqrt(sums, out=sums)
            return (x / (root * np.sqrt(root)),)
        return (x / sums ** x.dtype.type(beta),)


class Softmax(Layer):
    """Exponentials over their sum: along an axis; until version 12 over all axes from it on."""

    def _run(self, x, axis=None):
        flat = self.run_params["opsets"][""] < 13
        if flat and not self.onnx_node.attribute:
            axis = 1  # the evaluator knows the default of the newest version
        axes = tuple(range(axis % x.ndim, x.ndim)) if flat else axis
        with np.errstate(invalid="ignore"):  # where all are -inf
            y = np.exp(x - x.max(axis=axes, keepdims=True, initial=-np.inf))
            y /= y.sum(axis=axes, keepdims=True)
        return (y,)


layers = [Relu, MaxPool, AveragePool, GlobalAveragePool, Gemm, BatchNormalization, LRN, Softmax]
