"""Gradients of the weights, of dask arrays: the sum of what the chunks give."""

from functools import partial

from cyconv import api
from cyconv.dask.conv import check_left_out, divided
from cyconv.dask.graph import check_array, computed
from cyconv.planning.plan import plan
from cyconv.problem import Problem, as_shape, promoted_dtype


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
    """:func:`cyconv.conv_grad_weight` of two dask arrays: the sum of what their chunks give.

    Parameters
    ----------
    x, grad_output : dask arrays
        grad_output is rechunked to what :func:`cyconv.dask.conv` would give for x.
    weight_shape : tuple of int
    stride, padding, dilation, groups, padding_mode, data_format, flip
        As for :func:`cyconv.conv_grad_weight`.
    accuracy, algorithm, device, threads, workspace_limit, out, out_dtype
        As for :func:`cyconv.dask.conv`.

    Returns
    -------
    dask array of shape weight_shape, in one chunk
        Kept in the dtype of the sums, and rounded once.

    Examples
    --------
    >>> import dask.array as da
    >>> import cyconv.dask
    >>> x, grad = da.ones((2, 1, 8, 8), chunks=4), da.ones((2, 3, 6, 6), chunks=3)
    >>> w_grad = cyconv.dask.conv_grad_weight(x, (3, 1, 3, 3), grad)
    >>> bool((w_grad == 2 * 6 * 6).all().compute())
    True
    """
    name = "conv_grad_weight"
    check_array(name, "x", x)
    check_array(name, "grad_output", grad_output)
    check_left_out(name, device, threads, out)
    problem = Problem(
        x.shape,
        as_shape(name, "weight_shape", weight_shape),
        promoted_dtype(name, "grad_weight", (x.dtype, grad_output.dtype)),
        stride,
        padding,
        dilation,
        groups,
        padding_mode=padding_mode,
        data_format=data_format,
        flip=flip,
        out_dtype=out_dtype,
        direction="grad_weight",
        operation=name,
    )
    if grad_output.shape != problem.operand_shapes[1]:
        raise ValueError(
            f"{name}: grad_output must have shape {problem.operand_shapes[1]}, "
            f"got {grad_output.shape}"
        )
    options = {"algorithm": algorithm, "accuracy": accuracy, "workspace_limit": workspace_limit}
    plan(problem, threads=1, **options)  # what is refused is refused now
    x, windows, chunks, spatial = divided(problem, x)
    function = partial(
        _gradient,
        weight_shape=problem.w_shape,
        spatial=spatial,
        stride=problem.stride,
        dilation=problem.dilation,
        groups=problem.groups,
        data_format=problem.data_format,
        flip=problem.flip,
        out_dtype=problem.sum_dtype,
        **options,
    )
    ones = tuple((1,) * len(axis) for axis in windows)
    parts = computed(
        name,
        x,
        windows,
        function,
        ones + tuple((n,) for n in problem.w_shape),
        problem.sum_dtype,
        beside=grad_output.rechunk(chunks),
    )
    total = parts.sum(axis=tuple(range(x.ndim)), dtype=problem.sum_dtype)
    return total.astype(problem.out_dtype)


def _gradient(block, notes, grad_output, weight_shape, spatial, **options):
    """What one chunk of the output's gradient gives, with an axis for each of x's."""
    padding = tuple(notes[slice(*spatial)])
    found = api.conv_grad_weight(
        block, weight_shape, grad_output, padding=padding, threads=1, **options
    )
    return found.reshape((1,) * block.ndim + found.shape)
