"""Kernels to machine code by compilers that need no GPU, and their own counts.

NVIDIA: clang to PTX, ptxas to machine code, nvdisasm to text. AMD: clang alone. Intel: ocloc, its
driver's own compiler. What the others' own OpenCL compilers make of a kernel differs in details; it
is the same back end.
"""

import importlib.util
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from cyconv.opencl.device import INTEL_REGISTERS
from cyconv.opencl.programs import source_of

LIBRARY = Path("/usr/lib/clc")  # OpenCL's functions as bitcode: Debian's libclc
GRF = 64  # bytes of one of Intel's registers, from Xe HPC and Xe2 on
VERSIONS = range(30, 17, -1)  # of clang
OPTIONS = ("-x", "cl", "-cl-std=CL1.2", "-O3", "-w", "-S")


class Compiled(NamedTuple):
    """A kernel's machine code as text, and what its compiler counts.

    Registers of a work item, bytes of its stack, registers that were spilled, bytes of a group's
    local memory, work items that run together where the compiler chooses.
    """

    code: str
    registers: int
    stack: int
    spills: int
    local: int
    wave: int | None = None


@lru_cache
def clang():
    """The newest clang that has OpenCL's functions beside it, or None."""
    for version in VERSIONS:
        found = shutil.which(f"clang-{version}")
        if found and any(LIBRARY.glob("nvptx64--*.bc")):
            return found
    return None


@lru_cache
def nvidia_tool(name):
    """The path of one of NVIDIA's tools: of PATH, else of its Python package; or None."""
    found = shutil.which(name)
    spec = None if found else importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in Path(folder).glob(f"*/bin/{name}"):
            return str(path)
    return found


def missing(vendor):
    """What a vendor's kernels cannot be compiled for want of, or None."""
    if vendor == "intel":
        return None if shutil.which("ocloc") else "ocloc (Debian: intel-ocloc)"
    if clang() is None:
        return "clang and libclc (Debian: clang-19 libclc-19)"
    for name in ("ptxas", "nvdisasm") if vendor == "nvidia" else ():
        if nvidia_tool(name) is None:
            package = {"ptxas": "nvidia-cuda-nvcc", "nvdisasm": "nvidia-cuda-nvdisasm"}[name]
            return f"{name} (the CUDA toolkit, or PyPI: {package})"
    return None


def compile_kernel(kernel, target):
    """The kernel's :class:`Compiled` for one target."""
    make = {"nvidia": _nvidia, "amd": _amd, "intel": _intel}[target.vendor]
    with TemporaryDirectory() as folder:
        return make(kernel, target.arch, Path(folder))


def _run(*command, cwd=None, given=None):
    done = subprocess.run(
        command, cwd=cwd, input=given, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: {done.stderr[-2000:]}")
    return done.stdout + done.stderr


def _front(kernel, output, *options):
    macros = (f"-D{name}={value}" for name, value in kernel.defines)
    source = source_of(kernel.stem)
    return _run(clang(), *OPTIONS, *options, *macros, "-o", str(output), "-", given=source)


@lru_cache(maxsize=8)
def _ptx(stem, defines):
    from gpu_proof.recorder import Kernel

    with TemporaryDirectory() as folder:
        path = Path(folder, "kernels.ptx")
        _front(
            Kernel(stem, "", defines),
            path,
            "--target=nvptx64-nvidia-nvidiacl",
            "-march=sm_80",
            "-Xclang",
            "-mlink-builtin-bitcode",
            "-Xclang",
            str(LIBRARY / "nvptx64--nvidiacl.bc"),
        )
        return path.read_text()


def _nvidia(kernel, arch, folder):
    source, binary = folder / "kernels.ptx", folder / "kernels.cubin"
    source.write_text(_ptx(kernel.stem, kernel.defines))
    most = dict(kernel.defines).get("REGISTERS", 255)
    told = _run(
        nvidia_tool("ptxas"),
        f"-arch={arch}",
        "-v",
        f"--maxrregcount={most}",
        "-e",
        kernel.name,
        str(source),
        "-o",
        str(binary),
    )
    told = told.split(f"entry function '{kernel.name}'")[1]
    code = _run(nvidia_tool("nvdisasm"), "-c", str(binary))
    code = re.split(r"\n\t\.section\t", code.split(f"\t.section\t.text.{kernel.name},")[1])[0]

    def count(pattern):
        found = re.search(pattern, told)
        return int(found[1]) if found else 0

    spills = count(r"(\d+) bytes spill stores") + count(r"(\d+) bytes spill loads")
    return Compiled(
        code,
        count(r"Used (\d+) registers"),
        count(r"(\d+) bytes stack frame"),
        spills // 4,
        count(r"(\d+) bytes smem"),
    )


def _amd(kernel, arch, folder):
    path = folder / "kernels.s"
    told = _front(
        kernel,
        path,
        "--target=amdgcn--amdhsa",
        f"-mcpu={arch}",
        "-nogpulib",
        "-Xclang",
        "-mlink-builtin-bitcode",
        "-Xclang",
        str(LIBRARY / "amdgcn--amdhsa.bc"),
        "-Rpass-analysis=kernel-resource-usage",
    )
    told = told.split(f"Function Name: {kernel.name} ")[1].split("Function Name:")[0]
    code = path.read_text().split(f"\n{kernel.name}:")[1].split(".Lfunc_end")[0]

    def count(name):
        found = re.search(rf"remark: .*\b{name}: (\d+)", told)
        return int(found[1]) if found else 0

    return Compiled(
        code,
        count("VGPRs") + count("AGPRs"),
        count(r"ScratchSize \[bytes/lane\]"),
        count("VGPRs Spill"),
        count(r"LDS Size \[bytes/block\]"),
    )


@lru_cache(maxsize=2)
def _ocloc(stem, defines, arch):
    """{name of a section: its text} of a program's binary, as ocloc takes it apart."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kernels.cl").write_text(source_of(stem), encoding="utf-8")
        macros = " ".join(f"-D{macro}={value}" for macro, value in defines)
        options = f"-cl-std=CL1.2 {macros} {INTEL_REGISTERS}"
        compile_ = ("compile", "-file", "kernels.cl", "-device", arch, "-options", options)
        _run("ocloc", *compile_, "-output_no_suffix", "-output", "kernels", cwd=folder)
        binary = next(path for path in folder.glob("kernels*") if path.suffix in ("", ".bin"))
        _run("ocloc", "disasm", "-file", binary.name, "-dump", "parts", "-device", arch, cwd=folder)
        parts = (folder / "parts").iterdir()
        return {path.name: path.read_text(errors="replace") for path in parts}


def _intel(kernel, arch, folder):
    parts = _ocloc(kernel.stem, kernel.defines, arch)
    told = re.split(r"\n  - name:", parts[".ze_info"].split("\nkernels_misc_info:")[0])
    told = next(each for each in told if each.split(None, 1)[0] == kernel.name)

    def count(name):
        found = re.search(rf"\b{name}: +(\d+)", told)
        return int(found[1]) if found else 0

    wave, grf = count("simd_size"), count("grf_count")
    return Compiled(
        parts[f".text.{kernel.name}.asm"],
        grf * GRF // 4 // wave,
        count("private_size"),
        count("spill_size") // 4 // wave,
        count("slm_size"),
        wave,
    )
