"""Patches as columns (im2col) and their adjoint (col2im), for any rank and dtype."""

from math import prod

import numpy as np

from cyconv.problem import SUM_DTYPES, Problem, per_axis, sum_dtype
from cyconv.problem.operands import as_array, on_host


def _problem(operation, shape, kernel, dilation, padding, stride):
    """The one-filter convolution whose windows are the columns."""
    return Problem(
        shape,
        (1, shape[1] if len(shape) == len(kernel) + 2 else shape[0], *kernel),
        stride=stride,
        padding=padding,
        dilation=dilation,
        operation=operation,
    )


def _check_padded(problem, head, dtype):
    """MemoryError, by name, if the padded image is beyond any memory."""
    padded = [n + sum(pair) for n, pair in zip(problem.spatial, problem.padding, strict=True)]
    size = prod(head) * prod(padded) * dtype.itemsize
    if size >= 2**40:
        raise MemoryError(f"{problem.operation}: the padded input needs {size} bytes")


def _windows(problem, padded):
    """All windows of a padded array (N, C, *spatial), as a view (N, C, *kernel, *output)."""
    rank, strides = problem.rank, padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (*padded.shape[:2], *problem.kernel, *problem.output_spatial),
        strides[:2]
        + tuple(
            strides[2 + i] * problem.dilation[i] if problem.kernel[i] > 1 else 0
            for i in range(rank)
        )
        + tuple(
            strides[2 + i] * problem.stride[i] if problem.output_spatial[i] > 1 else 0
            for i in range(rank)
        ),
    )


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """The patches of x as columns: im2col.

    .. math:: columns[n, (c, r), p] = x[n, c, p s + r d - lo]

    so that ``w.reshape(K, -1) @ unfold(x, kernel)`` is ``conv(x, w)``.

    Parameters
    ----------
    x : array (N, C, *spatial), or unbatched (C, *spatial), of any dtype
    kernel_size : int or one int per spatial axis
        An int needs a batched x, whose rank tells the axes.
    dilation, padding, stride
        As for :func:`conv`.

    Returns
    -------
    array (N, C * prod(kernel_size), L) or (C * prod(kernel_size), L)
        L = the number of positions of the window.

    Examples
    --------
    >>> x = np.arange(5)[None]  # one channel
    >>> cyconv.unfold(x, (3,))
    array([[0, 1, 2],
           [1, 2, 3],
           [2, 3, 4]])
    >>> np.array([[1, 2, 3]]) @ cyconv.unfold(x, (3,))  # the same as conv1d
    array([[ 8, 14, 20]])
    """
    x = as_array("unfold", "x", x)
    on_host("unfold: x", x)
    rank = len(kernel_size) if np.ndim(kernel_size) == 1 else x.ndim - 2
    if rank < 1 or x.ndim not in (rank + 1, rank + 2):
        raise ValueError(
            f"unfold: x must have a batch axis or not, a channel axis and kernel_size's "
            f"{max(rank, 1)} spatial axes, got shape {x.shape}"
        )
    kernel = per_axis("unfold", "kernel_size", kernel_size, rank, 1)
    problem = _problem("unfold", x.shape, kernel, dilation, padding, stride)
    batched = x if problem.batched else x[None]
    _check_padded(problem, batched.shape[:2], x.dtype)
    padded = np.pad(batched, ((0, 0), (0, 0), *problem.padding))
    columns = _windows(problem, padded).reshape(
        batched.shape[0], batched.shape[1] * prod(problem.kernel), prod(problem.output_spatial)
    )
    return columns if problem.batched else columns[0]


def fold(columns, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """The adjoint of :func:`unfold`: columns added back to where they were taken from (col2im).

    Parameters
    ----------
    columns : array (N, C * prod(kernel_size), L) or (C * prod(kernel_size), L), of any dtype
    output_size : one int per spatial axis
        Spatial shape of the x that was unfolded.
    kernel_size : int or one int per spatial axis
    dilation, padding, stride
        As for :func:`unfold`.

    Returns
    -------
    array (N, C, *output_size) or (C, *output_size)
        In columns' dtype: halves are summed in float32 and rounded once, integers wrap.

    Raises
    ------
    ValueError
        If the columns are not as many, or not as long, as unfold would give.

    Examples
    --------
    >>> columns = cyconv.unfold(np.ones((1, 5)), (3,))
    >>> cyconv.fold(columns, (5,), (3,))  # how many windows hold each cell
    array([[1., 2., 3., 2., 1.]])
    """
    columns = as_array("fold", "columns", columns)
    on_host("fold: columns", columns)
    rank = len(output_size) if np.ndim(output_size) == 1 else 1
    size = per_axis("fold", "output_size", output_size, rank, 0)
    kernel = per_axis("fold", "kernel_size", kernel_size, rank, 1)
    if columns.ndim not in (2, 3):
        raise ValueError(
            f"fold: columns must be (N, C * prod(kernel_size), L), got shape {columns.shape}"
        )
    batched = columns if columns.ndim == 3 else columns[None]
    taps = prod(kernel)
    if taps == 0 or batched.shape[1] % taps:
        raise ValueError(
            f"fold: columns must have a multiple of prod(kernel_size) = {taps} rows, "
            f"got {batched.shape[1]}"
        )
    shape = (batched.shape[0], batched.shape[1] // taps, *size)
    problem = _problem("fold", shape, kernel, dilation, padding, stride)
    if batched.shape[2] != prod(problem.output_spatial):
        raise ValueError(
            f"fold: columns must be {prod(problem.output_spatial)} = prod"
            f"{problem.output_spatial}, one for each window, got {batched.shape[2]}"
        )
    padded = [n + lo + hi for n, (lo, hi) in zip(size, problem.padding, strict=True)]
    dtype = columns.dtype.newbyteorder("=")
    if dtype.kind not in "biufcOV" or (dtype.kind == "V" and dtype.name not in SUM_DTYPES):
        raise TypeError(f"fold: columns must hold numbers, got dtype {dtype}")
    sums = sum_dtype(dtype) if dtype.kind in "fcV" and dtype.name in SUM_DTYPES else dtype
    _check_padded(problem, shape[:2], sums)
    image = np.zeros((*shape[:2], *padded), sums)
    blocks = batched.reshape(*shape[:2], taps, *problem.output_spatial)
    for tap, index in enumerate(np.ndindex(*kernel)):  # one window position a tap: no overlaps
        cells = tuple(
            slice(r * d, r * d + (p - 1) * s + 1, s)
            for r, d, p, s in zip(
                index, problem.dilation, problem.output_spatial, problem.stride, strict=True
            )
        )
        image[(..., *cells)] += blocks[:, :, tap]
    inner = tuple(slice(lo, lo + n) for n, (lo, _) in zip(size, problem.padding, strict=True))
    image = image[(..., *inner)].astype(dtype, copy=False)
    return image if columns.ndim == 3 else image[0]
