"""Measuring tunables: every choice of a table on a few layers in turns; the fastest is kept."""

from math import prod
from time import perf_counter

import numpy as np

from cyconv import lowering
from cyconv.opencl.plan import DevicePlan
from cyconv.opencl.registry import ON_HOST, converted, registry_of
from cyconv.planning import tuning
from cyconv.problem.operands import DeviceError

LAYERS = 4  # of a net stand for all of its layers
ROUNDS, MOST = 7, 50  # fewest and most rounds; within them as many as tuning.SECONDS allow
TRIED = 3  # rounds of every choice: the machine may be busy during one or two
BEHIND = 1.5  # a choice so many times slower than the fastest is left out after TRIED rounds
BETTER = 0.97  # a choice replaces the default if it takes at most this share of its time


def primitives(problems):
    """The different primitive problems of `problems`, by their work."""
    found = {}
    for problem in problems:
        for primitive in lowering.primitives(problem, ON_HOST, converted):
            if primitive.flops:
                found[primitive] = primitive.flops
    return sorted(found, key=found.get)


def representative(cls, problems):
    """Some of the primitive `problems` for which this algorithm is a choice, least work to most."""
    registry = registry_of(cls.device)
    fitting = []
    for problem in problems:
        kinds = [registry.get(name) for name in registry.names()]
        costs = {k: k.cost(problem, 1) for k in kinds if k.supports(problem) is None}
        if cls in costs and costs[cls] <= tuning.WORTH * min(costs.values()):
            fitting.append(problem)
    if len(fitting) <= LAYERS:
        return fitting
    return [fitting[i * (len(fitting) - 1) // (LAYERS - 1)] for i in range(LAYERS)]


def tune(opened, problems, workspace_limit):
    """Measure the tables of all algorithms, where the tuning file has no choice yet.

    Parameters
    ----------
    opened : Opened
        The device.
    problems : list of Problem
        What it is tuned for, of one dtype.
    workspace_limit : int

    Yields
    ------
    dict
        For each algorithm that these problems may use: its name, the choice, how much faster than
        the default that is (None if not measured now), and the source.
    """
    registry, problems = registry_of(opened.device), primitives(problems)
    for name in registry.names():
        cls = registry.get(name)
        table = cls.tunables[0]
        layers = representative(cls, problems)
        if not layers:
            continue
        wide = layers[0].sum_dtype.itemsize == 8
        row = {"algorithm": name, "dtype": str(layers[0].dtype), "ratio": None}
        if table.valid(table.recorded(opened.device, wide), opened.device, wide):
            choice, source = table.chosen(opened.device, wide), "tuning file"
        else:
            scores = measure(opened, name, table, layers, wide, workspace_limit)
            if not scores:
                continue
            candidates = table.candidates(opened.device, wide)
            best = min(scores, key=scores.get)
            if scores[best] > BETTER * scores.get(0, np.inf):
                best = 0
            choice, source = candidates[best], "measured now"
            if 0 in scores:
                row["ratio"] = scores[0] / scores[best]
            table.remember(opened.device, wide, choice)
        yield {**row, "choice": choice, "source": source}


def measure(opened, name, table, layers, wide, workspace_limit):
    """Geometric mean of a packed call's least seconds, by the choice's place in the table."""
    means = {}
    for problem in layers:
        least = _least(opened, name, table, problem, wide, workspace_limit)
        fastest = min(least.values(), default=0)
        for place in range(len(table.candidates(opened.device, wide))):
            # One that was left out here is no choice anywhere.
            means.setdefault(place, []).append(least.get(place, np.inf) / (fastest or 1))
    means = {place: prod(ratios) ** (1 / len(ratios)) for place, ratios in means.items()}
    return {place: mean for place, mean in means.items() if np.isfinite(mean)}


def _least(opened, name, table, problem, wide, workspace_limit):
    """Least seconds of one problem, by the choice's place in the table."""
    rng = np.random.default_rng(0)
    x, w = (
        rng.standard_normal(shape).astype(problem.dtype)
        for shape in (problem.x_shape, problem.w_shape)
    )
    y = np.empty(problem.output_shape, problem.dtype)
    calls, least = {}, {}
    for place, choice in enumerate(table.candidates(opened.device, wide)):
        try:
            with table.forced(opened.device, wide, choice):
                plan = DevicePlan(problem, name, None, "fast", workspace_limit, opened)
                call = plan.pack(w).repeated(x, y)
            call()
        except (DeviceError, MemoryError):  # the driver refuses what its limits seemed to allow
            continue
        calls[place] = call
    started = perf_counter()
    for round_ in range(MOST):
        if round_ >= ROUNDS and perf_counter() - started > tuning.SECONDS:
            break
        fastest = min(least.values(), default=np.inf)
        for place, call in calls.items():
            if round_ >= TRIED and least[place] > BEHIND * fastest:
                continue
            begun = perf_counter()
            call()
            taken = perf_counter() - begun
            least[place] = min(taken, least.get(place, taken))
    return least
