"""PyTorch: functions in one layout, or oneDNN's with the weights reordered beforehand."""

from functools import partial

from . import Made


def torch_in(layout):
    """PyTorch with its arrays in `layout`; 'prepacked' is channels last, weights reordered."""
    return partial(_make, layout)


def _make(layout, task):
    import torch

    torch.set_num_threads(task.threads)
    if not task.forward:
        return _backward(layout, task)
    x = _laid(layout, task.x)
    made = _prepacked if layout == "prepacked" else _plain
    pairs = zip(task.graph.steps, task.parameters, task.graph.shapes, strict=False)
    # a step's weights are ordered for the shape that it reads: its layer's own
    steps = [(step, _pool(step) if step.pool else made(layout, step, *p)) for step, p, _ in pairs]

    def call():
        values = [x]
        with torch.inference_mode():
            for step, function in steps:
                other = None if step.add is None else values[step.add]
                values.append(function(values[step.source], other))
        return values[-1]

    return Made(call, lambda y: (y.numpy(),))


def _laid(layout, array):
    """A tensor of the array, in the layout."""
    import torch

    if array is None:
        return None
    tensor = torch.from_numpy(array)
    return tensor if layout == "nchw" else tensor.contiguous(memory_format=torch.channels_last)


def _plain(layout, step, w, bias):
    """The function of the convolution, and what follows it in place."""
    import torch

    layer = step.layer
    stride, padding, dilation = map(list, zip(*layer.axes, strict=True))
    w, bias = _laid(layout, w), None if bias is None else torch.from_numpy(bias)
    if layer.transposed:
        convolve = getattr(torch, f"conv_transpose{len(stride)}d")
        beyond = [layer.output_padding] * len(stride)
        tail = (bias, stride, padding, beyond, layer.groups, dilation)
    else:
        convolve = getattr(torch, f"conv{len(stride)}d")
        tail = (bias, stride, padding, dilation, layer.groups)
    bound = {"relu": torch.relu_, "relu6": lambda y: torch.clamp_(y, 0, 6)}.get(step.activation)

    def function(x, other):
        y = convolve(x, w, *tail)
        if other is not None:
            y += other
        return y if bound is None else bound(y)

    return function


def _prepacked(layout, step, w, bias):
    """oneDNN's convolution with residual and activation within."""
    import torch

    layer, ops = step.layer, torch.ops.mkldnn
    stride, padding, dilation = map(list, zip(*layer.axes, strict=True))
    w, bias = _laid(layout, w), None if bias is None else torch.from_numpy(bias)
    shape, groups = list(layer.x), layer.groups
    name, scalars, algorithm = {
        None: ("none", [], ""),
        "relu": ("relu", [], ""),
        "relu6": ("hardtanh", [0.0, 6.0], ""),
    }[step.activation]
    if layer.transposed:
        beyond = [layer.output_padding] * len(stride)
        ordered = ops._reorder_convolution_transpose_weight(
            w, padding, beyond, stride, dilation, groups, shape
        )
        tail = (bias, padding, beyond, stride, dilation, groups, name, scalars, algorithm)
        return lambda x, _: ops._convolution_transpose_pointwise(x, ordered, *tail)
    ordered = ops._reorder_convolution_weight(w, padding, stride, dilation, groups, shape)
    how = (bias, padding, stride, dilation, groups)
    if step.add is None:
        return lambda x, _: ops._convolution_pointwise(x, ordered, *how, name, scalars, algorithm)
    unary = "relu" if name == "relu" else None  # the one that it takes after a sum
    both = ops._convolution_pointwise.binary
    tail = (*how, "add", 1.0, unary, [], "")
    if step.activation == "relu6":
        return lambda x, other: torch.clamp_(both(x, other, ordered, *tail), 0, 6)
    return lambda x, other: both(x, other, ordered, *tail)


def _pool(step):
    import torch

    if step.pool == "mean":
        return lambda x, _: x.mean((2, 3), keepdim=True)
    return lambda x, _: torch.nn.functional.max_pool2d(x, *step.pool)


def _backward(layout, task):
    """Both gradients by one call."""
    import torch

    layer = task.layer
    stride, padding, dilation = map(list, zip(*layer.axes, strict=True))
    x, w, gradient = (_laid(layout, a) for a in (task.x, task.w, task.gradient))
    both = torch.ops.aten.convolution_backward
    tail = (None, stride, padding, dilation, False, [0] * len(stride), layer.groups)
    wanted = [True, True, False]
    return Made(
        lambda: both(gradient, x, w, *tail, wanted), lambda out: (out[0].numpy(), out[1].numpy())
    )
