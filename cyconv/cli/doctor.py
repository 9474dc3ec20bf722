"""``cyconv doctor``: what this installation is made of and what it found on this machine."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import asdict

from .common import add_device, bad_input, check_device

_DESCRIPTION = """\
Show what cyconv found on this machine: versions, instruction set, threads, the
BLAS and OpenMP libraries loaded, OpenCL devices, and the packages of every
extra.
"""

_OPENCL_SECONDS = 60

# Runs in a child: a broken driver may crash or hang the process that asks it. Devices are counted
# as "opencl:<number>" counts them, past the platforms that fail.
_OPENCL_PROBE = """
import json, pyopencl
found, errors = [], []
for platform in pyopencl.get_platforms():
    try:
        devices = platform.get_devices()
    except pyopencl.Error as error:
        errors.append({"platform": platform.name.strip(), "error": str(error)})
        continue
    for device in devices:
        found.append({
            "device": f"opencl:{len(found)}",
            "platform": platform.name.strip(),
            "name": device.name.strip(),
            "version": device.version.strip(),
            "driver": device.driver_version.strip(),
            "compute_units": device.max_compute_units,
            "local_memory_bytes": device.local_mem_size,
            "global_memory_bytes": device.global_mem_size,
        })
print(json.dumps([found, errors]))
"""


def add_parser(subparsers):
    """Describe the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="show what cyconv runs on here",
        description=_DESCRIPTION,
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    add_device(parser)
    parser.set_defaults(run=run, parser=parser)


def run(args):
    """Collect and print."""
    report = _report()
    if args.device != "cpu":
        check_device(args)
        with bad_input():
            report["opencl"]["tried"] = _tried(args.device)
    print(json.dumps(report, indent=2) if args.json else _text(report))


def _report():
    import numpy
    import scipy
    from threadpoolctl import threadpool_info

    import cyconv
    from cyconv.planning import cost
    from cyconv.runtime import blas, machine, parallel

    pools = threadpool_info()
    return {
        "cyconv": cyconv.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "isa": {
            "active": cyconv.kernels.isa(),
            "available": list(cyconv.kernels.available()),
            "CYCONV_ISA": os.environ.get("CYCONV_ISA"),
        },
        "cpu": machine.cpu(),
        "caches": {**asdict(machine.caches()), "text": str(machine.caches())},
        "openmp": parallel.openmp(),
        "threads": {"used": cyconv.get_num_threads(), "cpus": os.cpu_count()},
        "blas": blas.info(),
        "model": {**vars(cost.constants.measured_on), "file": cost.model_file},
        "openmp_runtimes": [
            {key: pool[key] for key in ("prefix", "filepath", "num_threads")}
            for pool in pools
            if pool["user_api"] == "openmp"
        ],
        "opencl": _opencl(),
        "extras": _extras(),
    }


def _opencl():
    """The devices, what failing platforms said, and why there is no device where there is none."""

    def none(reason, errors=()):
        return {"devices": [], "errors": [*errors], "reason": reason}

    if importlib.util.find_spec("pyopencl") is None:
        return none("pyopencl is not installed: pip install 'cyconv[opencl]'")
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-c", _OPENCL_PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_OPENCL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return none(f"the OpenCL driver gave no answer within {_OPENCL_SECONDS} s")
    except OSError as error:
        return none(f"the probe could not start: {error}")
    if child.returncode < 0:
        return none(f"the OpenCL driver crashed (signal {-child.returncode})")
    # A driver may print on stdout too: the answer is the last line.
    lines = (child.stdout if child.returncode == 0 else child.stderr).strip().splitlines()
    if child.returncode:
        return none(lines[-1] if lines else f"the probe ended with code {child.returncode}")
    try:
        devices, errors = json.loads(lines[-1])
    except (IndexError, ValueError):
        return none("the probe gave no readable answer")
    if not devices:
        return none("no device found", errors)
    return {"devices": devices, "errors": errors, "reason": None}


def _tried(device):
    """A small convolution on `device` by every algorithm that can compute it."""
    import numpy as np

    import cyconv

    x, w = np.ones((1, 2, 9, 9), np.float32), np.ones((3, 2, 3, 3), np.float32)
    algorithms = cyconv.opencl.algorithms(cyconv.Problem(x.shape, w.shape), device)
    able = [name for name, reason in algorithms.items() if reason is None]
    wrong = [
        name
        for name in able
        if not (abs(cyconv.conv2d(x, w, device=device, algorithm=name) - 18) < 1e-3).all()
    ]
    return {
        "device": device,
        "name": cyconv.opencl.queue(device).device.name.strip(),
        "right": bool(able) and not wrong,
        "wrong": wrong,
        "algorithms": algorithms,
    }


def _extras():
    """``{extra: {package: version or None}}`` as the installed metadata name them, None without."""
    try:
        distribution = importlib.metadata.distribution("cyconv")
    except importlib.metadata.PackageNotFoundError:
        return None
    extras = {}
    for requirement in distribution.requires or ():
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)""", requirement)
        name = re.match(r"[\w.-]+", requirement)[0]
        if extra and name != "cyconv":
            extras.setdefault(extra[1], {})[name] = _version(name)
    return extras


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _text(report):
    isa, threads = report["isa"], report["threads"]
    forced = f", CYCONV_ISA={isa['CYCONV_ISA']}" if isa["CYCONV_ISA"] else ""
    rows = [(name, report[name]) for name in ("cyconv", "python", "platform", "numpy", "scipy")]
    rows += [("processor", report["cpu"]), ("caches", report["caches"]["text"])]
    rows.append(("ISA", f"{isa['active']} (available: {', '.join(isa['available'])}{forced})"))
    rows.append(("OpenMP", "yes" if report["openmp"] else "no: a serial build, always one thread"))
    rows.append(("threads", f"{threads['used']} of {threads['cpus']} CPUs"))
    rows.append(("BLAS", report["blas"]))
    model = report["model"]
    source = model["file"] or "built in"
    rows.append(("cost model", f"{model['processor']}, {model['date']}, {source}"))
    runtimes = [
        f"{pool['prefix']}, {pool['num_threads']} threads, {pool['filepath']}"
        for pool in report["openmp_runtimes"]
    ]
    rows += _list("OpenMP runtimes", runtimes or ["none loaded"])
    devices = [
        f"{device['device']}  {device['name']} ({device['platform']}, {device['version']}), "
        f"{device['compute_units']} compute units, {device['global_memory_bytes'] >> 20} MiB"
        for device in report["opencl"]["devices"]
    ]
    devices = devices or [f"none: {report['opencl']['reason']}"]
    failed = [f"{e['platform']} FAILS: {e['error']}" for e in report["opencl"]["errors"]]
    rows += _list("OpenCL devices", devices + failed)
    if "tried" in report["opencl"]:
        tried = report["opencl"]["tried"]
        able = [name for name, reason in tried["algorithms"].items() if reason is None]
        right = ", ".join(name for name in able if name not in tried["wrong"]) or "nothing"
        text = f"{tried['name']} computes rightly: {right}"
        if tried["wrong"]:
            text += f"; COMPUTES WRONGLY: {', '.join(tried['wrong'])}"
        rows.append((tried["device"], text))
    if report["extras"] is None:
        extras = ["unknown: cyconv runs from its source folder, not installed"]
    else:
        extras = [
            f"{extra}: " + ", ".join(f"{p} {v or '(not installed)'}" for p, v in packages.items())
            for extra, packages in report["extras"].items()
        ]
    rows += _list("extras", extras)
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:{width}}  {text}".rstrip() for label, text in rows)


def _list(label, lines):
    """Rows of one label and several lines."""
    return [(label if i == 0 else "", line) for i, line in enumerate(lines)]
