"""Everything about one OpenCL device in one run: builds, checks and measures, and prints a table.

    python asv_bench/gpu_report.py [--device opencl:NVIDIA] [--batch 32] [--skip-tests]

Arrays of cyconv and of torch, which uses cuDNN where it finds CUDA, with TF32 off and on, are in
device memory. Both are timed by the host's clock, from the first of many calls until the device has
finished the last. Ratios are torch's time over
cyconv's, both measured in turns in this run. The exit status is 1 if tests failed.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from statistics import geometric_mean, median
from time import perf_counter

ROOT = Path(__file__).parents[1]
ROUNDS = 7


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="opencl")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", default="", help="only those with this in their name")
    parser.add_argument("--skip-build", action="store_true")
    parser.add_argument("--skip-tests", action="store_true")
    return parser.parse_args()


def build():
    """Compile the extensions in place."""
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=ROOT, check=True)


def check(device):
    """Whether the tests of OpenCL pass on this device."""
    tests = sorted(str(path) for path in (ROOT / "tests").glob("test_opencl*.py"))
    environment = {**os.environ, "CYCONV_TEST_OPENCL": device, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    print("tests:", "passed" if done.returncode == 0 else "FAILED", flush=True)
    return done.returncode == 0


def torch_call(x, w, geometry):
    """torch's call on a CUDA device and one that waits for it, or None."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    where = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    x, w = torch.from_numpy(x).to(where), torch.from_numpy(w).to(where)
    wait = torch.cuda.synchronize if where == "cuda" else (lambda: None)

    def call(tf32=False):
        torch.backends.cudnn.allow_tf32 = tf32
        with torch.no_grad():
            torch.nn.functional.conv2d(x, w, None, **geometry)

    return call, wait


def seconds(call, wait, *arguments):
    """Time of one call among many that are waited for together."""
    begun = perf_counter()
    call(*arguments)
    wait()
    count = max(1, min(100, int(0.02 / max(1e-6, perf_counter() - begun))))
    begun = perf_counter()
    for _ in range(count):
        call(*arguments)
    wait()
    return (perf_counter() - begun) / count


def row(layer, batch, device):
    """Median milliseconds of cyconv, torch, and torch with TF32, and the algorithm."""
    import numpy as np
    from pyopencl import array

    import cyconv

    rng = np.random.default_rng(20260101)
    x = rng.standard_normal((batch, *layer.x[1:]), dtype=np.float32)
    w = rng.standard_normal(layer.w, dtype=np.float32)
    queue = cyconv.opencl.queue(device)
    plan = cyconv.plan(cyconv.Problem(x.shape, w.shape, **layer.geometry), device=device)
    packed, there = plan.pack(w), array.to_device(queue, x)
    out = packed(there)
    peer = torch_call(x, w, layer.geometry)
    times = {"cyconv": [], "torch": [], "tf32": []}
    for _ in range(ROUNDS):
        times["cyconv"].append(seconds(lambda: packed(there, out=out), queue.finish))
        if peer:
            times["torch"].append(seconds(*peer))
            times["tf32"].append(seconds(*peer, True))
    return plan, {name: median(values) for name, values in times.items() if values}


def main():
    """Build, check, measure, print."""
    asked = arguments()
    if not asked.skip_build:
        build()
    sys.path[:0] = [str(ROOT), str(ROOT / "asv_bench")]
    from benchmarks import shapes

    import cyconv

    for info in cyconv.opencl.devices():
        print(info, flush=True)
    passed = asked.skip_tests or check(asked.device)
    print(f"{'layer':28s} {'algorithm':14s} {'ms':>9s} {'GFLOP/s':>9s} {'torch':>7s} {'tf32':>7s}")
    ratios = []
    for layer in [*shapes.VGG16.values(), *shapes.RESNET50.values()]:
        if asked.layers not in layer.name:
            continue
        plan, took = row(layer, asked.batch, asked.device)
        own = took["cyconv"]
        line = f"{layer.name:28s} {plan.algorithm:14s} {own * 1e3:9.3f} "
        line += f"{plan.problem.flops / own * 1e-9:9.0f}"
        if "torch" in took:
            ratios.append(took["torch"] / own)
            line += f" {ratios[-1]:7.2f} {took['tf32'] / own:7.2f}"
        print(line, flush=True)
    if ratios:
        print(f"geometric mean {geometric_mean(ratios):.2f}, least {min(ratios):.2f}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
