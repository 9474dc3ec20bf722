"""cyconv: the convolution operation, whole, for NumPy arrays.

::

    arrays -> api -> Problem -> lowering -> Plan -> algorithm -> micro-kernel -> array
             (names) (validate, (few forms) (choose,  (one room    (SIMD, one
                     geometry)              cache)    each)        contract)

- :mod:`cyconv.api`: the functions; each builds a Problem, gets a Plan and runs it.
- :mod:`cyconv.problem`: *what* is computed: the only validation, the only geometry.
- :mod:`cyconv.lowering`: rewrites that leave a few primitive problems.
- :mod:`cyconv.plan`, :mod:`cyconv.lowered`, :mod:`cyconv.choose`: *how*: the algorithm, its cost,
  the packed weights.
- :mod:`cyconv.registry`, :mod:`cyconv.algorithms`: a line and a file for each algorithm.
- :mod:`cyconv.kernels`: C, one table for each instruction set behind one contract.

Beside the convolutions, each imported when asked for: :mod:`cyconv.filters` (classic image
filters), :mod:`cyconv.opencl` (GPUs of any vendor), :mod:`cyconv.ndimage` and :mod:`cyconv.signal`
(SciPy's functions, by SciPy's names), :mod:`cyconv.dask` (arrays larger than memory),
:mod:`cyconv.toeplitz` (convolution as a matrix), :mod:`cyconv.cli` (the command ``cyconv``).
"""

from importlib import import_module

import cyconv.algorithms  # noqa: F401  (the package, before the function takes its name here)
from cyconv.api import (
    conv,
    conv1d,
    conv2d,
    conv3d,
    conv_grad_bias,
    conv_grad_input,
    conv_grad_weight,
    conv_transpose,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    conv_vjp,
)
from cyconv.planning.plan import PackedConv, Plan, algorithms, plan
from cyconv.problem import Problem
from cyconv.runtime.parallel import get_num_threads, set_num_threads
from cyconv.runtime.version import __version__  # noqa: F401  (as packages have it)
from cyconv.unfolding import fold, unfold

_ROOMS = ("cli", "dask", "filters", "ndimage", "opencl", "signal", "toeplitz")


def __getattr__(name):
    """``cyconv.filters`` and its like, imported when first asked for."""
    if name in _ROOMS:
        return import_module(f"cyconv.{name}")
    raise AttributeError(f"module 'cyconv' has no attribute {name!r}")


__all__ = [
    "PackedConv",
    "Plan",
    "Problem",
    "algorithms",
    "conv",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_grad_bias",
    "conv_grad_input",
    "conv_grad_weight",
    "conv_transpose",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "conv_vjp",
    "fold",
    "get_num_threads",
    "plan",
    "set_num_threads",
    "unfold",
]
