"""What GPUs will make of the OpenCL kernels, proven by compilers; no GPU is needed.

    python asv_bench/gpu_static.py [--arch sm_80] [--all] [--batch 32] [--no-layers]

For every kernel that the layers of VGG-16 and ResNet-50 and the other algorithms launch, at the
default tunables (with --all at every choice that `cyconv tune` may make): registers and stack of a
work item, spills, local memory of a group, groups of a multiprocessor, occupancy; of the main loop
its instructions, the share of multiply-adds (of matrices' products, where a kernel has them), bytes
loaded for each, and clocks that conflicts in local memory add. Then a lower bound of each layer's
time by issue slots and rooflines. It needs clang and libclc (Debian: clang-19 libclc-19), for
NVIDIA also ptxas and nvdisasm (the CUDA toolkit, or PyPI: nvidia-cuda-nvcc,
nvidia-cuda-nvdisasm); for Intel only ocloc (Debian: intel-ocloc).
"""

import argparse
import sys
from dataclasses import replace
from math import fsum

from benchmarks import shapes
from gpu_proof import banks, compiling, model, reading
from gpu_proof.recorder import Recorder, every_kernel
from gpu_proof.targets import TARGETS

import cyconv

COLUMNS = (
    f"{'registers':>9s} {'stack':>5s} {'spills':>6s} {'local':>6s} {'groups':>6s} {'waves':>6s} "
    f"{'loop':>5s} {'FMAs':>5s} {'B/FMA':>6s} {'local':>6s} {'banks':>5s}  kernel"
)


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=TARGETS, help="only this one")
    parser.add_argument("--all", action="store_true", help="every choice of tunables")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--no-layers", action="store_true", help="kernels only")
    return parser.parse_args()


def problem_of(layer, batch=1, **direction):
    """The layer's Problem."""
    return cyconv.Problem((batch, *layer.x[1:]), layer.w, **layer.geometry, **direction)


def samples():
    """Problems that between them want every kernel and variant."""
    named = ("3->64 @224 k7 s2", "128->128 @56 k3 s2", "64->64 @56 k3", "64->256 @56 k1")
    found = [problem_of(shapes.NETWORKS[name]) for name in (*named, "512->2048 @7 k1")]
    found += [replace(found[1], direction="grad_weight"), replace(found[1], direction="grad_input")]
    return [*found, problem_of(shapes.NETWORKS["192->192 @28 k3 dw"])]


class Proof:
    """Compiled kernels of one target, each once."""

    def __init__(self, target):
        self.target, self._known = target, {}

    def __call__(self, kernel):
        """(compiled, counts) of a kernel."""
        if kernel not in self._known:
            compiled = compiling.compile_kernel(kernel, self.target)
            self._known[kernel] = compiled, reading.read(compiled, self.target.vendor)
        return self._known[kernel]

    def row(self, kernel, items):
        """A line of the table."""
        compiled, code = self(kernel)
        target, loop = self.target, code.loop
        held = compiled.registers, compiled.local, items, compiled.wave
        products = max(1, loop.fmas + loop.matrices * model.MATRIX // target.wave)
        line = f"{compiled.registers:9d} {compiled.stack:5d} {compiled.spills:6d} "
        line += f"{compiled.local:6d} {target.groups(*held):6d} {target.occupancy(*held):6.0%} "
        line += f"{loop.issued:5d} {loop.fma_share:5.0%} {sum(loop.loads) / products:6.2f} "
        line += f"{sum(loop.local_loads) / products:6.2f} {conflicts(kernel, target):5d}  {kernel}"
        return line


def conflicts(kernel, target):
    """Clocks that conflicts add to a wave's accesses, one of each kind."""
    if kernel.name != "multiply_tiles":
        return 0
    found = banks.accesses(dict(kernel.defines), target.wave)
    return sum(clocks - least for clocks, least in found.values())


def layers(proof, batch):
    """Print the bound of each layer's time."""
    device = Recorder(proof.target)
    for name, network in (("VGG-16", shapes.VGG16), ("ResNet-50", shapes.RESNET50)):
        total = []
        for layer in network.values():
            plan = device.plan(problem_of(layer, batch))
            _, launches = device.run(plan)
            took = [model.seconds(each, *proof(each.kernel), proof.target) for each in launches]
            time = fsum(seconds for seconds, _ in took)
            total.append(time)
            binds = max(took)[1]
            rate = plan.problem.flops / time * 1e-12
            print(
                f"  {layer.name:24s} {plan.algorithm:14s} {time * 1e3:8.4f} ms {rate:6.1f} TFLOP/s"
                f"  {len(launches)} launches, {binds}",
                flush=True,
            )
        print(f"  {name}, batch {batch}: {fsum(total) * 1e3:.3f} ms at least, each layer once\n")


def main():
    """Print both tables for each target whose compilers are there."""
    asked, done = arguments(), 0
    for target in TARGETS.values():
        if asked.arch not in (None, target.arch):
            continue
        print(f"{target.name} ({target.arch}): {target.source}")
        lacking = compiling.missing(target.vendor)
        if lacking:
            print(f"  not compiled: needs {lacking}\n")
            continue
        proof, done = Proof(target), done + 1
        print(COLUMNS)
        for kernel, items in every_kernel(target, samples(), asked.all).items():
            print(proof.row(kernel, items), flush=True)
        print()
        if not asked.no_layers:
            layers(proof, asked.batch)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
