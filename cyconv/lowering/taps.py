"""Direct summation tap by tap, in NumPy's arithmetic: for dtypes and ranks that no kernel has."""

import numpy as np


def sum_of_taps(x, w, skip_zeros=False):
    r"""The full convolution of `x` with `w`, tap by tap, in their own arithmetic.

    .. math:: y[p] = \sum_r w[r] \, x[p - r], \quad 0 <= p < n + k - 1

    For dtypes and numbers of axes that :func:`cyconv.conv` does not have. With `skip_zeros` a tap
    that is zero is left out: a non-finite cell of x reaches only what the other taps hold.
    """
    dtype = np.result_type(x, w)
    y = np.zeros([n + k - 1 for n, k in zip(x.shape, w.shape, strict=True)], dtype)
    for tap in zip(*np.nonzero(w), strict=True) if skip_zeros else np.ndindex(*w.shape):
        y[tuple(slice(r, r + n) for r, n in zip(tap, x.shape, strict=True))] += w[tap] * x
    return y
