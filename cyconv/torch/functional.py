"""``torch.nn.functional``'s six convolutions: its names, arguments and defaults."""

from collections.abc import Sequence

from torch import Tensor

from cyconv.problem.documentation import for_rank
from cyconv.torch.arguments import forward, transposed

PerAxis = int | Sequence[int]


def _forward(name, rank):
    """The cross-correlation `name`; all ranks share one signature and one body."""

    def convolution(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: PerAxis = 1,
        padding: PerAxis | str = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
    ) -> Tensor:
        return forward(name, rank, input, weight, bias, stride, padding, dilation, groups)

    return _named(convolution, name, rank, _FORWARD)


def _transposed(name, rank):
    """The transposed convolution `name`."""

    def convolution(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: PerAxis = 1,
        padding: PerAxis = 0,
        output_padding: PerAxis = 0,
        groups: int = 1,
        dilation: PerAxis = 1,
    ) -> Tensor:
        rest = stride, padding, output_padding, groups, dilation
        return transposed(name, rank, input, weight, bias, *rest)

    return _named(convolution, name, rank, _TRANSPOSED)


def _named(function, name, rank, text):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = for_rank(text, rank).replace("@name", name).replace("@rank", str(rank))
    return function


_FORWARD = """Cross-correlation over @axes, as ``torch.nn.functional.@name``.

    Parameters
    ----------
    input : Tensor (N, C, @sizes) or (C, @sizes)
    weight : Tensor (K, C / groups, @kernel)
    bias : Tensor (K,), optional
    stride, dilation : int or one per axis
    padding : int, one per axis, 'valid' or 'same'
    groups : int

    Returns
    -------
    Tensor (N, K, @outputs) or (K, @outputs)
        Channels lie last in memory where those of `input` do.

    Examples
    --------
    >>> input, weight = torch.ones(1, 2, *[5] * @rank), torch.ones(4, 2, *[3] * @rank)
    >>> y = cyconv.torch.@name(input, weight.requires_grad_(), padding="same")
    >>> y.shape == (1, 4, *[5] * @rank)
    True
    >>> y.sum().backward()
    >>> weight.grad.shape == weight.shape
    True
    """

_TRANSPOSED = """Transposed convolution over @axes, as ``torch.nn.functional.@name``.

    Parameters
    ----------
    input : Tensor (N, K, @sizes) or (K, @sizes)
    weight : Tensor (K, C / groups, @kernel)
    bias : Tensor (C,), optional
    stride, padding, output_padding, dilation : int or one per axis
    groups : int

    Returns
    -------
    Tensor (N, C, @outputs) or (C, @outputs)
        Outputs along an axis: (L - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1.

    Examples
    --------
    >>> input, weight = torch.ones(1, 4, *[5] * @rank), torch.ones(4, 2, *[2] * @rank)
    >>> cyconv.torch.@name(input, weight, stride=2).shape == (1, 2, *[10] * @rank)
    True
    """

conv1d = _forward("conv1d", 1)
conv2d = _forward("conv2d", 2)
conv3d = _forward("conv3d", 3)
conv_transpose1d = _transposed("conv_transpose1d", 1)
conv_transpose2d = _transposed("conv_transpose2d", 2)
conv_transpose3d = _transposed("conv_transpose3d", 3)
