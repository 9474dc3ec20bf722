"""The functions people call: each builds a Problem, gets its Plan and runs it."""

from __future__ import annotations

import numpy as np

import cyconv.kernels
from cyconv._parallel import get_num_threads
from cyconv.plan import cache, plan
from cyconv.problem import Problem


def _convolve(
    operation, rank, x, w, bias, stride, padding, dilation, groups, padding_mode, data_format,
    flip, activation, algorithm, device, threads, accuracy, workspace_limit, out, out_dtype,
):  # fmt: skip
    x, w = _as_array(operation, "x", x), _as_array(operation, "w", w)
    if rank is not None and w.ndim != rank + 2:
        raise ValueError(
            f"{operation}: w must have {rank + 2} axes (K, C/groups, *kernel), got shape {w.shape}"
        )
    geometry = (stride, padding, dilation, groups)
    options = (padding_mode, data_format, flip, algorithm, device, accuracy, workspace_limit)
    key = None
    if all(map(_plain, geometry)) and all(map(_plain, options)) and _plain(threads):
        key = (
            operation, x.shape, w.shape, x.dtype, w.dtype, *geometry, *options, out_dtype,
            threads or get_num_threads(), cyconv.kernels.isa(),
        )  # fmt: skip
        found = cache.get(key)
        if found is not None:
            return found(x, w, bias, out, activation)
    if x.dtype.newbyteorder("=") != w.dtype.newbyteorder("="):
        raise TypeError(f"{operation}: x and w must have one dtype, got {x.dtype} and {w.dtype}")
    problem = Problem(
        x.shape, w.shape, x.dtype, *geometry, padding_mode=padding_mode, data_format=data_format,
        flip=flip, out_dtype=out_dtype, operation=operation,
    )  # fmt: skip
    found = plan(problem, algorithm, device, threads, accuracy, workspace_limit)
    if key is not None:
        cache.put(key, found)
    return found(x, w, bias, out, activation)


def _as_array(operation, name, array):
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{operation}: {name} must not be a masked array: masks are not kept")
    return np.asarray(array)


def _plain(value):
    """Whether equal values of this kind are the same argument: 1 == True == 1.0 are not."""
    kind = type(value)
    if kind is tuple:
        return all(map(_plain, value))
    return kind is int or kind is str or value is None or value is False or value is True


_DOCUMENTATION = """{summary}

    .. math:: y[n, k, p] = b[k] + \\\\sum_{{c, r}} w[k, c, r] \\\\, x[n, c, p s + r d - lo]

    with p, r running over {axes}: cross-correlation, as CNNs use it; ``flip=True`` rotates the
    kernel by 180 degrees and gives the true convolution of signal processing.

    Parameters
    ----------
    x : array (N, C, {sizes}), or unbatched (C, {sizes})
        Any strides; never modified.
    w : array (K, C / groups, {kernel}) of x's dtype
    bias : array (K,), optional
    stride, dilation : int or one int per axis, default 1
    padding : default 0
        An int, one int per axis, one (lo, hi) pair per axis, 'valid', 'same' (ceil(in / stride)
        outputs, the odd cell at the end) or 'same_lower'.
    groups : int, default 1
        Divides C and K; each group of channels meets its own filters.
    padding_mode : {{'zeros', 'reflect', 'replicate', 'circular', 'symmetric'}}
    data_format : {{'channels_first', 'channels_last'}} or letters such as 'NHWC'
        How x and the result lie; w does not change.
    flip : bool, default False
    activation : {{None, 'relu', 'relu6'}} or (low, high)
        Applied to the result while it is in registers.
    algorithm : str, default 'auto'
        One of ``cyconv.algorithms(problem)``, or the library's choice.
    device : {{'cpu'}}
    threads : int, optional
        Default :func:`get_num_threads`. The result's bits do not depend on it.
    accuracy : {{'balanced', 'strict', 'fast'}} or float
        What the choice of algorithm may cost: error within 4 times direct summation's, within 1.5
        times, any; or a bound on the relative error.
    workspace_limit : int, optional
        Bytes of scratch, all threads together; default 256 MiB.
    out : array of the result's shape and dtype, optional
        Not written by a call that raises. May overlap x and w.
    out_dtype : dtype, optional
        Default x's.

    Returns
    -------
    y : array (N, K, {outputs}), or (K, {outputs})
        P = floor((H + lo + hi - d (R - 1) - 1) / s) + 1 along each axis. Zero padding counts as
        multiplied: an infinite weight on it gives NaN, as on an explicit border of zeros.

    Raises
    ------
    TypeError, ValueError
        For an argument that is wrong, or an algorithm that cannot; the message names it.
    MemoryError
        If no algorithm fits `workspace_limit`, or there is no memory for the result.

    References
    ----------
    .. [1] V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning",
       arXiv:1603.07285.
    """


def _correlation(name, rank, summary, axes, sizes, kernel, outputs):
    """The public function `name`; all of them share one signature and one body."""

    def convolution(
        x, w, bias=None, stride=1, padding=0, dilation=1, groups=1, *, padding_mode="zeros",
        data_format="channels_first", flip=False, activation=None, algorithm="auto", device="cpu",
        threads=None, accuracy="balanced", workspace_limit=None, out=None, out_dtype=None,
    ):  # fmt: skip
        return _convolve(
            name, rank, x, w, bias, stride, padding, dilation, groups, padding_mode, data_format,
            flip, activation, algorithm, device, threads, accuracy, workspace_limit, out, out_dtype,
        )  # fmt: skip

    convolution.__name__ = convolution.__qualname__ = name
    convolution.__doc__ = _DOCUMENTATION.format(
        summary=summary, axes=axes, sizes=sizes, kernel=kernel, outputs=outputs
    )
    return convolution


conv1d = _correlation(
    "conv1d", 1, "Convolution over one axis: signals, sequences.", "one axis", "L", "R", "P"
)
conv2d = _correlation(
    "conv2d", 2, "Convolution over two axes: images.", "two axes", "H, W", "R, S", "P, Q"
)
