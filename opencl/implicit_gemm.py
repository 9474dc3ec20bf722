r"""Implicit GEMM: every tap a shift of a zero-bordered copy, summed in register tiles.

.. math:: y[k, i] = \sum_t w[k, t] \, s[i + \mathrm{offset}(t)]

for the positions i of a whole plane (:mod:`cyconv.opencl.staging`), t running over channels and
taps. No patch is built; an image without border and stride is read where it lies.
"""

from math import prod

import numpy as np

from cyconv.opencl import arrays, base
from cyconv.opencl.base import taps_of, volume
from cyconv.opencl.device import long8
from cyconv.opencl.staging import TAIL, Staged
from cyconv.opencl.tunables import Tunables

WEIGHTS, CELLS = 256 << 10, 512 << 10  # bytes of one group's that a CPU's cache holds


ITEMS = (128, 256)  # of a GPU's group, where it may have so many


def _values(device, wide):
    if device.cpu:
        return {"FILTERS": (6, 4, 8), "VECTORS": (2, 1, 3)}
    large, small = ((64, 128, 32), (4, 8)) if wide else ((128, 64, 32), (8, 4))
    return {
        "TILE_K": large,
        "TILE_P": large[:2],
        "TILE_T": (8, 16),
        "THREAD_K": small,
        "THREAD_P": small,
        "PACK": (4, 1),
    }


def _fits(device, wide, choice):
    if device.cpu:
        return True
    least, most = (min(items, device.max_group) for items in ITEMS)
    if choice["THREAD_K"] < choice["THREAD_P"]:  # weights are the same for many work items
        return False
    chunks = 2 * choice["TILE_T"] * (choice["TILE_K"] + choice["TILE_P"]) * (8 if wide else 4)
    return least <= items_of(choice) <= most and chunks <= device.local_memory


TUNABLES = Tunables("implicit_gemm", _values, _fits)


def items_of(choice):
    """Work items of a GPU's group."""
    return choice["TILE_K"] // choice["THREAD_K"] * (choice["TILE_P"] // choice["THREAD_P"])


def sides(device, wide, choice):
    """Filters and positions of one tile."""
    if device.cpu:
        return choice["FILTERS"], choice["VECTORS"] * base.lanes(device, wide)
    return choice["TILE_K"], choice["TILE_P"]


def narrowed(device, wide, choice, filters, positions):
    """The choice for a layer of so many filters and positions, as sorted pairs.

    Smaller tiles, where they leave a fifth less empty than the ones chosen.
    """
    names = [macro for macro in ("TILE_T", "PACK") if macro in choice]
    choice = {macro: n for macro, n in choice.items() if macro in _values(device, wide)}

    def computed(choice):
        size = zip((filters, positions), sides(device, wide, choice), strict=True)
        return prod(-(-n // side) * side for n, side in size)

    most = sides(device, wide, choice)
    smaller = [
        other
        for other in TUNABLES.candidates(device, wide)
        if all(n <= side for n, side in zip(sides(device, wide, other), most, strict=True))
        and all(other[macro] == choice[macro] for macro in names)
    ]
    best = min(smaller, key=lambda other: (computed(other), -prod(other.values())))
    return tuple(sorted((choice if 4 * computed(choice) <= 5 * computed(best) else best).items()))


def no_tile(device, problem):
    """Why there is no tile for a problem's precision, or None."""
    if TUNABLES.candidates(device, problem.dtype == np.float64):
        return None
    return (
        f"{device.name} has too little for a tile: work-groups of {device.max_group} work items, "
        f"{device.local_memory} bytes of local memory"
    )


def filled(device, wide, tile, filters):
    """So many filters, filled up to whole tiles."""
    side, _ = sides(device, wide, dict(tile))
    return -(-filters // side) * side


def tiles_of(device, wide, choice):
    """The tiles of one device, for float64 if `wide`, by the pairs of a choice."""
    return device.once(("tiles", wide, choice), lambda: Tiles(device, wide, dict(choice)))


class Tiles:
    """The register or local-memory tile of a device, and the kernel that computes it."""

    def __init__(self, device, wide, choice):
        self.device = device
        self.filters, self.positions = sides(device, wide, choice)
        macros = {**base.macros(device, wide), **choice}
        if device.cpu:
            macros["LANES"] = base.lanes(device, wide)
        else:
            self.group = items_of(choice)
        name = "multiply_rows" if device.cpu else "multiply_tiles"
        self.kernel = device.kernel("implicit_gemm", name, **macros)

    def pack(self, w):
        """(groups, filters, taps) as (groups, block, tap, filter of the block), the rest zero."""
        groups, filters, taps = w.shape
        size = self.filters
        whole, rest = divmod(filters, size)
        shape = (groups, whole + (rest > 0), taps, size)
        packed = arrays.empty_like(w, shape=shape)
        blocks = w[:, : whole * size].reshape(groups, whole, size, taps)
        packed[:, :whole] = blocks.swapaxes(2, 3)
        if rest:
            arrays.fill(packed[:, whole:, :, rest:], 0)
            packed[:, whole, :, :rest] = w[:, whole * size :].swapaxes(1, 2)
        return packed

    def run(self, queue, operands, strides, size, geometry, images, epilogue):
        """Enqueue: operands x, w, offsets, y; positions, taps, filters, groups, cells of x."""
        positions, taps, filters, groups, cells = size
        columns, blocks = -(-positions // self.positions), -(-filters // self.filters)
        if self.device.cpu:
            # All weights pass by each tile of positions, or all cells by each block of weights:
            # those that the cache holds, else what is less to read.
            weights = filters * taps
            less = weights * columns <= cells * blocks
            first = 0 if 4 * weights <= WEIGHTS or (4 * cells > CELLS and less) else 1
            total = (blocks, columns) if first == 0 else (columns, blocks)
            total, group = (*total, images * groups), (1, 1, 1)
        else:
            first, total = 0, (columns * self.group, blocks, images * groups)
            group = (self.group, 1, 1)
        queue.launch(
            self.kernel,
            total,
            group,
            *operands,
            *strides,
            long8([positions, taps, filters, groups, first]),
            *geometry,
            *epilogue,
        )


class Algorithm(base.Algorithm):
    """Shifts of whole planes; see the module."""

    name = "implicit_gemm"
    tunables = (TUNABLES,)

    @classmethod
    def supports(cls, problem):
        """Float problems whose planes 32-bit offsets reach."""
        reason = super().supports(problem)
        if reason is None and problem.channels * cls._cells(problem) >= 2**31:
            reason = "implicit_gemm needs an image of fewer than 2**31 elements with its border"
        return reason or no_tile(cls.device, problem)

    @classmethod
    def _cells(cls, problem):
        """Elements of one plane with its border, no fewer."""
        return Staged(problem, problem.stride, problem.dilation).plane + TAIL

    @classmethod
    def _bytes(cls, problem):
        """About what the copy of one image costs: a stride's cells are gathered one by one."""
        cells = [
            out * stride + dilation * kernel + 2 * stride
            for out, stride, dilation, kernel in zip(
                problem.output_spatial,
                problem.stride,
                problem.dilation,
                problem.kernel,
                strict=True,
            )
        ]
        return problem.channels * prod(cells) * problem.dtype.itemsize

    @classmethod
    def cost(cls, problem, threads, allowed=4.0):
        """Seconds: register tiles over all positions, and the copy."""
        filters = problem.filters // problem.groups
        full = -(-filters // 6) * 6 / max(1, filters)
        wide = problem.output_spatial[-1]
        border = (problem.receptive_field[-1] - 1 + wide) / max(1, wide)
        copied = 3 * cls._bytes(problem) * problem.batch
        moved = problem.bytes + copied
        return cls.seconds(problem, problem.flops * full * border, 0.75, moved, 2)

    def layout(self):
        """Lay out the planes; no work on the device."""
        p = self.problem
        size = p.filters // p.groups, prod(p.output_spatial)
        self.tile = narrowed(self.device, self.wide, self.choice, *size)
        self.least = sides(self.device, self.wide, dict(self.tile))[1] if self.device.cpu else 1
        self.staged = Staged(p, p.stride, p.dilation, self.least)
        self.workspace_per_image = p.channels * self.staged.plane * p.dtype.itemsize

    def packed_bytes(self):
        """The panels, filled up to whole tiles."""
        p = self.problem
        filters = p.groups * filled(self.device, self.wide, self.tile, p.filters // p.groups)
        return [filters * taps_of(p) * p.dtype.itemsize]

    def offsets(self, step):
        """Offsets of all taps of one group whose channels are `step` elements apart."""
        depth = self.problem.channels // self.problem.groups
        return np.add.outer(step * np.arange(depth), self.staged.shifts)

    def pack(self, w):
        """Panels of weights, and the taps' offsets."""
        p, device = self.problem, w.device
        tiles = tiles_of(device, self.wide, self.tile)
        panels = tiles.pack(w.reshape(p.groups, p.filters // p.groups, taps_of(p)))
        return panels, self.table(device, self.staged.plane)

    def run(self, x, packed, y, bias, clamp, add=None):
        """y = clamp(x correlated with the packed weights + bias + add)."""
        panels, offsets = packed
        p, s, device = self.problem, self.staged, x.device
        step = x.strides[1]
        if s.lies_so(x) and 0 <= step < 2**31 // max(1, p.channels) and not s.tail:
            table = offsets if step == s.plane else self.table(device, step)
            strides = [x.strides[0], step * (p.channels // p.groups), x.offset]
            self.multiply(x.buffer, strides, panels, table, y, bias, clamp, add)
            return
        for xs, ys in self.passes(x, y):
            with device.scratch(len(xs) * self.workspace_per_image) as buffer:
                s.fill(device, self.macros(), xs, buffer)
                strides = [p.channels * s.plane, p.channels // p.groups * s.plane, 0]
                self.multiply(buffer, strides, panels, offsets, ys, bias, clamp, add)

    def multiply(self, buffer, strides, panels, offsets, y, bias, clamp, add):
        """Enqueue the sums over planes that are laid out."""
        p, s = self.problem, self.staged
        depth, rows, columns = s.outputs
        pitch = (s.sizes[1] * s.sizes[2], s.sizes[2])
        if y.strides[-1] == 1 and (rows * depth == 1 or self._in_a_row(y)):
            columns, rows, depth = s.positions, 1, 1  # nothing is thrown away: one long row
            pitch = (s.positions, s.positions)
        tiles_of(y.device, self.wide, self.tile).run(
            y.device,
            (buffer, panels.buffer, offsets, y.buffer),
            (long8(strides), volume(y)),
            (s.positions, taps_of(p), p.filters // p.groups, p.groups, strides[1]),
            (long8([depth, rows, columns]), long8(pitch)),
            len(y),
            self.epilogue(bias, clamp, add),
        )

    def _in_a_row(self, y):
        """Whether positions are outputs, all of them, as they lie in y."""
        s = self.staged
        if s.sizes[1:] != s.outputs[1:]:
            return False
        steps = base.three(y.strides[2:], 0)
        return (s.outputs[1] == 1 or steps[1] == s.outputs[2]) and (
            s.outputs[0] == 1 or steps[0] == s.outputs[1] * s.outputs[2]
        )
