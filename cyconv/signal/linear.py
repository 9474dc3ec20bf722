"""Linear filters along one axis."""

from operator import index

import numpy as np

from cyconv.problem.operands import on_host
from cyconv.signal.multirate import DTYPES
from cyconv.signal.phases import filtered


def lfilter(b, a, x, axis=-1, zi=None):
    r"""Filter the lines of an array along one axis.

    .. math:: a[0] \, y[p] = \sum_r b[r] \, x[p - r] - \sum_{r > 0} a[r] \, y[p - r]

    Parameters
    ----------
    b : array_like of one axis
    a : array_like of one axis
        With one number in it the filter is a convolution.
    x : array_like
    axis : int, default -1
    zi : array_like, optional
        What the cells before the first add to the first results: of x's shape, but as long as the
        longer of b and a, less one, along `axis`. Along other axes one cell serves for all.

    Returns
    -------
    y : array of x's shape and the promoted dtype
    zf : array of zi's shape, only with `zi`
        What the cells of x add to results after the last: zi of what follows.

    Raises
    ------
    NotImplementedError
        For a dtype that is promoted to integers, bool or float16.
    ValueError
        For operands or an axis that do not fit.

    Notes
    -----
    Recursive filters, of more than one number in `a`, are ``scipy.signal.lfilter``'s; so are
    extended precision and filters with an infinite tap.

    Examples
    --------
    >>> lfilter([0.5, 0.5], 1.0, [2.0, 4.0, 6.0])
    array([1., 3., 5.])
    >>> cyconv.signal.lfilter([0.5, 0.5], [1.0], [1.0, 3.0, 5.0])  # means of neighbours
    array([0.5, 2. , 4. ])
    >>> y, state = cyconv.signal.lfilter([0.5, 0.5], [1.0], [1.0, 3.0], zi=[0.0])
    >>> cyconv.signal.lfilter([0.5, 0.5], [1.0], [5.0], zi=state)[0]
    array([4.])
    """
    b, a = np.atleast_1d(on_host("b", b)), np.atleast_1d(on_host("a", a))
    x, zi = on_host("x", x), None if zi is None else on_host("zi", zi)
    if not _is_convolution(b, a, x, axis, zi):
        return _by_scipy(b, a, x, axis, zi)
    axis = index(axis) % x.ndim
    dtype = np.result_type(*(operand for operand in (b, a, x, zi) if operand is not None))
    h = b.astype(dtype) / a[0].astype(dtype)
    if not np.isfinite(h).all():
        return _by_scipy(b, a, x, axis, zi)
    if dtype.kind == "c" and not h.imag.any():
        h = np.ascontiguousarray(h.real)
    x = x.astype(dtype, copy=False)
    n, state = x.shape[axis], len(h) - 1
    if zi is None:
        return filtered(x, h, axis, 1, 1, 0, n)
    y = filtered(x, h, axis, 1, 1, 0, n + state)
    before = (slice(None),) * axis
    y[(*before, slice(state))] += zi
    return y[(*before, slice(n))], y[(*before, slice(n, None))]


def _is_convolution(b, a, x, axis, zi):
    """Whether the filter is one that is computed here; SciPy has the others, or refuses them."""
    if a.shape != (1,) or b.ndim != 1 or not b.size or not x.size or x.ndim == 0 or not a[0]:
        return False
    operands = [b, a, x] if zi is None else [b, a, x, zi]
    if not all(operand.dtype.kind in "biufc" for operand in operands):
        return False
    if np.result_type(*operands).char not in DTYPES:
        return False
    try:
        axis = index(axis)
    except TypeError:
        return False
    if not -x.ndim <= axis < x.ndim:
        return False
    if zi is None:
        return True
    wanted = list(x.shape)
    wanted[axis] = len(b) - 1
    return zi.ndim == x.ndim and all(
        have == want or (have == 1 and along != axis % x.ndim)
        for along, (have, want) in enumerate(zip(zi.shape, wanted, strict=True))
    )


def _by_scipy(b, a, x, axis, zi):
    from scipy.signal import lfilter

    return lfilter(b, a, x, axis, zi)
