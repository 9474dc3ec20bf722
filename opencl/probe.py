"""Whether loading the OpenCL drivers is safe: tried once in a child process.

A broken driver may crash the process that loads it. A child asks for all devices first; that it
came back is remembered in a file named by a hash of what could change it, so that the next process
asks no child. What went wrong is never remembered.
"""

import hashlib
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from cyconv.problem.operands import DeviceError

SECONDS = 60
VENDORS = "/etc/OpenCL/vendors"
QUESTION = """
import warnings
warnings.simplefilter("ignore")
import pyopencl
for platform in pyopencl.get_platforms():
    try:
        for device in platform.get_devices():
            device.name
    except pyopencl.Error:
        pass
"""

_checked = False


def check(cl):
    """RuntimeError if the drivers crash or hang; nothing if they load."""
    global _checked
    if _checked or os.environ.get("CYCONV_OPENCL_PROBE") == "0":
        return
    verdict = _verdict_file(cl)
    if (verdict is None or not os.path.exists(verdict)) and _ask() and verdict is not None:
        with suppress(OSError):
            verdict.parent.mkdir(parents=True, exist_ok=True)
            verdict.touch()
    _checked = True


def _ask():
    """Load the drivers in a child process; whether all went well."""
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-c", QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"an OpenCL driver gave no answer within {SECONDS} s; set OCL_ICD_VENDORS to a folder "
            "with the drivers that work"
        ) from None
    if child.returncode < 0:
        raise DeviceError(
            f"an OpenCL driver crashes when it is loaded (signal {-child.returncode}); see "
            f"{VENDORS}, or set OCL_ICD_VENDORS to a folder with the drivers that work"
        )
    return child.returncode == 0


def _verdict_file(cl):
    """The file that says these drivers have loaded before, or None without a cache folder."""
    from cyconv.opencl import programs

    where = programs.folder()
    if where is None:
        return None
    facts = [sys.executable, cl.__file__, cl.VERSION_TEXT]
    facts += sorted(
        f"{name}={value}"
        for name, value in os.environ.items()
        if name.startswith(("OCL", "OPENCL", "POCL", "RUSTICL", "CUDA_VISIBLE", "LD_"))
    )
    folders = [os.environ.get("OCL_ICD_VENDORS") or VENDORS, Path(cl.__file__).parent]
    for folder in map(Path, folders):
        for path in sorted([*folder.glob("*.icd"), *folder.glob(".libs/*.icd")]):
            with suppress(OSError):
                facts += [str(path), path.read_text(errors="replace"), str(path.stat().st_mtime_ns)]
    key = hashlib.sha256("\0".join(facts).encode()).hexdigest()
    return where / f"{key}.loads"
