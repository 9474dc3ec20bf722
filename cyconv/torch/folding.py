r"""What can join a convolution before it or after it: which layers, and how.

Batch normalisation in evaluation is an affine map of each channel, and joins the weights:

.. math:: \gamma \frac{(w * x + b) - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta
    = (s w) * x + (s (b - \mu) + \beta), \qquad s = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}

ReLU and its like are bounds, and join the epilogue; so does a residual that is added before them.
"""

from math import inf

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from cyconv.torch.arguments import DTYPES

CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
FUNCTIONS = {
    F.relu: (0.0, inf),
    torch.relu: (0.0, inf),
    torch.relu_: (0.0, inf),
    F.relu6: (0.0, 6.0),
}


def refusal(layer):
    """Why a convolution is left as it is, or None."""
    # A parametrised layer has a class made for it, right above its own.
    own = type(layer).__mro__[1 if parametrize.is_parametrized(layer) else 0]
    if own not in CONVOLUTIONS:
        return f"{type(layer).__name__} is a class of its own"
    if has_hooks(layer):
        return "it has hooks"
    weight = layer.weight
    if nn.parameter.is_lazy(weight):
        return "its weights have no shape yet"
    if weight.device.type != "cpu":
        return f"its weights are on {weight.device}"
    if weight.dtype not in DTYPES:
        return f"its weights are {weight.dtype}"
    return None


def has_hooks(module):
    """Whether a call of `module` does more than its ``forward`` says."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def is_norm(module):
    """Whether `module` is batch normalisation with statistics of its own."""
    return type(module) in NORMS and module.running_mean is not None and not has_hooks(module)


def bounds(module):
    """(low, high) of an activation that is a clamp, or None."""
    if has_hooks(module):
        return None
    if type(module) is nn.ReLU:
        return 0.0, inf
    if type(module) in (nn.ReLU6, nn.Hardtanh):
        return float(module.min_val), float(module.max_val)
    return None


def folded(weight, bias, norm, transposed, groups):
    """Weight and bias of the convolution with `norm` after it, computed in float64."""
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    shift = -norm.running_mean.double() * scale
    if norm.weight is not None:
        scale, shift = scale * norm.weight.double(), shift * norm.weight.double()
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    if bias is not None:
        shift = shift + bias.double() * scale
    w = weight.double()
    if transposed:  # (K, C / groups, *kernel), whose outputs are the C of each group
        w = w.unflatten(0, (groups, -1))
        w = (w * scale.view(groups, 1, -1, *(1,) * (w.dim() - 3))).flatten(0, 1)
    else:
        w = w * scale.view(-1, *(1,) * (w.dim() - 1))
    return w.to(weight.dtype), shift.to(weight.dtype)
