"""Whole numbers as arguments."""

from operator import index

import numpy as np


def as_int(operation, name, value, minimum):
    """`value` as a Python int of at least `minimum`; bool and fractions are refused."""
    if type(value) is int and value >= minimum:
        return value
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{operation}: {name} must be an int, got {value!r}")
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{operation}: {name} must be an int, got {value!r}") from None
    if number < minimum:
        raise ValueError(f"{operation}: {name} must be >= {minimum}, got {number}")
    return number
