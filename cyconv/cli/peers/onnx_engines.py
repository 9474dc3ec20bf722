"""ONNX Runtime, OpenVINO, MNN and OpenCV, each of an ONNX model, set up to be fastest."""

import os
import tempfile
from pathlib import Path

import numpy as np

from . import Made
from .onnx_model import model, of_nodes

_WINOGRAD_MEMORY = 3  # MNN's hint by this number: 3 is any tile, 2 those of 4 x 4


# ---- ONNX Runtime -------------------------------------------------------------------------------


def onnxruntime_session(model, threads):
    """ONNX Runtime's, of a model as bytes or of the path to one."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def make_onnxruntime(task):
    """A session bound to its arrays."""
    return _bound(task, model(task).SerializeToString(), task.graph.y)


def onnxruntime_node(task, node, constants):
    """A session of one node that makes y of x, bound to its arrays."""
    y = task.layer.y
    return _bound(task, of_nodes([node], constants, task.x, y).SerializeToString(), y)


def _bound(task, given, y_shape):
    import onnxruntime as ort

    session = onnxruntime_session(given, task.threads)
    y = ort.OrtValue.ortvalue_from_shape_and_type(y_shape, task.x.dtype, "cpu")
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(task.x, "cpu"))
    binding.bind_ortvalue_output("y", y)
    return Made(lambda: session.run_with_iobinding(binding), lambda _: (y.numpy(),))


# ---- OpenVINO -----------------------------------------------------------------------------------


def make_openvino(task):
    """One request for the least latency, in float32, that reads and writes NumPy's memory."""
    import openvino

    task.check_float32("openvino")
    core = openvino.Core()
    how = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": task.threads,
        "NUM_STREAMS": 1,
    }
    net = core.read_model(model(task).SerializeToString())
    request = core.compile_model(net, "CPU", how).create_infer_request()
    y = np.empty(task.graph.y, task.x.dtype)
    request.set_input_tensor(openvino.Tensor(task.x, shared_memory=True))
    request.set_output_tensor(openvino.Tensor(y, shared_memory=True))

    def call():
        request.start_async()
        request.wait()
        return y

    return Made(call)


# ---- MNN ----------------------------------------------------------------------------------------


def mnn_by(tiles):
    """MNN of the converted model; `tiles` are 'any' of Winograd's, or the 'small' ones, F(2, 3).

    Any tile is the default, and loses some digits: up to 1e-3 of the largest result.
    """

    def make(task):
        task.check_float32("mnn")
        # The converter itself: the module MNN.tools around it installs packages and sends reports.
        import _tools
        import MNN

        config = {"backend": "CPU", "precision": "high", "numThread": task.threads}
        runtime = MNN.nn.create_runtime_manager((config,))
        runtime.set_hint(_WINOGRAD_MEMORY, {"any": 3, "small": 2}[tiles])
        with tempfile.TemporaryDirectory() as folder:
            source, target = (str(Path(folder, f"row.{end}")) for end in ("onnx", "mnn"))
            Path(source).write_bytes(model(task).SerializeToString())
            files = ["--modelFile", source, "--MNNModel", target]
            _tools.mnnconvert(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "cyconv"])
            if not os.path.exists(target):
                raise ValueError("mnn does not convert the model")
            net = MNN.nn.load_module_from_file(
                target, ["x"], ["y"], runtime_manager=runtime, shape_mutable=False
            )
        x = MNN.expr.placeholder(list(task.x.shape), MNN.expr.NCHW)
        x.write(task.x)
        shape = task.graph.y
        return Made(lambda: net.onForward([x]), lambda ys: (ys[0].read().reshape(shape),))

    return make


# ---- OpenCV -------------------------------------------------------------------------------------


def make_opencv_dnn(task):
    """OpenCV's classic engine with Winograd, where its release has a choice."""
    import cv2

    task.check_float32("opencv")
    cv2.setNumThreads(task.threads)
    given = np.frombuffer(model(task).SerializeToString(), np.uint8)
    how = {"engine": cv2.dnn.ENGINE_CLASSIC} if hasattr(cv2.dnn, "ENGINE_CLASSIC") else {}
    net = cv2.dnn.readNetFromONNX(given, **how)
    net.enableWinograd(True)

    def call():
        net.setInput(task.x)
        return net.forward()

    return Made(call, lambda y: (y.reshape(task.graph.y),))
