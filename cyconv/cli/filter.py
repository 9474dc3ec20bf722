"""``cyconv filter``: one kernel over photos."""

import os
from dataclasses import replace
from functools import partial

import numpy as np

from . import batches, images, stacks
from .common import CommandError, add_run_options, bad_input, positive_int
from .interrupts import check

_DESCRIPTION = """\
Filter a photo with one kernel, channel by channel; alpha is kept as it is.
The kernel is applied as it is written (cross-correlation), not turned by 180
degrees. The result is rounded and clipped to what the photo's own pixels can
hold (0 to 255 for 8 bits), so that of a derivative only the positive half is
left: for edges, see cyconv edges.

Every frame of an animation and every page of a file is filtered. A .npy file
holds a picture (H, W) or (H, W, C), C = 3 or 4 channels that are filtered
alike, or a stack of them (..., H, W) or (..., H, W, C); to a .npy file goes
what was computed, not rounded and not clipped. Of a folder all images and
arrays are filtered, into a folder, each under its own name.
"""

_OPTIONS = {
    "size": (positive_int, "N", "rows and columns of the kernel"),
    "sigma": (float, "S", "standard deviation in pixels (gaussian, unsharp, log, gabor)"),
    "angle": (float, "DEGREES", "direction, counter-clockwise (motion, gabor)"),
    "amount": (float, "A", "how much to sharpen (unsharp)"),
}


def add_parser(subparsers):
    """Describe the command."""
    parser = subparsers.add_parser(
        "filter", help="filter a photo with a kernel", description=_DESCRIPTION
    )
    parser.add_argument("photo", metavar="PHOTO", help="an image, a .npy file, or a folder")
    parser.add_argument(
        "--kernel",
        metavar="NAME|FILE",
        required=True,
        help="gaussian, box, sharpen, unsharp, emboss, motion, identity, laplacian, laplacian_8, "
        "log, gabor, {sobel,prewitt,scharr,roberts}_{x,y}; or a file of numbers, one row a line "
        "(spaces or commas between them), or a .npy array of two axes",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="the file to write; its extension is the format; for a folder, the folder to write "
        "to; may be PHOTO itself",
    )
    for option, (kind, metavar, text) in _OPTIONS.items():
        parser.add_argument(f"--{option}", type=kind, metavar=metavar, help=text)
    add_run_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(args):
    """Filter, clip and write every picture, and say so in one line."""
    options = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}
    with bad_input():
        kernel = _kernel(args.kernel, options)
    rows, columns = kernel.shape
    what = f"{images.shown(args.kernel)} {rows}x{columns}"
    batches.run(args, partial(_filtered, args, kernel), what)


def _filtered(args, kernel, stack, target):
    """The stack with its colours filtered, and by which algorithms."""
    import cyconv
    from cyconv import filters

    how = {"mode": args.border, "threads": args.threads, "device": args.device}
    chain = filters.passes(stack.photos[0].colour, kernel, **how)
    algorithms = [cyconv.plan(problem, device=args.device).algorithm for problem, _ in chain]
    photos = []
    for photo in stack.photos:
        check()
        values = filters.apply(photo.colour, kernel, **how)
        plain = stacks.is_array(target)
        photos.append(replace(photo, colour=values) if plain else photo.with_colour(values))
    return replace(stack, photos=photos), " then ".join(algorithms)


def _kernel(name, options):
    """The kernel called `name`, or the one in the file of that name."""
    from cyconv import filters

    if name in filters.KERNELS:
        return filters.get_kernel(name, dtype=np.float64, **options)
    if not os.path.exists(name):
        known = ", ".join(filters.KERNELS)
        raise CommandError(f"--kernel {images.shown(name)} is no file and none of {known}")
    if options:
        raise CommandError(f"--{next(iter(options))} does not go with a kernel from a file")
    try:
        kernel = np.load(name, allow_pickle=False) if name.endswith(".npy") else _numbers(name)
    except (OSError, ValueError, EOFError) as error:
        raise CommandError(f"cannot read {images.shown(name)}: {error}") from error
    if kernel.dtype.kind not in "iuf" or kernel.ndim != 2 or kernel.size == 0:
        raise CommandError(
            f"{images.shown(name)} must hold a table of real numbers, "
            f"got shape {kernel.shape} of {kernel.dtype}"
        )
    if not np.isfinite(kernel).all():
        raise CommandError(f"{images.shown(name)} holds a number that is not finite")
    return kernel


def _numbers(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.replace(",", " ") for line in file]
    if not any(line.split("#")[0].strip() for line in lines):
        raise ValueError("no numbers in it")
    return np.loadtxt(lines, ndmin=2)
