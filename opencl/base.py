"""What every algorithm of a device is: the CPU's interface, on views of device memory.

An algorithm solves *primitive* problems, what :mod:`cyconv.lowering` leaves over. The registry
binds its class to a device. ``supports``, ``cost`` and ``error_bound`` are as in
:mod:`cyconv.algorithms.base`; ``pack(w)`` and ``run(x, packed, y, bias, clamp, add)`` take views
and only enqueue work. The cells of x and y may be of any type (:mod:`cyconv.opencl.cells`), packed
weights, bias and add are of the sums'; `clamp` may be a `Requantised`.
"""

from functools import lru_cache
from math import prod

import numpy as np

from cyconv.opencl.cells import Cells, Requantised, bounds
from cyconv.opencl.device import long8
from cyconv.planning import cost

RANK = 3  # spatial axes of the kernels
AHEAD = 64  # offsets that a kernel may read beyond the last

# Measured on PoCL 3.0 on two cores of an AMD Zen 3 in November 2026: asv run --bench opencl.
# A device's rates are these times its compute units.
PEAK = {"CPU": 75e9, "GPU": 200e9}  # FLOP/s of one compute unit in register tiles
BANDWIDTH = {"CPU": 8e9, "GPU": 400e9}  # bytes/s of the whole device
LAUNCH = 1e-5  # seconds to start one kernel


class Algorithm:
    """One algorithm for one problem on one device: see the module."""

    device = None  # the registry's
    align = 1  # outputs that are computed together, along each axis
    tunables = ()  # the tables of the kernels that it runs, its own first
    all_or_nothing = False
    least = None
    tile = None  # that panels of weights are packed for
    workspace_per_image = 0

    def __init__(self, problem, workspace_limit=cost.WORKSPACE_LIMIT, _=None, allowed=4.0):
        self.problem, self.workspace_limit, self.allowed = problem, workspace_limit, allowed
        self._table = lru_cache(maxsize=8)(self._built)  # steps are few
        self.choice = {}
        for table in self.tunables:
            self.choice |= table.chosen(self.device, self.wide)
        self.layout()
        if self.workspace_per_image > workspace_limit:
            raise MemoryError(
                f"{problem.operation}: needs {self.workspace_per_image} bytes of workspace, "
                f"limit {workspace_limit}"
            )

    @classmethod
    def supports(cls, problem):
        """None, or why this device's kernels cannot solve the problem."""
        dtypes = problem.dtype, problem.sum_dtype, problem.out_dtype
        if np.float64 in dtypes and not cls.device.float64:
            return f"{cls.device.name} has no float64 (cl_khr_fp64)"
        if problem.rank > RANK:
            return f"OpenCL kernels take 1 to {RANK} spatial axes, got {problem.rank}"
        most = cls.device.rounds
        if cls.rounds(problem) > most:
            return f"llvmpipe leaves a kernel's loops after {most} rounds, which this one exceeds"
        return None

    @classmethod
    def rounds(cls, problem):
        """About how often a work item goes through its loops."""
        return taps_of(problem)

    @classmethod
    def kind(cls):
        """The row of the constants above."""
        return "CPU" if cls.device.cpu else "GPU"

    @classmethod
    def seconds(cls, problem, flops, share, moved, launches=1):
        """Time of `flops` at this share of the peak and of `moved` bytes, one after the other."""
        kind = cls.kind()
        peak = PEAK[kind] * cls.device.compute_units * 4 / problem.sum_dtype.itemsize
        return launches * LAUNCH + flops / (peak * share) + moved / BANDWIDTH[kind]

    @classmethod
    def error_bound(cls, problem, allowed=4.0):
        """Error relative to direct summation's."""
        return 1.0

    def layout(self):
        """Choose the blocking, and set ``workspace_per_image``."""

    def part(self, problem, limit):
        """The same algorithm for a part of its problem, with less scratch."""
        return type(self)(problem, limit, None, self.allowed)

    def one(self):
        """What packed weights depend on: the problem of one image."""
        return cost.one_image(self.problem)

    def packed_bytes(self):
        """Bytes of the buffers of packed weights."""
        return [self.item * self.problem.parameters]

    def buffers(self, residual=False):
        """Bytes of every buffer of a call: operands, result, packed weights, scratch."""
        p = self.problem
        sizes = [p.dtype.itemsize * prod(shape) for shape in (p.x_shape, p.w_shape)]
        sizes += [
            item * prod(p.y_shape) for item in (p.out_dtype.itemsize, self.item)[: 1 + residual]
        ]
        return [*sizes, *self.packed_bytes(), self.workspace(1)]

    def images(self):
        """Images that the workspace limit lets one pass take."""
        if not self.workspace_per_image:
            return self.problem.batch
        return max(1, min(self.problem.batch, self.workspace_limit // self.workspace_per_image))

    def workspace(self, threads):
        """Bytes of scratch in device memory, whatever the threads."""
        return self.images() * self.workspace_per_image

    def passes(self, x, y):
        """x and y some images at a time, so that the scratch is within the limit."""
        step = self.images()
        for first in range(0, self.problem.batch, step):
            yield x[first : first + step], y[first : first + step]

    def offsets(self, step):
        """Elements that the kernels' offsets add, for planes or tiles `step` elements apart."""
        raise NotImplementedError

    def table(self, device, step):
        """The offsets in device memory: built once for a step, sent once."""
        return device.constant(self._table(step))

    def _built(self, step):
        """The offsets, and zeros for what reads ahead of its sum."""
        offsets = np.asarray(self.offsets(step), np.int32).reshape(-1)
        return np.pad(offsets, (0, AHEAD)).tobytes()

    @property
    def wide(self):
        """Whether sums have 64 bits."""
        return self.item == 8

    @property
    def item(self):
        """Bytes of a sum, and of a packed weight and a cell of an image's copy."""
        return self.problem.sum_dtype.itemsize

    def tuned(self):
        """The tunables that are not the defaults: ``{macro: value}``."""
        defaults = {}
        for table in self.tunables:
            defaults |= table.candidates(self.device, self.wide)[0]
        return {macro: n for macro, n in self.choice.items() if n != defaults[macro]}

    def cells(self, x=None, y=None, clamp=None):
        """The types of a kernel that reads view x and writes y; None if they are the sums'."""
        sums = self.problem.sum_dtype
        x, y = (None if a is None or a.dtype == sums else a.dtype for a in (x, y))
        return Cells(sums, x, y, isinstance(clamp, Requantised))

    def macros(self, x=None, y=None, clamp=None, **more):
        """Macros of a kernel that reads view x, writes y, and leaves sums by `clamp`."""
        return {**macros(self.device, self.cells(x, y, clamp)), **more}

    def epilogue(self, bias, clamp, add):
        """The kernels' last arguments: EPILOGUE of cells.cl."""
        bias = None if bias is None else bias.buffer
        residual = (None, np.int64(0)) if add is None else (add.array.buffer, np.int64(add.away))
        if not isinstance(clamp, Requantised):
            return bias, *residual, *bounds(clamp, self.problem.sum_dtype)
        info = np.iinfo(clamp.dtype)
        ends = map(np.float32, (info.min, info.max))
        return bias, *residual, *ends, clamp.factor.buffer, np.float32(clamp.zero)


def three(values, missing):
    """One value for each of three axes; the first are `missing`."""
    values = [*values]
    return [missing] * (RANK - len(values)) + values


def volume(view):
    """Strides (n, c, d, h, w) and offset of a view, and what stands for 0, as one argument."""
    n, c, *spatial = view.strides
    return long8([n, c, *three(spatial, 0), view.offset, view.zero])


def macros(device, cells):
    """Macros of every kernel on `device`, of these types."""
    return {**cells.macros(), **({"CPU": 1} if device.cpu else {})}


def lanes(device, wide):
    """Lanes of a CPU's vector, as the driver has them; of 256 bits where it does not say."""
    bits = device.vector_bytes if device.vector_bytes in (16, 32, 64) else 32
    return bits // (8 if wide else 4)


def taps_of(problem):
    """Products in one output."""
    return prod(problem.w_shape[1:])
