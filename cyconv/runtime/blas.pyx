"""The one door to BLAS: row-major matrix products over ``scipy.linalg.cython_blas``."""

import os
import threading

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

from cyconv.runtime.memory cimport check_free

from cyconv.runtime import forks

cdef enum:
    OPENBLAS_BYTES = 33 << 20  # what OpenBLAS takes for each product that goes on at the same time

ctypedef void (*sgemm_function)(char *, char *, int *, int *, int *, float *, float *, int *,
                                float *, int *, float *, float *, int *) noexcept nogil
ctypedef void (*dgemm_function)(char *, char *, int *, int *, int *, double *, double *, int *,
                                double *, int *, double *, double *, int *) noexcept nogil

cdef sgemm_function sgemm = NULL
cdef dgemm_function dgemm = NULL

_lock = threading.Lock()


@forks.in_child
def _renew_lock():
    global _lock
    _lock = threading.Lock()


def load():
    """Find the BLAS SciPy was built with; not at import, because ``scipy.linalg`` is large."""
    global sgemm, dgemm
    with _lock:
        if dgemm != NULL:
            return
        from scipy.linalg import cython_blas

        capsules = cython_blas.__pyx_capi__
        sgemm = <sgemm_function>PyCapsule_GetPointer(
            capsules["sgemm"], PyCapsule_GetName(capsules["sgemm"]))
        dgemm = <dgemm_function>PyCapsule_GetPointer(
            capsules["dgemm"], PyCapsule_GetName(capsules["dgemm"]))


cdef int held = 0  # products at once for which OpenBLAS has its memory: it keeps what it took


cdef check_room(int threads, size_t others):
    """MemoryError unless `threads` products at once find their memory, and `others` bytes beside.

    OpenBLAS asks for it in the middle of a product, again and again until it gets it: where there
    is none, for ever.
    """
    global held
    with _lock:
        if threads > held:
            check_free((threads - held) * <size_t>OPENBLAS_BYTES + others, "workspace for BLAS")
            held = threads


def is_scipys(path):
    """Whether the BLAS library at `path` is the one in SciPy's own wheel."""
    return "scipy.libs" in path.replace(os.sep, "/").split("/")


def info():
    """The BLAS behind SciPy, in a few words."""
    from threadpoolctl import threadpool_info

    load()
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    libraries = [one for one in libraries if is_scipys(one["filepath"])] or libraries
    names = [f"{one['internal_api']} {one.get('version') or ''}".strip() for one in libraries]
    return ", ".join(names) or "unknown"


cdef void gemm(bint f64, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *A, ptrdiff_t lda,
               const void *B, ptrdiff_t ldb, void *C, ptrdiff_t ldc) noexcept nogil:
    """C (m, n) = A (m, k) @ B (k, n), row-major; load() must have been called.

    BLAS is column-major: there the same memory reads C^T = B^T A^T.
    """
    cdef int M = <int>n, N = <int>m, K = <int>k
    cdef int LDA = <int>ldb, LDB = <int>lda, LDC = <int>ldc
    cdef float one = 1, zero = 0
    cdef double one64 = 1, zero64 = 0
    if f64:
        dgemm(b"n", b"n", &M, &N, &K, &one64, <double *>B, &LDA, <double *>A, &LDB, &zero64,
              <double *>C, &LDC)
    else:
        sgemm(b"n", b"n", &M, &N, &K, &one, <float *>B, &LDA, <float *>A, &LDB, &zero,
              <float *>C, &LDC)
