"""Networks of one image by ``cyconv.torch.optimize``, and by PyTorch, Inductor and ONNX Runtime.

    python asv_bench/models/inference.py [NETWORK ...] [--threads 1] [--turns 11] [--cpu-time]

A line is one network: milliseconds of the copy, then by how much longer each other takes: eager in
both layouts, the better of them, ``torch.compile``, and ONNX Runtime where it is installed; and
the copy itself for an input whose channels lie last.
"""

import argparse
import copy
import importlib.util
import tempfile
import warnings
from pathlib import Path

import torch
from networks import NETWORKS, trained
from turns import add_arguments, begin, medians

import cyconv.onnx
import cyconv.torch
from cyconv.cli.peers.onnx_engines import onnxruntime_session


def calls(model, x, threads, compiled):
    """The contestants by name, and the copy's difference from the model."""
    fast = cyconv.torch.optimize(model, x)
    last = {"memory_format": torch.channels_last}
    other, x_last = copy.deepcopy(model).to(**last), x.contiguous(**last)
    found = {
        "ours": lambda: fast(x),
        "eager": lambda: model(x),
        "eager last": lambda: other(x_last),
        "ours last": lambda: fast(x_last),
    }
    if compiled:
        inductor = torch.compile(copy.deepcopy(model))
        found["compile"] = lambda: inductor(x)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        with torch.inference_mode(False), warnings.catch_warnings(action="ignore"):
            torch.onnx.export(model, x, path, dynamo=False)
        ours = cyconv.onnx.prepare(path, threads=threads)
        found["ours onnx"] = lambda: ours.run(x.numpy())
        if importlib.util.find_spec("onnxruntime"):
            session = onnxruntime_session(path, threads)
            given = {session.get_inputs()[0].name: x.numpy()}
            found["onnxruntime"] = lambda: session.run(None, given)
    return found, fast.report.difference


def main():
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    add_arguments(parser)
    args = parser.parse_args()
    begin(args)
    for name in args.networks:
        make, shape = NETWORKS[name]
        model, x = trained(make()), torch.randn(shape)
        with torch.inference_mode():
            contestants, difference = calls(model, x, args.threads, not args.no_compile)
            times = medians(contestants, args.turns, args.cpu_time)
        own = times.pop("ours")
        times["better eager"] = min(times["eager"], times["eager last"])
        ratios = ", ".join(f"{other} {ms / own:.2f}" for other, ms in times.items())
        print(f"{name}: {own:.1f} ms, differs {difference:.0e}; {ratios}", flush=True)


if __name__ == "__main__":
    main()
