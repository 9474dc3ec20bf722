"""Convolution on any OpenCL device: ``device="opencl"`` in every public function.

::

    arrays -> View -> lowering -> DevicePlan -> algorithm -> .cl kernels -> array
              (strides of    (the CPU's      (chooses from     (a .py and a .cl
               a buffer)      own rules)      this registry)    of one stem each)

- :mod:`cyconv.opencl.device`: the one door to pyopencl: contexts, queues, kernels, transfers.
- :mod:`cyconv.opencl.arrays`: arrays in device memory as the rewrite rules see them.
- :mod:`cyconv.opencl.plan`: a plan whose algorithms run on a device.
- :mod:`cyconv.opencl.tunables`: the numbers that kernels leave open, chosen for a device.
- :mod:`cyconv.opencl.tensor`: which tiles NVIDIA's own instructions copy and multiply.
- :mod:`cyconv.opencl.parts`: calls larger than the device's memory.
- :mod:`cyconv.opencl.registry`: the table of algorithms, as on the CPU.

Nothing here is imported, and no driver is loaded, before a device is asked for.
"""

from cyconv.opencl.device import devices, log, queue
from cyconv.opencl.registry import algorithms

__all__ = ["algorithms", "devices", "log", "queue"]
