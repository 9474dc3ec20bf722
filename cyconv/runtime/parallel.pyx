"""The one door to OpenMP: thread count, fork guard, BLAS threads, and the parallel loop."""

import os
import threading
from collections import deque
from contextlib import contextmanager
from time import perf_counter

from cython.parallel cimport parallel, prange

from cyconv.runtime.memory cimport Buffer

from cyconv.runtime.memory import workspace
from cyconv.runtime import forks, machine
from cyconv.runtime.arguments import as_int

MOST_THREADS = 4096

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define CYCONV_OPENMP 1
    #else
    #define CYCONV_OPENMP 0
    static int omp_get_thread_num(void) { return 0; }
    #endif
    """
    const bint CYCONV_OPENMP
    int omp_get_thread_num() nogil

# Predicted work worth waking one more thread for, in seconds.
cdef double SHARE = 3e-5
# Pieces for one thread at most, where they would be too few; and for how much of one it is late, as
# others use its processor too.
cdef ptrdiff_t PIECES = 8
cdef double LATE = 0.05
cdef double PYTHON_SHARE = 3e-4  # where the thread is Python's

# Python looks at signals (Ctrl-C) at least this often, in seconds of predicted work.
SLICE = 0.1

# libgomp's threads do not survive fork(): a child that enters a parallel region after its parent
# did waits for them for ever. Such a child runs serially.
cdef bint forked = False


@forks.in_child
def _after_fork():
    global forked, _blas_lock, _blas_users
    forked = True
    _blas_lock, _blas_users = threading.Lock(), 0


def openmp():
    """Whether this build uses OpenMP; without it every call runs on one thread."""
    return bool(CYCONV_OPENMP)


def _default_threads():
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if text.strip().isdigit() and int(text) > 0:
        return min(int(text), MOST_THREADS)
    return machine.cores()


_threads = _default_threads() if CYCONV_OPENMP else 1
_here = threading.local()


def get_num_threads():
    """The number of threads a call uses when it does not say (``threads=None``).

    Examples
    --------
    >>> cyconv.get_num_threads() >= 1
    True
    """
    return getattr(_here, "threads", _threads)


@contextmanager
def one_thread():
    """Calls made within, by this thread, use one where they do not say.

    For callers that have threads of their own, each of which makes such calls.
    """
    before = getattr(_here, "threads", None)
    _here.threads = 1
    try:
        yield
    finally:
        if before is None:
            del _here.threads


def set_num_threads(n):
    """Set the number of threads a call uses when it does not say.

    Parameters
    ----------
    n : int
        At least 1. The default is ``OMP_NUM_THREADS``, else the processors this process may use.

    Examples
    --------
    >>> before = cyconv.get_num_threads()
    >>> cyconv.set_num_threads(1)
    >>> cyconv.get_num_threads()
    1
    >>> cyconv.set_num_threads(before)
    """
    global _threads
    _threads = check_threads("set_num_threads", n)


def check_threads(operation, n):
    """`n` as a thread count; None is the default."""
    if n is None:
        return get_num_threads()
    n = as_int(operation, "threads", n, 1)
    if n > MOST_THREADS:
        raise ValueError(f"{operation}: threads must be <= {MOST_THREADS}, got {n}")
    return n


cdef double share_of(ptrdiff_t n, int lanes) noexcept nogil:
    """Vectors' worth of time for `n` columns: a few past the last whole vector cost less."""
    cdef ptrdiff_t rest = n % lanes
    return n // lanes + (min(1.0, 0.25 + 1.5 * rest / lanes) if rest else 0.0)


cdef piece_t divide(ptrdiff_t items, ptrdiff_t columns, ptrdiff_t step, ptrdiff_t most,
                    ptrdiff_t filters, ptrdiff_t unit, int lanes, double gather, double stream,
                    int threads, double seconds) noexcept nogil:
    """The pieces of `items` times columns x filters that `threads` threads are done with first.

    A piece of v vectors of columns and f units of filters takes v f + gather v + stream f: its
    columns are gathered once, its filters' weights are read once. Pieces hold whole steps of
    columns, at most `most`, and whole units of filters. Every output is summed in the same order
    in any piece, so this may depend on the threads.
    """
    cdef piece_t best, tried
    cdef ptrdiff_t c, f, i, parts, units = max(1, (filters + unit - 1) // unit)
    cdef ptrdiff_t steps = max(1, (columns + step - 1) // step), least, rounds, rounded
    cdef double taken, fastest = -1
    best.columns, best.filters = min(most, steps * step), max(1, filters)
    threads = <int>max(1, min(threads, <ptrdiff_t>(seconds / SHARE)))
    least = (columns + most - 1) // most
    if threads == 1 or items * least >= PIECES * threads:
        return best
    for c in range(max(1, least), min(steps, max(least, PIECES * threads // items)) + 1):
        for rounded in range(1 if step > 1 else 2):
            tried.columns = (steps + c - 1) // c * step
            if rounded:
                tried.columns = (tried.columns + lanes - 1) // lanes * lanes
            if tried.columns > most:
                continue
            parts = items * ((columns + tried.columns - 1) // tried.columns)
            for f in range(1, min(units, max(1, PIECES * threads // parts)) + 1):
                i = (units + f - 1) // f
                rounds = (parts * ((units + i - 1) // i) + threads - 1) // threads
                taken = share_of(tried.columns, lanes)
                taken = (rounds + LATE) * (taken * (i + gather) + stream * i)
                if fastest < 0 or taken < fastest:
                    fastest = taken
                    tried.filters = min(i * unit, filters)
                    best = tried
    return best


cdef parallel_for(item_function run, const void *context, ptrdiff_t items, int threads,
                  size_t scratch, double seconds):
    """run(context, i, scratch) for every i in [0, items), on up to `threads` threads.

    Items write disjoint outputs, so their order and the number of threads change nothing.
    `seconds` is the predicted time of all; Ctrl-C is seen between slices of the range.
    """
    cdef Buffer memory
    cdef ptrdiff_t i, begin = 0, end, slice_
    cdef char *mine = NULL
    cdef int n = 1 if forked or not CYCONV_OPENMP else threads
    cdef int chunk = 1
    cdef double most = SLICE, started, taken
    if items <= 0:
        return
    n = <int>max(1, min(n, items, <ptrdiff_t>(seconds / SHARE)))
    memory = workspace(n * scratch)
    slice_ = items if seconds <= most else max(n, <ptrdiff_t>(items * (most / seconds) / 4))
    while begin < items:
        end = min(items, begin + slice_)
        started = perf_counter() if slice_ < items else 0
        with nogil:
            if n == 1:
                for i in range(begin, end):
                    run(context, i, memory.data)
            else:
                with parallel(num_threads=n):
                    mine = memory.data + omp_get_thread_num() * scratch
                    for i in prange(begin, end, schedule="dynamic", chunksize=chunk):
                        run(context, i, mine)
        begin = end
        if begin < items:
            check_signals()
            taken = perf_counter() - started  # the prediction may be wrong
            slice_ = max(n, <ptrdiff_t>(slice_ * min(4.0, most / max(taken, 1e-6))))


class _Shared:
    """Pieces of work that threads take one by one."""

    def __init__(self, work, pieces):
        self.work, self.left, self.failed = work, deque(pieces), []

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.left.popleft()
        except IndexError:
            raise StopIteration from None

    def run(self):
        """One thread's part; what it raises ends the others'."""
        try:
            self.work(self)
        except BaseException as error:
            self.failed.append(error)
            self.left.clear()


def share(work, pieces, int threads, double seconds):
    """``work(pieces)`` on up to `threads` Python threads, each of which gets some of them.

    For work that is other libraries', which let go of the interpreter while they compute. Pieces
    write disjoint outputs; what a thread raises is raised here.
    """
    cdef Py_ssize_t others
    shared = _Shared(work, pieces)
    others = min(<Py_ssize_t>threads, len(shared.left), <Py_ssize_t>(seconds / PYTHON_SHARE)) - 1
    started = [threading.Thread(target=shared.run, daemon=True) for _ in range(others)]
    try:
        for i, thread in enumerate(started):
            try:
                thread.start()
            except RuntimeError:  # no more threads: those that there are do all
                del started[i:]
                break
        shared.run()
        for thread in started:
            thread.join()
    finally:
        shared.left.clear()
    if shared.failed:
        try:
            raise shared.failed[0]
        finally:
            shared.failed.clear()  # or it and its traceback would keep each other


cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1


cdef check_signals():
    PyErr_CheckSignals()


_blas_lock = threading.Lock()
_blas_users = 0
_blas_libraries = None
_blas_threads = ()


@contextmanager
def single_threaded_blas():
    """BLAS on one thread for as long as any caller is inside: our own threads call it."""
    global _blas_users, _blas_libraries, _blas_threads
    with _blas_lock:
        if _blas_users == 0:
            if _blas_libraries is None:
                _blas_libraries = _find_blas()
            _blas_threads = [library.get_num_threads() for library in _blas_libraries]
            _set_blas_threads([1] * len(_blas_libraries))
        _blas_users += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if _blas_users == 0:
                _set_blas_threads(_blas_threads)


def _set_blas_threads(counts):
    for library, n in zip(_blas_libraries, counts, strict=True):
        # threadpoolctl heeds only the Python thread that set a limit first, until it lets go; here
        # the last caller to leave restores what the first one found, whichever threads they are.
        let_go = getattr(library, "clear_controlling_thread", None)
        if let_go is not None:
            let_go(force=True)
        library.set_num_threads(n)
        if let_go is not None:
            let_go(force=True)


def _find_blas():
    """Handles of the BLAS that SciPy calls, or of all if that cannot be told."""
    from threadpoolctl import ThreadpoolController

    from cyconv.runtime import blas

    blas.load()
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return [library for library in found if blas.is_scipys(library.filepath)] or found
