r"""Strides and dilations taken away by decimation, axis by axis.

With stride s, tap :math:`s j + a` of output p meets pixel :math:`s (p + j) + a - pad`, which is tap
j of output p on every s-th pixel. So each plane becomes s phases, and their sum is a correlation of
stride 1 with :math:`\lceil r / s \rceil` taps; the last phases may have one tap less. With dilation
t, the outputs a, a + t, a + 2 t, ... are a correlation of every t-th pixel, for each phase a < t.
"""

import numpy as np


class Axis:
    """One spatial axis, decimated.

    Attributes
    ----------
    kernel, out, stride : int
        As the problem's.
    dilation : int
        The problem's, 1 where there is but one tap.
    splits : int
        Phases of the dilation that have outputs.
    phases : int
        Phases of the stride that have taps,
    taps : int
        taps of the first of them,
    full : int
        and how many have as many.
    """

    def __init__(self, kernel, out, stride, dilation):
        self.kernel, self.out, self.stride = kernel, out, stride
        self.dilation = dilation if kernel > 1 else 1
        self.splits = min(self.dilation, max(1, out))
        self.phases = min(stride, kernel)
        self.taps = -(-kernel // stride)
        self.full = kernel - (self.taps - 1) * stride


def decimated_axes(problem):
    """The last two axes of a problem."""
    p = problem
    last = (p.kernel[-2:], p.output_spatial[-2:], p.stride[-2:], p.dilation[-2:])
    return [Axis(*axis) for axis in zip(*last, strict=True)]


def decimated(w, rows, columns):
    """The weights by phases of the stride: (filters, phases, planes, taps down, taps across)."""
    w = w.reshape(len(w), -1, *w.shape[-2:])
    if rows.phases * columns.phases == 1:
        return w[:, None]
    shape = len(w), rows.phases, columns.phases, w.shape[1], rows.taps, columns.taps
    phases = np.zeros(shape, w.dtype)
    for r in range(rows.kernel):
        for s in range(columns.kernel):
            (i, a), (j, b) = divmod(r, rows.stride), divmod(s, columns.stride)
            phases[:, a, b, :, i, j] = w[..., r, s]
    return phases
