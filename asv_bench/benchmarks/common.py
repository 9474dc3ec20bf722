"""What the benchmarks share: seeded arrays, packed calls, interleaved medians."""

import statistics
from time import perf_counter

import numpy as np

import cyconv

SEED = 20260101
#: Rounds of every median; a test of the benchmarks needs only one.
ROUNDS = 11


def algorithms():
    """`auto`, then every algorithm that this version has."""
    found = cyconv.algorithms(cyconv.Problem((1, 1, 3, 3), (1, 1, 3, 3)))
    return ["auto", *found]


def needs(*names):
    """Skip the benchmark in a version of cyconv that lacks one of these public names."""
    missing = [name for name in names if not hasattr(cyconv, name)]
    if missing:
        raise NotImplementedError(f"this version has no {', '.join(missing)}")


def problem(layer, dtype="float32", algorithm="auto", **direction):
    """The layer as a `Problem`, or a skip where `algorithm` is unknown or can't solve it."""
    needs("Problem", "algorithms", "plan")
    result = cyconv.Problem(layer.x, layer.w, dtype=dtype, **layer.geometry, **direction)
    if algorithm != "auto":
        reason = cyconv.algorithms(result).get(algorithm, f"this version has no {algorithm}")
        if reason is not None:
            raise NotImplementedError(reason)
    return result


def arrays(layer, dtype="float32"):
    """Standard normal `x` and `w`, the same in every process."""
    rng = np.random.default_rng(SEED)
    return rng.standard_normal(layer.x).astype(dtype), rng.standard_normal(layer.w).astype(dtype)


def image(shape, dtype="float32"):
    """Standard normal, or bytes of every value."""
    rng = np.random.default_rng(SEED)
    if np.dtype(dtype).kind == "u":
        return rng.integers(np.iinfo(dtype).max, size=shape, dtype=dtype, endpoint=True)
    return rng.standard_normal(shape).astype(dtype)


def one_shot(layer, algorithm, dtype="float32", threads=1):
    """A call without arguments that packs and convolves, into one output array."""
    y = np.empty(plan(layer, algorithm, dtype).problem.output_shape, dtype)
    x, w = arrays(layer, dtype)
    conv = getattr(cyconv, f"conv{w.ndim - 2}d")
    options = {"algorithm": algorithm, "threads": threads, "out": y, **layer.geometry}
    return lambda: conv(x, w, **options)


def packed(layer, algorithm, dtype="float32", threads=1):
    """A call without arguments that convolves with weights packed beforehand."""
    found = plan(layer, algorithm, dtype, threads)
    x, w = arrays(layer, dtype)
    y = np.empty(found.problem.output_shape, dtype)
    convolve = found.pack(w)
    return lambda: convolve(x, out=y)


def packed_last(layer):
    """A call without arguments that convolves an image whose channels lie last, into another."""
    needs("Problem", "plan")
    x, w = arrays(layer)
    x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    how = layer.geometry | {"data_format": "channels_last"}
    found = cyconv.plan(cyconv.Problem(x.shape, w.shape, **how), threads=1)
    y, convolve = np.empty(found.problem.output_shape, x.dtype), found.pack(w)
    return lambda: convolve(x, out=y)


def gradient(layer, direction, algorithm, dtype="float32", threads=1):
    """A call without arguments that computes one gradient of the layer, into one output array."""
    needs("conv_grad_input", "conv_grad_weight")
    found = plan(layer, algorithm, dtype, threads, direction=direction)
    result = np.empty(found.problem.output_shape, dtype)
    x, w = arrays(layer, dtype)
    shape = problem(layer, dtype).output_shape
    g = np.random.default_rng(SEED).standard_normal(shape).astype(dtype)
    options = {"algorithm": algorithm, "threads": threads, "out": result, **layer.geometry}
    if direction == "grad_input":
        return lambda: cyconv.conv_grad_input(x.shape, w, g, **options)
    return lambda: cyconv.conv_grad_weight(x, w.shape, g, **options)


def plan(layer, algorithm, dtype="float32", threads=1, **direction):
    """The layer's plan, or a skip where `algorithm` needs more than the default workspace."""
    found = problem(layer, dtype, algorithm, **direction)
    try:
        return cyconv.plan(found, algorithm=algorithm, threads=threads)
    except MemoryError as error:
        raise NotImplementedError(str(error)) from None


def medians(*calls):
    """Median seconds of each call, taking turns, after one warm-up each."""
    for call in calls:
        call()
    seconds = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, taken in zip(calls, seconds, strict=True):
            start = perf_counter()
            call()
            taken.append(perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]
