"""Convolutions of dask arrays, by :mod:`cyconv.api` on one block in each task."""

from functools import partial

from cyconv import api
from cyconv.dask.graph import check_array, check_in_memory, computed
from cyconv.dask.windows import Window, bordered, output_spans, spans, whole
from cyconv.lowering.borders import SCIPY_NAMES
from cyconv.planning.plan import plan
from cyconv.problem import Problem, between_zeros, extent, promoted_dtype, wrong_rank
from cyconv.problem.operands import as_array, check_activation, check_bias


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
    ):
        check_array(name, "x", x)
        check_in_memory(name, w=w, bias=bias)
        check_left_out(name, device, threads, out)
        w = as_array(name, "w", w)
        if rank is not None and w.ndim != rank + 2:
            raise wrong_rank(name, rank, w.shape)
        dtype = promoted_dtype(name, "forward", (x.dtype, w.dtype))
        problem = Problem(
            x.shape,
            w.shape,
            dtype,
            stride,
            padding,
            dilation,
            groups,
            padding_mode=padding_mode,
            data_format=data_format,
            flip=flip,
            out_dtype=out_dtype,
            operation=name,
        )
        bias, _ = check_bias(problem, bias), check_activation(problem, activation)
        options = {
            "activation": activation,
            "algorithm": algorithm,
            "accuracy": accuracy,
            "workspace_limit": workspace_limit,
        }
        return _divided(problem, x, w.astype(problem.dtype, copy=False), bias, options)

    convolution.__name__ = convolution.__qualname__ = name
    convolution.__doc__ = _DOC.replace("@name", name).replace("@rank", str(rank or 2))
    return convolution


_DOC = """:func:`cyconv.@name` of a dask array, chunk by chunk.

    Parameters
    ----------
    x : dask array
        Its chunks along the batch and the spatial axes stay what they are, divided by the stride;
        along the channels it is rechunked to one chunk.
    w, bias : arrays in memory
    stride, padding, dilation, groups, padding_mode, data_format, flip, activation, accuracy
        As for :func:`cyconv.@name`.
    algorithm : str, default 'auto'
        The library's choice is made for every block.
    device : {'cpu'}
    threads : {None, 1}
        Every task computes on one thread.
    workspace_limit : int, optional
        Bytes of scratch of one task.
    out : None
    out_dtype : dtype, optional

    Returns
    -------
    dask array
        With one chunk along the filters.

    Raises
    ------
    TypeError, ValueError, MemoryError
        For an argument that is wrong, before anything is computed; the message names it.

    Examples
    --------
    >>> import dask.array as da
    >>> import cyconv.dask
    >>> x, w = da.ones((2, 1, *[8] * @rank), chunks=4), np.ones((3, 1, *[3] * @rank))
    >>> y = cyconv.dask.@name(x, w, padding=1)
    >>> y.shape == (2, 3, *[8] * @rank), y.numblocks[2:] == x.numblocks[2:]
    (True, True)
    >>> np.allclose(y.compute(), cyconv.@name(x.compute(), w, padding=1))
    True
    """


def check_left_out(name, device, threads, out):
    """Refuse what makes no sense by chunks."""
    if device != "cpu":
        raise ValueError(f"{name}: device must be 'cpu' for a dask array, got {device!r}")
    if threads not in (None, 1):
        raise ValueError(
            f"{name}: threads must be None or 1 for a dask array, whose tasks run side by side, "
            f"got {threads!r}"
        )
    if out is not None:
        raise TypeError(
            f"{name}: out must be None for a dask array, got {type(out).__name__}: "
            "store or to_zarr writes the result"
        )


def _divided(problem, x, w, bias, options):
    """The result as a dask array."""
    x, windows, chunks, spatial = divided(problem, x)
    _check_plan(problem, windows, options)
    function = partial(
        _convolved,
        name=problem.operation,
        w=w,
        bias=bias,
        spatial=spatial,
        stride=problem.stride,
        dilation=problem.dilation,
        groups=problem.groups,
        data_format=problem.data_format,
        flip=problem.flip,
        out_dtype=problem.out_dtype,
        **options,
    )
    return computed(problem.operation, x, windows, function, chunks, problem.out_dtype)


def divided(problem, x):
    """How the forward problem is divided.

    Returns
    -------
    x : dask array
        With one chunk along the channels.
    windows : list of list of Window
        For each axis of x, what the chunks of y read; the notes are the paddings of spatial axes.
    chunks : tuple of tuple of int
        Of y.
    spatial : (first, last)
        Which axes are spatial.
    """
    first = x.ndim - problem.rank - problem.channels_last
    channel = x.ndim - 1 if problem.channels_last else first - 1
    x = x.rechunk({channel: -1})
    windows, chunks = [None] * x.ndim, list(x.chunks)
    if problem.batched:
        windows[0] = [Window((span,)) for span in spans(x.chunks[0])]
    windows[channel], chunks[channel] = whole(problem.channels), (problem.filters,)
    for axis in range(problem.rank):
        outputs = output_spans(
            x.chunks[first + axis],
            problem.output_spatial[axis],
            problem.stride[axis],
            problem.padding[axis][0],
            extent(problem.kernel[axis], problem.dilation[axis]),
        )
        windows[first + axis] = [_window(problem, axis, *span) for span in outputs]
        chunks[first + axis] = tuple(last - begin for begin, last in outputs)
    return x, windows, tuple(chunks), (first, first + problem.rank)


def _window(problem, axis, first, last):
    """What the outputs [first, last) of a spatial axis read; the note is the block's padding."""
    span = extent(problem.kernel[axis], problem.dilation[axis])
    begin = first * problem.stride[axis] - problem.padding[axis][0]
    end = begin + (last - 1 - first) * problem.stride[axis] + span
    if problem.padding_mode == "zeros":
        cells, zeros = between_zeros(begin, end, problem.spatial[axis])
        return Window((cells,), zeros)
    mode = SCIPY_NAMES[problem.padding_mode]
    return bordered(begin, end, problem.spatial[axis], mode, (0, 0))


def _check_plan(problem, windows, options):
    """Plan the largest block, so that what cannot be computed is refused now."""
    shape, padding = [], []
    for axis in windows:
        longest = max(axis, key=_length)
        shape.append(_length(longest))
        if longest.note is not None:
            padding.append(longest.note)
    block = Problem(
        shape,
        problem.w_shape,
        problem.dtype,
        problem.stride,
        tuple(padding),
        problem.dilation,
        problem.groups,
        data_format=problem.data_format,
        flip=problem.flip,
        out_dtype=problem.out_dtype,
        operation=problem.operation,
    )
    plan(
        block,
        options["algorithm"],
        threads=1,
        accuracy=options["accuracy"],
        workspace_limit=options["workspace_limit"],
    )


def _length(window):
    """Cells of the block along the window's axis."""
    if window.index is not None:
        return len(window.index)
    return sum(stop - start for start, stop in window.cells)


def _convolved(block, notes, name, w, bias, spatial, **options):
    """One chunk of the result."""
    padding = tuple(notes[slice(*spatial)])
    return getattr(api, name)(block, w, bias, padding=padding, threads=1, **options)


conv = _forward("conv", None)
conv1d = _forward("conv1d", 1)
conv2d = _forward("conv2d", 2)
conv3d = _forward("conv3d", 3)
