"""Forward convolution of every layer by every algorithm, one thread."""

from . import common, shapes


class _Forward:
    params = (list(shapes.LAYERS), common.algorithms())
    param_names = ("layer", "algorithm")
    dtype = "float32"
    rounds = 1
    warmup_time = 0.05


class Packed(_Forward):
    """Weights packed beforehand, output array reused: inference."""

    def setup(self, layer, algorithm):
        self.call = common.packed(shapes.LAYERS[layer], algorithm, self.dtype)

    def time_packed(self, layer, algorithm):
        self.call()

    def track_gflops(self, layer, algorithm):
        (seconds,) = common.medians(self.call)
        return common.problem(shapes.LAYERS[layer], self.dtype).flops / seconds * 1e-9

    track_gflops.unit = "GFLOP/s"


class OneShot(_Forward):
    """One call with plain arrays: what a script does."""

    def setup(self, layer, algorithm):
        self.call = common.one_shot(shapes.LAYERS[layer], algorithm, self.dtype)

    def time_one_shot(self, layer, algorithm):
        self.call()


class PackedFloat64(Packed):
    params = (list(shapes.RESNET50), common.algorithms())
    dtype = "float64"


class PackedHalves:
    """A few layers in float16: wide and narrow 1 x 1, 3 x 3, depthwise."""

    params = ([*list(shapes.RESNET50)[1:4], *list(shapes.MOBILENET_V2)[1:4]],)
    param_names = ("layer",)
    rounds = 1
    warmup_time = 0.05

    def setup(self, layer):
        self.call = common.packed(shapes.LAYERS[layer], "auto", "float16")

    def time_packed(self, layer):
        self.call()


class PackedChannelsLast(PackedHalves):
    """The same in float32, channels last, in and out."""

    def setup(self, layer):
        self.call = common.packed_last(shapes.LAYERS[layer])
