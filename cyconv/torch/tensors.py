"""Tensors as arrays and arrays as tensors: the same memory, another name."""

import numpy as np
import torch

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""The memory formats in which channels lie last, by the number of axes."""


def as_array(tensor):
    """The memory of a tensor on the CPU as an array, whatever its strides.

    Only what a conjugated or negated view has put off is done, in a copy.
    """
    if tensor.requires_grad or tensor.is_conj() or tensor.is_neg():
        tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype is not torch.bfloat16:
        return tensor.numpy()
    return tensor.view(torch.int16).numpy().view(_bfloat16())


def as_tensor(array):
    """The memory of an array as a tensor."""
    if array.dtype.kind != "V":  # as NumPy calls bfloat16
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)


def _bfloat16():
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        raise ImportError(
            "cyconv.torch needs ml_dtypes for bfloat16: pip install 'cyconv[torch]'"
        ) from None
    return ml_dtypes.bfloat16


def lies_last(tensor):
    """Whether the channels of (N, C, *spatial) lie last in memory, and surely not first."""
    if tensor.is_contiguous():
        return False
    last = FORMATS.get(tensor.dim())
    return last is not None and tensor.is_contiguous(memory_format=last)


def empty(like, shape, last):
    """A tensor that holds nothing yet, of `like`'s dtype and device: what tracing asks for."""
    layout = FORMATS[len(shape)] if last else torch.contiguous_format
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)


def moved(last):
    """(to, back): permutations to (N, *spatial, C) and back, where channels lie last."""
    if not last:
        return (lambda a: a), (lambda a: a)
    return (lambda a: np.moveaxis(a, 1, -1)), (lambda a: np.moveaxis(a, -1, 1))
