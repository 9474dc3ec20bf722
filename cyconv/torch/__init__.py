"""The door for PyTorch: its convolutions by its names, for tensors on the CPU.

    functional ──► arguments ──► operators ──► tensors ──► cyconv.api
    (names)        (one form)    gradients     (the same
                                 batching       memory)

- :mod:`cyconv.torch.functional`: ``conv1d`` to ``conv_transpose3d`` as ``torch.nn.functional`` has
  them; :mod:`cyconv.torch.arguments`: what they have in common.
- :mod:`cyconv.torch.operators`: three custom operators, each the others' derivative;
  :mod:`cyconv.torch.gradients` and :mod:`cyconv.torch.batching` say so to autograd and to ``vmap``.
- :mod:`cyconv.torch.tensors`: tensors as arrays and back, without a copy.
- :func:`cyconv.torch.optimize`: a model's copy for inference, whose convolutions are
  :mod:`cyconv.torch.packed` and joined (:mod:`cyconv.torch.fusion`) by what follows them.

>>> import torch
>>> import cyconv.torch
>>> x, w = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3, requires_grad=True)
>>> cyconv.torch.conv2d(x, w, padding=1).sum().backward()
>>> w.grad[0, 0, 0].tolist()
[4.0, 6.0, 4.0]
"""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("cyconv.torch needs PyTorch: pip install 'cyconv[torch]'") from None

from cyconv.torch import batching, gradients  # noqa: F401  (they register what they know)
from cyconv.torch.functional import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from cyconv.torch.optimization import optimize

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "optimize",
]
