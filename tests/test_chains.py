"""Chains of stages over tiles, against the same sums in NumPy, term by term."""

import numpy as np
import pytest

from cyconv.algorithms import chains
from cyconv.lowering.borders import BORDERS, extended
from cyconv.runtime import machine

from .cases import seeds

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


def image(rng, shape, dtype, high=100):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0 if dtype.kind == "u" else -high, high + 1, shape).astype(dtype)


def line_terms(w):
    """SciPy's order along one axis: (weight, tap, sign, other tap)."""
    k, middle = len(w), len(w) // 2
    for sign in (1, -1) if k % 2 else ():
        if (w[:middle] == sign * w[::-1][:middle]).all():
            pairs = [(w[t], t, sign, k - 1 - t) for t in range(middle)]
            return [(w[middle], middle, 0, middle), *pairs]
    return [(w[t], t, 0, t) for t in (k - 1, *range(k - 1))]


def run_line(x, w, before, axis, mode, cval):
    """One pass in float64, each product and each sum rounded."""
    widths = [(0, 0)] * 3
    widths[axis] = (before, len(w) - 1 - before)
    wide = np.moveaxis(extended(x, widths, mode, cval, np.float64), axis, 0)
    n, y = x.shape[axis], None
    for weight, tap, sign, other in line_terms(np.asarray(w, float)):
        cells = wide[tap : tap + n]
        cells = cells + sign * wide[other : other + n] if sign else cells
        y = weight * cells if y is None else y + weight * cells
    return np.moveaxis(y, 0, axis)


def cast(y, dtype, saturate=False):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return y.astype(dtype)
    if saturate:
        limits = np.iinfo(dtype)
        return np.array(
            [min(max(int(v), limits.min), limits.max) for v in np.rint(y).ravel()], dtype
        ).reshape(y.shape)
    wrapped = [int(v) % (1 << 8 * dtype.itemsize) for v in np.trunc(y).ravel()]
    return np.array(wrapped, f"u{dtype.itemsize}").view(dtype).reshape(y.shape)


def run(x, target, branches, borders, cval=0.0, wide=True, **how):
    """x (H, W, C) as one plane."""
    many = len(branches) if how.get("finish", "each") == "each" else 1
    y = np.empty((many, *x.shape), target)
    chains.run(x, y, (1, *x.shape), branches, borders, cval, wide, **how)
    return y


def kernel(rng, taps):
    w = rng.choice([rng.integers(-3, 4, taps).astype(float), rng.normal(size=taps)])
    return w + rng.choice([0, 1, -1]) * w[::-1]


@seeds(3)
@pytest.mark.parametrize("source", TYPES)
@pytest.mark.parametrize("target", TYPES)
def test_two_passes_have_the_bits_of_plain_sums(source, target, seed):
    """Through every pair of types, with a rounding to the result's type between the passes."""
    rng = np.random.default_rng([seed, TYPES.index(source), TYPES.index(target)])
    shape = (*rng.integers(1, 40, 2), rng.integers(1, 4))
    x = image(rng, shape, source)
    modes = [str(mode) for mode in rng.choice(list(BORDERS), 2)]
    cval, first = float(rng.integers(-3, 4)), int(rng.integers(2))
    ws = [kernel(rng, rng.integers(1, 12)) for _ in range(2)]
    befores = [int(rng.integers(len(w))) for w in ws]
    stages = tuple(
        (chains.line(w, b), axis == 0)
        for w, b, axis in zip(ws, befores, (first, 1 - first), strict=True)
    )
    y = run(x, target, (stages,), tuple(modes), cval)[0]
    if target == "u8":  # C's cast of a negative sum is the negative of its cast
        middle = run_line(x, ws[0], befores[0], first, modes[first], cval)
        if (middle < 0).any():
            return
    middle = cast(run_line(x, ws[0], befores[0], first, modes[first], cval), target)
    last = run_line(middle, ws[1], befores[1], 1 - first, modes[1 - first], cval)
    np.testing.assert_array_equal(y, cast(last, target), err_msg=f"seed {seed}")


@seeds(3)
@pytest.mark.parametrize("mode", BORDERS)
@pytest.mark.parametrize("wide", [True, False])
def test_kernels_over_both_axes(mode, wide, seed):
    rng = np.random.default_rng([seed, list(BORDERS).index(mode)])
    shape = (*rng.integers(1, 40, 2), rng.integers(1, 4))
    dtype = np.float64 if wide else np.float32
    x, cval = image(rng, shape, dtype), 2.0
    w = rng.normal(size=rng.integers(1, 8, 2)) * (rng.random() < 0.5 or rng.integers(0, 2))
    w[rng.random(w.shape) < 0.2] = 0
    up, left = (int(rng.integers(k)) for k in w.shape)
    y = run(x, dtype, (((chains.plane(w, up, left), True),),), (mode, mode), cval, wide)[0]
    pads = [(up, w.shape[0] - 1 - up), (left, w.shape[1] - 1 - left), (0, 0)]
    cells = extended(x, pads, mode, cval, np.float64)
    expected = np.zeros(shape)
    for r, s in zip(*np.nonzero(w), strict=True):
        expected += w[r, s] * cells[r : r + shape[0], s : s + shape[1]]
    if wide:
        np.testing.assert_array_equal(y, expected, err_msg=f"seed {seed}")
    else:
        bound = (w.size + 2) * np.finfo(dtype).eps * abs(w).sum() * abs(cells).max()
        np.testing.assert_allclose(y, expected, rtol=0, atol=bound, err_msg=f"seed {seed}")


@seeds(2)
@pytest.mark.parametrize("mode", BORDERS)
@pytest.mark.parametrize("size", [2, 8, 9, 13, 16, 31, 64])
@pytest.mark.parametrize("wide", [True, False])
def test_boxes_of_integers_are_exact(mode, size, wide, seed):
    rng = np.random.default_rng([seed, size])
    x = image(rng, (*rng.integers(1, 90, 2), rng.integers(1, 4)), "i2", 30)
    befores = rng.integers(0, size, 2).tolist()
    stages = tuple(
        (chains.box(size, before), down)
        for before, down in zip(befores, rng.permutation([True, False]), strict=True)
    )
    y = run(x, "f8", (stages,), (mode, mode), 3.0, wide)[0]
    for before, (_, down) in zip(befores, stages, strict=True):
        x = run_line(x, np.ones(size), before, 0 if down else 1, mode, 3.0)
    np.testing.assert_array_equal(y, x, err_msg=f"seed {seed}")


def test_what_is_not_finite_leaves_a_box_with_its_window():
    x = np.ones((70, 60, 1))
    x[33, 21] = np.nan
    for size in (5, 9, 20):
        for down in (True, False):
            box = chains.box(size, size // 2)
            y = run(x, "f8", (((box, down),),), ("nearest", "nearest"))[0]
            assert np.isnan(y).sum() == size
            assert (y[~np.isnan(y)] == size).all()


@pytest.mark.parametrize("target", TYPES[:8])
@pytest.mark.parametrize("wide", [True, False])
def test_saturation_rounds_to_nearest_even_and_clips(target, wide):
    limits = np.iinfo(target)
    values = [0.5, 1.5, 2.5, -0.5, -1.5, 2.49, 1e30, -1e30, np.inf, -np.inf]
    values += [float(limits.max) * 0.75, float(limits.min) * 0.75]
    x = np.array(values, np.float64 if wide else np.float32).reshape(1, -1, 1)
    y = run(
        x, target, (((chains.line([1.0], 0), False),),), ("nearest",) * 2, 0.0, wide, saturate=True
    )[0]
    finite = np.clip(x.astype(np.float64), -1e30, 1e30)
    np.testing.assert_array_equal(y, cast(finite, target, saturate=True))


def test_nan_saturates_to_the_least():
    x = np.full((1, 40, 1), np.nan, np.float32)
    same = ((chains.line([1.0], 0), False),)
    for target in TYPES[:8]:
        y = run(x, target, (same,), ("nearest",) * 2, 0.0, False, saturate=True)
        assert (y == np.iinfo(target).min).all()


def test_finishes_put_branches_together():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(33, 41, 2))
    first, second = chains.line([-1, 0, 1], 1), chains.line([1, -2, 1], 1)
    borders = ("reflect", "reflect")
    branches = (((first, True),), ((second, False),))
    a, b = run(x, "f8", branches, borders)
    np.testing.assert_array_equal(run(x, "f8", branches, borders, finish="sum")[0], a + b)
    length = run(x, "f8", branches, borders, finish="length")[0]
    np.testing.assert_array_equal(length, np.sqrt(a * a + b * b))
    hypot = run(x, "f8", branches, borders, finish="hypot")[0]
    np.testing.assert_allclose(hypot, np.hypot(a, b), rtol=4e-16)
    for scale in (2.0**600, 2.0**-600):
        hypot = run(x * scale, "f8", branches, borders, finish="hypot")[0]
        np.testing.assert_allclose(hypot, np.hypot(a * scale, b * scale), rtol=4e-16)


@seeds(2)
@pytest.mark.parametrize("wide", [True, False])
def test_neither_tiles_nor_threads_change_a_bit(wide, seed):
    rng = np.random.default_rng(seed)
    x = image(rng, (150, 170, 2), "f4")
    gaussian = chains.line(np.exp(-(np.arange(-9, 10) ** 2) / 18), 9)
    chain = ((gaussian, True), (chains.box(21, 10, 21), False))
    boxes = ((chains.box(33, 16), True), (gaussian, False))
    for branches in ((chain,), (boxes,), (chain, boxes)):
        seen = []
        for caches in ("8K,64K", "32K,512K,32M", "48K,2M,8M"):
            for threads in (1, 2, 7):
                with machine.assumed(caches):
                    seen.append(
                        run(x, "f4", branches, ("reflect", "wrap"), 0.0, wide, threads=threads)
                    )
        for y in seen[1:]:
            np.testing.assert_array_equal(y, seen[0], err_msg=f"seed {seed}")
