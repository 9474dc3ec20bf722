"""What the quick run leaves out, and what it may not."""

from itertools import combinations, product

import pytest

import cyconv

from .selection import FEW, kept


def test_each_pair_of_values_is_kept():
    cases = list(product("abcdefgh", "0123", "xyz"))
    found = kept(cases)
    pairs = [set(combinations(enumerate(case), 2)) for case in cases]
    assert set().union(*(pairs[i] for i in found)) == set().union(*pairs)
    assert len(found) < 0.75 * len(cases)


def test_few_cases_and_single_parameters_are_all_kept():
    assert kept([("a", "b", str(i)) for i in range(FEW)]) == set(range(FEW))
    assert len(kept([(str(i),) for i in range(500)])) == 500


def test_the_quick_run_meets_every_algorithm_dtype_and_instruction_set(request):
    if request.config.getoption("--full"):
        pytest.skip("this is the long sweep")
    oracle = [i for i in request.session.items if "test_algorithms.py::test_oracle[" in i.nodeid]
    if not oracle:
        pytest.skip("only some tests were asked for")
    met = {tuple(map(str, item.callspec.params.values())) for item in oracle}
    names = {value for values in met for value in values}
    assert {"float32", "float64", *cyconv.kernels.available()} <= names
    assert set(cyconv.planning.registry.names()) <= names
