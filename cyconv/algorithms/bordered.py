"""Large kernels over images as they are stored: tiles of transforms that read an image's border."""

from cyconv.algorithms.chains import note_run
from cyconv.planning.plan import plan
from cyconv.problem import Problem


class Tiles:
    """One kernel over images of one shape and type, its spectra made: what a call of :func:`tiles`
    gives, and :mod:`cyconv.algorithms.recall` keeps.
    """

    def __init__(self, packed, spatial, step, border, saturate):
        self.packed, self.border, self.saturate = packed, border, saturate
        self.bytes = packed.bytes
        rank = len(spatial)
        self.shape = (*spatial, step) if step > 1 else (-1, 1, *spatial)
        self.order = (rank, *range(rank)) if step > 1 else None

    def planes(self, array):
        """An array in C order as (batch, 1, *spatial)."""
        array = array.reshape(self.shape)
        return array if self.order is None else array.transpose(self.order)[:, None]

    def filter(self, x, y):
        """Filter `x` into `y`, which are as those it was made for. Threads may share it."""
        self.packed.of_bordered(self.planes(x), self.border, self.planes(y), self.saturate)

    def run(self, x, y):
        """As :meth:`filter`, of a call that may be remembered."""
        note_run(x, y, self)
        self.filter(x, y)


def tiles(
    shape,
    w,
    widths,
    mode,
    cval=0.0,
    *,
    saturate=False,
    operation="plan",
    accuracy="balanced",
    threads=None,
):
    """How `w` is summed over images (batch, *spatial, step) by tiles, or None where other ways are
    faster.

    Parameters
    ----------
    shape : (batch, *spatial, step)
        `step` elements make a pixel, each filtered by itself; 1 where batch is not.
    w : array in the dtype of the sums
        It reaches along the spatial axes.
    widths : sequence of (before, after), one pair per spatial axis
        Of the border; before + after + 1 is w's size.
    mode, cval
        See :func:`cyconv.lowering.borders.extended`; cval is finite.
    saturate : bool
        Round integers to the nearest and clip, instead of C's cast.
    """
    batch, *spatial, step = shape
    padded = [n + before + after for n, (before, after) in zip(spatial, widths, strict=True)]
    problem = Problem((batch * step, 1, *padded), (1, 1, *w.shape), w.dtype, operation=operation)
    chosen = plan(problem, threads=threads, accuracy=accuracy)
    if not chosen.reads_borders:
        return None
    packed = chosen.pack(w.reshape(problem.w_shape))
    return Tiles(packed, spatial, step, (widths, mode, cval), saturate)
