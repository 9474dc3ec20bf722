"""Gradients in training: a batch, and plain arrays, since the weights change every step."""

from . import common, shapes


class Gradient:
    params = (list(shapes.TRAINED), ["grad_input", "grad_weight"], common.algorithms(), [1, 2])
    param_names = ("layer", "direction", "algorithm", "threads")
    rounds = 1
    warmup_time = 0.05

    def setup(self, layer, direction, algorithm, threads):
        layer = shapes.TRAINED[layer]
        self.flops = common.problem(layer).flops
        self.call = common.gradient(layer, direction, algorithm, threads=threads)

    def time_gradient(self, layer, direction, algorithm, threads):
        self.call()

    def track_gflops(self, layer, direction, algorithm, threads):
        (seconds,) = common.medians(self.call)
        return self.flops / seconds * 1e-9

    track_gflops.unit = "GFLOP/s"
