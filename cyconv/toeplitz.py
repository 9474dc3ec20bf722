r"""Convolution as a matrix: dense, sparse, or an operator that never stores it.

A convolution is linear in x, so for one w there is a matrix T with

.. math:: \mathrm{vec}(y) = T \, \mathrm{vec}(x), \qquad
          T_{(n, k, p), (n, c, h)} = \sum_{r:\, p s + r d - lo = h} w[k, c, r]

where vec is ``ravel()``. Its transpose is the transposed convolution, its conjugate transpose the
gradient with respect to x [1]_. A kernel (a b c) over one axis makes a *Toeplitz* matrix, constant
along its diagonals::

          x0 x1 x2 x3 x4
    y0  [  a  b  c  .  . ]
    y1  [  .  a  b  c  . ]
    y2  [  .  .  a  b  c ]

Over two axes the matrix is *doubly blocked*: Toeplitz in its blocks, and each block T(w_r) is the
Toeplitz matrix of one row of the kernel::

             row 0   row 1   row 2   row 3
    row 0  [ T(w_0)  T(w_1)    .       .   ]
    row 1  [   .     T(w_0)  T(w_1)    .   ]
    row 2  [   .       .     T(w_0)  T(w_1)]

and so on for every further axis. Around this stands a K by C grid of such matrices, one for each
filter and channel, block diagonal where there are groups, and around that the identity over a
batch. Stride s keeps every s-th row of a block, dilation d sets its diagonals d apart, zero padding
has no columns, and the other padding modes add a border's columns to those that it copies: with
``"circular"`` the blocks are circulant.

References
----------
.. [1] P. C. Hansen, J. G. Nagy, D. P. O'Leary, "Deblurring Images: Matrices, Spectra, and
   Filtering", SIAM, 2006, chapter 4.
"""

from math import prod

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from cyconv.api import conv, conv_grad_input
from cyconv.lowering.borders import BORDERS, SCIPY_NAMES
from cyconv.problem import Problem
from cyconv.problem.operands import as_array, on_host

__all__ = ["matrix", "operator", "sparse"]


def _described(operation, w, input_shape, geometry, padding_mode, flip):
    """`w` in the dtype of its sums, and the Problem whose matrix is asked for."""
    w = as_array(operation, "w", w)
    on_host(f"{operation}: w", w)
    problem = Problem(
        input_shape,
        w.shape,
        w.dtype,
        *geometry,
        padding_mode=padding_mode,
        flip=flip,
        operation=operation,
    )
    return w.astype(problem.sum_dtype, copy=False), problem


def _shape(problem):
    return prod(problem.y_shape), prod(problem.x_shape)


def _met(p, axis):
    """The cell of x that each tap of each output meets along an axis, (P, R); -1 beyond its ends.

    A single output, or tap, has no steps to take: they may be of any size.
    """
    size, taps, outputs = p.spatial[axis], p.kernel[axis], p.output_spatial[axis]
    stride = p.stride[axis] if outputs > 1 else 0
    dilation = p.dilation[axis] if taps > 1 else 0
    cells = np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation - p.padding[axis][0]
    if p.padding_mode != "zeros":
        return BORDERS[SCIPY_NAMES[p.padding_mode]](cells, size)
    cells[(cells < 0) | (cells >= size)] = -1
    return cells


def _entries(w, p):
    """Values, column numbers and the rows' starts of the Problem `p`'s matrix."""
    cells, inside = 0, True
    for axis in range(p.rank):
        others = [i for i in range(2 * p.rank) if i not in (axis, p.rank + axis)]
        along = np.expand_dims(_met(p, axis), others)
        cells, inside = cells * p.spatial[axis] + along, inside & (along >= 0)
    depth, positions, taps = p.w_shape[1], prod(p.output_spatial), prod(p.kernel)
    cells, inside = (a.reshape(positions, 1, taps) for a in (cells, inside))
    planes = np.arange(p.batch * p.channels).reshape(p.batch, p.groups, 1, 1, depth, 1)
    weights = np.flip(w, tuple(range(2, w.ndim))) if p.flip else w
    weights = weights.reshape(1, p.groups, p.filters // p.groups, 1, depth, taps)
    columns, weights, inside = np.broadcast_arrays(
        planes * prod(p.spatial) + cells, weights, inside
    )
    starts = np.zeros(prod(p.y_shape) + 1, np.intp)
    np.cumsum(np.count_nonzero(inside, axis=(-2, -1)).ravel(), out=starts[1:])
    return weights[inside], columns[inside], starts


def _sparse(w, p):
    """The matrix of the Problem `p` and its weights, in compressed rows."""
    rows, columns = _shape(p)
    needs = rows * (prod(p.w_shape[1:]) * (w.itemsize + 8) + 8)
    try:
        if needs >= 2**63:
            raise MemoryError
        np.empty(needs, np.uint8)  # refused now, not after some of the work
        values, cells, starts = _entries(w, p)
        # int32 where SciPy too would have it, so that it need not convert.
        index = np.int32 if max(columns, starts[-1]) <= np.iinfo(np.int32).max else np.int64
        arrays = values, cells.astype(index), starts.astype(index)
        result = scipy.sparse.csr_array(arrays, (rows, columns))
        result.sum_duplicates()
    except MemoryError:
        raise MemoryError(
            f"{p.operation}: {rows} rows of entries need {needs} bytes and more; "
            "toeplitz.operator stores only w"
        ) from None
    return result


def sparse(
    w, input_shape, stride=1, padding=0, dilation=1, groups=1, *, padding_mode="zeros", flip=False
):
    """The matrix of a convolution as a ``scipy.sparse.csr_array``.

    Parameters
    ----------
    w, input_shape, stride, padding, dilation, groups, padding_mode, flip
        As for :func:`matrix`.

    Returns
    -------
    scipy.sparse.csr_array (prod(y.shape), prod(input_shape)), with sorted, unique columns
        At most C / groups * prod(kernel) entries a row, zeros of w among them. Of the dtype in
        which :func:`cyconv.conv` sums w's.

    Raises
    ------
    TypeError, ValueError
        As :func:`cyconv.conv`, for an argument that is wrong.
    MemoryError
        If there is no memory for the entries.

    Examples
    --------
    >>> T = cyconv.toeplitz.sparse(np.ones((1, 1, 3, 3)), (1, 100, 100))
    >>> T.shape, T.nnz
    ((9604, 10000), 86436)
    """
    geometry = (stride, padding, dilation, groups)
    return _sparse(*_described("toeplitz.sparse", w, input_shape, geometry, padding_mode, flip))


def matrix(
    w, input_shape, stride=1, padding=0, dilation=1, groups=1, *, padding_mode="zeros", flip=False
):
    r"""The matrix of a convolution as an ndarray: ``matrix(w, x.shape) @ x.ravel()`` is y.ravel().

    .. math:: T_{(k, p), (c, h)} = \sum_{r:\, p s + r d - lo = h} w[k, c, r]

    Parameters
    ----------
    w : array (K, C / groups, *kernel)
    input_shape : tuple of int
        ``(C, *spatial)``, or ``(N, C, *spatial)``, of the x that the matrix is for.
    stride, padding, dilation, groups, padding_mode, flip
        As for :func:`cyconv.conv`.

    Returns
    -------
    ndarray (prod(y.shape), prod(input_shape))
        Of the dtype in which :func:`cyconv.conv` sums w's: float32 for float16, int32 for int8.

    Raises
    ------
    TypeError, ValueError
        As :func:`cyconv.conv`, for an argument that is wrong.
    MemoryError
        If there is no memory for the matrix, which is far larger than its non-zeros.

    Examples
    --------
    >>> import numpy as np
    >>> matrix(np.array([[[1, 2, 3]]]), (1, 5))
    array([[1, 2, 3, 0, 0],
           [0, 1, 2, 3, 0],
           [0, 0, 1, 2, 3]])
    """
    geometry = (stride, padding, dilation, groups)
    w, problem = _described("toeplitz.matrix", w, input_shape, geometry, padding_mode, flip)
    rows, columns = _shape(problem)
    try:
        dense = np.zeros((rows, columns), w.dtype)
    except (MemoryError, ValueError):  # ValueError: more bytes than an address can count
        raise MemoryError(
            f"toeplitz.matrix: {rows} x {columns} needs {rows * columns * w.itemsize} bytes; "
            "toeplitz.sparse stores only its non-zeros, toeplitz.operator only w"
        ) from None
    return _sparse(w, problem).toarray(out=dense)


def operator(
    w, input_shape, stride=1, padding=0, dilation=1, groups=1, *, padding_mode="zeros", flip=False
):
    """The matrix of a convolution as a ``scipy.sparse.linalg.LinearOperator``.

    It stores w only: its ``matvec`` is :func:`cyconv.conv`, its ``rmatvec`` the adjoint
    :func:`cyconv.conv_grad_input`. ``matmat`` convolves all columns in one call, as a batch.
    SciPy's iterative solvers take it: ``lsqr`` deconvolves, ``svds`` finds its spectrum.

    Parameters
    ----------
    w, input_shape, stride, padding, dilation, groups, padding_mode, flip
        As for :func:`matrix`. w is used as it then is, not copied.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator (prod(y.shape), prod(input_shape))
        Results are of the dtype that NumPy promotes the vector's and w's sums' to.

    Raises
    ------
    TypeError, ValueError
        As :func:`cyconv.conv`, for an argument that is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> blur = operator(np.ones((1, 1, 3, 3)) / 9, (1, 8, 8), padding=1)
    >>> x = np.eye(8).ravel()
    >>> solution = scipy.sparse.linalg.lsqr(blur, blur @ x, atol=1e-12, btol=1e-12)[0]
    >>> bool(np.allclose(blur @ solution, blur @ x))
    True
    """
    geometry = (stride, padding, dilation, groups)
    w, p = _described("toeplitz.operator", w, input_shape, geometry, padding_mode, flip)
    shape = _shape(p)
    geometry = (p.stride, p.padding, p.dilation, p.groups)
    options = {"padding_mode": p.padding_mode, "flip": p.flip}

    def columnwise(function, vectors, length, image_shape):
        """`function` of each column, all as one batch of images; a vector is one column."""
        vectors = vectors if vectors.ndim == 2 else vectors[:, None]
        count = vectors.shape[1]
        images = vectors.T.reshape(count * p.batch, *image_shape[-p.rank - 1 :])
        return function(images).reshape(count, length).T

    def forward(vectors):
        def convolved(x):
            return conv(x, w, None, *geometry, **options)

        return columnwise(convolved, vectors, shape[0], p.x_shape)

    def adjoint(vectors):
        def gradient(g):
            x_shape = (len(g), *p.x_shape[-p.rank - 1 :])
            return conv_grad_input(x_shape, w, g, *geometry, **options)

        return columnwise(gradient, vectors, shape[1], p.y_shape)

    return scipy.sparse.linalg.LinearOperator(
        shape, matvec=forward, rmatvec=adjoint, matmat=forward, rmatmat=adjoint, dtype=w.dtype
    )
