r"""Filters between two rates, as strided convolutions with a stack of phases.

.. math:: y[m] = \sum_k h[first + m \, down - k \, up] \, x[k]

With g = gcd(up, down), U = up / g, D = down / g and m = i U + c::

    first + c down = s up + r,  0 <= r < up                   s and r of each c < U
    y[i U + c] = sum over j of h[r + j up] x[i D + s - j]

So every U-th result is a convolution of stride D, and c a channel of its results. Neighbouring
phases are the channels of one convolution: their windows, of J taps each, lie in one of
J + s[last] - s[first] cells.
"""

from functools import lru_cache
from math import ceil, gcd, prod, sqrt

import numpy as np

from cyconv import api
from cyconv.planning.cost import WORKSPACE_LIMIT

# Seconds of a call; of a weight that is put in its place, a cell of a window, and a product.
CALL, WEIGHT, LOAD, PRODUCT = 1e-4, 3e-9, 2e-10, 1e-10
COLUMNS = 8  # lines side by side, from which on they stay so
PHASES = 4  # with fewer, the kernels write every U-th result themselves


def filtered(x, h, axis, up, down, first, count, extend=None):
    """`count` results of the filter `h` over the lines of `x` along `axis`.

    Parameters
    ----------
    x : array
        Of the result's dtype: float32, float64 or the complex ones.
    h : array of one axis, finite
        Of that dtype or, beside a complex x, of its parts'.
    axis : int >= 0
    up, down, first, count : int
        See above; `first` >= 0.
    extend : callable, optional
        ``extend(x, before, after)`` puts cells around the middle axis of x, (A, n, M); default
        zeros.

    Returns
    -------
    array of x's shape, `count` along `axis`
    """
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    if not prod(shape):
        return np.zeros(shape, x.dtype)
    x = x.reshape(prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :]))
    parts = x.dtype.kind == "c" and h.dtype.kind != "c"
    if parts:  # the real and the imaginary parts are lines of their own
        x, extend = np.ascontiguousarray(x).view(x.real.dtype), extend and _of_parts(extend)
    phases, step = up // gcd(up, down), down // gcd(up, down)
    rows = -(-count // phases)
    width = block(phases, step, len(h) / up, rows * x.shape[0] * x.shape[2])
    blocks = layout(up, down, len(h), first, width)
    y = _run(x, h, blocks, rows, step, phases, extend)
    if width > 1 and not np.isfinite(y).all():
        # Zeros beside a phase's own taps would spread an infinite cell: every phase by itself.
        y = _run(x, h, layout(up, down, len(h), first, 0), rows, step, phases, extend)
    y = y[:, :count]
    return (np.ascontiguousarray(y).view(h.dtype.char.upper()) if parts else y).reshape(shape)


def _of_parts(extend):
    """`extend` for real and imaginary parts side by side."""

    def extended(x, before, after):
        y = extend(x.view(np.result_type(x, np.complex64)), before, after)
        return np.ascontiguousarray(y).view(x.dtype)

    return extended


def block(phases, step, taps, results):
    """How many of U phases share a convolution of stride D, each with so many taps and results.

    Of B, every window grows by B D / U cells, and U / B calls load windows: the sum of both costs
    is least where they are equal. U / D phases begin at one cell, and always share.
    """
    call = CALL + results * taps * LOAD
    grown = (results * PRODUCT + WEIGHT) * step * phases
    return max(1, phases // step, min(phases, ceil(phases * sqrt(call / grown))))


@lru_cache(maxsize=16)
def layout(up, down, taps, first, width):
    """The convolutions: [(phases, first cell, indices of the taps)], `width` phases each.

    Indices are (phases, 1, window), `taps` itself where a phase has no tap. Width 0 is one phase
    each with no such place, or none at all.
    """
    phases = np.arange(up // gcd(up, down))
    start, rest = np.divmod(first + phases * down, up)
    blocks = []
    for c in range(0, len(phases), width or 1):
        s, r = (of_phase[c : c + (width or 1), None] for of_phase in (start, rest))
        most = max(0, -(-(taps - int(r.min())) // up))
        window = int(s[-1, 0] - s[0, 0]) + most
        place = int(s[-1, 0]) + 1 - window + np.arange(window)  # window cell t is x[i D + place[t]]
        index = r + (s - place) * up
        index = np.where((s >= place) & (index < taps), index, taps)
        blocks.append((slice(c, c + len(s)), int(s[-1, 0]) + 1 - window, index[:, None]))
    return blocks


def _run(x, h, blocks, rows, step, phases, extend):
    """(A, rows * phases, M): all phases' results, one after the other."""
    images, n, columns = x.shape
    h = np.append(h, h.dtype.type(0))
    before = max(0, *(-place for _, place, _ in blocks))
    ends = [(rows - 1) * step + place + index.shape[2] for _, place, index in blocks]
    if extend is not None:
        x = extend(x, before, max(0, *(end - n for end in ends)))
    else:
        before = 0
    length = x.shape[1]
    side_by_side = columns >= COLUMNS
    if not side_by_side:
        x = np.ascontiguousarray(x.transpose(0, 2, 1))
    y = np.empty((images, rows, phases, columns), np.result_type(x, h))
    for (chosen, place, index), end in zip(blocks, ends, strict=True):
        first, last = place + before, end + before
        inside = slice(max(first, 0), max(last, 0))
        here = len(range(length)[inside])
        padding = (max(-first, 0), max(last - inside.start - here, 0))
        if not here or not index.size:
            y[:, :, chosen] = 0
        elif side_by_side:
            out = y[:, :, chosen].transpose(0, 2, 1, 3)
            _convolve(x[:, None, inside], h[index][..., None], (step, 1), (padding, (0, 0)), out)
        else:
            lines = x[:, :, inside].reshape(images * columns, 1, here)
            _convolve_lines(lines, h[index], step, padding, y[:, :, chosen])
    return y.reshape(images, rows * phases, columns)


def _convolve_lines(lines, w, step, padding, y):
    """y (A, rows, phases, M) from lines (A * M, 1, n)."""
    images, rows, phases, columns = y.shape
    if phases < PHASES and 1 in (images, columns):
        one = y[:, :, :, 0] if columns == 1 else y[0].transpose(2, 0, 1)
        _convolve(lines, w, step, (padding,), one.transpose(0, 2, 1))
        return
    z = _convolve(lines, w, step, (padding,), None)
    y[...] = z.reshape(images, columns, phases, rows).transpose(0, 3, 2, 1)


def _convolve(x, w, stride, padding, out):
    return api.conv(
        x,
        w,
        None,
        stride,
        padding,
        accuracy="strict" if w.dtype.kind == "c" else "balanced",
        workspace_limit=max(WORKSPACE_LIMIT, 8 * (x.nbytes + w.nbytes)),  # for the spectra
        out=out,
    )
