"""Problems, plans and packed weights in other processes: pickled, copied, planned again there."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest

import cyconv
from cyconv.planning.plan import cache

from .cases import CASES

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def problem_of(case, dtype="float32"):
    return cyconv.Problem(case.x, case.w, dtype, **case.geometry)


def operands(problem, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(-4, 5, s).astype(problem.dtype) for s in problem.operand_shapes]


def layer(**options):
    """A packed layer with everything that one can have, and its input."""
    problem = cyconv.Problem((2, 6, 9, 8), (4, 6, 3, 3), padding=1)
    x, w = operands(problem)
    bias = np.arange(4, dtype=np.float32)
    return cyconv.plan(problem, **options).pack(w, bias, (-20, 30)), x


def elsewhere(task):
    """What a worker does: it computes with what has arrived."""
    function, *arguments = task
    return function(*arguments), function


@pytest.mark.parametrize("case", CASES, ids=str)
def test_problems(case):
    for direction in ("forward", "grad_input", "grad_weight"):
        problem = cyconv.Problem(case.x, case.w, direction=direction, **case.geometry)
        for protocol in PROTOCOLS:
            arrived = pickle.loads(pickle.dumps(problem, protocol))
            assert arrived == problem
            assert hash(arrived) == hash(problem)
            assert arrived.operation == problem.operation
        assert copy.copy(problem) == copy.deepcopy(problem) == problem


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex128", "int8"])
def test_a_dtype_arrives_as_the_one_that_arrays_have(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    problem = cyconv.Problem((1, 2, 5), (3, 2, 3), dtype)
    arrived = pickle.loads(pickle.dumps(problem))
    assert arrived.dtype is problem.dtype
    assert arrived.out_dtype is problem.out_dtype


@pytest.mark.parametrize("letters", ["NHWC", "channels_last"])
def test_letters_of_a_format(letters):
    problem = cyconv.Problem((1, 5, 5, 2), (3, 2, 3, 3), data_format=letters)
    assert pickle.loads(pickle.dumps(problem)) == problem


@pytest.mark.parametrize("case", CASES, ids=str)
def test_plans(case):
    plan = cyconv.plan(problem_of(case), threads=2, accuracy="strict", workspace_limit=2**24)
    sent = pickle.dumps(plan)
    assert pickle.loads(sent) is plan  # the cache has it
    cache.drop(lambda _: True)
    arrived = pickle.loads(sent)
    assert arrived is not plan
    assert arrived == plan
    assert (arrived.threads, arrived.accuracy, arrived.workspace_limit) == (2, "strict", 2**24)
    x, w = operands(plan.problem)
    np.testing.assert_array_equal(arrived(x, w), plan(x, w))


@pytest.mark.parametrize("name", cyconv.planning.registry.names())
def test_a_named_algorithm_stays_named(name):
    problem = cyconv.Problem((1, 6, 12, 12), (4, 6, 3, 3), padding=1)
    if cyconv.algorithms(problem)[name] is not None:
        pytest.skip("not for this problem")
    plan = cyconv.plan(problem, name)
    cache.drop(lambda _: True)
    arrived = pickle.loads(pickle.dumps(plan))
    assert arrived.algorithm == name
    x, w = operands(problem)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(plan.pack(w)))(x), arrived(x, w), strict=True
    )


def test_an_error_names_the_same_operation():
    plan = cyconv.plan(cyconv.Problem((1, 2, 5), (3, 2, 3)))
    arrived = pickle.loads(pickle.dumps(plan))
    with pytest.raises(ValueError, match=r"^plan: x must have shape"):
        arrived(np.ones((1, 2, 6), "f4"), np.ones((3, 2, 3), "f4"))


def test_packed_weights():
    packed, x = layer()
    arrived = pickle.loads(pickle.dumps(packed))
    assert arrived.plan == packed.plan
    np.testing.assert_array_equal(arrived(x), packed(x), strict=True)
    assert packed(x).min() == -20  # the activation came along
    assert packed(x).max() == 30


@pytest.mark.parametrize("dtype", ["float16", "complex64", "int16"])
def test_packed_weights_of_other_types(dtype):
    problem = cyconv.Problem((1, 4, 7), (2, 4, 3), dtype)
    x, w = operands(problem)
    packed = cyconv.plan(problem).pack(w, [1, 2])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(packed))(x), packed(x), strict=True)


def test_the_weights_that_are_sent_are_those_that_were_packed():
    problem = cyconv.Problem((1, 4, 7), (2, 4, 3))
    x, w = operands(problem)
    packed = cyconv.plan(problem).pack(w)
    before = packed(x)
    w[...] = 0
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(packed))(x), before)


def test_copies_of_what_is_immutable_are_itself():
    packed, _ = layer()
    for value in (packed, packed.plan):
        assert copy.copy(value) is copy.deepcopy(value) is value
    model = {"layers": [packed, packed]}
    assert copy.deepcopy(model)["layers"][1] is packed


def test_another_process():
    packed, x = layer()
    w = operands(packed.plan.problem)[1]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (y, again), (z, plan) = pool.map(elsewhere, [(packed, x), (packed.plan, x, w)])
    np.testing.assert_array_equal(y, packed(x), strict=True)
    np.testing.assert_array_equal(again(x), y)
    np.testing.assert_array_equal(z, packed.plan(x, w), strict=True)
    assert plan == packed.plan


def test_joblib():
    joblib = pytest.importorskip("joblib")
    packed, x = layer()
    tasks = (joblib.delayed(packed)(each[None].repeat(2, 0)) for each in x)
    found = joblib.Parallel(n_jobs=2, mmap_mode=None)(tasks)
    for y, each in zip(found, packed(x), strict=True):
        np.testing.assert_array_equal(y[0], each)


def test_devices():
    pytest.importorskip("pyopencl")
    from cyconv import opencl

    if not opencl.devices():
        pytest.skip("no OpenCL device")
    packed, x = layer(device="opencl:0")
    arrived = pickle.loads(pickle.dumps(packed.plan))
    assert type(arrived) is type(packed.plan)
    assert arrived == packed.plan
    w = operands(packed.plan.problem)[1]
    np.testing.assert_array_equal(arrived(x, w), packed.plan(x, w))
    assert copy.deepcopy(packed) is packed
    with pytest.raises(TypeError, match=r"pickle the plan, packed\.plan, and pack where"):
        pickle.dumps(packed)
