r"""Transposed convolutions and gradients of the input, of dask arrays.

The cells [a, b) of the result get products of the elements p with

.. math:: p s + r d - lo = h, \quad a \le h < b, \quad 0 \le r < R

of the operand: few more than b - a over the stride. A block of them is a problem of its own, whose
result is [a, b): its lo is a + lo - p_0 s for the first element p_0.
"""

from functools import partial
from itertools import accumulate, pairwise

import numpy as np

from cyconv.dask.conv import check_left_out
from cyconv.dask.graph import check_array, check_in_memory, computed
from cyconv.dask.windows import Window, spans, whole
from cyconv.lowering.transposed import transposed
from cyconv.planning.plan import plan
from cyconv.problem import Problem, as_shape, extent, promoted_dtype, wrong_rank
from cyconv.problem.operands import as_array, check_activation, check_bias


def _transpose(name, rank):
    """The public transposed convolution `name`; all ranks share one signature and one body."""

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
    ):
        check_array(name, "x", x)
        check_in_memory(name, w=w, bias=bias)
        w = as_array(name, "w", w)
        if rank is not None and w.ndim != rank + 2:
            raise wrong_rank(name, rank, w.shape)
        shape, padding, _ = transposed(
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
        how = (algorithm, device, threads, accuracy, workspace_limit, out)
        geometry = (stride, padding, dilation, groups)
        return _solved(name, shape, x, w, bias, activation, geometry, what, how)

    convolution.__name__ = convolution.__qualname__ = name
    convolution.__doc__ = _DOC.replace("@name", name).replace("@rank", str(rank or 2))
    return convolution


_DOC = """:func:`cyconv.@name` of a dask array, chunk by chunk.

    Parameters
    ----------
    x : dask array
        Its chunks along the batch and the spatial axes stay what they are, times the stride; along
        the channels it is rechunked to one chunk.
    w, bias : arrays in memory
    stride, padding, output_padding, groups, dilation, output_shape, data_format, flip, activation
        As for :func:`cyconv.@name`.
    padding_mode : {'zeros'}
    accuracy, algorithm, device, threads, workspace_limit, out, out_dtype
        As for :func:`cyconv.dask.conv`.

    Returns
    -------
    dask array
        With one chunk along the channels.

    Examples
    --------
    >>> import dask.array as da
    >>> import cyconv.dask
    >>> x, w = da.ones((2, 3, *[4] * @rank), chunks=2), np.ones((3, 1, *[2] * @rank))
    >>> y = cyconv.dask.@name(x, w, stride=2)
    >>> np.allclose(y.compute(), cyconv.@name(x.compute(), w, stride=2))
    True
    """


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
    """:func:`cyconv.conv_grad_input` of a dask array, chunk by chunk.

    Parameters
    ----------
    input_shape : tuple of int
    w : array in memory
    grad_output : dask array
        As x of :func:`cyconv.dask.conv_transpose`.
    stride, padding, dilation, groups, data_format, flip
        As for :func:`cyconv.conv_grad_input`.
    padding_mode : {'zeros'}
    accuracy, algorithm, device, threads, workspace_limit, out, out_dtype
        As for :func:`cyconv.dask.conv`.

    Returns
    -------
    dask array of shape input_shape
        With one chunk along the channels.

    Examples
    --------
    >>> import dask.array as da
    >>> import cyconv.dask
    >>> grad, w = da.ones((2, 3, 6, 6), chunks=3), np.ones((3, 1, 3, 3))
    >>> x_grad = cyconv.dask.conv_grad_input((2, 1, 8, 8), w, grad)
    >>> np.allclose(x_grad.compute(), cyconv.conv_grad_input((2, 1, 8, 8), w, grad.compute()))
    True
    """
    name = "conv_grad_input"
    check_array(name, "grad_output", grad_output)
    check_in_memory(name, w=w)
    w = as_array(name, "w", w)
    shape = as_shape(name, "input_shape", input_shape)
    what = (padding_mode, data_format, flip, out_dtype)
    how = (algorithm, device, threads, accuracy, workspace_limit, out)
    geometry = (stride, padding, dilation, groups)
    w = w.conj() if w.dtype.kind == "c" else w
    problem = _problem(name, shape, grad_output, w, geometry, what)
    if grad_output.shape != problem.operand_shapes[0]:
        raise ValueError(
            f"{name}: grad_output must have shape {problem.operand_shapes[0]}, "
            f"got {grad_output.shape}"
        )
    return _solved(name, shape, grad_output, w, None, None, geometry, what, how)


def _problem(name, shape, x, w, geometry, what):
    mode, data_format, flip, out_dtype = what
    return Problem(
        shape,
        w.shape,
        promoted_dtype(name, "grad_input", (x.dtype, w.dtype)),
        *geometry,
        padding_mode=mode,
        data_format=data_format,
        flip=flip,
        out_dtype=out_dtype,
        direction="grad_input",
        operation=name,
    )


def _solved(name, shape, x, w, bias, activation, geometry, what, how):
    """The result, of this shape, as a dask array."""
    algorithm, device, threads, accuracy, limit, out = how
    check_left_out(name, device, threads, out)
    problem = _problem(name, shape, x, w, geometry, what)
    if problem.padding_mode != "zeros":
        raise ValueError(
            f"{name}: padding_mode must be 'zeros' for a dask array, got {problem.padding_mode!r}"
        )
    bias, _ = check_bias(problem, bias), check_activation(problem, activation)
    first = x.ndim - problem.rank - problem.channels_last
    channel = x.ndim - 1 if problem.channels_last else first - 1
    x = x.rechunk({channel: -1})
    windows, chunks = [None] * x.ndim, list(x.chunks)
    if problem.batched:
        windows[0] = [
            Window((span,), n) for span, n in zip(spans(chunks[0]), chunks[0], strict=True)
        ]
    windows[channel], chunks[channel] = whole(x.shape[channel], shape[channel]), (shape[channel],)
    for axis in range(problem.rank):
        cells = _output_spans(problem, axis, x.chunks[first + axis])
        windows[first + axis] = [
            _window(problem, axis, x.shape[first + axis], *span) for span in cells
        ]
        chunks[first + axis] = tuple(b - a for a, b in cells)
    options = {"algorithm": algorithm, "accuracy": accuracy, "workspace_limit": limit, "threads": 1}
    function = partial(
        _block,
        geometry=_geometry(problem),
        w=w.astype(problem.dtype, copy=False),
        bias=bias,
        activation=activation,
        options=options,
    )
    largest = [
        max(axis, key=lambda window: window.cells[0][1] - window.cells[0][0]) for axis in windows
    ]
    _planned([window.note for window in largest], _geometry(problem), w.shape, options)
    return computed(name, x, windows, function, tuple(chunks), problem.out_dtype)


def _geometry(problem):
    """What the problems of all blocks have in common."""
    return {
        "dtype": problem.dtype,
        "stride": problem.stride,
        "dilation": problem.dilation,
        "groups": problem.groups,
        "data_format": problem.data_format,
        "flip": problem.flip,
        "out_dtype": problem.out_dtype,
        "direction": "grad_input",
        "operation": problem.operation,
    }


def _output_spans(problem, axis, chunks):
    """The cells [a, b) of each chunk of the result: those that begin with its chunk's first tap."""
    size = problem.spatial[axis]
    begins = (n * problem.stride[axis] - problem.padding[axis][0] for n in accumulate(chunks))
    bounds = sorted({0, size, *(min(max(n, 0), size) for n in list(begins)[:-1])})
    return list(pairwise(bounds)) or [(0, 0)]


def _window(problem, axis, elements, a, b):
    """What the cells [a, b) read; the note is their number, the padding, and zeros that lack."""
    stride, low = problem.stride[axis], problem.padding[axis][0]
    span = extent(problem.kernel[axis], problem.dilation[axis])
    first = max(0, min(-(-(a + low - span + 1) // stride), (a + low) // stride))
    first = min(first, elements - 1)  # at least one element is read
    last = min(elements, max(first, (b - 1 + low) // stride) + 1)
    count, begin = last - first, a + low - first * stride
    high = (count - 1) * stride + span - begin - (b - a)
    lack = 0
    if high < 0:  # cells past the last product: elements that are zero
        lack = -(high // stride)
        high += lack * stride
    return Window(((first, first + count),), (b - a, (begin, high), lack))


def _planned(notes, geometry, w_shape, options):
    """The plan of a block, from the notes of its windows."""
    shape = [note if isinstance(note, int) else note[0] for note in notes]
    padding = tuple(note[1] for note in notes if not isinstance(note, int))
    return plan(Problem(shape, w_shape, padding=padding, **geometry), **options)


def _block(block, notes, geometry, w, bias, activation, options):
    """One chunk of the result."""
    lack = [(0, 0 if isinstance(note, int) else note[2]) for note in notes]
    if any(n for _, n in lack):
        block = np.pad(block, lack)
    made = _planned(notes, geometry, w.shape, options)
    return made(block.astype(w.dtype, copy=False), w, bias, activation=activation)


conv_transpose = _transpose("conv_transpose", None)
conv_transpose1d = _transpose("conv_transpose1d", 1)
conv_transpose2d = _transpose("conv_transpose2d", 2)
conv_transpose3d = _transpose("conv_transpose3d", 3)
