"""What every call asks of Python, in C: its plan's key, and whether its arrays are as planned.

A tiny problem is computed in less time than Python takes for these questions. Nothing is refused
here: what is not plain goes the long way, which says what is wrong.
"""

cimport numpy as cnp

import cyconv.kernels
from cyconv.runtime.parallel import get_num_threads

cnp.import_array()

cdef object instruction_set = cyconv.kernels.isa


def key(str operation, str direction, tuple shapes, tuple dtypes, tuple geometry, tuple options):
    """What the cache of plans knows a call by; None if equal keys could be different calls.

    1 == True == 1.0: the geometry must be of ints, strings and tuples of them, and where an option
    is a number, the kinds of all of them belong to the key.
    """
    cdef tuple kinds = None
    for value in geometry:
        if type(value) is not int and not plain(value):
            return None
    for value in options:
        if value is not None and type(value) is not str and type(value) is not bool:
            kinds = tuple([type(option) for option in options])
            break
    return (operation, direction, shapes, dtypes, geometry, options, kinds, get_num_threads(),
            instruction_set())


cdef bint plain(value):
    """Whether equal values of this kind are the same argument."""
    if type(value) is tuple:
        for part in <tuple>value:
            if not plain(part):
                return False
        return True
    return type(value) is int or type(value) is str


def is_plain(array, tuple shape, dtype, bint written=False):
    """Whether `array` is an aligned ndarray of this shape and this very dtype object; if it is to
    be `written`, whether it may be and is contiguous."""
    cdef cnp.npy_intp *sizes
    cdef int i, flags = cnp.NPY_ARRAY_CARRAY if written else cnp.NPY_ARRAY_ALIGNED
    if type(array) is not cnp.ndarray or (<cnp.ndarray>array).descr is not dtype:
        return False
    if not cnp.PyArray_CHKFLAGS(array, flags) or cnp.PyArray_NDIM(array) != len(shape):
        return False
    sizes = cnp.PyArray_DIMS(array)
    for i in range(cnp.PyArray_NDIM(array)):
        if sizes[i] != <Py_ssize_t>shape[i]:
            return False
    return True


def in_elements(cnp.ndarray array):
    """Whether its strides are whole elements, as the kernels count them."""
    cdef int i
    if cnp.PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_C_CONTIGUOUS):
        return True
    for i in range(cnp.PyArray_NDIM(array)):
        if cnp.PyArray_STRIDE(array, i) % cnp.PyArray_ITEMSIZE(array):
            return False
    return True


def lie_alike(cnp.ndarray a, cnp.ndarray b):
    """Whether two arrays of one shape have the same steps along every axis, in elements."""
    cdef cnp.npy_intp a_size = cnp.PyArray_ITEMSIZE(a), b_size = cnp.PyArray_ITEMSIZE(b)
    cdef int i
    for i in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, i) > 1 and (
                cnp.PyArray_STRIDE(a, i) * b_size != cnp.PyArray_STRIDE(b, i) * a_size):
            return False
    return True


def counterpart(cnp.ndarray part, cnp.ndarray whole, cnp.ndarray other):
    """The cells of `other` that `part`, a view of `whole`, is of it; the two lie alike."""
    cdef cnp.npy_intp size = cnp.PyArray_ITEMSIZE(part), of = cnp.PyArray_ITEMSIZE(other)
    cdef cnp.npy_intp strides[cnp.NPY_MAXDIMS]
    cdef char *first = cnp.PyArray_BYTES(other) + (
        cnp.PyArray_BYTES(part) - cnp.PyArray_BYTES(whole)) // size * of
    cdef int i
    for i in range(cnp.PyArray_NDIM(part)):
        strides[i] = cnp.PyArray_STRIDE(part, i) // size * of
    cdef cnp.ndarray cells = cnp.PyArray_New(
        cnp.ndarray, cnp.PyArray_NDIM(part), cnp.PyArray_DIMS(part), cnp.PyArray_TYPE(other),
        strides, first, 0, cnp.NPY_ARRAY_ALIGNED, None)
    cnp.set_array_base(cells, other)
    return cells


def may_overlap(cnp.ndarray a, cnp.ndarray b):
    """Whether the memory between the first and the last cells of two arrays overlaps."""
    cdef const char *a_first
    cdef const char *a_end
    cdef const char *b_first
    cdef const char *b_end
    if cnp.PyArray_SIZE(a) == 0 or cnp.PyArray_SIZE(b) == 0:
        return False
    extent(a, &a_first, &a_end)
    extent(b, &b_first, &b_end)
    return a_first < b_end and b_first < a_end


cdef void extent(cnp.ndarray array, const char **first, const char **end) noexcept:
    """The memory [first, end) that its cells lie in."""
    cdef cnp.npy_intp span
    cdef int i
    first[0] = cnp.PyArray_BYTES(array)
    end[0] = first[0] + cnp.PyArray_ITEMSIZE(array)
    for i in range(cnp.PyArray_NDIM(array)):
        span = (cnp.PyArray_DIM(array, i) - 1) * cnp.PyArray_STRIDE(array, i)
        if span > 0:
            end[0] += span
        else:
            first[0] += span
