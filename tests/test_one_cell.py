"""One output cell for each image: a column, which alone is its own panel, has the same bits."""

import numpy as np
import pytest

import cyconv

from . import oracle, tolerances

LAYERS = [  # images, channels, filters, kernel, groups
    (9, 20, 33, (1, 1), 1),
    (2, 4, 5, (1, 1), 1),  # fewer filters than a panel has
    (18, 300, 70, (1, 1), 1),  # two blocks of taps
    (17, 24, 16, (1, 1), 2),
    (3, 5, 13, (3, 4), 1),
    (2, 2, 7, (20, 15), 1),  # a plane is a block
    (1, 1, 1, (1, 1), 1),
]


def apart(x):
    """The same numbers, planes apart."""
    wide = np.full((*x.shape[:2], x.shape[2] + 2, x.shape[3]), np.nan, x.dtype)
    wide[:, :, : x.shape[2]] = x
    return wide[:, :, : x.shape[2]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_one_column_has_the_bits_of_many(layer, dtype):
    images, channels, filters, kernel, groups = layer
    rng = np.random.default_rng(3)
    x = rng.standard_normal((images, channels, *kernel)).astype(dtype)
    w = rng.standard_normal((filters, channels // groups, *kernel)).astype(dtype)
    bias = rng.standard_normal(filters).astype(dtype)
    add = rng.standard_normal((images, filters, 1, 1)).astype(dtype)

    def packed(images):
        problem = cyconv.Problem((images, *x.shape[1:]), w.shape, dtype, groups=groups)
        return cyconv.plan(problem, algorithm="batch_gemm").pack(w, bias, activation="relu")

    together, one = packed(images)(x, add=add), packed(1)
    for i in range(images):
        alone = one(x[i : i + 1], add=add[i : i + 1])
        np.testing.assert_array_equal(alone, together[i : i + 1])
        np.testing.assert_array_equal(one(apart(x[i : i + 1]), add=add[i : i + 1]), alone)
    sums = cyconv.conv2d(x, w, groups=groups, algorithm="batch_gemm")
    allowed = tolerances.bound("batch_gemm", x, w, None, dtype, groups=groups)
    assert (abs(sums - oracle.conv(x, w, groups=groups)) <= allowed).all()
