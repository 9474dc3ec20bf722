"""The functions people call: each builds a Problem, gets its Plan and runs it."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from cyconv.lowering.transposed import transposed
from cyconv.planning.plan import cache, plan, planned
from cyconv.problem import (
    DATA_FORMATS,
    ROLES,
    Problem,
    argument_name,
    as_shape,
    checked_dtype,
    documentation,
    promoted_dtype,
    sum_dtype,
    wrong_rank,
)
from cyconv.problem.examples import examples
from cyconv.problem.operands import as_array, check_on_host, is_on_device
from cyconv.runtime.calls import key


def _solve(operation, direction, shapes, dtypes, geometry, what, how):
    """The cached Plan for this question.

    `geometry` is (stride, padding, dilation, groups), `what` is (padding_mode, data_format, flip,
    out_dtype), and `how` is (algorithm, device, threads, accuracy, workspace_limit).
    """
    asked = key(operation, direction, shapes, dtypes, geometry, what + how)
    try:
        found = cache.get(asked)
    except TypeError:  # an option that cannot be a key, and so is wrong: Problem will say
        asked = found = None
    if found is None:
        problem = _problem(operation, direction, shapes, dtypes, geometry, *what)
        found = plan(problem, *how) if asked is None else cache.put(asked, planned(problem, *how))
    return found


def _problem(operation, direction, shapes, dtypes, geometry, mode, data_format, flip, out_dtype):
    """The Problem of a call; its operands meet in one dtype."""
    (x_shape, w_shape), (stride, padding, dilation, groups) = shapes, geometry
    return Problem.of(
        x_shape=x_shape,
        w_shape=w_shape,
        dtype=promoted_dtype(operation, direction, dtypes),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=mode,
        data_format=data_format,
        flip=flip,
        out_dtype=out_dtype,
        direction=direction,
        operation=operation,
    )


def _call(found, a, b, bias, out, activation, add=None):
    problem = found.problem
    if a.dtype is not problem.dtype or b.dtype is not problem.dtype:
        names = (argument_name(problem.operation, role) for role in ROLES[problem.direction])
        a, b = (
            _cast(problem.operation, name, array, problem.dtype)
            for name, array in zip(names, (a, b), strict=False)
        )
    return found(a, b, bias, out, activation, add=add)


def _cast(operation, name, array, dtype):
    """`array` in `dtype`, where it lies."""
    if array.dtype == dtype:
        return array
    if is_on_device(array):
        from cyconv.opencl.functions import converted

        return converted(operation, name, array, dtype)
    return array.astype(dtype)


def _forward(name, rank):
    """The public cross-correlation `name`; all ranks share one signature and one body."""

    def convolution(
        x,
        w,
        bias=None,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        *,
        padding_mode="zeros",
        data_format="channels_first",
        flip=False,
        activation=None,
        algorithm="auto",
        device="cpu",
        threads=None,
        accuracy="balanced",
        workspace_limit=None,
        out=None,
        out_dtype=None,
        add=None,
    ):
        if type(x) is not ndarray or type(w) is not ndarray:  # most are
            x, w = as_array(name, "x", x), as_array(name, "w", w)
        if rank is not None and w.ndim != rank + 2:
            raise wrong_rank(name, rank, w.shape)
        what = (padding_mode, data_format, flip, out_dtype)
        how = (algorithm, device, threads, accuracy, workspace_limit)
        found = _solve(
            name,
            "forward",
            (x.shape, w.shape),
            (x.dtype, w.dtype),
            (stride, padding, dilation, groups),
            what,
            how,
        )
        return _call(found, x, w, bias, out, activation, add)

    return _named(convolution, name, rank, documentation.FORWARD)


def _transpose(name, rank):
    """The public transposed convolution `name`."""

    def convolution(
        x,
        w,
        bias=None,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        dilation=1,
        *,
        output_shape=None,
        padding_mode="zeros",
        data_format="channels_first",
        flip=False,
        activation=None,
        algorithm="auto",
        device="cpu",
        threads=None,
        accuracy="balanced",
        workspace_limit=None,
        out=None,
        out_dtype=None,
        add=None,
    ):
        x, w = as_array(name, "x", x), as_array(name, "w", w)
        if rank is not None and w.ndim != rank + 2:
            raise wrong_rank(name, rank, w.shape)
        shape, padding, beyond = transposed(
            name,
            x.shape,
            w.shape,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            output_shape,
            data_format,
        )
        what = (padding_mode, data_format, flip, out_dtype)
        how = (algorithm, device, threads, accuracy, workspace_limit)
        found = _solve(
            name,
            "grad_input",
            (shape, w.shape),
            (x.dtype, w.dtype),
            (stride, padding, dilation, groups),
            what,
            how,
        )
        if any(n for pair in beyond for n in pair):
            x = _surrounded(x, beyond)
        return _call(found, x, w, bias, out, activation, add)

    return _named(convolution, name, rank, documentation.TRANSPOSE)


def _surrounded(x, widths):
    """`x` between zeros, where it lies."""
    if is_on_device(x):
        from cyconv.opencl.functions import surrounded

        return surrounded(x, widths)
    return np.pad(x, widths)


def _named(function, name, rank, text):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = documentation.for_rank(text, rank) + examples(name)
    return function


def planned_conv(operation, shapes, dtypes, geometry, what, how):
    """The Plan of :func:`conv` for a room above, where errors begin with the name `operation`.

    `geometry`, `what` and `how` are in the order of :func:`_solve`.
    """
    return _solve(operation, "forward", shapes, dtypes, geometry, what, how)


conv = _forward("conv", None)
conv1d = _forward("conv1d", 1)
conv2d = _forward("conv2d", 2)
conv3d = _forward("conv3d", 3)
conv_transpose = _transpose("conv_transpose", None)
conv_transpose1d = _transpose("conv_transpose1d", 1)
conv_transpose2d = _transpose("conv_transpose2d", 2)
conv_transpose3d = _transpose("conv_transpose3d", 3)


def conv_grad_input(
    input_shape,
    w,
    grad_output,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    padding_mode="zeros",
    data_format="channels_first",
    flip=False,
    algorithm="auto",
    device="cpu",
    threads=None,
    accuracy="balanced",
    workspace_limit=None,
    out=None,
    out_dtype=None,
):
    r"""Gradient of a convolution with respect to its input.

    .. math:: dx[n, c, h] = \sum_{k, r, p:\, p s + r d - lo = h} \bar{w}[k, c, r] \, g[n, k, p]

    Parameters
    ----------
    input_shape : tuple of int
        Shape of the x of the forward call.
    w : array (K, C / groups, *kernel)
    grad_output : array of the forward result's shape
    stride, padding, dilation, groups, padding_mode, data_format, flip
        As in the forward call (:func:`conv`).
    algorithm, device, threads, accuracy, workspace_limit, out, out_dtype
        As for :func:`conv`.

    Returns
    -------
    array of shape input_shape
        For complex w the sum takes its conjugate: the adjoint map, as in PyTorch. A weight that is
        not finite touches the cells that its products with grad_output reach, no others.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As :func:`conv`; ValueError if grad_output's shape is not the forward result's.

    Examples
    --------
    >>> g = np.array([[1.0, -1, 2]])  # of the three outputs
    >>> cyconv.conv_grad_input((1, 5), np.array([[[1.0, 2, 3]]]), g)
    array([[1., 1., 3., 1., 6.]])
    """
    name = "conv_grad_input"
    w, g = as_array(name, "w", w), as_array(name, "grad_output", grad_output)
    what = (padding_mode, data_format, flip, out_dtype)
    how = (algorithm, device, threads, accuracy, workspace_limit)
    found = _solve(
        name,
        "grad_input",
        (as_shape(name, "input_shape", input_shape), w.shape),
        (g.dtype, w.dtype),
        (stride, padding, dilation, groups),
        what,
        how,
    )
    return _call(found, g, _conjugate(name, "w", w), None, out, None)


def conv_grad_weight(
    x,
    weight_shape,
    grad_output,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    padding_mode="zeros",
    data_format="channels_first",
    flip=False,
    algorithm="auto",
    device="cpu",
    threads=None,
    accuracy="balanced",
    workspace_limit=None,
    out=None,
    out_dtype=None,
):
    r"""Gradient of a convolution with respect to its weights.

    .. math:: dw[k, c, r] = \sum_{n, p} g[n, k, p] \, \bar{x}[n, c, p s + r d - lo]

    Parameters
    ----------
    x : array, the input of the forward call
    weight_shape : tuple of int
        Shape of the w of the forward call.
    grad_output : array of the forward result's shape
    stride, padding, dilation, groups, padding_mode, data_format, flip
        As in the forward call (:func:`conv`).
    algorithm, device, threads, accuracy, workspace_limit, out, out_dtype
        As for :func:`conv`.

    Returns
    -------
    array of shape weight_shape
        For complex x the sum takes its conjugate: the adjoint map, as in PyTorch.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As :func:`conv`; ValueError if grad_output's shape is not the forward result's.

    Examples
    --------
    >>> x, g = np.array([[1.0, 2, 3, 0, 1]]), np.array([[1.0, -1, 2]])
    >>> cyconv.conv_grad_weight(x, (1, 1, 3), g)
    array([[[ 5., -1.,  5.]]])
    """
    name = "conv_grad_weight"
    x, g = as_array(name, "x", x), as_array(name, "grad_output", grad_output)
    what = (padding_mode, data_format, flip, out_dtype)
    how = (algorithm, device, threads, accuracy, workspace_limit)
    found = _solve(
        name,
        "grad_weight",
        (x.shape, as_shape(name, "weight_shape", weight_shape)),
        (x.dtype, g.dtype),
        (stride, padding, dilation, groups),
        what,
        how,
    )
    return _call(found, _conjugate(name, "x", x), g, None, out, None)


def conv_grad_bias(grad_output, *, data_format="channels_first", device="cpu"):
    """Gradient of a convolution with respect to its bias: the sum over images and positions.

    Parameters
    ----------
    grad_output : array (N, K, *spatial), or (N, *spatial, K) with channels last
        Batched: a gradient without its batch axis is taken for one of fewer spatial axes.
    data_format : {'channels_first', 'channels_last'} or letters such as 'NHWC'
    device : str
        As for :func:`conv`.

    Returns
    -------
    array (K,) of grad_output's dtype; integers are summed as :func:`conv` sums them

    Examples
    --------
    >>> cyconv.conv_grad_bias(np.ones((8, 2, 5, 5)))  # 8 images, 2 filters
    array([200., 200.])
    """
    name = "conv_grad_bias"
    g = as_array(name, "grad_output", grad_output)
    if not isinstance(data_format, str) or data_format not in DATA_FORMATS:
        raise ValueError(
            f"{name}: data_format must be one of {', '.join(map(repr, DATA_FORMATS))}, "
            f"got {data_format!r}"
        )
    if g.ndim < 3:
        raise ValueError(f"{name}: grad_output must be (N, K, *spatial), got shape {g.shape}")
    if not data_format.startswith("channels") and len(data_format) != g.ndim:
        raise ValueError(
            f"{name}: data_format {data_format!r} must have one letter for each axis of "
            f"grad_output, got shape {g.shape}"
        )
    channel = g.ndim - 1 if DATA_FORMATS[data_format] else 1
    sums = sum_dtype(checked_dtype(name, "grad_output.dtype", g.dtype))
    if device != "cpu":
        from cyconv.opencl.functions import grad_bias

        return grad_bias(g, channel, device)
    check_on_host(name, "grad_output", g)
    total = g.sum(axis=tuple(a for a in range(g.ndim) if a != channel), dtype=sums)
    return total if g.dtype.kind in "iu" else total.astype(g.dtype.newbyteorder("="), copy=False)


def conv_vjp(x, w, grad_output, stride=1, padding=0, dilation=1, groups=1, **options):
    """All three gradients of a convolution at once: its vector-Jacobian product.

    Parameters
    ----------
    x, w : arrays of the forward call
    grad_output : array of the forward result's shape
    stride, padding, dilation, groups
        As in the forward call (:func:`conv`).
    **options
        Keywords of :func:`conv_grad_input`, except `out` and `out_dtype`.

    Returns
    -------
    grad_x, grad_w, grad_bias : arrays of the shapes of x, w and (K,)

    Examples
    --------
    >>> x, w, g = np.ones((1, 4)), np.ones((2, 1, 3)), np.ones((2, 2))
    >>> [gradient.shape for gradient in cyconv.conv_vjp(x, w, g)]
    [(1, 4), (2, 1, 3), (2,)]
    """
    for name in ("out", "out_dtype"):
        if name in options:
            raise TypeError(f"conv_vjp: {name} must not be given: there are three results")
    op = "conv_vjp"
    x, w = as_array(op, "x", x), as_array(op, "w", w)
    g = as_array(op, "grad_output", grad_output)
    for name, array in (("x", x), ("w", w), ("grad_output", g)):
        checked_dtype(op, f"{name}.dtype", array.dtype)
    common = np.result_type(x.dtype, w.dtype, g.dtype)  # once, so that all three gradients have it
    named = (("x", x), ("w", w), ("grad_output", g))
    x, w, g = (_cast(op, name, array, common) for name, array in named)
    geometry = (stride, padding, dilation, groups)
    batched = g if x.ndim == w.ndim else g[None]
    shared = {key: options[key] for key in ("data_format", "device") if key in options}
    return (
        conv_grad_input(x.shape, w, g, *geometry, **options),
        conv_grad_weight(x, w.shape, g, *geometry, **options),
        conv_grad_bias(batched, **shared),
    )


def _conjugate(operation, name, array):
    if array.dtype.kind == "c" and is_on_device(array):
        from cyconv.opencl.functions import converted

        return converted(operation, name, array, array.dtype, conjugated=True)
    return array.conj() if array.dtype.kind == "c" else array
