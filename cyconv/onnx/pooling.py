"""Pools: a maximum or a mean of windows, axis by axis.

A maximum over a box is one over its rows and then over its columns, and so is a sum. The arguments
are ONNX's.
"""

from functools import reduce
from math import ceil, prod

import numpy as np

from cyconv.lowering.borders import extended
from cyconv.onnx.attributes import AUTO_PAD, pairs
from cyconv.problem import pad_pairs
from cyconv.runtime import machine

BLOCK = machine.caches().l2 // 2
"""Bytes of the planes that are pooled together."""

LONG = 24
"""Outputs of a row from which on NumPy takes each row by itself."""


def maxima(x, kernel_shape, **attributes):
    """The largest value of each window (MaxPool)."""
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    axes = list(windows(x.shape, kernel_shape, **attributes))
    y = np.empty((*x.shape[:2], *(axis[0] for axis in axes)), x.dtype)
    for planes, results in blocks(x, y):
        for axis, window in enumerate(axes, 1):
            with np.errstate(invalid="ignore"):
                planes = reduced(planes, axis, *window, lowest, np.maximum)
        results[...] = planes
    return y


def averages(x, kernel_shape, count_include_pad=0, **attributes):
    """The mean of each window (AveragePool), of its cells with the padding or without."""
    counts = []
    for axis, window in enumerate(windows(x.shape, kernel_shape, **attributes), 2):
        size, kernel, stride, dilation, (low, high) = window
        begin, end = (-low, x.shape[axis] + high) if count_include_pad else (0, x.shape[axis])
        cells = np.arange(size)[:, None] * stride + np.arange(kernel) * dilation - low
        counts.append(((cells >= begin) & (cells < end)).sum(1))
        with np.errstate(invalid="ignore", over="ignore"):
            x = reduced(x, axis, *window, 0, np.add)
    x /= reduce(np.multiply.outer, counts).astype(x.dtype)
    return x


def blocks(x, y):
    """A few planes of x at a time, and of y, so that what is between them stays in a cache."""
    planes = max(1, BLOCK // max(1, prod(x.shape[2:]) * x.itemsize))
    for image, results in zip(x, y, strict=True):
        for c in range(0, len(image), planes):
            yield image[c : c + planes], results[c : c + planes]


def windows(shape, kernel, auto_pad="NOTSET", pads=None, strides=None, dilations=None, ceil_mode=0):
    """For each spatial axis (number of windows, kernel, stride, dilation, padding)."""
    sizes = shape[2:]
    ones = (1,) * len(sizes)
    stride, dilation, kernel = tuple(strides or ones), tuple(dilations or ones), tuple(kernel)
    if auto_pad in AUTO_PAD:
        padding = pad_pairs("pool", AUTO_PAD[auto_pad], sizes, kernel, stride, dilation)
    else:
        padding = pairs("pool", pads, len(sizes))
    for n, k, s, d, (lo, hi) in zip(sizes, kernel, stride, dilation, padding, strict=True):
        steps = (n + lo + hi - d * (k - 1) - 1) / s
        count = (ceil(steps) if ceil_mode else int(steps // 1)) + 1
        if ceil_mode and (count - 1) * s >= n + lo:
            count -= 1  # a window must begin before the padding at the end
        yield count, k, s, d, (lo, hi)


def reduced(x, axis, count, kernel, stride, dilation, padding, empty, function):
    """`function` over the windows along one axis, outside which there is `empty`."""
    low, n = padding[0], x.shape[axis]
    before = (slice(None),) * axis
    high = (count - 1) * stride + dilation * (kernel - 1) + 1 - low - n
    if axis == x.ndim - 1 and count < LONG and x.size:
        if low > 0 or high > 0:
            widths = [(0, 0)] * x.ndim
            widths[axis] = (low, max(high, 0))
            x = extended(x, widths, "constant", empty)
        return reduced_flat(x, count, kernel, stride, dilation, function)
    result = np.empty((*x.shape[:axis], count, *x.shape[axis + 1 :]), x.dtype)
    whole, parts = [], []  # the taps of all windows, and of some
    for r in range(kernel):
        shift = r * dilation - low
        begin, end = max(0, -(shift // stride)), min(count, (n - 1 - shift) // stride + 1)
        if begin < end:
            at = begin * stride + shift
            outputs = (*before, slice(begin, end))
            inputs = (*before, slice(at, at + (end - begin - 1) * stride + 1, stride))
            if end - begin == count:
                whole.append(x[inputs])
            else:
                parts.append((result[outputs], x[inputs]))
    if whole:
        accumulated(whole, result, function)
    else:
        result[...] = empty
    for outputs, inputs in parts:
        function(outputs, inputs, out=outputs)
    return result


def reduced_flat(x, count, kernel, stride, dilation, function):
    """The same along the last axis, of short rows that hold their border: all are taken as one.

    What a window reads of the next row is for positions that are not kept.
    """
    flat = np.ascontiguousarray(x).reshape(-1)
    whole = np.empty_like(flat)
    span = dilation * (kernel - 1)
    result = whole[: flat.size - span]
    shifted = [flat[r : r + result.size] for r in range(0, span + 1, dilation)]
    accumulated(shifted, result, function)
    return whole.reshape(x.shape)[..., : (count - 1) * stride + 1 : stride].copy()


def accumulated(taps, result, function):
    """`function` of all taps, in `result`."""
    first, *others = taps
    if not others:
        result[...] = first
        return
    function(first, others[0], out=result)
    for tap in others[1:]:
        function(result, tap, out=result)
