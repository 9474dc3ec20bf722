"""Depthwise layers of small maps for `direct`: neighbouring channels in the lanes of a vector
(``in_lanes`` in kernel_table.h). A row of few cells would leave lanes empty.

The sums are those of a strip, to the bit: the taps in the same order.
"""

cimport numpy as cnp
from libc.string cimport memcpy, memset

from cyconv.runtime.memory cimport Buffer
from cyconv.runtime.parallel cimport parallel_for
from cyconv.algorithms.base cimport Algorithm, Packed, ceil_div
from cyconv.algorithms.strips cimport Strips
from cyconv.kernels.kernels cimport axis_t, epilogue_t, geometry_t, kernels_t

from cyconv.runtime import machine

cnp.import_array()

cdef enum:
    PIECE = 16384  # outputs of one piece of work


cdef struct Context:
    geometry_t g
    const kernels_t *k
    const ptrdiff_t *taps
    const char *x
    const char *w
    char *y
    ptrdiff_t blocks  # of channels, in one piece of work
    ptrdiff_t all_blocks
    epilogue_t e


cdef void piece(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """Some blocks of channels."""
    cdef const Context *c = <const Context *>context
    cdef ptrdiff_t first = item * c.blocks
    c.k.in_lanes(&c.g, c.x, c.w, c.taps, c.y, &c.e, first,
                 min(first + c.blocks, c.all_blocks), scratch)


cdef ptrdiff_t cells(const axis_t *a) noexcept:
    """Cells along an axis of the bordered copy."""
    return (a.out - 1) * a.stride + (a.kernel - 1) * a.dilation + 1


cdef ptrdiff_t places_bytes(ptrdiff_t taps) noexcept:
    """Of the taps' places, before the weights, which begin a line of the cache."""
    return ceil_div(taps * sizeof(ptrdiff_t), 64) * 64


cdef Py_ssize_t lanes_workspace(Algorithm a) except -2:
    """Bytes of scratch of one thread; -1 if the sizes are not for it."""
    cdef const geometry_t *g = &a.g
    cdef ptrdiff_t most = machine.caches().l1 * 3 // 4
    if (g.outer_rank or g.D != 1 or g.K != 1 or g.G < a.k.lanes
            or g.h.in_ * g.w.in_ < a.k.lanes or g.h.out * g.w.out == 0
            or g.h.in_ * g.w.in_ > most or g.h.kernel * g.w.kernel > most
            or cells(&g.h) > most or cells(&g.w) > most
            or g.h.kernel == g.w.kernel == 3 and g.h.dilation == g.w.dilation == 1):
        return -1
    if (cells(&g.h) * cells(&g.w) + g.h.out * g.w.out) * a.k.lanes * a.k.itemsize > most:
        return -1
    return a.k.in_lanes_scratch(g)


cdef bint run_lanes(Algorithm a, Strips strips, const geometry_t *g, cnp.ndarray x, Packed packed,
                    cnp.ndarray y, const epilogue_t *e, int threads, double seconds) except -1:
    """y by `in_lanes`; False if these arrays cannot be."""
    cdef Context c
    cdef ptrdiff_t lanes = a.k.lanes, size = a.k.itemsize, taps = g.h.kernel * g.w.kernel
    cdef ptrdiff_t blocks = ceil_div(g.G, lanes)
    if not a.k.in_lanes_fits(g):
        return False
    if packed.lanes is None:
        packed.lanes = weights(g, strips, packed.panels.data, lanes, size)
    c.g, c.k, c.e = g[0], a.k, e[0]
    c.taps = <const ptrdiff_t *>packed.lanes.data
    c.w = packed.lanes.data + places_bytes(taps)
    c.x, c.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
    c.all_blocks = g.N * blocks
    c.blocks = max(<ptrdiff_t>1, PIECE // (lanes * g.h.out * g.w.out))
    parallel_for(piece, &c, ceil_div(c.all_blocks, c.blocks), threads,
                 a.k.in_lanes_scratch(g), seconds)
    return True


cdef Buffer weights(const geometry_t *g, Strips strips, const char *panels, ptrdiff_t lanes,
                    ptrdiff_t size):
    """Where each tap lies in the bordered copy, in the order of the strips' runs; and the weights
    [block of channels][tap][channel]."""
    cdef Buffer buffer = Buffer()
    cdef ptrdiff_t taps = g.h.kernel * g.w.kernel, blocks = ceil_div(g.G, lanes)
    cdef ptrdiff_t head = places_bytes(taps), channel, t, r, s
    cdef ptrdiff_t *offset
    cdef char *w
    buffer.reserve(head + blocks * lanes * taps * size, "packed weights")
    offset, w = <ptrdiff_t *>buffer.data, buffer.data + head
    for t, (r, s) in enumerate(strips.places()):
        offset[t] = (r * g.h.dilation * cells(&g.w) + s * g.w.dilation) * lanes
    memset(w, 0, blocks * lanes * taps * size)
    for channel in range(g.G):
        for t in range(taps):
            memcpy(w + ((channel // lanes * taps + t) * lanes + channel % lanes) * size,
                   panels + (channel * taps + t) * size, size)
    return buffer
