"""What makes a graph shorter: constants computed once, and nodes that join a convolution.

Batch normalisation, and a product with or a sum of one constant for each channel, join the weights
and the bias; a sum with another array, and then Relu and Clip, the convolution's last step.
"""

from math import inf

import numpy as np

from cyconv.onnx.layers import affine

RANDOM = {
    "Bernoulli",
    "Dropout",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}


def constants_computed(nodes, constants):
    """The nodes that are left; the results of the others are added to `constants`."""
    left = []
    for node in nodes:
        fixed = all(name in constants for name in node.input)
        if not fixed or node.op_type in RANDOM or node.need_context() or node.has_linked_attribute:
            left.append(node)
            continue
        results = node.run(*(constants[name] for name in node.input))
        constants.update(zip(node.output, results, strict=False))
    return left


class Chain:
    """A convolution and the nodes after it that have joined it.

    Parameters
    ----------
    node : OpRun: Conv, ConvTranspose, or Gemm with the weights (filters, channels)
    weight, bias : arrays; bias may be None

    Attributes
    ----------
    residual : str or None
        What is added before the bounds.
    place : OpRun or None
        The node that adds it.
    """

    def __init__(self, node, weight, bias):
        self.node, self.output, self.joined = node, node.output[0], []
        self.clamp = self.residual = self.place = None
        self.transposed = node.op_type == "ConvTranspose"
        self.groups = getattr(node, "group", None) or 1
        self.filters = weight.shape[1] * self.groups if self.transposed else weight.shape[0]
        self._dtype, self._ndim = weight.dtype, weight.ndim
        self._scale, self._shift = np.ones(self.filters), np.zeros(self.filters)
        self._weight, self._bias = weight, bias

    def join(self, node, constants):
        """Take `node`, which alone reads what the chain gives; False if it can't join."""
        if self.clamp is not None or self._dtype.kind != "f":
            return False
        if node.domain or len(node.output) != 1:
            return False
        if node.op_type in ("Relu", "Clip"):
            clamp = (0.0, inf) if node.op_type == "Relu" else self._bounds(node, constants)
            if clamp is None:
                return False
            self.clamp = clamp
        elif self.residual is not None:
            return False
        elif (found := self._affine(node, constants)) is None:
            self.residual = self._sum(node, constants)
            if self.residual is None:
                return False
            self.place = node
        else:
            scale, shift = found
            self._scale, self._shift = self._scale * scale, self._shift * scale + shift
        self.output = node.output[0]
        self.joined.append(node.op_type)
        return True

    def operands(self):
        """Weight and bias with all that joined them, computed in float64."""
        if np.all(self._scale == 1) and np.all(self._shift == 0):
            return self._weight, self._bias
        w, shift = self._weight.astype(np.float64), self._shift
        if self._bias is not None:
            shift = shift + self._bias * self._scale
        taps = (1,) * (self._ndim - 2)
        if self.transposed:  # each group's filters are the second axis
            grouped = w.reshape(self.groups, -1, *w.shape[1:])
            scale = self._scale.reshape(self.groups, 1, -1, *taps)
            w = (grouped * scale).reshape(w.shape)
        else:
            w = w * self._scale.reshape(-1, 1, *taps)
        return w.astype(self._dtype), shift.astype(self._dtype)

    def _affine(self, node, constants):
        """(scale, shift) for each channel, if the node is that."""
        if node.op_type == "BatchNormalization" and node.input[0] == self.output:
            if type(node).__module__ != affine.__module__ or not all(
                name in constants for name in node.input[1:]
            ):
                return None
            return affine(*(constants[name] for name in node.input[1:]), node.epsilon)
        if node.op_type not in ("Mul", "Add") or len(node.input) != 2:
            return None
        other = node.input[node.input[0] == self.output]
        each = self._each(constants.get(other))
        if each is None:
            return None
        return (each, 0.0) if node.op_type == "Mul" else (1.0, each)

    def _sum(self, node, constants):
        """The name of what `node` adds, if no constant: those of one shape are rare."""
        if node.op_type != "Add" or node.onnx_node.attribute:  # of the first versions
            return None
        other = node.input[node.input[0] == self.output]
        return None if other in constants else other

    def _each(self, array):
        """A constant that has one number, or one for each channel, in float64."""
        if array is None or array.dtype != self._dtype or array.ndim > self._ndim:
            return None
        shape = (1,) * (self._ndim - array.ndim) + array.shape
        if shape[0] != 1 or shape[1] not in (1, self.filters) or any(n != 1 for n in shape[2:]):
            return None
        return array.astype(np.float64).ravel()

    @staticmethod
    def _bounds(node, constants):
        """(low, high) of a Clip: attributes until version 10, then inputs."""
        if len(node.input) == 1:
            low, high = getattr(node, "min", None), getattr(node, "max", None)
        else:
            names = [*node.input[1:], "", ""][:2]
            if any(name and name not in constants for name in names):
                return None
            low, high = (constants[name] if name else None for name in names)
        low, high = -inf if low is None else float(low), inf if high is None else float(high)
        return (low, high) if low <= high else None
