r"""Direct: the defining sum over the image where it lies.

.. math:: y[k, p, q] = \sum_{c, r, s} w[k, c, r, s] \,
   x[c, p s_h + r d_h - p_h, q s_w + s d_w - p_w]

No scratch, any strides: for few filters to a group, where a copy of the image would not pay.
"""

from math import prod

from cyconv.opencl import base
from cyconv.opencl.base import taps_of, three, volume
from cyconv.opencl.device import long8
from cyconv.opencl.tunables import Tunables


def _values(device, wide):
    if device.cpu:
        return {"VECTORS": (4, 2, 1), "LANES": (base.lanes(device, wide),)}
    return {"VECTORS": (4, 2, 1), "LANES": (1,)}  # outputs to a work item, a group apart


TUNABLES = Tunables("direct", _values)
GROUP = 64  # work items of a GPU: neighbouring outputs of a plane


class Algorithm(base.Algorithm):
    """The defining sum; see the module."""

    name = "direct"
    tunables = (TUNABLES,)

    @classmethod
    def cost(cls, problem, threads, allowed=4.0):
        """Seconds: a load for every product; cell by cell where the stride is not 1."""
        columns = max(1, problem.output_spatial[-1])
        lanes = base.lanes(cls.device, problem.sum_dtype.itemsize == 8)
        used = columns / (-(-columns // lanes) * lanes)
        share = 0.15 * used if problem.stride[-1] == 1 else 0.01
        if not cls.device.cpu:
            share = 0.03  # of asv_bench/gpu_static.py: a load and a bound for every product
        return cls.seconds(problem, problem.flops, share, problem.bytes)

    @classmethod
    def rounds(cls, problem):
        """A row is copied for each row of taps; cell by cell, every output is a loop."""
        columns = min(32, problem.output_spatial[-1]) if problem.stride[-1] > 1 else 1
        copied = 96 * taps_of(problem) // problem.kernel[-1]
        return taps_of(problem) * columns + (copied if columns == 1 else 0)

    def layout(self):
        """Vectors to a work item, so that rows fill most of them."""
        outputs = self.problem.output_spatial
        columns = outputs[-1] if self.device.cpu else prod(outputs) // GROUP
        self.lanes, most = self.choice["LANES"], self.choice["VECTORS"]
        self.vectors = next((v for v in (4, 2) if v <= most and columns >= v * self.lanes), 1)

    def pack(self, w):
        """The weights as they are, contiguous."""
        return w.astype(self.problem.sum_dtype)

    def run(self, x, w, y, bias, clamp, add=None):
        """y = clamp(x correlated with w + bias + add)."""
        p = self.problem
        tile = {"LANES": self.lanes, "VECTORS": self.vectors}
        kernel = x.device.kernel("direct", "direct", **self.macros(x, y, clamp, **tile))
        d, h, width = three(p.output_spatial, 1)
        groups, across = p.groups, 1 if self.device.cpu else self.device.group(GROUP)
        row, rows = (width, d * h) if self.device.cpu else (d * h * width, 1)
        columns = -(-row // (self.vectors * self.lanes * across)) * across
        size, group = (columns, rows, prod(y.shape[:2])), (across, 1, 1)
        x.device.launch(
            kernel,
            size,
            group,
            x.buffer,
            w.buffer,
            y.buffer,
            volume(x),
            volume(y),
            long8([*three(p.spatial, 1), p.channels // groups, groups]),
            long8([d, h, width, p.filters // groups, groups]),
            long8(three(p.kernel, 1)),
            long8(three(p.stride, 1)),
            long8(three(p.dilation, 1)),
            long8(three((lo for lo, _ in p.padding), 0)),
            *self.epilogue(bias, clamp, add),
        )
