"""A device that computes nothing: plans for it are made and run, and their launches noted."""

from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from itertools import product
from threading import RLock
from typing import NamedTuple

import numpy as np

from cyconv.opencl import arrays
from cyconv.opencl.device import Device
from cyconv.opencl.plan import DevicePlan, Opened
from cyconv.opencl.registry import ALGORITHMS, registry_of
from cyconv.problem import ROLES


class Kernel(NamedTuple):
    """A kernel by its file, its name and the macros it is compiled with."""

    stem: str
    name: str
    defines: tuple

    def __str__(self):
        told = " ".join(f"{macro}={value}" for macro, value in self.defines)
        return f"{self.name} {told}".strip()


class Launch(NamedTuple):
    """One launch: work items in all and in a group, and the arguments."""

    kernel: Kernel
    size: tuple
    group: tuple
    arguments: tuple

    @property
    def items(self):
        """Work items of a group."""
        return int(np.prod(self.group))

    @property
    def groups(self):
        """Groups of the launch."""
        return int(np.prod(self.size)) // self.items


class Buffer(NamedTuple):
    """Stands for memory of the device."""

    size: int


class Recorder(Device):
    """A GPU with a target's limits."""

    def __init__(self, target):
        self.target = target
        self.name = self.key = target.name
        self.platform, self.driver = target.vendor, "none"
        self.float64, self.cpu, self.shares_memory = True, False, False
        self.capability = target.capability
        # 48 KiB is what NVIDIA's driver gives to one group.
        self.local_memory = min(target.local, 48 << 10 if target.vendor == "nvidia" else 64 << 10)
        self.max_group, self.compute_units = target.max_group, target.units
        self.vector_bytes = 4
        self.global_memory, self.max_buffer = 16 << 30, 4 << 30
        self.queue, self.context = self, self
        self._lock, self._kernels, self._programs = RLock(), {}, {}
        self._free, self._constants, self._kept = [], OrderedDict(), {}
        self.launches, self.kernels = [], {}

    def kernel(self, stem, name, **defines):
        return Kernel(stem, name, tuple(sorted(defines.items())))

    def empty(self, nbytes):
        return Buffer(max(int(nbytes), 16))

    def upload(self, array, kind="upload"):
        return Buffer(array.nbytes)

    def launch(self, kernel, size, group, *arguments):
        if 0 not in size:
            self.launches.append(Launch(kernel, tuple(size), tuple(group), arguments))
            self.kernels.setdefault(kernel, self.launches[-1].items)

    def errors(self, doing):
        return nullcontext()

    @contextmanager
    def noted(self):
        """The list of what is launched meanwhile."""
        before, self.launches = self.launches, []
        try:
            yield self.launches
        finally:
            self.launches = before

    def plan(self, problem, algorithm="auto", accuracy="balanced"):
        """The plan for a problem on this device."""
        return DevicePlan(problem, algorithm, None, accuracy, 2**28, Opened("opencl", self))

    def run(self, plan):
        """(launches that pack the weights, launches of a call)."""
        problem = plan.problem
        x, w, y = (
            arrays.empty(self, problem.shape_of(role), problem.dtype)
            for role in ROLES[problem.direction]
        )
        with self.noted() as packing:
            packed = plan._root.pack(w)
        with self.noted() as calling:
            plan._root.run(x, packed, y, None, None, None)
        return packing, calling


def every_kernel(target, problems, all_choices):
    """Each kernel that plans for `problems` launch, and the work items of its groups.

    By every algorithm that takes a problem, at the default tunables; at every choice of each
    algorithm's own table if `all_choices`. With the vendor's own instructions and without.
    """
    found = {}
    for capability in {target.capability: 0, (0, 0): 0}:
        device = Recorder(target)
        device.capability = capability
        registry = registry_of(device)
        for name, accuracy in product(ALGORITHMS, ("balanced", "strict")):
            table = registry.get(name).tunables[0]
            choices = table.candidates(device, False)
            for choice in choices if all_choices else choices[:1]:
                with table.forced(device, False, choice):
                    for problem in problems:
                        try:
                            device.run(device.plan(problem, name, accuracy))
                        except (ValueError, MemoryError):  # not of this algorithm
                            continue
        found |= device.kernels
    return found
