"""What an output chunk reads of its array, axis by axis: cells, and where each of them stands."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from cyconv.lowering.borders import BORDERS


@dataclass(frozen=True)
class Window:
    """What one output chunk reads along one axis.

    Parameters
    ----------
    cells : tuple of (start, stop)
        Of the array, in ascending order.
    note
        What the function that computes the chunk has to know: a padding, what to keep.
    index : array of int, optional
        Which of the cells stands at each position of the block; None: each at its own.
    """

    cells: tuple
    note: object = None
    index: np.ndarray | None = None


def whole(size, note=None):
    """The one window of an axis that is not divided."""
    return [Window(((0, size),), note)]


def spans(chunks):
    """(start, stop) of every chunk of one axis."""
    return list(pairwise(accumulate(chunks, initial=0)))


def bordered(begin, end, size, mode, note=None):
    """The window of positions [begin, end) of an axis of `size` cells with an endless border.

    Parameters
    ----------
    begin, end : int
        Positions before 0 and from `size` on stand in the border.
    mode : key of BORDERS, not 'constant'
    note
        See :class:`Window`.

    Returns
    -------
    Window
        It has each cell once, however often the border repeats it.
    """
    if begin >= 0 and end <= size:
        return Window(((begin, end),), note)
    sources = BORDERS[mode](np.arange(begin, end), size)
    seen = np.unique(sources)
    gaps = np.flatnonzero(np.diff(seen) > 1) + 1
    cells = tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(seen, gaps))
    return Window(cells, note, np.searchsorted(seen, sources))


def with_halo(chunks, reach, wraps):
    """Windows of chunks with `reach` more cells on either side; the note is the slice to keep.

    At the array's ends they end too: whoever computes the block finds its border there, and it
    copies no cell farther than `reach` from the end. A border that wraps comes from the other end.
    """
    size = sum(chunks)
    if len(chunks) == 1:
        return whole(size, slice(0, size))
    found = []
    for start, stop in spans(chunks):
        begin, end = start - reach, stop + reach
        if not wraps:
            begin, end = max(begin, 0), min(end, size)
        found.append(bordered(begin, end, size, "wrap", slice(start - begin, stop - begin)))
    return found


def output_spans(chunks, outputs, stride, before, extent):
    """(first, last) of the outputs of each chunk of the result along one axis.

    An output belongs to the chunk of x in which the middle of its window lies, or which is nearest.
    Where a border adds more of them than twice a chunk has, they are divided. At least one.

    Parameters
    ----------
    chunks : tuple of int
        Sizes of x's chunks.
    outputs : int
        How many there are: p reads the positions from p * stride - before on.
    stride, before, extent : int
    """
    middle = before - extent // 2
    ends = list(accumulate(chunks))[:-1]
    firsts = (min(max(-(-(end + middle) // stride), 0), outputs) for end in ends)
    most = max(1, 2 * -(-max(chunks) // stride))
    found = []
    for first, last in pairwise(sorted({0, *firsts, outputs})):
        parts = -(-(last - first) // most)
        bounds = [first + (last - first) * i // parts for i in range(parts + 1)]
        found += pairwise(bounds)
    return found or [(0, 0)]
