"""A stack of images larger than memory, filtered from one Zarr folder into another.
=================================================================================

Noisy grains are written to a Zarr folder chunk by chunk, and band-passed by a difference of two
Gaussians: what each chunk needs of its neighbours is read with it, so that no seam is seen where
chunks meet. The array is never in memory as a whole; the most that the process took is printed.
"""

import resource
import sys
import tempfile
from pathlib import Path

import dask.array as da
import numpy as np
from dask.diagnostics import ProgressBar
from gallery import arguments, panels, save, show

from cyconv.dask import ndimage

SIDE = 128  # of a chunk, in cells


def grains(shape, side):
    """Sparse bright cells, blurred to grains, under noise and a slope of brightness."""
    random = da.random.default_rng(0)
    chunks = (side,) * 3
    bright = (random.random(shape, chunks=chunks) > 0.9995).astype(np.float32)
    noise = random.standard_normal(shape, chunks=chunks).astype(np.float32)
    slope = da.linspace(0, 1, shape[2], chunks=side, dtype=np.float32)
    return 60 * ndimage.gaussian_filter(bright, 2.0) + 0.3 * noise + slope


def peak():
    """The most memory that this process has had, in MB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def main(argv=None):
    """Write the stack, filter it, draw one image of it before and after."""
    args = arguments(__doc__, argv)
    side, shape = (24, (48, 64, 64)) if args.small else (SIDE, (1536, 512, 512))
    with tempfile.TemporaryDirectory() as folder:
        noisy, clean = (str(Path(folder, name)) for name in ("noisy.zarr", "clean.zarr"))
        with ProgressBar(out=sys.stderr):
            da.to_zarr(grains(shape, side), noisy)
            stack = da.from_zarr(noisy)
            filtered = ndimage.gaussian_filter(stack, 1.5) - ndimage.gaussian_filter(stack, 6.0)
            da.to_zarr(filtered, clean)
        print(f"{stack.nbytes / 2**20:,.0f} MB filtered, {peak():,.0f} MB of memory at most")
        middle = shape[0] // 2
        before, after = (da.from_zarr(name)[middle].compute() for name in (noisy, clean))

    figure, axes = panels(1, 2, 8.5, 4.4)
    cut = slice(0, 2 * side)
    for axis, image, title in zip(axes[0], (before, after), ("noisy", "filtered"), strict=True):
        low, high = np.percentile(image, [1, 99.8])
        show(axis, (image[cut, cut] - low) / (high - low), title)
        axis.axhline(side - 0.5, color="C1", lw=0.6, ls=":")
        axis.axvline(side - 0.5, color="C1", lw=0.6, ls=":")
    axes[0, 1].set_xlabel("dotted: where chunks meet")
    save(figure, args.out, "filter_larger_than_memory")
    return before, after


if __name__ == "__main__":
    main()
