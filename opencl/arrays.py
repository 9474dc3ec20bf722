"""Arrays in device memory as the rewrite rules see them: views, copies, sums, borders."""

from functools import lru_cache
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cyconv.opencl.cells import bounds, computing, element
from cyconv.opencl.device import long8
from cyconv.runtime.calls import lie_alike

GROUP = 64  # work items of a group


class View:
    """A strided look at a device buffer that behaves like an ndarray, as far as rules need it.

    ``ghost`` is an ndarray of the view's shape and strides over memory that is never touched: NumPy
    itself works out every index, transpose and reshape. ``zero`` is the integer that stands for 0
    in the cells, for the kernels of a convolution.
    """

    __slots__ = ("_start", "_strides", "buffer", "device", "ghost", "zero")

    def __init__(self, device, buffer, ghost, start=None, zero=0):
        self.device, self.buffer, self.ghost, self.zero = device, buffer, ghost, zero
        self._strides = None
        self._start = address(ghost) if start is None else start

    shape = property(lambda self: self.ghost.shape)
    dtype = property(lambda self: self.ghost.dtype)
    ndim = property(lambda self: self.ghost.ndim)
    size = property(lambda self: self.ghost.size)
    real = property(lambda self: self._like(self.ghost.real))
    imag = property(lambda self: self._like(self.ghost.imag))

    @property
    def strides(self):
        """Elements, not bytes, from a cell to the next one of each axis."""
        if self._strides is None:
            item = self.ghost.itemsize
            self._strides = tuple([stride // item for stride in self.ghost.strides])
        return self._strides

    @property
    def offset(self):
        """Elements from the buffer's begin to the first cell."""
        return (address(self.ghost) - self._start) // self.dtype.itemsize

    @property
    def contiguous(self):
        """Whether it lies in C order."""
        return self.ghost.flags.c_contiguous

    def __len__(self):
        return self.shape[0]

    def __repr__(self):
        return f"<View of {self.shape}, {self.dtype}, on {self.device!r}>"

    def _like(self, ghost):
        return View(self.device, self.buffer, ghost, self._start, self.zero)

    def __getitem__(self, key):
        key = key if isinstance(key, tuple) else (key,)
        return self._like(self.ghost[key if Ellipsis in key else (*key, ...)])

    def __setitem__(self, key, value):
        cells = self[key]
        if not isinstance(value, View):
            fill(cells, value)
        elif not cells.lies_at(value):  # what `+=` stores has been stored
            combine("COPY", value, value, cells)

    def lies_at(self, other):
        """Whether `other` is the same cells in the same order."""
        where = self.buffer, self.offset, self.shape, self.strides, self.dtype
        return where == (other.buffer, other.offset, other.shape, other.strides, other.dtype)

    def __iadd__(self, other):
        combine("PLUS", self, other, self)
        return self

    def after(self, shape):
        """A contiguous array in the same buffer, behind this one."""
        cells = ghost(shape, self.dtype)
        used = (self.offset + self.size) * self.dtype.itemsize
        return View(self.device, self.buffer, cells, address(cells) - used)

    def swapaxes(self, first, second):
        """Two axes exchanged."""
        return self._like(self.ghost.swapaxes(first, second))

    def copy(self):
        """The same cells, contiguous, in a buffer of their own."""
        out = empty_like(self)
        out[...] = self
        return out

    def reshape(self, *shape):
        """The same cells in another shape: a view if strides allow it, else a copy."""
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        if not self.contiguous:
            try:
                return self._like(self.ghost.reshape(shape, copy=False))
            except ValueError:
                return self.copy().reshape(shape)
        return self._like(self.ghost.reshape(shape, copy=False))

    def astype(self, dtype, copy=True):
        """The cells in another type."""
        if self.dtype == dtype and not copy:
            return self
        out = empty(self.device, self.shape, dtype)
        out[...] = self
        return out

    def numpy(self):
        """The cells in host memory, when all before has run."""
        source = self if self.contiguous and self.offset == 0 else self.copy()
        return self.device.download(source.buffer, np.empty(self.shape, self.dtype))

    def __array_function__(self, function, types, arguments, options):
        return FUNCTIONS[function](*arguments, **options)

    def __array_ufunc__(self, ufunc, method, *inputs, out, where=True):
        if method != "__call__" or ufunc not in UFUNCS or where is not True:
            return NotImplemented
        return combine(UFUNCS[ufunc], *inputs, out[0])


def ghost(shape, dtype):
    """A contiguous ghost."""
    dtype = np.dtype(dtype)
    sizes = (prod(n or 1 for n in shape[axis + 1 :]) for axis in range(len(shape)))
    return _ghost((*shape,), tuple(dtype.itemsize * n for n in sizes), dtype)


@lru_cache(maxsize=4096)
def _ghost(shape, strides, dtype):
    return as_strided(np.empty(1, dtype), shape, strides)


def address(ghost):
    """Where a ghost begins, in the memory that is never touched."""
    return ghost.__array_interface__["data"][0]


def empty(device, shape, dtype):
    """A contiguous array that is not initialised."""
    cells = ghost(shape, dtype)
    return View(device, device.empty(cells.size * cells.itemsize), cells)


def empty_like(a, dtype=None, shape=None):
    """As ``numpy.empty_like``."""
    return empty(a.device, a.shape if shape is None else shape, dtype or a.dtype)


def to_device(device, array):
    """An ndarray's cells on a device, contiguous."""
    return View(device, device.upload(array), ghost(array.shape, array.dtype))


def of_array(device, array):
    """A ``pyopencl.array.Array`` as it lies."""
    cells = _ghost(array.shape, array.strides, array.dtype)
    return View(device, array.base_data, cells, address(cells) - array.offset)


def summed(out, *operands):
    """The dtype in which cells of these views, or their parts, are computed with."""
    dtypes = {view.dtype for view in (out, *operands)}
    if all(dtype.kind in "iu" for dtype in dtypes):
        bits = 64 if out.dtype.itemsize == 8 else 32
        return np.dtype(f"uint{bits}" if out.dtype.name == f"uint{bits}" else f"int{bits}")
    wide = any(dtype.char in "dD" for dtype in dtypes)
    return np.dtype(np.float64 if wide else np.float32)


def counted(size):
    """The macro for arrays whose cells 32 bits do not count."""
    return {"INDEX": "ulong"} if size >= 2**31 else {}


def merged(*views):
    """(sizes, strides of each view): axes innermost first, those that lie in a row made one."""
    shape, strides = views[0].shape, [view.strides for view in views]
    order = sorted(
        (axis for axis, n in enumerate(shape) if n != 1),
        key=lambda axis: [abs(s[axis]) for s in reversed(strides)],
    )
    sizes, steps = [], []
    for axis in order:
        step = [s[axis] for s in strides]
        if sizes and step == [s * sizes[-1] for s in steps[-1]]:
            sizes[-1] *= shape[axis]
        else:
            sizes.append(shape[axis])
            steps.append(step)
    return sizes or [1], list(zip(*steps, strict=True)) or [(0,)] * len(views)


def combine(operation, a, b, out, ends=None):
    """``out = operation`` on the elements a and b, by its name in arrays.cl.

    `ends` are the kernel's arguments `low` and `high`; by default nothing is bounded.
    """
    if out.dtype.kind == "c":
        combine(operation, a.real, b.real, out.real, ends)
        combine(operation, a.imag, b.imag, out.imag, ends)
        return out
    if out.size:
        sums = summed(out, a, b)
        kernel = out.device.kernel(
            "arrays",
            "combine",
            OP=operation,
            A=element(a.dtype),
            B=element(b.dtype),
            Y=element(out.dtype),
            **computing(sums),
            **counted(out.size),
        )
        a, b = (
            View(v.device, v.buffer, np.broadcast_to(v.ghost, out.shape), v._start) for v in (a, b)
        )
        sizes, strides = merged(a, b, out)
        group = out.device.group(GROUP)
        out.device.launch(
            kernel,
            (-(-out.size // group) * group,),
            (group,),
            a.buffer,
            b.buffer,
            out.buffer,
            *(np.int64(v.offset) for v in (a, b, out)),
            long8(sizes, 1),
            *(long8(step) for step in strides),
            np.uint64(out.size),
            *(ends or bounds(None, sums)),
        )
    return out


def fill(out, value):
    """Every cell becomes `value`."""
    if out.dtype.kind == "c":
        fill(out.real, value.real)
        fill(out.imag, value.imag)
    else:
        # Integers wrap, and come unsigned.
        value = np.asarray(value).astype(summed(out))
        unsigned = f"u{value.itemsize}"
        value = value.view(unsigned)[()] if value.dtype.kind == "i" else value[()]
        combine("FILL", out, out, out, (value, value))


class Residual:
    """As :class:`cyconv.problem.operands.Residual`, of views.

    Attributes
    ----------
    array, result : View
    away : int
        Elements from a cell's place in the result's buffer to that of its residual in its own.
    """

    __slots__ = ("array", "away", "result")

    def __init__(self, array, result):
        if not lie_alike(array.ghost, result.ghost):
            array = array.copy()
        self.array, self.result = array, result
        self.away = array.offset - result.offset

    def at(self, part):
        """The residual of a view of the result."""
        item = self.array.dtype.itemsize
        strides = tuple(step * item for step in part.strides)
        cells = _ghost(part.shape, strides, self.array.dtype)
        start = address(cells) - (part.offset + self.away) * item
        return View(part.device, self.array.buffer, cells, start)

    def of(self, y):
        """The Residual of `y`: a part of the result, or an array in the stead of all of it."""
        return self if not y.size or y.buffer is self.result.buffer else Residual(self.array, y)


def finish(y, bias, clamp, add=None):
    """y = clamp(y + bias + add), in place, channels first."""
    addends = [] if add is None else [add.at(y)]
    if bias is not None:
        addends.insert(0, bias[(None, slice(None), *(None,) * (y.ndim - 2))])
    for addend in addends[:-1]:
        combine("PLUS", y, addend, y)
    ends = bounds(clamp, summed(y, *addends))
    if addends:
        combine("FINISH", y, addends[-1], y, ends)
    elif clamp is not None:
        combine("BOUND", y, y, y, ends)


def moveaxis(a, source, destination):
    """As ``numpy.moveaxis``."""
    return a._like(np.moveaxis(a.ghost, source, destination))


def flip(a, axis=None):
    """As ``numpy.flip``."""
    return a._like(np.flip(a.ghost, axis))


def pad(a, widths, mode):
    """As ``numpy.pad`` with the modes 'reflect', 'edge', 'wrap' and 'symmetric'."""
    if a.dtype.kind == "c":
        out = empty_like(a, shape=padded(a.shape, widths))
        out.real[...] = pad(a.real, widths, mode)
        out.imag[...] = pad(a.imag, widths, mode)
        return out
    out = empty_like(a, shape=padded(a.shape, widths))
    if out.size:
        kind = element(a.dtype)
        kernel = a.device.kernel(
            "arrays",
            "border",
            MODE=mode,
            A=kind,
            Y=kind,
            **computing(summed(a)),
            **counted(out.size),
        )
        group = a.device.group(GROUP)
        a.device.launch(
            kernel,
            (-(-out.size // group) * group,),
            (group,),
            a.buffer,
            out.buffer,
            np.int64(a.offset),
            long8(out.shape[::-1], 1),
            long8([lo for lo, _ in widths[::-1]]),
            long8(a.shape[::-1], 1),
            long8(a.strides[::-1]),
            np.uint64(out.size),
        )
    return out


def padded(shape, widths):
    """The shape with these borders."""
    return tuple(lo + n + hi for n, (lo, hi) in zip(shape, widths, strict=True))


FUNCTIONS = {np.moveaxis: moveaxis, np.flip: flip, np.pad: pad, np.empty_like: empty_like}
UFUNCS = {np.add: "PLUS", np.subtract: "MINUS"}
