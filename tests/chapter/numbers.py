"""The images and kernels of the text, and what several of its sections need."""

import numpy as np
import pytest

from tests.tolerances import EXACT
from tests.variants import label

by_algorithm = pytest.mark.parametrize("algorithm", EXACT, ids=label)

#: the worked example
IMAGE = np.array(
    [
        [1, 2, 3, 0, 1],
        [0, 1, 2, 3, 1],
        [1, 2, 1, 0, 0],
        [0, 0, 1, 2, 1],
        [1, 1, 0, 1, 0],
    ],
    np.float32,
)
KERNEL = np.array([[1, 0, -1]] * 3, np.float32)

#: for one axis: the image's first row, and the first row of ONE_TO_NINE
X, H = [1, 2, 3, 0, 1], [1, 2, 3]

ONE_TO_NINE = np.arange(1, 10, dtype=np.float32).reshape(3, 3)

#: as the text prints them
PRINTED = {
    "sobel_x": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32),
    "sobel_y": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float32),
    "laplacian": np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], np.float32),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32),
    "gaussian": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 16,
    "identity": np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32),
}


def plane(values, dtype=np.float32):
    """A table, or a line, as one image, or one filter, of one channel."""
    return np.array(values, dtype)[None, None]


def turned(kernel):
    """`kernel` turned by 180 degrees."""
    return np.flip(kernel, (-2, -1))


def integers(seed, *shapes, dtype=np.float32):
    """Small whole numbers, so that every order of a sum gives the same float32.

    Where the algorithm is not named, one that rounds may be chosen; for integers none is.
    """
    rng = np.random.default_rng(seed)
    return [rng.integers(-9, 10, shape).astype(dtype) for shape in shapes]
