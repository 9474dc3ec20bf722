r"""Batch GEMM: few outputs of long sums, as gradients of weights are.

.. math:: y[n, k, r] = \sum_c \sum_i w[k, c, i] \, s[n, c, i + \mathrm{offset}(r)]

The planes are laid out (:mod:`cyconv.opencl.staging`) with taps and outputs exchanged: taps lie in
a row, outputs are shifts. Sums are cut into chunks by the problem alone, and the chunks added in a
fixed order: no atomics, the same bits on every run.
"""

from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cyconv.opencl import arrays, base
from cyconv.opencl.base import three, volume
from cyconv.opencl.device import long8
from cyconv.opencl.staging import TAIL, Staged
from cyconv.opencl.tunables import Tunables

TUNABLES = Tunables(
    "batch_gemm",
    lambda device, wide: {"ROWS": (4, 6, 2), "COLUMNS": (3, 2, 4)},
    lambda device, wide, choice: choice["ROWS"] * choice["COLUMNS"] <= 16,
)
GROUP = 32  # work items of a GPU: neighbouring columns, which read the same weights
SEGMENT = 4096  # elements of a plane that a tile's rows hold in a first-level cache
PARTIAL = 4 << 20  # elements of all chunks' sums
CHUNKS = 64
OUTPUTS = 2**15  # a table of their shifts is sent


class Algorithm(base.Algorithm):
    """Products along planes; see the module."""

    name = "batch_gemm"
    tunables = (TUNABLES,)

    @classmethod
    def supports(cls, problem):
        """Float problems whose planes 32-bit offsets reach."""
        reason = super().supports(problem)
        if reason is None and cls._plane(problem) >= 2**31:
            reason = "batch_gemm needs planes of fewer than 2**31 elements with their borders"
        if reason is None and prod(problem.output_spatial) > OUTPUTS:
            reason = f"batch_gemm is for at most {OUTPUTS} outputs of one filter"
        return reason

    @classmethod
    def _plane(cls, problem):
        """Elements of one plane with its border, no fewer."""
        return Staged(problem, problem.dilation, problem.stride, swapped=True).plane + TAIL

    @classmethod
    def _cells(cls, problem):
        """About how many cells the copy of x costs."""
        spans = (
            kernel * dilation + stride * out + 2 * dilation
            for out, stride, dilation, kernel in zip(
                problem.output_spatial,
                problem.stride,
                problem.dilation,
                problem.kernel,
                strict=True,
            )
        )
        return problem.batch * problem.channels * prod(spans)

    @classmethod
    def cost(cls, problem, threads, allowed=4.0):
        """Seconds: the products along planes, and the copy of x."""
        wide = problem.kernel[-1]
        row = wide + (problem.output_spatial[-1] - 1) * problem.stride[-1] // problem.dilation[-1]
        moved = problem.bytes + 3 * problem.sum_dtype.itemsize * cls._cells(problem)
        columns = problem.batch * prod(problem.output_spatial)
        tile = TUNABLES.candidates(cls.device, False)[0]["COLUMNS"]  # not what a file says
        tiles = -(-columns // tile) * tile / max(1, columns)
        return cls.seconds(problem, problem.flops * row / wide * tiles, 0.25, moved, 5)

    def layout(self):
        """Segments and chunks: functions of the problem."""
        p = self.problem
        self.group = 1 if self.device.cpu else self.device.group(GROUP)
        lanes = self.lanes = base.lanes(self.device, self.wide) if self.device.cpu else 4
        # One image's, so that a sample alone has the bits it has in a batch.
        taps = Staged(p, p.dilation, p.stride, 1, swapped=True).positions
        self.row = -(-taps // lanes) * lanes
        self.staged = Staged(p, p.dilation, p.stride, self.row, swapped=True)
        self.columns = prod(p.output_spatial)
        self.per_plane = max(1, -(-self.row // SEGMENT))
        self.segments = p.channels // p.groups * self.per_plane
        sums = max(1, p.filters * self.columns)
        chunks = max(1, min(CHUNKS, self.segments, PARTIAL // sums))
        self.chunk = max(1, -(-self.segments // chunks))
        self.chunks = -(-self.segments // self.chunk)
        cells = p.channels * self.staged.plane + self.chunks * sums
        self.workspace_per_image = cells * self.item

    def packed_bytes(self):
        """The rows, and the weights."""
        p = self.problem
        rows = p.filters * (p.channels // p.groups) * self.row
        return [n * self.item for n in (rows, p.parameters)]

    def pack(self, w):
        """The weights in rows as the planes have them, and themselves for repairs."""
        p, s = self.problem, self.staged
        depth = p.channels // p.groups
        laid = arrays.empty_like(w, p.sum_dtype, (p.filters, depth, self.row))
        arrays.fill(laid, 0)
        _, rows, columns = s.sizes
        steps = [depth * self.row, self.row, rows * columns, columns, 1][-p.rank :]
        steps = [depth * self.row, self.row, *steps]
        cells = as_strided(laid.ghost, w.shape, [n * self.item for n in steps])
        laid._like(cells)[...] = w
        for table in (s.table, self._table(s.plane)):
            w.device.constant(table)  # sent now rather than by the first call
        return laid, w.astype(p.sum_dtype)

    def run(self, x, packed, y, bias, clamp, add=None):
        """y = clamp(x correlated with the weights + bias + add), some images at a time."""
        for xs, ys in self.passes(x, y):
            with x.device.scratch(len(xs) * self.workspace_per_image) as buffer:
                self._pass(xs, packed, ys, bias, clamp, add, buffer)

    def _whole(self, size):
        """So many work items that groups are whole."""
        return -(-size // self.group) * self.group

    def _pass(self, x, packed, y, bias, clamp, add, buffer):
        p, s, device = self.problem, self.staged, x.device
        laid, w = packed
        images, depth, filters = len(x), p.channels // p.groups, p.filters // p.groups
        s.fill(device, self.macros(x), x, buffer)
        cells = arrays.ghost((images * p.channels * s.plane,), p.sum_dtype)
        partial = arrays.View(device, buffer, cells).after((self.chunks, p.filters, images, 1))
        offsets = self.table(device, s.plane)
        columns = images * self.columns
        kernel = self._kernel(device, "sum_chunks", x, y, clamp)
        across = self._whole(-(-columns // self.choice["COLUMNS"]))
        blocks = p.groups * -(-filters // self.choice["ROWS"])
        device.launch(
            kernel,
            (across, blocks, self.chunks),
            (self.group, 1, 1),
            buffer,
            laid.buffer,
            offsets,
            buffer,
            long8(
                [
                    filters,
                    columns,
                    self.segments,
                    self.per_plane,
                    SEGMENT,
                    self.row,
                    self.chunk,
                    depth * self.row,
                ]
            ),
            long8([s.plane, depth * s.plane, p.channels * s.plane, self.columns]),
            np.int64(partial.offset),
        )
        kernel = self._kernel(device, "add_chunks", x, y, clamp)
        sizes = three(p.output_spatial, 1)
        device.launch(
            kernel,
            (self._whole(columns), p.filters),
            (self.group, 1),
            buffer,
            y.buffer,
            x.buffer,
            w.buffer,
            volume(x),
            volume(w),
            volume(y),
            long8([*three(p.spatial, 1), depth]),
            long8([*sizes, p.filters, filters, self.chunks, images]),
            long8(three(p.kernel, 1)),
            long8(three(p.stride, 1)),
            long8(three(p.dilation, 1)),
            long8(three((lo for lo, _ in p.padding), 0)),
            np.int64(partial.offset),
            *self.epilogue(bias, clamp, add),
        )

    def _kernel(self, device, name, *types):
        macros = self.macros(*types, LANES=self.lanes, **self.choice)
        return device.kernel("batch_gemm", name, **macros)

    def offsets(self, _):
        """Where the outputs' planes begin."""
        return self.staged.shifts
