r"""Images with cells that are not there: normalised convolution.

.. math:: y[p] = \sum_r w[r] \, m[p + r] \, x[p + r] \Big/ \sum_r w[r] \, m[p + r]

where m is 1 for a cell that is there and 0 for one that is not: NaN, or masked. Knutsson and
Westin, "Normalized and differential convolution", CVPR 1993.
"""

import numpy as np

from cyconv.api import conv, conv_grad_input
from cyconv.problem.operands import on_host

from .arguments import borders, check_how, check_image_shape, check_real
from .images import apply
from .kernels import get_kernel

_HOW = ("algorithm", "threads", "accuracy", "workspace_limit")


def normalized(
    image,
    kernel,
    *,
    mask=None,
    mode="reflect",
    min_weight=0.0,
    out_dtype=None,
    channels=False,
    **how,
):
    r"""The weighted mean of the cells under a kernel that are there.

    .. math:: y[p] = \sum_r w[r] \, m[p + r] \, x[p + r] \Big/ \sum_r w[r] \, m[p + r]

    Parameters
    ----------
    image : array_like or masked array, of as many axes as the kernel, up to 8
        Real numbers. NaN is not there, nor is what a masked array masks.
    kernel : str or array_like
        A name in ``KERNELS`` or weights whose sum is not 0.
    mask : array_like of bool, optional
        True where a cell is *not* there, as in ``numpy.ma``.
    mode : {"reflect", "replicate", "circular", "symmetric", "zeros"}
        What lies beyond the border, and whether it is there; zeros are.
    min_weight : float, default 0
        NaN where less than this share of the kernel's weight, or none, lies on cells that are
        there. In [0, 1].
    out_dtype : dtype, optional
        Floating point; default float32, or float64 for wide integers and float64.
    channels : bool, default False
        The last axis of the image holds channels, each filtered by itself.
    **how
        `algorithm`, `threads`, `accuracy` and `workspace_limit` of `conv2d`.

    Returns
    -------
    ndarray of the image's shape, floating point

    Raises
    ------
    TypeError, ValueError
        For an argument that is wrong; ValueError for a kernel whose weights sum to 0: the mean
        under it is 0 / 0 everywhere, missing cells or not.

    References
    ----------
    .. [1] H. Knutsson and C.-F. Westin, "Normalized and differential convolution: methods for
       interpolation and filtering of incomplete and uncertain data", CVPR 1993.

    Examples
    --------
    >>> cyconv.filters.normalized([[1.0, np.nan, 3.0, 4.0]], np.ones((1, 3)), mode="replicate")
    array([[1.        , 2.        , 3.5       , 3.66666667]])
    """
    operation = "filters.normalized"
    x, there, kernel = _operands(operation, image, kernel, mask, channels, how)
    y = _mean(operation, x, there, kernel, mode, min_weight, channels, how)
    return _floating(operation, y, out_dtype)


def normalized_grad(
    grad_output, image, kernel, *, mask=None, mode="reflect", min_weight=0.0, channels=False, **how
):
    r"""The gradient of a loss L with respect to the image of :func:`normalized`.

    .. math:: \frac{\partial L}{\partial x} = m \cdot
       \Big( w^T \frac{\partial L / \partial y}{w \star m} \Big)

    Parameters
    ----------
    grad_output : array_like of the image's shape
        With respect to the result; ignored where the result is NaN.
    image, kernel, mask, mode, min_weight, channels, **how
        As for :func:`normalized`.

    Returns
    -------
    ndarray of the image's shape: 0 for cells that are not there

    Examples
    --------
    >>> image = np.array([[1.0, np.nan, 3.0]])
    >>> cyconv.filters.normalized_grad(np.ones((1, 3)), image, np.ones((1, 3)), mode="zeros")
    array([[1., 0., 1.]])
    """
    operation = "filters.normalized_grad"
    x, there, kernel = _operands(operation, image, kernel, mask, channels, how)
    grad = np.asarray(grad_output)
    if grad.shape != x.shape:
        raise ValueError(
            f"{operation}: grad_output must have the image's shape {x.shape}, got {grad.shape}"
        )
    weights = _weights(there, kernel, mode, channels, how)
    shares = _divided(operation, grad.astype(weights.dtype), weights, kernel, min_weight)
    shares = np.where(np.isnan(shares), 0, shares)
    planes = _planes(shares, channels)
    pairs = borders(kernel.shape)
    grads = conv_grad_input(
        planes.shape, kernel[None, None], planes, padding=pairs, padding_mode=mode, **how
    )
    return np.where(there, _image(grads, channels), 0)


def omitting(operation, image, kernel, mode, min_weight, out_dtype, how):
    """:func:`cyconv.filters.apply` where cells are missing: the mean, times the kernel's sum."""
    if how.pop("device", "cpu") != "cpu":
        raise ValueError(f"{operation}: missing must be None on a device, got 'omit'")
    channels = np.ndim(image) == 3
    x, there, kernel = _operands(operation, image, kernel, None, channels, how)
    check_image_shape(operation, x)
    y = _mean(operation, x, there, kernel, mode, min_weight, channels, how)
    y *= y.dtype.type(kernel.sum(dtype=np.float64))
    return _floating(operation, y, out_dtype)


def _mean(operation, x, there, kernel, mode, min_weight, channels, how):
    sums = _sums(np.where(there, x, 0), kernel, mode, channels, how)
    weights = _weights(there, kernel, mode, channels, how)
    return _divided(operation, sums, weights, kernel, min_weight)


def _operands(operation, image, kernel, mask, channels, how):
    """(image, whether its cells are there, kernel), in the dtype of the sums."""
    check_how(operation, how, _HOW)
    there = None
    if isinstance(image, np.ma.MaskedArray):
        there, image = ~np.ma.getmaskarray(image), image.data
    x = on_host(f"{operation}: image", image)
    check_real(operation, x)
    dtype = np.result_type(x, np.float32)
    kernel = get_kernel(kernel, dtype=dtype) if isinstance(kernel, str) else np.asarray(kernel)
    if kernel.dtype.kind not in "iuf":
        raise TypeError(f"{operation}: kernel must hold real numbers, got dtype {kernel.dtype}")
    if kernel.size == 0 or kernel.ndim != x.ndim - bool(channels):
        raise ValueError(
            f"{operation}: kernel must have {x.ndim - bool(channels)} axes, not empty, for an "
            f"image of shape {x.shape}, got shape {kernel.shape}"
        )
    total = kernel.sum(dtype=np.float64)
    if not abs(total) > kernel.size * np.finfo(dtype).eps * np.abs(kernel).max(initial=0):
        raise ValueError(
            f"{operation}: kernel must not sum to 0, got {total:.3g}: the mean under it would be "
            "0 / 0 even where every cell is there"
        )
    present = ~np.isnan(x)
    if mask is not None:
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != x.shape:
            raise ValueError(
                f"{operation}: mask must hold bools in the image's shape {x.shape}, got "
                f"{mask.dtype} {mask.shape}"
            )
        present &= ~mask
    if there is not None:
        present &= there
    return x.astype(dtype, copy=False), present, kernel.astype(dtype)


def _sums(image, kernel, mode, channels, how):
    """What lies under the kernel, weighted."""
    image = np.asarray(image, kernel.dtype)
    if kernel.ndim == 2:
        return apply(image, kernel, mode=mode, **how)
    y = conv(
        _planes(image, channels),
        kernel[None, None],
        padding=borders(kernel.shape),
        padding_mode=mode,
        **how,
    )
    return _image(y, channels)


def _weights(there, kernel, mode, channels, how):
    """The weight of what is there."""
    if mode != "zeros":
        return _sums(there, kernel, mode, channels, how)
    pairs = (*borders(kernel.shape), *[(0, 0)] * channels)
    wide = np.pad(there, pairs, constant_values=True)  # zeros beyond the border are there
    inside = tuple(slice(lo, lo + n) for n, (lo, _) in zip(there.shape, pairs, strict=True))
    return _sums(wide, kernel, mode, channels, how)[inside]


def _divided(operation, sums, weights, kernel, min_weight):
    """sums / weights; NaN where the weight of what is there is too little."""
    if not 0 <= min_weight <= 1:
        raise ValueError(f"{operation}: min_weight must lie in [0, 1], got {min_weight!r}")
    total = kernel.sum(dtype=np.float64)
    rounding = kernel.size * np.finfo(kernel.dtype).eps * np.abs(kernel).max() / abs(total)
    enough = weights / kernel.dtype.type(total) >= max(min_weight - rounding, rounding)
    return np.divide(sums, weights, out=np.full_like(sums, np.nan), where=enough)


def _planes(image, channels):
    """(N, 1, *spatial): every channel is an image."""
    return np.moveaxis(image, -1, 0)[:, None] if channels else image[None, None]


def _image(planes, channels):
    return np.moveaxis(planes[:, 0], 0, -1) if channels else planes[0, 0]


def _floating(operation, y, dtype):
    """`y` in a dtype that holds NaN."""
    if dtype is None:
        return y
    dtype = np.dtype(dtype)
    if dtype.kind != "f" and dtype.name != "bfloat16":
        raise TypeError(f"{operation}: out_dtype must be floating point, to hold NaN, got {dtype}")
    return y.astype(dtype)
