"""OpenCV's filters and what `docs/coming_from.md` names beside them, where OpenCV is installed."""

import numpy as np
import pytest

import cyconv
from cyconv import filters

cv2 = pytest.importorskip("cv2")

IMAGE = np.random.default_rng(20261128).standard_normal((40, 50)).astype(np.float32)
TAPS = np.random.default_rng(1).standard_normal((6, 6)).astype(np.float32)
F32 = cv2.CV_32F
BORDERS = {
    "zeros": cv2.BORDER_CONSTANT,
    "reflect": cv2.BORDER_REFLECT_101,
    "replicate": cv2.BORDER_REPLICATE,
    "symmetric": cv2.BORDER_REFLECT,
}


def assert_close(y, expected):
    """Within the rounding of sums of at most 36 products, in another order."""
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("sobel_x", lambda: cv2.Sobel(IMAGE, F32, 1, 0)),
        ("scharr_x", lambda: cv2.Scharr(IMAGE, F32, 1, 0)),
        ("laplacian", lambda: cv2.Laplacian(IMAGE, F32)),
        ("box", lambda: cv2.blur(IMAGE, (3, 3))),
        (filters.gaussian(3), lambda: cv2.GaussianBlur(IMAGE, (3, 3), 0)),
    ],
    ids=["sobel", "scharr", "laplacian", "blur", "gaussian"],
)
def test_filters_by_name(name, theirs):
    assert_close(filters.apply(IMAGE, name), theirs())


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (5, 3), (1, 4), (2, 3), (4, 4), (6, 5)])
@pytest.mark.parametrize("mode", BORDERS)
def test_filter2d(rows, columns, mode):
    k = TAPS[:rows, :columns]
    expected = cv2.filter2D(IMAGE, F32, k, borderType=BORDERS[mode])
    how = {"padding": "same_lower", "padding_mode": mode}
    assert_close(cyconv.conv2d(IMAGE[None], k[None, None], **how)[0], expected)
    if mode == "reflect":
        same = np.allclose(filters.apply(IMAGE, k), expected, rtol=1e-5, atol=2e-5)
        assert same == (rows % 2 == columns % 2 == 1)
