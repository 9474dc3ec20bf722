"""Calls with NumPy arrays that are larger than the device: computed in parts.

The rewrite rules run on the host, where all arrays are. What they leave, forward problems between
zeros, is halved until a part and its scratch fit the device::

    images, outputs along one axis with the cells they see, groups, filters; channels, taps

whichever spares most, channels and taps after the others, because they cut sums. Such halves are
added on the host, in an order that the problem and the device's memory decide; every other part
computes whole sums by the algorithm of the plan, and the result has the bits of one call. For the
gradient of the weights the channels are images and the taps are rows of one: those come first, and
nothing is sent twice.
"""

from dataclasses import replace
from math import prod

import numpy as np

from cyconv.lowering.tree import Branch, Leaf
from cyconv.opencl import arrays
from cyconv.problem import slab
from cyconv.problem.operands import Residual, finish
from cyconv.runtime.halves import cast

ENOUGH = 0.95  # halves that need more than this share of the whole's memory are not worth it
ALL = slice(None)
SUMS = ("channels", "taps 0", "taps 1", "taps 2")  # axes of the sum: halves are added


def most_bytes(target):
    """Bytes that one call may hold of a device's memory."""
    return target.global_memory * 3 // 4


def load(target, buffers):
    """The share of the device that these buffers need; more than 1 does not fit."""
    largest = max(buffers) / max(1, target.max_buffer)
    return max(largest, sum(buffers) / max(1, most_bytes(target)))


def needed(plan, target, residual=False):
    """Whether a call of `plan`, perhaps with a residual, does not fit the device."""
    problem, leaves = plan.problem, list(plan._root.leaves())
    item = problem.out_dtype.itemsize
    whole = [item * prod(problem.shape_of(role)) for role in ("xwyy" if residual else "xwy")]
    if len(leaves) != 1 or leaves[0].problem is not problem:  # rules may copy what they rewrite
        for leaf in leaves:
            if load(target, [*whole, *leaf.algorithm.buffers(residual)]) > 1:
                return True
        return load(target, whole) > 1
    return load(target, leaves[0].algorithm.buffers(residual)) > 1


def parted(node, target, sums_first):
    """The nodes of a plan as the CPU runs them, their leaves in parts on `target`."""
    if hasattr(node, "rule"):
        children = [parted(child, target, sums_first) for child in node.children]
        return Branch(node.rule, children)
    return _PartedLeaf(node, target, sums_first)


class _PartedLeaf(Leaf):
    """A primitive problem, whose operands lie on the host."""

    def __init__(self, leaf, target, sums_first):
        super().__init__(leaf.problem, leaf.algorithm, leaf.seconds)
        self.target, self.sums_first = target, sums_first

    def pack(self, w, once=False):
        return w  # a part packs its own

    def run(self, x, w, y, bias, clamp, threads, add=None):
        if y.size:
            solver = _Solver(self.target, self.algorithm, self.sums_first, add is not None)
            solver.solve(self.problem, x, w, y, bias, clamp, add)


class _Solver:
    """The parts of one primitive problem, one after another."""

    def __init__(self, target, whole, sums_first, residual):
        self.target, self.whole, self.sums_first = target, whole, sums_first
        self.residual = residual
        self.scratch = min(whole.workspace_limit, target.max_buffer, most_bytes(target) // 2)
        self.packed = (None, None)  # the last weights, and what they are

    def solve(self, problem, x, w, y, bias, clamp, add):
        """Compute `problem` into y, in halves if it must be."""
        part = self.plan(problem)
        if part is not None and load(self.target, part.buffers(self.residual)) <= 1:
            self.compute(part, x, w, y, bias, clamp, add)
            return
        kind, halves = self.halves(problem)
        if kind in SUMS:
            (first, xs, ws, *_), (last, xs2, ws2, *_) = halves
            sums, rest = y, np.empty_like(y, problem.sum_dtype)
            if y.dtype != rest.dtype:  # to be rounded once, at the end
                first, last = (replace(p, out_dtype=p.sum_dtype) for p in (first, last))
                sums = np.empty_like(rest)
            self.solve(first, x[xs], w[ws], sums, None, None, None)
            self.solve(last, x[xs2], w[ws2], rest, None, None, None)
            sums += rest
            if sums is not y and add is not None:
                add = Residual(add.at(y), sums)
            finish(sums, bias, clamp, add)
            if sums is not y:
                y[...] = cast(sums, y.dtype)
            return
        for half, xs, ws, ys, bs in halves:
            own = None if bias is None else bias[bs]
            self.solve(half, x[xs], w[ws], y[ys], own, clamp, add)

    def plan(self, problem):
        """The algorithm for a part of its problem, or None where its scratch has no room."""
        try:
            return self.whole.part(problem, self.scratch)
        except MemoryError:
            return None

    def halves(self, problem):
        """What to halve, and both halves."""
        found = dict(splits(problem, self.whole.align))
        loads = {kind: self.load(halves[0][0]) for kind, halves in found.items()}
        now = self.load(problem)
        whole = [kind for kind in loads if kind not in SUMS]
        sums = [kind for kind in loads if kind in SUMS]
        first, second = (sums, whole) if self.sums_first else (whole, sums)
        for kinds, most in ((first, ENOUGH), (second, ENOUGH), ([*loads], 1)):
            best = min(kinds, key=loads.get, default=None)
            if best is not None and loads[best] < (now[0], most * now[1]):
                return best, found[best]
        raise MemoryError(
            f"{problem.operation}: {self.target.name} has no room for the smallest part, "
            f"{problem.bytes} bytes of operands; its limit for a buffer is "
            f"{self.target.max_buffer}"
        )

    def load(self, problem):
        """Whether there is no room for a part's scratch, and the share that it needs else."""
        part = self.plan(problem)
        if part is not None:
            return False, load(self.target, part.buffers(self.residual))
        sizes = [problem.dtype.itemsize * prod(problem.shape_of(role)) for role in "xw"]
        sizes.append(problem.out_dtype.itemsize * prod(problem.y_shape))
        return True, load(self.target, sizes)

    def compute(self, part, x, w, y, bias, clamp, add):
        """One part, there and back."""
        target = self.target
        key = (w.__array_interface__["data"], w.shape, w.strides, part.one(), part.tile)
        if self.packed[0] != key:
            self.packed = (None, None)  # frees the last before the next
            self.packed = (key, part.pack(arrays.to_device(target, w)))
        own = None if bias is None else arrays.to_device(target, bias)
        out = arrays.empty(target, y.shape, y.dtype)
        if add is not None:
            add = arrays.Residual(arrays.to_device(target, add.at(y)), out)
        part.run(arrays.to_device(target, x), self.packed[1], out, own, clamp, add)
        y[...] = out.numpy()


def splits(problem, align):
    """Every way to halve a primitive problem: its name, and (part, cells of x, w, y, bias) twice.

    The larger half is the first. Outputs are cut at multiples of `align`.
    """
    p = problem
    if p.batch > 1:
        yield "images", [_images(p, *ends) for ends in ends_of(p.batch)]
    for axis, n in enumerate(p.output_spatial):
        if n > align:
            yield f"axis {axis}", [_outputs(p, axis, ends) for ends in ends_of(n, align)]
    if p.groups > 1:
        yield "groups", [_groups(p, *ends) for ends in ends_of(p.groups)]
    elif p.filters > 1:
        yield "filters", [_filters(p, *ends) for ends in ends_of(p.filters)]
    if p.groups == 1 and p.channels > 1:
        yield "channels", [_channels(p, *ends) for ends in ends_of(p.channels)]
    for axis, n in enumerate(p.kernel):
        if n > 1 and align == 1:  # what computes outputs together needs its own kernel
            yield f"taps {axis}", [_taps(p, axis, ends) for ends in ends_of(n)]


def ends_of(n, align=1):
    """Where the halves of n begin and end."""
    middle = -(-n // (2 * align)) * align
    return (0, middle), (middle, n)


def _images(p, first, last):
    cells = slice(first, last)
    part = replace(p, x_shape=(last - first, *p.x_shape[1:]))
    return part, (cells,), (ALL,), (cells,), ALL


def _outputs(p, axis, ends):
    part, cells = slab(p, axis, ends, (0, p.kernel[axis]))
    before = (ALL,) * (2 + axis)
    return part, (*before, cells), (ALL,), (*before, slice(*ends)), ALL


def _taps(p, axis, ends):
    part, cells = slab(p, axis, (0, p.output_spatial[axis]), ends)
    before = (ALL,) * (2 + axis)
    return part, (*before, cells), (*before, slice(*ends)), (ALL,), ALL


def _groups(p, first, last):
    n, depth, filters = last - first, p.channels // p.groups, p.filters // p.groups
    x, y = slice(first * depth, last * depth), slice(first * filters, last * filters)
    part = replace(
        p, x_shape=(p.batch, n * depth, *p.spatial), w_shape=(n * filters, *p.w_shape[1:]), groups=n
    )
    return part, (ALL, x), (y,), (ALL, y), y


def _filters(p, first, last):
    cells = slice(first, last)
    part = replace(p, w_shape=(last - first, *p.w_shape[1:]))
    return part, (ALL,), (cells,), (ALL, cells), cells


def _channels(p, first, last):
    cells, n = slice(first, last), last - first
    part = replace(p, x_shape=(p.batch, n, *p.spatial), w_shape=(p.filters, n, *p.kernel))
    return part, (ALL, cells), (ALL, cells), (ALL,), ALL
