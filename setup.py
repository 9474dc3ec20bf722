"""Build of the extensions; everything else is in pyproject.toml.

The kernels are compiled once for each instruction set and element type, each object with its own
flags from ISA_FLAGS, and chosen at run time by cpuid. Nothing asks what the build host can do.

Environment: CYCONV_NO_OPENMP=1 builds without OpenMP; CYCONV_BUILD_ISA=avx2 builds only that
instruction set beside the baseline; CYCONV_SANITIZE=address,undefined builds with those sanitizers.
"""

import os
import runpy
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

# Instruction set -> flags, for each processor family of the *target*, as Python names it.
ISA_FLAGS = {
    "x86_64": {
        "baseline": [],
        "avx2": ["-mavx2", "-mfma"],
        "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma",
                   "-mprefer-vector-width=512"],
    },
    "aarch64": {"baseline": [], "neon": []},
    "other": {"baseline": []},
}  # fmt: skip
FAMILY = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}

# Fused multiply-adds are wanted; -ffast-math is not: it would change the process's float mode.
# The kernels are written in vectors and unrolled by hand: -O3 takes twice as long for no gain.
# Their loops over a few vectors are not to become calls of memcpy and memset.
CFLAGS = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-ffp-contract=fast", "-fno-math-errno",
          "-fno-tree-loop-distribute-patterns", "-fno-trapping-math",
          "-fvisibility=hidden"]  # fmt: skip
ELEMENTS = ("f32", "f64", "u32", "u64")

KERNELS = Path("cyconv/kernels")
MATRICES = "cyconv/algorithms/winograd_matrices.py"
SANITIZE = os.environ.get("CYCONV_SANITIZE")


def isa_flags():
    """The row of ISA_FLAGS for the platform this Python builds for."""
    machine = sysconfig.get_platform().rpartition("-")[2].lower()
    flags = ISA_FLAGS[FAMILY.get(machine, "other")]
    wanted = os.environ.get("CYCONV_BUILD_ISA", ",".join(flags)).split(",")
    return {isa: flags[isa] for isa in flags if isa in ("baseline", *wanted)}


class BuildExt(build_ext):
    """Builds the kernels' objects, and uses OpenMP where the compiler has it."""

    def finalize_options(self):
        """Build extensions side by side."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        """Add the flags every extension shares."""
        flags = list(CFLAGS)
        if SANITIZE:
            flags += [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all", "-O1"]
        openmp = self.openmp_flags()
        for extension in self.extensions:
            extra = openmp if extension.name == "cyconv.runtime.parallel" else []
            extension.extra_compile_args = flags + extra
            extension.extra_link_args = [f for f in flags if "sanitize" in f] + extra
        super().build_extensions()

    def build_extension(self, extension):
        """Compile each instruction set's kernels with its own flags."""
        if extension.name == "cyconv.kernels.kernels":
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                jobs = [
                    pool.submit(self.kernel_object, isa, flags, element, extension)
                    for isa, flags in isa_flags().items()
                    for element in ELEMENTS
                ]
            extension.extra_objects = [job.result() for job in jobs]
        super().build_extension(extension)

    def kernel_object(self, isa, flags, element, extension):
        """target_<isa>.c for one element type, as an object file."""
        (compiled,) = self.compiler.compile(
            [str(KERNELS / f"target_{isa}.c")],
            output_dir=os.path.join(self.build_temp, element),
            macros=[(f"ELEMENT_{element}", None)],
            extra_postargs=extension.extra_compile_args + flags,
            depends=extension.depends,
        )
        return compiled

    def openmp_flags(self):
        """-fopenmp, unless the compiler cannot, or CYCONV_NO_OPENMP says not to."""
        if os.environ.get("CYCONV_NO_OPENMP"):
            return []
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "openmp.c")
            source.write_text(
                "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
            )
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=["-fopenmp"]
                )
                self.compiler.link_executable(
                    objects, str(Path(folder, "openmp")), extra_postargs=["-fopenmp"]
                )
            except (CompileError, LinkError):
                self.warn("the compiler has no OpenMP: building cyconv for one thread")
                return []
        return ["-fopenmp"]


def extensions():
    """Every .pyx in the package, in sorted order."""
    headers = sorted(glob("cyconv/kernels/*.h"))
    for path in sorted(glob("cyconv/**/*.pyx", recursive=True)):
        name = path.removesuffix(".pyx").replace(os.sep, ".")
        own = ["cyconv/kernels/dispatch.c"] if name == "cyconv.kernels.kernels" else []
        yield Extension(
            name,
            [path, *own],
            include_dirs=[str(KERNELS), np.get_include()],
            define_macros=[
                ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
                *((f"CYCONV_{isa}", None) for isa in isa_flags()),
            ],
            depends=headers,
        )


def write_transforms():
    """Generate winograd_transforms.h, if it is not what its matrices say."""
    text = runpy.run_path(MATRICES)["header"]()
    path = KERNELS / "winograd_transforms.h"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


write_transforms()
setup(
    ext_modules=cythonize(
        list(extensions()),
        compiler_directives={
            "language_level": 3,
            "binding": True,
            "cdivision": True,
        },
    ),
    cmdclass={"build_ext": BuildExt},
)
