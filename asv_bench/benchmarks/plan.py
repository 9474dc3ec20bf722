"""What a call costs beside its arithmetic: validation, planning, the cache, packing."""

import itertools

import cyconv

from . import common, shapes


class Planning:
    """From a shape to a plan."""

    def setup(self):
        common.needs("Problem", "plan")
        self.layer = shapes.DEEP_3X3
        self.problem = common.problem(self.layer)
        self.batches = itertools.count(1)
        cyconv.plan(self.problem, threads=1)

    def time_problem(self):
        common.problem(self.layer)

    def time_plan_new(self):
        # A batch size never seen before, so that no cached plan fits.
        x = (next(self.batches), *self.layer.x[1:])
        cyconv.plan(cyconv.Problem(x, self.layer.w, **self.layer.geometry), threads=1)

    def time_plan_cached(self):
        cyconv.plan(self.problem, threads=1)


class FirstCall:
    """The first call of a shape: planning, packing and computing."""

    params = (list(shapes.FIRST_SEEN),)
    param_names = ("layer",)

    def setup(self, layer):
        common.needs("Problem", "plan")
        self.layer = shapes.FIRST_SEEN[layer]
        self.x, self.w = common.arrays(self.layer)
        self.conv = getattr(cyconv, f"conv{self.w.ndim - 2}d")
        self.limits = itertools.count(2**28, -1)
        self.time_first_call(layer)

    def time_first_call(self, layer):
        # A limit on the workspace never asked for before, so that no cached plan fits.
        limit = next(self.limits)
        self.conv(self.x, self.w, threads=1, workspace_limit=limit, **self.layer.geometry)


class TinyCall:
    """An 8×8 image and a 3×3 kernel: all of it is overhead."""

    params = (common.algorithms(),)
    param_names = ("algorithm",)

    def setup(self, algorithm):
        self.packed = common.packed(shapes.TINY, algorithm)
        self.one_shot = common.one_shot(shapes.TINY, algorithm)

    def time_packed(self, algorithm):
        self.packed()

    def time_one_shot(self, algorithm):
        self.one_shot()


class Packing:
    """Weights into an algorithm's own order."""

    params = (list(shapes.VGG16), common.algorithms())
    param_names = ("layer", "algorithm")

    def setup(self, layer, algorithm):
        layer = shapes.LAYERS[layer]
        self.plan = common.plan(layer, algorithm)
        self.w = common.arrays(layer)[1]

    def time_pack(self, layer, algorithm):
        self.plan.pack(self.w)
