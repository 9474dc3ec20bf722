"""A model's copy for inference, with its convolutions packed and fused."""

import copy
from collections import Counter

import torch
from torch import nn

from cyconv.planning.cost import check_accuracy
from cyconv.runtime.parallel import check_threads
from cyconv.torch import folding
from cyconv.torch.fusion import fused, packed
from cyconv.torch.packed import PackedConvolution, put
from cyconv.torch.report import Layer, Report


def optimize(model, example_input, accuracy="balanced", threads=None):
    """A copy of `model` for inference, whose convolutions cyconv computes.

    Weights are packed once. Where ``torch.fx`` can trace the model, batch normalisation joins the
    weights before it, and the sum of a residual block, ReLU, ReLU6 and Hardtanh the convolution's
    epilogue; the copy is then a ``torch.fx.GraphModule``. Where it cannot, layers are replaced one
    for one and the copy has the model's class. Everything else stays as it is.

    Parameters
    ----------
    model : torch.nn.Module
        Not changed.
    example_input : Tensor or tuple of arguments
        What the model is called with, once as it is and once optimised. Inputs of other sizes work
        too; each layer keeps packed weights for the last eight.
    accuracy : {'strict', 'balanced', 'fast'} or float
        As for :func:`cyconv.plan`.
    threads : int, optional
        Of each layer; else torch's, whenever the model is called.

    Returns
    -------
    torch.nn.Module
        In evaluation mode. Its `report` says what was replaced, joined and left, and why: print it.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)).eval()
    >>> x = torch.ones(1, 3, 16, 16)
    >>> faster = cyconv.torch.optimize(model, x)
    >>> torch.allclose(faster(x), model(x), atol=1e-5)
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"optimize: model must be a torch.nn.Module, got {type(model).__name__}")
    accuracy = check_accuracy("optimize", accuracy)
    threads = threads if threads is None else check_threads("optimize", threads)
    inputs = example_input if isinstance(example_input, tuple) else (example_input,)
    with torch.inference_mode(False), torch.no_grad():
        copied = copy.deepcopy(model).eval()
        if isinstance(copied, folding.CONVOLUTIONS):  # a model of one layer
            copied = nn.Sequential(copied)
        expected = copied(*inputs)
        try:
            found, layers = fused(copied, accuracy, threads)
            result, untraced = found(*inputs), None
        except Exception as error:  # whatever Python the model has that torch.fx has not
            found, untraced = copied, _first_line(error)
            layers = replaced(found, accuracy, threads)
            result = found(*inputs)
    found.report = Report(layers, _others(found), untraced, difference(result, expected))
    return found


def replaced(model, accuracy, threads):
    """Replace the convolutions of `model`, one for one; the report's rows."""
    made, rows = {}, []
    for name, layer in list(model.named_modules(remove_duplicate=False)):
        if not isinstance(layer, folding.CONVOLUTIONS):
            continue
        if id(layer) not in made:
            row = Layer(name, type(layer).__name__, note=folding.refusal(layer) or "")
            row.packed = None if row.note else packed(layer, [], accuracy, threads)
            made[id(layer)] = row.packed
            rows.append(row)
        if made[id(layer)] is not None:
            put(model, name, made[id(layer)])
    return rows


def difference(ours, theirs):
    """Largest difference of two results, relative to the second's largest value."""
    if torch.is_tensor(theirs):
        if not theirs.numel() or not (theirs.is_floating_point() or theirs.is_complex()):
            return 0.0
        largest = float(abs(theirs).max())
        return float(abs(ours - theirs).max()) / (largest or 1.0)
    if isinstance(theirs, dict):
        return max((difference(ours[key], theirs[key]) for key in theirs), default=0.0)
    if isinstance(theirs, (tuple, list)):
        return max(map(difference, ours, theirs), default=0.0)
    return 0.0


def _others(model):
    """How many layers of each class there are that nothing was done to."""
    ours = (PackedConvolution, *folding.CONVOLUTIONS)
    leaves = (m for m in model.modules() if not isinstance(m, ours) and not list(m.children()))
    named = (type(m).__name__ for m in leaves if type(m).__module__.startswith("torch.nn"))
    return dict(Counter(name for name in named if name not in ("Module", "Identity")))


def _first_line(error):
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
