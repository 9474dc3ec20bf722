"""How the chapter draws tables of numbers, curves and photographs."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cbook, colormaps
from PIL import Image

plt.rcParams.update({"figure.dpi": 100, "font.size": 9, "axes.titlesize": 10})
SIGNED = colormaps["RdBu_r"]


def figure(columns, width=2.6, height=2.6, rows=1):
    """A figure and its axes in one line."""
    made, axes = plt.subplots(
        rows,
        columns,
        figsize=(width * columns, height * rows),
        layout="constrained",
        squeeze=False,
    )
    return made, axes.ravel()


def tables(arrays, marked=(), size=0.42):
    """Tables of numbers side by side, coloured by sign.

    `marked` has for each a window (row, column, height, width) or None.
    """
    arrays = {title: np.atleast_2d(a) for title, a in arrays.items()}
    widths = [a.shape[1] for a in arrays.values()]
    heights = max(a.shape[0] for a in arrays.values())
    _, axes = plt.subplots(
        1,
        len(arrays),
        figsize=(size * (sum(widths) + 1.2 * len(widths)), size * heights + 0.6),
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    windows = list(marked) + [None] * (len(arrays) - len(marked))
    for axis, (title, a), window in zip(axes.ravel(), arrays.items(), windows, strict=True):
        limit = max(float(abs(a).max()), 1e-9)
        axis.imshow(a, SIGNED, vmin=-2.2 * limit, vmax=2.2 * limit)
        for (i, j), value in np.ndenumerate(a):
            axis.text(j, i, f"{value:.3g}".replace("-", "−"), ha="center", va="center")
        axis.set(xticks=np.arange(a.shape[1] + 1) - 0.5, yticks=np.arange(a.shape[0] + 1) - 0.5)
        axis.grid(color="white", linewidth=1.5)
        axis.tick_params(length=0, labelbottom=False, labelleft=False)
        axis.spines[:].set_visible(False)
        axis.set_title(title)
        if window is not None:
            row, column, height, width = window
            axis.add_patch(
                plt.Rectangle((column - 0.5, row - 0.5), width, height, fill=False, lw=2.5)
            )
    plt.show()


def photographs(images, columns=3, limit=None):
    """Images side by side: grey from 0 to 1 where they are not negative, else blue, white, red."""
    rows = -(-len(images) // columns)
    _, axes = figure(columns, 2.5, 3.0, rows)
    for axis in axes:
        axis.set_axis_off()
    for axis, (title, image) in zip(axes, images.items(), strict=False):
        if image.min() < 0:
            bound = limit or np.quantile(abs(image), 0.995)
            axis.imshow(image, SIGNED, vmin=-bound, vmax=bound)
        else:
            axis.imshow(image, "gray", vmin=0, vmax=max(1.0, float(np.quantile(image, 0.995))))
        axis.set_title(title)
    plt.show()


def photograph():
    """A portrait of Grace Hopper, 300 x 256, grey from 0 to 1: matplotlib's sample photograph."""
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        grey = image.convert("L")
        return np.asarray(grey.resize((256, 300), Image.Resampling.LANCZOS), np.float32) / 255
