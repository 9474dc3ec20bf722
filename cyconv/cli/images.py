"""Photos in and out, through Pillow."""

import logging
import os
import secrets
import shutil
import sys
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .common import INSTALL_EXTRA, CommandError

#: Rec. 601 luma, the weights of Pillow's and OpenCV's conversions to grey.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_SAVE_OPTIONS = {"JPEG": {"quality": 95}, "WEBP": {"quality": 95}}


@dataclass(frozen=True)
class Photo:
    """The pixels of an image file, upright.

    `colour` is (H, W) or (H, W, 3): uint8, uint16, int32 or float32, as the file has it. `alpha` is
    (H, W) uint8 or None, `profile` the ICC profile that `colour` is meant in, or None.
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
        grey = self.colour @ LUMA if self.colour.ndim == 3 else self.colour
        grey = grey.astype(np.result_type(grey, np.float32))
        if self.alpha is None:
            return grey
        opacity = self.alpha.astype(np.float32) / 255
        return grey * opacity + 255 * (1 - opacity)

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
def _refusing(verb, path):
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


def read(path):
    """The first picture in the file `path` as a `Photo`.

    Palettes become colours, one bit becomes 0 and 255, CMYK and its like become RGB; the EXIF
    orientation is applied.
    """
    image_module = pillow()
    with _refusing("read", path), open(path, "rb") as file:
        try:
            image = image_module.open(file)
        except image_module.UnidentifiedImageError:
            raise CommandError(f"cannot read {shown(path)}: not an image") from None
        return _photo(image)


def _photo(image):
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


def check_target(path):
    """Refuse, before any work is done, an output that can't be written."""
    image_module = pillow()
    extension = Path(path).suffix.lower()
    known = image_module.registered_extensions()
    if known.get(extension) not in image_module.SAVE:
        what = f"images of type {extension}" if extension else "an image without an extension"
        raise CommandError(f"cannot write {shown(path)}: {what}; try .png")
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise CommandError(f"cannot write {shown(path)}: no folder {shown(target.parent)}")
    if target.exists() and not target.is_file():
        raise CommandError(f"cannot write {shown(path)}: it exists and is not a file")
    if target.exists() and not os.access(target, os.W_OK):
        raise CommandError(f"cannot write {shown(path)}: Permission denied")


def write(path, photo):
    """Write `photo` to `path`, in the format of its extension: whole, or not at all.

    The file is written beside its place and then renamed, so `path` may be the photo it came from.
    """
    image_module = pillow()
    check_target(path)
    pixels = photo.colour
    if photo.alpha is not None:
        pixels = np.dstack([pixels, photo.alpha])
    target = Path(os.path.realpath(path))
    kind = image_module.registered_extensions()[Path(path).suffix.lower()]
    options = dict(_SAVE_OPTIONS.get(kind, {}))
    if photo.profile:
        options["icc_profile"] = photo.profile
    temporary = target.with_name(f".cyconv-{secrets.token_hex(8)}.tmp")
    try:
        with _refusing("write", path):
            with open(temporary, "xb") as file:
                image_module.fromarray(np.ascontiguousarray(pixels)).save(file, kind, **options)
            if target.exists():
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
