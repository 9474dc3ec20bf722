"""The questions that every call asks in C, against NumPy's answers."""

from itertools import product

import numpy as np
import pytest

from cyconv.runtime import calls

PARTS = (slice(None), slice(2, 5), slice(None, None, 2), slice(None, None, -1), slice(3, 3))


def test_arrays_that_may_overlap_are_those_that_numpy_says():
    whole = np.zeros((7, 6), np.float32)
    views = [whole[rows, columns] for rows, columns in product(PARTS, PARTS)]
    views += [whole.T, whole[3], whole[2, 1:2].reshape(()), np.zeros(3)]
    for a, b in product(views, views):
        assert calls.may_overlap(a, b) == np.may_share_memory(a, b)


def test_plain_arrays_have_the_shape_and_the_very_dtype():
    dtype = np.dtype("float32")
    x = np.zeros((2, 3), dtype)
    assert calls.is_plain(x, (2, 3), dtype)
    assert calls.is_plain(x, (2, 3), dtype, written=True)
    for shape in [(2,), (3, 2), (2, 3, 1)]:
        assert not calls.is_plain(x, shape, dtype)
    unaligned = np.zeros(25, np.uint8)[1:].view(dtype).reshape(2, 3)
    for other in (x.astype(">f4"), x.astype("float64"), x.view(np.matrix), x.tolist(), unaligned):
        assert not calls.is_plain(other, (2, 3), dtype)
    fixed = x.copy()
    fixed.flags.writeable = False
    for other in (x.T.copy().T, fixed):
        assert calls.is_plain(other, (2, 3), dtype)
        assert not calls.is_plain(other, (2, 3), dtype, written=True)


def test_strides_of_a_part_of_a_record_are_not_whole_elements():
    records = np.zeros(4, [("a", "f4"), ("b", "i1")])
    assert not calls.in_elements(records["a"])
    assert calls.in_elements(np.zeros((4, 5))[::-2, ::3])


def asked(geometry=(1, 0, 1, 1), **options):
    """A key of the cache of plans."""
    plain = {"flip": False, "threads": None, "accuracy": "balanced"}
    return calls.key("conv", "forward", ((1,),), (), geometry, (*(plain | options).values(),))


@pytest.mark.parametrize("name", ["flip", "threads", "accuracy"])
def test_keys_tell_options_apart_that_are_equal(name):
    keys = {asked(**{name: value}) for value in (1, True, 1.0, np.int64(1), np.float64(1))}
    assert len(keys) == 5
    assert asked(**{name: 1}) == asked(**{name: 1})


def test_geometry_of_other_numbers_has_no_key():
    assert asked((1, (0, "same"), (1, 1), 1)) is not None
    for other in (True, 1.0, np.int64(1), [1], (1, (1.0,))):
        assert asked((other, 0, 1, 1)) is None
