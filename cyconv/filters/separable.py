"""Kernels of rank 1: one column times one row."""

from functools import lru_cache

import numpy as np

from cyconv.problem.operands import on_host


def check_kernel(operation, kernel):
    """`kernel` as an array of real numbers (R, S), or the error that names what is wrong."""
    kernel = on_host(f"{operation}: kernel", kernel)
    if kernel.dtype.kind not in "iuf":
        raise TypeError(f"{operation}: kernel must hold real numbers, got dtype {kernel.dtype}")
    if kernel.ndim != 2 or kernel.size == 0:
        raise ValueError(f"{operation}: kernel must be (R, S), not empty, got shape {kernel.shape}")
    return kernel


def separate(kernel, tol=None):
    """A kernel of rank 1 as ``(column, row)`` with ``kernel = outer(column, row)``, else None.

    With the singular values s₁ >= s₂ >= …, the best approximation of rank 1 has the relative error
    (Frobenius norm) ``sqrt(s₂² + s₃² + …) / sqrt(s₁² + s₂² + …)``; the kernel counts as separable
    where that is at most `tol`.

    Parameters
    ----------
    kernel : array_like, (R, S)
    tol : float, optional
        Default: the rounding of the kernel's own dtype, eps * max(R, S).

    Returns
    -------
    (column, row) of shapes (R,) and (S,), floating point, or None
        The kernel's own column and row through its largest cell, one of them divided by that cell,
        where their product is the kernel exactly (Sobel y: [1, 0, -1] and [-1, -2, -1]), so that
        sums which were exact stay so; otherwise those of the singular value decomposition.

    Examples
    --------
    >>> cyconv.filters.separate([[1, 2], [3, 6]])
    (array([2., 6.]), array([0.5, 1. ]))
    >>> cyconv.filters.separate(cyconv.filters.LAPLACIAN_4) is None
    True
    """
    kernel = check_kernel("separate", kernel)
    pair = factors(kernel.astype(np.result_type(kernel, np.float32)), tol)
    return pair and tuple(line.copy() for line in pair)


def factors(kernel, tol=None):
    """What `separate` gives of a kernel in floating point; not to be written to."""
    if tol is None:
        tol = np.finfo(kernel.dtype).eps * max(kernel.shape)
    return _factors(kernel.tobytes(), kernel.shape, kernel.dtype, float(tol))


@lru_cache(maxsize=64)
def _factors(data, shape, dtype, tol):
    """Those of a kernel given as bytes: a decomposition takes longer than to filter an image."""
    kernel = np.frombuffer(data, dtype).reshape(shape)
    if not np.isfinite(kernel).all():
        return None
    u, s, vt = np.linalg.svd(kernel.astype(np.float64))
    if np.linalg.norm(s[1:]) > tol * np.linalg.norm(s):
        return None
    return _own_factors(kernel) or (
        (u[:, 0] * s[0]).astype(kernel.dtype),
        vt[0].astype(kernel.dtype),
    )


def _own_factors(kernel):
    """Factors of `kernel` without rounding, or None."""
    wide = kernel.astype(np.longdouble)
    i, j = np.unravel_index(np.argmax(np.abs(wide)), wide.shape)
    column, row, pivot = wide[:, j], wide[i], wide[i, j] or 1
    for pair in ((column, row / pivot), (column / pivot, row)):
        rounded = tuple(line.astype(kernel.dtype) for line in pair)
        exact = all(map(np.array_equal, pair, rounded))
        if exact and np.array_equal(np.outer(*pair), wide):
            return rounded
    return None
