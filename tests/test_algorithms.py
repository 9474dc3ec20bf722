"""Every algorithm, on every named problem, dtype and instruction set, against the oracle."""

import re
from functools import cache
from itertools import product

import numpy as np
import pytest

import cyconv
from cyconv import lowering
from cyconv.algorithms import winograd, winograd_matrices
from cyconv.planning import cost

from . import oracle, tolerances
from .cases import ALGORITHMS, CASES, DTYPES, TILES, WIDTHS, named, refused, supported
from .variants import ERROR, SQUARES, WAYS, Way, by_way, forced, possible


@cache
def answered(case, dtype):
    """`(x, w, bias, expected)` of a named problem, read-only, worked out once."""
    data = case.data(dtype)
    for array in data:
        if array is not None:
            array.flags.writeable = False
    return (*data, case.expected(*data))


@supported(CASES)
def test_oracle(algorithm, case, dtype, isa):
    x, w, bias, expected = answered(case, dtype)
    y = case.run(x, w, bias, algorithm=algorithm)
    assert y.dtype == dtype
    assert y.flags.c_contiguous
    tolerances.assert_close(y, expected, algorithm, x, w, bias, **case.geometry)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_choice_is_right_too(case, dtype):
    x, w, bias, expected = answered(case, dtype)
    chosen = cyconv.plan(case.problem(dtype)).algorithm
    y = case.run(x, w, bias)
    tolerances.assert_close(y, expected, chosen, x, w, bias, **case.geometry)


@supported(named("batch", "line", "volume", "unbatched", "groups_2"))
def test_conv_takes_the_rank_from_the_weights(algorithm, case, dtype):
    x, w, bias, _ = answered(case, dtype)
    y = cyconv.conv(x, w, bias, algorithm=algorithm, **case.geometry)
    np.testing.assert_array_equal(y, case.run(x, w, bias, algorithm=algorithm))


@refused(CASES)
def test_unsupported(algorithm, case, dtype):
    x, w, bias, _ = answered(case, dtype)
    why = case.reasons(dtype)[algorithm]
    assert isinstance(why, str)
    assert why
    with pytest.raises(ValueError, match=re.escape(why)):
        case.run(x, w, bias, algorithm=algorithm)


def test_every_algorithm_is_tested():
    """No algorithm hides behind `supports`: each runs at least a dozen of the named problems."""
    assert set(tolerances.BOUNDS) | {"winograd"} == set(ALGORITHMS)
    assert set(ERROR) == set(winograd_matrices.VARIANTS)
    assert set(tolerances.POINTS) == {f for pair in ERROR for f in pair}
    for algorithm in ALGORITHMS:
        assert sum(case.reasons("float32")[algorithm] is None for case in CASES) >= 12, algorithm


@supported(CASES, algorithms=tolerances.EXACT)
def test_small_integers_are_exact(algorithm, case, dtype):
    """|x|, |w| <= 8 keep every sum below 2**24.

    F(2,3) halves once an axis, and quarters of such integers are exact as well.
    """
    x, w, bias = case.integers(dtype)
    np.testing.assert_array_equal(
        case.run(x, w, bias, algorithm=algorithm), case.expected(x, w, bias)
    )


@supported(TILES, algorithms=[Way("winograd")])
def test_strict_is_exact_on_small_integers(algorithm, case, dtype):
    """No variant is forced here."""
    x, w, bias = case.integers(dtype)
    y = case.run(x, w, bias, algorithm=algorithm, accuracy="strict")
    np.testing.assert_array_equal(y, case.expected(x, w, bias))


@supported(named("batch", "groups_2", "one_channel"), ["float32"])
def test_inputs_are_not_modified(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    before = [a.tobytes() for a in (x, w, bias)]
    case.run(x, w, bias, algorithm=algorithm)
    assert [a.tobytes() for a in (x, w, bias)] == before


@supported([*TILES, *WIDTHS[::8], *named("tall", "batch", "stem_7x7", "depthwise", "line_strided")])
def test_an_earlier_call_leaves_nothing_behind(algorithm, case, dtype):
    """Scratch is used again as it was left: after zeros or after NaN, the same bits."""
    x, w, bias, _ = answered(case, dtype)
    answers = []
    for value in (0, np.nan):
        kernel, stride = case.w[2:], case.geometry["stride"]
        before = np.full((1, 24, *(48,) * len(kernel)), value), np.ones((24, 24, *kernel))
        before = [array.astype(dtype) for array in before]
        cyconv.conv(*before, stride=stride, algorithm=algorithm, threads=1)
        answers.append(case.run(x, w, bias, algorithm=algorithm, threads=1))
    np.testing.assert_array_equal(*answers)


# ---- how the arrays lie ------------------------------------------------------------------------


def _every_other(a):
    """`a` as every other cell, along each axis, of an array of NaN."""
    big = np.full([2 * n for n in a.shape], np.nan, a.dtype)
    view = big[(slice(None, None, 2),) * a.ndim]
    view[...] = a
    return view


def _in_records(a):
    """`a` as a field at an odd offset: unaligned, and strides no multiple of the item size."""
    records = np.zeros(a.shape, np.dtype([("tag", "i1"), ("value", a.dtype)]))
    records["value"] = a
    return records["value"]


def _read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def _window_of_a_larger(a):
    big = np.full([n + 3 for n in a.shape], np.nan, a.dtype)
    view = big[tuple(slice(1, 1 + n) for n in a.shape)]
    view[...] = a
    return view


LAYOUTS = {
    "fortran": np.asfortranarray,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "rows_reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "channels_last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1),
    "batch_last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 0, -1)), -1, 0),
    "every_other": _every_other,
    "window_of_a_larger": _window_of_a_larger,
    "unaligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "in_records": _in_records,
    "byte_swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "read_only": _read_only,
}

LAID = named(
    "tiles_mixed", "groups_2", "pointwise", "stride_2", "line", "depthwise", "tall", "volume"
)


@pytest.mark.parametrize("layout", LAYOUTS)
@supported(LAID)
def test_any_input_strides(algorithm, case, dtype, layout):
    """The bits are those of contiguous arrays, whatever the strides of x and w."""
    x, w, bias, _ = answered(case, dtype)
    expected = case.run(x, w, bias, algorithm=algorithm)
    lay = LAYOUTS[layout]
    lain = lay(x), lay(w), bias if layout == "channels_last" else lay(bias[:, None])[:, 0]
    for a, plain in zip(lain, (x, w, bias), strict=True):
        np.testing.assert_array_equal(a, plain)
    y = case.run(*lain, algorithm=algorithm)
    assert y.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(y, expected)


@supported(LAID)
def test_broadcast_input(algorithm, case, dtype):
    """A stride of zero, over images, channels, rows and kernel rows, is a stride."""
    x, w, bias, _ = answered(case, dtype)
    for axis in range(x.ndim):
        xs = np.broadcast_to(np.take(x, [0], axis), x.shape)
        ws = np.broadcast_to(np.take(w, [0], axis), w.shape)
        np.testing.assert_array_equal(
            case.run(xs, ws, bias, algorithm=algorithm),
            case.run(xs.copy(), ws.copy(), bias, algorithm=algorithm),
        )


OUT_LAYOUTS = ("fortran", "reversed", "rows_reversed", "channels_last", "every_other")


@pytest.mark.parametrize("layout", [*OUT_LAYOUTS, "window_of_a_larger", "contiguous"])
@supported(LAID)
def test_any_out_strides(algorithm, case, dtype, layout):
    x, w, bias, _ = answered(case, dtype)
    expected = case.run(x, w, bias, algorithm=algorithm)
    empty = np.full(expected.shape, np.nan, dtype)
    out = empty if layout == "contiguous" else LAYOUTS[layout](empty)
    beside = None if out.base is None else out.base.copy()
    assert case.run(x, w, bias, algorithm=algorithm, out=out) is out
    np.testing.assert_array_equal(out, expected)
    if layout in ("every_other", "window_of_a_larger"):
        out[...] = np.nan
        np.testing.assert_array_equal(out.base, beside, "cells beside out were written")


LETTERS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


@pytest.mark.parametrize("letters", [False, True], ids=["by_name", "by_letters"])
@supported([*LAID, *named("unbatched", "line_unbatched", "border_reflect", "flipped", "volume")])
def test_channels_last(algorithm, case, dtype, letters):
    """Only x and y lie differently: the same bits, and `out` is written in place."""
    x, w, bias, _ = answered(case, dtype)
    expected = case.run(x, w, bias, algorithm=algorithm)
    axis = x.ndim - case.rank - 1
    format_ = LETTERS[case.rank] if letters else "channels_last"
    options = {"algorithm": algorithm, "data_format": format_}
    last = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    y = case.run(last, w, bias, **options)
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(np.moveaxis(y, -1, axis), expected)
    out = np.full_like(y, np.nan)
    assert case.run(last, w, bias, out=out, **options) is out
    np.testing.assert_array_equal(out, y)


# ---- accuracy ----------------------------------------------------------------------------------


def deep(rng, draw, kernel=(3, 3)):
    """64 channels: the data of the accuracy tests.

    So many filters fill no vectors, in which `direct` would sum blocks of channels, more exactly.
    """
    x, w = draw(rng, (2, 64, 28, 28)), draw(rng, (18, 64, *kernel))
    return x.astype(np.float32), w.astype(np.float32)


DRAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.random(shape),
}


def deep_error(algorithm, x, w, **options):
    y = cyconv.conv2d(x, w, padding=1, algorithm=algorithm, **options)
    return tolerances.relative_rms(y, oracle.conv(x, w, padding=1))


@by_way
@pytest.mark.parametrize("draw", DRAWS)
def test_rms_error(algorithm, draw, isa):
    """The typical error is far below the bound: that of a running sum times the variant's."""
    x, w = deep(np.random.default_rng(2), DRAWS[draw])
    allowed = ERROR.get(algorithm.variant, 1) * tolerances.expected_rms(64 * 9, np.float32)
    assert deep_error(algorithm, x, w) <= allowed


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("variant", ERROR, ids=str)
def test_a_variants_error_is_within_its_multiple_of_directs(variant, draw, seed, isa):
    """F(2,3) is at least as accurate as a plain sum, the others stay within what is said."""
    kernel = tuple(r for _, r in variant)
    x, w = deep(np.random.default_rng(seed), DRAWS[draw], kernel)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "_fitting", lambda down, across: [variant])
        error = deep_error("winograd", x, w, accuracy="fast")
    assert error <= ERROR[variant] * deep_error("direct", x, w)


def test_each_accuracy_has_its_variants():
    """Of the squares; "strict" allows no other one, so it is exact on small integers."""
    said = {
        accuracy: {variant for variant, error in ERROR.items() if error <= most}
        for accuracy, most in cost.ACCURACY.items()
    }
    f23, f43, _ = SQUARES
    assert said["strict"] == {f23}
    assert said["balanced"].intersection(SQUARES) == {f23, f43}
    assert said["fast"] == set(ERROR)


@supported(CASES, algorithms=[Way("winograd")])
def test_the_variant_is_one_that_the_accuracy_allows(algorithm, case, dtype):
    cls = cyconv.planning.registry.get(algorithm)
    accuracies = [*cost.ACCURACY, 1e-3, 1e-5, 2e-6, 1e-7]
    for problem, accuracy in product(lowering.primitives(case.problem(dtype)), accuracies):
        most = cost.allowed(problem, accuracy)
        variant = cls.variant(problem, most)
        assert cls.error_bound(problem, most) == ERROR[variant]
        least = min(ERROR[v] for v in possible(problem.kernel, problem.stride))
        assert ERROR[variant] <= max(most, least)


@supported(
    named("tiles_vgg_28", "tiles_grouped", "volume", "batch", "border_reflect"),
    algorithms=[Way("winograd")],
)
def test_a_call_has_the_bits_of_a_variant_that_its_accuracy_allows(algorithm, case, dtype):
    x, w, bias, _ = answered(case, dtype)
    bits = {}
    for way in WAYS:
        if way.variant in SQUARES:
            with forced(way):
                bits[way.variant] = case.run(x, w, bias, algorithm=way).tobytes()
    assert len(set(bits.values())) == len(SQUARES), "a variant was not forced"
    for accuracy, most in cost.ACCURACY.items():
        y = case.run(x, w, bias, algorithm=algorithm, accuracy=accuracy).tobytes()
        assert y in {same for variant, same in bits.items() if ERROR[variant] <= most}, accuracy
