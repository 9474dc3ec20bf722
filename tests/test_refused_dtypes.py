"""Dtypes that are no numbers, or none that the library knows: refused by name."""

import numpy as np
import pytest

import cyconv

ml_dtypes = pytest.importorskip("ml_dtypes")

REFUSED = [
    np.ones(1, bool),
    np.ones(1, object),
    np.array(["1"]),
    np.array([b"1"]),
    np.ones(1, "M8[s]"),
    np.ones(1, "m8[s]"),
    np.ones(1, [("a", "f4")]),
    np.ones(1, "V4"),
    np.ones(1, np.longdouble),
    np.ones(1, np.clongdouble),
    np.ones(1, ml_dtypes.float8_e4m3),
    np.ones(1, ml_dtypes.int4),
]
SMALL = ("float8_e4m3", "int4")


@pytest.mark.parametrize("cell", REFUSED, ids=lambda cell: cell.dtype.name)
def test_dtypes_that_are_refused(cell):
    """In any operand of any entry point, by name."""
    good = np.ones((1, 1, 1), "f4")
    bad = cell.reshape(1, 1, 1)
    for name, call in {
        r"conv1d: x\b": lambda: cyconv.conv1d(bad, good),
        r"conv1d: w\b": lambda: cyconv.conv1d(good, bad),
        r"conv1d: bias\b": lambda: cyconv.conv1d(good, good, cell),
        r"conv_transpose: x\b": lambda: cyconv.conv_transpose(bad, good),
        r"conv_transpose: w\b": lambda: cyconv.conv_transpose(good, bad),
        r"conv_grad_input: w\b": lambda: cyconv.conv_grad_input((1, 1, 1), bad, good),
        r"conv_grad_input: grad_output\b": lambda: cyconv.conv_grad_input((1, 1, 1), good, bad),
        r"conv_grad_weight: x\b": lambda: cyconv.conv_grad_weight(bad, (1, 1, 1), good),
        r"conv_grad_weight: grad_output\b": lambda: cyconv.conv_grad_weight(good, (1, 1, 1), bad),
        r"conv_grad_bias: grad_output\b": lambda: cyconv.conv_grad_bias(bad),
        r"Problem: dtype\b": lambda: cyconv.Problem((1, 1, 1), (1, 1, 1), cell.dtype),
    }.items():
        if name == r"conv1d: bias\b" and cell.dtype.name in SMALL:
            call()  # a bias needs only be safe to cast
            continue
        with pytest.raises(TypeError, match=f"^{name}"):
            call()
