"""The same layer on one thread and on two."""

from . import common, shapes

LAYERS = {layer.name: layer for layer in (shapes.DEEP_3X3, shapes.ONE_CHANNEL["k7"])}


class Scaling:
    params = (list(LAYERS), common.algorithms(), [1, 2])
    param_names = ("layer", "algorithm", "threads")
    rounds = 1

    def setup(self, layer, algorithm, threads):
        self.call = common.packed(LAYERS[layer], algorithm, threads=threads)

    def time_packed(self, layer, algorithm, threads):
        self.call()
