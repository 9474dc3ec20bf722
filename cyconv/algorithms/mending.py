"""What a product of spectra spoiled, computed again."""

import numpy as np

from cyconv.algorithms.direct import Algorithm as Direct
from cyconv.algorithms.fft_floor import Tile
from cyconv.problem import Problem


def mend(problem, weights, group, inputs, outputs, axes, beside=0.0):
    """Repair the outputs of one group of one tile, where rounding or a non-finite value hurt.

    Parameters
    ----------
    problem : Problem
    weights : fft_floor.Weights
    group : int
    inputs : array (channels, *lengths)
    outputs : array (filters, *outputs), changed in place
    axes : list of int
        Those that are transformed, from the end.
    beside : float
        The 2-norm of what was transformed together with the inputs.
    """
    filters = slice(group * len(outputs), (group + 1) * len(outputs))
    w = weights.w[filters]
    part = Tile(problem, inputs, w, outputs, axes)
    if not (np.isfinite(outputs).all() and part.mend(weights.norms[filters], beside)):
        repair(problem, inputs, w, outputs, weights.isa)


def repair(problem, inputs, w, outputs, isa):
    """All the outputs of a tile by the defining sum."""
    sizes = [
        (n - 1) * s + extent
        for n, s, extent in zip(
            outputs.shape[1:], problem.stride, problem.receptive_field, strict=True
        )
    ]
    part = Problem(
        (1, len(inputs), *sizes), w.shape, problem.dtype, problem.stride, 0, problem.dilation
    )
    direct = Direct(part, isa=isa)
    found = np.empty(part.output_shape, problem.dtype)
    x = inputs[None][(..., *map(slice, sizes))]
    direct.run(x, direct.pack(w), found, None, None, 1, Direct.cost(part, 1))
    outputs[...] = found[0]
