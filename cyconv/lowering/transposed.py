r"""Transposed convolution as the gradient of a forward one: which forward problem that is.

With x of size L, the result has

.. math:: (L - 1) s + d (R - 1) + 1 - lo - hi + output\_padding

cells along each axis, as in PyTorch; ONNX's ``output_shape`` chooses lo + hi instead.
"""

from cyconv.problem import DATA_FORMATS, LIMIT, as_int, extent, output_size, pad_pairs, per_axis


def transposed(
    operation,
    x_shape,
    w_shape,
    stride,
    padding,
    output_padding,
    dilation,
    groups,
    output_shape,
    data_format,
):
    """The forward problem whose input's gradient is this transposed convolution.

    Returns
    -------
    shape : tuple
        Of the forward input: this operation's result.
    padding : tuple of (lo, hi)
        Of the forward problem.
    beyond : list of (before, after), for np.pad
        Zeros that x lacks as the forward problem's output gradient: cells of the result past the
        last stride are met by no element of x.
    """
    rank, op = len(w_shape) - 2, operation
    last = DATA_FORMATS.get(data_format, False) if isinstance(data_format, str) else False
    if rank < 1 or len(x_shape) not in (rank + 1, rank + 2):
        raise ValueError(
            f"{op}: x must have {rank + 2} axes, or {rank + 1} unbatched, for w of shape "
            f"{w_shape}, got shape {x_shape}"
        )
    axes = range(len(x_shape) - rank - last, len(x_shape) - last)
    channels = x_shape[-1] if last else x_shape[-rank - 1]
    if channels != w_shape[0]:
        raise ValueError(f"{op}: w.shape[0] must be x's {channels} channels, got {w_shape[0]}")
    sizes = [x_shape[axis] for axis in axes]
    for axis, n in enumerate(w_shape[2:], 2):
        if n < 1:
            raise ValueError(f"{op}: w.shape[{axis}], the kernel's size, must be >= 1, got {n}")
    stride = per_axis(op, "stride", stride, rank, 1)
    dilation = per_axis(op, "dilation", dilation, rank, 1)
    extra = per_axis(op, "output_padding", output_padding, rank, 0)
    groups = as_int(op, "groups", groups, 1)
    for axis, n in enumerate(extra):
        if n >= max(stride[axis], dilation[axis]):
            raise ValueError(
                f"{op}: output_padding[{axis}] must be < max(stride, dilation) = "
                f"{max(stride[axis], dilation[axis])}, got {n}"
            )
    full = [
        (n - 1) * s + extent(k, d) + e
        for n, s, d, k, e in zip(sizes, stride, dilation, w_shape[2:], extra, strict=True)
    ]
    for axis, n in enumerate(full):
        if n >= LIMIT:
            _, name, value = max(
                ((sizes[axis] - 1) * stride[axis], "stride", stride[axis]),
                ((w_shape[2 + axis] - 1) * dilation[axis], "dilation", dilation[axis]),
                (extra[axis], "output_padding", extra[axis]),
            )
            raise ValueError(
                f"{op}: {name}[{axis}] must keep the result, before padding cuts it, under 2**62, "
                f"got {value}"
            )
    pairs = pad_pairs(op, padding, full, w_shape[2:], stride, dilation)
    word = padding if isinstance(padding, str) else ""
    if output_shape is not None or word in ("same", "same_lower"):
        if output_shape is None:
            output_shape = [n * s for n, s in zip(sizes, stride, strict=True)]
        wanted = per_axis(op, "output_shape", output_shape, rank, 1)
        totals = [max(0, n - m) for n, m in zip(full, wanted, strict=True)]
        pairs = tuple((t - t // 2, t // 2) for t in totals)
        if word == "same":  # ONNX: of an odd number the larger half is cut at the end
            pairs = tuple((hi, lo) for lo, hi in pairs)
    else:
        wanted = [n - lo - hi for n, (lo, hi) in zip(full, pairs, strict=True)]
    for axis, n in enumerate(wanted):
        if n < 1:
            raise ValueError(f"{op}: the output's spatial axis {axis} must be >= 1, got {n}")
    shape, beyond = list(x_shape), [(0, 0)] * len(x_shape)
    shape[-1 if last else -rank - 1] = w_shape[1] * groups
    for i, axis in enumerate(axes):
        shape[axis] = wanted[i]
        meets = output_size(wanted[i], w_shape[2 + i], stride[i], pairs[i], dilation[i])
        beyond[axis] = (0, max(0, meets - sizes[i]))
    return tuple(shape), pairs, beyond
