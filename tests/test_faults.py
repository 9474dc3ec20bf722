"""What the library must leave alone: the process's float mode, its modules, its other failures."""

import platform
import re
import sys

import numpy as np
import pytest

import cyconv

from .cases import ALGORITHMS
from .tolerances import EXACT
from .variants import label

# glibc's fenv_t on x86-64 is the 28 bytes of the x87 environment, then MXCSR. Its low six bits
# are flags that arithmetic raises; the rest is the mode: rounding, masks, denormals.
MXCSR = """
import ctypes, ctypes.util
libm = ctypes.CDLL(ctypes.util.find_library("m"))

def mode():
    environment = (ctypes.c_uint32 * 16)()
    assert libm.fegetenv(environment) == 0
    return environment[7] & ~0x3F
"""

# Without MXCSR: half of the smallest normal number is denormal, and survives unless it is flushed.
DENORMAL = """
import numpy as np

def mode():
    return bool((np.full(64, np.finfo(np.float32).tiny) * np.float32(0.5)).all())
"""

x86_glibc = platform.machine() in ("x86_64", "AMD64") and platform.libc_ver()[0] == "glibc"
MODES = [
    pytest.param(MXCSR, id="mxcsr", marks=pytest.mark.skipif(not x86_glibc, reason="x86 only")),
    pytest.param(DENORMAL, id="denormal"),
]


@pytest.mark.parametrize("mode", MODES)
def test_import_leaves_the_float_mode(mode, child):
    child(
        f"{mode}\nimport numpy, scipy\nbefore = mode()\nimport cyconv\n"
        "assert cyconv.kernels.isa()\nassert mode() == before, (before, mode())"
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_call_leaves_the_float_mode_even_if_it_raises(mode, child):
    child(
        f"""{mode}
import numpy as np
import cyconv

x = np.full((2, 3, 30, 30), 1e-42, np.float32)
w = np.full((4, 3, 3, 3), 0.5, np.float32)
before = mode()
for name in cyconv.planning.registry.names():
    for threads in (1, 3):
        cyconv.conv2d(x, w, padding=1, algorithm=name, threads=threads)
        assert mode() == before, (name, before, mode())
    try:
        cyconv.conv2d(x, w, stride=0, algorithm=name)
    except ValueError:
        assert mode() == before, (name, before, mode())
    else:
        raise SystemExit("stride 0 was taken")
"""
    )


def test_import_is_light(child):
    heavy = (
        "scipy.linalg",
        "scipy.signal",
        "torch",
        "onnx",
        "dask",
        "pyopencl",
        "matplotlib",
        "PIL",
        "rich",
    )
    loaded = child(
        f"import sys, cyconv\nprint([m for m in {heavy} if m in sys.modules])",
    ).stdout
    assert loaded == "[]\n"


def test_import_starts_no_threads_and_prints_nothing(child):
    done = child("import threading, cyconv\nassert threading.active_count() == 1")
    assert done.stdout == done.stderr == ""


@pytest.mark.parametrize("name", cyconv.kernels.available())
def test_the_environment_chooses_the_instruction_set(name, child):
    code = "import cyconv\nprint(cyconv.kernels.isa(), *cyconv.kernels.available())"
    chosen, *available = child(code, CYCONV_ISA=name).stdout.split()
    assert chosen == name
    assert tuple(available) == cyconv.kernels.available()


def test_an_unknown_instruction_set_is_refused_with_the_list(child):
    done = child("import cyconv\ncyconv.kernels.isa()", check=False, CYCONV_ISA="sse9")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "CYCONV_ISA" in last
    assert "sse9" in last
    for name in cyconv.kernels.available():
        assert name in last


def test_set_isa_refuses_an_unknown_name_with_the_list():
    before = cyconv.kernels.isa()
    names = ".*".join(map(re.escape, cyconv.kernels.available()))
    with pytest.raises(ValueError, match=f"{names}.*'sse9'"):
        cyconv.kernels.set_isa("sse9")
    assert cyconv.kernels.isa() == before


def test_the_baseline_is_everywhere():
    assert set(cyconv.kernels.available()) & {"baseline", "neon"}
    assert cyconv.kernels.isa() in cyconv.kernels.available()


OUT_OF_MEMORY = """
import resource
import numpy as np
import cyconv

small = np.ones((1, 2, 9, 9), np.float32), np.ones((3, 2, 3, 3), np.float32)
expected = cyconv.conv2d(*small, padding=1, algorithm={name!r})
x, w = np.ones((1, 8, 128, 128), np.float32), np.ones((64, 8, 3, 3), np.float32)
cyconv.conv2d(x[:, :, :32], w, padding=1, algorithm={name!r}, threads=2)

with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
raised = 0
for spare in (1, 4, 16, 64, 256, 1024):
    resource.setrlimit(resource.RLIMIT_AS, (now + spare * 2**20, resource.RLIM_INFINITY))
    big = np.broadcast_to(x, (40, *x.shape[1:]))
    try:
        y = cyconv.conv2d(big, w, padding=1, algorithm={name!r}, threads=2, workspace_limit=2**40)
    except MemoryError as error:
        raised += 1
    else:
        assert np.allclose(y[::13, :, 64, 1:-1], 8 * 9)
    again = cyconv.conv2d(*small, padding=1, algorithm={name!r})
    assert np.array_equal(again, expected)
assert raised
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", ALGORITHMS)
def test_out_of_memory_is_a_memory_error_and_the_next_call_is_right(name, child):
    child(OUT_OF_MEMORY.format(name=name))


OUT_OF_WORKSPACE = """
import resource
import numpy as np
import cyconv

x, w = np.ones((1, 192, 20, 20), np.float32), np.ones((192, 192, 3, 3), np.float32)
out = np.full((1, 192, 20, 20), np.nan, np.float32)
cyconv.conv2d(x[:, :, :8], w, padding=1, algorithm="direct", threads=2)
cyconv.conv2d(x[:, :8], w[:, :8], padding=1, algorithm="im2col", threads=2)  # loads BLAS
cyconv.plan(cyconv.Problem(x.shape, w.shape, padding=1), algorithm={name!r})  # loads what it is of
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 2**20, resource.RLIM_INFINITY))
try:
    cyconv.conv2d(x, w, padding=1, algorithm={name!r}, threads=2, out=out)
except MemoryError:
    assert np.isnan(out).all(), "a call that raises has written to out"
else:
    assert np.allclose(out[:, :, 1:-1, 1:-1], 192 * 9)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
cyconv.conv2d(x, w, padding=1, algorithm={name!r}, threads=2, out=out)
assert np.allclose(out[:, :, 1:-1, 1:-1], 192 * 9)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("caches", ["", "48K,2M,8M"])  # of the second, im2col runs two tiles
@pytest.mark.parametrize("name", ALGORITHMS)
def test_out_is_whole_or_untouched_when_the_workspace_cannot_be_had(name, caches, child):
    child(OUT_OF_WORKSPACE.format(name=name), CYCONV_CACHES=caches)


@pytest.mark.parametrize("name", EXACT, ids=label)
def test_denormals_may_be_lost_but_nothing_else(name):
    """Denormal cells count as themselves or as zero; the normal ones beside them stay right."""
    tiny = np.finfo(np.float32).smallest_subnormal
    x = np.full((1, 2, 8, 8), tiny, np.float32)
    x[0, 0, 4, 4] = 1
    w = np.ones((3, 2, 3, 3), np.float32)
    y = cyconv.conv2d(x, w, padding=1, algorithm=name)
    assert (y[0, :, 3:6, 3:6] == 1).all()
    y[0, :, 3:6, 3:6] = 0
    assert (y >= 0).all()
    assert (y <= 18 * tiny).all()


@pytest.mark.parametrize("name", EXACT, ids=label)
def test_a_denormal_answer_of_normal_numbers_is_kept_or_zero(name):
    x = np.full((1, 1, 6, 6), np.float32(2.0**-100))
    w = np.full((1, 1, 3, 3), np.float32(2.0**-45))
    y = cyconv.conv2d(x, w, algorithm=name)
    assert np.isin(y, np.float32([0, 9 * 2.0**-145])).all()
