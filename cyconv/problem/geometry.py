r"""The geometry of one axis: sizes, extents and padding, the only place with their formulas.

For one axis of input size H, kernel size R, padding (lo, hi), stride s and dilation d, the
cross-correlation

.. math:: y[p] = \sum_r w[r] \, x[p s + r d - lo]

has :math:`P = \lfloor (H + lo + hi - d (R - 1) - 1) / s \rfloor + 1` outputs [1]_.

References
----------
.. [1] V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning",
   arXiv:1603.07285.
"""

import numpy as np

from cyconv.runtime.arguments import as_int

LIMIT = 2**62  # index arithmetic in the kernels is 64-bit and adds two such numbers at most

_SEQUENCES = (tuple, list, range, np.ndarray)


def are_sizes(value, minimum=0):
    """Whether `value` is a tuple of ints of at least `minimum`, as most shapes are."""
    if type(value) is not tuple:
        return False
    for n in value:  # noqa: SIM110 (every call asks: all() takes twice as long)
        if type(n) is not int or n < minimum:
            return False
    return True


def as_shape(operation, name, shape):
    """`shape` as a tuple of ints >= 0."""
    if are_sizes(shape):
        return shape
    try:
        sizes = tuple(shape)
    except TypeError:
        raise TypeError(f"{operation}: {name} must be a tuple of sizes, got {shape!r}") from None
    return tuple(as_int(operation, f"{name}[{i}]", n, 0) for i, n in enumerate(sizes))


def per_axis(operation, name, value, rank, minimum):
    """An int for every axis, or a sequence of one int per axis, as a tuple of `rank` ints."""
    if type(value) is int and value >= minimum:
        return (value,) * rank
    if are_sizes(value, minimum) and len(value) == rank:
        return value
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if not isinstance(value, _SEQUENCES):
        value = (value,) * rank
    if len(value) != rank:
        raise ValueError(
            f"{operation}: {name} must be an int or {rank} ints, one per axis, got {value!r}"
        )
    return tuple(as_int(operation, f"{name}[{i}]", v, minimum) for i, v in enumerate(value))


def extent(kernel, dilation):
    """Input elements from a kernel's first tap to its last."""
    return dilation * (kernel - 1) + 1


def same_padding(size, kernel, stride, dilation, lower=False):
    """(lo, hi) for ceil(size / stride) outputs: ONNX SAME_UPPER, or SAME_LOWER."""
    outputs = -(-size // stride)
    total = max(0, (outputs - 1) * stride + extent(kernel, dilation) - size)
    return (total - total // 2, total // 2) if lower else (total // 2, total - total // 2)


def pad_pairs(operation, padding, spatial, kernel, stride, dilation):
    """`padding` in any of its forms as one (lo, hi) pair per axis."""
    rank = len(kernel)
    if type(padding) is int and padding >= 0:
        return ((padding, padding),) * rank
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * rank
        if padding in ("same", "same_lower"):
            lower = padding == "same_lower"
            return tuple(
                same_padding(n, k, s, d, lower)
                for n, k, s, d in zip(spatial, kernel, stride, dilation, strict=True)
            )
        raise ValueError(
            f"{operation}: padding must be ints, (lo, hi) pairs or one of "
            f"'valid', 'same', 'same_lower', got {padding!r}"
        )
    scalar = not isinstance(padding, _SEQUENCES) or getattr(padding, "ndim", 1) == 0
    if scalar or len(padding) != rank:
        return tuple((p, p) for p in per_axis(operation, "padding", padding, rank, 0))
    pairs = []
    for axis, value in enumerate(padding):
        name = f"padding[{axis}]"
        if not isinstance(value, _SEQUENCES) or getattr(value, "ndim", 1) == 0:
            value = (value, value)
        if len(value) != 2:
            raise ValueError(f"{operation}: {name} must be an int or (lo, hi), got {value!r}")
        pairs.append(tuple(as_int(operation, name, v, 0) for v in value))
    return tuple(pairs)


def output_size(size, kernel, stride, padding, dilation):
    """Outputs along one axis (see the module's formula); <= 0 where the kernel does not fit."""
    lo, hi = padding
    return (size + lo + hi - extent(kernel, dilation)) // stride + 1


def between_zeros(begin, end, size):
    """What the positions [begin, end) of an axis of `size` cells between zeros hold.

    Returns
    -------
    cells : (start, stop)
        Of the axis.
    zeros : (before, after)
        How many lie on either side of these cells.
    """
    start, stop = (min(max(position, 0), size) for position in (begin, end))
    before = min(max(-begin, 0), end - begin)
    return (start, stop), (before, end - begin - before - (stop - start))
