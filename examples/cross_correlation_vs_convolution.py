"""Cross-correlation beside true convolution: the same kernel, turned by 180 degrees.
==================================================================================

    correlation   y[p] = sum over r of w[r] x[p + r]      neural networks; flip=False, the default
    convolution   y[p] = sum over r of w[r] x[p - r]      signal processing; flip=True

On a single bright cell, convolution leaves the kernel as it is, and correlation turns it: the
impulse response of a filter is what it is convolved with. Only convolution is commutative.
"""

import numpy as np
from gallery import arguments, panels, save, show
from scipy.signal import convolve2d, correlate2d

import cyconv

KERNEL = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]], float)


def main(argv=None):
    """Convolve both ways, compare with SciPy, draw, save."""
    args = arguments(__doc__, argv)
    cells = np.zeros((9, 20))
    cells[3, 4] = 1.0
    cells[4, 13] = 0.4
    x, w = cells[None], KERNEL[None, None]
    full = [(n - 1, n - 1) for n in KERNEL.shape]
    correlation = cyconv.conv2d(x, w, padding=full)[0]
    convolution = cyconv.conv2d(x, w, padding=full, flip=True)[0]
    np.testing.assert_array_equal(correlation, correlate2d(cells, KERNEL))
    np.testing.assert_array_equal(convolution, convolve2d(cells, KERNEL))
    swapped = cyconv.conv2d(KERNEL[None], cells[None, None], padding=[(8, 8), (19, 19)], flip=True)
    np.testing.assert_allclose(convolution, swapped[0], atol=1e-15)

    figure, axes = panels(1, 4, 12, 2.6, width_ratios=[0.45, 2, 2, 2])
    show(axes[0, 0], KERNEL, "kernel w", limit=1.3)
    for axis, image, title in (
        (axes[0, 1], np.pad(cells, ((2, 2), (1, 2))), "x: two impulses, 1 and 0.4"),
        (axes[0, 2], correlation, "cross-correlation: w turned by 180°"),
        (axes[0, 3], convolution, "convolution (flip=True): w itself"),
    ):
        show(axis, image, title, limit=1.3)
    for axis in axes.flat:
        rows, columns = axis.images[0].get_array().shape
        axis.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        axis.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axis.grid(which="minor", color="0.85", linewidth=0.5)
        axis.tick_params(which="minor", length=0)
    save(figure, args.out, "cross_correlation_vs_convolution")
    return correlation, convolution


if __name__ == "__main__":
    main()
