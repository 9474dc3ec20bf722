"""The table of a device's algorithms: a line each, and nothing else to edit to add one."""

from importlib import import_module

from cyconv.lowering import ImageByImage, Interleaved, OneCell, Stored, primitives
from cyconv.opencl.device import get

ALGORITHMS = (
    "direct",  # the image itself, wherever it lies; any problem of up to three axes
    "implicit_gemm",  # taps as shifts of a zero-bordered copy, register tiles
    "batch_gemm",  # products along planes, summed in two steps: gradients of weights
    "winograd",  # F(m, 3): fewer multiplications for 3 x 3 kernels of stride 1
)

ON_HOST = (ImageByImage, OneCell, Interleaved, Stored)
"""Rewrites of no use here: `batch_gemm` sums over the images; one cell is no product of its own
there; phases are shuffled on the host; kernels convert by themselves."""


def converted(problem):
    """Whether the kernels themselves read the cells of `problem` and round its sums.

    Where a rule adds results, which a border's gradient does, these may not have been rounded.
    """
    added = problem.direction == "grad_input" and problem.padding_mode != "zeros"
    rounded = problem.out_dtype != problem.sum_dtype
    return problem.dtype.kind != "c" and not (added and rounded)


class Registry:
    """The algorithms as they are on one device."""

    def __init__(self, device):
        self.device, self._classes = device, {}

    @staticmethod
    def names():
        """Names of all algorithms."""
        return ALGORITHMS

    def get(self, name, dtype=None):
        """The class of algorithm `name`, bound to the device."""
        found = self._classes.get(name)
        if found is None:
            cls = import_module(f"cyconv.opencl.{name}").Algorithm
            bound = type("Algorithm", (cls,), {"device": self.device, "__doc__": cls.__doc__})
            found = self._classes.setdefault(name, bound)
        return found

    def every(self, dtype=None):
        """The classes of all algorithms, in their order."""
        return [self.get(name) for name in ALGORITHMS]


def registry_of(device):
    """The registry of a device, made once."""
    return device.once("registry", lambda: Registry(device))


def algorithms(problem, device="opencl"):
    """Every algorithm of a device, and why it cannot solve `problem`.

    Parameters
    ----------
    problem : Problem
    device : str, default 'opencl'

    Returns
    -------
    dict of str to (None or str)
        None where the algorithm can; else the reason, in one sentence.

    Examples
    --------
    >>> can = cyconv.opencl.algorithms(cyconv.Problem((1, 8, 8), (1, 1, 3, 3)))
    >>> can["direct"] is None
    True
    """
    registry = registry_of(get("algorithms", device))
    reasons = dict.fromkeys(ALGORITHMS)
    for primitive in primitives(problem, ON_HOST, converted):
        for name in ALGORITHMS:
            reasons[name] = reasons[name] or registry.get(name).supports(primitive)
    return reasons


def check_name(operation, name):
    """Refuse a name that is neither 'auto' nor in the table, listing those that are."""
    if not isinstance(name, str) or name not in ("auto", *ALGORITHMS):
        raise ValueError(
            f"{operation}: algorithm must be one of 'auto', "
            f"{', '.join(map(repr, ALGORITHMS))} on an OpenCL device, got {name!r}"
        )
