"""Filters in one call, on images (H, W) and (H, W, C)."""

import numpy as np

from cyconv.algorithms.recall import recalled
from cyconv.api import conv2d
from cyconv.planning.plan import plan
from cyconv.problem import Problem
from cyconv.problem.operands import as_array, check_on_host

from .arguments import borders, check_how, check_image_shape, check_real
from .kernels import GRADIENTS, get_kernel
from .separable import check_kernel, factors
from .tiles import filtered, is_native, pair_is_faster, stored, target_of

#: What `conv2d` also takes, and `plan` needs to know.
_HOW = ("algorithm", "device", "threads", "accuracy", "workspace_limit")


def _checked(operation, image, how):
    """`image` as an array (H, W) or (H, W, C) of real numbers, where it lies."""
    check_how(operation, how, _HOW)
    image = as_array(operation, "image", image)
    if how.get("device", "cpu") == "cpu":
        check_on_host(operation, "image", image)
    check_real(operation, image)
    check_image_shape(operation, image)
    return image


def _planes_shape(image):
    """The shape of `image` as planes (C, 1, H, W)."""
    return (image.shape[2] if image.ndim == 3 else 1, 1, *image.shape[:2])


def _planes(image):
    """`image` as (C, 1, H, W), in the dtype its sums are taken in."""
    dtype = np.result_type(image, np.float32)
    planes = image[None] if image.ndim == 2 else image.transpose((2, 0, 1))
    return (planes if planes.dtype == dtype else planes.astype(dtype, order="C"))[:, None]


def _seconds(problem, accuracy, workspace_limit, device):
    """What `problem` is predicted to take, for any number of threads the same."""
    return plan(problem, device=device, accuracy=accuracy, workspace_limit=workspace_limit).seconds


def _chain(operation, image, stacks, mode):
    """One same-size convolution of the planes of `image` for each kernel or stack of kernels."""
    chain = []
    for stack in stacks:
        weights = (stack if stack.ndim == 3 else stack[None])[:, None]
        problem = Problem(
            _planes_shape(image),
            weights.shape,
            weights.dtype,
            padding=borders(weights.shape[2:]),
            padding_mode=mode,
            operation=operation,
        )
        chain.append((problem, weights))
    return chain


def _kernels(operation, image, kernel, mode, separable, how):
    """The kernels that are run one after the other: (R, S), or (R, 1) and (1, S)."""
    dtype = np.result_type(image, np.float32)
    if isinstance(kernel, str):
        kernel = get_kernel(kernel, dtype=dtype)
    kernel = check_kernel(operation, kernel).astype(dtype)
    named = how.get("algorithm", "auto") != "auto"
    if separable is False or (separable is None and (named or 1 in kernel.shape)):
        return (kernel,)
    native = is_native(image, mode, how)
    if separable is None and native and not pair_is_faster(image, kernel):
        return (kernel,)
    accuracy = how.get("accuracy", "balanced")
    pair = factors(kernel, None if isinstance(accuracy, str) else accuracy)
    if pair is None:
        if separable:
            raise ValueError(f"{operation}: separable=True needs a kernel of rank 1")
        return (kernel,)
    pair = (pair[0][:, None], pair[1][None, :])
    if separable or native:
        return pair
    asked = (accuracy, how.get("workspace_limit"), how.get("device", "cpu"))
    one, two = (
        sum(_seconds(problem, *asked) for problem, _ in _chain(operation, image, kernels, mode))
        for kernels in ((kernel,), pair)
    )
    return pair if two < one else (kernel,)


def _gradient_kernels(operation, image, kernel):
    if kernel not in GRADIENTS:
        known = ", ".join(GRADIENTS)
        raise ValueError(f"{operation}: kernel must be one of {known}, got {kernel!r}")
    dtype = np.result_type(image, np.float32)
    return tuple(k.astype(dtype) for k in GRADIENTS[kernel])


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
    image = _checked(operation, image, how)
    if isinstance(kernel, str) and kernel in GRADIENTS:
        stacks = (np.stack(_gradient_kernels(operation, image, kernel)),)
    else:
        stacks = _kernels(operation, image, kernel, mode, separable, how)
    return _chain(operation, image, stacks, mode)


def _run(operation, image, stacks, mode, finish, out_dtype, how):
    """The images that the convolutions with `stacks` make, one after the other, by any algorithm.

    As many as the last stack has kernels, or by `finish` "hypot" one.
    """
    chain = _chain(operation, image, stacks, mode)
    if how.get("device", "cpu") != "cpu":
        from cyconv.opencl import filters

        dtype = target_of(operation, out_dtype, np.result_type(image, np.float32))
        return filters.filtered(operation, image, chain, finish, dtype, how)
    planes = _planes(image)
    for problem, weights in chain:
        planes = conv2d(planes, weights, padding=problem.padding, padding_mode=mode, **how)
    results = [_image(planes[:, i], image.ndim) for i in range(planes.shape[1])]
    if finish == "hypot":
        results = [np.hypot(*results)]
    return [stored(operation, y, out_dtype) for y in results]


def _image(planes, ndim):
    """(C, H, W) back to (H, W) or (H, W, C)."""
    return planes[0] if ndim == 2 else np.ascontiguousarray(planes.transpose((1, 2, 0)))


@recalled
def apply(
    image,
    kernel,
    *,
    mode="reflect",
    separable=None,
    out_dtype=None,
    missing=None,
    min_weight=0.0,
    **how,
):
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
        None does where the kernel has rank 1 (see `separate`), no algorithm is named, and two
        passes cost less.
    out_dtype : dtype, optional
        Of the result: integers are rounded to nearest and clipped to what they hold. Default the
        dtype of the sums.
    missing : {None, "omit"}
        "omit" leaves out cells that are NaN, or masked in a masked array, and gives the others
        their weight: the mean of `normalized`, times the kernel's sum.
    min_weight : float, default 0
        With "omit": NaN where less than this share of the weight is there.
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
    if missing == "omit":
        from .missing import omitting  # which calls this for its sums

        return omitting(operation, image, kernel, mode, min_weight, out_dtype, how)
    if missing is not None:
        raise ValueError(f"{operation}: missing must be None or 'omit', got {missing!r}")
    image = _checked(operation, image, how)
    kernels = _kernels(operation, image, kernel, mode, separable, how)
    if is_native(image, mode, how):
        return filtered(operation, image, (kernels,), mode, "each", out_dtype, how)
    return _run(operation, image, kernels, mode, "each", out_dtype, how)[0]


@recalled
def gradient(image, kernel="sobel", *, mode="reflect", out_dtype=None, **how):
    """The derivatives ``(gx, gy)`` of an image, both in one sweep over it.

    Parameters
    ----------
    image : array_like, (H, W) or (H, W, C)
    kernel : {"sobel", "prewitt", "scharr", "roberts"}
        Not normalised: on a ramp of slope 1, Sobel gives 8, Prewitt 6, Scharr 32. Roberts gives the
        differences along the two diagonals.
    mode, out_dtype, **how
        As for `apply`.

    Examples
    --------
    >>> ramp = np.tile(np.arange(4.0), (4, 1))  # brighter to the right, by 1 a cell
    >>> gx, gy = cyconv.filters.gradient(ramp, "prewitt")
    >>> gx[1], gy[1]
    (array([0., 6., 6., 0.]), array([0., 0., 0., 0.]))
    """
    operation = "filters.gradient"
    image = _checked(operation, image, how)
    kernels = _gradient_kernels(operation, image, kernel)
    if is_native(image, mode, how):
        branches = tuple((k,) for k in kernels)
        return tuple(filtered(operation, image, branches, mode, "each", out_dtype, how))
    return tuple(_run(operation, image, (np.stack(kernels),), mode, "each", out_dtype, how))


@recalled
def gradient_magnitude(image, kernel="sobel", *, mode="reflect", out_dtype=None, **how):
    """``sqrt(gx² + gy²)`` of `gradient`, channel by channel, in one sweep, without overflow.

    Examples
    --------
    >>> step = np.repeat([[0.0, 0, 3, 3]], 4, axis=0)
    >>> cyconv.filters.gradient_magnitude(step, "sobel")[1]
    array([ 0., 12., 12.,  0.])
    """
    operation = "filters.gradient_magnitude"
    image = _checked(operation, image, how)
    kernels = _gradient_kernels(operation, image, kernel)
    if is_native(image, mode, how):
        branches = tuple((k,) for k in kernels)
        return filtered(operation, image, branches, mode, "hypot", out_dtype, how)
    return _run(operation, image, (np.stack(kernels),), mode, "hypot", out_dtype, how)[0]
