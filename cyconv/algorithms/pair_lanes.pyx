"""Depthwise layers of pairs for `direct`: neighbouring channels in the lanes of a vector
(``in_lanes`` in kernels/pairs.h). Nothing is left empty where rows are short, and a pixel is
widened once.
"""

cimport numpy as cnp

from cyconv.algorithms.base cimport ceil_div
from cyconv.runtime.parallel cimport parallel_for

import numpy as np

cnp.import_array()

cdef enum:
    PIECE = 16384  # outputs of one piece of work


cdef void piece(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """Some blocks of channels, counted over the images."""
    cdef const Lanes *c = <const Lanes *>context
    cdef ptrdiff_t blocks = ceil_div(c.g.G, c.p.lanes), block, n, channel
    for block in range(item * c.together, min((item + 1) * c.together, c.g.N * blocks)):
        n, channel = block // blocks, block % blocks * c.p.lanes
        c.p.in_lanes(&c.g, &c.source, c.x + (n * c.g.x_n + channel * c.g.x_c) * c.x_size,
                     min(c.p.lanes, c.g.G - channel),
                     c.w + channel * taps_of(&c.g) * 4, c.target, &c.e, channel,
                     c.y + (n * c.g.y_n + channel * c.g.y_k) * c.y_size, scratch)


cdef ptrdiff_t taps_of(const geometry_t *g) noexcept nogil:
    """Pairs of one channel: of outputs whose first row is even, and of the others."""
    return ((g.h.kernel + 1) // 2 + (g.h.kernel + 2) // 2) * g.w.kernel


cdef int run_lanes(Lanes *c, int threads, size_t workspace, double seconds) except -1:
    """All channels of all images."""
    cdef ptrdiff_t blocks = c.g.N * ceil_div(c.g.G, c.p.lanes)
    c.together = max(<ptrdiff_t>1, PIECE // (c.p.lanes * c.g.h.out * c.g.w.out))
    parallel_for(piece, c, ceil_div(blocks, c.together), threads, workspace, seconds)
    return 0


cdef rows_of_pairs(cnp.ndarray w, ptrdiff_t lanes):
    """The rows of w (channels, R, S) whose neighbours are pairs: of even outputs, then of the
    others, which have a row of zeros first; zeros fill the last pair and block of channels."""
    channels, R, S = w.shape[0], w.shape[1], w.shape[2]
    even, odd = (R + 1) // 2, (R + 2) // 2
    rows = np.zeros((ceil_div(channels, lanes) * lanes, 2 * (even + odd), S), np.int16)
    rows[:channels, :R] = w
    rows[:channels, 2 * even + 1 : 2 * even + 1 + R] = w
    return rows
