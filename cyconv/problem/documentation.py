"""Docstrings that several public functions share, written for each number of axes."""

_WORDS = {
    None: ("any number of axes", "*spatial", "*kernel", "*output"),
    1: ("one axis: signals, sequences", "L", "R", "P"),
    2: ("two axes: images", "H, W", "R, S", "P, Q"),
    3: ("three axes: volumes, video", "D, H, W", "Z, R, S", "O, P, Q"),
}


def for_rank(text, rank):
    """`text` with the names of `rank` spatial axes; None is any."""
    words = zip(("@axes", "@sizes", "@kernel", "@outputs"), _WORDS[rank], strict=True)
    for key, value in words:
        text = text.replace(key, value)
    return text


_OPTIONS = """
    flip : bool, default False
        Rotate the kernel by 180 degrees: the true convolution of signal processing.
    activation : {None, 'relu', 'relu6'} or (low, high)
        Bounds applied to the result, while it is in registers where the algorithm can.
    algorithm : str, default 'auto'
        One of ``cyconv.algorithms(problem)``, or the library's choice.
    device : str, default 'cpu'
        Or an OpenCL device: 'opencl', 'opencl:1' by its number or 'opencl:PoCL' by part of a name.
    threads : int, optional
        Default :func:`get_num_threads`. The result's bits do not depend on it.
    accuracy : {'balanced', 'strict', 'fast'} or float
        What the choice of algorithm may cost: error within 4 times direct summation's, within 1.5
        times, any; or a bound on the relative error. Where a transform is allowed, the error is
        relative to the values around an output, down to a thousandth of an image's largest.
    workspace_limit : int, optional
        Bytes of scratch, all threads together; default 256 MiB.
    out : array of the result's shape and dtype, optional
        Not written by a call that raises. May overlap x and w.
    out_dtype : dtype, optional
        Default x's, for integers the dtype of the sums.
    add : array of the result's shape, optional
        A residual, added to the sums and the bias before the activation. Any strides; may be `out`.
"""

_NOTES = """
    Raises
    ------
    TypeError, ValueError
        For an argument that is wrong, or an algorithm that cannot; the message names it.
    MemoryError
        If no algorithm fits `workspace_limit`, or there is no memory for the result.

    Notes
    -----
    Operands of two dtypes are promoted as NumPy promotes them (int64 with uint64 to float64); a
    bias and a residual must be safe to cast to the dtype of the sums. float16 and bfloat16 are
    summed in float32 and rounded once; int8, uint8 and int16 are summed in int32, uint16, int32 and
    int64 in int64, uint32 and uint64 in uint64, exactly, modulo 2^32 or 2^64.

    References
    ----------
    .. [1] V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning",
       arXiv:1603.07285.
"""

FORWARD = (
    r"""Convolution over @axes.

    .. math:: y[n, k, p] = b[k] + \sum_{c, r} w[k, c, r] \, x[n, c, p s + r d - lo]

    p and r run over the spatial axes: cross-correlation, as CNNs use it.

    Parameters
    ----------
    x : array (N, C, @sizes), or unbatched (C, @sizes)
        Any strides; never modified.
    w : array (K, C / groups, @kernel)
    bias : array (K,), optional
    stride, dilation : int or one int per axis, default 1
    padding : default 0
        An int, one int per axis, one (lo, hi) pair per axis, 'valid', 'same' (ceil(in / stride)
        outputs, the odd cell at the end) or 'same_lower'. A causal filter pads only the left:
        ``padding=[(d * (R - 1), 0)]``.
    groups : int, default 1
        Divides C and K; each group of channels meets its own filters.
    padding_mode : {'zeros', 'reflect', 'replicate', 'circular', 'symmetric'}
        What lies outside x.
    data_format : {'channels_first', 'channels_last'} or letters such as 'NHWC'
        How x and the result lie; w does not change."""
    + _OPTIONS
    + """
    Returns
    -------
    y : array (N, K, @outputs), or (K, @outputs)
        P = floor((H + lo + hi - d (R - 1) - 1) / s) + 1 along each axis. Zero padding counts as
        multiplied: an infinite weight on it gives NaN, as on an explicit border of zeros.
"""
    + _NOTES
)

TRANSPOSE = (
    r"""Transposed convolution over @axes: the adjoint of :func:`conv` in x.

    .. math:: y[n, c, h] = b[c] + \sum_{k, r, p:\, p s + r d - lo = h} w[k, c, r] \, x[n, k, p]

    Parameters
    ----------
    x : array (N, K, @sizes), or unbatched (K, @sizes)
    w : array (K, C / groups, @kernel)
        As the forward convolution's: K is now the input's channels.
    bias : array (C,), optional
    stride, dilation : int or one int per axis, default 1
    padding : default 0
        Of the forward convolution: what is cut from the result. In any form that :func:`conv`
        takes; 'same' gives in * stride cells.
    output_padding : int or one int per axis, default 0
        Cells added at the end of each axis; less than max(stride, dilation).
    groups : int, default 1
    output_shape : int or one int per axis, optional
        Sizes of the result's spatial axes, as in ONNX: chooses the padding, its odd cell at the
        end for padding='same', else at the beginning.
    padding_mode : {'zeros', 'reflect', 'replicate', 'circular', 'symmetric'}
        Of the forward convolution: what would be cut is added to the cells it was copied from.
    data_format : {'channels_first', 'channels_last'} or letters such as 'NHWC'"""
    + _OPTIONS
    + """
    Returns
    -------
    y : array (N, C, @outputs), or (C, @outputs)
        (L - 1) s + d (R - 1) + 1 - lo - hi + output_padding cells along each axis. Complex weights
        are not conjugated. A weight that is not finite touches the cells that its products with x
        reach, no others; output_padding of a stride and more counts as zeros of x.
"""
    + _NOTES
)
