"""Calls of filters that have been made before: straight to what they ran.

A small image is filtered in less time than Python takes to look at a filter's arguments. So a
function of an image remembers what a call came to::

    key:    the image's shape and type, every other argument by kind and value, the threads
    value:  a Chain or tiles of transforms (bordered.py), and what the result is

Only calls of plain arguments are remembered (numbers, strings, tuples of them, small arrays), whose
whole work was one such run from the image to the result. All others go the long way, each time.
"""

cimport cython
cimport numpy as cnp
from libc.math cimport signbit
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy

import functools
import inspect

import numpy as np

from cyconv.algorithms.chains cimport Chain

from cyconv.algorithms.chains import note
from cyconv.runtime.calls import may_overlap
from cyconv.runtime.parallel import get_num_threads

cnp.import_array()

cdef enum:
    KEPT = 256         # calls of one function
    LARGEST = 1 << 17  # bytes of an array that is known by its cells
    MOST = 1 << 23     # bytes of all that one function remembers, and those of the last


@cython.final
cdef class _Cells:
    """An array among the arguments: of the same call is one with the same bytes."""

    cdef cnp.ndarray array
    cdef Py_ssize_t size
    cdef Py_hash_t hash

    def __init__(self, cnp.ndarray array):
        self.array, self.size = array, cnp.PyArray_NBYTES(array)
        self.hash = <Py_hash_t>hash_of(cnp.PyArray_BYTES(array), self.size)

    def __hash__(self):
        return self.hash

    def __eq__(self, other):
        cdef _Cells that = <_Cells?>other
        return (self.hash == that.hash and self.size == that.size and not memcmp(
            cnp.PyArray_BYTES(self.array), cnp.PyArray_BYTES(that.array), self.size))

    cdef _Cells kept(self):
        """With an array that nobody else writes to."""
        return _Cells(self.array.copy())


cdef uint64_t hash_of(const char *data, Py_ssize_t size) noexcept nogil:
    """Four sums of words, each turned before the next is added, and multiplied."""
    cdef uint64_t odd = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio
    cdef uint64_t sums[4]
    cdef uint64_t word
    cdef Py_ssize_t i
    sums[0], sums[1], sums[2], sums[3] = 1, 2, 3, 4
    for i in range(size // 8):
        memcpy(&word, data + 8 * i, 8)
        sums[i % 4] = ((sums[i % 4] << 29 | sums[i % 4] >> 35) ^ word) * odd
    for i in range(size // 8 * 8, size):
        sums[0] = ((sums[0] << 29 | sums[0] >> 35) ^ <uint8_t>data[i]) * odd
    return ((sums[0] * 3 + sums[1]) * 5 + sums[2]) * 7 + sums[3] >> 2


@cython.final
cdef class _Known:
    """What a call came to."""

    cdef Chain chain  # or None, and
    cdef object tiles
    cdef tuple shape  # of the result
    cdef cnp.dtype dtype
    cdef bint several  # which is a tuple of arrays, those of the first axis


@cython.final
cdef class Recall:
    """The calls of `function(image, ...)`, whose argument at `output_at` may be where to write."""

    cdef object function
    cdef Py_ssize_t output_at
    cdef dict known
    cdef Py_ssize_t bytes

    def __init__(self, function, Py_ssize_t output_at):
        self.function, self.output_at, self.known, self.bytes = function, output_at, {}, 0

    def __call__(self, tuple args, dict kwargs):
        cdef list parts = [get_num_threads()]
        cdef cnp.ndarray x, y = None
        cdef _Known known
        cdef Py_ssize_t i
        if not args or not is_plain(args[0], False):
            return self.function(*args, **kwargs)
        x = <cnp.ndarray>args[0]
        parts.append((<object>x).shape)
        parts.append(cnp.PyArray_TYPE(x))
        for i in range(1, len(args)):
            if i == self.output_at and type(args[i]) is cnp.ndarray:
                y = <cnp.ndarray>args[i]
            elif not add(parts, args[i]):
                return self.function(*args, **kwargs)
        for name, value in kwargs.items():
            parts.append(name)
            if name == "output" and type(value) is cnp.ndarray:
                y = <cnp.ndarray>value
            elif not add(parts, value):
                return self.function(*args, **kwargs)
        if y is not None:
            if not is_plain(y, True) or may_overlap(x, y):
                return self.function(*args, **kwargs)
            parts.append((<object>y).shape)
            parts.append(cnp.PyArray_TYPE(y))
        key = tuple(parts)
        found = self.known.get(key)
        if found is None:
            return self.learn(key, args, kwargs, x, y)
        known = <_Known>found
        if y is None:
            y = np.empty(known.shape, known.dtype)
        if known.chain is None:
            known.tiles.filter(x, y)
        else:
            known.chain.filter(x, y)
        return tuple(y) if known.several else y

    cdef learn(self, tuple key, tuple args, dict kwargs, cnp.ndarray x, cnp.ndarray given):
        """The call, remembered if it was one run."""
        cdef list noted = []
        cdef _Known known
        before = note(noted)
        try:
            result = self.function(*args, **kwargs)
        finally:
            note(before)
        if len(noted) != 1 or noted[0] is None:
            return result
        first, last, chain = noted[0]
        several = type(result) is tuple
        if first is not x or (given is not None and last is not given):
            return result
        if result is not last and not (several and all(part.base is last for part in result)):
            return result
        if last.dtype == bool:  # whose bytes were looked at once more
            return result
        known = _Known()
        known.shape, known.dtype = last.shape, last.dtype
        if type(chain) is Chain:
            known.chain = chain
        else:
            known.tiles = chain
            self.bytes += chain.bytes
        known.several = several
        if len(self.known) >= KEPT or self.bytes > MOST:
            self.known.clear()
            self.bytes = 0
        key = tuple([(<_Cells>part).kept() if type(part) is _Cells else part for part in key])
        for part in key:
            if type(part) is _Cells:
                self.bytes += (<_Cells>part).size
        self.known[key] = known
        return result


cdef bint is_plain(array, bint written):
    """Whether it is an ndarray, not empty, that lies in memory as the kernels take it."""
    cdef int flags = cnp.NPY_ARRAY_CARRAY if written else cnp.NPY_ARRAY_CARRAY_RO
    return (type(array) is cnp.ndarray and cnp.PyArray_CHKFLAGS(array, flags)
            and cnp.PyArray_ISNOTSWAPPED(array) and cnp.PyArray_TYPE(array) <= cnp.NPY_DOUBLE
            and cnp.PyArray_SIZE(array) > 0)


cdef bint add(list parts, value):
    """An argument as parts of a key; False if equal parts could be different arguments."""
    kind = type(value)
    if kind is float:
        if value != value or (value == 0 and signbit(value)):
            return False
    elif kind is tuple or kind is list:
        parts.append(kind)
        parts.append(len(value))
        for part in value:
            if not add(parts, part):
                return False
        return True
    elif kind is cnp.ndarray:
        if not is_plain(value, False) or cnp.PyArray_NBYTES(value) > LARGEST:
            return False
        parts.append(value.shape)
        parts.append(cnp.PyArray_TYPE(value))
        parts.append(_Cells(value))
        return True
    elif not (kind is int or kind is str or kind is bool or value is None or kind is type
              or isinstance(value, np.dtype)):
        return False
    parts.append(kind)
    parts.append(value)
    return True


def recalled(function):
    """`function` of an image and other arguments, its calls of one run remembered."""
    names = list(inspect.signature(function).parameters)
    recall = Recall(function, names.index("output") if "output" in names else -1)

    @functools.wraps(function)
    def call(*args, **kwargs):
        return recall(args, kwargs)

    return call
