"""1 x 1 kernels of stride 1 without padding: a matrix product with the image where it lies."""

from functools import partial

import numpy as np
import pytest

import cyconv

from . import tolerances
from .cases import Case, named, supported

# One pixel, and one to either side of a vector; 49 is an image of 7 x 7.
PIXELS = {1: (1, 1), 15: (3, 5), 17: (1, 17), 49: (7, 7)}
CHANNELS = (1, 5, 257, 600)  # within one block of the sum, and over its end
COUNTS = [
    Case(f"pointwise_{pixels}_{c}", (1, c, *shape), (7, c, 1, 1))
    for pixels, shape in PIXELS.items()
    for c in CHANNELS
]
KINDS = [
    Case("pointwise_filters_1", (2, 5, 7, 7), (1, 5, 1, 1)),
    *(Case(f"pointwise_1_to_{k}", (1, 1, 7, 7), (k, 1, 1, 1)) for k in range(1, 7)),
    *(Case(f"pointwise_5_to_{k}", (1, 5, 7, 7), (k, 5, 1, 1)) for k in range(1, 7)),
    Case("pointwise_filters_500", (1, 9, 3, 5), (500, 9, 1, 1)),
    Case("pointwise_wide", (1, 3, 5, 701), (4, 3, 1, 1)),
    Case("pointwise_dilated", (2, 5, 7, 7), (6, 5, 1, 1), dilation=3),
    Case("pointwise_groups", (2, 12, 3, 5), (10, 6, 1, 1), groups=2),
    Case("pointwise_depthwise", (2, 5, 7, 7), (5, 1, 1, 1), groups=5),
    Case("pointwise_line", (2, 5, 17), (7, 5, 1)),
    Case("pointwise_line_groups", (2, 6, 49), (9, 2, 1), groups=3),
    Case("pointwise_line_deep", (1, 600, 15), (7, 600, 1)),
    Case("pointwise_volume", (2, 5, 3, 3, 5), (7, 5, 1, 1, 1)),
    Case("pointwise_volume_groups", (1, 8, 2, 7, 7), (6, 4, 1, 1, 1), groups=2),
    Case("pointwise_volume_strided", (1, 5, 5, 3, 5), (7, 5, 1, 1, 1), stride=(2, 1, 1)),
    Case("pointwise_volume_padded", (1, 5, 2, 3, 5), (7, 5, 1, 1, 1), padding=(1, 0, 0)),
    # Not such, and next to it.
    Case("pointwise_stride_1x2", (1, 5, 3, 5), (7, 5, 1, 1), stride=(1, 2)),
    Case("pointwise_padded_below", (1, 5, 3, 5), (7, 5, 1, 1), padding=((0, 1), (0, 0))),
    Case("pointwise_deep_kernel", (1, 5, 4, 3, 5), (7, 5, 2, 1, 1)),
]


@supported([*COUNTS, *KINDS])
def test_counts_and_kinds(algorithm, case, dtype, isa):
    x, w, bias = case.data(dtype)
    y = case.run(x, w, bias, algorithm=algorithm)
    tolerances.assert_close(y, case.expected(x, w, bias), algorithm, x, w, bias, **case.geometry)


@supported([*COUNTS, *KINDS], algorithms=tolerances.EXACT)
def test_integers_are_exact(algorithm, case, dtype, isa):
    x, w, bias = case.integers(dtype)
    y = case.run(x, w, bias, algorithm=algorithm)
    np.testing.assert_array_equal(y, case.expected(x, w, bias))


def part(a, axis, first=0, step=1):
    """`a` as a slice, along one axis, of a larger array of NaN."""
    shape, index = list(a.shape), [slice(None)] * a.ndim
    shape[axis] = first + step * a.shape[axis] + 1
    index[axis] = slice(first, shape[axis] - 1, step)
    view = np.full(shape, np.nan, a.dtype)[tuple(index)]
    view[...] = a
    return view


VIEWS = {
    "every_other_image": lambda a: part(a, 0, step=2),
    "every_other_channel": lambda a: part(a, 1, step=2),
    "channels_of_more": lambda a: part(a, 1, first=3),
    "channels_reversed": lambda a: np.flip(np.flip(a, 1).copy(), 1),
    "channels_last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1),
    "rows_of_more": lambda a: part(a, -2, first=1),
    "every_other_row": lambda a: part(a, -2, step=2),
    "columns_of_more": lambda a: part(a, -1, first=2),
    "every_other_column": lambda a: part(a, -1, step=2),
    "turned": lambda a: np.swapaxes(np.swapaxes(a, -1, -2).copy(), -1, -2),
    "whole": np.copy,
}
VIEWED = [*COUNTS[4:6], *(case for case in KINDS if case.rank > 1), *named("pointwise")]


@pytest.mark.parametrize("view", VIEWS)
@supported(VIEWED)
def test_views(algorithm, case, dtype, view):
    """x, out and both as views: the bits are those of contiguous arrays, and no cell beside out
    is written.
    """
    x, w, bias = case.data(dtype)
    expected = case.run(x, w, bias, algorithm=algorithm)
    seen = VIEWS[view](x)
    np.testing.assert_array_equal(case.run(seen, w, bias, algorithm=algorithm), expected)
    for operand in (x, seen):
        out = VIEWS[view](np.full_like(expected, np.nan))
        assert case.run(operand, w, bias, algorithm=algorithm, out=out) is out
        np.testing.assert_array_equal(out, expected)
        if out.base is not None:
            assert np.isfinite(out.base).sum() == out.size, "a cell beside out was written"


@supported([COUNTS[5], *named("pointwise", "groups_pointwise")])
def test_one_channel_or_image_seen_often(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    for axis in (0, 1):
        seen = np.broadcast_to(np.take(x, [0], axis), x.shape)
        np.testing.assert_array_equal(
            case.run(seen, w, bias, algorithm=algorithm),
            case.run(seen.copy(), w, bias, algorithm=algorithm),
        )


@pytest.mark.parametrize("filters", [1, 5, 6, 7, 16])
@pytest.mark.parametrize("size", [(5, 7), (1, 1003), (128, 129)])
@pytest.mark.parametrize("planes", [1, 7, 8, 61])
def test_few_filters_meet_pixels_where_they_lie(filters, size, planes, isa):
    """One row of blocks of planes, whatever the arrays' strides; nothing past the image is read."""
    rng = np.random.default_rng(filters * planes)
    x = rng.standard_normal((2, planes, *size)).astype(np.float32)
    w = rng.standard_normal((filters, planes, 1, 1)).astype(np.float32)
    bias = rng.standard_normal(filters).astype(np.float32)
    conv = partial(cyconv.conv2d, w=w, bias=bias, activation="relu", algorithm="implicit_gemm")
    y = conv(x)
    exact = np.einsum("kc,nchw->nkhw", w[..., 0, 0].astype(float), x.astype(float))
    limit = np.einsum("kc,nchw->nkhw", abs(w[..., 0, 0]), abs(x)) + abs(bias)[:, None, None]
    error = abs(y - np.maximum(exact + bias[:, None, None], 0))
    assert (error <= tolerances.gamma(planes + 2, "float32") * limit).all()
    for other in (x[..., ::-1].copy()[..., ::-1], np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)):
        np.testing.assert_array_equal(conv(other), y)
    for threads in (2, 3):
        np.testing.assert_array_equal(conv(x, threads=threads), y)
    np.testing.assert_array_equal(conv(x[1]), y[1])
