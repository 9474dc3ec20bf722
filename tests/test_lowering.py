"""The rewrite rules: what each takes away, what is left, and the chain that explain() shows."""

import dataclasses
import tracemalloc
from math import gcd, prod

import numpy as np
import pytest

import cyconv
from cyconv import lowering
from cyconv.lowering.rule import Views

from .cases import Case, seeds
from .test_directions import random_case

DTYPES = (
    "float16", "float32", "float64", "complex64", "complex128", "int8", "uint8", "int16", "uint16",
    "int32", "uint32", "int64", "uint64",
)  # fmt: skip
DIRECTIONS = ("forward", "grad_input", "grad_weight")

BASE = {"x_shape": (2, 4, 9, 10), "w_shape": (6, 4, 3, 3)}


def problem(**changes):
    return cyconv.Problem(**{**BASE, **changes})


def random_problem(seed):
    """Any geometry, dtype, direction, format and result dtype."""
    case, rng = random_case(seed, max_rank=5), np.random.default_rng(seed)
    rank, x_shape, options = case.rank, case.x, {}
    if rng.random() < 0.5:
        head = x_shape[: -rank - 1]
        x_shape = (*head, *x_shape[-rank:], x_shape[-rank - 1])
        options["data_format"] = "channels_last"
    dtype = str(rng.choice(DTYPES))
    if rng.random() < 0.3:
        options["out_dtype"] = {"f": "float64", "c": "complex128"}.get(
            np.dtype(dtype).kind, "int64"
        )
    return cyconv.Problem(
        x_shape,
        case.w,
        dtype,
        **case.geometry,
        **options,
        direction=str(rng.choice(DIRECTIONS)),
    )


def rewritten(found):
    """Every problem on the way, with the rule that takes it apart (None for a primitive one)."""
    rule = lowering.lower(found)
    yield found, rule
    for child in () if rule is None else rule.children:
        yield from rewritten(child)


@seeds(150)
def test_no_primitive_problem_keeps_a_feature(seed):
    found = random_problem(seed)
    leaves = list(lowering.primitives(found))
    assert leaves
    for leaf in leaves:
        assert leaf.direction == "forward"
        assert leaf.batched
        assert leaf.rank >= 2
        assert leaf.data_format == "channels_first"
        assert leaf.padding_mode == "zeros" or not any(map(any, leaf.padding))
        assert not leaf.flip
        assert leaf.dtype in lowering.KERNEL_DTYPES or lowering.is_narrow(leaf)
        assert leaf.out_dtype == leaf.dtype or lowering.is_narrow(leaf)


@seeds(150)
def test_every_rule_takes_its_feature_away_and_no_flops_are_added(seed):
    """No rule applies twice in a row, and multiplications only grow where products are complex."""
    found = random_problem(seed)
    for here, rule in rewritten(found):
        if rule is None:
            narrow = {lowering.Cast} if lowering.is_narrow(here) else set()
            assert {one for one in lowering.RULES if one.applies(here)} == narrow
            continue
        assert type(rule).applies(here)
        for child in rule.children:
            assert not type(rule).applies(child), rule
        if not isinstance(rule, lowering.gradients.Scattered | lowering.GradWeight):
            factor = 3 if isinstance(rule, lowering.Complex) else 1
            solved = rule.children[: len(rule.children) - rule.spares]
            assert sum(child.flops for child in solved) == factor * here.flops


@seeds(50)
def test_every_rule_leaves_the_shape_of_the_result(seed):
    for here, rule in rewritten(random_problem(seed)):
        if isinstance(rule, lowering.Cast | lowering.Complex | lowering.Border):
            assert {child.output_shape for child in rule.children} <= {
                here.output_shape,
                rule.children[0].output_shape,
            }
        if isinstance(rule, lowering.GradInput):
            cells = sum(prod(child.output_shape) for child in rule.children[: len(rule.phases)])
            assert cells <= prod(here.output_shape)
            assert rule.gaps == (cells < prod(here.output_shape))


ALONE = {
    "Unbatched": {"x_shape": (4, 9, 10)},
    "ChannelsLast": {"x_shape": (2, 9, 10, 4), "data_format": "NHWC"},
    "Flip": {"flip": True},
    "OneAxis": {"x_shape": (2, 4, 9), "w_shape": (6, 4, 3)},
    "Cast": {"dtype": "uint16"},
    "Stored": {"dtype": "float16"},
    "Complex": {"dtype": "complex64"},
    "Border": {"padding": 1, "padding_mode": "circular"},
    "GradWeight": {"direction": "grad_weight"},
    "GradInput": {"direction": "grad_input"},
    "Interleaved": {"direction": "grad_input", "w_shape": (16, 4, 4, 2), "stride": 2},
}


@seeds(150)
def test_what_a_rule_leaves_would_have_been_accepted(seed):
    """Rules do not ask `Problem` again: it would find nothing wrong, and nothing to change."""
    for found, _ in rewritten(random_problem(seed)):
        asked = dataclasses.replace(found)
        assert asked == found
        for each in dataclasses.fields(found):
            value, given = getattr(asked, each.name), getattr(found, each.name)
            assert type(value) is type(given)
            assert repr(value) == repr(given)
        assert asked.dtype is found.dtype


@pytest.mark.parametrize("name", ALONE)
def test_one_feature_is_one_rule(name):
    rule = lowering.lower(problem(**ALONE[name]))
    assert type(rule).__name__ == name
    assert all(lowering.lower(child) is None for child in rule.children)


def test_a_plain_problem_has_no_rule():
    assert lowering.lower(problem()) is None
    assert lowering.lower(problem(stride=2, dilation=3, groups=2, w_shape=(6, 2, 3, 3))) is None
    assert cyconv.plan(problem()).explain().chain == ()


def test_the_gradient_of_a_border_is_two_rules():
    found = problem(padding=1, padding_mode="reflect", direction="grad_input")
    names = [type(rule).__name__ for _, rule in rewritten(found) if rule is not None]
    assert names == ["BorderAdjoint", "GradInput"]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_is_three_real_problems_or_four(dtype):
    found = problem(dtype=dtype)
    half = np.dtype(f"f{np.dtype(dtype).itemsize // 2}")
    for strict, count in ((False, 3), (True, 4)):
        rule, results = lowering.lower(found, strict), []
        rule.run(
            np.zeros(found.x_shape, dtype),
            np.empty(found.y_shape, dtype),
            lambda child, a, result, results=results: results.append(result.fill(0)),
        )
        assert len(results) == count
        assert {child.dtype for child in rule.children} == {half}


# ---- the chain that is shown -------------------------------------------------------------------

WHOLE = cyconv.Problem(
    (2, 12, 10, 4), (6, 2, 3, 3), "complex64", (2, 3), 2, 2, 2,
    padding_mode="reflect", data_format="channels_last", direction="grad_input",
)  # fmt: skip


def test_explain_shows_the_chain():
    """Strided, dilated, reflect-padded, channels-last, complex, transposed: a sentence each."""
    explanation = cyconv.plan(WHOLE).explain()
    chain = explanation.chain
    for sentence, words in zip(
        chain,
        ["channels last", "reflect", "three real", "gradient of the input -> 3 forward"],
        strict=True,
    ):
        assert words in sentence
        assert f"rewritten: {sentence}" in str(explanation)
    assert explanation.to_dict()["chain"] == list(chain)


def test_the_chain_of_a_call_is_that_of_its_problem():
    rng = np.random.default_rng(0)
    w = (rng.integers(-6, 7, WHOLE.w_shape) + 1j).astype("c8")
    g = (rng.integers(-6, 7, WHOLE.y_shape) + 2j).astype("c8")
    y = cyconv.plan(WHOLE)(g, w)
    again = cyconv.conv_transpose2d(
        g, w, None, (2, 3), 2, (1, 0), 2, 2, padding_mode="reflect", data_format="NHWC"
    )
    assert again.shape == WHOLE.x_shape
    np.testing.assert_array_equal(again, y)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"x_shape": (4, 9, 10)}, "a batch of one"),
        ({"flip": True}, "rotated by 180 degrees"),
        ({"dtype": "bfloat16"}, "bfloat16 -> sums in float32, rounded once"),
        ({"dtype": "uint16"}, "uint16 -> sums in int64, rounded once"),
        ({"x_shape": (2, 4, 9), "w_shape": (6, 4, 3)}, "two, of height 1"),
        ({"padding": 1, "padding_mode": "symmetric"}, "symmetric -> an explicit border"),
        ({"direction": "grad_weight"}, "stride and dilation exchanged"),
    ],
)
def test_sentences(features, words):
    pytest.importorskip("ml_dtypes")
    chain = cyconv.plan(problem(**features)).explain().chain
    assert len(chain) == 1
    assert words in chain[0]


@pytest.mark.parametrize("direction", ["forward", "grad_input"])
def test_large_kernels_are_solved_by_fft(direction):
    """Of 63 x 63 taps; 3 x 3 are not."""
    for taps, by_fft in ((63, True), (3, False)):
        found = cyconv.Problem((1, 1, 512, 512), (1, 1, taps, taps), direction=direction)
        assert (cyconv.plan(found).algorithm == "fft") == by_fft


# ---- phases of the stride ----------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_a_strided_gradient_has_a_problem_for_each_phase(kernel, dilation, stride):
    """``min(kernel, s / gcd(s, d))`` phases an axis meet taps; the other cells are zero."""
    found = cyconv.Problem(
        (1, 2, 40, 41),
        (3, 2, kernel, kernel),
        stride=(stride, 1),
        dilation=(dilation, 1),
        direction="grad_input",
    )
    rule = lowering.lower(found)
    assert isinstance(rule, lowering.GradInput)
    phases = min(kernel, stride // gcd(stride, dilation))
    assert len(rule.phases) == phases
    assert f"{phases} forward" in str(rule)
    assert len(rule.children) == phases + rule.gaps
    assert rule.gaps or phases == stride
    assert {child.stride for child in rule.children} == {(1, 1)}
    taps = [child.kernel[0] for child in rule.children[:phases]]
    assert sum(taps) == kernel


def test_the_phases_multiply_no_zeros():
    """All phases together have the forward's FLOPs, not those of an input with zeros between."""
    found = problem(x_shape=(1, 4, 65, 65), stride=2, direction="grad_input")
    rule = lowering.lower(found)
    assert len(rule.phases) == 4
    padded = sum(child.flops for child in rule.children)
    assert found.flops <= padded <= 1.1 * found.flops


# ---- no silent copy ----------------------------------------------------------------------------


def test_the_rules_that_look_only_share_memory():
    found = problem(x_shape=(9, 10, 4), data_format="channels_last", flip=True)
    x, w = np.ones(found.x_shape, "f4"), np.ones(found.w_shape, "f4")
    seen = {}
    for here, rule in rewritten(found):
        if rule is None:
            break
        assert isinstance(rule, Views)
        for role, array in {"x": x, "w": w, **seen}.items():
            view = rule.view(role, array)
            assert np.shares_memory(view, x if role == "x" else w)
            assert view.shape == rule.children[0].shape_of(role)
            seen[role] = view
        assert here.flops == rule.children[0].flops


@pytest.mark.parametrize("algorithm", ["direct", "implicit_gemm", "winograd"])
def test_a_channels_last_image_is_not_copied(algorithm):
    """Beside the result, a call takes less memory from Python than half of the image."""
    case = Case("channels_last", (1, 8, 256, 256), (8, 8, 3, 3), padding=1)
    x, w, _ = case.data("float32")
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    options = {"padding": 1, "algorithm": algorithm, "threads": 1, "data_format": "NHWC"}
    out = cyconv.conv2d(last, w, **options)
    tracemalloc.start()
    try:
        cyconv.conv2d(last, w, **options, out=out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < last.nbytes / 2
