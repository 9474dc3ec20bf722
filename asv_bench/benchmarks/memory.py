"""Memory: what a plan says it takes, and what the process really took."""

from . import common, shapes


class Workspace:
    """Scratch bytes, all threads together, as the plan says."""

    params = (list(shapes.LAYERS), common.algorithms(), [1, 2])
    param_names = ("layer", "algorithm", "threads")

    def setup(self, layer, algorithm, threads):
        self.plan = common.plan(shapes.LAYERS[layer], algorithm, threads=threads)

    def track_workspace_bytes(self, layer, algorithm, threads):
        return self.plan.workspace_bytes

    track_workspace_bytes.unit = "bytes"


class Peak:
    """Largest resident size of a process that makes one packed call."""

    params = (list(shapes.VGG16), common.algorithms())
    param_names = ("layer", "algorithm")

    def setup(self, layer, algorithm):
        self.call = common.packed(shapes.LAYERS[layer], algorithm)

    def peakmem_packed(self, layer, algorithm):
        self.call()
