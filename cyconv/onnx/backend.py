"""The interface that ONNX asks of a backend, and its tests call."""

from onnx import helper
from onnx.backend.base import Backend as Base

from cyconv.onnx.model import Model, prepare


class Backend(Base):
    """ONNX's interface: ``Backend.prepare(model).run(inputs)``; on the CPU.

    Examples
    --------
    >>> import cyconv.onnx
    >>> from onnx import helper
    >>> node = helper.make_node("Conv", ["x", "w"], ["y"])
    >>> x, w = np.array([[[1, 2, 3]]], np.float32), np.array([[[1, -1]]], np.float32)
    >>> cyconv.onnx.Backend.run_node(node, [x, w])[0]
    array([[[-1., -1.]]], dtype=float32)
    """

    @classmethod
    def prepare(cls, model, device="CPU", **options):
        """As :func:`cyconv.onnx.prepare`, which takes the options."""
        cls._check(device)
        return prepare(model, **options)

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, **options):
        """The outputs of one node for a list of inputs."""
        cls._check(device)
        version = options.pop("opset_version", None)
        opsets = [helper.make_opsetid(node.domain, version)] if version else None
        # Of inputs and outputs only the names: nobody asks for their types.
        graph = helper.make_graph(
            [node],
            "node",
            [helper.make_empty_tensor_value_info(name) for name in node.input if name],
            [helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        model = Model(helper.make_model(graph, opset_imports=opsets), **options)
        return model.run(list(inputs))

    @classmethod
    def supports_device(cls, device):
        """Whether it is the CPU."""
        return device.partition(":")[0] == "CPU"

    @classmethod
    def _check(cls, device):
        if not cls.supports_device(device):
            raise ValueError(f"prepare: device must be 'CPU', got {device!r}")
