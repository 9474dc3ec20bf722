"""The README's statements on speed, each as a ratio measured side by side on one thread.

Seconds drift with the machine; a ratio of two calls that take turns drifts little.
"""

import math

import numpy as np

from . import common, shapes


class DeepLayer:
    """256 → 256 channels on a 56×56 map, 3×3 kernel."""

    def setup(self):
        self.calls = {name: common.packed(shapes.DEEP_3X3, name) for name in ("im2col", "winograd")}

    def track_im2col_fraction_of_sgemm(self):
        """Rate of `im2col` over that of the sgemm it amounts to, (K × C R S) (C R S × H W)."""
        what = common.problem(shapes.DEEP_3X3)
        k, *patch = what.w_shape
        pixels, depth = math.prod(what.output_shape[2:]), math.prod(patch)
        rng = np.random.default_rng(common.SEED)
        a = rng.standard_normal((k, depth), dtype=np.float32)
        b = rng.standard_normal((depth, pixels), dtype=np.float32)
        c = np.empty((k, pixels), np.float32)
        sgemm, im2col = common.medians(lambda: np.matmul(a, b, out=c), self.calls["im2col"])
        return sgemm / im2col

    def track_winograd_over_im2col(self):
        """How many times faster `winograd` is."""
        im2col, winograd = common.medians(self.calls["im2col"], self.calls["winograd"])
        return im2col / winograd

    track_im2col_fraction_of_sgemm.unit = "fraction"
    track_winograd_over_im2col.unit = "ratio"


class OneChannelImage:
    """A 1024×1024 image of one channel under one k×k kernel."""

    params = (list(shapes.ONE_CHANNEL),)
    param_names = ("kernel",)

    def setup(self, kernel):
        layer = shapes.ONE_CHANNEL[kernel]
        self.calls = [common.packed(layer, name) for name in ("im2col", "direct")]

    def track_direct_over_im2col(self, kernel):
        """How many times faster `direct` is."""
        im2col, direct = common.medians(*self.calls)
        return im2col / direct

    track_direct_over_im2col.unit = "ratio"
