"""Bad input ends in an error that names operation, argument, value and rule, or in a right answer.

Each table has a row for each way of being wrong: its name, what is changed in a call that is right,
the exception and what the message says after ``conv2d: ``.
"""

import numpy as np
import pytest

import cyconv

ALGORITHMS = ("auto", *cyconv.planning.registry.names())
NAN = float("nan")


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def good_call(**changes):
    """Arguments of a call that is right for every algorithm, but for `changes`."""
    return {"x": ones(1, 4, 5, 6), "w": ones(6, 4, 3, 3), "bias": ones(6), "padding": 1, **changes}


def refuses(error, message, function, *args, operation="conv2d", **kwargs):
    """`function` raises `error`, and its message is ``operation: `` and then `message`."""
    with pytest.raises(error, match=rf"^{operation}: {message}"):
        function(*args, **kwargs)


# ---- geometry: wrong for conv2d and Problem alike ----------------------------------------------

GEOMETRY = [
    ("stride_0", {"stride": 0}, ValueError, r"stride\[0\] must be >= 1, got 0$"),
    ("stride_minus_1", {"stride": (1, -1)}, ValueError, r"stride\[1\] must be >= 1, got -1$"),
    ("stride_1.5", {"stride": 1.5}, TypeError, r"stride.* must be an int, got 1\.5$"),
    ("stride_str", {"stride": "a"}, TypeError, r"stride.* must be an int, got 'a'$"),
    ("stride_none", {"stride": None}, TypeError, r"stride.* must be an int, got None$"),
    ("stride_nan", {"stride": NAN}, TypeError, r"stride.* must be an int, got nan$"),
    ("stride_bool", {"stride": True}, TypeError, r"stride.* must be an int, got True$"),
    ("stride_short", {"stride": (1,)}, ValueError, r"stride must be .*2 ints.*got \(1,\)$"),
    ("stride_long", {"stride": (1, 1, 1)}, ValueError, r"stride must .*got \(1, 1, 1\)$"),
    ("stride_array", {"stride": ones(2)}, TypeError, r"stride.* must be an int, got"),
    ("dilation_0", {"dilation": 0}, ValueError, r"dilation\[0\] must be >= 1, got 0$"),
    ("dilation_minus_1", {"dilation": -1}, ValueError, r"dilation\[0\] must be >= 1, got -1$"),
    ("dilation_2**62", {"dilation": 2**62}, ValueError, r".*dilation.*= 9223372036854775809 must"),
    ("dilation_2**63-1", {"dilation": 2**63 - 1}, ValueError, ".*dilation.*must be <="),
    ("dilation_2**100", {"dilation": 2**100}, ValueError, ".*dilation.*must be <="),
    ("dilation_str", {"dilation": "2"}, TypeError, r"dilation.* must be an int, got '2'$"),
    ("dilation_short", {"dilation": [2]}, ValueError, r"dilation must .*got \[2\]$"),
    ("padding_minus_1", {"padding": -1}, ValueError, r"padding\[0\] must be >= 0, got -1$"),
    ("padding_lo", {"padding": (0, (-1, 1))}, ValueError, r"padding\[1\] must be >= 0, got -1$"),
    ("padding_1.5", {"padding": 1.5}, TypeError, r"padding.* must be an int, got 1\.5$"),
    ("padding_none", {"padding": None}, TypeError, r"padding.* must be an int, got None$"),
    ("padding_nan", {"padding": (1, NAN)}, TypeError, r"padding\[1\] must be an int, got nan$"),
    ("padding_bool", {"padding": False}, TypeError, r"padding.* must be an int, got False$"),
    ("padding_name", {"padding": "full"}, ValueError, "padding .*valid.*same.*same_lower.*'full'$"),
    ("padding_short", {"padding": (1,)}, ValueError, r"padding must .*got \(1,\)$"),
    ("padding_long", {"padding": (1, 1, 1)}, ValueError, r"padding must .*got \(1, 1, 1\)$"),
    ("padding_triple", {"padding": ((1, 2, 3), 0)}, ValueError, r"padding\[0\] .*\(1, 2, 3\)$"),
    ("padding_nested", {"padding": (("a", "b"), 0)}, TypeError, r"padding\[0\] .*'a'$"),
    ("padding_2**63-5", {"padding": 2**63 - 5}, ValueError, r"padding\[0\] .*9223372036854775803"),
    ("padding_2**200", {"padding": 2**200}, ValueError, r"padding\[0\] must .*2\*\*62"),
    ("output_2**63", {"padding": 2**40}, ValueError, r"output of shape .*2\*\*63"),
    ("groups_0", {"groups": 0}, ValueError, "groups must be >= 1, got 0$"),
    ("groups_minus_1", {"groups": -1}, ValueError, "groups must be >= 1, got -1$"),
    ("groups_3", {"groups": 3}, ValueError, "groups must divide the 4 channels of x, got 3$"),
    ("groups_4", {"groups": 4, "w": ones(6, 1, 3, 3)}, ValueError, "groups .*6 filters.*got 4$"),
    ("groups_2", {"groups": 2}, ValueError, r"w\.shape\[1\] must be C/groups = 4/2 = 2, got 4$"),
    ("groups_over_k", {"groups": 4, "w": ones(2, 1, 3, 3)}, ValueError, "groups .*2 filters"),
    ("groups_2**64", {"groups": 2**64}, ValueError, "groups must divide"),
    ("groups_1.0", {"groups": 1.0}, TypeError, r"groups must be an int, got 1\.0$"),
    ("groups_none", {"groups": None}, TypeError, "groups must be an int, got None$"),
    ("channels", {"w": ones(6, 3, 3, 3)}, ValueError, r"w\.shape\[1\] must be .*= 4, got 3$"),
    ("no_kernel", {"w": ones(6, 4, 0, 3)}, ValueError, r"w\.shape\[2\].* must be >= 1, got 0$"),
    ("no_row", {"w": ones(6, 4, 3, 0)}, ValueError, r"w\.shape\[3\].* must be >= 1, got 0$"),
    ("large_kernel", {"w": ones(6, 4, 3, 9)}, ValueError, ".*kernel.* 9 must be <= .* 8 on .*1$"),
    ("large_dilated", {"dilation": (4, 1)}, ValueError, ".*kernel.* 9 must be <= .* 7 on .* 0$"),
    ("x_2d", {"x": ones(5, 6)}, ValueError, r"x must .*got shape \(5, 6\)$"),
    ("x_5d", {"x": ones(1, 4, 5, 6, 7)}, ValueError, r"x must .*got shape \(1, 4, 5, 6, 7\)$"),
    ("x_0d", {"x": ones()}, ValueError, r"x must .*got shape \(\)$"),
    ("mode", {"padding_mode": "mirror"}, ValueError, "padding_mode .*zeros.*circular.*'mirror'$"),
    ("mode_none", {"padding_mode": None}, ValueError, "padding_mode must be one of .*None$"),
    ("mode_list", {"padding_mode": ["zeros"]}, ValueError, "padding_mode must be one of"),
    ("format", {"data_format": "HWNC"}, ValueError, "data_format .*channels_last.*'HWNC'$"),
    ("format_rank", {"data_format": "NWC"}, ValueError, "data_format 'NWC' .*1 spatial.*2$"),
    ("flip", {"flip": "yes"}, TypeError, "flip must be a bool, got 'yes'$"),
]


def rows(table):
    return pytest.mark.parametrize(
        ("changes", "error", "message"), [row[1:] for row in table], ids=[row[0] for row in table]
    )


@rows(GEOMETRY)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_wrong_geometry(changes, error, message, algorithm):
    """For every algorithm, after a call that was right; `out` is left as it was."""
    cyconv.conv2d(**good_call(), algorithm=algorithm)
    out = np.full((1, 6, 5, 6), np.nan, np.float32)
    call = good_call(**changes)
    refuses(error, message, cyconv.conv2d, **call, algorithm=algorithm, out=out)
    assert np.isnan(out).all()


@rows(GEOMETRY)
def test_a_wrong_problem(changes, error, message):
    call = good_call(**changes)
    shapes = call.pop("x").shape, call.pop("w").shape
    del call["bias"]
    refuses(error, message, cyconv.Problem, *shapes, operation="Problem", **call)


PROBLEM = [
    ("x_shape_int", {"x_shape": 5}, TypeError, "x.*shape.* 5$"),
    ("x_shape_str", {"x_shape": "abcd"}, TypeError, "x.*shape.*'a'$"),
    ("x_shape_none", {"x_shape": None}, TypeError, "x.*shape.*None$"),
    ("x_shape_negative", {"x_shape": (1, 4, -5, 6)}, ValueError, r"x\.shape\[2\] .*>= 0, got -5$"),
    ("x_shape_float", {"x_shape": (1, 4, 5.0, 6)}, TypeError, r"x\.shape\[2\] .*int, got 5\.0$"),
    ("x_shape_huge", {"x_shape": (2**40, 4, 2**40, 6)}, ValueError, r".*2\*\*63"),
    ("w_shape_negative", {"w_shape": (-6, 4, 3, 3)}, ValueError, r"w\.shape\[0\] .*>= 0, got -6$"),
    ("w_shape_1d", {"w_shape": (6,)}, ValueError, r"w must .*got shape \(6,\)$"),
    ("rank_9", {"x_shape": (1,) * 11, "w_shape": (1,) * 11}, ValueError, "w must .* 8 .*got"),
    ("dtype_name", {"dtype": "float31"}, TypeError, "dtype must be .*'float31'$"),
    ("dtype_bool", {"dtype": bool}, TypeError, "dtype must be .*bool$"),
    ("dtype_object", {"dtype": object}, TypeError, "dtype must be .*object$"),
    ("dtype_record", {"dtype": [("a", "f4")]}, TypeError, "dtype must be "),
    ("direction", {"direction": "sideways"}, ValueError, "direction .*forward.*'sideways'$"),
]


@rows(PROBLEM)
def test_a_wrong_problem_of_shapes(changes, error, message):
    call = {"x_shape": (1, 4, 5, 6), "w_shape": (6, 4, 3, 3), **changes}
    refuses(error, message, cyconv.Problem, operation="Problem", **call)


# ---- arrays and options of a call --------------------------------------------------------------


def _unwritable(*shape):
    array = ones(*shape)
    array.flags.writeable = False
    return array


RECORDS = np.ones((1, 4, 5, 6), [("a", "f4")])
DATES = np.zeros((1, 4, 5, 6), "M8[s]")
LIST_OF_OPTIONS = "auto.*direct.*im2col.*winograd"

CALL = [
    ("x_none", {"x": None}, (TypeError, ValueError), r".*\bx\b"),
    ("x_str", {"x": "photo"}, (TypeError, ValueError), r".*\bx\b"),
    ("x_ragged", {"x": [[1.0], [1.0, 2.0]]}, (TypeError, ValueError), r".*\bx\b"),
    ("w_none", {"w": None}, (TypeError, ValueError), r".*\bw\b"),
    ("w_1d", {"w": ones(3)}, ValueError, r"w must .*got shape \(3,\)$"),
    ("w_3d", {"w": ones(6, 4, 3)}, ValueError, r"w must .*got shape \(6, 4, 3\)$"),
    ("w_5d", {"w": ones(6, 4, 3, 3, 3)}, ValueError, r"w must .*got shape \(6, 4, 3, 3, 3\)$"),
    ("x_bool", {"x": ones(1, 4, 5, 6, dtype=bool)}, TypeError, r".*\bx\b.*bool"),
    ("x_object", {"x": ones(1, 4, 5, 6, dtype=object)}, TypeError, r".*\bx\b.*object"),
    ("x_text", {"x": np.full((1, 4, 5, 6), "a")}, TypeError, r".*\bx\b.*<U1"),
    ("x_dates", {"x": DATES}, TypeError, r".*\bx\b.*datetime64"),
    ("x_records", {"x": RECORDS}, TypeError, r".*\bx\b.*'a'"),
    ("w_bool", {"w": ones(6, 4, 3, 3, dtype=bool)}, TypeError, r".*\bw\b.*bool"),
    ("w_object", {"w": ones(6, 4, 3, 3, dtype=object)}, TypeError, r".*\bw\b.*object"),
    ("bias_f64", {"bias": ones(6, dtype="f8")}, TypeError, "bias.*float32.*float64"),
    ("bias_complex", {"bias": ones(6, dtype="c8")}, TypeError, "bias.*float32.*complex64"),
    ("bias_object", {"bias": ones(6, dtype=object)}, TypeError, "bias.*object"),
    ("bias_short", {"bias": ones(5)}, ValueError, r"bias must .*\(6,\).*got .*\(5,\)$"),
    ("bias_long", {"bias": ones(7)}, ValueError, r"bias must .*\(6,\).*got .*\(7,\)$"),
    ("bias_one", {"bias": ones(1)}, ValueError, r"bias must .*\(6,\).*got .*\(1,\)$"),
    ("bias_2d", {"bias": ones(6, 1)}, ValueError, r"bias must .*\(6,\).*got .*\(6, 1\)$"),
    ("bias_0d", {"bias": np.float32(1)}, ValueError, r"bias must .*\(6,\).*got .*\(\)$"),
    ("algorithm", {"algorithm": "magic"}, ValueError, f"algorithm .*{LIST_OF_OPTIONS}.*'magic'$"),
    ("algorithm_none", {"algorithm": None}, ValueError, f"algorithm .*{LIST_OF_OPTIONS}.*None$"),
    ("algorithm_list", {"algorithm": ["direct"]}, ValueError, f"algorithm .*{LIST_OF_OPTIONS}"),
    ("threads_0", {"threads": 0}, ValueError, "threads must .*got 0$"),
    ("threads_minus_1", {"threads": -1}, ValueError, "threads must .*got -1$"),
    ("threads_1.5", {"threads": 1.5}, TypeError, r"threads must be an int.*got 1\.5$"),
    ("threads_str", {"threads": "all"}, TypeError, "threads must be an int.*got 'all'$"),
    ("threads_bool", {"threads": True}, TypeError, "threads must be an int.*got True$"),
    ("limit_minus_1", {"workspace_limit": -1}, ValueError, "workspace_limit .*>= 0, got -1$"),
    ("limit_str", {"workspace_limit": "1M"}, TypeError, "workspace_limit .*int, got '1M'$"),
    ("limit_float", {"workspace_limit": 1e6}, TypeError, "workspace_limit .*int, got 1000000.0$"),
    ("accuracy", {"accuracy": "best"}, ValueError, "accuracy .*strict.*balanced.*fast.*'best'$"),
    ("accuracy_none", {"accuracy": None}, (TypeError, ValueError), "accuracy .*None$"),
    ("accuracy_0", {"accuracy": 0.0}, ValueError, r"accuracy .*0\.0$"),
    ("accuracy_nan", {"accuracy": NAN}, ValueError, "accuracy .*nan$"),
    ("accuracy_bool", {"accuracy": True}, (TypeError, ValueError), "accuracy .*True$"),
    ("activation", {"activation": "gelu"}, ValueError, "activation .*relu.*relu6.*'gelu'$"),
    ("activation_int", {"activation": 6}, (TypeError, ValueError), "activation .*6$"),
    ("activation_order", {"activation": (1, 0)}, ValueError, r"activation .*\(1, 0\)$"),
    ("activation_nan", {"activation": (NAN, 0)}, ValueError, r"activation .*\(nan, 0\)$"),
    ("activation_three", {"activation": (0, 1, 2)}, ValueError, r"activation .*\(0, 1, 2\)$"),
    ("activation_str", {"activation": ("a", 1)}, (TypeError, ValueError), "activation .*'a'"),
    ("device", {"device": "abacus"}, ValueError, "device .*cpu.*'abacus'$"),
    ("out_dtype", {"out_dtype": "float31"}, TypeError, "out_dtype .*'float31'$"),
]


@rows(CALL)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_wrong_arguments(changes, error, message, algorithm):
    """For every algorithm, after a call that was right; `out` is left as it was."""
    cyconv.conv2d(**good_call(), algorithm=algorithm)
    out = np.full((1, 6, 5, 6), np.nan, np.float32)
    call = good_call(**{"algorithm": algorithm, "out": out, **changes})
    refuses(error, message, cyconv.conv2d, **call)
    assert np.isnan(out).all()


OUT = [
    ("shape", np.empty((1, 6, 5, 5), "f4"), ValueError, r"out must .*\(1, 6, 5, 6\).*6, 5, 5\)$"),
    ("rank", np.empty((6, 5, 6), "f4"), ValueError, r"out must .*\(1, 6, 5, 6\).*\(6, 5, 6\)$"),
    ("dtype", np.empty((1, 6, 5, 6), "f8"), TypeError, "out must .*float32.*float64$"),
    ("integers", np.empty((1, 6, 5, 6), "i4"), TypeError, "out must .*float32.*int32$"),
    ("read_only", _unwritable(1, 6, 5, 6), ValueError, "out must be writ"),
    ("list", [[1.0]], TypeError, "out must be .*list"),
    ("str", "out", TypeError, "out must be .*str"),
]


@pytest.mark.parametrize(("out", "error", "message"), [r[1:] for r in OUT], ids=[r[0] for r in OUT])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_wrong_out(out, error, message, algorithm):
    before = np.array(out)
    refuses(error, message, cyconv.conv2d, **good_call(out=out, algorithm=algorithm))
    np.testing.assert_array_equal(np.array(out), before)


def test_out_that_overlaps_itself():
    """Cells of `out` that share memory can't all be right."""
    cells = np.zeros(64, np.float32)
    out = np.lib.stride_tricks.as_strided(cells, (1, 6, 5, 6), (0, 0, 24, 4))
    refuses(ValueError, "out must .*overlap", cyconv.conv2d, **good_call(out=out))
    assert not cells.any()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("which", ["x", "w", "bias"])
def test_out_that_overlaps_an_input_gets_the_right_answer(which, algorithm):
    """The inputs are read whole before out is written."""
    rng = np.random.default_rng(4)
    cells = rng.standard_normal(2000).astype(np.float32)
    shapes = {"x": (1, 6, 9, 10), "w": (6, 6, 3, 3), "bias": (6,)}
    arrays = {}
    for name, shape in shapes.items():
        start = 7 if name == which else 1000
        size = int(np.prod(shape))
        source = cells if name == which else rng.standard_normal(2000).astype(np.float32)
        arrays[name] = source[start : start + size].reshape(shape)
    expected = cyconv.conv2d(**arrays, padding=1, algorithm=algorithm)
    out = cells[: expected.size].reshape(expected.shape)
    assert np.may_share_memory(out, arrays[which])
    y = cyconv.conv2d(**arrays, padding=1, algorithm=algorithm, out=out)
    np.testing.assert_array_equal(y, expected)


# ---- the other entry points --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "x", "w", "error", "message"),
    [
        ("conv1d", ones(1, 4, 9), ones(6, 4, 3, 3), ValueError, r"w must .*got shape \(6, 4, 3, 3"),
        ("conv1d", ones(1, 4, 5, 6), ones(6, 4, 3), ValueError, r"x must .*got shape \(1, 4, 5"),
        ("conv1d", ones(1, 4, 2), ones(6, 4, 3), ValueError, ".*kernel.* 3 must be <= .* 2 "),
        ("conv", ones(1, 4), ones(6, 4), ValueError, r"w must .*got shape \(6, 4\)$"),
        ("conv", ones(*(1,) * 11), ones(*(1,) * 11), ValueError, "w must .*got shape"),
        ("conv", ones(1, 4, 9), ones(6, 4, 3, 3), ValueError, r"x\.?.* 4.* 1|w\.shape"),
    ],
)
def test_other_functions_name_themselves(function, x, w, error, message):
    refuses(error, message, getattr(cyconv, function), x, w, operation=function)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"problem": None}, TypeError, "problem must be a .*Problem.*None"),
        ({"problem": (1, 4, 5, 6)}, TypeError, "problem must be a .*Problem"),
        ({"algorithm": "magic"}, ValueError, f"algorithm .*{LIST_OF_OPTIONS}.*'magic'$"),
        ({"device": "abacus"}, ValueError, "device .*cpu.*'abacus'$"),
        ({"threads": 0}, ValueError, "threads must .*got 0$"),
        ({"workspace_limit": -1}, ValueError, "workspace_limit .*>= 0, got -1$"),
        ({"accuracy": "best"}, ValueError, "accuracy .*strict.*'best'$"),
        ({"effort": "heroic"}, ValueError, "effort .*estimate.*'heroic'$"),
    ],
    ids=lambda value: next(iter(value.items()), None).__repr__() if isinstance(value, dict) else "",
)
def test_plan(arguments, error, message):
    call = {"problem": cyconv.Problem((1, 4, 5, 6), (6, 4, 3, 3)), **arguments}
    refuses(error, message, cyconv.plan, operation="plan", **call)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((ones(6, 4, 3, 2),), ValueError, r"w .*\(6, 4, 3, 3\).*\(6, 4, 3, 2\)$"),
        ((ones(6, 4, 3, 3, dtype="f8"),), TypeError, "w .*float32.*float64"),
        ((None,), TypeError, "w "),
        ((ones(6, 4, 3, 3), ones(5)), ValueError, r"bias .*\(6,\).*\(5,\)$"),
        ((ones(6, 4, 3, 3), None, "gelu"), ValueError, "activation .*relu.*'gelu'$"),
    ],
)
def test_pack(arguments, error, message):
    plan = cyconv.plan(cyconv.Problem((1, 4, 5, 6), (6, 4, 3, 3)))
    refuses(error, message, plan.pack, *arguments, operation="pack")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_packed(algorithm):
    plan = cyconv.plan(cyconv.Problem((1, 4, 5, 6), (6, 4, 3, 3)), algorithm=algorithm)
    packed = plan.pack(ones(6, 4, 3, 3))
    out = np.full((1, 6, 3, 4), np.nan, np.float32)
    for x, error in [
        (ones(1, 4, 5, 7), ValueError),
        (ones(4, 5, 6), ValueError),
        (ones(1, 4, 5, 6, dtype="f8"), TypeError),
        (None, TypeError),
    ]:
        with pytest.raises(error, match="x "):
            packed(x, out=out)
    with pytest.raises(ValueError, match="out must"):
        packed(ones(1, 4, 5, 6), out=out[:, :, 1:])
    assert np.isnan(out).all()


def test_messages_name_the_function_called_whoever_made_the_plan_first():
    x, w = ones(1, 3, 9, 11), ones(7, 3, 3, 3)
    cyconv.plan(cyconv.Problem(x.shape, w.shape))
    refuses(ValueError, "bias must", cyconv.conv2d, x, w, ones(6))
    x, w = ones(1, 3, 9, 12), ones(7, 3, 3, 3)
    cyconv.conv2d(x, w)
    plan = cyconv.plan(cyconv.Problem(x.shape, w.shape))
    with pytest.raises(ValueError, match="bias must") as caught:
        plan(x, w, ones(6))
    assert not str(caught.value).startswith("conv2d")


def test_algorithms_wants_a_problem():
    refuses(TypeError, "problem must be", cyconv.algorithms, (1, 4, 5, 6), operation="algorithms")
