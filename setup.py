"""Build of the extensions; everything else is in pyproject.toml.

The kernels are compiled once for each instruction set and element type, each object with its own
flags from ISA_FLAGS, and chosen at run time by cpuid. Nothing asks what the build host can do.
Objects are compiled side by side, the longest first, while Cython translates in between. What
an earlier build left in build/ is used again, unless a source or a setting has changed since.

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

import Cython
import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError
from setuptools.modified import newer_group

# Instruction set -> flags, for each processor family of the *target*, as Python names it.
ISA_FLAGS = {
    "x86_64": {
        "baseline": [],
        "avx2": ["-mavx2", "-mfma", "-mf16c"],
        "avx512": [
            "-mavx512f",
            "-mavx512dq",
            "-mavx512vl",
            "-mavx512bw",
            "-mfma",
            "-mprefer-vector-width=512",
        ],
    },
    "aarch64": {"baseline": [], "neon": []},
    "other": {"baseline": []},
}
FAMILY = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}

# Fused multiply-adds are wanted; -ffast-math is not: it would change the process's float mode.
# The kernels are written in vectors and unrolled by hand: -O3 takes twice as long for no gain.
# A tile of one chain of sums must round as wider tiles do: GCC 14 and later would split the fused
# operations of a chain, for speed, where it finds only one. (Clang has no such setting.)
# Their loops over a few vectors are not to become calls of memcpy and memset. -g0 undoes Python's
# own -g: to describe code that is unrolled like this takes a third of the time, and most bytes.
CFLAGS = ["-O2", "-g0", "-std=gnu11", "-Wall", "-Wextra", "-ffp-contract=fast",
          "--param=avoid-fma-max-bits=0", "-Wno-unused-command-line-argument",
          "-fno-math-errno", "-fno-tree-loop-distribute-patterns", "-fno-trapping-math",
          "-fvisibility=hidden"]  # fmt: skip
ELEMENTS = ("f32", "f64", "u32", "u64")
CHAIN_ELEMENTS = ("f32", "f64")  # of image filters' sums
PAIR_ELEMENTS = ("u32",)  # of sums of products of 16-bit integers
LAST_ELEMENTS = ("f32", "f64")  # of channels last
SPECTRA_ELEMENTS = ("f32", "f64")  # of products of spectra

# What Cython writes only calls the kernels: -O2 takes twice as long for no gain.
CYTHON_CFLAGS = ["-O1"]
# What threads share is locked or atomic, so an interpreter without its lock may stay without.
DIRECTIVES = {
    "language_level": 3,
    "binding": True,
    "cdivision": True,
    "freethreading_compatible": True,
}

KERNELS = Path("cyconv/kernels")
KERNEL_EXTENSION = "cyconv.kernels.kernels"
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
        """Compile as many files side by side as there are processors."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        """Start the long jobs, translate meanwhile, and link the kernels last."""
        self.check_extensions_list(self.extensions)
        sanitize = []
        if SANITIZE:
            sanitize = [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all", "-O1", "-g"]
        openmp = self.openmp_flags()
        with ThreadPoolExecutor(int(self.parallel)) as pool:
            parts = (
                ("chains", CHAIN_ELEMENTS),
                ("kernels", ELEMENTS),
                ("pairs", PAIR_ELEMENTS),
                ("last", LAST_ELEMENTS),
                ("spectra", SPECTRA_ELEMENTS),
            )
            objects = [
                pool.submit(self.kernel_object, part, isa, element, flags + sanitize)
                for part, elements in parts
                for element in elements
                for isa, flags in reversed(isa_flags().items())
            ]
            modules = []
            for extension in self.extensions:
                extra = sanitize + (openmp if extension.name == "cyconv.runtime.parallel" else [])
                extension.extra_compile_args = CFLAGS + CYTHON_CFLAGS + extra
                extension.extra_link_args = extra
                self.translate(extension)
                if extension.name == KERNEL_EXTENSION:
                    kernels = extension
                else:
                    modules.append(pool.submit(self.build_extension, extension))
        for job in modules:
            job.result()  # raises what went wrong
        kernels.extra_objects = [job.result() for job in objects]
        self.build_extension(kernels)

    def make(self, target, sources, settings, job):
        """Run `job`, which makes the file `target`, unless it was made of these very sources.

        It was where no source is newer, and where the settings are those that lie in the build's
        folder since. A path that is another in every build is no setting.
        """
        note = Path(self.build_temp, "made", target.replace(os.sep, "."))
        settings = repr(settings)
        same = note.exists() and note.read_text() == settings
        if same and not self.force and not newer_group(sources, target):
            return
        note.unlink(missing_ok=True)
        Path(target).unlink(missing_ok=True)
        job()
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(settings)

    def translate(self, extension):
        """The extension's Cython to C, beside it."""
        source, *others = extension.sources
        target = source.removesuffix(".pyx") + ".c"
        self.make(
            target,
            [source, *sorted(glob("cyconv/**/*.pxd", recursive=True))],
            (Cython.__version__, np.__version__, DIRECTIVES),
            lambda: cythonize(extension, compiler_directives=DIRECTIVES, force=True),
        )
        extension.sources = [target, *others]

    def build_extension(self, extension):
        """Compile and link one extension."""
        self.make(
            self.get_ext_fullpath(extension.name),
            [*extension.sources, *extension.depends, *extension.extra_objects],
            (
                self.compiler.compiler_so,
                self.compiler.linker_so,
                extension.extra_compile_args,
                extension.define_macros,
                np.__version__,
            ),
            lambda: super(BuildExt, self).build_extension(extension),
        )

    def kernel_object(self, part, isa, element, flags):
        """target_<isa>.c: one part of its tables for one element type, as an object file."""
        source = str(KERNELS / f"target_{isa}.c")
        folder = os.path.join(self.build_temp, part, element)
        (target,) = self.compiler.object_filenames([source], output_dir=folder)
        self.make(
            target,
            [source, *HEADERS],
            (self.compiler.compiler_so, CFLAGS, flags),
            lambda: self.compiler.compile(
                [source],
                output_dir=folder,
                macros=[(f"PART_{part}", None), (f"ELEMENT_{element}", None)],
                extra_postargs=CFLAGS + flags,
            ),
        )
        return target

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
    for path in sorted(glob("cyconv/**/*.pyx", recursive=True)):
        name = path.removesuffix(".pyx").replace(os.sep, ".")
        own = ["cyconv/kernels/dispatch.c"] if name == KERNEL_EXTENSION else []
        yield Extension(
            name,
            [path, *own],
            include_dirs=[str(KERNELS), np.get_include()],
            define_macros=[
                ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
                *((f"CYCONV_{isa}", None) for isa in isa_flags()),
            ],
            depends=HEADERS,
        )


def write_transforms():
    """Generate winograd_transforms.h, if it is not what its matrices say."""
    text = runpy.run_path(MATRICES)["header"]()
    path = KERNELS / "winograd_transforms.h"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


write_transforms()
HEADERS = sorted(glob("cyconv/kernels/*.h"))
setup(ext_modules=list(extensions()), cmdclass={"build_ext": BuildExt})
