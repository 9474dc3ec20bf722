"""Convolutions of arrays larger than memory: dask arrays in, dask arrays out, nothing computed yet.

    dask array ──► windows ──────────► graph ──────────────► cyconv on one block ──► dask array
                   what each output    pieces of chunks,     in each task, on one
                   chunk reads         put together          thread
                   windows.py          graph.py

- :func:`conv`, :func:`conv1d`, :func:`conv2d`, :func:`conv3d`: :mod:`cyconv`'s (conv.py);
  :func:`conv_transpose` and its like, :func:`conv_grad_input` (transposed.py);
  :func:`conv_grad_weight` (gradients.py).
- :mod:`cyconv.dask.ndimage`: every filter of :mod:`cyconv.ndimage`.
- :mod:`cyconv.dask.signal`: :mod:`cyconv.signal`'s convolve, fftconvolve and oaconvolve.

Values are those of the call in memory: the borders are the array's, not the chunks'; integers are
equal, floats within the rounding of another order of summation. A task holds one output chunk and
the cells that it reads, which is a chunk and its halo; kernels, biases and channels are never
divided. Every task computes on one thread, so there are as many as Dask has.
"""

try:
    import dask.array as _  # noqa: F401  (the package, before anything that needs it)
except ImportError as error:
    raise ImportError(
        "cyconv.dask needs dask, which is not installed: pip install 'cyconv[dask]'"
    ) from error

from cyconv.dask import ndimage, signal
from cyconv.dask.conv import conv, conv1d, conv2d, conv3d
from cyconv.dask.gradients import conv_grad_weight
from cyconv.dask.transposed import (
    conv_grad_input,
    conv_transpose,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)

__all__ = [
    "conv",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_grad_input",
    "conv_grad_weight",
    "conv_transpose",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "ndimage",
    "signal",
]
