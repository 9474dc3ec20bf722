"""The classic image kernels as data, and the filters they make in one call.

    KERNELS, get_kernel ──► kernel (R, S) ──► separate ──► one sweep of one stage or two, in cache
      kernels.py                              separable.py     tiles.py, or conv2d: images.py

    missing.py: cells that are not there

A filter here is a cross-correlation, as convolutional networks compute it, with an output as large
as the image. A kernel of R rows and S columns gives ::

    y[i, j] = sum over r, s of kernel[r, s] * x[i + r - (R - 1) // 2, j + s - (S - 1) // 2]

so an odd kernel is centred on its pixel, and an even one reaches one cell further at the end, as
``padding="same"`` does. True convolution is the same with the kernel turned by 180 degrees. Rows
count downwards: "x" kernels answer to brightness that grows to the right, "y" kernels to brightness
that grows downwards. So ``SOBEL_X`` is [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]] and ``SOBEL_Y`` its
transpose.

``KERNELS`` names every kernel. A fixed one is a read-only float32 array (``SOBEL_X``), exact in
binary; one with parameters is a function (``gaussian``). ``get_kernel(name)`` gives either.

>>> import numpy as np
>>> from cyconv import filters
>>> ramp = np.tile(np.arange(6, dtype=np.float32), (4, 1))
>>> gx, gy = filters.gradient(ramp, "sobel")
>>> float(gx[1, 1]), float(gy[1, 1])
(8.0, 0.0)
"""

from .images import apply, gradient, gradient_magnitude, passes
from .kernels import (
    EMBOSS,
    GAUSSIAN_3,
    GRADIENTS,
    KERNELS,
    LAPLACIAN_4,
    LAPLACIAN_8,
    PREWITT_X,
    PREWITT_Y,
    ROBERTS_X,
    ROBERTS_Y,
    SCHARR_X,
    SCHARR_Y,
    SHARPEN,
    SOBEL_X,
    SOBEL_Y,
    box,
    gabor,
    gaussian,
    get_kernel,
    identity,
    laplacian_of_gaussian,
    motion,
    unsharp,
)
from .missing import normalized, normalized_grad
from .separable import separate

__all__ = [
    "EMBOSS",
    "GAUSSIAN_3",
    "GRADIENTS",
    "KERNELS",
    "LAPLACIAN_4",
    "LAPLACIAN_8",
    "PREWITT_X",
    "PREWITT_Y",
    "ROBERTS_X",
    "ROBERTS_Y",
    "SCHARR_X",
    "SCHARR_Y",
    "SHARPEN",
    "SOBEL_X",
    "SOBEL_Y",
    "apply",
    "box",
    "gabor",
    "gaussian",
    "get_kernel",
    "gradient",
    "gradient_magnitude",
    "identity",
    "laplacian_of_gaussian",
    "motion",
    "normalized",
    "normalized_grad",
    "passes",
    "separate",
    "unsharp",
]
