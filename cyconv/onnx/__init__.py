"""The door for ONNX: its operators, and models with their convolutions packed.

    model ──► folding ────► steps ──► packed ──► cyconv.planning
    (file)    (constants,   (a run)   layers ──► NumPy
               what joins)            the rest ► onnx.reference

- :mod:`cyconv.onnx.attributes`: a node's attributes as arguments of cyconv's functions.
- :mod:`cyconv.onnx.convolutions`: Conv, ConvTranspose, ConvInteger, QLinearConv, Col2Im and
  DeformConv for ``onnx.reference.ReferenceEvaluator``: ``new_ops=cyconv.onnx.operators``.
- :mod:`cyconv.onnx.layers`: what stands between convolutions, by NumPy.
- :mod:`cyconv.onnx.folding`: what is constant, and what joins a convolution;
  :mod:`cyconv.onnx.packed`: convolutions with constant weights; :mod:`cyconv.onnx.steps`: a graph
  made of these.
- :func:`cyconv.onnx.prepare`: a model to run many times; :class:`cyconv.onnx.Backend`, the same by
  the interface of ``onnx.backend.base``.

>>> import cyconv.onnx
>>> from onnx import helper
>>> from onnx.reference import ReferenceEvaluator
>>> node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1])
>>> evaluator = ReferenceEvaluator(node, new_ops=cyconv.onnx.operators)
"""

try:
    import onnx  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "onnx":
        raise
    raise ImportError("cyconv.onnx needs ONNX: pip install 'cyconv[onnx]'") from None

from cyconv.onnx.backend import Backend
from cyconv.onnx.convolutions import operators
from cyconv.onnx.model import Model, prepare

__all__ = ["Backend", "Model", "operators", "prepare"]
