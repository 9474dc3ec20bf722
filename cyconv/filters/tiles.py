"""Filters of images in memory, read as they lie: by :mod:`cyconv.algorithms.chains`, those of large
kernels by :mod:`cyconv.algorithms.bordered`.
"""

from functools import lru_cache

import numpy as np

from cyconv.algorithms import chains
from cyconv.algorithms.bordered import tiles
from cyconv.lowering.borders import SCIPY_NAMES
from cyconv.planning.cost import check_accuracy
from cyconv.runtime.parallel import check_threads

from .arguments import borders, is_real

BORDERS = SCIPY_NAMES | {"zeros": "constant"}
NEAR = 1 << 22  # bytes of an image that caches hold

LARGE = 80  # taps; below, one sweep over an image is faster than any transform


def is_native(image, mode, how):
    """Whether an image is filtered tile by tile: on the host, where nothing else is asked for.

    A mode that is wrong is left to those who say so.
    """
    return (
        isinstance(mode, str)
        and mode in BORDERS
        and how.get("device", "cpu") == "cpu"
        and how.get("algorithm", "auto") == "auto"
        and how.get("workspace_limit") is None
        and chains.holds(image.dtype)
    )


def pair_is_faster(image, kernel):
    """Whether (R, 1) and (1, S) take less time than (R, S), by their taps and the second pass.

    Of bytes a box's running sums do in any case. Without zeros 3 x 3 taps gain by it while memory
    is not what they wait for.
    """
    if image.dtype == np.uint8 and kernel.flat[0] and (kernel == kernel.flat[0]).all():
        return True
    if kernel.shape == (3, 3) and image.dtype.kind == "f" and kernel.all():
        return image.nbytes <= NEAR
    return kernel.size > 2 * sum(kernel.shape)


def filtered(operation, image, branches, mode, finish, out_dtype, how):
    """`image` after each of the `branches` of kernels, put together by `finish`.

    Where there are several to be kept each, the first axis of the result counts them.
    """
    accuracy, threads = how.get("accuracy", "balanced"), how.get("threads")
    check_accuracy(operation, accuracy)
    threads = check_threads(operation, threads)
    dtype = np.result_type(image, np.float32)
    target = target_of(operation, out_dtype, dtype)
    held = target if chains.holds(target) else np.dtype(np.float32)
    many = len(branches) > 1 and finish == "each"
    y = np.empty((len(branches), *image.shape) if many else image.shape, held)
    if not (image.flags.c_contiguous and image.flags.aligned and image.dtype.isnative):
        image = np.require(image, image.dtype.newbyteorder("="), ["C", "A"])
    shape = (1, *image.shape[:2], image.shape[2] if image.ndim == 3 else 1)
    if len(branches) == len(branches[0]) == 1 and _may_be_large(image, branches[0][0]):
        (kernel,) = branches[0]
        found = tiles(
            shape,
            kernel,
            borders(kernel.shape),
            BORDERS[mode],
            saturate=True,
            operation=operation,
            accuracy=accuracy,
            threads=threads,
        )
        if found is not None:
            found.run(image, y)
            return y if held == target else y.astype(target)
    chains.run(
        image,
        y,
        shape,
        tuple(tuple(_stage(k) for k in kernels) for kernels in branches),
        (BORDERS[mode], BORDERS[mode]),
        0.0,
        dtype == np.float64,
        dtype,
        finish,
        saturate=True,
        threads=threads,
    )
    return y if held == target else y.astype(target)


def _may_be_large(image, kernel):
    """Whether transforms are worth a thought: they take no kernel that is not finite."""
    large = kernel.size >= LARGE and 1 not in kernel.shape
    return large and image.size and np.isfinite(kernel).all()


def stored(operation, y, out_dtype):
    """`y` in `out_dtype`: integers rounded to nearest, and clipped to what they hold."""
    if out_dtype is None:
        return y
    target = target_of(operation, out_dtype, y.dtype)
    if target.kind in "iu":
        limits = np.iinfo(target)
        y = np.clip(np.rint(y), limits.min, limits.max)
    return y.astype(target)


def target_of(operation, out_dtype, default):
    """The dtype of the result, checked."""
    if out_dtype is None:
        return default
    target = np.dtype(out_dtype)
    if not is_real(target):
        raise TypeError(f"{operation}: out_dtype must be of real numbers, got {target}")
    return target


def _stage(kernel):
    """(Stage, whether it runs down) of a kernel that is centred on its cell."""
    return _stage_of(kernel.tobytes(), kernel.shape, kernel.dtype)


@lru_cache(maxsize=64)
def _stage_of(data, shape, dtype):
    """That of a kernel given as bytes: to make one takes as long as to filter a small image."""
    kernel = np.frombuffer(data, dtype).reshape(shape)
    rows, columns = shape
    up, left = ((n - 1) // 2 for n in shape)
    if rows > 1 and columns > 1:
        return chains.plane(kernel, up, left), True
    taps, before = kernel.ravel(), left if rows == 1 else up
    few = 8  # that are summed as fast one by one
    if taps.size > few and taps[0] and (taps == taps[0]).all():
        return chains.box(taps.size, before, factor=float(taps[0])), rows > 1
    return chains.line(taps, before), rows > 1
