"""Filters in one call, on images (H, W) and (H, W, C)."""

import numpy as np

from cyconv.api import conv2d
from cyconv.planning.plan import plan
from cyconv.problem import Problem
from cyconv.problem.operands import as_array, check_on_host, is_on_device

from .kernels import GRADIENTS, get_kernel
from .separable import check_kernel, separate

#: What `conv2d` also takes, and `plan` needs to know.
_HOW = ("algorithm", "device", "threads", "accuracy", "workspace_limit")


def _planes(operation, image, how):
    """`image` (H, W) or (H, W, C) as (C, 1, H, W), in the dtype its sums are taken in."""
    image = as_array(operation, "image", image)
    if how.get("device", "cpu") == "cpu":
        check_on_host(operation, "image", image)
    if image.dtype.kind not in "iuf" and image.dtype.name != "bfloat16":
        raise TypeError(f"{operation}: image must hold real numbers, got dtype {image.dtype}")
    if image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(
            f"{operation}: image must be (H, W) or (H, W, C), not empty, got shape {image.shape}"
        )
    dtype = np.result_type(image, np.float32)
    planes = image[None] if image.ndim == 2 else image.transpose((2, 0, 1))
    return (planes if planes.dtype == dtype else _contiguous(operation, planes, dtype))[:, None]


def _contiguous(operation, planes, dtype):
    """A copy in C order, where they lie."""
    if is_on_device(planes):
        from cyconv.opencl.functions import converted

        return converted(operation, "image", planes, dtype)
    return planes.astype(dtype, order="C")


def _check_how(operation, how):
    for name in how:
        if name not in _HOW:
            raise TypeError(f"{operation}: no argument is called {name}; {', '.join(_HOW)} are")


def _seconds(problem, accuracy, workspace_limit, device):
    """What `problem` is predicted to take, for any number of threads the same."""
    return plan(problem, device=device, accuracy=accuracy, workspace_limit=workspace_limit).seconds


def _borders(kernel):
    """(lo, hi) for each axis of `kernel`, so that the output is as large as the input."""
    return tuple(((n - 1) // 2, n // 2) for n in kernel)


def _chain(operation, shape, kernels, mode):
    """One same-size pass on planes of `shape` for each stack (K, R, S) in `kernels`."""
    chain = []
    for weights in (stack[:, None] for stack in kernels):
        problem = Problem(
            shape,
            weights.shape,
            weights.dtype,
            padding=_borders(weights.shape[2:]),
            padding_mode=mode,
            operation=operation,
        )
        chain.append((problem, weights))
    return chain


def _passes(operation, planes, kernel, mode, separable, how):
    dtype = planes.dtype
    if isinstance(kernel, str):
        kernel = get_kernel(kernel, dtype=dtype)
    kernel = check_kernel(operation, kernel).astype(dtype)
    whole = _chain(operation, planes.shape, [kernel[None]], mode)
    named = how.get("algorithm", "auto") != "auto"
    if separable is False or (separable is None and (named or 1 in kernel.shape)):
        return whole
    accuracy = how.get("accuracy", "balanced")
    pair = separate(kernel, None if isinstance(accuracy, str) else accuracy)
    if pair is None:
        if separable:
            raise ValueError(f"{operation}: separable=True needs a kernel of rank 1")
        return whole
    column, row = pair
    split = _chain(operation, planes.shape, [column[None, :, None], row[None, None, :]], mode)
    asked = (accuracy, how.get("workspace_limit"), how.get("device", "cpu"))
    one, two = (sum(_seconds(problem, *asked) for problem, _ in c) for c in (whole, split))
    return split if separable or two < one else whole


def _gradient_passes(operation, planes, kernel, mode):
    if kernel not in GRADIENTS:
        known = ", ".join(GRADIENTS)
        raise ValueError(f"{operation}: kernel must be one of {known}, got {kernel!r}")
    return _chain(operation, planes.shape, [np.stack(GRADIENTS[kernel]).astype(planes.dtype)], mode)


def passes(image, kernel, *, mode="reflect", separable=None, **how):
    """The convolutions that `apply` or `gradient` runs one after the other.

    Arguments are those of `apply`; a name in ``GRADIENTS`` stands for `gradient`.

    Returns
    -------
    list of (Problem, weights)
        One pass in 2-D, or two in 1-D. Weights are (K, 1, R, S); ``cyconv.plan`` says more about a
        problem.

    Examples
    --------
    >>> image = np.ones((1000, 1000), "f")
    >>> passes = cyconv.filters.passes(image, cyconv.filters.gaussian(sigma=4), separable=True)
    >>> [weights.shape for problem, weights in passes]
    [(1, 1, 33, 1), (1, 1, 1, 33)]
    """
    operation = "filters.passes"
    _check_how(operation, how)
    planes = _planes(operation, image, how)
    if isinstance(kernel, str) and kernel in GRADIENTS:
        return _gradient_passes(operation, planes, kernel, mode)
    return _passes(operation, planes, kernel, mode, separable, how)


def _run(chain, planes, mode, how):
    for problem, weights in chain:
        planes = conv2d(planes, weights, padding=problem.padding, padding_mode=mode, **how)
    return planes


def _image(operation, planes, ndim):
    """(C, H, W) back to (H, W) or (H, W, C)."""
    if ndim == 2:
        return planes[0]
    return _contiguous(operation, planes.transpose((1, 2, 0)), planes.dtype)


def apply(image, kernel, *, mode="reflect", separable=None, **how):
    """Filter an image: the cross-correlation of every channel with one kernel.

    Parameters
    ----------
    image : array_like, (H, W) or (H, W, C)
        Integers are taken to floating point (float32 up to 16 bits, float64 above), float16 and
        bfloat16 to float32.
    kernel : str or array_like, (R, S)
        A name in ``KERNELS``, with its defaults, or the kernel itself.
    mode : {"reflect", "replicate", "circular", "symmetric", "zeros"}
        What lies beyond the border, the `padding_mode` of `conv2d`. ``scipy.ndimage`` calls these
        mirror, nearest, grid-wrap, reflect and constant.
    separable : bool, optional
        True runs two 1-D passes and refuses a kernel that does not allow it, False never does;
        None does where the kernel has rank 1 (see `separate`), no algorithm is named, and the
        plans for two passes cost less.
    **how
        `algorithm`, `device`, `threads`, `accuracy` and `workspace_limit` of `conv2d`. A float
        `accuracy` also bounds the error of taking the kernel as separable.

    Returns
    -------
    ndarray, as large as the image, floating point
        Not clipped: a derivative has negative values. An Array of pyopencl's stays on its device.

    Examples
    --------
    >>> image = np.zeros((5, 5))
    >>> image[2, 2] = 16
    >>> cyconv.filters.apply(image, "gaussian")
    array([[0., 0., 0., 0., 0.],
           [0., 1., 2., 1., 0.],
           [0., 2., 4., 2., 0.],
           [0., 1., 2., 1., 0.],
           [0., 0., 0., 0., 0.]])
    """
    operation = "filters.apply"
    _check_how(operation, how)
    planes = _planes(operation, image, how)
    chain = _passes(operation, planes, kernel, mode, separable, how)
    return _image(operation, _run(chain, planes, mode, how)[:, 0], np.ndim(image))


def gradient(image, kernel="sobel", *, mode="reflect", **how):
    """The derivatives ``(gx, gy)`` of an image, both from one convolution with two kernels.

    Parameters
    ----------
    image : array_like, (H, W) or (H, W, C)
    kernel : {"sobel", "prewitt", "scharr", "roberts"}
        Not normalised: on a ramp of slope 1, Sobel gives 8, Prewitt 6, Scharr 32. Roberts gives the
        differences along the two diagonals.
    mode, **how
        As for `apply`.

    Examples
    --------
    >>> ramp = np.tile(np.arange(4.0), (4, 1))  # brighter to the right, by 1 a cell
    >>> gx, gy = cyconv.filters.gradient(ramp, "prewitt")
    >>> gx[1], gy[1]
    (array([0., 6., 6., 0.]), array([0., 0., 0., 0.]))
    """
    operation = "filters.gradient"
    _check_how(operation, how)
    planes = _planes(operation, image, how)
    y = _run(_gradient_passes(operation, planes, kernel, mode), planes, mode, how)
    return tuple(_image(operation, y[:, i], np.ndim(image)) for i in range(2))


def gradient_magnitude(image, kernel="sobel", *, mode="reflect", **how):
    """``sqrt(gx² + gy²)`` of `gradient`, channel by channel, without overflow.

    Examples
    --------
    >>> step = np.repeat([[0.0, 0, 3, 3]], 4, axis=0)
    >>> cyconv.filters.gradient_magnitude(step, "sobel")[1]
    array([ 0., 12., 12.,  0.])
    """
    gx, gy = gradient(image, kernel, mode=mode, **how)
    if is_on_device(gx):
        from cyconv.opencl.functions import hypot

        return hypot(gx, gy)
    return np.hypot(gx, gy)
