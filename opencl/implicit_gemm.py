r"""Implicit GEMM: every tap a shift of a zero-bordered copy, summed in register tiles.

.. math:: y[k, i] = \sum_t w[k, t] \, s[i + \mathrm{offset}(t)]

for the positions i of a whole plane (:mod:`cyconv.opencl.staging`), t running over channels and
taps. No patch is built; an image without border and stride is read where it lies.
"""

from functools import cached_property
from math import prod

import numpy as np

from cyconv.opencl import arrays, base, tensor
from cyconv.opencl.base import taps_of, three
from cyconv.opencl.device import local_memory, long8, note
from cyconv.opencl.staging import TAIL, Staged
from cyconv.opencl.tunables import Tunables
from cyconv.problem.operands import DeviceError

CHUNK = 16 << 10  # bytes of a column's cells that stay in a CPU's first cache
DOWN = 64  # blocks of filters that read them before the next column's
COPIED = 3  # blocks of filters that read a column's cells: for fewer they are not copied
ITEM = 2**19  # products of a CPU's work item, beside which its start is nothing
EACH = 8  # work items, at least, for each of a CPU's cores, so that the last ones end together
SHORT = 8  # taps of a GPU's chunk that comes by way of registers: 16 need too many
GROUP = 64  # work items that add the parts of a sum
ITEMS = (128, 256)  # of a GPU's group, where it may have so many
RESIDENT = 384  # work items, at least, that one of NVIDIA's multiprocessors should hold at a time
REGISTERS = 65536  # that it has
PART = 512  # taps of a part of the sum, at least: to write and add the parts takes a tenth at most
REACH = 2**31 - 1  # elements of x and y that the tiles of one launch may be apart


def _values(device, wide):
    if device.cpu:
        return {"FILTERS": (6, 4, 8), "VECTORS": (2, 1, 3)}
    large, small = ((64, 128, 32), (4, 8)) if wide else ((128, 64, 32), (8, 4))
    return {
        "TILE_K": large,
        "TILE_P": large[:2],
        "TILE_T": (16, SHORT) if not wide and tensor.capable(device) else (SHORT,),
        "THREAD_K": small,
        "THREAD_P": small,
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


def parts_of(device, tiles, taps):
    """Parts of a sum of `taps`: as many as a GPU's idle units can take, where tiles are few."""
    if device.cpu:
        return 1
    return max(1, min(2 * device.compute_units // max(1, tiles), taps // PART))


def _work(device, wide, choice, filters, positions, groups, taps):
    """What the busiest unit of a device computes, in products of the tiles that are full of them.

    A GPU's work item loads (THREAD_K + THREAD_P) / 4 times for THREAD_K THREAD_P products of a tap,
    and about five instructions are of the loop.
    """
    side_k, side_p = sides(device, wide, choice)
    tiles = groups * -(-filters // side_k) * -(-positions // side_p)
    if device.cpu:
        return tiles * side_k * side_p
    parts = parts_of(device, tiles, taps)
    down, across = choice["THREAD_K"], choice["THREAD_P"]
    share = down * across / (down * across + (down + across) / 4 + 5)
    return -(-tiles * parts // device.compute_units) * side_k * side_p / share / parts


def narrowed(device, wide, choice, filters, positions, groups=1, taps=0, images=1):
    """The choice for a layer of so many filters and positions, as sorted pairs.

    Smaller tiles, where they leave a fifth less empty than the ones chosen, or a fifth less to the
    busiest unit of a GPU. Of one image, because weights are packed for any number of them; how many
    positions a tile has is then chosen for all. So that these may be many, a GPU's tile has 64
    filters or more where the layer does.
    """
    choice = {macro: n for macro, n in choice.items() if macro in _values(device, wide)}
    most = sides(device, wide, choice)
    smaller = [
        other
        for other in TUNABLES.candidates(device, wide)
        if all(n <= side for n, side in zip(sides(device, wide, other), most, strict=True))
        and other.get("TILE_T") == choice.get("TILE_T")
        and (device.cpu or other["TILE_K"] >= min(64, filters, most[0]))
    ]

    def best(found, chosen, positions):
        def work(other):
            return _work(device, wide, other, filters, positions, groups, taps)

        least = min(found, key=lambda other: (work(other), -prod(other.values())))
        return chosen if 4 * work(chosen) <= 5 * work(least) else least

    tile = best(smaller, choice, positions)
    if images > 1 and not device.cpu:
        same = [other for other in smaller if other["TILE_K"] == tile["TILE_K"]]
        tile = best(same, max(same, key=lambda other: prod(other.values())), positions * images)
    return tuple(sorted(tile.items()))


def no_tile(device, problem):
    """Why there is no tile for a problem's precision, or None."""
    if TUNABLES.candidates(device, problem.sum_dtype.itemsize == 8):
        return None
    return (
        f"{device.name} has too little for a tile: work-groups of {device.max_group} work items, "
        f"{device.local_memory} bytes of local memory"
    )


def filled(device, wide, tile, filters):
    """So many filters, filled up to whole tiles."""
    side, _ = sides(device, wide, dict(tile))
    return -(-filters // side) * side


def tiles_of(device, cells, choice, *variant):
    """The tiles of one device, of these types, by the pairs of a choice."""
    return device.once(
        ("tiles", cells, choice, variant), lambda: Tiles(device, cells, dict(choice), variant)
    )


def tile_for(device, wide, choice, size, groups, taps, images=1, matrices=False):
    """The choice for a layer of such a size (filters, positions), by matrices or not."""
    tile = narrowed(device, wide, choice, *size, groups, taps, images)
    return tensor.tile(tile) if matrices else tile


def registers_of(items):
    """Registers of a work item that leave room for RESIDENT of them, in groups of `items`."""
    return min(255, REGISTERS // (-(-RESIDENT // items) * items) // 8 * 8)


class Tiles:
    """The register or local-memory tile of a device, and the kernel that computes it.

    The kernel's variants are macros of a GPU's tile: ALIGNED, RAGGED, ASYNC, MATRICES.
    """

    def __init__(self, device, cells, choice, variant=()):
        self.device, self.sums = device, cells.sums
        self.filters, self.positions = sides(device, cells.wide, choice)
        self.chunk = choice.get("TILE_T", 1)
        self._item = cells.sums.itemsize
        macros = {**base.macros(device, cells), **choice}
        if device.cpu:
            macros["LANES"] = base.lanes(device, cells.wide)
        else:
            self.group = items_of(choice)
            macros |= dict.fromkeys(variant, 1)
            macros["REGISTERS"] = registers_of(self.group)
        self._macros = macros

    @cached_property
    def kernel(self):
        """Compiled when it is first wanted: weights are packed for any variant."""
        name = "multiply_rows" if self.device.cpu else "multiply_tiles"
        try:
            return self.device.kernel("implicit_gemm", name, **self._macros)
        except DeviceError:
            if "ASYNC" not in self._macros:
                raise
        note("refused", "implicit_gemm")
        self.device.without_instructions()
        self._macros = tensor.plain(self._macros)
        return self.device.kernel("implicit_gemm", name, **self._macros)

    @cached_property
    def copying(self):
        """The kernel of a CPU that copies a column's cells to local memory first."""
        return self.device.kernel("implicit_gemm", "multiply_rows", **self._macros, STRIP=1)

    @cached_property
    def adder(self):
        """Of the parts of a sum; it has none of a vendor's instructions."""
        macros = tensor.plain(self._macros) if "ASYNC" in self._macros else self._macros
        return self.device.kernel("implicit_gemm", "add_parts", **macros)

    def pack(self, w):
        """(groups, filters, taps) as (groups, block, tap, filter of the block), the rest zero.

        On a GPU, taps are filled up to whole chunks, and one more chunk of zeros follows the last.
        """
        groups, filters, taps = w.shape
        size = self.filters
        whole, rest = divmod(filters, size)
        shape = (groups, whole + (rest > 0), -(-taps // self.chunk) * self.chunk, size)
        if self.device.cpu:
            packed = arrays.empty_like(w, self.sums, shape)
        else:
            total = prod(shape) + self.chunk * size
            buffer = w.device.empty(total * self._item)
            packed = arrays.View(w.device, buffer, arrays.ghost(shape, self.sums))
            flat = arrays.View(w.device, buffer, arrays.ghost((total,), self.sums))
            arrays.fill(flat[prod(shape) :], 0)
        if taps < shape[2]:
            arrays.fill(packed[:, :, taps:], 0)
        blocks = w[:, : whole * size].reshape(groups, whole, size, taps)
        packed[:, :whole, :taps] = blocks.swapaxes(2, 3)
        if rest:
            arrays.fill(packed[:, whole:, :taps, rest:], 0)
            packed[:, whole, :taps, :rest] = w[:, whole * size :].swapaxes(1, 2)
        return packed

    def run(self, queue, operands, strides, size, geometry, images, epilogue, part=None):
        """Enqueue: operands x, w, offsets, y; positions, taps, filters, groups.

        `part`: taps of a part of the sum, elements of y from a part to the next.
        """
        if self.device.cpu:
            self._rows(queue, operands, strides, size, geometry, images, epilogue)
        else:
            self._tiles(queue, operands, strides, size, geometry, images, epilogue, part)

    def _rows(self, queue, operands, strides, size, geometry, images, epilogue):
        positions, taps, filters, groups = size
        columns, blocks = -(-positions // self.positions), -(-filters // self.filters)
        least = -(-EACH * self.device.compute_units // max(1, images * groups))  # of work items
        rounds = self.device.rounds // (taps + 2 * self.positions)
        # Blocks that read the same cells; and columns, while those blocks are little work.
        down = max(1, min(blocks, DOWN, blocks * columns // least, rounds))
        down = -(-blocks // -(-blocks // down))
        products = max(1, taps) * self.filters * self.positions * down
        across = min(ITEM // products, columns * -(-blocks // down) // least, rounds // down - 1)
        across = max(1, across)
        vector = self.positions * self._item
        chunk = min(taps, CHUNK // vector)
        local = (chunk + self.filters * down * (chunk < taps)) * vector
        copied = down >= COPIED and columns > 1 and local <= self.device.local_memory
        queue.launch(
            self.copying if copied else self.kernel,
            (-(-columns // across), -(-blocks // down), images * groups),
            (1, 1, 1),
            *operands,
            *(long8(step) for step in strides),
            long8([positions, taps, filters, groups, across, down, chunk if copied else taps]),
            *geometry,
            *epilogue,
            local_memory(local if copied else vector),
        )

    def _tiles(self, queue, operands, strides, size, geometry, images, epilogue, part):
        positions, taps, filters, groups = size
        taps_of_part, step = part or (max(1, -(-taps // self.chunk)) * self.chunk, 0)
        blocks, parts = -(-filters // self.filters), max(1, -(-taps // taps_of_part))
        xs, ys = strides
        most = max(1, REACH // max(1, abs(xs[0]), positions) - 1)
        for first in range(0, images, most):
            count = min(most, images - first)
            columns = -(-count * positions // self.positions)
            queue.launch(
                self.kernel,
                (columns * self.group, blocks, groups * parts),
                (self.group, 1, 1),
                *operands,
                long8([*xs[:2], xs[2] + first * xs[0], *xs[3:]]),
                long8([*ys[:5], ys[5] + first * ys[0]]),
                long8([positions, taps, filters, groups, 0, count, taps_of_part, step]),
                *geometry,
                *epilogue,
            )


class Algorithm(base.Algorithm):
    """Shifts of whole planes; see the module."""

    name = "implicit_gemm"
    tunables = (TUNABLES,)
    split = None  # taps of a part of the sum, where a whole decides for its parts
    matrices = None  # whether they multiply, likewise

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
        return problem.channels * prod(cells) * problem.sum_dtype.itemsize

    @classmethod
    def cost(cls, problem, threads, allowed=4.0):
        """Seconds: register tiles over all positions, and the copy."""
        filters = problem.filters // problem.groups
        least = 6 if cls.device.cpu else 32
        full = -(-filters // least) * least / max(1, filters)
        wide = problem.output_spatial[-1]
        border = (problem.receptive_field[-1] - 1 + wide) / max(1, wide)
        copied = 3 * cls._bytes(problem) * problem.batch
        moved = problem.bytes + copied
        return cls.seconds(problem, problem.flops * full * border, 0.75, moved, 2)

    def layout(self):
        """Lay out the planes; no work on the device."""
        p = self.problem
        size = p.filters // p.groups, prod(p.output_spatial)
        if self.matrices is None:
            cells, work = self.cells(p), (size[0], taps_of(p), self.allowed)
            self.matrices = tensor.matrices(self.device, cells, *work)
        self.tile = self._tile(size, p.batch)
        self.least = sides(self.device, self.wide, dict(self.tile))[1] if self.device.cpu else 1
        self.staged = Staged(p, p.stride, p.dilation, self.least)
        self.taps_of_part = self.split or self._taps_of_part(size)
        self.parts = max(1, -(-taps_of(p) // self.taps_of_part))
        self.planes = p.channels * self.staged.plane  # elements of an image's copy
        partial = p.filters * size[1] * self.parts if self.parts > 1 else 0
        self.workspace_per_image = (self.planes + partial) * self.item

    def _tile(self, size, images=1):
        """The tile for so many images of such a size."""
        p, choice = self.problem, self.choice
        if "TILE_T" in choice and not tensor.copies(self.device, self.cells(p)):
            choice = {**choice, "TILE_T": SHORT}
        how = self.device, self.wide, choice
        return tile_for(*how, size, p.groups, taps_of(p), images, self.matrices)

    def _taps_of_part(self, size):
        """Taps of one part of the sum: its order depends on one image and on the device."""
        p, taps, device = self.problem, taps_of(self.problem), self.device
        filters, positions = size
        tile = dict(self._tile(size))
        side_k, side_p = sides(device, self.wide, tile)
        tiles = p.groups * -(-filters // side_k) * -(-positions // side_p)
        chunk = tile.get("TILE_T", 1)
        return max(1, -(-taps // parts_of(device, tiles, taps) // chunk) * chunk)

    def part(self, problem, limit):
        """With the whole's parts of the sum: the same bits."""
        kind = type(self)
        whole = {"split": self.taps_of_part, "matrices": self.matrices, "__doc__": kind.__doc__}
        return type(kind.__name__, (kind,), whole)(problem, limit, None, self.allowed)

    def packed_bytes(self):
        """The panels, filled up to whole tiles."""
        p = self.problem
        filters = p.groups * filled(self.device, self.wide, self.tile, p.filters // p.groups)
        choice = dict(self.tile)
        chunk, side = choice.get("TILE_T", 1), sides(self.device, self.wide, choice)[0]
        taps = -(-taps_of(p) // chunk) * chunk
        return [(filters * taps + chunk * side) * self.item]

    def offsets(self, step):
        """Offsets of all taps of one group whose channels are `step` elements apart."""
        depth = self.problem.channels // self.problem.groups
        return np.add.outer(step * np.arange(depth), self.staged.shifts)

    def pack(self, w):
        """Panels of weights, and the taps' offsets."""
        p, device = self.problem, w.device
        tiles = tiles_of(device, self.cells(), self.tile)
        panels = tiles.pack(w.reshape(p.groups, p.filters // p.groups, taps_of(p)))
        device.constant(self.staged.table)  # sent now rather than by the first call
        return panels, self.table(device, self.staged.plane)

    def run(self, x, packed, y, bias, clamp, add=None):
        """y = clamp(x correlated with the packed weights + bias + add)."""
        panels, offsets = packed
        p, s, device = self.problem, self.staged, x.device
        step = x.strides[1]
        lies = s.lies_so(x) and 0 <= step < 2**31 // max(1, p.channels) and not s.tail
        depth = p.channels // p.groups
        if lies:
            table = offsets if step == s.plane else self.table(device, step)
            if self.parts == 1:
                where = x, [x.strides[0], step * depth, x.offset, x.zero], step
                self.multiply(*where, panels, table, y, bias, clamp, add)
                return
        for xs, ys in self.passes(x, y):
            with device.scratch(len(xs) * self.workspace_per_image) as buffer:
                planes = arrays.ghost((len(xs) * self.planes,), p.sum_dtype)
                planes = arrays.View(device, buffer, planes)
                if lies:
                    where = xs, [xs.strides[0], step * depth, xs.offset, xs.zero], step
                else:
                    s.fill(device, self.macros(xs), xs, buffer)
                    table, where = offsets, (planes, [self.planes, depth * s.plane, 0, 0], s.plane)
                if self.parts == 1:
                    self.multiply(*where, panels, table, ys, bias, clamp, add)
                else:
                    self._in_parts(where, panels, table, ys, bias, clamp, add, planes)

    def _in_parts(self, where, panels, table, y, bias, clamp, add, planes):
        """Enqueue the parts of the sums, laid behind the planes, and what adds them."""
        device = y.device
        partial = planes.after((self.parts, *y.shape))
        part = self.taps_of_part, y.size
        variant = self.multiply(*where, panels, table, partial[0], None, None, None, part)
        outputs, group = prod(y.shape[2:]), device.group(GROUP)
        device.launch(
            tiles_of(device, self.cells(where[0], y, clamp), self.tile, *variant).adder,
            (-(-outputs // group) * group, prod(y.shape[:2])),
            (group, 1),
            planes.buffer,
            y.buffer,
            base.volume(y),
            long8([outputs, y.shape[1], self.parts, y.size, partial.offset]),
            long8(three(y.shape[2:], 1)),
            *self.epilogue(bias, clamp, add),
        )

    def multiply(self, x, strides, step, panels, offsets, y, bias, clamp, add, part=None):
        """Enqueue the sums over planes in x's buffer, `step` elements from one to the next.

        Returns the variant of the tiles that compute them.
        """
        p, s = self.problem, self.staged
        depth, rows, columns = s.outputs
        pitch = (s.sizes[1] * s.sizes[2], s.sizes[2])
        in_a_row = y.strides[-1] == 1 and (rows * depth == 1 or self._in_a_row(y))
        if in_a_row:
            columns, rows, depth = s.positions, 1, 1  # nothing is thrown away: one long row
            pitch = (s.positions, s.positions)
        n, k, *_ = y.strides
        ys = [n, k, *three(y.strides[2:], 0), y.offset]
        taps, variant, cells = taps_of(p), [], self.cells(x, y, clamp)
        if not self.device.cpu:
            fours = (s.positions, step, *strides[:3], n, k, y.offset, y.size if part else 0)
            fours += () if add is None else (add.away,)
            shifts = prod(p.kernel) == 1  # else taps are shifted by any number of cells
            if in_a_row and shifts and not any(number % 4 for number in fours):
                variant.append("ALIGNED")
            ragged = taps % dict(self.tile)["TILE_T"] > 0
            variant += tensor.variant(self.device, cells, self.matrices, ragged)
        # Of the arrays' device, which may be another than the plan's.
        tiles_of(y.device, cells, self.tile, *variant).run(
            y.device,
            (x.buffer, panels.buffer, offsets, y.buffer),
            (strides, ys),
            (s.positions, taps, p.filters // p.groups, p.groups),
            (long8([depth, rows, columns]), long8(pitch)),
            len(y),
            self.epilogue(bias, clamp, add),
            part,
        )
        return variant

    def _in_a_row(self, y):
        """Whether positions are outputs, all of them, as they lie in y."""
        s = self.staged
        if s.sizes[1:] != s.outputs[1:]:
            return False
        steps = base.three(y.strides[2:], 0)
        return (s.outputs[1] == 1 or steps[1] == s.outputs[2]) and (
            s.outputs[0] == 1 or steps[0] == s.outputs[1] * s.outputs[2]
        )
