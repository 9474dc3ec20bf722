"""Convolutions of a dask array with an array in memory, by :mod:`cyconv.signal`'s names.

    y[p] = full[start + p],    full[q] = sum of in1[q - r] in2[r]

One of the two operands is a dask array, in either place; the other one is in memory, and every task
has all of it. What is asked for is a slice of the full convolution; a chunk of it is a slice of the
full convolution of a block.
"""

from functools import partial

import dask.array as da
import numpy as np

from cyconv.dask.graph import check_array, check_in_memory, computed
from cyconv.dask.windows import Window, output_spans, spans
from cyconv.problem.operands import on_host
from cyconv.signal.convolution import check_direct, choose_conv_method
from cyconv.signal.slices import check_valid, convolved, slices
from cyconv.signal.spectral import check_axes_match, convolved_axes, middle, spectral_dtype


def convolve(in1, in2, mode="full", method="auto"):
    """:func:`cyconv.signal.convolve` of a dask array and an array in memory, chunk by chunk.

    Parameters
    ----------
    in1, in2 : dask array and array_like, in either order
        Of numbers, and not empty.
    mode, method
        As for :func:`cyconv.signal.convolve`.

    Returns
    -------
    dask array
        Its chunks are the dask operand's, the first and the last with what `mode` adds.
    """
    in1, in2, x, w = _operands("convolve", in1, in2)
    axes = range(x.ndim)
    if mode == "valid":
        check_valid(in1.shape, in2.shape, axes)
    window = slices(mode, in1.shape, in2.shape, axes)
    dtype = np.result_type(x.dtype, w.dtype)
    _check_method(in1, in2, mode, method, dtype)
    cast = dtype
    if method == "fft":
        cast = np.result_type(spectral_dtype(x.dtype), spectral_dtype(w.dtype))
    return _divided("convolve", x, w, axes, window, method, cast, dtype)


def fftconvolve(in1, in2, mode="full", axes=None):
    """:func:`cyconv.signal.fftconvolve` of a dask array and an array in memory, chunk by chunk.

    Parameters
    ----------
    in1, in2 : dask array and array_like, in either order
        Of numbers, and not empty.
    mode, axes
        As for :func:`cyconv.signal.fftconvolve`.

    Returns
    -------
    dask array
        Its chunks are the dask operand's, the first and the last with what `mode` adds.
    """
    return _by_spectra("fftconvolve", in1, in2, mode, axes)


def oaconvolve(in1, in2, mode="full", axes=None):
    """:func:`cyconv.signal.oaconvolve` of a dask array and an array in memory, chunk by chunk.

    Parameters
    ----------
    in1, in2, mode, axes
        As for :func:`fftconvolve`.

    Returns
    -------
    dask array
    """
    return _by_spectra("oaconvolve", in1, in2, mode, axes)


def _by_spectra(name, in1, in2, mode, axes):
    in1, in2, x, w = _operands(name, in1, in2)
    axes = convolved_axes(in1.shape, in2.shape, mode, axes)
    window = slices(mode, in1.shape, in2.shape, axes)
    if axes:
        dtype = np.result_type(spectral_dtype(x.dtype), spectral_dtype(w.dtype))
        y = _divided(name, x, w, axes, window, "fft", dtype, dtype)
    else:
        y = x * w
    return middle(y, in1.shape, axes) if mode == "same" else y


def _operands(name, in1, in2):
    """Both operands in their places, then the dask array and the one in memory."""
    if isinstance(in1, da.Array):
        check_in_memory(name, in2=in2)
        in2 = on_host("in2", in2)
        x, w, place = in1, in2, "in1"
    else:
        if not isinstance(in2, da.Array):
            check_array(name, "in1", in1)
        in1 = on_host("in1", in1)
        x, w, place = in2, in1, "in2"
    check_array(name, place, x)
    check_axes_match(in1.shape, in2.shape)
    for argument, array in (("in1", in1), ("in2", in2)):
        if array.dtype.kind not in "biufc":
            raise TypeError(f"{name}: {argument} must be of numbers, got dtype {array.dtype}")
        if array.ndim == 0 or 0 in array.shape:
            raise ValueError(f"{name}: {argument} must have cells and axes, got {array.shape}")
    return in1, in2, x, w


def _check_method(in1, in2, mode, method, dtype):
    """Refuse what :func:`cyconv.signal.convolve` refuses, whose choice depends on the sizes."""
    if method not in ("auto", "direct", "fft"):
        raise ValueError(f"convolve: method must be 'auto', 'direct' or 'fft', got {method!r}")
    if dtype.char not in "?e":
        return
    if method == "auto":
        sizes = (np.broadcast_to(np.zeros((), o.dtype), o.shape) for o in (in1, in2))
        method = choose_conv_method(*sizes, mode)
    if method == "direct":
        check_direct(dtype, in1, in2, mode)


def _divided(name, x, w, axes, window, algorithm, cast, dtype):
    """The slice `window` of the full convolution along `axes`, as a dask array."""
    asked = dict(zip(axes, window, strict=True))
    windows, chunks = [], []
    for axis, (sizes, taps) in enumerate(zip(x.chunks, w.shape, strict=True)):
        if axis in asked:
            start, size = asked[axis]
            outputs = output_spans(sizes, size, 1, taps - 1 - start, taps)
            found = [_window(sum(sizes), taps, start, *span) for span in outputs]
        elif x.shape[axis] == 1:
            outputs, found = [(0, taps)], [Window(((0, 1),), slice(None))]
        else:
            outputs = spans(sizes)
            found = [Window((s,), slice(None) if taps == 1 else slice(*s)) for s in outputs]
        windows.append(found)
        chunks.append(tuple(last - first for first, last in outputs))
    function = partial(
        _convolved, w=w.astype(cast, copy=False), axes=list(axes), algorithm=algorithm, dtype=dtype
    )
    return computed(name, x, windows, function, tuple(chunks), dtype)


def _window(size, taps, start, first, last):
    """What the outputs [first, last) read; the note is their slice of the block's convolution."""
    begin = max(0, start + first - (taps - 1))
    end = min(size, start + last)
    return Window(((begin, end),), (start + first - begin, last - first))


def _convolved(block, notes, w, axes, algorithm, dtype):
    """One chunk of the result."""
    w = w[tuple(slice(None) if axis in axes else note for axis, note in enumerate(notes))]
    y = convolved(block.astype(w.dtype), w, axes, [notes[axis] for axis in axes], algorithm)
    if dtype.kind in "biu" and y.dtype.kind == "f":
        y = np.rint(y)
    return np.ascontiguousarray(y, dtype)
