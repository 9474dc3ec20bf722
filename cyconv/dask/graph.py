"""The graph: pieces of chunks are cut, put together as blocks, and computed, one task a block."""

from itertools import product
from math import isnan

import dask.array as da
import numpy as np
from dask.array.chunk import getitem
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from cyconv.dask.windows import spans
from cyconv.runtime.parallel import one_thread


def check_array(operation, name, x):
    """Refuse what is not a dask array of known sizes."""
    if not isinstance(x, da.Array):
        raise TypeError(
            f"{operation}: {name} must be a dask.array.Array, got {type(x).__name__}: "
            "dask.array.from_array or from_zarr makes one"
        )
    if any(isnan(n) for n in x.shape):
        raise ValueError(
            f"{operation}: {name} must have chunks of known sizes, got shape {x.shape}: "
            "call its compute_chunk_sizes() before"
        )


def check_in_memory(operation, **arrays):
    """Refuse dask arrays where every task needs the whole array."""
    for name, array in arrays.items():
        if isinstance(array, da.Array):
            raise TypeError(
                f"{operation}: {name} must be an array in memory, because every chunk needs all "
                f"of it, got a dask.array.Array: give {name}.compute()"
            )


def computed(operation, x, windows, function, chunks, dtype, beside=None):
    """The dask array whose chunks are ``function(block, notes)``.

    Parameters
    ----------
    operation : str
        The public function's name, which names the tasks.
    x : dask array
    windows : list of list of Window
        For each axis one for each chunk of the result.
    function : callable
        Sent to each worker once, with what it holds. It is called with the cells that the windows
        of its chunk tell and with their notes.
    chunks : tuple of tuple of int
        Of the result, which has x's axes and may have others after them, of one chunk each.
    dtype : dtype
        Of the result.
    beside : dask array, optional
        With a chunk for each chunk of the result, which is the function's last argument.
    """
    more = (0,) * (len(chunks) - x.ndim)
    token = tokenize(operation, x.name, function, chunks, dtype, beside)
    name, shared, cut = (f"{operation}{part}-{token}" for part in ("", "-call", "-piece"))
    graph = {shared: _Call(function)}
    pieces = [_pieces(*axis) for axis in zip(windows, x.chunks, strict=True)]
    for at in product(*map(range, map(len, windows))):
        mine = [axis[i] for axis, i in zip(pieces, at, strict=True)]
        keys = [_cut(graph, cut, x, choice) for choice in product(*mine)]
        here = [axis[i] for axis, i in zip(windows, at, strict=True)]
        sizes = [[stop - start for _, start, stop in axis] for axis in mine]
        index = [window.index for window in here]
        index = None if all(i is None for i in index) else index
        notes = [window.note for window in here]
        other = () if beside is None else ((beside.name, *at),)
        graph[(name, *at, *more)] = (_block, shared, keys, sizes, index, notes, *other)
    dependencies = [x] if beside is None else [x, beside]
    layers = HighLevelGraph.from_collections(name, graph, dependencies=dependencies)
    return da.Array(layers, name, chunks, meta=np.empty((0,) * len(chunks), dtype))


def _pieces(windows, chunks):
    """For each window of an axis, (chunk, start, stop) of the parts of chunks that it is made of.

    At least one, if without cells.
    """
    bounds = spans(chunks)
    starts, stops = np.array(bounds).T
    found = []
    for window in windows:
        parts = []
        for begin, end in window.cells:
            first = np.searchsorted(stops, begin, "right")
            last = np.searchsorted(starts, end, "left")
            parts += [
                (i, max(begin, start) - start, min(end, stop) - start)
                for i, (start, stop) in enumerate(bounds[first:last], int(first))
                if max(begin, start) < min(end, stop)
            ]
        found.append(parts or [(0, 0, 0)])
    return found


def _cut(graph, name, x, choice):
    """The key of a part of one chunk; its task is added, unless it is the whole chunk."""
    at = tuple(i for i, _, _ in choice)
    source = (x.name, *at)
    sizes = [sizes[i] for sizes, i in zip(x.chunks, at, strict=True)]
    if all(part[1:] == (0, n) for part, n in zip(choice, sizes, strict=True)):
        return source
    key = (name, *at, *(n for part in choice for n in part[1:]))
    graph[key] = (getitem, source, tuple(slice(*part[1:]) for part in choice))
    return key


class _Call:
    """The function of all blocks as a value of the graph, not as a task."""

    def __init__(self, function):
        self.function = function

    def __dask_tokenize__(self):
        return tokenize(self.function)


def _block(call, pieces, sizes, index, notes, *beside):
    """One task: the block of `pieces`, which lie in rows by `sizes`, computed on one thread."""
    block = _put_together(pieces, sizes)
    if index is not None:
        for axis, positions in enumerate(index):
            if positions is not None:
                block = np.take(block, positions, axis)
    with one_thread():
        return call.function(block, notes, *beside)


def _put_together(pieces, sizes):
    """The pieces in one array; the only one as it is."""
    if len(pieces) == 1:
        return np.asarray(pieces[0])
    block = np.empty([sum(axis) for axis in sizes], pieces[0].dtype)
    places = [[slice(*span) for span in spans(axis)] for axis in sizes]
    for place, piece in zip(product(*places), pieces, strict=True):
        block[place] = piece
    return block
