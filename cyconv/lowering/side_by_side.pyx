"""Phases of a stride, solved one after another in planes of their own, put side by side."""

cimport numpy as cnp

from cyconv.kernels.kernels cimport kernels_for, kernels_t
from cyconv.runtime.memory cimport Buffer

import numpy as np

import cyconv.kernels
from cyconv.runtime.calls import in_elements

cnp.import_array()

BEYOND = 64
"""Elements past the phases that may be read, at most: a vector."""


def side_by_side(cnp.ndarray phases, cnp.ndarray out, stride, cut):
    """Fill a result from its phases, if these arrays are for it.

    Parameters
    ----------
    phases : array (N, C * s_h * s_w, P, Q)
        Contiguous; of 4 or 8 bytes. `BEYOND` elements past them may be read.
    out : array (N, C, H, W)
        out[n, c, h, w] = phases[n, (c, i % s_h, j % s_w), i // s_h, j // s_w] for i = h + cut[0],
        j = w + cut[1].
    stride, cut : (int, int)

    Returns
    -------
    bool
        Whether it was done.
    """
    cdef int size = cnp.PyArray_ITEMSIZE(out)
    cdef ptrdiff_t down, across, top, left, n, c, i, h, plane, P, Q, first, width
    cdef const kernels_t *k
    cdef const char *block
    cdef char *y
    cdef Buffer memory = Buffer()
    cdef char *row
    if out.ndim != 4 or size not in (4, 8) or not in_elements(out):
        return False
    k = kernels_for(cyconv.kernels.isa(), np.dtype(f"f{size}"))
    (down, across), (top, left) = stride, cut
    P, Q = phases.shape[2], phases.shape[3]
    plane, width = P * Q * size, out.shape[3]
    memory.reserve((width + left) * size, "a row of phases")
    row = memory.data
    for n in range(out.shape[0]):
        for c in range(out.shape[1]):
            first = (n * out.shape[1] + c) * down * across
            for h in range(out.shape[2]):
                i = h + top
                block = (cnp.PyArray_BYTES(phases) + (first + i % down * across) * plane
                         + i // down * Q * size)
                y = (cnp.PyArray_BYTES(out) + n * cnp.PyArray_STRIDE(out, 0)
                     + c * cnp.PyArray_STRIDE(out, 1) + h * cnp.PyArray_STRIDE(out, 2))
                if left:
                    k.interleave(across, 1, width + left, block, P * Q, 0, row, 0, 1, NULL)
                    k.finish_rows(0, 1, width, row + left * size, 0, y, 0,
                                  cnp.PyArray_STRIDE(out, 3) // size, NULL)
                else:
                    k.interleave(across, 1, width, block, P * Q, 0, y, 0,
                                 cnp.PyArray_STRIDE(out, 3) // size, NULL)
    return True
