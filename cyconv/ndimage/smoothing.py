"""Smoothing, axis by axis: Gaussian and box filters."""

from functools import lru_cache
from numbers import Integral
from operator import index

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from cyconv.algorithms import chains
from cyconv.algorithms.recall import recalled
from cyconv.ndimage.arguments import (
    bools,
    border_mode,
    chosen_axes,
    per_axis,
    result_array,
    window,
)
from cyconv.ndimage.passes import run_passes
from cyconv.problem.operands import on_host


def gaussian_kernel(sigma, order, radius):
    r"""Samples at -radius, ..., radius of a Gaussian of sum 1, or of its derivative.

    .. math::
        g(x) = e^{-x^2 / 2 \sigma^2} / \sum_x e^{-x^2 / 2 \sigma^2}, \quad
        g^{(n)} = q_n g, \quad q_0 = 1, \quad q_{n+1} = q_n' - x q_n / \sigma^2
    """
    if order < 0:
        raise ValueError(f"order must be >= 0, got {order}")
    variance = sigma * sigma
    x = np.arange(-radius, radius + 1)
    g = np.exp(-0.5 / variance * x**2)
    g = g / g.sum()
    if order == 0:
        return g
    powers = np.arange(order + 1)
    q = np.zeros(order + 1)
    q[0] = 1
    for _ in range(order):
        slope, times_x = np.append(powers[1:] * q[1:], 0), np.insert(q[:-1], 0, 0)
        q = slope + times_x * (-1 / variance)
    return (x[:, None] ** powers).dot(q) * g


def gaussian_radius(sigma, truncate, radius):
    """Where the kernel ends, in cells: `radius`, else so many standard deviations."""
    reach = int(truncate * float(sigma) + 0.5) if radius is None else radius
    if not isinstance(reach, Integral) or reach < 0:
        raise ValueError(f"radius must be an int >= 0, got {reach!r}")
    return reach


@recalled
def gaussian_filter1d(
    input,
    sigma,
    axis=-1,
    order=0,
    output=None,
    mode="reflect",
    cval=0.0,
    truncate=4.0,
    *,
    radius=None,
):
    r"""Convolve the lines of an array along one axis with a Gaussian or a derivative of it.

    .. math:: y = g^{(order)} * x, \quad g(r) \propto e^{-r^2 / 2 \sigma^2}

    Parameters
    ----------
    input : array_like
    sigma : float
        Standard deviation, in cells.
    axis : int, default -1
    order : int, default 0
        Of the derivative.
    output, mode, cval
        As for :func:`correlate`.
    truncate : float, default 4.0
        Where the kernel ends, in standard deviations.
    radius : int, optional
        Where it ends, in cells; instead of truncate.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> cyconv.ndimage.gaussian_filter1d([0.0, 0, 8, 0, 0], 1).round(2)
    array([0.47, 1.94, 3.19, 1.94, 0.47])
    """
    x = on_host("input", input)
    output = result_array(output, x, complex_result=x.dtype.kind == "c")
    axis = normalize_axis_index(axis, x.ndim)
    stage = _gaussian_stage(sigma, order, truncate, radius)
    run_passes(output, x, [(axis, stage, border_mode(mode))], cval)
    return bools(output)


@lru_cache(maxsize=256)
def gaussian_stage(sigma, order, radius):
    """The correlation with a Gaussian of sum 1, or with its derivative."""
    return chains.line(gaussian_kernel(sigma, order, radius)[::-1], radius)


@recalled
def gaussian_filter(
    input,
    sigma,
    order=0,
    output=None,
    mode="reflect",
    cval=0.0,
    truncate=4.0,
    *,
    radius=None,
    axes=None,
):
    r"""Convolve an array with a Gaussian or a derivative of it, one axis after the other.

    .. math:: y = g^{(order_0)} *_0 g^{(order_1)} *_1 \cdots x

    Parameters
    ----------
    input : array_like
    sigma : float or one float per axis
        Standard deviation, in cells; an axis where it is not above 1e-15 is left alone.
    order : int or one int per axis, default 0
        Of the derivative.
    output : array or dtype, optional
        Also the dtype of what one pass hands to the next.
    mode : str or one str per axis
    cval
        As for :func:`correlate`.
    truncate : float, default 4.0
        Where the kernel ends, in standard deviations.
    radius : int or one int per axis, optional
        Where it ends, in cells; instead of truncate.
    axes : int or ints, optional
        Default all.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> cyconv.ndimage.gaussian_filter(np.eye(3), 1).round(2)
    array([[0.5 , 0.33, 0.17],
           [0.33, 0.34, 0.33],
           [0.17, 0.33, 0.5 ]])
    """
    x = on_host("input", input)
    output = result_array(output, x)
    passes = gaussian_passes(x.ndim, sigma, order, mode, truncate, radius=radius, axes=axes)
    run_passes(output, x, passes, cval)
    return bools(output)


def gaussian_passes(ndim, sigma, order, mode, truncate=4.0, *, radius=None, axes=None):
    """What :func:`gaussian_filter` runs one after the other: (axis, Stage, border mode)."""
    axes = chosen_axes(axes, ndim)
    given = {"order": order, "sigma": sigma, "mode": mode, "radius": radius}
    orders, sigmas, modes, radii = (per_axis(k, v, len(axes)) for k, v in given.items())
    return [
        (axis, _gaussian_stage(sigma, order, truncate, radius), border_mode(mode))
        for axis, sigma, order, mode, radius in zip(axes, sigmas, orders, modes, radii, strict=True)
        if sigma > 1e-15
    ]


def _gaussian_stage(sigma, order, truncate, radius):
    return gaussian_stage(float(sigma), index(order), gaussian_radius(sigma, truncate, radius))


@recalled
def uniform_filter1d(input, size, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    r"""Mean of every window of `size` cells along one axis.

    .. math:: y[p] = \frac{1}{size} \sum_{r < size} x[p + r - \lfloor size / 2 \rfloor - origin]

    Parameters
    ----------
    input : array_like
    size : int
    axis : int, default -1
    output, mode, cval
        As for :func:`correlate`.
    origin : int, default 0

    Returns
    -------
    array of input's shape

    Notes
    -----
    Every window is summed afresh, where SciPy keeps a running sum: rounding and non-finite cells do
    not travel beyond their windows.

    Examples
    --------
    >>> cyconv.ndimage.uniform_filter1d([3.0, 0, 3, 6, 0], 3)
    array([2., 2., 3., 3., 2.])
    """
    x = on_host("input", input)
    axis = normalize_axis_index(axis, x.ndim)
    output = result_array(output, x, complex_result=x.dtype.kind == "c")
    run_passes(output, x, [(axis, _box(size, origin), border_mode(mode))], cval)
    return bools(output)


def _box(size, origin):
    """The mean of `size` cells."""
    if size < 1:
        raise RuntimeError(f"size must be >= 1, got {size!r}")
    size = index(size)
    before, _ = window(origin, size)
    return _mean(size, before)


@lru_cache(maxsize=256)
def _mean(size, before):
    return chains.box(size, before, size)


@recalled
def uniform_filter(
    input,
    size=3,
    output=None,
    mode="reflect",
    cval=0.0,
    origin=0,
    *,
    axes=None,
):
    r"""Mean of every box of cells, one axis after the other.

    .. math:: y[p] = \frac{1}{\prod size} \sum_r x[p + r - \lfloor size / 2 \rfloor - origin]

    Parameters
    ----------
    input : array_like
    size : int or one int per axis, default 3
        An axis where it is not above 1 is left alone.
    output : array or dtype, optional
        Also the dtype of what one pass hands to the next.
    mode : str or one str per axis
    cval
        As for :func:`correlate`.
    origin : int or one int per axis, default 0
    axes : int or ints, optional
        Default all.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> cyconv.ndimage.uniform_filter(np.eye(3) * 9, 3)
    array([[5., 3., 1.],
           [3., 3., 3.],
           [1., 3., 5.]])
    """
    x = on_host("input", input)
    output = result_array(output, x, complex_result=x.dtype.kind == "c")
    axes = chosen_axes(axes, x.ndim)
    given = {"size": size, "origin": origin, "mode": mode}
    sizes, origins, modes = (per_axis(k, v, len(axes)) for k, v in given.items())
    stages = [
        (axis, _box(int(size), origin), border_mode(mode))
        for axis, size, origin, mode in zip(axes, sizes, origins, modes, strict=True)
        if size > 1
    ]
    run_passes(output, x, stages, cval)
    return bools(output)
