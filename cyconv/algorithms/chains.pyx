r"""Chains of stages over images, in one native call: what the filters of images are made of.

.. math:: y = s_n(\cdots s_1(x)), \quad
   s(x)[p] = \frac{1}{d} \sum_t w_t \, x[p + r_t] \quad\text{or a box's sum}

A stage is a line of taps along one axis, a kernel over two, or a box. Tiles of the image are loaded
with the cells around them (any type, any border mode), go through all stages while they lie in the
cache, and are stored (any type): kernels/chain.h.
"""

cimport cython
cimport numpy as cnp
from libc.math cimport INFINITY, isfinite, round
from libc.stdlib cimport free, malloc

from cyconv.kernels.kernels cimport (
    CYCONV_BRANCHES,
    CYCONV_EACH,
    CYCONV_F32,
    CYCONV_SPARE,
    CYCONV_STAGES,
    CYCONV_U8,
    border_mode_t,
    chain_t,
    chains_for,
    finish_t,
    stage_t,
    storage_t,
)
from cyconv.runtime.parallel cimport parallel_for

import threading

import numpy as np

from cyconv.runtime import machine
from cyconv.runtime.parallel import get_num_threads

cnp.import_array()

STORAGE = {
    np.dtype(name): code
    for code, name in enumerate(("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"))
}
STORAGE[np.dtype(bool)] = STORAGE[np.dtype("u1")]  # the bytes that it is
BORDER = {
    mode: code for code, mode in enumerate(("reflect", "mirror", "nearest", "wrap", "constant"))
}
cdef dict FINISH = {
    finish: code for code, finish in enumerate(("each", "sum", "length", "hypot"))
}

# Seconds: for a vector's worth of cells, of one term; and for the loads and stores of a cell.
cdef double TERM = 4e-10
cdef double CELL = 1e-9

# Of the second-level cache, what the rows that a tile holds may fill.
cdef double SHARE = 0.5
cdef enum:
    WIDE = 1024     # elements of a tile's row at least
    MOST = 1 << 20  # cells of a tile at most


@cython.final
cdef class Stage:
    """One stage of a chain: see :func:`line`, :func:`plane` and :func:`box`."""

    cdef readonly ptrdiff_t before, after  # cells of a line, or of rows
    cdef readonly ptrdiff_t left, right    # columns, of a kernel over both
    cdef readonly ptrdiff_t terms, box
    cdef readonly int pairs
    cdef readonly double divisor
    cdef readonly double factor
    cdef readonly double scale  # of a sum of neighbours, each of this weight; else 0
    cdef readonly double reach  # of integers of size 1 at most, the largest sum; else inf
    cdef readonly bint flat   # a kernel over rows and columns, not a line
    cdef readonly bint dense  # of which no tap is left out
    cdef double *wide
    cdef float *narrow
    cdef ptrdiff_t *row
    cdef ptrdiff_t *column
    cdef ptrdiff_t *mirrored

    def __dealloc__(self):
        free(self.wide)

    cdef reserve(self, ptrdiff_t terms):
        """Room for so many terms."""
        self.terms = terms
        self.wide = <double *>malloc(max(1, terms) * (8 + 4 + 3 * sizeof(ptrdiff_t)) + 8)
        if self.wide == NULL:
            raise MemoryError(f"cyconv: cannot allocate a stage of {terms} terms")
        self.row = <ptrdiff_t *>(self.wide + terms)
        self.column = self.row + terms
        self.mirrored = self.column + terms
        self.narrow = <float *>(self.mirrored + terms)

    cdef set_weight(self, ptrdiff_t term, double weight):
        self.wide[term] = weight
        self.narrow[term] = <float>weight
        cdef double size = abs(weight) * (2 if self.pairs and term else 1)
        self.reach = self.reach + size if weight == round(weight) else INFINITY


def line(weights, ptrdiff_t before, double divisor=1):
    """Taps along one axis, the first of them `before` cells before the result's.

    An odd number of taps that is symmetric or antisymmetric is summed from its middle, then in
    pairs from the outside in; any other from its last tap, then from its first on: as SciPy does.
    """
    cdef const double[::1] w = np.ascontiguousarray(weights, np.float64)
    cdef ptrdiff_t k = w.shape[0], middle = k // 2, tap
    cdef Stage stage = Stage()
    cdef int sign = line_symmetry(w)
    stage.before, stage.after = before, k - 1 - before
    stage.pairs, stage.divisor = sign, divisor
    stage.reserve(middle + 1 if sign else k)
    for tap in range(k):
        if w[tap] != w[0]:
            break
    else:
        stage.scale = w[0] / divisor
    if sign:
        stage.set_weight(0, w[middle])
        stage.row[0] = stage.mirrored[0] = middle - before
        for tap in range(middle):
            stage.set_weight(tap + 1, w[tap])
            stage.row[tap + 1] = tap - before
            stage.mirrored[tap + 1] = k - 1 - tap - before
        return stage
    for tap in range(k):
        stage.set_weight((tap + 1) % k, w[tap])
        stage.row[(tap + 1) % k] = tap - before
    return stage


cdef int line_symmetry(const double[::1] w):
    """1 or -1 where an odd kernel is symmetric or antisymmetric to 2.2e-16, else 0."""
    cdef ptrdiff_t k = w.shape[0], tap
    cdef bint even = True, odd = True
    if k % 2 == 0:
        return 0
    for tap in range(k // 2):
        even &= abs(w[tap] - w[k - 1 - tap]) <= 2.220446049250313e-16
        odd &= abs(w[tap] + w[k - 1 - tap]) <= 2.220446049250313e-16
    return 1 if even else -1 if odd else 0


def plane(weights, ptrdiff_t up, ptrdiff_t left, double least=0):
    """A kernel (R, S) over rows and columns, its first tap `up` rows and `left` columns away.

    Taps of at most `least` are left out, and where there is such a limit NaN is too; the others
    are summed in the order in which they lie.
    """
    cdef const double[:, ::1] w = np.ascontiguousarray(weights, np.float64)
    cdef ptrdiff_t r, s, t = 0
    cdef Stage stage = Stage()
    stage.flat = True
    stage.before, stage.after = up, w.shape[0] - 1 - up
    stage.left, stage.right = left, w.shape[1] - 1 - left
    stage.divisor = 1
    stage.reserve(w.shape[0] * w.shape[1])
    stage.set_weight(0, 0)
    stage.row[0] = stage.column[0] = 0
    for r in range(w.shape[0]):
        for s in range(w.shape[1]):
            if abs(w[r, s]) > least or (w[r, s] != w[r, s] and least == 0):
                stage.set_weight(t, w[r, s])
                stage.row[t], stage.column[t] = r - up, s - left
                t += 1
    stage.dense = t == w.shape[0] * w.shape[1]
    stage.terms = max(1, t)
    return stage


def box(ptrdiff_t size, ptrdiff_t before, double divisor=1, double factor=1):
    """The sum of `size` cells along one axis, times `factor` and over `divisor`.

    Its cost hardly grows with size.
    """
    cdef Stage stage
    if size <= 8:
        return line(np.full(size, factor), before, divisor)
    stage = Stage()
    stage.before, stage.after = before, size - 1 - before
    stage.box, stage.divisor, stage.factor = size, divisor, factor
    stage.scale = factor / divisor
    stage.reach = size if factor == 1 else INFINITY
    return stage


def holds(dtype):
    """Whether cells may have this dtype: integers, float32, float64 and bool."""
    return dtype in STORAGE


cdef void run_item(const void *context, ptrdiff_t item, char *scratch) noexcept nogil:
    """One tile of one plane."""
    cdef const Context *c = <const Context *>context
    cdef ptrdiff_t column = item % c.column_tiles * c.columns
    cdef ptrdiff_t row = item // c.column_tiles % c.row_tiles * c.rows
    cdef ptrdiff_t image = item // (c.column_tiles * c.row_tiles)
    c.kernels.tile(&c.c, c.x + image * c.x_plane, c.y + image * c.y_plane,
                   row, min(row + c.rows, c.c.rows),
                   column, min(column + c.columns, c.c.columns), scratch)


@cython.final
cdef class Chain:
    """Stages laid out for images of one shape and one type: what :func:`run` runs, once or again.

    The arguments are those of :func:`run`, with dtypes in the stead of arrays.
    """

    def __cinit__(self, source, target, tuple shape, tuple branches, tuple borders, double constant,
                  bint wide, between, str finish, bint saturate, int threads):
        cdef Context *c = &self.context
        cdef Stage stage
        cdef stage_t *s
        cdef ptrdiff_t places = 0, b, i, up, below, left, right
        cdef double cost = CELL
        self.branches, self.threads = branches, threads
        wide = wide and not narrow_is_exact(source, target, between or target, branches, borders,
                                            constant, finish, saturate)
        c.kernels = chains_for(wide)
        c.c.source, c.c.target = <storage_t><int>STORAGE[source], <storage_t><int>STORAGE[target]
        c.c.between = c.c.target if between is None else <storage_t><int>STORAGE[np.dtype(between)]
        c.c.saturate, c.c.constant = saturate, constant
        c.planes, c.c.rows, c.c.columns, c.c.step = shape
        c.c.row_border = <border_mode_t><int>BORDER[borders[0]]
        c.c.column_border = <border_mode_t><int>BORDER[borders[1]]
        c.c.finish = <finish_t><int>FINISH[finish]
        c.c.branches = <int>len(branches)
        c.c.x_row = c.c.columns * c.c.step * source.itemsize
        c.c.y_row = c.c.columns * c.c.step * target.itemsize
        c.x_plane, c.y_plane = c.c.rows * c.c.x_row, c.c.rows * c.c.y_row
        c.c.y_branch = c.planes * c.y_plane
        c.c.up = c.c.below = c.c.left = c.c.right = 0
        if not 1 <= c.c.branches <= CYCONV_BRANCHES:
            raise ValueError(f"chains.run: 1 to {CYCONV_BRANCHES} branches, got {c.c.branches}")
        for b, stages in enumerate(branches):
            up = below = left = right = 0
            c.c.stages[b] = <int>len(stages)
            if not 1 <= c.c.stages[b] <= CYCONV_STAGES:
                raise ValueError(f"chains.run: 1 to {CYCONV_STAGES} stages, got {c.c.stages[b]}")
            for i, (stage, down) in enumerate(stages):
                s = &c.c.stage[b][i]
                s.up = stage.before if down or stage.flat else 0
                s.below = stage.after if down or stage.flat else 0
                s.left = stage.left if stage.flat else 0 if down else stage.before
                s.right = stage.right if stage.flat else 0 if down else stage.after
                s.pairs, s.terms, s.box, s.down = stage.pairs, stage.terms, stage.box, down
                s.divisor, s.factor, s.dense = stage.divisor, stage.factor, stage.dense
                s.w = <const void *>stage.wide if wide else <const void *>stage.narrow
                places += 2 * stage.terms
                cost += TERM / c.kernels.lanes * (stage.terms if not stage.box else 8)
                up, below, left, right = up + s.up, below + s.below, left + s.left, right + s.right
            c.c.up, c.c.below = max(c.c.up, up), max(c.c.below, below)
            c.c.left, c.c.right = max(c.c.left, left), max(c.c.right, right)
        cut(c, c.planes, threads)
        boxes_of_bytes(c, branches)
        self.places = <ptrdiff_t *>malloc(max(1, places) * sizeof(ptrdiff_t))
        if self.places == NULL:
            raise MemoryError(f"cyconv: cannot allocate the places of {places} taps")
        self.place_taps()
        self.scratch = c.kernels.scratch(&c.c) * c.kernels.itemsize
        self.seconds = cost * c.planes * c.c.rows * c.c.columns * c.c.step

    def __dealloc__(self):
        free(self.places)

    cdef place_taps(self):
        """Where the taps of every stage lie in a tile."""
        cdef chain_t *c = &self.context.c
        cdef ptrdiff_t *at = self.places
        cdef ptrdiff_t b, i, t
        cdef Stage stage
        cdef stage_t *s
        for b, stages in enumerate(self.branches):
            for i, (stage, down) in enumerate(stages):
                s = &c.stage[b][i]
                s.at, s.mirrored = at, at + stage.terms
                for t in range(stage.terms):
                    at[t] = place(c, s, stage, stage.row[t], t, down)
                    if stage.pairs:
                        at[stage.terms + t] = place(c, s, stage, stage.mirrored[t], t, down)
                at += 2 * stage.terms

    cdef filter(self, cnp.ndarray x, cnp.ndarray y):
        """Filter `x` into `y`, which are as those it was made for. Threads may share a chain."""
        cdef Context c = self.context
        c.x, c.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y)
        parallel_for(run_item, &c, c.planes * c.row_tiles * c.column_tiles, self.threads,
                     self.scratch, self.seconds)


_here = threading.local()  # `noted`: (x, y, Chain) of what has been run since `note`


def note(noted):
    """Let :func:`note_run` append to the list `noted` what this thread runs, or to none.

    Returns what it appended to before.
    """
    before = getattr(_here, "noted", None)
    _here.noted = noted
    return before


def note_run(x, y, chain):
    """Say what fills `y` from `x` on this thread: it has a method ``filter(x, y)``."""
    noted = getattr(_here, "noted", None)
    if noted is not None:
        noted.append((x, y, chain))


def note_more():
    """Say of this thread's call that it does more than its chains do."""
    noted = getattr(_here, "noted", None)
    if noted is not None:
        noted.append(None)


def run(cnp.ndarray x, cnp.ndarray y, tuple shape, tuple branches, tuple borders, double constant,
        bint wide, between=None, str finish="each", bint saturate=False, threads=None):
    """Filter the planes of `x` into `y`.

    Parameters
    ----------
    x : C-contiguous array of prod(shape) elements
    y : C-contiguous array of as many, or of branches times as many where each is wanted
        Does not overlap x.
    shape : (planes, rows, columns, step)
        `step` elements make a pixel.
    branches : tuple of tuples of (Stage, bool)
        Up to three chains of up to two stages; of a line or a box, whether it runs down the rows.
    borders : (rows' mode, columns' mode)
        By SciPy's names.
    constant : float
        What lies outside with mode 'constant'.
    wide : bool
        Sum in float64, else in float32.
    between : dtype, optional
        What cells are rounded to between stages; default y's dtype.
    finish : {'each', 'sum', 'length', 'hypot'}
    saturate : bool
        Round to the nearest integer and clip, instead of C's cast.
    threads : int, optional
    """
    cdef Chain chain = Chain(x.descr, y.descr, shape, branches, borders, constant, wide, between,
                             finish, saturate, get_num_threads() if threads is None else threads)
    note_run(x, y, chain)
    chain.filter(x, y)


cdef bint narrow_is_exact(source, target, between, tuple branches, tuple borders, double constant,
                          str finish, bint saturate):
    """Whether float32 gives float64's results: sums of integers below 2^24, each truncated once.

    A quotient of such a sum lies further from the next integer than float32 rounds.
    """
    cdef double largest, bound, total = 0, cval = abs(constant) if "constant" in borders else 0
    cdef Stage stage
    cdef Py_ssize_t i
    between = np.dtype(between)
    if source.kind not in "iu" or source.itemsize > 2 or finish not in ("each", "sum"):
        return False
    if cval != round(cval):
        return False
    largest = max(cval, 2.0 ** (8 * source.itemsize))
    for stages in branches:
        bound = largest
        for i, (stage, _) in enumerate(stages):
            held = target if finish == "each" and i + 1 == len(stages) else between
            bound *= stage.reach
            if held.kind == "u" and held.itemsize > 2:  # where a negative sum is a large number
                return False
            if not bound < 16777216 or (stage.divisor != 1 and (saturate or held.kind not in "iu")):
                return False
            if held.kind in "iu":  # where it wraps
                bound = min(bound, 2.0 ** (8 * held.itemsize))
            bound = max(bound, cval)
        total += bound
    return total < 16777216 or finish == "each"


cdef void boxes_of_bytes(Context *c, tuple branches):
    """Let one sweep of whole numbers be the chain, where it is the mean of a box of bytes."""
    cdef Stage one, two, high, wide
    cdef double divisor
    c.c.box_rows = 0
    if (
        c.c.source != CYCONV_U8 or c.c.between != CYCONV_F32 or c.kernels.itemsize != 4
        or c.c.branches != 1 or c.c.stages[0] != 2 or c.c.finish != CYCONV_EACH
        or c.c.constant != 0
    ):
        return
    (one, down), (two, other) = branches[0]
    if one.flat or two.flat or bool(down) == bool(other) or one.scale * two.scale == 0:
        return
    high, wide = (one, two) if down else (two, one)
    divisor = 1 / (one.scale * two.scale)
    if high.before + high.after > 256 or wide.before + wide.after > 32000 or not isfinite(divisor):
        return
    if abs(divisor - round(divisor)) < 1e-6 * abs(divisor):  # its weights were rounded to float32
        divisor = round(divisor)
    c.c.box_rows, c.c.box_columns = high.before + high.after + 1, wide.before + wide.after + 1
    c.c.box_up, c.c.box_left, c.c.box_divisor = high.before, wide.before, divisor
    c.columns, c.column_tiles = max(1, c.c.columns), 1


cdef ptrdiff_t place(const chain_t *c, const stage_t *s, Stage stage, ptrdiff_t along, ptrdiff_t t,
                     bint down):
    """Where a tap lies in a tile, counted from the first cell that the stage reads."""
    if stage.flat:
        return (s.up + stage.row[t]) * c.pitch + (s.left + stage.column[t]) * c.step
    return (s.up + along) * c.pitch if down else (s.left + along) * c.step


cdef void cut(Context *c, ptrdiff_t planes, ptrdiff_t threads):
    """Sizes of the tiles: as wide as fit the cache, and not much smaller than what lies around.

    A tile is made from its top down, a band of rows at a time: those that it holds are the ones
    that the next band needs. It is as high as leaves work for all threads.
    """
    cdef ptrdiff_t step = c.c.step, high = c.c.up + c.c.below, wide = c.c.left + c.c.right
    cdef ptrdiff_t room = <ptrdiff_t>(SHARE * machine.caches().l2 / c.kernels.itemsize)
    cdef ptrdiff_t pieces
    c.columns = max(max(room // (2 * high + 16), WIDE) // step - wide, wide, 1)
    pieces = max(1, (c.c.columns + c.columns // 2) // c.columns)
    c.columns = max(1, (c.c.columns + pieces - 1) // pieces)
    c.column_tiles = max(1, (c.c.columns + c.columns - 1) // c.columns)
    c.rows = max(2 * high, MOST // (c.columns * step), 16)
    pieces = max(1, (c.c.rows + c.rows - 1) // c.rows)
    if threads > 1 and planes * pieces * c.column_tiles < 4 * threads:
        pieces = min(4 * threads, max(1, c.c.rows // max(16, high)))
    c.rows = max(1, (c.c.rows + pieces - 1) // pieces)
    c.row_tiles = max(1, (c.c.rows + c.rows - 1) // c.rows)
    c.c.pitch = (c.columns + wide) * step
    c.c.pitch += CYCONV_SPARE - c.c.pitch % 16  # whole vectors
    if c.c.pitch * c.kernels.itemsize // 64 % 2 == 0:
        c.c.pitch += 64 // c.kernels.itemsize  # an odd number of lines: rows share no place
