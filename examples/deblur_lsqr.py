"""Deblurring: a motion blur undone by least squares, with convolution as the matrix.
==================================================================================

The blurred photograph is y = A x, rounded to 8 bits, where A is the convolution with a line of 15
cells. Written out, A would have a row for each cell of y and a column for each of x. As a
LinearOperator it stores the kernel only, and ``scipy.sparse.linalg.lsqr`` needs no more than A v
and its transpose, to find ::

    the x of least |A x - y|^2 + damp^2 |x|^2.

The scene goes on beyond the frame of the blurred picture, so A has more columns than rows: the
padding is none, and nothing is assumed about the border.
"""

import numpy as np
from gallery import arguments, panels, photograph, save, show
from scipy.sparse.linalg import lsqr

import cyconv
from cyconv import filters, toeplitz

DAMP = 0.02


def psnr(image, truth):
    """Peak signal-to-noise ratio in decibels, where the peak is 1."""
    return -10 * np.log10(np.mean((image - truth) ** 2))


def main(argv=None):
    """Blur, deblur, report, draw, save."""
    args = arguments(__doc__, argv)
    photo = photograph(args.small).astype(np.float64)
    kernel = filters.motion(15, angle=30, dtype=np.float64)
    w, edge = kernel[None, None], len(kernel) // 2
    frame = (slice(edge, -edge),) * 2  # what lies in the blurred picture

    blurred = np.rint(256 * cyconv.conv2d(photo[None], w)[0]) / 256
    a = toeplitz.operator(w, (1, *photo.shape))
    grey = blurred.mean()  # so that damping pulls towards grey, not black
    solution = lsqr(a, (blurred - grey).ravel(), damp=DAMP, iter_lim=50 if args.small else 100)
    restored = solution[0].reshape(photo.shape) + grey

    before, after = psnr(blurred, photo[frame]), psnr(restored[frame], photo[frame])
    dense = a.shape[0] * a.shape[1] * w.itemsize
    print(f"A: {a.shape[0]} x {a.shape[1]}; dense {dense / 1e9:.0f} GB, here {w.nbytes} bytes")
    print(f"lsqr: {solution[2]} iterations; PSNR {before:.1f} dB before, {after:.1f} dB after")
    figure, axes = panels(1, 3, 9.6, 4)
    show(axes[0, 0], photo[frame], "photograph")
    show(axes[0, 1], blurred, f"blurred, in 8 bits: PSNR {before:.1f} dB")
    show(axes[0, 2], restored[frame], f"lsqr, {solution[2]} iterations: PSNR {after:.1f} dB")
    inset = axes[0, 1].inset_axes((0.03, 0.03, 0.18, 0.18))
    inset.imshow(kernel, "gray")
    inset.set(xticks=[], yticks=[])
    save(figure, args.out, "deblur_lsqr")
    return before, after


if __name__ == "__main__":
    main()
