"""Every convolution here is a slice of the full one, along each axis.

With n cells of a and k of b the full convolution has n + k - 1::

    full     0, n + k - 1
    same     (k - 1) // 2, n           as many as a, in the middle
    valid    min(n, k) - 1, |n - k| + 1      where the shorter lies inside the longer
             start          size
"""

from math import isfinite, prod

import numpy as np

from cyconv import api
from cyconv.lowering.taps import sum_of_taps
from cyconv.planning.cost import WORKSPACE_LIMIT
from cyconv.problem import MAX_RANK

SLICES = {
    "full": lambda n, k: (0, n + k - 1),
    "same": lambda n, k: ((k - 1) // 2, n),
    "valid": lambda n, k: (min(n, k) - 1, abs(n - k) + 1),
}
"""(start, size) of each mode."""

CONV_DTYPES = "efdFDbhilqBHILQ"
"""Characters of the dtypes that :func:`cyconv.conv` has; others are summed tap by tap."""


def slices(mode, shape_a, shape_b, axes):
    """(start, size) along each of `axes`."""
    if not isinstance(mode, str) or mode not in SLICES:
        raise ValueError(f"acceptable mode flags are 'valid', 'same', or 'full', got {mode!r}")
    return [SLICES[mode](shape_a[axis], shape_b[axis]) for axis in axes]


def check_valid(shape_a, shape_b, axes):
    """Refuse mode 'valid' where neither operand holds the other."""
    longer = {shape_a[axis] > shape_b[axis] for axis in axes if shape_a[axis] != shape_b[axis]}
    if len(longer) > 1:
        raise ValueError(
            "For 'valid' mode, one must be at least as large as the other in every dimension, "
            f"got shapes {shape_a} and {shape_b}"
        )


def convolved(a, b, axes, window, algorithm):
    """The slice `window` of the full convolution over `axes`; the others broadcast.

    Parameters
    ----------
    a, b : arrays of one dtype and the same number of axes
    axes : sequence of int
    window : sequence of (start, size), one pair for each of `axes`
    algorithm : str

    Returns
    -------
    array, (...) over the axes in their places, of the operands' dtype; integers wrap
    """
    if a.ndim == b.ndim == len(axes) == 1 and a.dtype.char in CONV_DTYPES:
        return _line(*((a, b) if a.size >= b.size else (b, a)), *window[0], algorithm)
    front = range(len(axes))
    a, b = (np.moveaxis(operand, axes, front) for operand in (a, b))
    sizes = [size for _, size in window]
    batch = np.broadcast_shapes(a.shape[len(axes) :], b.shape[len(axes) :])
    if prod(a.shape[: len(axes)]) < prod(b.shape[: len(axes)]):
        a, b = b, a
    if a.dtype.char not in CONV_DTYPES or len(axes) > MAX_RANK:
        y = _by_taps(a, b, len(axes), window)
    else:
        y = _by_conv(a, b, len(axes), window, algorithm)
    return np.moveaxis(y.reshape((*sizes, *batch)), front, axes)


def _line(x, w, start, size, algorithm):
    """`size` cells from `start` on of the full convolution of two lines, the longer one first."""
    # NumPy's sums along one line do not multiply an infinite kernel with the zeros outside.
    if not _is_finite(w):
        return sum_of_taps(x, w)[start : start + size]
    before, after = len(w) - 1 - start, start + size - len(x)
    if before < 0 or after < 0:
        x = x[max(-before, 0) : len(x) + min(after, 0)]
    padding = ((max(before, 0), max(after, 0)),)
    return _correlated(x[None, None], w[None, None, ::-1], padding, 1, algorithm)[0, 0]


def _is_finite(w):
    """Whether all numbers are: a sum of squares that is finite needs no second look."""
    return w.dtype.kind not in "fc" or isfinite(np.vdot(w, w).real) or bool(np.isfinite(w).all())


def _correlated(x, w, padding, groups, algorithm, flip=False):
    """:func:`cyconv.conv` in x's dtype."""
    y = api.conv(
        x,
        w,
        padding=padding,
        groups=groups,
        flip=flip,
        algorithm=algorithm,
        accuracy="strict" if x.dtype.kind == "c" else "balanced",
        workspace_limit=max(WORKSPACE_LIMIT, 8 * (x.nbytes + w.nbytes)),  # for the spectra
    )
    return y if y.dtype == x.dtype else y.astype(x.dtype)


def _by_conv(x, w, rank, window, algorithm):
    """The slice by :func:`cyconv.conv`: its padding puts the slice's start at the first output.

    Channels of x that share one kernel are a batch; kernels that share one x are its filters; where
    both differ, every channel is a group of its own.
    """
    images, kernels = (prod(operand.shape[rank:]) for operand in (x, w))
    if 1 not in (images, kernels):
        batch = np.broadcast_shapes(x.shape[rank:], w.shape[rank:])
        x, w = (np.broadcast_to(o, (*o.shape[:rank], *batch)) for o in (x, w))
        images = kernels = prod(batch)
    shape, taps = x.shape[:rank], w.shape[:rank]
    x, w = (np.moveaxis(o.reshape((*o.shape[:rank], -1)), -1, 0) for o in (x, w))
    padding, inside = [], []
    for n, k, (start, size) in zip(shape, taps, window, strict=True):
        before, after = k - 1 - start, start + size - n
        padding.append((max(before, 0), max(after, 0)))
        inside.append(slice(max(-before, 0), n + min(after, 0)))
    x = x[(slice(None), *inside)]
    x, groups = (x[:, None], 1) if kernels == 1 else (x[None], images)
    y = _correlated(x, w[:, None], tuple(padding), groups, algorithm, flip=True)
    return np.moveaxis(y[:, 0] if kernels == 1 else y[0], 0, -1)


def _by_taps(x, w, rank, window):
    """The slice by sums in the operands' own arithmetic."""
    batch = np.broadcast_shapes(x.shape[rank:], w.shape[rank:])
    x, w = (np.broadcast_to(o, (*o.shape[:rank], *batch)) for o in (x, w))
    sizes = [size for _, size in window]
    y = np.empty((*sizes, *batch), x.dtype)
    inside = tuple(slice(start, start + size) for start, size in window)
    for one in np.ndindex(*batch):
        y[(..., *one)] = sum_of_taps(x[(..., *one)], w[(..., *one)])[inside]
    return y
