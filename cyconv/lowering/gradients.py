"""Rules that leave forward problems of a convolution's gradients."""

from math import prod

import numpy as np

from cyconv.lowering.polyphase import backwards, met, phases_of
from cyconv.lowering.rule import Rule
from cyconv.lowering.side_by_side import BEYOND, side_by_side


class ImageByImage(Rule):
    """gradient of depthwise weights -> each image's own, added in the order of the images.

    The images become groups: views, where images and channels are neighbours in x and y.
    """

    epilogue = False
    FILTERS = 3  # of a group, at most: more are better multiplied with all images at once

    def __init__(self, problem):
        p, n = problem, problem.batch
        super().__init__(
            p,
            p.rewritten(
                x_shape=(1, n * p.channels, *p.spatial),
                w_shape=(n * p.filters, 1, *p.kernel),
                groups=n * p.groups,
            ),
        )

    @staticmethod
    def applies(problem):
        return (
            problem.direction == "grad_weight"
            and problem.batch > 1
            and problem.channels == problem.groups
            and problem.filters <= ImageByImage.FILTERS * problem.groups
        )

    def second(self, b):
        return (b.reshape(self.children[0].y_shape),)

    def run(self, a, out, solve):
        sums = np.empty((self.problem.batch, *out.shape), out.dtype)
        solve(0, a.reshape(self.children[0].x_shape), sums.reshape(-1, *out.shape[1:]))
        np.add.reduce(sums, 0, dtype=out.dtype, out=out)


class GradWeight(Rule):
    """gradient of the weights -> a forward problem over the batch, stride and dilation exchanged.

    dw[k, c, r] = sum_{n, p} y[n, k, p] x[n, c, p s + r d - lo]: images are the channels, y is the
    filters, and r is the output, which steps by d over taps s apart.
    """

    def __init__(self, problem):
        p = problem
        groups = p.groups
        self.keep, padding = [], []  # of each axis of x: what the (R - 1) d + (P - 1) s + 1 reach
        for axis, taps in enumerate(p.kernel):
            steps = (taps - 1) * p.dilation[axis] + (p.output_spatial[axis] - 1) * p.stride[axis]
            reach = steps + 1
            lo = p.padding[axis][0]
            hi = reach - lo - p.spatial[axis]
            self.keep.append(slice(0, p.spatial[axis] + min(hi, 0)))
            padding.append((lo, max(hi, 0)))
            if self.keep[-1].stop < 0:  # all that is reached lies in the padding before x
                self.keep[-1], padding[-1] = slice(0, 0), (reach, 0)
        sizes = tuple(keep.stop for keep in self.keep)
        super().__init__(
            problem,
            problem.rewritten(
                direction="forward",
                x_shape=(p.channels // groups, groups * p.batch, *sizes),
                w_shape=(p.filters, p.batch, *p.output_spatial),
                stride=p.dilation,
                dilation=p.stride,
                padding=tuple(padding),
            ),
        )

    @staticmethod
    def applies(problem):
        return problem.direction == "grad_weight"

    def second(self, b):
        return (np.moveaxis(b, 0, 1),)

    def run(self, a, out, solve):
        n, groups = self.problem.batch, self.problem.groups
        x = a[(..., *self.keep)]
        x = x.reshape(n, groups, x.shape[1] // groups, *x.shape[2:])
        x = np.moveaxis(x, 2, 0).swapaxes(1, 2)  # (C / groups, groups, N, *spatial)
        solve(0, x.reshape(self.children[0].x_shape), np.moveaxis(out, 0, 1))


class OneCell(Rule):
    """gradient of an input that one window covers -> a product: each tap is a filter of one cell.

    dx[c, r] = sum_k w[k, c, r] y[k]: the general rule would meet each y among zeros, R S times.
    """

    epilogue = False  # a bias is of a channel, not of a tap

    def __init__(self, problem):
        p, ones = problem, (1,) * problem.rank
        super().__init__(
            p,
            p.rewritten(
                direction="forward",
                x_shape=(p.batch, p.filters, *ones),
                w_shape=(p.channels * prod(p.kernel), p.filters // p.groups, *ones),
                stride=ones,
                dilation=ones,
                padding=((0, 0),) * p.rank,
            ),
        )

    @staticmethod
    def applies(problem):
        p = problem
        return (
            p.direction == "grad_input"
            and p.spatial == p.kernel != (1,) * p.rank
            and p.output_spatial == (1,) * p.rank
            and not any(map(any, p.padding))
            and prod(p.x_shape) > 0
        )

    def second(self, b):
        p = self.problem
        taps = b.reshape(p.groups, p.filters // p.groups, -1).swapaxes(1, 2)
        return (taps.reshape(self.children[0].w_shape),)

    def run(self, a, out, solve):
        cells = out.reshape(self.children[0].y_shape)
        solve(0, a, cells)
        if not np.may_share_memory(cells, out):
            out[...] = cells.reshape(out.shape)


class Scattered(Rule):
    """A gradient of the input whose children would multiply taps by the zeros around y too."""

    def sound(self, b):
        if b.dtype.kind != "f" or np.isfinite(b).all():
            return b, None
        return np.where(np.isfinite(b), b, np.copysign(1, b)), b.copy()

    def mend(self, a, out, w):
        """Add the products of taps that are not finite, with the cells of y that there are.

        The children would multiply such taps by the zeros around y too; they take 1 or -1 instead,
        which changes no sum's kind: each that meets such a tap gets its infinity or NaN here.
        """
        p = self.problem
        y = a.reshape(len(a), p.groups, p.filters // p.groups, *a.shape[2:])
        x = out.reshape(len(out), p.groups, w.shape[1], *out.shape[2:])  # a view
        w = w.reshape(p.groups, p.filters // p.groups, *w.shape[1:])
        for g, c, *tap in np.argwhere(~np.isfinite(w).all(axis=1)).tolist():
            cells, read = zip(*(met(p, axis, r) for axis, r in enumerate(tap)), strict=True)
            taps = w[(g, slice(None), c, *tap)]
            with np.errstate(over="ignore", invalid="ignore"):
                if np.isnan(taps).any():
                    x[(slice(None), g, c, *cells)] = np.nan
                else:
                    sums = np.einsum("k,nk...->n...", taps, y[(slice(None), g, slice(None), *read)])
                    x[(slice(None), g, c, *cells)] += sums


class GradInput(Scattered):
    """gradient of the input -> one forward problem for each phase of the stride.

    dx[h] = sum_{r, p: p s + r d = h + lo} w[r] y[p]. The cells h + lo = phase + s m, for one phase,
    meet only the taps with r d = phase (mod s): every (s / gcd(s, d))-th, and for those y is read
    at m - e - j d / gcd(s, d): a correlation of stride 1 with the reversed sub-kernel.
    """

    def __init__(self, problem):
        super().__init__(problem)
        p = problem
        self.phases = [()] if p.channels else []
        for axis in range(p.rank):
            phases = phases_of(p, axis)
            self.phases = [(*done, one) for done in self.phases for one in phases]
        children = [self.child(phase) for phase in self.phases]
        reached = sum(prod(one.count for one in phase) for phase in self.phases)
        self.gaps = p.channels > 0 and reached < prod(p.spatial)
        if self.gaps:  # cells that no tap meets: the empty sum, under the others
            ones = (1,) * p.rank
            children.append(
                p.rewritten(
                    direction="forward",
                    x_shape=(p.batch, 0, *p.spatial),
                    w_shape=(p.channels, 0, *ones),
                    stride=ones,
                    dilation=ones,
                    padding=((0, 0),) * p.rank,
                )
            )
        self.children = tuple(children)

    @staticmethod
    def applies(problem):
        return problem.direction == "grad_input"

    def child(self, phase):
        """The forward problem of one phase."""
        p = self.problem
        return p.rewritten(
            direction="forward",
            x_shape=(p.batch, p.filters, *(one.keep.stop - one.keep.start for one in phase)),
            w_shape=(p.channels, p.filters // p.groups, *(len(range(*one.taps)) for one in phase)),
            stride=(1,) * p.rank,
            dilation=tuple(one.dilation for one in phase),
            padding=tuple(one.padding for one in phase),
        )

    def second(self, b):
        p = self.problem
        w = b.reshape(p.groups, p.filters // p.groups, *b.shape[1:])
        w = np.moveaxis(w, 1, 2).reshape(p.channels, p.filters // p.groups, *p.kernel)
        subkernels = [w[(..., *(backwards(*one.taps) for one in phase))] for phase in self.phases]
        gaps = [np.empty_like(b, shape=self.children[-1].w_shape)] if self.gaps else []
        return subkernels + gaps

    def run(self, a, out, solve):
        if self.gaps:
            solve(len(self.phases), np.empty_like(a, shape=self.children[-1].x_shape), out)
        for i, phase in enumerate(self.phases):
            cells = out[(..., *(slice(one.first, None, one.step) for one in phase))]
            solve(i, a[(..., *(one.keep for one in phase))], cells)

    def __str__(self):
        return (
            f"gradient of the input -> {len(self.phases)} forward problem(s), one for each phase "
            "of the stride"
        )


class Interleaved(Scattered):
    """gradient of the input -> one forward problem, whose filters are the phases of the stride.

    Where s divides the number of taps, all phases have as many, and read the same of y:
    dx[s m + phase - lo] = sum_j w[s j + phase] y[m - j]. One problem of s^d times the filters packs
    y once; what would be few filters become many.
    """

    epilogue = False
    FEW = 6  # filters of one phase, fewer than these: the products of a panel would lie idle
    DEPTH = 16  # of the sums, at least: fewer are not worth another copy of the result

    def __init__(self, problem):
        super().__init__(problem)
        p = problem
        self.taps = tuple(r // s for r, s in zip(p.kernel, p.stride, strict=True))
        self.counts, self.keep, self.cut, padding = [], [], [], []
        for axis, (count, s) in enumerate(zip(self.taps, p.stride, strict=True)):
            lo, size = p.padding[axis][0], p.spatial[axis]
            first, stop = lo // s, -(-(lo + size) // s)
            begin = first - count + 1  # what of y the first output's last tap reads
            start = min(max(0, begin), p.output_spatial[axis])
            keep = slice(start, max(start, min(p.output_spatial[axis], stop)))
            self.counts.append(stop - first)
            self.cut.append(slice(lo - first * s, lo - first * s + size))
            self.keep.append(keep)
            read = keep.stop - keep.start
            before = min(start - begin, stop - begin - read)
            padding.append((before, stop - begin - read - before))
        self.children = (
            p.rewritten(
                direction="forward",
                x_shape=(p.batch, p.filters, *(keep.stop - keep.start for keep in self.keep)),
                w_shape=(p.channels * prod(p.stride), p.filters // p.groups, *self.taps),
                stride=(1,) * p.rank,
                padding=tuple(padding),
            ),
        )

    @staticmethod
    def applies(problem):
        p = problem
        if p.direction != "grad_input" or not 0 < p.channels < Interleaved.FEW * p.groups:
            return False
        even = all(r % s == 0 for r, s in zip(p.kernel, p.stride, strict=True))
        deep = p.filters >= Interleaved.DEPTH * p.groups
        return even and deep and prod(p.stride) > 1 and set(p.dilation) == {1}

    def second(self, b):
        p, d = self.problem, self.problem.rank
        split = [n for pair in zip(self.taps, p.stride, strict=True) for n in pair]
        w = b.reshape(p.groups, p.filters // p.groups, b.shape[1], *split)
        w = np.flip(w, range(3, 3 + 2 * d, 2))
        order = (0, 2, *range(4, 4 + 2 * d, 2), 1, *range(3, 3 + 2 * d, 2))
        return (w.transpose(order).reshape(self.children[0].w_shape),)

    def run(self, a, out, solve):
        p, d = self.problem, self.problem.rank
        shape = self.children[0].y_shape
        phases = np.empty(prod(shape) + BEYOND, a.dtype)[:-BEYOND].reshape(shape)
        solve(0, a[(..., *self.keep)], phases)
        if side_by_side(phases, out, p.stride, [cut.start for cut in self.cut]):
            return
        phases = phases.reshape(p.batch, p.channels, *p.stride, *self.counts)
        order = [axis for i in range(2, 2 + d) for axis in (i + d, i)]
        sizes = [n * s for n, s in zip(self.counts, p.stride, strict=True)]
        cells = phases.transpose(0, 1, *order).reshape(p.batch, p.channels, *sizes)
        out[...] = cells[(..., *self.cut)]
