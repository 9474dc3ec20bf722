"""How widely the sizes of numbers are spread: the kernel of ``spectra.h`` over an array's rows."""

cimport numpy as cnp
from libc.math cimport INFINITY

import numpy as np

from cyconv.kernels.kernels cimport spectra_for, spectra_t, spread_t

cnp.import_array()


def spreads(x, ptrdiff_t groups, str isa, bint least=True):
    """Of each group of planes: the largest size, the least, and the least of runs.

    Parameters
    ----------
    x : array (planes, *cells) of float32 or float64
    groups : int
        Neighbouring planes, as many in each.
    isa : str
    least : bool
        Whether the least is asked for; if not, it is infinite.

    Returns
    -------
    array (3, groups) of float64
        Infinite largest: a number is not finite. Zeros are no least, nor are runs of zeros.
    """
    cdef cnp.ndarray rows
    cdef double[:, ::1] found
    cdef spread_t one
    cdef const spectra_t *k = spectra_for(isa, x.dtype)
    cdef const char *plane
    cdef ptrdiff_t i, j, row, g, planes = x.shape[0]
    cells = x.shape[1:]
    if len(cells) > 3 or (cells[-1] > 1 and x.strides[len(cells)] != x.itemsize):
        x = np.ascontiguousarray(x).reshape(planes, -1, cells[-1])
    while x.ndim < 4:
        x = x[:, None]
    rows = x
    found = np.empty((3, groups))
    for g in range(groups):
        one.largest, one.least, one.least_run = 0, INFINITY, INFINITY
        for i in range(planes // groups * g, planes // groups * (g + 1)):
            for j in range(rows.shape[1]):
                plane = cnp.PyArray_BYTES(rows) + i * rows.strides[0] + j * rows.strides[1]
                for row in range(rows.shape[2]):
                    k.spread(rows.shape[3], plane + row * rows.strides[2], least, &one)
        found[0, g], found[1, g], found[2, g] = one.largest, one.least, one.least_run
    return np.asarray(found)
