"""Equivariance: a convolution of a moved image is the moved convolution, and what breaks that.
============================================================================================

conv(shift(x)) = shift(conv(x)) to the last bit where the border wraps around. A border of zeros
breaks it there and nowhere else; stride s keeps it for shifts by multiples of s only. Turning the
image by 90 degrees is another motion: it commutes with the Laplacian, whose kernel looks the same
when turned, and not with a derivative in one direction.
"""

import numpy as np
from gallery import arguments, panels, photograph, save, show

import cyconv
from cyconv import filters

SHIFT = (41, 67)


def shifted(image, by=SHIFT):
    """`image` moved down and to the right, what leaves it coming back on the other side."""
    return np.roll(image, by, (-2, -1))


def filtered(image, kernel, **geometry):
    """One kernel (3, 3) over one image."""
    geometry = {"padding": 1, "padding_mode": "circular"} | geometry
    return cyconv.conv2d(image[None], kernel[None, None], **geometry)[0]


def main(argv=None):
    """Compare both orders for two motions, draw, save."""
    args = arguments(__doc__, argv)
    x = photograph(args.small)
    x = x[: x.shape[1]]
    sobel, laplacian = filters.SOBEL_X, filters.LAPLACIAN_4
    halved = tuple(n // 2 for n in SHIFT)
    zeros, stride = {"padding_mode": "zeros"}, {"stride": 2}
    differences = {
        "shift, circular border": filtered(shifted(x), sobel) - shifted(filtered(x, sobel)),
        "shift, border of zeros": filtered(shifted(x), sobel, **zeros)
        - shifted(filtered(x, sobel, **zeros)),
        "odd shift, stride 2": filtered(shifted(x), sobel, **stride)
        - shifted(filtered(x, sobel, **stride), halved),
        "turn by 90°, Sobel": filtered(np.rot90(x), sobel) - np.rot90(filtered(x, sobel)),
        "turn by 90°, Laplacian": filtered(np.rot90(x), laplacian)
        - np.rot90(filtered(x, laplacian)),
    }

    figure, axes = panels(2, 4, 10.4, 5.7)
    show(axes[0, 0], x, "x\n")
    show(axes[0, 1], filtered(x, sobel), "conv(x)\n", limit=2)
    show(axes[0, 2], filtered(shifted(x), sobel), "conv(shift(x))\n", limit=2)
    panes = [axes[0, 3], *axes[1]]
    for axis, (title, difference) in zip(panes, differences.items(), strict=True):
        largest = abs(difference).max()
        show(axis, difference, f"{title}:\ndifference at most {largest:.2g}", limit=2)
        print(f"{title:26} largest difference {largest:.2g}")
    figure.supxlabel("difference: conv(move(x)) − move(conv(x)), where move is the shift or turn")
    save(figure, args.out, "equivariance")
    return differences


if __name__ == "__main__":
    main()
