"""*What* is computed: the only validation, the only geometry.

problem.py    Problem: shapes, dtype, geometry and direction of one convolution
geometry.py   the formulas of one axis: output size, padding, extent
sizes.pyx     the same in C, for formulas of costs
names.py      roles, what callers call the arrays, words and dtypes
operands.py   the arrays of a call, checked against the problem
"""

from cyconv.problem.geometry import (
    LIMIT,
    as_shape,
    between_zeros,
    extent,
    output_size,
    pad_pairs,
    per_axis,
)
from cyconv.problem.names import (
    DATA_FORMATS,
    PADDING_MODES,
    ROLES,
    SUM_DTYPES,
    argument_name,
    checked_dtype,
    promoted_dtype,
    shape_name,
    sum_dtype,
    wrong_rank,
)
from cyconv.problem.problem import MAX_RANK, Problem, slab
from cyconv.runtime.arguments import as_int

__all__ = [
    "DATA_FORMATS",
    "LIMIT",
    "MAX_RANK",
    "PADDING_MODES",
    "ROLES",
    "SUM_DTYPES",
    "Problem",
    "argument_name",
    "as_int",
    "as_shape",
    "between_zeros",
    "checked_dtype",
    "extent",
    "output_size",
    "pad_pairs",
    "per_axis",
    "promoted_dtype",
    "shape_name",
    "slab",
    "sum_dtype",
    "wrong_rank",
]
