"""The correlations of `scipy.ndimage`: its names, arguments, border modes, dtypes and errors.

    arguments ──► widths of the border, result array ──► explicit border ──► conv ──► cast
    arguments.py                                         lowering/borders.py sums.py

- :mod:`.correlation`: any kernel, over all axes or along one.
- :mod:`.smoothing`, :mod:`.derivatives`: what is made of passes along one axis.

``import cyconv.ndimage as ndi`` serves code that is written for SciPy. As there, sums are kept in
float64 and cast once, whatever input's dtype; to an integer dtype by truncation, where a sum that
is an integer but for its rounding is taken in SciPy's order of summation, so that both truncate
alike. Different are: a bool result holds True for every value that is not 0 after truncation,
where SciPy's bytes may be others than 0 and 1; :func:`uniform_filter` sums every window afresh.

>>> import numpy as np
>>> import cyconv.ndimage as ndi
>>> ndi.correlate1d(np.array([2, 8, 0, 4, 1, 9, 9, 0]), weights=[1, 3])
array([ 8, 26,  8, 12,  7, 28, 36,  9])
"""

from .correlation import convolve, convolve1d, correlate, correlate1d
from .derivatives import (
    gaussian_gradient_magnitude,
    gaussian_laplace,
    generic_gradient_magnitude,
    generic_laplace,
    laplace,
    prewitt,
    sobel,
)
from .smoothing import gaussian_filter, gaussian_filter1d, uniform_filter, uniform_filter1d

__all__ = [
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generic_gradient_magnitude",
    "generic_laplace",
    "laplace",
    "prewitt",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
]
