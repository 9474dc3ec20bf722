"""Derivatives, axis by axis: Prewitt, Sobel, Laplace, and Gaussian ones."""

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
)
from cyconv.ndimage.passes import run_branches, run_passes
from cyconv.ndimage.smoothing import gaussian_passes
from cyconv.problem.operands import on_host


@recalled
def prewitt(input, axis=-1, output=None, mode="reflect", cval=0.0):
    r"""Prewitt filter: [-1, 0, 1] along one axis, [1, 1, 1] along the others.

    .. math:: y = [-1, 0, 1]_{axis} \star [1, 1, 1]_{others} \star x

    Parameters
    ----------
    input : array_like
    axis : int, default -1
        Of the derivative.
    output : array or dtype, optional
        Also the dtype of what one pass hands to the next.
    mode : str or one str per axis
    cval
        As for :func:`correlate`.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> cyconv.ndimage.prewitt(np.array([[0, 0, 1, 1]] * 3))
    array([[0, 3, 3, 0],
           [0, 3, 3, 0],
           [0, 3, 3, 0]])
    """
    return bools(_gradient(PREWITT, input, axis, output, mode, cval))


@recalled
def sobel(input, axis=-1, output=None, mode="reflect", cval=0.0):
    r"""Sobel filter: [-1, 0, 1] along one axis, [1, 2, 1] along the others.

    .. math:: y = [-1, 0, 1]_{axis} \star [1, 2, 1]_{others} \star x

    Parameters
    ----------
    input, axis, output, mode, cval
        As for :func:`prewitt`.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> cyconv.ndimage.sobel(np.array([[0, 0, 1, 1]] * 3))
    array([[0, 4, 4, 0],
           [0, 4, 4, 0],
           [0, 4, 4, 0]])
    """
    return bools(_gradient(SOBEL, input, axis, output, mode, cval))


PREWITT, SOBEL = chains.line([1, 1, 1], 1), chains.line([1, 2, 1], 1)
FIRST, SECOND = chains.line([-1, 0, 1], 1), chains.line([1, -2, 1], 1)
"""Smoothing across a derivative; first and second differences."""


def _gradient(smooth, x, axis, output, mode, cval):
    x = on_host("input", x)
    axis = normalize_axis_index(axis, x.ndim)
    output = result_array(output, x)
    modes = [border_mode(mode) for mode in per_axis("mode", mode, x.ndim)]
    others = [(other, smooth, modes[other]) for other in range(x.ndim) if other != axis]
    run_passes(output, x, [(axis, FIRST, modes[axis]), *others], cval)
    return output


def generic_laplace(
    input,
    derivative2,
    output=None,
    mode="reflect",
    cval=0.0,
    extra_arguments=(),
    extra_keywords=None,
    *,
    axes=None,
):
    r"""Sum over the axes of the second derivatives that a function gives.

    .. math:: y = \sum_{axis} derivative2(x, axis)

    Parameters
    ----------
    input : array_like
    derivative2 : callable
        ``derivative2(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``
        returns an array; `output` is one to fill, or a dtype.
    output, mode, cval
        As for :func:`prewitt`.
    extra_arguments : sequence, optional
    extra_keywords : dict, optional
    axes : int or ints, optional
        Default all.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> def second(x, axis, output, mode, cval):
    ...     return cyconv.ndimage.correlate1d(x, [1, -2, 1], axis, output, mode, cval)
    >>> cyconv.ndimage.generic_laplace(np.array([0, 0, 1, 4, 9, 16]), second)
    array([ 0,  1,  2,  2,  2, -7])
    """
    given = extra_arguments, extra_keywords or {}
    return bools(_sum_over_axes(input, derivative2, output, mode, cval, *given, axes))


@recalled
def laplace(input, output=None, mode="reflect", cval=0.0, *, axes=None):
    r"""Laplace filter: second differences, summed over the axes.

    .. math:: y = \sum_{axis} [1, -2, 1]_{axis} \star x

    Parameters
    ----------
    input, output, mode, cval, axes
        As for :func:`generic_laplace`.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> cyconv.ndimage.laplace(np.array([0, 0, 1, 4, 9, 16]))
    array([ 0,  1,  2,  2,  2, -7])
    """

    def passes(axis, mode):
        return [(axis, SECOND, border_mode(mode))]

    return bools(_over_axes(input, passes, output, mode, cval, axes, "sum"))


@recalled
def gaussian_laplace(input, sigma, output=None, mode="reflect", cval=0.0, *, axes=None, **kwargs):
    r"""Laplacian of a Gaussian: second derivatives of a Gaussian, summed over the axes.

    .. math:: y = \sum_{axis} \partial_{axis}^2 g * x

    Parameters
    ----------
    input : array_like
    sigma : float or one float per axis
    output, mode, cval, axes
        As for :func:`generic_laplace`.
    **kwargs
        For :func:`gaussian_filter`.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> cyconv.ndimage.gaussian_laplace(np.eye(5), 1).shape
    (5, 5)
    """
    ndim = on_host("input", input).ndim
    chosen = chosen_axes(axes, ndim)
    given = dict(zip(chosen, per_axis("sigma", sigma, len(chosen)), strict=True))
    sigmas = [given.get(axis, 0) for axis in range(ndim)]
    passes = _of_gaussian(2, ndim, sigmas, **kwargs)
    return bools(_over_axes(input, passes, output, mode, cval, chosen, "sum"))


def generic_gradient_magnitude(
    input,
    derivative,
    output=None,
    mode="reflect",
    cval=0.0,
    extra_arguments=(),
    extra_keywords=None,
    *,
    axes=None,
):
    r"""Length of the gradient whose components a function gives.

    .. math:: y = \sqrt{\sum_{axis} derivative(x, axis)^2}

    Parameters
    ----------
    input : array_like
    derivative : callable
        As derivative2 of :func:`generic_laplace`.
    output, mode, cval, extra_arguments, extra_keywords, axes
        As for :func:`generic_laplace`. Squares and their sum are kept in output's dtype.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> step = np.array([[0, 0, 3, 3]] * 3)
    >>> cyconv.ndimage.generic_gradient_magnitude(step, cyconv.ndimage.prewitt)
    array([[0, 9, 9, 0],
           [0, 9, 9, 0],
           [0, 9, 9, 0]])
    """

    def squared(*arguments, **keywords):
        term = derivative(*arguments, **keywords)
        term = arguments[2] if isinstance(arguments[2], np.ndarray) else term
        return np.multiply(term, term, out=term)

    given = extra_arguments, extra_keywords or {}
    output = _sum_over_axes(input, squared, output, mode, cval, *given, axes)
    if chosen_axes(axes, output.ndim):
        _take_root(output)
    return bools(output)


@recalled
def gaussian_gradient_magnitude(
    input,
    sigma,
    output=None,
    mode="reflect",
    cval=0.0,
    *,
    axes=None,
    **kwargs,
):
    r"""Length of the gradient, by first derivatives of a Gaussian.

    .. math:: y = \sqrt{\sum_{axis} (\partial_{axis} g * x)^2}

    Parameters
    ----------
    input, sigma, output, mode, cval, axes, **kwargs
        As for :func:`gaussian_laplace`.

    Returns
    -------
    array of input's shape

    Examples
    --------
    >>> ramp = np.arange(20.0)  # its slope is 1
    >>> float(cyconv.ndimage.gaussian_gradient_magnitude(ramp, 1)[10].round(2))
    1.0
    """
    passes = _of_gaussian(1, on_host("input", input).ndim, sigma, **kwargs)
    return bools(_over_axes(input, passes, output, mode, cval, axes, "length"))


def _of_gaussian(order, ndim, sigma, **kwargs):
    """A function of an axis: a Gaussian along all, its derivative along this one."""

    def passes(axis, mode):
        orders = [0] * ndim
        orders[axis] = order
        return gaussian_passes(ndim, sigma, orders, mode, **kwargs)

    return passes


def _over_axes(x, passes, output, mode, cval, axes, finish):
    """The sum over axes of x after ``passes(axis, mode)``, or the root of the sum of squares.

    In output's dtype, each step; x itself where there are no axes.
    """
    x = on_host("input", x)
    output = result_array(output, x)
    axes = chosen_axes(axes, x.ndim)
    modes = per_axis("mode", mode, len(axes))
    branches = [passes(axis, mode) for axis, mode in zip(axes, modes, strict=True)]
    if run_branches(output, x, branches, cval, finish):
        return output
    chains.note_more()

    def term(x, axis, output, mode, cval):
        output = result_array(output, x)
        run_passes(output, x, passes(axis, mode), cval)
        return np.multiply(output, output, out=output) if finish == "length" else output

    output = _sum_over_axes(x, term, output, mode, cval, (), {}, axes)
    if axes and finish == "length":
        _take_root(output)
    return output


def _sum_over_axes(x, term, output, mode, cval, arguments, keywords, axes):
    """The sum of ``term(x, axis, ...)`` in output's dtype; x itself where there are no axes."""
    x = on_host("input", x)
    output = result_array(output, x)
    axes = chosen_axes(axes, x.ndim)
    if not axes:
        output[...] = x
        return output
    modes = per_axis("mode", mode, len(axes))
    term(x, axes[0], output, modes[0], cval, *arguments, **keywords)
    for axis, mode in zip(axes[1:], modes[1:], strict=True):
        output += term(x, axis, output.dtype, mode, cval, *arguments, **keywords)
    return output


def _take_root(squares):
    """The square roots of an array in it, in a type that holds them; of bytes not in float16.

    Both truncate to the same byte, and float16 is slow.
    """
    dtype = np.float32 if squares.dtype == np.uint8 else None
    np.sqrt(squares, out=squares, casting="unsafe", dtype=dtype)
