r"""The error floor of a product of spectra, and the outputs that lie under it.

A transform spreads its rounding evenly over a tile: each of the N outputs is off by some roundings
of

.. math:: t_k = \|x\|_2 \, \|w_k\|_2 / \sqrt N ,

the size of a typical one, where direct summation is off by roundings of the output's own terms,
:math:`s = |w_k| * |x|` [1]_. So an output whose s is far below t has lost its digits.

What a look at the operands can rule out is ruled out first. Let values be small that are under a
thousandth of the largest. If each run of 16 inputs holds one that is not, and hardly any weight is,
then each s holds many products of large ones; and where the operands together span less than the
type's precision, no sum is lost whose inputs have such runs. Else the outputs themselves are looked
at: \|y| <= s, so one near t keeps its digits. Few others are summed again. Of many, those are left
that are small because their terms cancel, which the spectra of \|x| and \|w| tell; those whose
window is empty are zero.

References
----------
.. [1] N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, sections 3.1 and 24.1.
"""

from math import isfinite, prod, sqrt

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from cyconv.algorithms.spread import spreads

SMALL = 1 / 1024
"""Of the largest value: factors under it are small."""

UNDER = 1 / 256
"""Of a typical output: those under it are looked at."""

FEW = 8
"""Products of sums that are taken again for each point of a tile: about what it has cost."""

GATHERED = 1 << 16
"""Inputs of such sums side by side."""

DIRECT = 20
"""Direct sums of neighbours for the time of one alone."""


def norms(sizes):
    """The 2-norm of each row, in float64; no square overflows."""
    rows = sizes.reshape(len(sizes), -1)
    largest = rows.max(axis=1, initial=0).astype(np.float64)
    unit = np.where(largest > 0, largest, 1)
    return largest * np.sqrt(np.square(rows / unit[:, None]).sum(axis=1))


class Weights:
    """What the floor needs to know of weights (filters, channels, *kernel)."""

    def __init__(self, w, groups, isa):
        sizes = np.abs(w).reshape(len(w), -1)
        largest, of_groups = sizes.max(axis=1, initial=0), (groups, -1)
        small = np.count_nonzero(sizes < largest[:, None] * SMALL, axis=1)
        self.w, self.isa, self.norms = w, isa, norms(sizes)
        self.even = (small * 32 <= sizes.shape[1]).reshape(of_groups).all(axis=1)
        least = spreads(w, len(w), isa)[1]
        span = np.where(largest > 0, largest / least, 1)
        self.span = span.reshape(of_groups).max(axis=1, initial=1)
        self.growth = max(1.0, float(sizes.sum(axis=1, dtype=np.float64).max(initial=0)))

    def doubtful(self, x, group, groups, growth):
        """Of the groups from `group` on, those of which outputs may be lost or overflow.

        Parameters
        ----------
        x : array (channels, *cells) of their inputs
        group, groups : int
        growth : float
            Nothing that is computed is more than so many times the largest input.
        """
        limits, some = np.finfo(x.dtype), slice(group, group + groups)
        even = self.even[some]
        largest, least, run = spreads(x, groups, self.isa, not even.all())
        narrow = self.span[some] * limits.eps * largest <= least
        sound = (run >= largest * SMALL) & (even | narrow)
        return ~(sound & (largest * growth < limits.max))


class Tile:
    """One group's outputs of one tile, and what may have to be summed again.

    Parameters
    ----------
    problem : Problem
    inputs : array (channels, *lengths)
    w : array (filters, channels, *kernel)
    outputs : array (filters, *outputs), changed in place
    axes : list of int
        Those that are transformed, from the end.
    """

    def __init__(self, problem, inputs, w, outputs, axes):
        self.problem, self.axes = problem, axes
        self.inputs, self.w, self.outputs = inputs, w, outputs
        self.sizes = np.abs(inputs)

    def mend(self, w_norms, beside=0.0):
        """Sum the outputs again that lie under the floor; whether they were few enough for that.

        `beside` is the 2-norm of what was transformed together with the inputs.
        """
        points = prod(self.inputs.shape[a] for a in self.axes)
        size = float(np.sqrt(np.square(norms(self.sizes)).sum() + beside**2))
        floor = size * w_norms * (UNDER / sqrt(points))
        floor = floor.reshape(-1, *[1] * self.problem.rank)
        under = np.abs(self.outputs) < floor
        found = int(np.count_nonzero(under))
        each = prod(self.w.shape[1:])
        if found * each <= FEW * self.inputs.size:
            self.sum_again(under)
            return True
        if not isfinite(size):
            return False
        under &= self.spectral_sizes() < floor
        empty = under & self.empty()
        self.outputs[empty] = 0
        under &= ~empty
        if np.count_nonzero(under) * DIRECT > under.size:
            return False
        self.sum_again(under)
        return True

    def spectral_sizes(self):
        """|w| * |x| of all outputs, up to the floor."""
        lengths = [self.inputs.shape[a] for a in self.axes]
        p = self.problem
        taps = (..., *(slice(None, None, d) for d in p.dilation))
        spread = np.zeros((*self.w.shape[:2], *p.receptive_field), self.w.dtype)
        spread[taps] = np.abs(self.w)
        x = scipy.fft.rfftn(self.sizes, axes=self.axes)
        sums = 0
        for c in range(len(x)):
            w = scipy.fft.rfftn(spread[:, c], lengths, axes=self.axes)
            sums = sums + x[c] * np.conjugate(w, out=w)
        return self.kept(scipy.fft.irfftn(sums, lengths, axes=self.axes))

    def kept(self, planes):
        """The outputs' cells of planes of a tile."""
        strides = self.problem.stride
        counts = self.outputs.shape[1:]
        cuts = (slice(0, (n - 1) * s + 1, s) for n, s in zip(counts, strides, strict=True))
        return planes[(..., *cuts)]

    def empty(self):
        """Whether an output's window holds no input but zeros."""
        held = self.sizes.any(axis=0)
        for axis, extent in enumerate(self.problem.receptive_field):
            sums = np.cumsum(held, axis=axis, dtype=np.intp)
            size = held.shape[axis] - extent + 1
            place = (slice(None),) * axis
            last = sums[(*place, slice(extent - 1, None))]
            before = np.zeros_like(last)
            before[(*place, slice(1, None))] = sums[(*place, slice(0, size - 1))]
            held = last != before
        return self.kept(~held)

    def sum_again(self, cells):
        """The outputs at `cells`, by the defining sum."""
        p = self.problem
        spans = tuple(range(1, p.rank + 1))
        windows = sliding_window_view(self.inputs, p.receptive_field, spans)
        windows = windows[(..., *(slice(None, None, d) for d in p.dilation))]
        windows = np.moveaxis(
            windows[(slice(None), *(slice(None, None, s) for s in p.stride))], 0, p.rank
        )
        some = max(1, GATHERED // prod(self.w.shape[1:]))
        for outputs, w, marked in zip(self.outputs, self.w, cells, strict=True):
            places = np.nonzero(marked)
            for i in range(0, len(places[0]), some):
                part = tuple(place[i : i + some] for place in places)
                terms = windows[part].reshape(len(part[0]), -1)
                outputs[part] = np.einsum("ij,j->i", terms, w.ravel())
