"""Kernels compiled once: the cache of program binaries on disk.

An entry is a file named by a hash of all that the binary depends on: source, macros, device,
driver. It is written beside its place and renamed, and begins with a hash of its content: one that
is broken, cut off or refused by the driver is compiled again and replaced.
"""

import hashlib
import os
import secrets
import warnings
from contextlib import suppress
from pathlib import Path

from cyconv.algorithms.winograd_matrices import VARIANTS, header
from cyconv.problem.operands import DeviceError

FOLDER = Path(__file__).parent
DIGEST = 32  # bytes of the hash that a file begins with, of what follows


def folder():
    """Where binaries are kept: ``CYCONV_OPENCL_CACHE``, else the user's cache folder; or None."""
    from cyconv.planning import tuning

    named = os.environ.get("CYCONV_OPENCL_CACHE")
    if named is not None:
        return Path(os.path.abspath(os.path.expanduser(named))) if named else None
    base = tuning.cache_folder()
    return None if base is None else Path(base, "opencl")


def keeps_kernels(device):
    """Whether the driver has a cache of its own, and none was asked of us.

    PoCL compiles a kernel for the size of groups that is launched. Its binaries are for any size:
    to get them it compiles once more, and a first call takes half as long again.
    """
    own = device.platform == "Portable Computing Language"
    return own and not {"CYCONV_OPENCL_CACHE", "POCL_KERNEL_CACHE"} & {*os.environ}


def source_of(stem):
    """The text of ``<stem>.cl`` after what all kernels share."""
    shared = "".join(
        (FOLDER / name).read_text(encoding="utf-8") for name in ("common.cl", "cells.cl")
    )
    if stem == "winograd":
        shared += header(VARIANTS[:2])
    files = ("ptx", stem, "tensor") if stem == "implicit_gemm" else (stem,)
    return shared + "".join((FOLDER / f"{file}.cl").read_text(encoding="utf-8") for file in files)


def build(device, stem, defines):
    """``<stem>.cl`` for `device`: from the cache, or compiled and put there."""
    import pyopencl as cl

    from cyconv.opencl.device import note

    source = source_of(stem)
    options = [
        "-cl-std=CL1.2",
        "-w",
        *(f"-D{name}={value}" for name, value in sorted(defines.items())),
    ]
    if "REGISTERS" in defines and device.registers_option:
        options.append(f"-cl-nv-maxrregcount={defines['REGISTERS']}")
    options += device.compiler_options
    key = hashlib.sha256("\0".join([source, *options, device.key]).encode()).hexdigest()
    where = None if keeps_kernels(device) else folder()
    path = None if where is None else where / f"{key}.bin"
    binary = None if path is None else _read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # drivers count their notes as the compiler's warnings
        if binary is not None:
            try:
                program = cl.Program(device.context, [device.queue.device], [binary])
                return program.build(options, devices=[device.queue.device], cache_dir=False)
            except cl.Error:
                binary = None
        note("build", stem)
        try:
            program = cl.Program(device.context, source).build(
                options, devices=[device.queue.device], cache_dir=False
            )
        except cl.RuntimeError as error:
            raise DeviceError(
                f"{device.name} ({device.platform}, driver {device.driver}): {stem}.cl does not "
                f"compile with {' '.join(options)}; the driver says:\n{error}"
            ) from None
        if path is not None:
            with suppress(cl.Error, OSError):
                # A context of several devices has a binary for each, empty where not built.
                place = program.get_info(cl.program_info.DEVICES).index(device.queue.device)
                _write(path, program.get_info(cl.program_info.BINARIES)[place])
    return program


def _read(path):
    """The binary at `path`, or None if there is none or it is not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, binary = content[:DIGEST], content[DIGEST:]
    return binary if binary and hashlib.sha256(binary).digest() == digest else None


def _write(path, binary):
    """Keep `binary`, whole or not at all."""
    if not binary:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        temporary.write_bytes(hashlib.sha256(binary).digest() + binary)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()
