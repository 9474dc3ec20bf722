r"""Winograd: F(2, 3) and F(4, 3), transformed tiles multiplied point by point.

.. math:: y = A^T \left[ \sum_c (G w_c G^T) \odot (B^T x_c B) \right] A

for tiles of m x m outputs. Three kernels for some tiles of all images at a time: the input's
transform, one product for each of the (m + 2)^2 points by implicit GEMM's kernel, and the output's
transform, which sums an output that is not finite as it is defined.
"""

from math import prod

import numpy as np

from cyconv.algorithms.winograd import ERROR
from cyconv.algorithms.winograd_matrices import VARIANTS as ALL
from cyconv.opencl import arrays, base, tensor
from cyconv.opencl.base import volume
from cyconv.opencl.device import long8
from cyconv.opencl.implicit_gemm import TUNABLES as TILES
from cyconv.opencl.implicit_gemm import filled, no_tile, sides, tile_for, tiles_of
from cyconv.opencl.tunables import Tunables
from cyconv.planning import cost

WORKSPACE = 4 << 20  # bytes of transformed tiles that stay in a last-level cache
# The unit of both is the time to read as many bytes from memory; measured as base.py's constants.
TRANSFORM = 0.8  # the time to transform the points of a tile
STREAMED = 0.35  # the time to read the transformed weights in their order
GROUP = 64  # tiles that one group of a GPU's work items transforms
FEWEST = 256  # tiles: with fewer the transformed weights are not worth reading


def _values(device, wide):
    if device.cpu:
        lanes = base.lanes(device, wide)
        return {"LANES": (lanes, lanes // 2)}
    return {"LANES": (1,)}  # (M + 2)^2 of them are a work item's registers


TUNABLES = Tunables("winograd", _values)


class Algorithm(base.Algorithm):
    """Fewer multiplications for 3 x 3 kernels; see the module."""

    name = "winograd"
    VARIANTS = ALL[:2]  # F(2 x 2, 3 x 3), F(4 x 4, 3 x 3)
    tunables = (TUNABLES, TILES)
    matrices = None  # whether they multiply, where a whole decides for its parts

    @classmethod
    def supports(cls, problem):
        """3 x 3 kernels of stride and dilation 1."""
        reason = super().supports(problem)
        if reason is not None:
            return reason
        if problem.sum_dtype.kind != "f":
            return f"winograd needs a float dtype on an OpenCL device, got {problem.dtype}"
        if problem.kernel != (3, 3):
            size = " x ".join(map(str, problem.kernel))
            return f"winograd needs a 3 x 3 kernel on an OpenCL device, got {size}"
        for name in ("stride", "dilation"):
            if set(getattr(problem, name)) != {1}:
                return f"winograd does not support {name} {getattr(problem, name)}"
        return no_tile(cls.device, problem)

    @classmethod
    def variant(cls, problem, allowed):
        """The fastest F(m, 3) within the error that is allowed.

        For one image: it decides the bits, which may not depend on the batch.
        """
        one = cost.one_image(problem)
        fitting = [v for v in cls.VARIANTS if ERROR[v] <= allowed]
        return min(fitting or cls.VARIANTS[:1], key=lambda v: cls._cost(one, v[0][0]))

    @classmethod
    def cost(cls, problem, threads, allowed=4.0):
        """Seconds: the products at all points, the transforms, the weights once."""
        return cls._cost(problem, cls.variant(problem, allowed)[0][0])

    @classmethod
    def error_bound(cls, problem, allowed=4.0):
        """Error relative to direct summation's: the variant's."""
        return ERROR[cls.variant(problem, allowed)]

    @classmethod
    def _cost(cls, problem, m):
        p, points, unit = problem, (m + 2) ** 2, 16 if cls.device.cpu else 64
        tiles = p.batch * prod(-(-n // m) for n in p.output_spatial)
        padded = -(-tiles // unit) * unit
        filters = -(-p.filters // p.groups // 6) * 6 * p.groups
        flops = 2 * points * padded * filters * p.channels // p.groups
        item = p.sum_dtype.itemsize
        planes = (p.channels + p.filters) * padded * points * item
        weights = points * p.parameters // 9 * item
        return cls.seconds(p, flops, 0.75, p.bytes + planes * TRANSFORM + weights * STREAMED, 3)

    def layout(self):
        """Tiles of one pass."""
        p = self.problem
        self.chosen = self.variant(p, self.allowed)
        self.m = self.align = self.chosen[0][0]
        self.points = (self.m + 2) ** 2
        self.down, self.across = (-(-n // self.m) for n in p.output_spatial)
        size, depth = (p.filters // p.groups, self.down * self.across), p.channels // p.groups
        how = self.device, self.wide
        if self.matrices is None:
            self.matrices = tensor.matrices(self.device, self.cells(), size[0], depth, self.allowed)
        groups = self.points * p.groups
        self.tile = tile_for(*how, self.choice, size, groups, 0, matrices=self.matrices)
        # Whole vectors and groups of the transforms, and no less than a CPU's tile.
        wide = self.wide
        self.unit = sides(self.device, wide, dict(self.tile))[1] if self.device.cpu else GROUP
        self.tiles = p.batch * self.down * self.across
        tile = self.points * (p.channels + p.filters) * self.item
        most = max(FEWEST if self.device.cpu else 2**14, WORKSPACE // max(1, tile))
        most = min(most, max(self.unit, self.workspace_limit // max(1, tile)))
        most = min(most, 2**31 // max(1, p.channels // p.groups) - 1)  # of 32-bit offsets
        whole = -(-self.tiles // self.unit) * self.unit
        self.room = max(self.unit, min(most // self.unit * self.unit, whole))
        self.workspace_per_image = self.room * tile  # of a pass, whatever the images

    def part(self, problem, limit):
        """With the variant of the whole: the same bits."""
        kind = type(self)
        whole = {"VARIANTS": (self.chosen,), "matrices": self.matrices, "__doc__": kind.__doc__}
        return type(kind.__name__, (kind,), whole)(problem, limit, None, self.allowed)

    def packed_bytes(self):
        """The weights, transformed ones and their panels."""
        p = self.problem
        filters = p.groups * filled(self.device, self.wide, self.tile, p.filters // p.groups)
        depth, item, choice = p.channels // p.groups, self.item, dict(self.tile)
        chunk, side = choice.get("TILE_T", 1), sides(self.device, self.wide, choice)[0]
        panels = self.points * filters * -(-depth // chunk) * chunk + chunk * side
        return [item * n for n in (p.parameters, self.points * p.filters * depth, panels)]

    def images(self):
        """The workspace is one pass's."""
        return 1

    def _kernel(self, device, name, *types, aligned=False):
        lanes, variant = self.choice["LANES"], {"ALIGNED": 1} if aligned else {}
        macros = self.macros(*types, LANES=lanes, M=self.m, **variant)
        return device.kernel("winograd", name, **macros), lanes

    def _fours(self, view, *others):
        """Whether a GPU's rows of `view` are whole fours of floats at multiples of 16 bytes."""
        numbers = (view.shape[-1], *view.strides[:-1], view.offset, *others)
        fours = view.strides[-1] == 1 and not any(number % 4 for number in numbers)
        plain = {view.dtype, self.problem.sum_dtype} == {np.dtype(np.float32)}
        return fours and plain and self.m == 4 and not self.device.cpu

    def pack(self, w):
        """Panels of transformed weights, and the weights for repairs."""
        p = self.problem
        w = w.astype(p.sum_dtype)
        kernel, lanes = self._kernel(w.device, "transform_weights")
        count = p.parameters // 9
        shape = (self.points * p.groups, p.filters // p.groups, p.channels // p.groups)
        points = arrays.empty_like(w, shape=shape)
        group = 1 if self.device.cpu else self.device.group(GROUP)
        size = -(-count // (lanes * group)) * group
        w.device.launch(kernel, (size,), (group,), w.buffer, points.buffer, np.int64(count))
        panels = tiles_of(w.device, self.cells(), self.tile).pack(points)
        self.table(w.device, self.room)  # sent now rather than by the first call
        return panels, w

    def offsets(self, step):
        """Where the channels' tiles begin: by this batch's room, so no part of the weights."""
        return step * np.arange(self.problem.channels // self.problem.groups)

    def run(self, x, packed, y, bias, clamp, add=None):
        """y = clamp(x correlated with the weights + bias + add)."""
        with x.device.scratch(self.workspace_per_image) as buffer:
            v = arrays.View(
                x.device, buffer, arrays.ghost(self._shape(x.shape[1]), self.problem.sum_dtype)
            )
            products = v.after(self._shape(y.shape[1]))
            for first in range(0, self.tiles, self.room):
                self._pass(x, packed, y, bias, clamp, add, v, products, first)

    def _shape(self, planes):
        return (self.points, planes, self.room)

    def _pass(self, x, packed, y, bias, clamp, add, v, products, first):
        """The tiles from `first` on, as many as there is room for."""
        panels, w = packed
        p, device = self.problem, x.device
        count = min(self.room, self.tiles - first)
        columns = -(-count // self.unit) * self.unit
        tiles = long8([self.down, self.across, first, count, self.room])
        edge = [lo for lo, _ in p.padding]
        depth, filters = p.channels // p.groups, p.filters // p.groups
        inputs = long8([*p.spatial, *edge, depth])
        types = x, y, clamp
        aligned = edge[1] == 1 and self._fours(x)
        kernel, lanes = self._kernel(device, "transform_input", *types, aligned=aligned)
        group = (1 if self.device.cpu else max(1, device.group(GROUP) // lanes), 1)
        device.launch(
            kernel,
            (columns // lanes, p.channels),
            group,
            x.buffer,
            v.buffer,
            volume(x),
            inputs,
            tiles,
        )
        variant = []
        if not self.device.cpu:  # rooms and columns are multiples of GROUP
            ragged = depth % dict(self.tile)["TILE_T"] > 0
            variant = ["ALIGNED", *tensor.variant(device, self.cells(), self.matrices, ragged)]
        tiles_of(device, self.cells(), self.tile, *variant).run(
            device,
            (v.buffer, panels.buffer, self.table(device, self.room), products.buffer),
            ([0, depth * self.room, 0], [0, self.room, 0, 0, 1, products.offset]),
            (columns, depth, filters, self.points * p.groups),
            (long8([1, 1, columns]), long8([columns, columns])),
            1,
            self.epilogue(None, None, None),
        )
        aligned = self._fours(y, *(() if add is None else (add.away,)))
        kernel, lanes = self._kernel(device, "transform_output", *types, aligned=aligned)
        m = products.buffer
        device.launch(
            kernel,
            (columns // lanes, p.filters),
            group,
            m,
            y.buffer,
            volume(y),
            long8([*p.output_spatial, filters]),
            tiles,
            x.buffer,
            w.buffer,
            volume(x),
            inputs,
            np.int64(products.offset),
            *self.epilogue(bias, clamp, add),
        )
