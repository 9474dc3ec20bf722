"""The calls that ``bench`` measures, as data: filters of images, as a user types them.

``filters`` stands beside OpenCV's functions, ``faces`` beside those of `scipy.ndimage` that have
the same names. The sizes and types are many and the rows of each few: a net takes minutes.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from . import integers

SHORT = {"float32": "f32", "float64": "f64", "uint8": "u8", "uint16": "u16"}


@dataclass(frozen=True)
class Call:
    """One call of ``cyconv.<door>.<function>`` on an image, with nothing prepared but its operands.

    `kernel` names one of the kernels of `cyconv.filters`, or is 'weights': random ones of sum 1;
    `size` is its edge, the sigma of a Gaussian, or a face's second argument. `taps` are those of
    the whole kernel, of all kernels if there are several.
    """

    door: str
    function: str
    x: tuple[int, ...]
    dtype: str
    kernel: str | None = None
    size: float | None = None
    taps: int = 9
    options: tuple[tuple[str, Any], ...] = ()
    repeats: int = 1

    @property
    def name(self):
        """The call as it is typed, the image's type and its size."""
        second = " ".join(str(part) for part in (self.kernel, self.size) if part is not None)
        words = ["x", *[second] * bool(second), *(f"{k}={v}" for k, v in self.options)]
        channels = self.door == "filters" and len(self.x) == 3
        edges = self.x[:2] if channels else self.x
        square = len(edges) == 2 and edges[0] == edges[1]
        size = str(edges[0]) if square else "x".join(map(str, edges))
        call = f"{self.door}.{self.function}({', '.join(words)})"
        return f"{call} {SHORT[self.dtype]} @{size}" + " RGB" * channels

    @property
    def flops(self):
        """Of direct summation with the whole kernel: a multiplication and an addition are two."""
        return 2 * self.taps * prod(self.x)

    @property
    def result_dtype(self):
        """Of the result of a call of `cyconv.filters`."""
        sums = np.result_type(np.dtype(self.dtype), np.float32)
        return np.dtype(dict(self.options).get("out_dtype", sums))

    def arrays(self, rng, dtype=None):
        """The image, in the call's own type, and the weights that it is summed with, if any."""
        of = np.dtype(self.dtype)
        if of.kind == "u":
            x = rng.integers(np.iinfo(of).max, size=self.x, dtype=of, endpoint=True)
        else:
            x = rng.standard_normal(self.x).astype(of)
        w = self._weights(rng)
        return [x] if w is None else [x, w]

    def _weights(self, rng):
        from cyconv import filters

        sums = np.result_type(np.dtype(self.dtype), np.float32)
        if self.kernel == "weights":
            image, line = self.door == "filters", self.function.endswith("1d")
            w = rng.random((self.size,) * (2 if image else 1 if line else len(self.x)))
            return (w / w.sum()).astype(sums if image else np.float64)
        if self.door != "filters":
            return None
        if self.kernel is None:
            return np.stack(filters.GRADIENTS["sobel"]).astype(sums)
        how = {"gaussian": {"sigma": self.size}, "box": {"size": self.size}}
        return filters.get_kernel(self.kernel, dtype=sums, **how.get(self.kernel, {}))


# ---- filters beside OpenCV ----------------------------------------------------------------------


def _span(sigma):
    """The taps of a Gaussian, four sigma on either side, along one axis."""
    return 2 * int(4 * sigma + 0.5) + 1


_FEW = (
    *(("apply", "weights", k, k**2) for k in (3, 7)),
    ("apply", "gaussian", 2, _span(2) ** 2),
    ("apply", "box", 9, 81),
    ("apply", "sobel_x", None, 9),
    ("apply", "laplacian", None, 9),
    ("gradient_magnitude", None, None, 18),
)
_ALL = (
    *_FEW,
    *(("apply", "weights", k, k**2) for k in (5, 11, 15, 31, 63)),
    *(("apply", "gaussian", s, _span(s) ** 2) for s in (1, 5, 20)),
    *(("apply", "box", k, k**2) for k in (3, 31, 101)),
    ("gradient", None, None, 18),
)


def _filters():
    """Results in the type of the sums, and of bytes in bytes too."""
    for of, out in ("float32", None), ("float64", None), ("uint8", None), ("uint8", "uint8"):
        options = (("out_dtype", out),) if out else ()
        for shape, calls in (
            ((256, 256), _ALL),
            ((1024, 1024), _ALL),
            ((2048, 2048), _FEW),
            ((256, 256, 3), _FEW),
            ((1024, 1024, 3), _FEW),
            ((2048, 2048, 3), _FEW[2::2]),
        ):
            for function, kernel, size, taps in calls:
                if not (function == "gradient" and out):  # half of it is negative
                    yield Call("filters", function, shape, of, kernel, size, taps, options)


# ---- faces of SciPy -----------------------------------------------------------------------------


def _faces_of(rank):
    """(function, kernel, second argument, taps) of every function, on `rank` axes."""
    nine = _span(1)
    yield "correlate", "weights", 3, 3**rank
    yield "correlate", "weights", 5, 5**rank
    yield "convolve", "weights", 4, 4**rank
    yield "correlate1d", "weights", 9, 9
    yield "convolve1d", "weights", 9, 9
    yield "gaussian_filter", None, 2, _span(2) ** rank
    yield "gaussian_filter1d", None, 2, _span(2)
    yield "uniform_filter", None, 9, 9**rank
    yield "uniform_filter1d", None, 9, 9
    yield "sobel", None, None, 3**rank
    yield "prewitt", None, None, 3**rank
    yield "laplace", None, None, 3 * rank
    yield "gaussian_laplace", None, 1, rank * nine**rank
    yield "gaussian_gradient_magnitude", None, 1, rank * nine**rank
    yield "generic_laplace", None, None, 3 * rank
    yield "generic_gradient_magnitude", None, None, rank * 3**rank


_COMMON = ("correlate", "gaussian_filter", "uniform_filter", "sobel", "laplace")


def _faces():
    """Every function on 16² and 256² of every type; on larger ones fewer types or functions."""
    types = tuple(SHORT)
    some = ("float32", "uint8")
    for shape, of, functions in (
        ((16, 16), types, None),
        ((64, 64), some, None),
        ((256, 256), types, None),
        ((1024, 1024), some, None),
        ((2048, 2048), types, _COMMON[1:]),
        ((96, 96, 96), ("float32",), None),
        ((96, 96, 96), ("float64", "uint8", "uint16"), _COMMON[1:]),
    ):
        for dtype in of:
            for function, kernel, size, taps in _faces_of(len(shape)):
                if functions is None or function in functions:
                    yield Call("ndimage", function, shape, dtype, kernel, size, taps)


CALLS = {"filters": _filters, "faces": _faces, "integers": integers.layers}
