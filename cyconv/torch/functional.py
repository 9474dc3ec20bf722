"""``torch.nn.functional``'s six convolutions: its names, arguments and defaults."""

from collections.abc import Sequence

from torch import Tensor

from cyconv.torch.arguments import forward, transposed

PerAxis = int | Sequence[int]


def conv1d(
    input: Tensor,  # noqa: A002  (torch's name)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: PerAxis | str = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation over one axis, as ``torch.nn.functional.conv1d``.

    Parameters
    ----------
    input : Tensor (N, C, L) or (C, L)
    weight : Tensor (K, C / groups, R)
    bias : Tensor (K,), optional
    stride, dilation : int or one per axis
    padding : int, one per axis, 'valid' or 'same'
    groups : int

    Returns
    -------
    Tensor (N, K, *outputs) or (K, *outputs)
        Channels lie last in memory where those of `input` do.
    """
    return forward("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,  # noqa: A002  (torch's name)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: PerAxis | str = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation over two axes, as ``torch.nn.functional.conv2d``.

    Parameters
    ----------
    input : Tensor (N, C, H, W) or (C, H, W)
    weight : Tensor (K, C / groups, R, S)
    bias : Tensor (K,), optional
    stride, dilation : int or one per axis
    padding : int, one per axis, 'valid' or 'same'
    groups : int

    Returns
    -------
    Tensor (N, K, *outputs) or (K, *outputs)
        Channels lie last in memory where those of `input` do.
    """
    return forward("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,  # noqa: A002  (torch's name)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: PerAxis | str = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation over three axes, as ``torch.nn.functional.conv3d``.

    Parameters
    ----------
    input : Tensor (N, C, D, H, W) or (C, D, H, W)
    weight : Tensor (K, C / groups, Q, R, S)
    bias : Tensor (K,), optional
    stride, dilation : int or one per axis
    padding : int, one per axis, 'valid' or 'same'
    groups : int

    Returns
    -------
    Tensor (N, K, *outputs) or (K, *outputs)
        Channels lie last in memory where those of `input` do.
    """
    return forward("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> Tensor:
    """Transposed convolution over one axis, as ``torch.nn.functional.conv_transpose1d``.

    Parameters
    ----------
    input : Tensor (N, K, L) or (K, L)
    weight : Tensor (K, C / groups, R)
    bias : Tensor (C,), optional
    stride, padding, output_padding, dilation : int or one per axis
    groups : int

    Returns
    -------
    Tensor (N, C, *outputs) or (C, *outputs)
        Outputs along an axis: (L - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1.
    """
    return transposed(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose2d(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> Tensor:
    """Transposed convolution over two axes, as ``torch.nn.functional.conv_transpose2d``.

    Parameters
    ----------
    input : Tensor (N, K, H, W) or (K, H, W)
    weight : Tensor (K, C / groups, R, S)
    bias : Tensor (C,), optional
    stride, padding, output_padding, dilation : int or one per axis
    groups : int

    Returns
    -------
    Tensor (N, C, *outputs) or (C, *outputs)
        Outputs along an axis: (L - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1.
    """
    return transposed(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose3d(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> Tensor:
    """Transposed convolution over three axes, as ``torch.nn.functional.conv_transpose3d``.

    Parameters
    ----------
    input : Tensor (N, K, D, H, W) or (K, D, H, W)
    weight : Tensor (K, C / groups, Q, R, S)
    bias : Tensor (C,), optional
    stride, padding, output_padding, dilation : int or one per axis
    groups : int

    Returns
    -------
    Tensor (N, C, *outputs) or (C, *outputs)
        Outputs along an axis: (L - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1.
    """
    return transposed(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )
