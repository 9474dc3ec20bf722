"""What the examples share: their arguments, a photograph, and how their pictures look."""

import argparse
import io
from pathlib import Path

import numpy as np
from matplotlib import cbook, rcParams
from matplotlib.figure import Figure
from PIL import Image

rcParams.update({"font.size": 9, "axes.titlesize": 10})
ROOT = Path(__file__).parents[1]
#: A negative, zero and a positive value: blue, white, red.
SIGNED = "RdBu_r"


def arguments(text, argv):
    """The command line of an example whose docstring is `text`."""
    parser = argparse.ArgumentParser(description=text.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture")
    parser.add_argument("--small", action="store_true", help="less of everything: a second's work")
    return parser.parse_args(argv)


def photograph(small=False):
    """Grace Hopper in grey, 600 x 512 or 150 x 128: the sample photograph of matplotlib.

    Values are multiples of 1/256 from 0 to 255/256, so that small sums of them are exact.
    """
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        grey = image.convert("L")
    if small:
        grey = grey.resize((grey.width // 4, grey.height // 4), Image.Resampling.LANCZOS)
    return np.asarray(grey, np.float32) / 256


def panels(rows, columns, width, height, **options):
    """A figure of `width` by `height` inches and its axes (rows, columns)."""
    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def show(axes, image, title, limit=None):
    """Draw grey from 0 to 1, or with `limit` signed values around a neutral zero."""
    if limit is None:
        axes.imshow(image, "gray", vmin=0, vmax=1)
    else:
        axes.imshow(image, SIGNED, vmin=-limit, vmax=limit)
    axes.set_title(title)
    axes.set(xticks=[], yticks=[])


def save(figure, folder, name):
    """Write the picture of the example `name`, under that name."""
    path = folder / f"{name}.png"
    with io.BytesIO() as drawn:
        figure.savefig(drawn, dpi=110, bbox_inches="tight", pad_inches=0.08)
        with Image.open(drawn) as image:  # 256 colours are enough, and a third of the bytes
            image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"wrote {path}")
