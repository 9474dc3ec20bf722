"""Layers on the OpenCL device: weights packed, arrays in device memory, waited for at the end."""

import cyconv

from . import common, shapes


class Packed:
    """One packed call of each layer by each algorithm of the device."""

    params = (
        list(shapes.LAYERS),
        ["auto", "direct", "implicit_gemm", "winograd"],
    )
    param_names = ("layer", "algorithm")
    warmup_time = 0.05

    def setup(self, layer, algorithm):
        try:
            from pyopencl import array

            queue = cyconv.opencl.queue()
        except (AttributeError, ImportError, RuntimeError) as error:
            raise NotImplementedError(f"no OpenCL device: {error}") from None
        x, w = common.arrays(shapes.LAYERS[layer])
        problem = common.problem(shapes.LAYERS[layer])
        try:
            packed = cyconv.plan(problem, algorithm=algorithm, device="opencl").pack(w)
        except ValueError as error:
            raise NotImplementedError(str(error)) from None
        x = array.to_device(queue, x)
        out = packed(x)

        def call():
            packed(x, out=out)
            queue.finish()

        self.call, self.flops = call, problem.flops
        call()

    def time_packed(self, layer, algorithm):
        self.call()

    def track_gflops(self, layer, algorithm):
        (seconds,) = common.medians(self.call)
        return self.flops / seconds * 1e-9

    track_gflops.unit = "GFLOP/s"
