"""SciPy's functions by their own names, beside SciPy's own."""

import importlib

import cyconv

from . import common

FUNCTIONS = {
    "correlate": ([[0.1, 0.2, 0.1], [0.0, 0.2, 0.0], [0.1, 0.2, 0.1]],),
    "gaussian_filter": (2.0,),
    "uniform_filter": (9,),
    "uniform_filter1d": (9,),
    "sobel": (),
    "laplace": (),
    "gaussian_gradient_magnitude": (1.0,),
}
SHAPES = {"16": (16, 16), "512": (512, 512), "48 x 48 x 48": (48, 48, 48)}


class Ndimage:
    params = (list(FUNCTIONS), list(SHAPES), ["float32", "float64", "uint8"])
    param_names = ("function", "image", "dtype")
    rounds = 1
    warmup_time = 0.05

    def setup(self, function, image, dtype):
        cyconv.set_num_threads(1)
        x, second = common.image(SHAPES[image], dtype), FUNCTIONS[function]
        if function == "correlate" and x.ndim == 3:
            second = ([second[0]] * 3,)
        self.calls = [
            self._call(room, function, x, second) for room in ("cyconv.ndimage", "scipy.ndimage")
        ]

    @staticmethod
    def _call(room, function, x, second):
        try:
            run = getattr(importlib.import_module(room), function)
        except (ImportError, AttributeError) as error:
            raise NotImplementedError(str(error)) from None
        return lambda: run(x, *second)

    def time_call(self, function, image, dtype):
        self.calls[0]()

    def track_over_scipy(self, function, image, dtype):
        """How many times as fast as SciPy's."""
        ours, scipys = common.medians(*self.calls)
        return scipys / ours

    track_over_scipy.unit = "ratio"
