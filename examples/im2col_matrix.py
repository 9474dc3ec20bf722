"""Two matrices of one convolution: im2col, and the doubly blocked Toeplitz matrix.
================================================================================

im2col writes every window of x as a column, so that the kernel, as a row, meets all of them in one
matrix product. The Toeplitz matrix does it the other way round: x stays one vector, and every row
holds the kernel where its window lies. Both are drawn for a 3 x 3 kernel, one colour for each tap,
on a 5 x 5 image whose cells are numbered.
"""

import numpy as np
from gallery import arguments, panels, save
from matplotlib.colors import ListedColormap

import cyconv
from cyconv import toeplitz

TAPS = ListedColormap(["white", *(f"C{i}" for i in (0, 9, 2, 8, 1, 3, 6, 4, 5))])


def grid(axes, image, block, numbers=None):
    """A coloured cell for each entry, a line after every `block` (rows, columns) of them."""
    axes.imshow(image, TAPS, vmin=0, vmax=9, alpha=0.75, aspect="equal")
    rows, columns = image.shape
    for step, style in ((1, {"color": "0.85", "lw": 0.5}), (None, {"color": "0.2", "lw": 1.2})):
        y, x = (
            np.arange(0, n + 1, step or b) - 0.5 for n, b in zip(image.shape, block, strict=True)
        )
        axes.hlines(y, -0.5, columns - 0.5, clip_on=False, **style)
        axes.vlines(x, -0.5, rows - 0.5, clip_on=False, **style)
    for (i, j), number in np.ndenumerate(image if numbers is None else numbers):
        if image[i, j] or numbers is not None:
            axes.text(j, i, f"{number:.0f}", ha="center", va="center", fontsize=7)
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])


def main(argv=None):
    """Build both, check both, draw, save."""
    args = arguments(__doc__, argv)
    x = np.arange(25.0).reshape(1, 5, 5)
    w = np.arange(1.0, 10).reshape(1, 1, 3, 3)  # tap r has the value r, and that colour
    columns = cyconv.unfold(x, (3, 3))
    matrix = toeplitz.matrix(w, x.shape)
    y = cyconv.conv2d(x, w)
    np.testing.assert_array_equal(w.reshape(1, -1) @ columns, y.reshape(1, -1))
    np.testing.assert_array_equal(matrix @ x.ravel(), y.ravel())

    figure, axes = panels(2, 2, 9.5, 7.4, width_ratios=[5, 25], height_ratios=[9, 9])
    grid(axes[0, 0], w[0, 0], (3, 3))
    axes[0, 0].set_title("kernel w")
    taps = np.broadcast_to(w.reshape(9, 1), columns.shape)
    grid(axes[0, 1], taps, (3, 3), columns)
    axes[0, 1].set(title="im2col: unfold(x), a window in each column, a tap of w in each row")
    axes[0, 1].set(xlabel="output cells", ylabel="taps")
    grid(axes[1, 0], np.zeros((5, 5)), (5, 5), x[0])
    axes[1, 0].set_title("image x")
    grid(axes[1, 1], matrix, (3, 5))
    axes[1, 1].set(title="doubly blocked Toeplitz: toeplitz.matrix(w, x.shape)")
    axes[1, 1].set(xlabel="cells of x, row after row", ylabel="output cells")
    save(figure, args.out, "im2col_matrix")
    return columns, matrix


if __name__ == "__main__":
    main()
