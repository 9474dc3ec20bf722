"""The interface that ONNX asks of a backend, and its tests call."""

from onnx import helper
from onnx.backend.base import Backend as Base

from cyconv.onnx.model import prepare


class Backend(Base):
    """ONNX's interface: ``Backend.prepare(model).run(inputs)``; on the CPU."""

    @classmethod
    def prepare(cls, model, device="CPU", **options):
        """As :func:`cyconv.onnx.prepare`, which takes the options."""
        if not cls.supports_device(device):
            raise ValueError(f"prepare: device must be 'CPU', got {device!r}")
        return prepare(model, **options)

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, **options):
        """The outputs of one node for a list of inputs."""
        given = [name for name in node.input if name]
        types = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for name, a in zip(given, inputs, strict=True)
        ]
        graph = helper.make_graph(
            [node], "node", types, [helper.make_empty_tensor_value_info(n) for n in node.output]
        )
        version = options.pop("opset_version", None)
        opsets = [helper.make_opsetid("", version)] if version else None
        model = helper.make_model(graph, opset_imports=opsets)
        return cls.prepare(model, device, **options).run(inputs)

    @classmethod
    def supports_device(cls, device):
        """Whether it is the CPU."""
        return device.partition(":")[0] == "CPU"
