r"""Convolutions of quantised arrays, exact in int32: the operators of ONNX.

A stored integer q stands for the real number s (q - z), with the scale s and the zero point z.

.. math:: s_x s_w \sum (x - z_x) (w - z_w) = s_y (y - z_y)

:func:`conv_integer` is the sum, :func:`qlinear_conv` finds the y that stands nearest. The kernels
see the differences x - z, so that zero padding is padding with the zero point.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from cyconv.api import planned_conv
from cyconv.planning.plan import PackedConv
from cyconv.problem import checked_dtype
from cyconv.problem.operands import (
    as_array,
    check_bias,
    check_on_host,
    check_out,
    deliver,
    native,
    on_host,
)

STORED = ("uint8", "int8", "int16")
BLOCK = 1 << 16  # sums that are rounded at a time: they stay in a cache of the second level


class Target(NamedTuple):
    """What sums become: clip(round(sum * factor) + zero) in `dtype`; a factor for each filter."""

    zero: int
    factor: np.ndarray
    dtype: np.dtype


def conv_integer(
    x,
    w,
    x_zero_point=0,
    w_zero_point=0,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    data_format="channels_first",
    algorithm="auto",
    device="cpu",
    threads=None,
    workspace_limit=None,
    out=None,
):
    r"""Convolution of integers less their zero points, summed exactly: ONNX's ConvInteger.

    .. math:: y[n, k, p] = \sum_{c, r} (w[k, c, r] - z_w[k]) \, (x[n, c, p s + r d - lo] - z_x)

    Parameters
    ----------
    x : array (N, C, *spatial), or unbatched (C, *spatial), of uint8, int8 or int16
    w : array (K, C / groups, *kernel) of one of these types, not necessarily x's
    x_zero_point : int, default 0
        The value that stands for 0; the border is padded with it.
    w_zero_point : int or one int per filter, default 0
    stride, padding, dilation, groups, data_format
        As for :func:`conv`.
    algorithm, device, threads, workspace_limit, out
        As for :func:`conv`.

    Returns
    -------
    array (N, K, *output) of int32
        Of 8-bit operands exact while a sum has fewer than 33,000 terms, and modulo 2^32 always.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As :func:`conv`; also for a zero point that its array's type does not hold.

    Examples
    --------
    >>> x, w = np.array([[128, 130, 127]], np.uint8), np.array([[[1, -1]]], np.int8)
    >>> cyconv.conv_integer(x, w, x_zero_point=128)
    array([[-2,  3]], dtype=int32)
    """
    packed, x, zero = _packed(
        "conv_integer",
        x,
        x_zero_point,
        w,
        w_zero_point,
        None,
        (stride, padding, dilation, groups),
        data_format,
        (algorithm, device, threads, "balanced", workspace_limit),
    )
    return layer(packed, x, zero, out=out)


def qlinear_conv(
    x,
    x_scale,
    x_zero_point,
    w,
    w_scale,
    w_zero_point,
    y_scale,
    y_zero_point,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    data_format="channels_first",
    algorithm="auto",
    device="cpu",
    threads=None,
    workspace_limit=None,
    out_dtype=None,
):
    r"""Quantised convolution of quantised arrays: ONNX's QLinearConv.

    .. math:: y[n, k, p] = z_y + \mathrm{round}\left(\frac{s_x s_w[k]}{s_y}
        \Bigl(b[k] + \sum_{c, r} (w[k, c, r] - z_w[k]) (x[n, c, p s + r d - lo] - z_x)\Bigr)\right)

    Rounded to the nearest integer, halves to the even one, and clipped to the range of y's type.

    Parameters
    ----------
    x : array (N, C, *spatial), or unbatched (C, *spatial), of uint8, int8 or int16
    x_scale, y_scale : float > 0
    x_zero_point, y_zero_point : int
    w : array (K, C / groups, *kernel) of one of these types, not necessarily x's
    w_scale, w_zero_point : a number for all filters, or one per filter
    bias : array (K,) of int32, optional
        In units of x_scale * w_scale.
    stride, padding, dilation, groups, data_format
        As for :func:`conv`.
    algorithm, device, threads, workspace_limit
        As for :func:`conv`.
    out_dtype : {'uint8', 'int8', 'int16'}, optional
        Default y_zero_point's if it is a NumPy number or array, else x's.

    Returns
    -------
    array (N, K, *output) of out_dtype

    Raises
    ------
    TypeError, ValueError, MemoryError
        As :func:`conv_integer`; also for scales that are not positive and finite.

    Notes
    -----
    The sums are those of :func:`conv_integer`. The product with the scales is one of float32, as in
    ONNX Runtime.

    Examples
    --------
    >>> x, w = np.array([[128, 130, 127]], np.uint8), np.array([[[1, -1]]], np.int8)
    >>> cyconv.qlinear_conv(x, 0.5, 128, w, 0.25, 0, 0.1, 128)  # -2 and 3, times 1.25
    array([[126, 132]], dtype=uint8)
    """
    geometry = stride, padding, dilation, groups
    how = (algorithm, device, threads, "balanced", workspace_limit)
    scales, zeros = (x_scale, w_scale, y_scale), (x_zero_point, w_zero_point, y_zero_point)
    packed, x, x_zero, target = _requantised(
        x, w, scales, zeros, bias, geometry, data_format, out_dtype, how
    )
    return layer(packed, x, x_zero, target)


def prepared(
    x,
    x_scale,
    x_zero,
    w,
    w_scale,
    w_zero,
    y_scale,
    y_zero,
    bias,
    stride,
    padding,
    dilation,
    groups,
    threads=None,
):
    """:func:`qlinear_conv` with its weights packed: a function of an x like this one, and the name
    of its algorithm.
    """
    geometry, how = (stride, padding, dilation, groups), ("auto", "cpu", threads, "balanced", None)
    scales, zeros = (x_scale, w_scale, y_scale), (x_zero, w_zero, y_zero)
    packed, _, x_zero, target = _requantised(
        x, w, scales, zeros, bias, geometry, "channels_first", None, how
    )
    return (lambda x: layer(packed, x, x_zero, target)), packed.plan.algorithm


def _requantised(x, w, scales, zeros, bias, geometry, data_format, out_dtype, how):
    """What :func:`layer` computes :func:`qlinear_conv` from; scales and zero points of x, w, y."""
    operation, (x_zero, w_zero, y_zero) = "qlinear_conv", zeros
    x, w = stored(operation, "x", x, how[1]), stored(operation, "w", w, how[1])
    zero, dtype = output_zero_point(operation, y_zero, out_dtype, x.dtype)
    factor = multiplier(operation, *scales, len(w))
    packed, x, x_zero = _packed(operation, x, x_zero, w, w_zero, bias, geometry, data_format, how)
    return packed, x, x_zero, Target(zero, factor, dtype)


def _packed(operation, x, x_zero, w, w_zero, bias, geometry, data_format, how):
    """The layer with its weights packed, and x with its zero point as :func:`layer` takes them."""
    x, w = stored(operation, "x", x, how[1]), stored(operation, "w", w, how[1])
    x_zero = zero_point(operation, "x_zero_point", x_zero, x.dtype)
    w_zero = zero_point(operation, "w_zero_point", w_zero, w.dtype, w.shape[:1])
    dtype = narrowest(x.dtype, x_zero, w.dtype, w_zero)
    what = ("zeros", data_format, False, "int32")
    found = planned_conv(operation, (x.shape, w.shape), (dtype, dtype), geometry, what, how)
    if how[1] != "cpu":
        from cyconv.opencl.quantized import pack

        return pack(found, x, w, w_zero, bias), x, int(x_zero)
    bias = check_bias(found.problem, bias)
    return PackedConv(found, centred(w, w_zero, dtype), bias, None), x, int(x_zero)


def narrowest(x_dtype, x_zero, w_dtype, w_zero):
    """The dtype of the problem of the differences.

    That of 8 bits stands for differences of such numbers, which have a sign and 8 bits; 16 bits
    hold those of 16 only if nothing is taken away.
    """
    if x_dtype.itemsize == w_dtype.itemsize == 1:
        return np.dtype("int8")
    pairs = ((x_dtype, x_zero), (w_dtype, w_zero))
    fit = all(dtype.itemsize == 1 or not zero.any() for dtype, zero in pairs)
    return np.dtype("int16" if fit else "int32")


def centred(array, zero, dtype):
    """The differences in a problem of `dtype`: those of 8 bits in int16."""
    return less(array, zero, np.promote_types(dtype, np.int16))


def layer(packed, x, zero, target=None, out=None):
    """The sums of x less `zero`, or what they become, with the packed differences of weights.

    Parameters
    ----------
    packed : PackedConv
        Of a problem of the :func:`narrowest` dtype, with sums in int32.
    x : array of uint8, int8 or int16
    zero : int
    target : Target, optional
    out : array of int32, optional
    """
    if type(packed) is not PackedConv:  # a device's
        from cyconv.opencl.quantized import layer

        return layer(packed, x, zero, target, out)
    problem = packed.plan.problem
    x = native(x, x.dtype.newbyteorder("="))
    if target is None:
        out, y = check_out(problem, out, True, x)
        if not packed.of_stored(x, zero, y):
            packed.of_stored(centred(x, zero, problem.dtype), None, y)
        return deliver(out, y)
    y = np.empty(problem.output_shape, target.dtype)
    if packed.of_stored(x, zero, y, (target.zero, target.factor)):
        return y
    sums = np.empty(problem.output_shape, np.int32)
    packed.of_stored(centred(x, zero, problem.dtype), None, sums)
    channel = sums.ndim - 1 if problem.channels_last else sums.ndim - problem.rank - 1
    return requantised(sums, channel, target.factor, target.zero, target.dtype)


def less(array, zero, dtype):
    """`array` - `zero` in `dtype`; one zero point, or one for each of the first axis."""
    zero = np.asarray(zero, dtype)
    return np.subtract(
        array, zero.reshape(zero.shape + (1,) * (array.ndim - 1) * zero.ndim), dtype=dtype
    )


def zero_point(operation, name, value, dtype, per_filter=()):
    """A zero point, which `dtype` must hold: one, or where that is allowed one for each filter."""
    found = as_array(operation, name, value)
    found = on_host(f"{operation}: {name}", found)
    if found.dtype.kind not in "iu":
        raise TypeError(f"{operation}: {name} must hold integers, got {found.dtype}")
    found = _one_or_each(operation, name, found, per_filter)
    info = np.iinfo(dtype)
    for number in found.ravel():
        if not info.min <= number <= info.max:
            raise ValueError(
                f"{operation}: {name} must be within {info.min} to {info.max}, as {dtype} is, "
                f"got {number}"
            )
    return found.astype(np.int32)


def output_zero_point(operation, value, out_dtype, default):
    """y's zero point as an int, and y's type: what was asked for, the zero point's, the default."""
    name = "out_dtype"
    if out_dtype is None:
        name, out_dtype = "y_zero_point.dtype", getattr(value, "dtype", default)
    dtype = checked_dtype(operation, name, out_dtype)
    if dtype.name not in STORED:
        raise TypeError(f"{operation}: {name} must be one of {', '.join(STORED)}, got {dtype}")
    return int(zero_point(operation, "y_zero_point", value, dtype)), dtype


def multiplier(operation, x_scale, w_scale, y_scale, filters):
    """What the sums are multiplied by, in float32: a number for each filter."""
    x_scale = _scale(operation, "x_scale", x_scale)
    w_scale = _scale(operation, "w_scale", w_scale, (filters,))
    y_scale = _scale(operation, "y_scale", y_scale)
    with np.errstate(over="ignore", under="ignore"):
        return np.full(filters, x_scale * w_scale / y_scale, np.float32)


def requantised(sums, channel, factor, zero, dtype):
    """clip(round(sums * factor) + zero) in `dtype`; factor has a number for each channel.

    Multiplied and rounded in float32, a block at a time.
    """
    out = np.empty(sums.shape, dtype)
    if not sums.size:
        return out
    # (before, channels, after): a block is some channels of one image, or all of some pixels.
    shape = prod(sums.shape[:channel]), sums.shape[channel], prod(sums.shape[channel + 1 :])
    sums, cells = sums.reshape(shape), out.reshape(shape)
    factor = factor.reshape(-1, 1)
    images = max(1, BLOCK // (shape[1] * shape[2]))
    channels = shape[1] if images > 1 else max(1, BLOCK // shape[2])
    info = np.iinfo(dtype)
    for i in range(0, shape[0], images):
        for k in range(0, shape[1], channels):
            part = np.s_[i : i + images, k : k + channels]
            real = sums[part].astype(np.float32)
            real *= factor[part[1]]
            np.rint(real, out=real)
            if zero:
                real += np.float32(zero)
            cells[part] = np.clip(real, info.min, info.max, out=real)
    return out


def stored(operation, name, array, device="cpu"):
    """`array` as an array of one of the types of stored integers, where it lies."""
    array = as_array(operation, name, array)
    if device == "cpu":
        check_on_host(operation, name, array)
    if array.dtype.newbyteorder("=").name not in STORED:
        raise TypeError(
            f"{operation}: {name}.dtype must be one of {', '.join(STORED)}, got {array.dtype}"
        )
    return array


def _scale(operation, name, value, per_filter=()):
    found = as_array(operation, name, value)
    found = on_host(f"{operation}: {name}", found)
    if found.dtype.kind not in "iuf":
        raise TypeError(f"{operation}: {name} must hold real numbers, got {found.dtype}")
    found = _one_or_each(operation, name, found, per_filter).astype(np.float32)
    for number in found.ravel():
        if not 0 < number < np.inf:
            raise ValueError(f"{operation}: {name} must be > 0 and finite, got {number}")
    return found


def _one_or_each(operation, name, array, per_filter):
    """`array` without axes if it holds one number, else of the shape `per_filter`."""
    if array.size == 1 and array.ndim <= 1:
        return array.reshape(())
    if array.shape != per_filter:
        rule = f"one number or have shape {per_filter}" if per_filter else "one number"
        raise ValueError(f"{operation}: {name} must be {rule}, got shape {array.shape}")
    return array
