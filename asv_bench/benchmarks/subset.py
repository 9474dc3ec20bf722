"""The fixed subset: one call of each class of work, in half a minute, for histories and checks.

`version` is set by hand: results are comparable until the *work* changes, not the text. All of it
runs on one thread and is timed by the processor's seconds of the process, so that what else a
shared machine does costs little; rounds are many and short, so that a busy moment falls on few
samples of each.
"""

import importlib
import itertools
import time

import numpy as np

import cyconv

from . import common, shapes

_GRADIENT = "256->256 @14 k3"


class _Subset:
    version = "1"
    rounds = 4
    repeat = (3, 5, 0.2)  # samples of a round: least, most, seconds
    sample_time = 0.02
    warmup_time = 0.05
    timer = time.process_time


class Layers(_Subset):
    """Layers of networks, weights packed beforehand, one thread."""

    params = (["256->256 @56 k3", "64->256 @56 k1", "144->144 @56 k3 dw", "3->64 @224 k7 s2"],)
    param_names = ("layer",)

    def setup(self, layer):
        self.call = common.packed(shapes.NETWORKS[layer], "auto")

    def time_packed(self, layer):
        self.call()


class Training(_Subset):
    """Both gradients of one layer, batch 4."""

    params = (["grad_input", "grad_weight"],)
    param_names = ("direction",)

    def setup(self, direction):
        self.call = common.gradient(shapes.TRAINED[_GRADIENT], direction, "auto")

    def time_gradient(self, direction):
        self.call()


class Images(_Subset):
    """One kernel over one channel of 1024 × 1024, in one call."""

    params = (list(shapes.ONE_CHANNEL),)
    param_names = ("kernel",)

    def setup(self, kernel):
        self.call = common.one_shot(shapes.ONE_CHANNEL[kernel], "auto")

    def time_filter(self, kernel):
        self.call()


class Faces(_Subset):
    """SciPy's functions by their own names."""

    params = (["gaussian_filter", "sobel", "fftconvolve"],)
    param_names = ("function",)

    def setup(self, function):
        cyconv.set_num_threads(1)
        rng = np.random.default_rng(common.SEED)
        image = rng.standard_normal((512, 512)).astype("float32")
        face, *arguments = {
            "gaussian_filter": ("ndimage", image, 2.0),
            "sobel": ("ndimage", image, 0),
            "fftconvolve": ("signal", rng.standard_normal(48_000), rng.standard_normal(1024)),
        }[function]
        try:
            call = getattr(importlib.import_module(f"cyconv.{face}"), function)
        except ImportError as error:
            raise NotImplementedError(str(error)) from None
        self.call = lambda: call(*arguments)

    def time_call(self, function):
        self.call()


class Overhead(_Subset):
    """What a call costs beside its arithmetic."""

    def setup(self):
        self.tiny = common.one_shot(shapes.TINY, "auto")
        self.batches = itertools.count(1)

    def time_tiny_call(self):
        self.tiny()

    def time_plan_new(self):
        layer = shapes.DEEP_3X3
        # A batch size never seen before, so that no cached plan fits.
        x = (next(self.batches), *layer.x[1:])
        cyconv.plan(cyconv.Problem(x, layer.w, **layer.geometry), threads=1)
