"""``cyconv edges``: the gradient magnitude of a photo."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from . import batches, images, stacks
from .common import INSTALL_EXTRA, CommandError, add_run_options, positive_int
from .interrupts import check

_GAP = 8
_FONT_SIZE = 14
_WHITE = 255

_DESCRIPTION = """\
Find the edges in a photo: the gradient magnitude sqrt(Gx^2 + Gy^2), as large as
the photo, in 8 bits.

The photo is taken to grey as 0.299 R + 0.587 G + 0.114 B, without rounding;
what is transparent is seen on white. The magnitude is scaled so that the
largest one in the photo becomes 255. --kernel laplacian knows no direction:
its magnitude is the absolute value of the 4-neighbour Laplacian.

--panel writes the photo, Gx, Gy and the magnitude side by side, or with
laplacian the photo, the Laplacian and its absolute value. In Gx, Gy and the
Laplacian mid-grey is 0, brighter is positive and darker negative.

Every frame of an animation and every page of a file is taken, all on one
scale. A .npy file holds a picture (H, W) or (H, W, 3), or a stack of them; to
a .npy file goes the magnitude itself, not scaled. Of a folder all images and
arrays are taken, into a folder, each under its own name.
"""


def add_parser(subparsers):
    """Describe the command."""
    parser = subparsers.add_parser(
        "edges", help="find the edges in a photo", description=_DESCRIPTION
    )
    parser.add_argument(
        "photo",
        metavar="PHOTO",
        nargs="?",
        help="an image, a .npy file, or a folder (default: a photograph of Grace Hopper that comes "
        "with matplotlib)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="the file to write; its extension is the format (default: edges.png); for a folder, "
        "the folder to write to (default: edges)",
    )
    parser.add_argument(
        "--kernel",
        choices=("sobel", "prewitt", "scharr", "laplacian"),
        default="sobel",
        help="the derivative to take (default: sobel)",
    )
    parser.add_argument("--panel", action="store_true", help="write all steps side by side")
    parser.add_argument(
        "--panel-width",
        type=positive_int,
        metavar="PIXELS",
        default=1200,
        help="shrink a panel that is wider than this (default: 1200)",
    )
    add_run_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(args):
    """Differentiate, scale and write every picture, and say so in one line."""
    args.photo = args.photo or _sample()
    if args.output is None:
        args.output = "edges" if Path(args.photo).is_dir() else "edges.png"
    batches.run(args, partial(_edges, args), args.kernel)


def _edges(args, stack, target):
    """The stack of magnitudes, or of panels, and by which algorithm."""
    import cyconv
    from cyconv import filters

    how = {"mode": args.border, "threads": args.threads, "device": args.device}
    kernel = filters.LAPLACIAN_4 if args.kernel == "laplacian" else args.kernel
    (problem, _), *_ = filters.passes(stack.photos[0].grey(), kernel, separable=False, **how)
    algorithm = cyconv.plan(problem, device=args.device).algorithm
    frames = []
    for photo in stack.photos:
        check()
        frames.append(_derivatives(photo.grey(), args.kernel, how))
    if stacks.is_array(target) and not args.panel:
        results = [_magnitude(parts) for parts in frames]
    else:
        # One scale for all frames: an animation does not flicker.
        largest = max(_largest(_magnitude(parts)) for parts in frames)
        results = [_scaled(_magnitude(parts), largest) for parts in frames]
    if args.panel:
        results = [
            _steps(photo, parts, result, args.panel_width)
            for photo, parts, result in zip(stack.photos, frames, results, strict=True)
        ]
    return replace(stack, photos=[images.Photo(result) for result in results]), algorithm


def _derivatives(grey, kernel, how):
    """``{label: (H, W)}``: both derivatives, or the Laplacian."""
    from cyconv import filters

    if kernel == "laplacian":
        return {"Laplacian": filters.apply(grey, filters.LAPLACIAN_4, separable=False, **how)}
    return dict(zip(("Gx", "Gy"), filters.gradient(grey, kernel, **how), strict=True))


def _magnitude(parts):
    return np.abs(parts["Laplacian"]) if "Laplacian" in parts else np.hypot(*parts.values())


def _steps(photo, parts, result, width):
    """A panel of the photo, its derivatives and the magnitude."""
    largest = max(_largest(part) for part in parts.values())
    tiles = {"photo": _eight_bit(photo)}
    tiles |= {name: _around_grey(part, largest) for name, part in parts.items()}
    tiles["magnitude" if len(parts) > 1 else "absolute value"] = result
    return _panel(tiles, width)


def _sample():
    try:
        from matplotlib.cbook import get_sample_data
    except ImportError:
        raise CommandError(
            f"give a PHOTO; the photograph taken without one needs matplotlib: {INSTALL_EXTRA}"
        ) from None
    return get_sample_data("grace_hopper.jpg", asfileobj=False)


def _largest(values):
    """The largest finite absolute value."""
    return float(np.max(np.abs(values), where=np.isfinite(values), initial=0))


def _scaled(magnitude, largest):
    """0 to 0 and `largest` to 255, linearly; NaN to 0."""
    scaled = np.nan_to_num(magnitude / (largest or 1.0), nan=0.0, posinf=1.0)
    return np.rint(255 * scaled).astype(np.uint8)


def _around_grey(part, largest):
    """-largest to 1, 0 to 128 and largest to 255."""
    scaled = np.nan_to_num(part / (largest or 1.0), nan=0.0, posinf=1.0, neginf=-1.0)
    return np.rint(128 + 127 * scaled).astype(np.uint8)


def _eight_bit(photo):
    """The photo as a screen shows it, on white; more than 8 bits from its own least to its most."""
    if photo.colour.dtype != np.uint8:
        values = np.nan_to_num(photo.colour.astype(np.float64))
        values -= values.min()
        return _scaled(values, _largest(values))
    if photo.alpha is None:
        return photo.colour
    opacity = photo.alpha.reshape(photo.alpha.shape + (1,) * (photo.colour.ndim - 2)) / 255
    return np.rint(photo.colour * opacity + _WHITE * (1 - opacity)).astype(np.uint8)


def _panel(tiles, width):
    """The `tiles` {label: uint8 image} in a row, each under its label, at most `width` wide."""
    from PIL import Image, ImageDraw, ImageFont, features

    font = ImageFont.load_default(_FONT_SIZE if features.check("freetype2") else None)
    pictures = [Image.fromarray(tile).convert("RGB") for tile in tiles.values()]
    boxes = [font.getbbox(label) for label in tiles]
    room = max((width - _GAP * (len(pictures) + 1)) // len(pictures), 1)
    scale = min(1, room / pictures[0].width)
    size = tuple(max(round(scale * side), 1) for side in pictures[0].size)
    column = max(size[0], *(right for _, _, right, _ in boxes))
    heading = max(bottom for _, _, _, bottom in boxes) + _GAP
    shape = (_GAP + (column + _GAP) * len(pictures), heading + size[1] + 2 * _GAP)
    panel = Image.new("RGB", shape, (_WHITE,) * 3)
    draw = ImageDraw.Draw(panel)
    for i, (label, picture, box) in enumerate(zip(tiles, pictures, boxes, strict=True)):
        left = _GAP + i * (column + _GAP)
        draw.text((left + (column - box[2]) // 2, _GAP), label, fill=0, font=font)
        shrunk = picture if scale == 1 else picture.resize(size, Image.Resampling.LANCZOS)
        panel.paste(shrunk, (left + (column - size[0]) // 2, heading + _GAP))
    return np.array(panel)
