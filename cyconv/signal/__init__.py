"""The convolutions of `scipy.signal`: its names, arguments, modes, boundaries, dtypes and errors.

    arguments ──► a slice of the full convolution ──► conv with that padding ──► SciPy's dtype
                  slices.py

- :mod:`.convolution`: :func:`convolve` and :func:`correlate` in any number of axes, and the choice
  between the methods.
- :mod:`.spectral`: :func:`fftconvolve` and :func:`oaconvolve`, over some of the axes.
- :mod:`.planar`: :func:`convolve2d` and :func:`correlate2d`, with a boundary.
- :mod:`.multirate`: :func:`upfirdn` and :func:`resample_poly`, between two rates, by
  :mod:`.phases`; what lies outside is in :mod:`.extension`.
- :mod:`.linear`: :func:`lfilter`, whose recursive filters are SciPy's.
- :mod:`.smoothing`: :func:`savgol_filter` and :func:`savgol_coeffs`.

``import cyconv.signal as signal`` serves code that is written for SciPy. Different are: an infinite
or NaN cell reaches only the outputs whose window holds it, by any method, so there is no warning of
it; the method 'auto' of integers is always exact; a boundary other than 'fill' of an array without
cells is refused; so is a mode of `upfirdn` that continues a line without cells, and one cell goes
on as it is. `savgol_filter` fits the ends of float32 in float64.
"""

from .convolution import choose_conv_method, convolve, correlate, correlation_lags
from .linear import lfilter
from .multirate import resample_poly, upfirdn
from .planar import convolve2d, correlate2d
from .smoothing import savgol_coeffs, savgol_filter
from .spectral import fftconvolve, oaconvolve

__all__ = [
    "choose_conv_method",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "correlation_lags",
    "fftconvolve",
    "lfilter",
    "oaconvolve",
    "resample_poly",
    "savgol_coeffs",
    "savgol_filter",
    "upfirdn",
]
