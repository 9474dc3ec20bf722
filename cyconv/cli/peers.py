"""How each peer computes a layer, by its best means: see `contestants`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Task:
    """A layer or a call with its data: what a contestant is given."""

    layer: Any
    x: np.ndarray
    w: np.ndarray | None
    gradient: np.ndarray | None
    threads: int
    device: str = "cpu"

    @property
    def forward(self):
        """Whether the output is asked for, not the gradients."""
        return self.gradient is None


@dataclass
class Made:
    """What a contestant made of a task."""

    call: Callable[[], Any]
    arrays: Callable[[Any], tuple] = lambda y: (y,)
    algorithm: str | None = None


# ---- deep learning ------------------------------------------------------------------------------


def torch_in(layout):
    """PyTorch with its arrays in `layout`; 'prepacked' is channels last, weights reordered."""

    def make(task):
        import torch

        torch.set_num_threads(task.threads)
        layer, rank = task.layer, task.w.ndim - 2
        how = [[n] * rank for n in (layer.stride, layer.padding, 1)]
        x, w, gradient = (
            None if a is None else torch.from_numpy(a) for a in (task.x, task.w, task.gradient)
        )
        if layout != "nchw":
            last = torch.channels_last
            x, w, gradient = (
                None if a is None else a.contiguous(memory_format=last) for a in (x, w, gradient)
            )
        if not task.forward:
            both = torch.ops.aten.convolution_backward
            wanted = [True, layer.direction == "backward", False]
            tail = (None, *how, False, [0] * rank, layer.groups, wanted)
            return Made(
                lambda: both(gradient, x, w, *tail),
                lambda out: tuple(a.numpy() for a in out if a is not None),
            )
        if layout == "prepacked":
            stride, padding, dilation = how
            ordered = torch.ops.mkldnn._reorder_convolution_weight(
                w, padding, stride, dilation, layer.groups, list(x.shape)
            )
            tail = (None, padding, stride, dilation, layer.groups, "none", [], "")
            convolve = torch.ops.mkldnn._convolution_pointwise
        else:
            ordered, tail = w, (None, *how, layer.groups)
            convolve = getattr(torch, f"conv{rank}d")

        def call():
            with torch.inference_mode():
                return convolve(x, ordered, *tail)

        return Made(call, lambda y: (y.numpy(),))

    return make


def onnxruntime_session(model, threads):
    """ONNX Runtime's, of a model as bytes or of the path to one."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def make_onnxruntime(task):
    """A session of one Conv node with its weights in the model, bound to its arrays."""
    from onnx import helper, numpy_helper

    layer, rank = task.layer, task.w.ndim - 2
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        strides=[layer.stride] * rank,
        pads=[layer.padding] * (2 * rank),
        group=layer.groups,
        kernel_shape=task.w.shape[2:],
    )
    return onnxruntime_node(task, node, [numpy_helper.from_array(task.w, "w")])


def onnxruntime_node(task, node, constants):
    """A session of one node that makes y of x, bound to its arrays."""
    import onnxruntime as ort
    from onnx import helper

    layer = task.layer
    kind = helper.np_dtype_to_tensor_dtype(task.x.dtype)
    graph = helper.make_graph(
        [node],
        "conv",
        [helper.make_tensor_value_info("x", kind, task.x.shape)],
        [helper.make_tensor_value_info("y", kind, layer.y)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime_session(model.SerializeToString(), task.threads)
    y = ort.OrtValue.ortvalue_from_shape_and_type(layer.y, task.x.dtype, "cpu")
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(task.x, "cpu"))
    binding.bind_ortvalue_output("y", y)
    return Made(lambda: session.run_with_iobinding(binding), lambda _: (y.numpy(),))


# ---- images and signals -------------------------------------------------------------------------


def make_opencv(task):
    """``filter2D``: it correlates, as layers do, so the kernel is not turned."""
    import cv2

    cv2.setNumThreads(task.threads)
    image, kernel = task.x[0, 0], task.w[0, 0]
    y = np.empty_like(image)

    def call():
        return cv2.filter2D(image, -1, kernel, y, borderType=cv2.BORDER_CONSTANT)

    return Made(call, _batched)


def make_ndimage(task):
    """``scipy.ndimage.correlate``: the kernel as it is, zeros beyond the border."""
    from scipy import ndimage

    image, kernel = task.x[0, 0], task.w[0, 0]
    y = np.empty_like(image)

    def call():
        ndimage.correlate(image, kernel, output=y, mode="constant")
        return y

    return Made(call, _batched)


def signal_by(name):
    """`scipy.signal`'s function on the array, the same size for images, the valid part else."""

    def make(task):
        import scipy.fft
        from scipy import signal

        a, kernel = task.x[0, 0], task.w[0, 0]
        mode = "same" if task.layer.padding else "valid"
        function, options = getattr(signal, name), {"mode": mode}
        if name == "correlate":
            options["method"] = signal.choose_conv_method(a, kernel, mode)
        else:
            kernel = np.ascontiguousarray(np.flip(kernel))  # these convolve

        def call():
            with scipy.fft.set_workers(task.threads):
                return function(a, kernel, **options)

        return Made(call, _batched, options.get("method"))

    return make


def _transforms(library, threads):
    """The real transforms over axes, there and back, of arrays of NumPy's kind or torch's."""
    if library == "torch":
        import torch

        torch.set_num_threads(threads)
        return torch.fft.rfftn, torch.fft.irfftn
    if library == "mkl_fft":
        import mkl_fft

        return mkl_fft.rfftn, mkl_fft.irfftn
    import pyfftw

    pyfftw.interfaces.cache.enable()
    from pyfftw.interfaces import scipy_fft

    both = scipy_fft.rfftn, scipy_fft.irfftn
    return tuple(lambda *args, f=f: f(*args, workers=threads) for f in both)


def spectra_by(library):
    """One product of spectra of the whole array, the filters' prepared, as written by hand."""

    def make(task):
        from scipy.fft import next_fast_len

        there, back = _transforms(library, task.threads)
        layer, axes = task.layer, tuple(range(2, task.w.ndim))
        x, w = task.x, np.swapaxes(task.w, 0, 1)
        if library == "torch":
            import torch

            x, w = torch.from_numpy(x), torch.from_numpy(np.ascontiguousarray(w))
        p, sizes = layer.padding, layer.y[2:]
        lengths = [next_fast_len(n + p, real=True) for n in x.shape[2:]]
        spectra = there(w, lengths, axes).conj()
        # Outputs before the image's first cell lie at the end of the circle.
        head = [
            np.r_[length - p : length, : n - p] for length, n in zip(lengths, sizes, strict=True)
        ]

        def call():
            y = back(there(x, lengths, axes) * spectra, lengths, axes)
            if p == 0:
                return y[(..., *map(slice, sizes))]
            for axis, cells in zip(axes, head, strict=True):
                y = y[(slice(None),) * axis + (cells,)]
            return y

        return Made(call, lambda y: (np.asarray(y),))

    return make


def make_numpy(task):
    """``numpy.convolve``, which turns the kernel back."""
    a, kernel = task.x[0, 0], np.ascontiguousarray(np.flip(task.w[0, 0]))
    return Made(lambda: np.convolve(a, kernel, mode="valid"), _batched)


def _batched(y):
    return (y[None, None],)
