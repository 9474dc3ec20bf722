"""The machine: its caches, its processors and their name, read when the library loads.

Nothing else in the library knows the size of a cache: algorithms take shares of these.
``CYCONV_CACHES=32K,512K,32M`` sets the three sizes, for a machine that tells them wrong or to see
how the library would divide its work elsewhere.
"""

import os
import platform
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cyconv.kernels


@dataclass(frozen=True)
class Caches:
    """Bytes of data in the caches that one core reaches.

    Attributes
    ----------
    l1, l2 : int
        Of the first and the second level.
    l3 : int
        Of the last level, shared with other cores; the second's where there is no third.
    source : {'CYCONV_CACHES', 'sysfs', 'sysctl', 'cpuid', 'assumed'}
        Who said so.
    """

    l1: int
    l2: int
    l3: int
    source: str

    @classmethod
    def of(cls, sizes, source):
        """Of two or more sizes, the first level's first; the last one is the last level's."""
        return cls(*sizes[:2], sizes[:3][-1], source)

    @property
    def sizes(self):
        """Bytes, the first level's first."""
        return self.l1, self.l2, self.l3

    def __str__(self):
        sizes = zip(("L1", "L2", "L3"), self.sizes, strict=True)
        return ", ".join(f"{name} {_text(size)}" for name, size in sizes) + f" ({self.source})"


ASSUMED = 32 << 10, 512 << 10, 8 << 20
"""Sizes where nobody tells any: of no particular machine, and small enough for most."""

LEAST, MOST = 4 << 10, 4 << 30  # what is outside is no cache

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _text(size):
    """A size in the largest unit that it is whole in."""
    unit = next(u for u in ("G", "M", "K", "") if size % UNITS[u] == 0)
    return f"{size // UNITS[unit]} {unit}{'iB' if unit else 'bytes'}"


def parsed(text):
    """The sizes in ``32K,512K,32M``: two or three, none larger than the next.

    Raises
    ------
    ValueError
        With the rule, for any other text.
    """
    size = re.compile(r"\s*(\d{1,12})\s*([KMG]?)(?:i?B)?\s*", re.IGNORECASE)
    found = [size.fullmatch(one) for one in text.split(",")]
    sizes = [int(one[1]) * UNITS[one[2].upper()] for one in found if one]
    if len(sizes) != len(found) or len(sizes) not in (2, 3) or not _sensible(sizes):
        raise ValueError(
            "CYCONV_CACHES: must be the bytes of two or three caches, none larger than the next, "
            f"such as 32K,512K,32M, got {text!r}"
        )
    return sizes


def _sensible(sizes):
    return sizes[0] >= LEAST and sizes[-1] <= MOST and list(sizes) == sorted(sizes)


def _sysfs(folder="/sys/devices/system/cpu/cpu0/cache"):
    """Sizes as Linux lists them for the first processor."""
    sizes = {}
    try:
        for index in Path(folder).glob("index*"):
            kind, level, size = (
                (index / name).read_text("ascii").strip() for name in ("type", "level", "size")
            )
            if kind in ("Data", "Unified"):
                sizes[int(level)] = int(size.removesuffix("K")) << 10
    except (OSError, ValueError):
        return []
    return [sizes[level] for level in sorted(sizes)]


def _sysctl():
    """Sizes as macOS has them, of the fastest cores."""
    sizes = []
    for name in ("l1dcachesize", "l2cachesize", "l3cachesize"):
        command = ["sysctl", "-n", f"hw.perflevel0.{name}", f"hw.{name}"]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        sizes += [int(value) for value in said[:1] if value.isdigit() and int(value)]
    return sizes


def _read():
    """The caches of this machine, from the first who knows them."""
    text = os.environ.get("CYCONV_CACHES")
    if text:
        return Caches.of(parsed(text), "CYCONV_CACHES")
    sources = {"cpuid": cyconv.kernels.cpuid_caches}
    if sys.platform == "linux":
        sources = {"sysfs": _sysfs, **sources}
    elif sys.platform == "darwin":
        sources = {"sysctl": _sysctl, **sources}
    for source, ask in sources.items():
        sizes = ask()[:3]
        if len(sizes) > 1 and _sensible(sizes):
            return Caches.of(sizes, source)
    return Caches.of(ASSUMED, "assumed")


_caches = _read()


def caches():
    """The caches that plans are laid out for from now on."""
    return _caches


@contextmanager
def assumed(text):
    """Other caches for the plans that are made within, as ``CYCONV_CACHES`` names them."""
    global _caches
    before, _caches = _caches, Caches.of(parsed(text), "CYCONV_CACHES")
    try:
        yield
    finally:
        _caches = before


def cores():
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def cpu():
    """The processor's model, as the system names it."""
    name = ""
    try:
        if sys.platform == "darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            name = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        elif sys.platform != "win32":
            with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
                fields = (line.partition(":") for line in file)
                name = next((v for k, _, v in fields if k.strip() == "model name"), "")
    except OSError:
        pass
    name = name or platform.processor() or platform.machine()
    return " ".join(name.split()) or "unknown"
