"""A row as an ONNX model, its weights within."""

import numpy as np


def model(task):
    """A model with input x and output y."""
    from onnx import numpy_helper

    nodes, constants, names = [], {}, ["x"]
    for i, (step, (w, bias)) in enumerate(
        zip(task.graph.steps, task.parameters, strict=True), start=1
    ):
        given = {f"w{i}": w} | ({} if bias is None else {f"b{i}": bias})
        constants |= given if step.layer else {}
        names.append("y" if i == len(task.graph.steps) else f"v{i}")
        nodes += _nodes(i, step, list(given), names)
    if any(step.activation == "relu6" for step in task.graph.steps):
        constants |= {"low": task.w.dtype.type(0), "high": task.w.dtype.type(6)}
    kept = [
        numpy_helper.from_array(np.asarray(a, order="C"), name) for name, a in constants.items()
    ]
    return of_nodes(nodes, kept, task.x, task.graph.y)


def of_nodes(nodes, constants, x, y_shape):
    """The model of nodes that make y, of this shape, of x."""
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        nodes,
        "row",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, y_shape)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _nodes(i, step, given, names):
    """The nodes that make ``names[i]``."""
    from onnx.helper import make_node

    x, y = names[:-1][step.source], names[i]
    if step.pool == "mean":
        return [make_node("GlobalAveragePool", [x], [y])]
    if step.pool:
        kernel, stride, padding = ([n] * 2 for n in step.pool)
        how = {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}
        return [make_node("MaxPool", [x], [y], **how)]
    layer = step.layer
    stride, padding, dilation = map(list, zip(*layer.axes, strict=True))
    how = {"strides": stride, "pads": padding * 2, "dilations": dilation, "group": layer.groups}
    how["kernel_shape"] = layer.w[2:]
    if layer.output_padding:
        how["output_padding"] = [layer.output_padding] * len(stride)
    after = []
    if step.add is not None:
        after.append(("Add", [names[step.add]]))
    if step.activation:
        after.append(("Relu", []) if step.activation == "relu" else ("Clip", ["low", "high"]))
    results = [f"{y}_{n}" for n in range(len(after))] + [y]
    convolution = "ConvTranspose" if layer.transposed else "Conv"
    nodes = [make_node(convolution, [x, *given], results[:1], **how)]
    for (kind, others), before, result in zip(after, results, results[1:], strict=False):
        nodes.append(make_node(kind, [before, *others], [result]))
    return nodes
