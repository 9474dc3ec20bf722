"""cyconv: the convolution operation, whole, for NumPy arrays.

::

    arrays -> api -> Problem -> lowering -> Plan -> algorithm -> micro-kernel -> array
             (names) (validate, (few forms) (choose,  (one room    (SIMD, one
                     geometry)              cache)    each)        contract)

The rooms, from the roof down; each imports only what lies below it (``tests/test_floors.py``):

=================  ================================================================================
``cli``            the command ``cyconv``: a file for each subcommand
``filters``        classic image filters: kernels as data, and one-call filters
``onnx``           ONNX's operators, and its models with their convolutions packed
``torch``          PyTorch's functions for its tensors, and models packed for inference
``dask``           the convolutions and filters of arrays larger than memory
``signal``         SciPy's convolutions, FIR and polyphase filters of signals, by its names
``toeplitz``       convolution as a matrix; ``unfolding``: im2col and col2im
``quantized``      convolutions of quantised integers, as ONNX has them
``ndimage``        SciPy's image filters, by SciPy's names
``api``            the functions: each builds a Problem, gets a Plan and runs it
``opencl``         the same algorithms on OpenCL devices: a ``.py`` beside a ``.cl`` for each
``algorithms``     *an algorithm* is a file here, and a line in ``planning/registry.py``
``planning``       *how*: Plan, the cost model, tuning, the explanation of a choice
``lowering``       rules that leave few forms; *a border mode* is a map in ``lowering/borders.py``
``problem``        *what*: the only validation and geometry; *a dtype* begins in ``names.py`` there
``runtime``        one door each to the machine, OpenMP, memory, BLAS and Python
``notebook``       tables and folded details in HTML, for what notebooks show
``kernels``        C: each kernel once, a table of them for each instruction set
=================  ================================================================================

A border mode is a map of indices, without signs: a name in ``problem/names.py``, tables in
``lowering/borders.py``, and for images a line of ``kernels/chain.h``. A dtype is a line of
``SUM_DTYPES`` in ``names.py``, which is enough for ``conv``: ``lowering/types.py`` converts it. A
kernel for images is a line of ``KERNELS`` in ``filters``; what is no one kernel is a file there. A
function of SciPy's is a file in ``ndimage`` or ``signal``. A door is a room on ``ndimage``'s floor,
or on ``dask``'s if it uses ``ndimage``: listed in ``_ROOMS`` below and in
``tests/test_floors.py``, with its extra in ``pyproject.toml``.

Every table that a new name enters is under *Add a ...* in ``CONTRIBUTING.md``.
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
from cyconv.quantized import conv_integer, qlinear_conv
from cyconv.runtime.parallel import get_num_threads, set_num_threads
from cyconv.runtime.version import __version__  # noqa: F401  (as packages have it)
from cyconv.unfolding import fold, unfold

_ROOMS = ("cli", "dask", "filters", "ndimage", "onnx", "opencl", "signal", "toeplitz", "torch")


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
    "conv_integer",
    "conv_transpose",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "conv_vjp",
    "fold",
    "get_num_threads",
    "plan",
    "qlinear_conv",
    "set_num_threads",
    "unfold",
]
