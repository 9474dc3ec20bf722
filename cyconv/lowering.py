"""The rewrite rules: every problem becomes a few primitive forms that kernels solve.

A convolution has three arrays, x, w and y, in three roles, and is bilinear in the two that are
given. Its direction says which:

    forward      x, w -> y          grad_input   y, w -> x          grad_weight   x, y -> w

A primitive problem is forward, batched, channels first, of two or more spatial axes, zero padded,
not flipped, and of a dtype that kernels have. Each rule below takes one feature away. It knows the
problems it leaves (``children``), how their second operand comes from the problem's (``second``),
and how their results make the problem's (``run``). Rules are tried in the order of ``RULES``.
"""

from dataclasses import replace
from math import prod

import numpy as np

from cyconv.polyphase import backwards, met, phases_of
from cyconv.rule import Rule, Views

KERNEL_DTYPES = tuple(
    np.dtype(name) for name in ("float32", "float64", "int32", "int64", "uint32", "uint64")
)

NUMPY_MODES = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}
"""``numpy.pad``'s names of the padding modes."""


class NoFilters(Rule):
    """no filters -> nothing to solve."""

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.direction == "forward" and not problem.filters

    def second(self, b):  # noqa: D102
        return ()

    def run(self, a, out, solve):
        """`out` has no cells."""


class Unbatched(Views):
    """unbatched input -> a batch of one."""

    def __init__(self, problem):
        super().__init__(problem, replace(problem, x_shape=(1, *problem.x_shape)))

    @staticmethod
    def applies(problem):  # noqa: D102
        return not problem.batched

    def view(self, role, array):  # noqa: D102
        return array if role == "w" else array[None]


class ChannelsLast(Views):
    """channels last -> channels first, through strides."""

    def __init__(self, problem):
        n, *spatial, c = problem.x_shape
        super().__init__(
            problem, replace(problem, x_shape=(n, c, *spatial), data_format="channels_first")
        )

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.channels_last

    def view(self, role, array):  # noqa: D102
        return array if role == "w" else np.moveaxis(array, -1, 1)


class Flip(Views):
    """true convolution -> cross-correlation with the kernel rotated by 180 degrees."""

    def __init__(self, problem):
        super().__init__(problem, replace(problem, flip=False))

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.flip

    def view(self, role, array):  # noqa: D102
        return np.flip(array, tuple(range(2, array.ndim))) if role == "w" else array


class OneAxis(Views):
    """one spatial axis -> two, of height 1."""

    def __init__(self, problem):
        super().__init__(
            problem,
            replace(
                problem,
                x_shape=(*problem.x_shape[:2], 1, problem.x_shape[2]),
                w_shape=(*problem.w_shape[:2], 1, problem.w_shape[2]),
                stride=(1, *problem.stride),
                dilation=(1, *problem.dilation),
                padding=((0, 0), *problem.padding),
            ),
        )

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.rank == 1

    def view(self, role, array):  # noqa: D102
        return array[:, :, None]


class Cast(Rule):
    """storage dtype -> the dtype of the sums; one rounding at the end."""

    def __init__(self, problem):
        self.dtype = problem.sum_dtype
        super().__init__(problem, replace(problem, dtype=self.dtype, out_dtype=self.dtype))

    @staticmethod
    def applies(problem):  # noqa: D102
        return not problem.dtype == problem.sum_dtype == problem.out_dtype

    def second(self, b):  # noqa: D102
        return (b.astype(self.dtype, copy=False),)

    def run(self, a, out, solve):  # noqa: D102
        sums = out if out.dtype == self.dtype else np.empty_like(out, self.dtype)
        solve(0, a.astype(self.dtype, copy=False), sums)
        if sums is not out:
            with np.errstate(over="ignore"):  # to infinity, as rounding does
                out[...] = sums

    def __str__(self):
        return f"{self.problem.dtype} -> sums in {self.dtype}, rounded once"


class Complex(Rule):
    """complex -> three real convolutions (Gauss).

    (a + ib)(c + id) = (t1 - t3) + i (t1 + t2) with t1 = c (a + b), t2 = a (d - c), t3 = b (c + d).
    Those sums may overflow, or spread a non-finite part, where the four products of the definition
    do not: they are taken where a result is not finite.
    """

    epilogue = False
    spares = 1

    def __init__(self, problem):
        real = np.dtype(f"f{problem.dtype.itemsize // 2}")
        super().__init__(problem, *[replace(problem, dtype=real, out_dtype=real)] * 4)

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.dtype.kind == "c"

    def second(self, b):  # noqa: D102
        with np.errstate(over="ignore", invalid="ignore"):
            return b.real, b.imag - b.real, b.real + b.imag, b.imag

    def run(self, a, out, solve):  # noqa: D102
        t1, t2, t3 = (np.empty(out.shape, self.children[0].dtype) for _ in range(3))
        with np.errstate(over="ignore", invalid="ignore"):
            solve(0, a.real + a.imag, t1)
            solve(1, a.real, t2)
            solve(2, a.imag, t3)
            np.subtract(t1, t3, out=out.real)
            np.add(t1, t2, out=out.imag)
        wrong = ~np.isfinite(out)
        if wrong.any():
            self.four_products(a, out, wrong, solve)

    def four_products(self, a, out, cells, solve):
        """Fill these cells of `out` by the definition: (ac - bd) + i (ad + bc)."""
        ac, bd, ad, bc = (np.empty_like(out, self.children[0].dtype) for _ in range(4))
        solve(0, a.real, ac)
        solve(-1, a.imag, bd)
        solve(-1, a.real, ad)
        solve(0, a.imag, bc)
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(ac, bd, out=out.real, where=cells)
            np.add(ad, bc, out=out.imag, where=cells)


class ComplexStrict(Complex):
    """complex -> four real convolutions, none of a sum."""

    spares = 0

    def __init__(self, problem):
        super().__init__(problem)
        self.children = self.children[:2]

    def second(self, b):  # noqa: D102
        return b.real, b.imag

    def run(self, a, out, solve):  # noqa: D102
        self.four_products(a, out, True, solve)


class Border(Rule):
    """padding mode -> an explicit border, then no padding."""

    def __init__(self, problem):
        padded = tuple(
            n + lo + hi for n, (lo, hi) in zip(problem.spatial, problem.padding, strict=True)
        )
        super().__init__(
            problem,
            replace(problem, x_shape=problem.x_shape[:2] + padded, padding=0, padding_mode="zeros"),
        )
        self.mode = NUMPY_MODES[problem.padding_mode]

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.padding_mode != "zeros" and problem.direction != "grad_input"

    def run(self, a, out, solve):  # noqa: D102
        solve(0, np.pad(a, ((0, 0), (0, 0), *self.problem.padding), self.mode), out)

    def __str__(self):
        return f"padding mode {self.problem.padding_mode} -> an explicit border, no padding"


class BorderAdjoint(Border):
    """gradient of a padding mode -> the border's gradient is added to the cells it copied."""

    epilogue = False

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.padding_mode != "zeros"

    def run(self, a, out, solve):  # noqa: D102
        sums = np.empty_like(out, shape=self.children[0].x_shape)
        solve(0, a, sums)
        for axis, (size, pair) in enumerate(
            zip(self.problem.spatial, self.problem.padding, strict=True), 2
        ):
            source = np.pad(np.arange(size), pair, self.mode)
            folded = sums[(slice(None),) * axis + (slice(pair[0], pair[0] + size),)]
            moved, border = np.moveaxis(folded, axis, 0), np.moveaxis(sums, axis, 0)
            for i in (*range(pair[0]), *range(pair[0] + size, len(source))):
                moved[source[i]] += border[i]
            sums = folded
        out[...] = sums

    def __str__(self):
        return f"padding mode {self.problem.padding_mode} -> its border's gradient, folded back"


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
            replace(p, x_shape=(1, n * p.channels, *p.spatial),
                    w_shape=(n * p.filters, 1, *p.kernel), groups=n * p.groups),
        )  # fmt: skip

    @staticmethod
    def applies(problem):  # noqa: D102
        return (
            problem.direction == "grad_weight"
            and problem.batch > 1
            and problem.channels == problem.groups
            and problem.filters <= ImageByImage.FILTERS * problem.groups
        )

    def second(self, b):  # noqa: D102
        return (b.reshape(self.children[0].y_shape),)

    def run(self, a, out, solve):  # noqa: D102
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
            replace(
                problem,
                direction="forward",
                x_shape=(p.channels // groups, groups * p.batch, *sizes),
                w_shape=(p.filters, p.batch, *p.output_spatial),
                stride=p.dilation,
                dilation=p.stride,
                padding=tuple(padding),
            ),
        )

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.direction == "grad_weight"

    def second(self, b):  # noqa: D102
        return (np.moveaxis(b, 0, 1),)

    def run(self, a, out, solve):  # noqa: D102
        n, groups = self.problem.batch, self.problem.groups
        x = a[(..., *self.keep)]
        x = x.reshape(n, groups, x.shape[1] // groups, *x.shape[2:])
        x = np.moveaxis(x, 2, 0).swapaxes(1, 2)  # (C / groups, groups, N, *spatial)
        solve(0, x.reshape(self.children[0].x_shape), np.moveaxis(out, 0, 1))


class GradInput(Rule):
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
            children.append(
                replace(p, direction="forward", x_shape=(p.batch, 0, *p.spatial),
                        w_shape=(p.channels, 0, *(1,) * p.rank), stride=1, dilation=1, padding=0)
            )  # fmt: skip
        self.children = tuple(children)

    @staticmethod
    def applies(problem):  # noqa: D102
        return problem.direction == "grad_input"

    def child(self, phase):
        """The forward problem of one phase."""
        p = self.problem
        return replace(
            p,
            direction="forward",
            x_shape=(p.batch, p.filters, *(one.keep.stop - one.keep.start for one in phase)),
            w_shape=(p.channels, p.filters // p.groups, *(len(range(*one.taps)) for one in phase)),
            stride=1,
            dilation=tuple(one.dilation for one in phase),
            padding=tuple(one.padding for one in phase),
        )

    def second(self, b):  # noqa: D102
        p = self.problem
        w = b.reshape(p.groups, p.filters // p.groups, *b.shape[1:])
        w = np.moveaxis(w, 1, 2).reshape(p.channels, p.filters // p.groups, *p.kernel)
        subkernels = [w[(..., *(backwards(*one.taps) for one in phase))] for phase in self.phases]
        gaps = [np.empty_like(b, shape=self.children[-1].w_shape)] if self.gaps else []
        return subkernels + gaps

    def run(self, a, out, solve):  # noqa: D102
        if self.gaps:
            solve(len(self.phases), np.empty_like(a, shape=self.children[-1].x_shape), out)
        for i, phase in enumerate(self.phases):
            cells = out[(..., *(slice(one.first, None, one.step) for one in phase))]
            solve(i, a[(..., *(one.keep for one in phase))], cells)

    def sound(self, b):  # noqa: D102
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

    def __str__(self):
        return (
            f"gradient of the input -> {len(self.phases)} forward problem(s), one for each phase "
            "of the stride"
        )


RULES = (
    NoFilters, Unbatched, ChannelsLast, Cast, Flip, Border, BorderAdjoint, Complex, OneAxis,
    ImageByImage, GradWeight, GradInput,
)  # fmt: skip


def lower(problem, strict=False, without=()):
    """The first rule that applies to `problem`, or None if it is primitive.

    `strict` forbids rewrites that add to the error, `without` the rules that it holds.
    """
    for rule in RULES:
        if rule not in without and rule.applies(problem):
            return (ComplexStrict if strict and rule is Complex else rule)(problem)
    return None


def primitives(problem, without=()):
    """The primitive problems that `problem` becomes."""
    rule = lower(problem, without=without)
    if rule is None:
        yield problem
    else:
        for child in rule.children:
            yield from primitives(child, without)
