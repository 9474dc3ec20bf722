r"""Strides and dilations taken away by decimation, axis by axis.

With stride s, tap :math:`s j + a` of output p meets pixel :math:`s (p + j) + a - pad`, which is tap
j of output p on every s-th pixel. So each plane becomes s phases, and their sum is a correlation of
stride 1 with :math:`\lceil r / s \rceil` taps; the last phases may have one tap less. With dilation
t, the outputs a, a + t, a + 2 t, ... are a correlation of every t-th pixel, for each phase a < t.
"""

import numpy as np


cdef decimated_t decimated_axis(const axis_sizes_t *a) noexcept nogil:
    """One axis, decimated."""
    cdef decimated_t d
    d.kernel, d.out, d.stride = a.kernel, a.out, a.stride
    d.dilation = a.dilation if a.kernel > 1 else 1
    d.splits = min(d.dilation, max(<ptrdiff_t>1, a.out))
    d.phases = min(a.stride, a.kernel)
    d.taps = 1 + (a.kernel - 1) // a.stride
    d.full = a.kernel - (d.taps - 1) * a.stride
    return d


cdef decimated(w, const decimated_t *rows, const decimated_t *columns):
    """The weights by phases of the stride: (filters, phases, planes, taps down, taps across)."""
    cdef ptrdiff_t r, s
    w = w.reshape(len(w), -1, *w.shape[-2:])
    if rows.phases * columns.phases == 1:
        return w[:, None]
    cdef object phases = np.zeros(
        (len(w), rows.phases, columns.phases, w.shape[1], rows.taps, columns.taps), w.dtype)
    for r in range(rows.kernel):
        for s in range(columns.kernel):
            phases[:, r % rows.stride, s % columns.stride, :,
                   r // rows.stride, s // columns.stride] = w[..., r, s]
    return phases
