"""Edges of a photograph with four kernels, all in one call.
=========================================================

A convolution layer holds many kernels and answers with one image for each. Here are four classic
ones as the weights (4, 1, 3, 3) of a single :func:`cyconv.conv2d`: the Sobel derivatives to the
right and downwards, the derivative along the diagonal between them, and the Laplacian, which has no
direction.
"""

import numpy as np
from gallery import SIGNED, arguments, panels, photograph, save, show

import cyconv
from cyconv import filters

KERNELS = {
    "Sobel, to the right": filters.SOBEL_X,
    "Sobel, downwards": filters.SOBEL_Y,
    "Sobel, along the diagonal": np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], np.float32),
    "Laplacian": filters.LAPLACIAN_8,
}


def main(argv=None):
    """Filter, draw, save."""
    args = arguments(__doc__, argv)
    photo = photograph(args.small)
    weights = np.stack(list(KERNELS.values()))[:, None]
    edges = cyconv.conv2d(photo[None], weights, padding="same", padding_mode="replicate")

    figure, axes = panels(1, 5, 12, 3.2)
    show(axes[0, 0], photo, "photograph")
    for axis, (title, kernel), edge in zip(axes[0, 1:], KERNELS.items(), edges, strict=True):
        show(axis, edge, title, limit=2)
        inset = axis.inset_axes((0.03, 0.03, 0.3, 0.3 * photo.shape[1] / photo.shape[0]))
        inset.imshow(kernel, SIGNED, vmin=-8, vmax=8)
        inset.set(xticks=[], yticks=[])
        for (row, column), value in np.ndenumerate(kernel):
            inset.text(
                column,
                row,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if value == -8 else "black",
            )
    save(figure, args.out, "edges_four_kernels")
    return edges


if __name__ == "__main__":
    main()
