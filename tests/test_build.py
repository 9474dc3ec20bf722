"""The build makes again what has changed, and nothing else: setup.py, with a compiler that only
writes down what it is asked for.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPILER = """#!/bin/sh
echo "$@" >>"$LOG"
while [ "$1" != -o ]; do shift; done
echo >"$2"
"""

for name in ("Cython", "setuptools.modified"):
    pytest.importorskip(name)
if sysconfig.get_platform() != "linux-x86_64":
    pytest.skip("names instruction sets of x86-64", allow_module_level=True)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The part of the project that the kernels' extension is built from."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    (folder / "cyconv" / "algorithms").mkdir(parents=True)
    shutil.copy(ROOT / "cyconv/algorithms/winograd_matrices.py", folder / "cyconv" / "algorithms")
    (folder / "cyconv" / "kernels").mkdir()
    for path in (ROOT / "cyconv" / "kernels").glob("[!.]*.[chp]*"):
        if path.suffix in (".h", ".pyx", ".pxd") or path.name.startswith(("target", "dispatch")):
            shutil.copy(path, folder / "cyconv" / "kernels")
    (folder / "cc").write_text(COMPILER)
    (folder / "cc").chmod(0o755)
    build(folder)
    return folder


def build(folder, **environment):
    """What was compiled: the names of objects and of the library."""
    log = folder / "log"
    log.write_text("")
    environment = {
        "CC": str(folder / "cc"),
        "LOG": str(log),
        "CYCONV_BUILD_ISA": "avx2",
        "CYCONV_NO_OPENMP": "1",
        **environment,
    }
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext"],
        cwd=folder,
        env=os.environ | environment,
        check=True,
        capture_output=True,
    )
    commands = [line.split() for line in log.read_text().splitlines()]
    outputs = [Path(words[words.index("-o") + 1]) for words in commands]
    return sorted(path.name.partition(".")[0] for path in outputs)


MODULE = ["dispatch", "kernels", "kernels"]  # two objects, and the library


def kernel_objects(isa):
    # Of four element types; filters of images, channels last and beside spectra for two; pairs.
    return [f"target_{isa}"] * 11


EVERYTHING = [*MODULE, *kernel_objects("avx2"), *kernel_objects("baseline")]


def test_what_has_not_changed_is_not_built_again(checkout):
    assert build(checkout) == []


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("simd.h", EVERYTHING),
        ("target_avx2.c", [*MODULE, *kernel_objects("avx2")]),
        ("kernels.pxd", MODULE),
    ],
)
def test_what_a_changed_file_is_part_of_is_built_again(checkout, changed, again):
    path = checkout / "cyconv" / "kernels" / changed
    path.write_text(path.read_text() + "\n")
    assert build(checkout) == sorted(again)


def test_another_flag_builds_everything_again(checkout):
    assert build(checkout, CFLAGS="-funroll-loops") == sorted(EVERYTHING)
    assert build(checkout) == sorted(EVERYTHING)
