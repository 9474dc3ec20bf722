"""A graph's nodes as the steps of a run: convolutions packed, with what joins them."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from cyconv.onnx.attributes import geometry
from cyconv.onnx.folding import Chain
from cyconv.onnx.layers import Gemm
from cyconv.onnx.packed import Packed, PackedIntegers, PackedProduct, PackedTranspose
from cyconv.quantized import Target, centred, multiplier, narrowest, output_zero_point, zero_point

CONVOLVED = ("Conv", "ConvTranspose", "Gemm")
GEOMETRY = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


@dataclass
class Step:
    """What is called with the arrays `inputs`, and gives a tuple of those of `outputs`.

    Attributes
    ----------
    layer : OpRun or Packed
        What does it.
    joined : list of str
        Of a packed convolution: its operator, and those that it computes besides.
    context : bool
        Whether it also reads what other steps have made.
    """

    layer: object
    call: object
    inputs: list
    outputs: list
    joined: list = field(default_factory=list)
    context: bool = False


def joined(nodes, constants, outputs, accuracy, threads):
    """The steps for these nodes; a convolution takes those that can join it.

    One with a residual is computed where the residual is known: in the sum's place.
    """
    readers = Counter(name for node in nodes for name in node.input)
    readers.update(name for node in nodes for name in set(read_within(node.onnx_node)))
    readers.update(outputs)
    reader = {name: node for node in nodes for name in node.input}
    options = {"accuracy": accuracy, "threads": threads}
    gone, later, steps = set(), {}, []
    for node in nodes:
        if id(node) in gone:
            if id(node) in later:
                steps.append(later[id(node)])
            continue
        fixed = not node.domain and not node.has_linked_attribute
        fixed = fixed and all(name in constants for name in node.input[1:])
        given = [constants[name] for name in node.input[1:]] if fixed else []
        operands = convolved(node, *given) if fixed and node.op_type in CONVOLVED else None
        if operands is not None:
            chain = Chain(node, *operands)
            while readers[chain.output] == 1 and chain.output in reader:
                follower = reader[chain.output]
                if id(follower) in gone or not chain.join(follower, constants):
                    break
                gone.add(id(follower))
            step = _floats(chain, options)
            if chain.place is None:
                steps.append(step)
            else:
                later[id(chain.place)] = step
        elif fixed and node.op_type in _INTEGERS:
            steps.append(_INTEGERS[node.op_type](node, options, *given))
        else:
            steps.append(
                Step(
                    node, node.run, list(node.input), list(node.output), context=node.need_context()
                )
            )
    return steps


def convolved(node, weight, bias=None):
    """(weight, bias) of a node that is a convolution; None for a product that is not."""
    if node.op_type != "Gemm":
        return weight, bias
    if not isinstance(node, Gemm) or node.transA or weight.dtype.kind != "f" or not weight.size:
        return None
    weight = weight if node.transB else weight.T
    if node.alpha != 1:
        weight = weight * weight.dtype.type(node.alpha)
    if bias is None or not node.beta:
        return weight, None
    bias = np.atleast_2d(bias)
    if bias.ndim > 2 or len(bias) > 1 or bias.shape[1] not in (1, len(weight)):
        return None  # a value for each row
    bias = np.broadcast_to(bias[0], len(weight))
    return weight, bias * bias.dtype.type(node.beta)


def read_within(node):
    """Names that the node's graphs read, perhaps from the graph around them."""
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            for inner in graph.node:
                yield from inner.input
                yield from read_within(inner)
            yield from (output.name for output in graph.output)


def last_reads(steps, kept):
    """For each step the names, other than these, that nobody reads after it."""
    if any(step.context for step in steps):
        return [()] * len(steps)
    last, kept = [], set(kept)
    for step in reversed(steps):
        names = {*step.inputs, *step.outputs} - kept
        last.append(tuple(names))
        kept |= names
    return last[::-1]


def _floats(chain, options):
    node = chain.node
    weight, bias = chain.operands()
    options = options | {"clamp": chain.clamp}
    if node.op_type == "Gemm":
        layer = PackedProduct(weight, bias, **options)
    elif chain.transposed:
        layer = PackedTranspose(
            _geometry(node, weight), weight, bias, node.output_padding, node.output_shape, **options
        )
    else:
        layer = Packed("conv", _geometry(node, weight), weight, bias, **options)
    inputs = [node.input[0]] + ([chain.residual] if chain.residual else [])
    names = [node.op_type, *chain.joined]
    return Step(layer, lambda *arrays: (layer(*arrays),), inputs, [chain.output], names)


def _integer(node, options, w, x_zero=None, w_zero=None):
    """ConvInteger of x."""
    return _sums("conv_integer", node, options, x_zero, w, w_zero)


def _qlinear(node, options, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias=None):
    """QLinearConv of x."""
    op = "qlinear_conv"
    factor = multiplier(op, x_scale, w_scale, y_scale, len(w))
    zero, dtype = output_zero_point(op, y_zero, None, None)
    target = Target(zero, factor, dtype)
    return _sums(op, node, options, x_zero, w, w_zero, bias, target)


def _sums(operation, node, options, x_zero, w, w_zero, bias=None, target=None):
    """The step with packed weights less their zero points."""
    size = 1 if x_zero is None else x_zero.dtype.itemsize  # ConvInteger's x has 8 bits
    x_zero, w_zero = (np.zeros((), w.dtype) if zero is None else zero for zero in (x_zero, w_zero))
    w_zero = zero_point(operation, "w_zero_point", w_zero, w.dtype, w.shape[:1])
    x_zero = zero_point(operation, "x_zero_point", x_zero, x_zero.dtype)
    dtype = narrowest(np.dtype(f"i{size}"), x_zero, w.dtype, w_zero)
    layer = PackedIntegers(
        operation,
        _geometry(node, w),
        centred(w, w_zero, dtype),
        bias,
        dtype,
        int(x_zero),
        target,
        **options,
    )
    return Step(layer, lambda x: (layer(x),), [node.input[0]], list(node.output), [node.op_type])


def _geometry(node, weight):
    return geometry(node.op_type, weight.shape, **{name: getattr(node, name) for name in GEOMETRY})


_INTEGERS = {"ConvInteger": _integer, "QLinearConv": _qlinear}
