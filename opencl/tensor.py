"""NVIDIA's own ways to multiply tiles: copies that nobody waits for, and matrices of TF32.

Both are variants of implicit GEMM's kernel, by inline PTX, from compute capability 8.0 on. Copies
change nothing in a sum. A matrix multiplies numbers of 10 bits, and three products of such halves
stand for one of float32 (``tensor.cl``): within "balanced", but other bits than those of float32's
own instructions. So who may use them is decided by a whole problem, and its parts keep to that.
"""

import numpy as np

from cyconv.planning import cost

CAPABILITY = 8, 0  # from which on a device has these instructions
LOCAL = 48 << 10  # bytes of local memory of a group: two or three chunks of any tile
FILTERS = 48  # of a group, from which on a tile of 64 is worth its empty rows
TAPS = 32  # in shorter sums a product's rounding is not hidden behind those of the sum
SIDES = 64, 128  # of the tile, whichever is which: 128 work items with 168 registers


def capable(device):
    """Whether a device has these instructions, and the local memory for what they bring."""
    return not device.cpu and device.capability >= CAPABILITY and device.local_memory >= LOCAL


def copies(device, cells):
    """Whether tiles of these :class:`Cells` are filled by copies that nobody waits for.

    What is to be widened on the way goes through registers.
    """
    return capable(device) and cells.sums == np.float32 and cells.x is None


def matrices(device, cells, filters, taps, allowed):
    """Whether a problem of so many filters and taps is multiplied by matrices.

    `allowed` : the error, in multiples of direct summation's.
    """
    return (
        copies(device, cells)
        and allowed >= cost.BALANCED
        and filters >= FILTERS
        and taps >= TAPS
        and device.max_group >= 128
    )


def tile(choice):
    """The tile that matrices multiply: as many filters as the choice has, but 64 or 128."""
    filters = min(max(dict(choice)["TILE_K"], min(SIDES)), max(SIDES))
    sides = {"TILE_K": filters, "TILE_P": SIDES[0] * SIDES[1] // filters}
    return tuple(sorted({**dict(choice), **sides, "THREAD_K": 8, "THREAD_P": 8}.items()))


def variant(device, cells, by_matrices, ragged):
    """The macros of the kernel's variant; `ragged` where taps end within a chunk."""
    if not copies(device, cells):
        return ("RAGGED",) if ragged else ()
    return ("ASYNC", "MATRICES") if by_matrices else ("ASYNC",)


def plain(macros):
    """The macros of the kernel that every device compiles, in place of one that failed."""
    return {k: v for k, v in macros.items() if k not in ("ASYNC", "MATRICES")} | {"RAGGED": 1}
