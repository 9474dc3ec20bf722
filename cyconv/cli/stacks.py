"""Files of one picture or of many: images, animations, pages, and arrays in .npy files."""

import os
import secrets
import shutil
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from .common import CommandError
from .images import Photo, pillow, refusing, shown, upright

#: Formats whose further frames are of one kind with the first; those of others are previews,
#: layers, or the same picture at other sizes.
_FRAMES = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")

_SAVE_OPTIONS = {"JPEG": {"quality": 95}, "WEBP": {"quality": 95}}


@dataclass(frozen=True)
class Stack:
    """The pictures of one file, in order.

    `axes` are the sizes of an array's axes before those of a picture, or None; `timing` is an
    animation's, in Pillow's words; `left` counts the pictures of the file that are not here.
    """

    photos: list
    axes: tuple | None = None
    timing: dict = field(default_factory=dict)
    left: int = 0

    @property
    def size(self):
        """``"640x480"``, or ``"12 frames of 640x480"``, or ``"3 frames"`` of several sizes."""
        sizes = {"{1}x{0}".format(*photo.colour.shape) for photo in self.photos}
        if len(self.photos) == 1:
            return sizes.pop()
        return f"{len(self.photos)} frames" + (f" of {sizes.pop()}" if len(sizes) == 1 else "")


def is_array(path):
    """Whether `path` is the name of a .npy file."""
    return Path(path).suffix.lower() == ".npy"


def is_readable(path):
    """Whether the extension of `path` is one of an image or an array."""
    return is_array(path) or Path(path).suffix.lower() in pillow().registered_extensions()


def read(path):
    """Every picture of the file `path`."""
    return _read_array(path) if is_array(path) else _read_image(path)


def _read_image(path):
    image_module = pillow()
    with refusing("read", path), open(path, "rb") as file:
        try:
            image = image_module.open(file)
        except image_module.UnidentifiedImageError:
            raise CommandError(f"cannot read {shown(path)}: not an image") from None
        count = getattr(image, "n_frames", 1)
        photos, durations, loop = [], [], None
        for i in range(count if image.format in _FRAMES else 1):
            if i:
                image.seek(i)
            photos.append(upright(image))
            durations.append(image.info.get("duration"))
            loop = image.info.get("loop", loop)
        timed = len(photos) > 1 and None not in durations
        timing = {"duration": durations, "loop": loop} if timed else {}
        return Stack(photos, timing=timing, left=count - len(photos))


def _read_array(path):
    with refusing("read", path):
        array = np.load(path, allow_pickle=False)
        if array.dtype.kind not in "iuf":
            raise ValueError(f"must hold real numbers, got dtype {array.dtype}")
        ndim = 3 if array.ndim > 2 and array.shape[-1] in (3, 4) else 2
        if array.ndim < 2 or array.size == 0:
            raise ValueError(
                "must be (H, W) or (H, W, C) with C = 3 or 4, or a stack (..., H, W) of those, "
                f"not empty, got shape {array.shape}"
            )
    axes = array.shape[: array.ndim - ndim]
    frames = array.reshape(prod(axes), *array.shape[array.ndim - ndim :])
    return Stack([Photo(frame) for frame in frames], axes)


def _kind(path):
    """Pillow's name of the format that `path` is written in."""
    return pillow().registered_extensions().get(Path(path).suffix.lower())


def check_target(path):
    """Refuse, before any work is done, an output that can't be written."""
    if not is_array(path) and _kind(path) not in pillow().SAVE:
        extension = Path(path).suffix.lower()
        what = f"images of type {extension}" if extension else "an image without an extension"
        raise CommandError(f"cannot write {shown(path)}: {what}; try .png")
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise CommandError(f"cannot write {shown(path)}: no folder {shown(target.parent)}")
    if target.exists() and not target.is_file():
        raise CommandError(f"cannot write {shown(path)}: it exists and is not a file")
    if target.exists() and not os.access(target, os.W_OK):
        raise CommandError(f"cannot write {shown(path)}: Permission denied")


def left_out(path, stack):
    """How many pictures of `stack` a file called `path` can't hold."""
    holds_many = is_array(path) or _kind(path) in pillow().SAVE_ALL
    return 0 if holds_many else len(stack.photos) - 1


def write(path, stack):
    """Write `stack` to `path`, in the format of its extension: whole, or not at all.

    The file is written beside its place and then renamed, so `path` may be where it came from.
    """
    check_target(path)
    save = _save_array if is_array(path) else _save_image
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".cyconv-{secrets.token_hex(8)}.tmp")
    try:
        with refusing("write", path):
            with open(temporary, "x+b") as file:
                save(file, path, stack)
            if target.exists():
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _save_array(file, path, stack):
    frames = [photo.pixels for photo in stack.photos]
    if len({frame.shape for frame in frames}) > 1:
        raise ValueError("the frames are not of one size")
    axes = stack.axes
    if axes is None:
        axes = () if len(frames) == 1 else (len(frames),)
    np.save(file, np.stack(frames).reshape(*axes, *frames[0].shape))


def _save_image(file, path, stack):
    kind = _kind(path)
    options = dict(_SAVE_OPTIONS.get(kind, {}))
    photos = stack.photos[: len(stack.photos) - left_out(path, stack)]
    if photos[0].profile:
        options["icc_profile"] = photos[0].profile
    images = [pillow().fromarray(np.ascontiguousarray(photo.pixels)) for photo in photos]
    if len(images) > 1:
        if kind != "TIFF":
            images = _alike(images)
            options |= _timing(stack, kind)
        if kind == "GIF" and images[0].mode == "RGBA":
            options["disposal"] = 2  # what is transparent now shows nothing of the frame before
        options |= {"save_all": True, "append_images": images[1:]}
    images[0].save(file, kind, **options)


def _timing(stack, kind):
    """An animation that says nothing of it plays once; only a GIF can say nothing."""
    timing = dict(stack.timing)
    if timing and timing["loop"] is None:
        del timing["loop"]
        if kind != "GIF":
            timing["loop"] = 1
    return timing


def _alike(images):
    """Frames of an animation: of one size, and in the widest of their modes."""
    if len({image.size for image in images}) > 1:
        raise ValueError("the frames are not of one size; try .tiff")
    modes = {image.mode for image in images}
    if len(modes) == 1:
        return images
    mode = "RGBA" if modes & {"RGBA", "LA"} else "RGB"
    return [image.convert(mode) for image in images]
