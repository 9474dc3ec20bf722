"""A model to run many times: its constants computed, its convolutions packed."""

from collections import Counter
from os import PathLike, fspath

import numpy as np
import onnx
from google.protobuf.field_mask_pb2 import FieldMask
from onnx.backend.base import BackendRep
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

from cyconv.onnx.convolutions import operators
from cyconv.onnx.folding import constants_computed
from cyconv.onnx.layers import layers
from cyconv.onnx.packed import Packed
from cyconv.onnx.steps import joined, last_reads, read_within
from cyconv.planning.cost import check_accuracy
from cyconv.problem.operands import as_array
from cyconv.runtime.parallel import check_threads

_ALL_BUT_WEIGHTS = [field.name for field in onnx.ModelProto.DESCRIPTOR.fields]
_ALL_BUT_WEIGHTS.remove("graph")
_ALL_BUT_WEIGHTS += [
    f"graph.{field.name}"
    for field in onnx.GraphProto.DESCRIPTOR.fields
    if field.name not in ("initializer", "sparse_initializer")
]


def prepare(model, accuracy="balanced", threads=None):
    """A model to run many times, its convolutions computed by cyconv.

    What depends on no input is computed here. Convolutions with constant weights are packed; batch
    normalisation and products and sums with constants of each channel join the weights before
    them, residuals, Relu and Clip the convolution's last step. The rest is NumPy's, or that of
    ONNX's reference evaluator.

    Parameters
    ----------
    model : onnx.ModelProto, or a path to one
    accuracy : {'strict', 'balanced', 'fast'} or float
        As for :func:`cyconv.plan`.
    threads : int, optional
        As for :func:`cyconv.plan`.

    Returns
    -------
    Model
        ``model.run(inputs)``; print it to see what was done.

    Examples
    --------
    >>> import cyconv.onnx
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 4]) for n in "xy")
    >>> w = numpy_helper.from_array(np.ones((1, 1, 3), np.float32), "w")
    >>> node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1])
    >>> graph = helper.make_graph([node], "sums", [x], [y], [w])
    >>> model = helper.make_model(graph)
    >>> image = np.arange(4, dtype=np.float32).reshape(1, 1, 4)
    >>> cyconv.onnx.prepare(model).run([image])[0]
    array([[[1., 3., 6., 5.]]], dtype=float32)
    """
    accuracy = check_accuracy("prepare", accuracy)
    threads = threads if threads is None else check_threads("prepare", threads)
    if isinstance(model, (str, PathLike)):
        path = fspath(model)
        model = onnx.load(path)
        onnx.checker.check_model(path)  # by path there is no limit on the size
    elif isinstance(model, onnx.ModelProto):
        onnx.checker.check_model(model)
    else:
        raise TypeError(
            f"prepare: model must be a ModelProto or a path, got {type(model).__name__}"
        )
    return Model(inline_local_functions(model), accuracy, threads)


class Model(BackendRep):
    """A prepared model; made by :func:`prepare`. It can be pickled, and is prepared again then.

    Attributes
    ----------
    input_names, output_names : list of str
        Initialisers are not among the inputs.

    Examples
    --------
    >>> import cyconv.onnx
    >>> from onnx import parser
    >>> text = 'g (float[4] x) => (float[4] y) {y = Relu(x)}'
    >>> model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}')
    >>> cyconv.onnx.prepare(model).input_names
    ['x']
    """

    def __init__(self, proto, accuracy="balanced", threads=None, initial=None):
        evaluator = ReferenceEvaluator(proto, new_ops=[*operators, *layers])
        initial = evaluator.rt_inits_ if initial is None else initial
        self._made_of = _without_initializers(proto), accuracy, threads, initial
        constants = {"": None, **initial}
        self.input_names = [n for n in evaluator.input_names if n not in constants]
        self.output_names = list(evaluator.output_names)
        nodes = constants_computed(evaluator.rt_nodes_, constants)
        left = set(map(id, nodes))
        self._computed = [n.op_type for n in evaluator.rt_nodes_ if id(n) not in left]
        self._steps = joined(nodes, constants, self.output_names, accuracy, threads)
        read = {name for step in self._steps for name in step.inputs} | {*self.output_names, ""}
        read |= {name for node in nodes for name in read_within(node.onnx_node)}
        self._constants = {name: constants[name] for name in read if name in constants}
        self._last = last_reads(self._steps, {*self.output_names, *self._constants})

    def __reduce__(self):
        return Model, self._made_of

    def run(self, inputs, **_):
        """The model's outputs.

        Parameters
        ----------
        inputs : array, list of arrays in the order of `input_names`, or dict by name

        Returns
        -------
        tuple of arrays
        """
        values = {**self._constants, **self._named(inputs)}
        for step, done in zip(self._steps, self._last, strict=True):
            arrays = [values[name] for name in step.inputs]
            results = step.call(*arrays, context=values) if step.context else step.call(*arrays)
            values.update((n, a) for n, a in zip(step.outputs, results, strict=False) if n)
            for name in done:
                values.pop(name, None)
        return tuple(values[name] for name in self.output_names)

    def _named(self, inputs):
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        if not isinstance(inputs, dict):
            if len(inputs) != len(self.input_names):
                raise ValueError(
                    f"run: inputs must be {len(self.input_names)} arrays, "
                    f"{', '.join(self.input_names)}, got {len(inputs)}"
                )
            inputs = dict(zip(self.input_names, inputs, strict=True))
        if inputs.keys() != set(self.input_names):
            raise ValueError(
                f"run: inputs must be named {', '.join(self.input_names)}, "
                f"got {', '.join(map(str, inputs)) or 'none'}"
            )
        return {
            name: given if isinstance(given, (list, dict)) else as_array("run", name, given)
            for name, given in inputs.items()
        }

    def __str__(self):
        """What was done, in a few lines."""
        packed = [step for step in self._steps if isinstance(step.layer, Packed)]
        others = [step.layer for step in self._steps if not isinstance(step.layer, Packed)]
        rows = {
            "convolutions packed": [step.joined[0] for step in packed],
            "joined to them": [name for step in packed for name in step.joined[1:]],
            "convolutions of what comes": [n.op_type for n in others if type(n) in operators],
            "by NumPy": [n.op_type for n in others if type(n) in layers],
            "by ONNX's reference evaluator": [
                n.op_type for n in others if type(n) not in (*operators, *layers)
            ],
            "computed once": self._computed,
        }
        lines = (f"{name}: {_counted(types)}" for name, types in rows.items() if types)
        return "\n".join(lines)


def _without_initializers(proto):
    """A copy of the model but for its weights, which are elsewhere, as arrays."""
    bare = onnx.ModelProto()
    FieldMask(paths=_ALL_BUT_WEIGHTS).MergeMessage(proto, bare)
    return bare


def _counted(names):
    return ", ".join(f"{n} {name}" for name, n in Counter(names).items())
