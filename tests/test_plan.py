"""Problem, Plan, packed weights, the explanation and the limit on memory."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import cyconv
from cyconv import lowering
from cyconv.cli import fitting
from cyconv.planning import cost, registry
from cyconv.planning.plan import Plan
from cyconv.problem.problem import derived

from . import tolerances
from .cases import ALGORITHMS, Case, named, supported
from .variants import by_way

LAYER = Case("plan_layer", (2, 24, 30, 31), (20, 24, 3, 3), padding=1)
SOME = [LAYER, *named("groups_2", "depthwise", "stride_2", "line", "pointwise", "per_side")]


# ---- Problem -----------------------------------------------------------------------------------


def test_equal_problems_are_equal_whatever_way_they_were_written():
    one = cyconv.Problem((1, 3, 8, 9), (4, 3, 3, 3), "float32", 1, 1, 1, 1)
    for other in (
        cyconv.Problem([1, 3, 8, 9], [4, 3, 3, 3], np.float32, padding=(1, 1)),
        cyconv.Problem((1, 3, 8, 9), (4, 3, 3, 3), np.dtype("f4"), (1, 1), ((1, 1), (1, 1))),
        cyconv.Problem(np.array([1, 3, 8, 9]), (4, 3, 3, 3), stride=np.int64(1), padding="same"),
    ):
        assert one == other
        assert hash(one) == hash(other)
    assert len({one, cyconv.Problem((1, 3, 8, 9), (4, 3, 3, 3), padding=1)}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"x_shape": (2, 3, 8, 9)},
        {"w_shape": (5, 3, 3, 3)},
        {"dtype": "float64"},
        {"stride": 2},
        {"padding": ((1, 1), (1, 0))},
        {"dilation": (1, 2)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_different_problems_differ(change):
    base = {"x_shape": (1, 3, 8, 9), "w_shape": (4, 3, 3, 3), "padding": 1}
    assert cyconv.Problem(**base) != cyconv.Problem(**{**base, **change})


def test_a_problem_is_frozen():
    problem = LAYER.problem("float32")
    for name in ("stride", "x_shape", "output_shape", "anything"):
        with pytest.raises(AttributeError):
            setattr(problem, name, 1)


def test_a_problem_shows_what_it_is():
    shown = repr(LAYER.problem("float32"))
    for part in ("Problem", "(2, 24, 30, 31)", "(20, 24, 3, 3)", "float32"):
        assert part in shown


@pytest.mark.parametrize("direction", ["forward", "grad_input", "grad_weight"])
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("batch", [(), (3,)], ids=["unbatched", "batched"])
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "odd"])
def test_what_is_derived_at_once_is_what_the_formulas_say(direction, last, batch, plain):
    number = int if plain else np.int64  # which the long way makes an int of
    shape = (*batch, 9, 11, 4) if last else (*batch, 4, 9, 11)
    problem = cyconv.Problem(
        tuple(map(number, shape)),
        (6, 2, 3, 2),
        np.dtype("float32"),
        (number(2), 1),
        ((1, 2), (0, 3)),
        (1, number(3)),
        2,
        data_format="channels_last" if last else "channels_first",
        direction=direction,
    )
    found = dict(problem.__dict__)
    formulas = {n: f for n, f in vars(cyconv.Problem).items() if isinstance(f, derived)}
    assert len(found.keys() & formulas.keys()) >= 14
    for name in found.keys() & formulas.keys():
        assert found[name] == formulas[name].func(problem), name
    renamed = problem.named("someone")
    assert renamed == problem
    assert renamed.operation == "someone"
    assert problem.rewritten(stride=problem.stride) == problem


def test_a_problem_knows_its_cost():
    problem = cyconv.Problem((2, 6, 10, 12), (8, 3, 3, 5), stride=(1, 2), padding=1, groups=2)
    assert problem.output_shape == (2, 8, 10, 5)
    assert problem.kernel == (3, 5)
    assert problem.spatial == (10, 12)
    assert problem.parameters == 8 * 3 * 3 * 5
    assert problem.parameters_with_bias == problem.parameters + 8
    assert problem.flops == 2 * (2 * 8 * 10 * 5) * (3 * 3 * 5)
    assert problem.bytes == 4 * (2 * 6 * 10 * 12 + problem.parameters + 2 * 8 * 10 * 5)


def test_costs_of_huge_problems_do_not_overflow():
    n = 2**20
    problem = cyconv.Problem((n, n, 3, 3), (n, n, 3, 3))
    assert problem.flops == 2 * n**3 * 9
    assert problem.parameters == 9 * n**2


# ---- Plan --------------------------------------------------------------------------------------


@supported(SOME)
def test_a_plan_gives_the_bits_of_the_one_shot_call(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    plan = cyconv.plan(case.problem(dtype), algorithm=algorithm)
    assert plan.algorithm == algorithm
    expected = case.run(x, w, bias, algorithm=algorithm)
    np.testing.assert_array_equal(plan(x, w, bias), expected)
    out = np.full_like(expected, np.nan)
    assert plan(x, w, bias, out=out) is out
    np.testing.assert_array_equal(out, expected)
    without = case.run(x, w, None, algorithm=algorithm)
    np.testing.assert_array_equal(plan(x, w), without)


def test_equal_plans_are_equal_and_show_what_they_are():
    problem = LAYER.problem("float32")
    one, two = (cyconv.plan(problem, algorithm="direct") for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != cyconv.plan(problem, algorithm="im2col")
    assert "direct" in repr(one)
    assert "Plan" in repr(one)
    with pytest.raises(AttributeError):
        one.algorithm = "im2col"


def test_a_plan_refuses_arrays_of_another_problem():
    x, w, bias = LAYER.data("float32")
    plan = cyconv.plan(LAYER.problem("float32"))
    for arrays in [
        (x[:1], w, bias),
        (x, w[:3], bias),
        (x[..., :-1], w, bias),
        (x, w, bias[:3]),
    ]:
        with pytest.raises(ValueError, match="shape"):
            plan(*arrays)
    with pytest.raises(TypeError, match="float64"):
        plan(x.astype("float64"), w.astype("float64"), bias.astype("float64"))


def test_the_cache_of_plans_is_bounded():
    """A thousand problems later the first plan is forgotten, and made again the same."""
    first = cyconv.plan(cyconv.Problem((1, 1, 9, 9), (1, 1, 3, 3)))
    for n in range(1000):
        cyconv.plan(cyconv.Problem((1, 1, 9, 10 + n), (1, 1, 3, 3)))
    again = cyconv.plan(cyconv.Problem((1, 1, 9, 9), (1, 1, 3, 3)))
    assert first == again
    assert first is not again


def test_the_cache_gives_a_recent_plan_again():
    problem = LAYER.problem("float32")
    assert cyconv.plan(problem) is cyconv.plan(problem)


# ---- packed weights ----------------------------------------------------------------------------


@supported(SOME)
def test_packed_weights_give_the_bits_of_the_one_shot_call(algorithm, case, dtype, isa):
    x, w, bias = case.data(dtype)
    plan = cyconv.plan(case.problem(dtype), algorithm=algorithm)
    packed = plan.pack(w, bias)
    expected = case.run(x, w, bias, algorithm=algorithm)
    for _ in range(2):
        np.testing.assert_array_equal(packed(x), expected)
    out = np.full_like(expected, np.nan)
    assert packed(x, out=out) is out
    np.testing.assert_array_equal(out, expected)
    other = case.run(x[::-1] + 1, w, bias, algorithm=algorithm)
    np.testing.assert_array_equal(packed(x[::-1] + 1), other)


ONE_PIECE = [  # of work, that packs the weights as it goes: several blocks of filters and planes
    Case("once_taps", (1, 300, 7, 9), (200, 300, 3, 3), padding=1),
    Case("once_pointwise", (1, 520, 6, 7), (203, 520, 1, 1)),
    Case("once_stride", (1, 40, 15, 14), (110, 40, 3, 3), stride=2, padding=1),
    Case("once_groups", (1, 96, 9, 9), (104, 48, 3, 3), groups=2),
]


@supported(ONE_PIECE)
def test_a_call_that_packs_as_it_goes_gives_the_bits_of_packed_weights(algorithm, case, dtype, isa):
    x, w, bias = case.data(dtype)
    y = cyconv.plan(case.problem(dtype), algorithm=algorithm, threads=1).pack(w, bias)(x)
    expected = case.expected(x, w, bias)
    tolerances.assert_close(y, expected, algorithm, x, w, bias, **case.geometry)
    for threads in (1, 2, 7):
        once = case.run(x, w, bias, algorithm=algorithm, threads=threads)
        np.testing.assert_array_equal(once, y, f"{threads} threads")


@supported([LAYER], ["float32"])
def test_packing_copies(algorithm, case, dtype):
    """Changing the weights afterwards changes nothing."""
    x, w, bias = case.data(dtype)
    packed = cyconv.plan(case.problem(dtype), algorithm=algorithm).pack(w, bias)
    expected = case.run(x, w, bias, algorithm=algorithm)
    w[...] = bias[...] = 0
    np.testing.assert_array_equal(packed(x), expected)


@supported([LAYER], ["float32"])
def test_packed_weights_outlive_a_change_of_instruction_set(algorithm, case, dtype):
    """Packed for one instruction set, run under another: refused or right, never garbage."""
    x, w, bias = case.data(dtype)
    plan = cyconv.plan(case.problem(dtype), algorithm=algorithm)
    packed, expected = plan.pack(w, bias), case.expected(x, w, bias)
    before = cyconv.kernels.isa()
    try:
        for name in cyconv.kernels.available():
            cyconv.kernels.set_isa(name)
            for y in (packed(x), plan(x, w, bias)):
                tolerances.assert_close(y, expected, algorithm, x, w, bias, **case.geometry)
    finally:
        cyconv.kernels.set_isa(before)


ACTIVATIONS = {
    None: lambda y: y,
    "relu": lambda y: np.maximum(y, 0),
    "relu6": lambda y: np.clip(y, 0, 6),
    (-1.5, 2.25): lambda y: np.clip(y, -1.5, 2.25),
    (-np.inf, 0.5): lambda y: np.minimum(y, 0.5),
}


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("biased", [True, False], ids=["bias", "no_bias"])
@supported(SOME)
def test_bias_and_activation_come_after_the_sum(algorithm, case, dtype, activation, biased):
    x, w, bias = case.data(dtype)
    bias = bias if biased else None
    expected = ACTIVATIONS[activation](case.run(x, w, bias, algorithm=algorithm))
    y = case.run(x, w, bias, algorithm=algorithm, activation=activation)
    np.testing.assert_array_equal(y, expected)
    packed = cyconv.plan(case.problem(dtype), algorithm=algorithm).pack(w, bias, activation)
    np.testing.assert_array_equal(packed(x), expected)


@supported([LAYER], ["float32"])
def test_an_activation_keeps_nan(algorithm, case, dtype):
    x, w, bias = case.data(dtype)
    x[0, 0, 5, 5] = np.nan
    plain = case.run(x, w, bias, algorithm=algorithm)
    clamped = case.run(x, w, bias, algorithm=algorithm, activation="relu6")
    np.testing.assert_array_equal(np.isnan(clamped), np.isnan(plain))
    np.testing.assert_array_equal(clamped, np.clip(plain, 0, 6))


# ---- the choice and its explanation ------------------------------------------------------------


def test_algorithms_lists_all_with_a_reason_for_those_that_cannot():
    problem = cyconv.Problem((1, 3, 19, 19), (4, 3, 3, 3), stride=5)
    reasons = cyconv.algorithms(problem)
    assert tuple(reasons) == ALGORITHMS
    assert reasons["direct"] is None
    assert reasons["im2col"] is None
    assert "stride" in reasons["winograd"]


def test_the_public_names_survive_the_first_call(child):
    """Importing the algorithms on demand must not hide the functions named like their packages."""
    child(
        "import numpy as np, cyconv\n"
        "problem = cyconv.Problem((1, 1, 9, 9), (1, 1, 3, 3))\n"
        "first = cyconv.algorithms(problem)\n"
        "cyconv.conv2d(np.ones((1, 1, 9, 9)), np.ones((1, 1, 3, 3)))\n"
        "assert cyconv.algorithms(problem) == first\n"
        "assert cyconv.plan(problem).algorithm in first\n"
    )


@pytest.mark.parametrize("case", [LAYER, *SOME], ids=str)
def test_explain_mentions_every_algorithm(case):
    plan = cyconv.plan(case.problem("float32"))
    explanation = plan.explain()
    text = str(explanation)
    for name in ALGORITHMS:
        assert name in text
    for why in cyconv.algorithms(case.problem("float32")).values():
        assert why is None or why in text
    assert plan.algorithm in text


def test_an_explanation_is_json():
    plan = cyconv.plan(LAYER.problem("float32"))
    told = plan.explain().to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["algorithm"] == plan.algorithm
    assert tuple(told["output_shape"]) == LAYER.problem("float32").output_shape
    assert told["parameters"] == LAYER.problem("float32").parameters
    assert told["flops"] == LAYER.problem("float32").flops
    assert isinstance(told["chain"], list)
    assert {c["name"] for c in told["candidates"]} == set(ALGORITHMS)
    by_name = {c["name"]: c for c in told["candidates"]}
    reasons = cyconv.algorithms(LAYER.problem("float32"))
    for name, candidate in by_name.items():
        assert candidate["reason"] == reasons[name]
        if candidate["reason"] is None:
            assert candidate["seconds"] > 0
            assert candidate["workspace_bytes"] >= 0
            assert candidate["error"] > 0
    assert by_name[plan.algorithm]["workspace_bytes"] == plan.workspace_bytes


def test_the_choice_is_the_cheapest_that_may():
    for case in SOME:
        plan = cyconv.plan(case.problem("float32"))
        candidates = plan.explain().to_dict()["candidates"]
        cheapest = min((c for c in candidates if c["reason"] is None), key=lambda c: c["seconds"])
        assert plan.algorithm == cheapest["name"]


def watched(name, made):
    """The class of an algorithm, which writes its name into `made` when it is laid out."""

    def lay_out(algorithm, *arguments):
        made.append(name)
        super(cls, algorithm).__init__(*arguments)

    cls = type("Algorithm", (registry.get(name),), {"__init__": lay_out})
    return cls


@pytest.mark.parametrize("case", SOME, ids=str)
def test_only_what_is_chosen_is_laid_out(case):
    made, problem = [], case.problem("float32")

    class Watched(Plan):
        _registry = SimpleNamespace(
            every=lambda _: [watched(name, made) for name in registry.names()]
        )

    plan = Watched(problem, "auto", 1, "balanced", cost.WORKSPACE_LIMIT, cyconv.kernels.isa())
    assert set(made) == {plan.algorithm}
    over = plan.explain().over
    assert over == cyconv.plan(problem, threads=1).explain().over
    assert plan.algorithm not in over


@pytest.mark.parametrize("case", SOME, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_algorithm_costs_less_than_its_least(case, dtype):
    stated = 0
    for problem in lowering.primitives(case.problem(dtype)):
        for cls in registry.every(problem.dtype):
            if cls.least is not None and cls.supports(problem) is None:
                assert cls.cost(problem, 1) >= cls.least(problem) > 0
                stated += 1
    assert stated


def test_a_change_of_a_constant_changes_the_costs():
    problem = LAYER.problem("float32")
    before = registry.get("direct").cost(problem, 1)
    with fitting.record_kept():
        cost.calls.call_seconds *= 100
        assert registry.get("direct").cost(problem, 1) == pytest.approx(
            before + 0.99 * cost.calls.call_seconds
        )
    assert registry.get("direct").cost(problem, 1) == before


def test_a_bound_on_the_error_is_kept_or_refused():
    problem = LAYER.problem("float32")
    assert cyconv.plan(problem, accuracy=1e-3).algorithm in ALGORITHMS
    with pytest.raises(ValueError, match="accuracy"):
        cyconv.plan(problem, accuracy=1e-30)


# ---- the limit on memory -----------------------------------------------------------------------


@pytest.mark.parametrize("share", [2, 3, 8])
@supported([LAYER, Case("limit_wide", (2, 16, 30, 200), (12, 16, 3, 3), padding=1)])
def test_a_limit_below_the_need_is_kept_by_splitting_or_refused(algorithm, case, dtype, share):
    x, w, bias = case.data(dtype)
    problem = case.problem(dtype)
    free = cyconv.plan(problem, algorithm=algorithm)
    limit = free.workspace_bytes // share
    try:
        plan = cyconv.plan(problem, algorithm=algorithm, workspace_limit=limit)
    except MemoryError:
        with pytest.raises(MemoryError, match=r"needs \d+.*limit.*\d+"):
            case.run(x, w, bias, algorithm=algorithm, workspace_limit=limit)
        return
    assert plan.workspace_bytes <= limit
    y = case.run(x, w, bias, algorithm=algorithm, workspace_limit=limit)
    expected = case.expected(x, w, bias)
    tolerances.assert_close(y, expected, algorithm, x, w, bias, **case.geometry)


def test_im2col_splits_its_columns():
    """Its whole patch matrix would take 9 times the image; a tenth of that is enough to run."""
    case = Case("limit_im2col", (2, 32, 64, 64), (8, 32, 3, 3), padding=1)
    x, w, bias = case.data("float32")
    limit = 9 * x.nbytes // 10
    plan = cyconv.plan(case.problem("float32"), algorithm="im2col", workspace_limit=limit)
    assert plan.workspace_bytes <= limit
    y = case.run(x, w, bias, algorithm="im2col", workspace_limit=limit)
    expected = case.expected(x, w, bias)
    tolerances.assert_close(y, expected, "im2col", x, w, bias, **case.geometry)


def test_the_choice_passes_over_what_does_not_fit():
    problem = LAYER.problem("float32")
    x, w, bias = LAYER.data("float32")
    expected = LAYER.expected(x, w, bias)
    limits = [0, *(2**n for n in range(6, 24))]
    ran = 0
    for limit in limits:
        try:
            plan = cyconv.plan(problem, workspace_limit=limit)
        except MemoryError:
            continue
        ran += 1
        assert plan.workspace_bytes <= limit
        y = LAYER.run(x, w, bias, workspace_limit=limit)
        tolerances.assert_close(y, expected, plan.algorithm, x, w, bias, **LAYER.geometry)
    assert ran > 3


@by_way
def test_a_limit_too_small_says_what_is_needed_and_what_the_limit_is(algorithm):
    problem = LAYER.problem("float32")
    needed = cyconv.plan(problem, algorithm=algorithm).workspace_bytes
    if needed == 0:
        assert cyconv.plan(problem, algorithm=algorithm, workspace_limit=0).workspace_bytes == 0
        return
    with pytest.raises(MemoryError, match=r"needs \d+ bytes.*limit.* 1\b"):
        cyconv.plan(problem, algorithm=algorithm, workspace_limit=1)


def test_a_plan_is_told_of_in_its_own_instruction_set(isa):
    """Whichever is in use when it is asked: its estimates stay its own."""
    planned = cyconv.plan(cyconv.Problem((2, 8, 20, 21), (12, 8, 3, 3), padding=1), threads=1)
    told = planned.explain().to_dict()
    for other in cyconv.kernels.available():
        cyconv.kernels.set_isa(other)
        assert planned.explain().to_dict() == told
