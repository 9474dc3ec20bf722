"""A picture's pixels, as Pillow gives them and the commands compute with them."""

import logging
import sys
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np

from .common import INSTALL_EXTRA, CommandError

#: Rec. 601 luma, the weights of Pillow's and OpenCV's conversions to grey.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Photo:
    """One picture of a file, upright.

    `colour` is (H, W) or (H, W, 3): uint8, uint16, int32 or float32, as the image file has it; from
    a .npy file any real type, and (H, W, 4) too. `alpha` is (H, W) uint8 or None, `profile` the ICC
    profile that `colour` is meant in, or None.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    profile: bytes | None = None

    @property
    def range(self):
        """The smallest and largest value that the file's type of pixel can hold."""
        if self.colour.dtype.kind == "f":
            return -np.inf, np.inf
        limits = np.iinfo(self.colour.dtype)
        return limits.min, limits.max

    def grey(self):
        """Luma ``0.299 R + 0.587 G + 0.114 B`` (H, W) as it looks on white, unrounded float."""
        if self.colour.ndim == 3 and self.colour.shape[2] != 3:
            raise CommandError(
                f"grey needs (H, W) or (H, W, 3), got an array (H, W, {self.colour.shape[2]})"
            )
        grey = self.colour @ LUMA if self.colour.ndim == 3 else self.colour
        grey = grey.astype(np.result_type(grey, np.float32))
        if self.alpha is None:
            return grey
        opacity = self.alpha.astype(np.float32) / 255
        return grey * opacity + 255 * (1 - opacity)

    @property
    def pixels(self):
        """Colour, and alpha behind it."""
        if self.alpha is None:
            return self.colour
        return np.dstack([self.colour, self.alpha])

    def with_colour(self, values):
        """The same photo with `values` for its colour, rounded and clipped to its range."""
        dtype = self.colour.dtype
        if dtype.kind != "f":
            values = np.clip(np.rint(values), *self.range)
        return replace(self, colour=values.astype(dtype))


def pillow():
    """Pillow's ``Image`` module, or the line that says how to get it."""
    try:
        from PIL import Image
    except ImportError:
        raise CommandError(f"reading and writing photos needs Pillow: {INSTALL_EXTRA}") from None
    return Image


def shown(path):
    """`path` in characters that stdout can print, on one line."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = str(path).encode(encoding, "backslashreplace").decode(encoding)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def refusing(verb, path):
    """Errors of the system and of Pillow's coders, which raise anything, as one line."""
    # Pillow warns and logs about what it then raises, or mends.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (CommandError, MemoryError):
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(reason.split())
        raise CommandError(f"cannot {verb} {shown(path)}: {reason}") from error


def upright(image):
    """The frame that Pillow's `image` stands at, as a `Photo`.

    Palettes become colours, one bit becomes 0 and 255, CMYK and its like become RGB; the EXIF
    orientation is applied.
    """
    from PIL import ImageOps

    image.load()
    # An unreadable EXIF block says nothing about the orientation, nor against the pixels.
    with suppress(Exception):
        image = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        return Photo(np.asarray(image).astype(np.uint16), None, profile)
    if image.mode in ("I", "F"):
        return Photo(np.array(image), None, profile)
    grey = image.mode in ("1", "L", "LA")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        profile = None
        image = image.convert("RGB")
    if not image.has_transparency_data:
        return Photo(np.array(image.convert("L" if grey else "RGB")), None, profile)
    pixels = np.array(image.convert("RGBA"))
    return Photo(pixels[..., 0] if grey else pixels[..., :3], pixels[..., 3], profile)
