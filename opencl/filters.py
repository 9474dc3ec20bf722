"""Filters of images on a device: read as they are stored, the passes in the dtype of the sums."""

import numpy as np

from cyconv.opencl import arrays, device
from cyconv.opencl.order import ordered
from cyconv.opencl.plan import device_of
from cyconv.planning.plan import plan
from cyconv.problem.operands import is_on_device, native


def filtered(operation, image, chain, finish, out_dtype, how):
    """`image` after the passes of `chain`, and what `finish` makes of the last one's results.

    Parameters
    ----------
    image : ndarray or pyopencl Array (H, W) or (H, W, C)
    chain : list of (Problem, weights)
        Of planes (C, K, H, W); only the last may have several kernels.
    finish : {"each", "hypot"}
        "hypot" is the root of the sum of the squares of two results.
    out_dtype : dtype
        Integers are rounded to the nearest and clipped to what they hold.
    how : dict
        As for :func:`cyconv.plan`.

    Returns
    -------
    list of arrays of the image's shape, one for each result: where the image lies
    """
    there = is_on_device(image)
    plans = [plan(problem, **how) for problem, _ in chain]
    if there:
        target = device_of(operation, "image", image)
    else:
        target = device.get(operation, how["device"])
    with ordered(target, (image,)):
        if there:
            cells = arrays.of_array(target, image)
        else:
            image = native(image, image.dtype.newbyteorder("="))
            cells = arrays.to_device(target, image)
        planes = cells[None] if image.ndim == 2 else arrays.moveaxis(cells, -1, 0)
        planes = planes[:, None]
        for found, (_, weights) in zip(plans, chain, strict=True):
            done = found(planes, arrays.to_device(target, weights), on_device=True)
            planes = arrays.of_array(target, done)
        results = [planes[:, i] for i in range(planes.shape[1])]
        if finish == "hypot":
            one, two = results
            results = [arrays.combine("HYPOT", one, two, arrays.empty_like(one))]
        return [_stored(target, y, image.shape, out_dtype, there) for y in results]


def _stored(target, y, shape, dtype, there):
    """The planes (C, H, W) as an image of `shape` in `dtype`: on the device if `there`."""
    make = device.new_array if there else arrays.empty
    image = make(target, shape, dtype)
    cells = arrays.of_array(target, image) if there else image
    y = y[0] if len(shape) == 2 else arrays.moveaxis(y, 0, -1)
    rounded = np.dtype(dtype).kind in "iu"
    arrays.combine("NEAREST" if rounded else "COPY", y, y, cells)
    return image if there else cells.numpy()
