"""Depthwise layers of small maps, whose channels lie in the lanes of a vector: the sums of a strip.

An array whose rows lie apart is not for that kernel, so a strip serves it.
"""

import numpy as np
import pytest

import cyconv

from . import oracle, tolerances

LAYERS = [  # images, channels, map, kernel, stride, padding, dilation
    (1, 16, (7, 7), (5, 5), 1, 2, 1),
    (2, 19, (7, 7), (5, 5), 1, 2, 1),
    (3, 67, (14, 14), (5, 5), 2, 2, 1),
    (1, 33, (14, 9), (7, 3), (2, 1), (3, 1), 1),
    (1, 24, (10, 10), (3, 3), 1, 2, 2),
    (1, 40, (6, 5), (4, 2), 1, ((1, 2), (0, 1)), 1),
    (2, 17, (4, 4), (5, 5), 3, 6, 1),  # some rows of the border meet no cell
    (1, 21, (9, 9), (2, 2), 4, 0, 1),  # some cells meet no tap
    (1, 16, (1, 16), (1, 5), 1, (0, 2), 1),
    (1, 64, (17, 17), (11, 11), 1, 5, 1),  # too large for it
]


def apart(a):
    """The same numbers, rows apart."""
    beyond = np.nan if a.dtype.kind == "f" else 1 << 20
    wide = np.full((*a.shape[:-1], a.shape[-1] + 3), beyond, a.dtype)
    wide[..., : a.shape[-1]] = a
    return wide[..., : a.shape[-1]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_sums_are_those_of_a_strip(layer, dtype):
    images, channels, size, kernel, stride, padding, dilation = layer
    rng = np.random.default_rng(5)
    x = (rng.standard_normal((images, channels, *size)) * 50).astype(dtype)
    w = (rng.standard_normal((channels, 1, *kernel)) * 50).astype(dtype)
    bias = (rng.standard_normal(channels) * 50).astype(dtype)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": channels}
    strided = apart(x)
    plan = cyconv.plan(cyconv.Problem(x.shape, w.shape, dtype, **geometry), algorithm="direct")
    plain, y = plan(x, w), plan(strided, w)
    np.testing.assert_array_equal(plain, y)
    np.testing.assert_array_equal(plan(x, w, threads=3), y)
    np.testing.assert_array_equal(plan.pack(w)(x), y)
    if dtype == "int32":
        np.testing.assert_array_equal(plain, oracle.conv(x, w, **geometry))
        return
    allowed = tolerances.bound("direct", x, w, None, dtype, **geometry)
    assert (abs(plain - oracle.conv(x, w, **geometry)) <= allowed).all()
    add = rng.standard_normal(y.shape).astype(dtype)
    packed = plan.pack(w, bias, activation=(-20.0, 30.0))
    np.testing.assert_array_equal(packed(x, add=add), packed(strided, add=add))
    total = add.copy()  # a result that is its own residual
    packed(x, out=total, add=total)
    np.testing.assert_array_equal(total, packed(strided, add=add))


def test_a_tap_that_is_not_finite_meets_what_a_strips_does():
    x = np.random.default_rng(6).standard_normal((1, 16, 7, 7)).astype("f4")
    x[0, 3, 0, 0], x[0, 9, 3, 6] = np.inf, np.nan
    w = np.random.default_rng(7).standard_normal((16, 1, 5, 5)).astype("f4")
    w[5, 0, 0, 0] = np.inf
    plan = cyconv.plan(cyconv.Problem(x.shape, w.shape, padding=2, groups=16), algorithm="direct")
    np.testing.assert_array_equal(plan(x, w), plan(apart(x), w))
