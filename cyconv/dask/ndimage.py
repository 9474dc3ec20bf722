"""The filters of :mod:`cyconv.ndimage` on dask arrays: the same names, arguments and values.

A task computes the filter on a chunk and as many cells around it as the filter reaches, and keeps
the chunk. At the array's ends these cells end as well, so the filter's own border stands there;
where a border wraps, they come from the other end.

Different are: `output` is a dtype; :func:`generic_laplace` and :func:`generic_gradient_magnitude`
take `depth`, how many cells their function reads on either side (one int, or one per axis), which
is known of the filters here that have a fixed one. Where these two, :func:`gaussian_laplace` or
:func:`gaussian_gradient_magnitude` are given 'wrap' for one axis and another mode for another, the
array is rechunked to one chunk along all axes they reach along.
"""

import inspect
from functools import partial

import numpy as np

from cyconv import ndimage
from cyconv.dask.graph import check_array, check_in_memory, computed
from cyconv.dask.reach import reaches, wrapping
from cyconv.dask.windows import with_halo

KNOWN_DEPTHS = {ndimage.sobel: 1, ndimage.prewitt: 1}
"""Functions of :mod:`cyconv.ndimage` that may be given as derivatives, and what they read."""


def _lazy(name):
    """The filter `name` of :mod:`cyconv.ndimage` for dask arrays."""
    in_memory = getattr(ndimage, name)
    signature = inspect.signature(in_memory)
    generic = name.startswith("generic_")
    if generic:
        depth = inspect.Parameter("depth", inspect.Parameter.KEYWORD_ONLY, default=None)
        signature = signature.replace(parameters=[*signature.parameters.values(), depth])

    def filtered(*args, **kwargs):
        try:
            call = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
        call.apply_defaults()
        given = dict(call.arguments)
        x = given.pop("input")
        check_array(name, "input", x)
        check_in_memory(name, **{k: given[k] for k in ("weights", "cval") if k in given})
        _check_output(name, given["output"])
        if "weights" in given:
            given["weights"] = np.asarray(given["weights"])
        if generic:
            given["depth"] = _depth(name, given)
        return _filtered(name, x, given)

    filtered.__name__ = filtered.__qualname__ = name
    filtered.__signature__ = signature
    filtered.__doc__ = f""":func:`cyconv.ndimage.{name}` of a dask array, chunk by chunk.

    Parameters
    ----------
    input : dask array
    {", ".join(key for key in signature.parameters if key != "input")}
        As for :func:`cyconv.ndimage.{name}`; `output` is a dtype or None{
        ", `depth` how many cells the function reads on either side" if generic else ""
    }.

    Returns
    -------
    dask array
        Of input's shape and chunks.
    """
    return filtered


def _check_output(name, output):
    """Only a dtype can be asked for: there is nothing to write into."""
    if not (output is None or isinstance(output, (type, np.dtype, str))):
        raise TypeError(
            f"{name}: output must be None or a dtype for a dask array, got {type(output).__name__}"
        )


def _depth(name, given):
    """How far the function of a generic filter reads."""
    if given["depth"] is not None:
        return given["depth"]
    argument = "derivative2" if name == "generic_laplace" else "derivative"
    if given[argument] in KNOWN_DEPTHS:
        return KNOWN_DEPTHS[given[argument]]
    raise ValueError(
        f"{name}: depth must be the number of cells that {argument} reads on either side, "
        f"got None: that of {given[argument]!r} is not known"
    )


def _filtered(name, x, given):
    depth = {key: given.pop(key) for key in ("depth",) if key in given}
    # One cell, computed now: it refuses what is wrong, and tells the result's dtype.
    dtype = _call(name, np.zeros((1,) * x.ndim, x.dtype), given).dtype
    given["output"] = dtype
    reach = reaches(name, given | depth, x.ndim)
    wraps = wrapping(name, given, x.ndim)
    if wraps is None:
        x = x.rechunk({axis: -1 for axis, r in enumerate(reach) if r})
        wraps = [False] * x.ndim
    windows = [with_halo(*axis) for axis in zip(x.chunks, reach, wraps, strict=True)]
    return computed(name, x, windows, partial(_kept, name, given), x.chunks, dtype)


def _call(name, x, given):
    """The filter in memory; `given` are its arguments by name."""
    others = {key: value for key, value in given.items() if key != "kwargs"}
    return getattr(ndimage, name)(x, **others, **given.get("kwargs", {}))


def _kept(name, given, block, notes):
    """The filter of a block, and of that the chunk."""
    y = _call(name, block, given)
    return y if y.shape == tuple(n.stop - n.start for n in notes) else y[tuple(notes)].copy()


__all__ = list(ndimage.__all__)
globals().update({name: _lazy(name) for name in __all__})
