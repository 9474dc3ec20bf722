"""What every algorithm is: one file, one class ``Algorithm``, one line in the registry.

An algorithm solves *primitive* problems, what :mod:`cyconv.lowering` leaves over: forward, batched,
channels first, at least two spatial axes, zero padding, no flip. Its instance is that algorithm
laid out for one problem, instruction set and workspace limit; it holds no data and may be used by
many Python threads at once.

    class                                            instance
      supports(problem) -> None | reason               pack(w), lend(w)   -> Packed
      cost(problem, threads, allowed) -> seconds       workspace(threads) -> bytes
      error_bound(problem, allowed) -> times direct's  run(x, packed, y, bias, clamp, threads,
                                                           seconds, add)

`add` is a :class:`cyconv.problem.operands.Residual` or None.

One may also have a class method ``together(rule, algorithms)``: one call for all children of a
rule, whose algorithms are these, or None. It has ``all_or_nothing``, ``workspace(threads)`` and
``run`` as above, with the rule's operand and result and the children's weights, and gives the bits
that their own calls do.

A plan asks the classes for their costs and lays out the cheapest: ``cost`` is a closed formula of
``problem.sizes`` (:mod:`cyconv.planning.estimates`), which builds nothing.

Where that takes long, ``least(problem)`` says at once what no cost is below, in seconds.
``channels_last`` is what it takes for arrays whose channels lie last, in times of its cost.

`allowed` is the error that may be, in multiples of direct summation's: an algorithm that has
several variants takes the fastest within it.
"""

cimport numpy as cnp
from libc.math cimport INFINITY

from cyconv.problem.sizes cimport Sizes, axis_sizes_t
from cyconv.runtime.memory cimport Buffer
from cyconv.kernels.kernels cimport (
    CYCONV_BF16,
    CYCONV_F16,
    CYCONV_OVERREAD,
    CYCONV_REAL,
    axis_t,
    epilogue_t,
    geometry_t,
    kernels_for,
)

import numpy as np

import cyconv.kernels
from cyconv.planning import cost
from cyconv.planning.cost import BALANCED
from cyconv.problem.operands import Residual, finish
from cyconv.runtime.halves import cast, is_half

cnp.import_array()


cdef class Packed:
    """Weights in the order in which one algorithm reads them, and arrays that it reads as is."""


cdef axis_t axis(const axis_sizes_t *sizes) noexcept:
    """An axis as the kernels take it. Where one output or one tap makes a step meaningless it is 1,
    so that no product of sizes and steps can leave 64 bits."""
    cdef axis_t a
    a.in_, a.out, a.kernel, a.pad = sizes.in_, sizes.out, sizes.kernel, sizes.lo
    a.stride = sizes.stride if a.out > 1 else 1
    a.dilation = sizes.dilation if a.kernel > 1 else 1
    a.x_stride = a.y_stride = 0
    return a


cdef class Algorithm:
    """One algorithm for one problem: see the module."""

    all_or_nothing = True  # run() cannot fail once it has begun to write
    least = None  # or a function of the problem: see the module
    channels_last = 1.0
    stored = ()  # the dtypes that x may have beside the kernels'

    def __init__(self, problem, workspace_limit=cost.WORKSPACE_LIMIT, isa=None,
                 allowed=BALANCED):
        cdef Sizes s = problem.sizes
        cdef int i
        self.problem = problem
        self.isa = isa or cyconv.kernels.isa()
        self.allowed = allowed
        self.k = kernels_for(self.isa, problem.dtype)
        self.dtype = problem.dtype
        if s.integer and cnp.PyDataType_ELSIZE(<cnp.dtype>self.dtype) < 4:
            self.dtype = np.dtype("int32")  # of what the kernels take
        self.workspace_limit = workspace_limit
        self.g.N, self.g.G, self.g.C, self.g.K = s.N, s.G, s.C, s.K
        self.g.outer_rank = s.rank - 2
        for i in range(s.rank - 2):
            self.g.outer[i] = axis(&s.axes[i])
        self.g.h, self.g.w = axis(&s.h), axis(&s.w)
        self.g.D, self.g.slabs = s.planes, s.N * s.G * s.outer
        self.layout()
        self.workspace_per_thread = ceil_div(self.workspace_per_thread, 64) * 64  # a cache line
        self.check_workspace(self.workspace_per_thread)

    cdef check_workspace(self, needed):
        """MemoryError if one thread's scratch is over the limit."""
        if needed > self.workspace_limit:
            raise MemoryError(
                f"{self.problem.operation}: needs {needed} bytes of workspace, "
                f"limit {self.workspace_limit}"
            )

    @classmethod
    def error_bound(cls, problem, allowed=BALANCED):
        """Error relative to direct summation: that of the same products in any order."""
        return 1.0

    def layout(self):
        """Choose the blocking and set ``workspace_per_thread``, within the limit if possible.

        A function of the problem, the instruction set and the limit, never of the threads: how
        the work is divided may not change a bit of the result.
        """
        raise NotImplementedError

    def workspace(self, int threads):
        """Bytes of scratch that a call on `threads` threads takes, all together."""
        return self.threads_for(threads) * self.workspace_per_thread

    def stores(self, dtype, out_dtype):
        """Whether `run` takes x of `dtype` and y of `out_dtype`, of 16 bits each or its problem's;
        the workspace grows by what that takes. To be asked once, before the first run."""
        return False

    cdef bint takes(self, ptrdiff_t more) noexcept:
        """Whether so many bytes more of scratch keep the limit; then they are a thread's too."""
        more = ceil_div(self.workspace_per_thread + more, 64) * 64
        if more > self.workspace_limit:
            return False
        self.workspace_per_thread = more
        return True

    def lend(self, w):
        """The weights for one call: where each is read by one piece of work only, that may as well
        pack it. The bits are those of ``pack``."""
        return self.pack(w)

    cdef int threads_for(self, int threads):
        """As many of `threads` as the workspace limit lets run."""
        if self.workspace_per_thread == 0:
            return threads
        return max(1, min(threads, self.workspace_limit // self.workspace_per_thread))

    cdef geometry_t placed(self, x, y):
        """The geometry with the strides of these arrays, in elements."""
        cdef geometry_t g = self.g
        cdef cnp.npy_intp *xs = cnp.PyArray_STRIDES(x)
        cdef cnp.npy_intp *ys = cnp.PyArray_STRIDES(y)
        cdef ptrdiff_t x_size = cnp.PyArray_ITEMSIZE(x), y_size = cnp.PyArray_ITEMSIZE(y)
        cdef int i
        g.x_n, g.x_c = xs[0] // x_size, xs[1] // x_size
        g.y_n, g.y_k = ys[0] // y_size, ys[1] // y_size
        xs, ys = xs + 2, ys + 2
        for i in range(<int>g.outer_rank):
            g.outer[i].x_stride, g.outer[i].y_stride = xs[i] // x_size, ys[i] // y_size
        xs, ys = xs + g.outer_rank, ys + g.outer_rank
        g.h.x_stride, g.w.x_stride = xs[0] // x_size, xs[1] // x_size
        g.h.y_stride, g.w.y_stride = ys[0] // y_size, ys[1] // y_size
        g.x_cells, g.y_cells = cells_of(x, self.k.itemsize), cells_of(y, self.k.itemsize)
        return g

    cdef Packed new_packed(self, size_t elements, tuple arrays):
        """Room for `elements` packed weights, and what a vector may read beyond them."""
        cdef Packed packed = Packed()
        packed.arrays = arrays
        packed.panels = Buffer()
        packed.nbytes = (elements + CYCONV_OVERREAD) * self.k.itemsize
        packed.panels.reserve(packed.nbytes, "packed weights")
        return packed

    cdef Packed lent(self, w):
        """Weights as they are, in order, without panels."""
        cdef Packed packed = Packed()
        packed.arrays = (in_order(w),)
        return packed


cdef int cells_of(cnp.ndarray array, int size) noexcept:
    """What its cells are to kernels whose elements have `size` bytes."""
    if cnp.PyArray_ITEMSIZE(array) == size:
        return CYCONV_REAL
    return CYCONV_F16 if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT16 else CYCONV_BF16


cdef in_order(w):
    """The weights, contiguous. A gradient's have their first two axes swapped: copied in blocks of
    a cache line, six times as fast as at once."""
    if cnp.PyArray_CHKFLAGS(w, cnp.NPY_ARRAY_C_CONTIGUOUS):
        return w
    copy = np.empty(w.shape, w.dtype)
    for c in range(0, w.shape[1], 16):
        copy[:, c : c + 16] = w[:, c : c + 16]
    return copy


cdef epilogue_t epilogue(bias, clamp, add):
    """The last step y = clamp(y + bias + add, low, high); `bias` a contiguous array or None."""
    cdef epilogue_t e
    e.bias = NULL if bias is None else cnp.PyArray_DATA(bias)
    e.add = NULL if add is None else cnp.PyArray_DATA(add.array)
    e.y = NULL if add is None else cnp.PyArray_DATA(add.result)
    e.clamp, e.cells = clamp is not None, CYCONV_REAL
    e.low, e.high = (-INFINITY, INFINITY) if clamp is None else clamp
    return e


cdef epilogue_t from_row(const epilogue_t *e, ptrdiff_t row, int itemsize) noexcept nogil:
    """The epilogue of the filters from `row` on."""
    cdef epilogue_t shifted = e[0]
    if shifted.bias != NULL:
        shifted.bias = <const char *>shifted.bias + row * itemsize
    return shifted


cdef fill(y, bias, clamp, add):
    """The empty sum, and the last step, rounded once."""
    sums = np.empty_like(y, np.float32) if is_half(y.dtype) else y
    sums[...] = 0
    finish(sums, bias, clamp, add if add is None or sums is y else Residual(add.at(y), sums))
    if sums is not y:
        y[...] = cast(sums, y.dtype)
