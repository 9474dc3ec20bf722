"""A node's attributes as arguments of cyconv's functions.

ONNX has pads as all beginnings, then all ends, and other paddings by the name auto_pad.
"""

AUTO_PAD = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}


def geometry(
    operation,
    w_shape,
    auto_pad="NOTSET",
    dilations=None,
    group=1,
    kernel_shape=None,
    pads=None,
    strides=None,
):
    """`(stride, padding, dilation, groups)` of a convolution with these weights."""
    rank = len(w_shape) - 2
    if kernel_shape and tuple(kernel_shape) != tuple(w_shape[2:]):
        raise ValueError(
            f"{operation}: kernel_shape must be {tuple(w_shape[2:])}, as that of W, "
            f"got {tuple(kernel_shape)}"
        )
    auto_pad = auto_pad or "NOTSET"
    if auto_pad != "NOTSET" and auto_pad not in AUTO_PAD:
        raise ValueError(
            f"{operation}: auto_pad must be NOTSET or one of {', '.join(AUTO_PAD)}, got {auto_pad}"
        )
    padding = AUTO_PAD.get(auto_pad) or pairs(operation, pads, rank)
    ones = (1,) * rank
    return tuple(strides or ones), padding, tuple(dilations or ones), group or 1


def pairs(operation, pads, rank):
    """All beginnings and then all ends, as pairs."""
    pads = tuple(pads or (0,) * 2 * rank)
    if len(pads) != 2 * rank:
        raise ValueError(f"{operation}: pads must have {2 * rank} integers, got {pads}")
    return tuple(zip(pads[:rank], pads[rank:], strict=True))
