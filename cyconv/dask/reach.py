"""How far each filter of :mod:`cyconv.ndimage` reaches along each axis, from its arguments."""

from operator import index

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from cyconv.ndimage.arguments import border_mode, chosen_axes, flipped, per_axis, window
from cyconv.ndimage.smoothing import gaussian_radius


def reaches(name, given, ndim):
    """Cells that the filter `name` reads on either side of an output, for each axis.

    Parameters
    ----------
    name : str
        Of a function in :mod:`cyconv.ndimage`.
    given : dict
        Its arguments, which are right.
    ndim : int
        The image's axes.

    Returns
    -------
    list of int
    """
    return _REACHES[name](given, ndim)


def _placed(axes, values, ndim):
    """`values` at `axes`, 0 at the others."""
    found = [0] * ndim
    for axis, value in zip(axes, values, strict=True):
        found[axis] = value
    return found


def _kernel(given, ndim, reverse=False):
    axes = chosen_axes(given["axes"], ndim)
    origins = per_axis("origin", given["origin"], len(axes))
    if len(axes) == ndim:  # as SciPy: the weights' axes are the image's, whatever their order
        axes = range(ndim)
    origins = _placed(axes, origins, ndim)
    taps = dict(zip(sorted(axes), np.shape(given["weights"]), strict=True))
    return [_side(o, taps.get(axis, 1), reverse) for axis, o in enumerate(origins)]


def _kernel1d(given, ndim, reverse=False):
    side = _side(given["origin"], len(given["weights"]), reverse)
    return _placed([normalize_axis_index(given["axis"], ndim)], [side], ndim)


def _side(origin, taps, reverse=False):
    return max(window(flipped(origin, taps) if reverse else origin, taps))


def _uniform(given, ndim):
    axes = chosen_axes(given["axes"], ndim)
    both = (per_axis(key, given[key], len(axes)) for key in ("size", "origin"))
    sides = [_side(o, int(k)) if k > 1 else 0 for k, o in zip(*both, strict=True)]
    return _placed(axes, sides, ndim)


def _uniform1d(given, ndim):
    side = _side(given["origin"], index(given["size"]))
    return _placed([normalize_axis_index(given["axis"], ndim)], [side], ndim)


def _gaussian(given, ndim):
    axes = chosen_axes(given["axes"], ndim)
    both = (per_axis(key, given[key], len(axes)) for key in ("sigma", "radius"))
    sides = [
        index(gaussian_radius(sigma, given["truncate"], radius)) if sigma > 1e-15 else 0
        for sigma, radius in zip(*both, strict=True)
    ]
    return _placed(axes, sides, ndim)


def _gaussian1d(given, ndim):
    side = index(gaussian_radius(given["sigma"], given["truncate"], given["radius"]))
    return _placed([normalize_axis_index(given["axis"], ndim)], [side], ndim)


def _laplace(given, ndim):
    axes = chosen_axes(given["axes"], ndim)
    return _placed(axes, [1] * len(axes), ndim)


def _gaussian_laplace(given, ndim):
    axes = chosen_axes(given["axes"], ndim)
    sigmas = _placed(axes, per_axis("sigma", given["sigma"], len(axes)), ndim)
    return _gaussian_terms(given | {"sigma": sigmas}, ndim)


def _gaussian_terms(given, ndim):
    """Of terms each of which is smoothed along all axes."""
    keywords = {"truncate": 4.0, "radius": None, **given["kwargs"]}
    return _gaussian(keywords | {"sigma": given["sigma"], "axes": None}, ndim)


def _generic(given, ndim):
    return [index(depth) for depth in per_axis("depth", given["depth"], ndim)]


_REACHES = {
    "correlate": _kernel,
    "convolve": lambda given, ndim: _kernel(given, ndim, reverse=True),
    "correlate1d": _kernel1d,
    "convolve1d": lambda given, ndim: _kernel1d(given, ndim, reverse=True),
    "gaussian_filter": _gaussian,
    "gaussian_filter1d": _gaussian1d,
    "uniform_filter": _uniform,
    "uniform_filter1d": _uniform1d,
    "sobel": lambda given, ndim: [1] * ndim,
    "prewitt": lambda given, ndim: [1] * ndim,
    "laplace": _laplace,
    "gaussian_laplace": _gaussian_laplace,
    "gaussian_gradient_magnitude": _gaussian_terms,
    "generic_laplace": _generic,
    "generic_gradient_magnitude": _generic,
}

ONE_MODE_A_TERM = (
    "gaussian_laplace",
    "gaussian_gradient_magnitude",
    "generic_laplace",
    "generic_gradient_magnitude",
)
"""Sums over axes whose every term has one border along all axes: its own axis's mode."""


def wrapping(name, given, ndim):
    """For each axis whether its border wraps; None where one axis has borders of both kinds."""
    axes = chosen_axes(given.get("axes"), ndim)
    modes = given["mode"]
    modes = [border_mode(mode) == "wrap" for mode in per_axis("mode", modes, len(axes))]
    if name in ONE_MODE_A_TERM:
        if any(modes) and not all(modes):
            return None
        return [any(modes)] * ndim
    return [bool(wraps) for wraps in _placed(axes, modes, ndim)]
