"""The one door to OpenCL: which device, its context and queue, its kernels, its memory."""

import os
import sys
import threading
from collections import OrderedDict
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from cyconv import notebook
from cyconv.opencl import probe, programs
from cyconv.planning.plan import cache
from cyconv.problem.operands import DeviceError
from cyconv.runtime import forks

INSTALL = "pip install 'cyconv[opencl]'"
PINNED = 1 << 20  # bytes from which a transfer to a device with its own memory goes by pinned pages
CONSTANTS = 256  # tables that a device keeps
QUEUES = 16  # of callers, whose kernels and scratch are kept

_lock = threading.RLock()
_known = {}  # {(context, queue) or name: Device}, ours
_queues = OrderedDict()  # {(context, queue): Device} of callers' own queues, the last used last
_logs = ContextVar("_logs", default=())  # those that are kept, the outermost first
_pid = os.getpid()

INTEL_REGISTERS = "-cl-intel-enable-auto-large-GRF-mode"  # twice as many rather than spills

# After these a device is opened anew.
LOST = ("INVALID_CONTEXT", "INVALID_COMMAND_QUEUE", "INVALID_DEVICE", "DEVICE_NOT_AVAILABLE")
ROOM = ("OUT_OF_RESOURCES", "ALLOCATION", "OUT_OF_HOST", "INVALID_BUFFER_SIZE")


@dataclass(frozen=True)
class DeviceInfo:
    """What an OpenCL device says of itself; ``name`` after ``"opencl:"`` chooses it."""

    index: int
    platform: str
    name: str
    version: str
    driver: str
    kind: str
    compute_units: int
    local_memory_bytes: int
    global_memory_bytes: int
    float64: bool

    def _repr_html_(self):
        return notebook.card(f"opencl:{self.index} {self.name}", notebook.fields(asdict(self)))


class DeviceList(list):
    """`DeviceInfo` of every device."""

    def _repr_html_(self):
        head = ("device", "name", "kind", "compute units", "memory", "float64")
        rows = [
            (
                f"opencl:{each.index}",
                each.name,
                each.kind,
                each.compute_units,
                f"{each.global_memory_bytes / 2**30:.1f} GiB",
                "yes" if each.float64 else "no",
            )
            for each in self
        ]
        more = (
            notebook.details(f"opencl:{each.index}", notebook.fields(asdict(each))) for each in self
        )
        return notebook.card(
            f"{len(self)} OpenCL device(s)", notebook.table(head, rows, numbers=(3, 4)), *more
        )


class Device:
    """A device with a context and an in-order queue, all that kernels and arrays need."""

    def __init__(self, queue):
        self.queue, self.context, self._device = queue, queue.context, queue.device
        info = self._device
        self.name, self.platform = info.name.strip(), info.platform.name.strip()
        self.driver = info.driver_version.strip()
        self.key = f"{self.platform} | {self.name} | {info.version.strip()} | {self.driver}"
        extensions = info.extensions.split()
        self.float64 = "cl_khr_fp64" in extensions
        self.capability = capability_of(info)
        self.cpu = kind_of(info) == "CPU"
        self.registers_option = "cl_nv_compiler_options" in extensions
        intel = self.platform.startswith("Intel") and not self.cpu
        self.compiler_options = [INTEL_REGISTERS] if intel else []
        self.shares_memory = self.cpu or bool(info.host_unified_memory)
        self.local_memory, self.max_group = info.local_mem_size, info.max_work_group_size
        self.compute_units = info.max_compute_units
        self.vector_bytes = 4 * info.native_vector_width_float
        self.global_memory, self.max_buffer = info.global_mem_size, info.max_mem_alloc_size
        self._lock, self._kernels, self._programs = threading.RLock(), {}, {}
        self._typed = set()  # kernels that know the types of their arguments
        self._free, self._constants, self._kept = [], OrderedDict(), {}

    @property
    def rounds(self):
        """How often a work item may go through its loops; what Mesa's llvmpipe surely lets pass."""
        return 30_000 if "llvmpipe" in self.name else sys.maxsize

    def once(self, key, make):
        """What `make()` made under `key`, kept as long as the device."""
        found = self._kept.get(key)
        return self._kept.setdefault(key, make()) if found is None else found

    def group(self, most):
        """Work items of a group, a power of two: `most`, or as many as the device takes."""
        return min(most, 1 << (self.max_group.bit_length() - 1))

    def release(self):
        """Give up all that can be made again."""
        with self._lock:
            for kept in (
                self._free,
                self._constants,
                self._kernels,
                self._typed,
                self._programs,
                self._kept,
            ):
                kept.clear()

    def __repr__(self):
        return f"<Device {self.name} ({self.platform})>"

    def empty(self, nbytes):
        """A buffer of `nbytes`, not initialised; MemoryError if there is no room."""
        cl = pyopencl()
        size = max(int(nbytes), 16)
        return self.allocate(nbytes, lambda: cl.Buffer(self.context, cl.mem_flags.READ_WRITE, size))

    def allocate(self, nbytes, make):
        """What `make()` makes of `nbytes`, if need be where scratch has been."""
        if nbytes > self.max_buffer:
            raise MemoryError(
                f"{self}: a buffer of {nbytes} bytes is over this device's {self.max_buffer}"
            )
        try:
            with self.errors(f"{nbytes} bytes"):
                return make()
        except MemoryError:
            if not sum(other.spare() for other in {self, *_known.values(), *_queues.values()}):
                raise
        with self.errors(f"{nbytes} bytes"):
            self.queue.finish()  # a driver frees what no kernel still uses
            return make()

    def spare(self):
        """Give up the scratch that no call uses; how many buffers there were."""
        with self._lock:
            count = len(self._free)
            self._free.clear()
        return count

    def upload(self, array, kind="upload"):
        """A buffer that holds a contiguous copy of `array`."""
        cl, array = pyopencl(), np.ascontiguousarray(array)
        buffer = self.empty(array.nbytes)
        note(kind, array.nbytes)
        if array.nbytes:
            with self.errors(f"upload of {array.nbytes} bytes"):
                cells = array.reshape(-1).view(np.uint8)  # of any dtype: bfloat16 is no buffer's
                if self.shares_memory or array.nbytes < PINNED:
                    cl.enqueue_copy(self.queue, buffer, cells, is_blocking=True)
                else:
                    with self._pinned(array.nbytes) as host:
                        host[...] = cells
                        cl.enqueue_copy(self.queue, buffer, host, is_blocking=True)
        return buffer

    def constant(self, table):
        """A buffer that holds `table`, sent once while it is among those used last.

        It is known by its bytes, and they keep their hash.
        """
        with self._lock:
            found = self._constants.get(table)
            if found is not None:
                self._constants.move_to_end(table)
        if found is None:
            found = self.upload(np.frombuffer(table, np.uint8), "table")
            with self._lock:
                self._constants[table] = found
                while len(self._constants) > CONSTANTS:
                    self._constants.popitem(last=False)
        return found

    def download(self, buffer, array):
        """Fill the contiguous `array` from `buffer`, when all before has run."""
        cl = pyopencl()
        note("download", array.nbytes)
        if array.nbytes:
            with self.errors(f"download of {array.nbytes} bytes"):
                cells = array.reshape(-1).view(np.uint8)
                if self.shares_memory or array.nbytes < PINNED:
                    cl.enqueue_copy(self.queue, cells, buffer, is_blocking=True)
                else:
                    with self._pinned(array.nbytes) as host:
                        cl.enqueue_copy(self.queue, host, buffer, is_blocking=True)
                        cells[...] = host
        return array

    @contextmanager
    def _pinned(self, nbytes):
        """Page-locked host memory, which a driver copies from without a stop in between."""
        cl = pyopencl()
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.ALLOC_HOST_PTR
        pinned = cl.Buffer(self.context, flags, nbytes)
        both = cl.map_flags.READ | cl.map_flags.WRITE
        host, _ = cl.enqueue_map_buffer(self.queue, pinned, both, 0, (nbytes,), np.uint8)
        try:
            yield host
        finally:
            host.base.release(self.queue)
            pinned.release()

    def kernel(self, stem, name, **defines):
        """The kernel `name` of ``<stem>.cl``, compiled with these macros."""
        key = (stem, *sorted(defines.items()))
        with self._lock:
            kernel = self._kernels.get((name, key))
            if kernel is None:
                if key not in self._programs:
                    with self.errors(f"compiling {stem}.cl"):
                        self._programs[key] = programs.build(self, stem, defines)
                kernel = pyopencl().Kernel(self._programs[key], name)
                self._kernels[name, key] = kernel
        return kernel

    @contextmanager
    def scratch(self, nbytes):
        """A buffer of at least `nbytes` for the kernels launched meanwhile; used again after."""
        with self._lock:
            fitting = [b for b in self._free if b.size >= nbytes]
            buffer = min(fitting, key=lambda b: b.size, default=None)
            if buffer is None:
                self._free.clear()  # rather than many that are too small
            else:
                self._free.remove(buffer)
        if buffer is None:
            buffer = self.empty(nbytes)
        try:
            yield buffer
        finally:  # later kernels run after those: the queue is in order
            with self._lock:
                self._free.append(buffer)

    def launch(self, kernel, size, group, *arguments):
        """Run `kernel` over `size` work items in groups of `group`, after all before."""
        if 0 in size:
            return
        cl, name = pyopencl(), kernel.function_name
        note("kernel", name)
        with self.errors(name), self._lock:  # a kernel object holds one set of arguments
            if kernel not in self._typed:  # else pyopencl asks each argument anew what it is
                kernel.set_arg_types([getattr(a, "dtype", None) for a in arguments])
                self._typed.add(kernel)
            kernel.set_args(*arguments)
            cl.enqueue_nd_range_kernel(self.queue, kernel, size, group)

    def without_instructions(self):
        """None of the maker's own in what is planned from now on, for any queue: this driver does
        not compile them.
        """
        for other in {self, *_known.values(), *_queues.values()}:
            if other.key == self.key:
                other.capability = 0, 0

    @contextmanager
    def errors(self, doing):
        """OpenCL's errors as Python's, with the device's name and what can be done."""
        cl = pyopencl()
        try:
            yield
        except cl.Error as error:
            text = str(error)
            lost = any(name in text for name in LOST)
            if "OUT_OF_RESOURCES" in text:  # drivers say so of a kernel's crash too
                lost = not self._answers()
            if lost:
                forget(self)  # the next call opens another context
            elif isinstance(error, cl.MemoryError) or any(name in text for name in ROOM):
                raise MemoryError(
                    f"{self.name}: out of device memory ({doing}); use smaller batches: {text}"
                ) from None
            gone = "; it is opened anew, but arrays and packed weights on it are lost" * lost
            raise DeviceError(
                f"{self.name} ({self.platform}, driver {self.driver}): {doing} failed: {text}{gone}"
            ) from None

    def _answers(self):
        """Whether the queue still works."""
        try:
            self.queue.finish()
        except pyopencl().Error:
            return False
        return True


@forks.in_child
def _renew_locks():
    global _lock
    _lock = threading.RLock()
    for known in {*_known.values(), *_queues.values()}:
        known._lock = threading.RLock()


def pyopencl():
    """The pyopencl module, or RuntimeError that says how to get it."""
    if os.getpid() != _pid:
        raise DeviceError(
            "OpenCL does not survive fork(): start worker processes by the 'spawn' or "
            "'forkserver' method"
        )
    try:
        import pyopencl
        import pyopencl.array
        import pyopencl.cltypes
    except ImportError as error:
        raise DeviceError(f"OpenCL devices need pyopencl: {INSTALL} ({error})") from None
    return pyopencl


def long8(values, fill=0):
    """Up to eight integers as one argument of a kernel."""
    return _long8((*values,), fill)


@lru_cache(maxsize=4096)
def _long8(values, fill):
    lanes = np.array([*values, *[fill] * (8 - len(values))], np.int64)
    return lanes.view(pyopencl().cltypes.long8)[0]


@lru_cache(maxsize=256)
def local_memory(nbytes):
    """So many bytes of local memory, as an argument of a kernel."""
    return pyopencl().LocalMemory(nbytes)


def note(kind, what):
    """Write to every log that is kept."""
    for events in _logs.get():
        events.append((kind, what))


@contextmanager
def log():
    """A list that fills with what is asked of devices: ('upload', bytes), ('kernel', name), ...

    By this thread or task: other threads do not write to it, nor does this one to theirs. A log
    within a log holds what is asked while it is kept; the outer one holds that too.

    Yields
    ------
    list of (str, object)
        ``('upload', bytes)``, ``('download', bytes)``, ``('kernel', name)``, ``('build', stem)``,
        ``('table', bytes)`` for a table of offsets, sent once, and ``('refused', stem)`` where a
        driver does not compile the vendor's variant of a kernel and has the plain one instead.

    Examples
    --------
    >>> with cyconv.opencl.log() as events:
    ...     y = cyconv.conv2d(np.ones((1, 8, 8), "f"), np.ones((1, 1, 3, 3), "f"), device="opencl")
    >>> sum(size for kind, size in events if kind == "download") == y.nbytes
    True
    """
    events = []
    _logs.set((*_logs.get(), events))
    try:
        yield events
    finally:
        _logs.set(tuple(kept for kept in _logs.get() if kept is not events))


def capability_of(device):
    """NVIDIA's compute capability (major, minor); (0, 0) of other devices."""
    if "cl_nv_device_attribute_query" not in device.extensions.split():
        return 0, 0
    return device.compute_capability_major_nv, device.compute_capability_minor_nv


def kind_of(device):
    """'GPU', 'CPU' or 'other'."""
    kinds = pyopencl().device_type
    return "GPU" if device.type & kinds.GPU else "CPU" if device.type & kinds.CPU else "other"


def _all_devices():
    """Every device of every platform, in the drivers' order, and what failing platforms said."""
    cl = pyopencl()
    probe.check(cl)
    try:
        platforms = cl.get_platforms()
    except cl.Error:  # no platform is an error to the loader
        return [], []
    found, failed = [], []
    for platform in platforms:
        try:
            found += platform.get_devices()
        except cl.Error as error:
            failed.append(f"{platform.name.strip()}: {error}")
    return found, failed


def devices():
    """The OpenCL devices of this machine.

    Returns
    -------
    list of DeviceInfo
        Empty where no driver is installed.

    Raises
    ------
    RuntimeError
        Without pyopencl, or if a driver crashes.

    Examples
    --------
    >>> [device.index for device in cyconv.opencl.devices()][:1]
    [0]
    """
    return DeviceList(
        DeviceInfo(
            index,
            d.platform.name.strip(),
            d.name.strip(),
            d.version.strip(),
            d.driver_version.strip(),
            kind_of(d),
            d.max_compute_units,
            d.local_mem_size,
            d.global_mem_size,
            "cl_khr_fp64" in d.extensions.split(),
        )
        for index, d in enumerate(_all_devices()[0])
    )


def is_name(device):
    """Whether `device` has the form of an OpenCL device's name."""
    return isinstance(device, str) and (device == "opencl" or device.startswith("opencl:"))


def _find(operation, name):
    """The pyopencl device that ``"opencl"``, ``"opencl:1"`` or ``"opencl:PoCL"`` means."""
    cl, (found, failed) = pyopencl(), _all_devices()
    texts = [f"{d.platform.name.strip()}: {d.name.strip()}" for d in found]
    if not found:
        raise DeviceError(
            f"{operation}: device={name!r}: no OpenCL device is installed; {INSTALL} brings a "
            "driver for the CPU" + "".join(f"; {text}" for text in failed)
        )
    wanted = name.partition(":")[2].strip()
    if name == "opencl":
        if os.environ.get("PYOPENCL_CTX"):
            return cl.create_some_context(interactive=False).devices[0]
        return next((d for d in found if d.type & cl.device_type.GPU), found[0])
    if wanted.isdecimal() and int(wanted) < len(found):
        return found[int(wanted)]
    if wanted and not wanted.isdecimal():
        for device, text in zip(found, texts, strict=True):
            aliases = f"{text} {device.version} {device.platform.version}"
            if wanted.lower() in aliases.lower():
                return device
    listed = ", ".join(f"{i} ({text})" for i, text in enumerate(texts))
    raise ValueError(
        f"{operation}: device must be 'cpu', 'opencl', 'opencl:<number>' or "
        f"'opencl:<part of a name>' of {listed}, got {name!r}"
    )


def get(operation, name):
    """The Device that `name` means, opened once."""
    cl = pyopencl()  # refuses a forked child before any lock
    with _lock:
        found = _known.get(name)
        if found is None:
            device = _find(operation, name)
            key = (device.int_ptr, None)
            found = _known.get(key)
            if found is None:
                try:
                    context = cl.Context([device])
                    found = Device(cl.CommandQueue(context))
                except cl.Error as error:
                    raise DeviceError(
                        f"{operation}: device={name!r}: {device.name.strip()} cannot be opened: "
                        f"{error}"
                    ) from None
                _known[key] = _known[found.context.int_ptr, found.queue.int_ptr] = found
            _known[name] = found
        return found


def of_queue(queue):
    """The Device of a caller's own queue."""
    cl = pyopencl()  # refuses a forked child before any lock
    key = (queue.context.int_ptr, queue.int_ptr)
    with _lock:
        found = _known.get(key) or _queues.get(key)
        if found is None:
            if queue.properties & cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE:
                raise ValueError("an array's queue must be in-order: kernels follow one another")
            # What nobody but its Device holds goes now, not when it is the one used longest ago.
            for other in [k for k, d in _queues.items() if sys.getrefcount(d.queue) <= 2]:
                del _queues[other]
            found = _queues[key] = Device(queue)
            while len(_queues) > QUEUES:
                _queues.popitem(last=False)
        elif key in _queues:
            _queues.move_to_end(key)
        return found


def forget(device):
    """Open this device anew when it is next asked for, and keep nothing of it."""
    with _lock:
        for table in (_known, _queues):
            for key in [key for key, known in table.items() if known is device]:
                del table[key]
    device.release()
    cache.drop(lambda plan: getattr(plan._isa, "device", None) is device)


def queue(name="opencl"):
    """The queue on which results for ``device=name`` are computed.

    Parameters
    ----------
    name : str, default 'opencl'
        ``'opencl'``, ``'opencl:<number>'`` or ``'opencl:<part of a name>'``.

    Returns
    -------
    pyopencl.CommandQueue
        In-order; make arrays for it by ``pyopencl.array.to_device(queue, x)``.

    Raises
    ------
    ValueError
        For a name that no device has; the message lists those there are.
    RuntimeError
        Without pyopencl, a driver or a device.

    Examples
    --------
    >>> import pyopencl.array
    >>> x = pyopencl.array.to_device(cyconv.opencl.queue(), np.ones((1, 8, 8), "f"))
    >>> w = pyopencl.array.to_device(x.queue, np.ones((1, 1, 3, 3), "f"))
    >>> cyconv.conv2d(x, w, device="opencl").get().max()  # an Array too, until it is fetched
    np.float32(9.0)
    """
    if not is_name(name):
        raise ValueError(
            "queue: name must be 'opencl', 'opencl:<number>' or 'opencl:<part of a name>', "
            f"got {name!r}"
        )
    return get("queue", name).queue


def new_array(device, shape, dtype):
    """A pyopencl Array on the device's queue, not initialised."""
    nbytes = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    make = pyopencl().array.empty
    return device.allocate(nbytes, lambda: make(device.queue, shape, dtype))
