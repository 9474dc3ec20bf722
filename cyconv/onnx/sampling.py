"""Bilinear samples of an image at the taps of a deformable convolution."""

import numpy as np


def deformed(x, w_shape, offset, mask, stride, padding, dilation, offset_groups):
    r"""What each tap of each window reads, window by window.

    Tap r of window p reads x at the position q = p s + r d - lo + offset[r, p], between cells the
    weighted mean of the four around it, zeros outside, times mask[r, p].

    Parameters
    ----------
    x : array (N, C, H, W)
    w_shape : tuple (K, C / groups, R, S)
    offset : array (N, offset_groups * R * S * 2, P, Q)
        For each tap its row's, then its column's.
    mask : array (N, offset_groups * R * S, P, Q) or None
    stride, padding, dilation : per axis; padding in pairs
    offset_groups : int
        Groups of channels that share offsets.

    Returns
    -------
    array (N, C, P * R, Q * S)
    """
    images, channels, *sizes = x.shape
    taps, outputs = w_shape[2:], offset.shape[2:]
    if x.ndim != 4:
        raise ValueError(f"DeformConv: X must have 4 axes (N, C, H, W), got shape {x.shape}")
    each = (images, offset_groups, *taps)
    if channels % offset_groups or offset.size != 2 * np.prod(each) * np.prod(outputs):
        raise ValueError(
            f"DeformConv: offset must have shape (N, offset_group * R * S * 2, P, Q) with "
            f"offset_group a divisor of C, got shape {offset.shape} for X of shape {x.shape}"
        )
    offset = offset.reshape(*each, 2, *outputs)
    mask = 1 if mask is None else mask.reshape(*each, 1, *outputs)[:, :, :, :, 0]
    where = []
    for axis in (0, 1):
        p = np.arange(outputs[axis]) * stride[axis] - padding[axis][0]
        r = np.arange(taps[axis]) * dilation[axis]
        grid = r.reshape(-1, *(1,) * (3 - axis)) + p.reshape(-1, *(1,) * (1 - axis))
        where.append(grid + offset[:, :, :, :, axis])
    # (N, groups of offsets, channels of each, R, S, P, Q)
    parts = x.reshape(images, offset_groups, -1, *sizes)
    read = bilinear(parts, *where) * (mask[:, :, None] if isinstance(mask, np.ndarray) else mask)
    windows = read.transpose(0, 1, 2, 5, 3, 6, 4)
    return windows.reshape(images, channels, outputs[0] * taps[0], outputs[1] * taps[1]).astype(
        x.dtype, copy=False
    )


def bilinear(x, rows, columns):
    """`x` (N, G, C, H, W) at real positions (N, G, ...), zero outside: (N, G, C, ...)."""
    height, width = x.shape[-2:]
    result = 0
    top, left = np.floor(rows), np.floor(columns)
    n, g = np.ogrid[: x.shape[0], : x.shape[1]]
    n, g = (i.reshape(*i.shape, *(1,) * (rows.ndim - 2)) for i in (n, g))
    for down in (0, 1):
        for right in (0, 1):
            i, j = top + down, left + right
            weight = (1 - abs(rows - i)) * (1 - abs(columns - j))
            inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
            i, j = (np.where(inside, k, 0).astype(np.intp) for k in (i, j))
            found = np.moveaxis(x[n, g, :, i, j], -1, 2)
            result = result + found * (weight * inside)[:, :, None]
    return result
