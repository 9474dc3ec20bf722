"""From counts to a time: products, issue slots, local memory or memory, whichever binds.

A bound from below, but for branches that a work item does not take, which count too: every unit
issues in every clock that it may, groups are spread evenly over units, memory gives its peak, each
operand is read once, and starting a kernel costs nothing.
"""

from math import ceil

import numpy as np

from gpu_proof import banks

MATRIX = 16 * 8 * 8  # products of one instruction of a wave
COPIES = ("stage", "combine", "border", "add_parts")  # little of their code is run by a work item


def lanes(argument):
    """A kernel's argument of eight integers."""
    return np.frombuffer(argument.tobytes(), np.int64).tolist()


def chunks(launch):
    """Of taps, that a work item of the tiles multiplies."""
    return ceil(lanes(launch.arguments[6])[6] / dict(launch.kernel.defines)["TILE_T"])


def rounds(launch):
    """How often a work item goes through the main loop."""
    arguments, defines = launch.arguments, dict(launch.kernel.defines)
    if launch.kernel.name == "multiply_tiles":
        return chunks(launch) * (defines["TILE_T"] // 8 if "MATRICES" in defines else 1)
    if launch.kernel.name == "direct":
        channels, taps = lanes(arguments[5])[3], lanes(arguments[7])[:3]
        return channels * int(np.prod(taps))
    if launch.kernel.name == "sum_chunks":
        _, _, _, _, segment, row, chunk, _ = lanes(arguments[4])
        return chunk * ceil(min(segment, row) / defines["LANES"])
    return 1


def moved(launch):
    """Bytes of memory that a launch reads and writes, each once."""
    arguments, defines = launch.arguments, dict(launch.kernel.defines)
    items, item = launch.items * launch.groups, 8 if "DOUBLE" in defines else 4
    name, wide = launch.kernel.name, defines.get("LANES", 1)
    if name == "multiply_tiles":
        positions, taps, filters, groups, _, images, part, _ = lanes(arguments[6])
        cells, weights = lanes(arguments[4])[1] * images * groups, taps * filters * groups
        return item * (cells + weights + positions * images * filters * groups * ceil(taps / part))
    if name.startswith("transform"):
        m = defines["M"]
        points = (m + 2) ** 2
        inner = {"transform_input": points, "transform_output": m * m, "transform_weights": 9}
        return item * items * wide * (points + inner[name])
    if name == "add_parts":
        return item * items * (lanes(arguments[3])[2] + 1)
    if name == "direct":
        sizes, outputs = lanes(arguments[5]), lanes(arguments[6])
        x, y = np.prod(sizes[:3]) * sizes[3] * sizes[4], np.prod(outputs[:5])
        return item * int(x + y)
    return item * items * 2


def seconds(launch, compiled, code, target):
    """(time, what binds) of one launch."""
    busiest = ceil(launch.groups / target.units)  # groups of one unit
    wave = (compiled and compiled.wave) or target.wave
    waves = busiest * ceil(launch.items / wave)
    times = rounds(launch)
    matrices = code.whole.matrices + (times - 1) * code.loop.matrices
    issued = code.whole.issued + (times - 1) * code.loop.issued
    if matrices:
        issued += (chunks(launch) - 1) * code.around.issued
    fmas = code.whole.fmas + (times - 1) * code.loop.fmas
    bound = {
        "products": waves * fmas * wave / target.products / target.clock,
        "memory": moved(launch) / target.bandwidth,
    }
    if matrices:
        bound["matrices"] = waves * matrices * MATRIX / target.matrix / target.clock
    if launch.kernel.name not in COPIES:
        bound["issue"] = waves * issued / target.issue / target.clock
    if launch.kernel.name == "multiply_tiles":
        clocks = banks.clocks_of_chunk(dict(launch.kernel.defines), target.wave)
        clocks *= waves * chunks(launch) * 128 / target.local_clock  # banks give 128 bytes
        bound["local memory"] = clocks / target.clock
    binds = max(bound, key=bound.get)
    return bound[binds], binds
