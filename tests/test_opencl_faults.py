"""What goes wrong with devices: an error that says what to do, and the next call right."""

import gc
import os
import weakref

import numpy as np
import pytest

import cyconv

pytest.importorskip("pyopencl", reason="pyopencl is not installed: pip install 'cyconv[opencl]'")

import pyopencl.array as array

from cyconv.opencl import device as door
from cyconv.opencl import programs

from .test_opencl import DEVICES, device, pytestmark

X, W = np.ones((1, 2, 8, 9), np.float32), np.ones((3, 2, 3, 3), np.float32)
CALL = """
import numpy as np, cyconv
x, w = np.ones((1, 2, 8, 9), np.float32), np.ones((3, 2, 3, 3), np.float32)
y = cyconv.conv2d(x, w, device={device!r}, algorithm={algorithm!r})
assert (y == 18).all()
"""


def right(name):
    np.testing.assert_array_equal(cyconv.conv2d(X, W, device=name), np.full((1, 3, 6, 7), 18))


@pytest.mark.parametrize("name", ["opencl:99", "opencl:no such device", "opencl:"])
def test_an_unknown_device_is_refused_with_a_list_of_those_there_are(name):
    with pytest.raises(ValueError, match=r"conv2d: device must be .*0 \(.*got 'opencl:") as error:
        cyconv.conv2d(X, W, device=name)
    for known in cyconv.opencl.devices():
        assert known.name in str(error.value)


@pytest.mark.parametrize("name", ["cuda", "OpenCL", "opencl1", "", None, 3])
def test_what_is_no_device_is_refused(name):
    with pytest.raises(ValueError, match="conv2d: device must be 'cpu', 'opencl', "):
        cyconv.conv2d(X, W, device=name)


def test_a_device_is_found_by_part_of_its_name(device):
    index = int(device.partition(":")[2]) if device[7:].isdecimal() else 0
    info = cyconv.opencl.devices()[index]
    found = cyconv.opencl.queue(f"opencl:{info.name[3:12].upper()}")
    assert found.device.name.strip() == info.name
    assert cyconv.opencl.queue(f"opencl:{info.platform}").device.platform.name.strip() == (
        info.platform
    )


def test_an_algorithm_that_the_device_has_not_is_refused(device):
    with pytest.raises(ValueError, match=r"'direct', 'implicit_gemm', .* on an OpenCL device, got"):
        cyconv.conv2d(X, W, device=device, algorithm="fft")


def test_importing_cyconv_touches_no_driver(child):
    child("import sys, cyconv; assert not [m for m in sys.modules if 'opencl' in m]")
    child("import sys, cyconv.opencl; assert 'pyopencl' not in sys.modules")


def test_without_pyopencl_the_error_says_how_to_get_it(child):
    done = child(
        "import sys; sys.modules['pyopencl'] = None\n"
        "import numpy as np, cyconv\n"
        "cyconv.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)))\n"
        "cyconv.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), device='opencl')",
        check=False,
    )
    assert "DeviceError: OpenCL devices need pyopencl: pip install 'cyconv[opencl]'" in done.stderr


def test_a_machine_without_a_driver_says_so(child, tmp_path):
    done = child(
        "import pyopencl\n"
        "pyopencl.get_platforms = lambda: []\n" + CALL.format(device="opencl", algorithm="auto"),
        check=False,
        CYCONV_OPENCL_CACHE=str(tmp_path),
    )
    assert "DeviceError: conv2d: device='opencl': no OpenCL device is installed" in done.stderr


def test_a_platform_that_fails_is_passed_over_and_named(monkeypatch):
    cl = door.pyopencl()
    (real, *_), known = cl.get_platforms(), cyconv.opencl.devices()

    class Broken:
        name = "broken "

        def get_devices(self):
            raise cl.RuntimeError("clGetDeviceIDs failed: OUT_OF_HOST_MEMORY")

    monkeypatch.setattr(cl, "get_platforms", lambda: [Broken(), real])
    assert cyconv.opencl.devices()[0] == known[0]
    monkeypatch.setattr(cl, "get_platforms", lambda: [Broken()])
    monkeypatch.setattr(door, "_known", {})
    with pytest.raises(RuntimeError, match=r"no OpenCL device .*broken: clGetDeviceIDs failed"):
        cyconv.opencl.queue()


def test_a_driver_that_crashes_is_met_in_a_child_process(monkeypatch, tmp_path):
    monkeypatch.setenv("CYCONV_OPENCL_CACHE", str(tmp_path))
    monkeypatch.setattr("cyconv.opencl.probe._checked", False)
    monkeypatch.setattr("cyconv.opencl.probe.QUESTION", "import os; os.abort()")
    monkeypatch.setattr(door, "_known", {})
    with pytest.raises(RuntimeError, match=r"crashes when it is loaded \(signal 6\).*OCL_ICD_VEND"):
        cyconv.opencl.queue()
    monkeypatch.setattr("cyconv.opencl.probe.QUESTION", "import time; time.sleep(9)")
    with monkeypatch.context() as patch:
        patch.setattr("cyconv.opencl.probe.QUESTION", "raise SystemExit(1)")
        cyconv.opencl.queue()
    assert not list(tmp_path.glob("*.loads")), "an answer with an error was remembered"
    monkeypatch.setattr("cyconv.opencl.probe._checked", False)
    monkeypatch.setattr(door, "_known", {})
    monkeypatch.setattr("cyconv.opencl.probe.SECONDS", 0.1)
    with pytest.raises(RuntimeError, match="gave no answer within"):
        cyconv.opencl.queue()
    assert not list(tmp_path.glob("*.loads")), "a failure was remembered"


def test_a_kernel_that_does_not_compile_shows_the_drivers_log(device, monkeypatch):
    opened = door.Device(door.get("test", device).queue)
    source = programs.source_of("direct")
    broken = source + "\nint f() { return what; }"
    with monkeypatch.context() as patch:
        patch.setattr(programs, "source_of", lambda stem: broken)
        _refused_with_its_log(opened)
    right(device)


def _refused_with_its_log(opened):
    with pytest.raises(RuntimeError, match=r"(?s)direct\.cl does not compile.*what") as error:
        opened.kernel("direct", "direct")
    assert opened.name in str(error.value)


def test_no_room_on_the_device_is_a_memory_error_and_the_next_call_is_right(device):
    opened = door.get("test", device)
    with pytest.raises(MemoryError, match="is over this device"):
        opened.empty(opened.max_buffer + 1)
    right(device)

    with pytest.raises(MemoryError, match="is over this device"):
        door.new_array(opened, (opened.max_buffer + 1,), np.uint8)
    with pytest.raises(MemoryError, match="use smaller"), opened.errors("test"):
        raise door.pyopencl().LogicError("create_buffer failed: INVALID_BUFFER_SIZE")
    with pytest.raises(MemoryError, match="use smaller"), opened.errors("test"):
        raise door.pyopencl().RuntimeError("launch failed: OUT_OF_RESOURCES")
    with pytest.raises(RuntimeError, match="test failed"), opened.errors("test"):
        raise door.pyopencl().LogicError("launch failed: INVALID_WORK_GROUP_SIZE")
    assert door.get("test", device) is opened


def test_a_device_that_no_longer_answers_is_opened_again(device, monkeypatch):
    opened = door.get("test", device)
    monkeypatch.setattr(opened, "_answers", lambda: False)
    with pytest.raises(RuntimeError, match=r"test failed: .*OUT_OF"), opened.errors("test"):
        raise door.pyopencl().RuntimeError("launch failed: OUT_OF_RESOURCES")
    assert door.get("test", device) is not opened
    right(device)


def test_scratch_makes_room(device):
    opened = door.Device(door.get("test", device).queue)

    def make():
        if opened._free:
            raise door.pyopencl().MemoryError("failed: MEM_OBJECT_ALLOCATION_FAILURE")
        return "made"

    with opened.scratch(100):
        pass
    assert opened._free
    assert opened.allocate(100, make) == "made"


def test_a_lost_context_is_opened_again(device):
    opened = door.get("test", device)
    with pytest.raises(RuntimeError, match=r"test failed: .*INVALID"), opened.errors("test"):
        raise door.pyopencl().LogicError("clFinish failed: INVALID_CONTEXT")
    right(device)
    assert door.get("test", device) is not opened


@pytest.mark.parametrize("algorithm", ["direct", "implicit_gemm", "batch_gemm", "winograd"])
def test_of_a_lost_device_nothing_is_kept(algorithm, device):
    """Neither its kernels and scratch while plans still know it, nor itself after those."""
    opened = door.get("test", device)
    x, w = np.ones((1, 2, 8, 9), np.float32), np.ones((3, 2, 3, 3), np.float32)
    cyconv.conv2d(x, w, padding=1, device=device, algorithm=algorithm)
    plan = cyconv.plan(cyconv.Problem(x.shape, w.shape), device=device, algorithm=algorithm)
    seen = weakref.ref(opened)
    gone = "it is opened anew, but arrays and packed weights on it are lost"
    with pytest.raises(RuntimeError, match=gone), opened.errors("test"):
        raise door.pyopencl().RuntimeError("launch failed: DEVICE_NOT_AVAILABLE")
    assert not any((opened._free, opened._constants, opened._kernels, opened._programs))
    np.testing.assert_array_equal(plan(x, w), np.full((1, 3, 6, 7), 18))
    assert door.get("test", device) is not opened
    del opened, plan
    gc.collect()
    assert seen() is None


def test_a_device_may_be_lost_while_it_compiles(device, monkeypatch):
    opened = door.Device(door.get("test", device).queue)

    def lost(*_):
        raise door.pyopencl().RuntimeError("clBuildProgram failed: DEVICE_NOT_AVAILABLE")

    with monkeypatch.context() as patch:
        patch.setattr(programs, "build", lost)
        with pytest.raises(RuntimeError, match=r"compiling direct\.cl failed"):
            opened.kernel("direct", "direct")
    right(device)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "dropped"])
def test_of_many_queues_the_last_are_known(kept, device):
    cl, context = door.pyopencl(), door.get("test", device).context
    queues, first = [], None
    door._queues.clear()
    for _ in range(2 * door.QUEUES):
        queue = cl.CommandQueue(context)
        x = array.to_device(queue, X)
        y = cyconv.conv2d(x, W, device=device)
        assert y.queue is queue
        first = first or weakref.ref(door.of_queue(queue))
        if kept:
            queues.append(queue)
        assert len(door._queues) <= (door.QUEUES if kept else 2)
    del queue, x, y
    gc.collect()
    assert first() is None
    for queue in queues:
        y = cyconv.conv2d(array.to_device(queue, X), W, device=device)
        np.testing.assert_array_equal(y.get(), np.full((1, 3, 6, 7), 18))


def test_scratch_of_other_queues_makes_room(device):
    context = door.get("test", device).context
    queue = door.pyopencl().CommandQueue(context)
    cyconv.conv2d(array.to_device(queue, X), W, device=device, algorithm="batch_gemm")
    other, opened = door.of_queue(queue), door.get("test", device)
    opened.spare()
    assert other._free

    def make():
        if other._free:
            raise door.pyopencl().MemoryError("failed: MEM_OBJECT_ALLOCATION_FAILURE")
        return "made"

    assert opened.allocate(100, make) == "made"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork()")
def test_a_forked_child_is_refused(device, child):
    done = child(
        CALL.format(device=device, algorithm="direct") + "\nimport os, sys, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "if os.fork():\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]) != 3)\n"
        "try:\n"
        f"    cyconv.conv2d(x, w, device={device!r}, algorithm='direct')\n"
        "except RuntimeError as error:\n"
        "    os._exit(3 if 'fork()' in str(error) else 4)\n"
        "os._exit(5)",
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    "algorithm",
    ["implicit_gemm", *(pytest.param(a, marks=pytest.mark.full) for a in ("direct", "winograd"))],
)
def test_the_second_process_compiles_nothing(algorithm, device, child, tmp_path):
    code = (
        "import cyconv.opencl\nwith cyconv.opencl.log() as events:\n"
        + CALL.format(device=device, algorithm=algorithm).replace("\n", "\n    ")
        + "\nprint(sum(kind == 'build' for kind, _ in events))"
    )
    folder = {"CYCONV_OPENCL_CACHE": str(tmp_path)}
    assert int(child(code, **folder).stdout) > 0
    entries = {path: path.read_bytes() for path in tmp_path.glob("*.bin")}
    assert entries
    assert int(child(code, **folder).stdout) == 0
    for path, content in entries.items():  # cut off, changed, empty: compiled again
        path.write_bytes(content[: len(content) // 2])
    assert int(child(code, **folder).stdout) == len(entries)
    for path, content in entries.items():  # of the same length only by chance
        assert path.stat().st_size > len(content) * 3 // 4
    assert not list(tmp_path.glob("*.tmp"))
    assert int(child(code, CYCONV_OPENCL_CACHE="").stdout) == len(entries)


@pytest.mark.parametrize("folder", ["x" * 300, "~nobody of this name/x", "loop/x"])
def test_a_cache_folder_that_cannot_be_does_no_harm(folder, device, child, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    child(
        f"import os; os.chdir({str(tmp_path)!r})\n"
        + CALL.format(device=device, algorithm="direct"),
        CYCONV_OPENCL_CACHE=folder,
    )


def test_a_cache_folder_that_cannot_be_written_does_no_harm(device, child, tmp_path):
    (tmp_path / "file").write_text("no folder")
    child(
        CALL.format(device=device, algorithm="direct"),
        CYCONV_OPENCL_CACHE=str(tmp_path / "file" / "below"),
    )
