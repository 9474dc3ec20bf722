"""The kernels by themselves, in C: tests/kernels/check_kernels.c, with the flags that setup.py has.

It runs on this machine for each instruction set that the processor has, for 64-bit Arm under qemu
and as a program for Windows under Wine, where cross-compilers, qemu and Wine are installed.
"""

import ast
import os
import runpy
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import cyconv

from .cases import TIMES

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "tests" / "kernels"
KERNELS = ROOT / "cyconv" / "kernels"
ARM_COMPILER = "aarch64-linux-gnu-gcc"
ARM_EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
WINDOWS_COMPILER = "x86_64-w64-mingw32-gcc"
WINE = ("wine64", "/usr/lib/wine/wine64", "wine")
# Windows aligns a stack to 16 bytes, and GCC does not align what lies there any further [1]_: the
# assembler makes moves of it that need no alignment.
#
# .. [1] https://gcc.gnu.org/bugzilla/show_bug.cgi?id=54412
WINDOWS_FLAGS = ["-Wa,-muse-unaligned-vector-move", "-D__USE_MINGW_ANSI_STDIO=1"]

# The checks' own flags: what is tested has those of setup.py.
FLAGS = ["-O1", "-std=gnu11", "-Wall", "-Wextra"]


def build_flags():
    """The tables of setup.py, without running it."""
    tables = {}
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict | ast.List | ast.Tuple):
            tables[node.targets[0].id] = ast.literal_eval(node.value)
    return tables


SETUP = build_flags()
PARTS = {
    "kernels": "ELEMENTS",
    "chains": "CHAIN_ELEMENTS",
    "pairs": "PAIR_ELEMENTS",
    "last": "LAST_ELEMENTS",
    "spectra": "SPECTRA_ELEMENTS",
}
TABLES = [(part, element) for part, name in PARTS.items() for element in SETUP[name]]
CHECKED = [element if part == "kernels" else f"{part}_{element}" for part, element in TABLES]


def native():
    """The C compiler of this machine and its processor family, or a skip."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if not shutil.which(compiler[0]):
        pytest.skip(f"no C compiler: {compiler[0]}")
    machine = sysconfig.get_platform().rpartition("-")[2].lower()
    return compiler, SETUP["FAMILY"].get(machine, "other")


def build(compiler, sets, folder, *link, targets=None):
    """The program with these instruction sets, {name: flags}; `targets` may rename their files."""
    include = [f"-I{KERNELS}", f"-I{folder}"]
    matrices = runpy.run_path(str(ROOT / "cyconv/algorithms/winograd_matrices.py"))
    (folder / "winograd_transforms.h").write_text(matrices["header"]())
    objects = []

    def compiled(source, name, *flags):
        objects.append(str(folder / f"{name}.o"))
        command = [*compiler, *flags, *include, "-c", str(source), "-o", objects[-1]]
        subprocess.run(command, check=True)

    for part, element in TABLES:
        macros = f"-DPART_{part}", f"-DELEMENT_{element}"
        for isa, flags in sets.items():
            source = KERNELS / f"target_{(targets or {}).get(isa, isa)}.c"
            compiled(source, f"{part}_{isa}_{element}", *SETUP["CFLAGS"], *flags, *macros)
    for element in SETUP["ELEMENTS"]:
        compiled(SOURCES / "check_element.c", f"check_{element}", *FLAGS, f"-DELEMENT_{element}")
    for element in SETUP["LAST_ELEMENTS"]:
        compiled(SOURCES / "check_last.c", f"last_{element}", *FLAGS, f"-DELEMENT_{element}")
    for element in SETUP["SPECTRA_ELEMENTS"]:
        compiled(SOURCES / "check_spectra.c", f"spectra_{element}", *FLAGS, f"-DELEMENT_{element}")
    compiled(SOURCES / "check_chains.c", "check_chains", *FLAGS)
    compiled(SOURCES / "check_pairs.c", "check_pairs", *FLAGS)
    compiled(SOURCES / "check_kernels.c", "check_kernels", *FLAGS)
    compiled(KERNELS / "dispatch.c", "dispatch", *FLAGS, *(f"-DCYCONV_{isa}" for isa in sets))
    program = folder / "check.exe"  # as Windows wants it; others don't mind
    subprocess.run([*compiler, *link, *objects, "-o", str(program), "-lm"], check=True)
    return program


def tables_that_pass(*command):
    """The names of the tables, in order, once the program has found no fault in any."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    names = list(dict.fromkeys(words[0] for words in lines))
    assert [words[:2] for words in lines] == [
        [name, f"{element}:"] for name in names for element in CHECKED
    ]
    return names


@pytest.mark.full
def test_every_kernel_of_this_machine(tmp_path):
    compiler, family = native()
    program = build(compiler, SETUP["ISA_FLAGS"][family], tmp_path)
    names = tables_that_pass(str(program))
    # An extension built for fewer instruction sets has fewer.
    assert set(cyconv.kernels.available()) <= set(names)


@pytest.mark.full
def test_every_kernel_of_64_bit_arm_under_qemu(tmp_path):
    emulator = next(filter(None, map(shutil.which, ARM_EMULATORS)), None)
    if not (shutil.which(ARM_COMPILER) and emulator):
        pytest.skip(f"needs {ARM_COMPILER} and {' or '.join(ARM_EMULATORS)}")
    program = build([ARM_COMPILER], SETUP["ISA_FLAGS"]["aarch64"], tmp_path, "-static")
    assert tables_that_pass(emulator, str(program)) == ["neon", "baseline"]


@pytest.mark.full
def test_every_kernel_of_windows_under_wine(tmp_path, monkeypatch):
    wine = next(filter(None, map(shutil.which, WINE)), None)
    if not (shutil.which(WINDOWS_COMPILER) and wine):
        pytest.skip(f"needs {WINDOWS_COMPILER} and {' or '.join(WINE)}")
    compiler = [WINDOWS_COMPILER, *WINDOWS_FLAGS]
    program = build(compiler, SETUP["ISA_FLAGS"]["x86_64"], tmp_path, "-static")
    monkeypatch.setenv("WINEPREFIX", str(tmp_path / "wine"))
    monkeypatch.setenv("WINEDEBUG", "-all")
    subprocess.run([wine, "wineboot", "--init"], check=False, capture_output=True, timeout=300)
    names = tables_that_pass(wine, str(program))
    assert names[-1] == "baseline"
    assert set(cyconv.kernels.available()) <= set(names)


@pytest.mark.skipif(TIMES == 1, reason="compiles for a minute: set CYCONV_TEST_TIMES=2")
def test_the_code_for_avx512_in_instructions_of_avx2(tmp_path):
    """Vectors of 64 bytes that the compiler makes of two halves: the code, not its instructions."""
    compiler, family = native()
    if "avx2" not in cyconv.kernels.available():
        pytest.skip("this machine has no AVX2")
    flags = [*SETUP["ISA_FLAGS"][family]["avx2"], "-O1", "-Wno-psabi", "-Davx512=baseline"]
    program = build(compiler, {"baseline": flags}, tmp_path, targets={"baseline": "avx512"})
    assert tables_that_pass(str(program)) == ["baseline"]
