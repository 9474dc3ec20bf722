from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cyconv.planning.plan import Explanation as Explanation

__version__: str

_PerAxis: TypeAlias = int | Sequence[int]
_Padding: TypeAlias = int | Sequence[int | tuple[int, int]] | Literal["valid", "same", "same_lower"]
_PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular", "symmetric"]
_DataFormat: TypeAlias = Literal[
    "channels_first", "channels_last", "NCW", "NCHW", "NCDHW", "NWC", "NHWC", "NDHWC"
]
_Activation: TypeAlias = Literal["relu", "relu6"] | tuple[float, float] | None
_Accuracy: TypeAlias = Literal["strict", "balanced", "fast"] | float
_Direction: TypeAlias = Literal["forward", "grad_input", "grad_weight"]

def conv(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = ...,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    dilation: _PerAxis = ...,
    groups: int = ...,
    *,
    padding_mode: _PaddingMode = ...,
    data_format: _DataFormat = ...,
    flip: bool = ...,
    activation: _Activation = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    out: NDArray[Any] | None = ...,
    out_dtype: DTypeLike | None = ...,
    add: ArrayLike | None = ...,
) -> NDArray[Any]: ...
def conv1d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = ...,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    dilation: _PerAxis = ...,
    groups: int = ...,
    *,
    padding_mode: _PaddingMode = ...,
    data_format: _DataFormat = ...,
    flip: bool = ...,
    activation: _Activation = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    out: NDArray[Any] | None = ...,
    out_dtype: DTypeLike | None = ...,
    add: ArrayLike | None = ...,
) -> NDArray[Any]: ...
def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = ...,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    dilation: _PerAxis = ...,
    groups: int = ...,
    *,
    padding_mode: _PaddingMode = ...,
    data_format: _DataFormat = ...,
    flip: bool = ...,
    activation: _Activation = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    out: NDArray[Any] | None = ...,
    out_dtype: DTypeLike | None = ...,
    add: ArrayLike | None = ...,
) -> NDArray[Any]: ...
def conv3d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = ...,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    dilation: _PerAxis = ...,
    groups: int = ...,
    *,
    padding_mode: _PaddingMode = ...,
    data_format: _DataFormat = ...,
    flip: bool = ...,
    activation: _Activation = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    out: NDArray[Any] | None = ...,
    out_dtype: DTypeLike | None = ...,
    add: ArrayLike | None = ...,
) -> NDArray[Any]: ...
def conv_transpose(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = ...,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    output_padding: _PerAxis = ...,
    groups: int = ...,
    dilation: _PerAxis = ...,
    *,
    output_shape: _PerAxis | None = ...,
    padding_mode: _PaddingMode = ...,
    data_format: _DataFormat = ...,
    flip: bool = ...,
    activation: _Activation = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    out: NDArray[Any] | None = ...,
    out_dtype: DTypeLike | None = ...,
    add: ArrayLike | None = ...,
) -> NDArray[Any]: ...
def conv_transpose1d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = ...,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    output_padding: _PerAxis = ...,
    groups: int = ...,
    dilation: _PerAxis = ...,
    *,
    output_shape: _PerAxis | None = ...,
    padding_mode: _PaddingMode = ...,
    data_format: _DataFormat = ...,
    flip: bool = ...,
    activation: _Activation = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    out: NDArray[Any] | None = ...,
    out_dtype: DTypeLike | None = ...,
    add: ArrayLike | None = ...,
) -> NDArray[Any]: ...
def conv_transpose2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = ...,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    output_padding: _PerAxis = ...,
    groups: int = ...,
    dilation: _PerAxis = ...,
    *,
    output_shape: _PerAxis | None = ...,
    padding_mode: _PaddingMode = ...,
    data_format: _DataFormat = ...,
    flip: bool = ...,
    activation: _Activation = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    out: NDArray[Any] | None = ...,
    out_dtype: DTypeLike | None = ...,
    add: ArrayLike | None = ...,
) -> NDArray[Any]: ...
def conv_transpose3d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = ...,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    output_padding: _PerAxis = ...,
    groups: int = ...,
    dilation: _PerAxis = ...,
    *,
    output_shape: _PerAxis | None = ...,
    padding_mode: _PaddingMode = ...,
    data_format: _DataFormat = ...,
    flip: bool = ...,
    activation: _Activation = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    out: NDArray[Any] | None = ...,
    out_dtype: DTypeLike | None = ...,
    add: ArrayLike | None = ...,
) -> NDArray[Any]: ...
def conv_grad_input(
    input_shape: Sequence[int],
    w: ArrayLike,
    grad_output: ArrayLike,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    dilation: _PerAxis = ...,
    groups: int = ...,
    *,
    padding_mode: _PaddingMode = ...,
    data_format: _DataFormat = ...,
    flip: bool = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    out: NDArray[Any] | None = ...,
    out_dtype: DTypeLike | None = ...,
) -> NDArray[Any]: ...
def conv_grad_weight(
    x: ArrayLike,
    weight_shape: Sequence[int],
    grad_output: ArrayLike,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    dilation: _PerAxis = ...,
    groups: int = ...,
    *,
    padding_mode: _PaddingMode = ...,
    data_format: _DataFormat = ...,
    flip: bool = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    out: NDArray[Any] | None = ...,
    out_dtype: DTypeLike | None = ...,
) -> NDArray[Any]: ...
def conv_grad_bias(
    grad_output: ArrayLike, *, data_format: _DataFormat = ..., device: str = ...
) -> NDArray[Any]: ...

class _VjpOptions(TypedDict, total=False):
    padding_mode: _PaddingMode
    data_format: _DataFormat
    flip: bool
    algorithm: str
    device: str
    threads: int | None
    accuracy: _Accuracy
    workspace_limit: int | None

def conv_vjp(
    x: ArrayLike,
    w: ArrayLike,
    grad_output: ArrayLike,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    dilation: _PerAxis = ...,
    groups: int = ...,
    **options: Unpack[_VjpOptions],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
def conv_integer(
    x: ArrayLike,
    w: ArrayLike,
    x_zero_point: ArrayLike = ...,
    w_zero_point: ArrayLike = ...,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    dilation: _PerAxis = ...,
    groups: int = ...,
    *,
    data_format: _DataFormat = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    workspace_limit: int | None = ...,
    out: NDArray[np.int32] | None = ...,
) -> NDArray[np.int32]: ...
def qlinear_conv(
    x: ArrayLike,
    x_scale: ArrayLike,
    x_zero_point: ArrayLike,
    w: ArrayLike,
    w_scale: ArrayLike,
    w_zero_point: ArrayLike,
    y_scale: ArrayLike,
    y_zero_point: ArrayLike,
    bias: ArrayLike | None = ...,
    stride: _PerAxis = ...,
    padding: _Padding = ...,
    dilation: _PerAxis = ...,
    groups: int = ...,
    *,
    data_format: _DataFormat = ...,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    workspace_limit: int | None = ...,
    out_dtype: DTypeLike | None = ...,
) -> NDArray[Any]: ...
def unfold(
    x: ArrayLike,
    kernel_size: _PerAxis,
    dilation: _PerAxis = ...,
    padding: _Padding = ...,
    stride: _PerAxis = ...,
) -> NDArray[Any]: ...
def fold(
    columns: ArrayLike,
    output_size: _PerAxis,
    kernel_size: _PerAxis,
    dilation: _PerAxis = ...,
    padding: _Padding = ...,
    stride: _PerAxis = ...,
) -> NDArray[Any]: ...

class Problem:
    x_shape: tuple[int, ...]
    w_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    out_dtype: np.dtype[Any]
    padding_mode: str
    data_format: str
    flip: bool
    direction: str
    operation: str
    def __init__(
        self,
        x_shape: Sequence[int],
        w_shape: Sequence[int],
        dtype: DTypeLike = ...,
        stride: _PerAxis = ...,
        padding: _Padding = ...,
        dilation: _PerAxis = ...,
        groups: int = ...,
        *,
        out_dtype: DTypeLike | None = ...,
        padding_mode: _PaddingMode = ...,
        data_format: _DataFormat = ...,
        flip: bool = ...,
        direction: _Direction = ...,
        operation: str = ...,
    ) -> None: ...
    @property
    def rank(self) -> int: ...
    @property
    def batched(self) -> bool: ...
    @property
    def batch(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def channels_last(self) -> bool: ...
    @property
    def filters(self) -> int: ...
    @property
    def spatial(self) -> tuple[int, ...]: ...
    @property
    def kernel(self) -> tuple[int, ...]: ...
    @property
    def output_spatial(self) -> tuple[int, ...]: ...
    @property
    def y_shape(self) -> tuple[int, ...]: ...
    @property
    def output_shape(self) -> tuple[int, ...]: ...
    @property
    def sum_dtype(self) -> np.dtype[Any]: ...
    @property
    def flops(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def parameters(self) -> int: ...
    @property
    def parameters_with_bias(self) -> int: ...
    @property
    def receptive_field(self) -> tuple[int, ...]: ...

class PackedConv:
    plan: Plan
    def __call__(
        self,
        x: ArrayLike,
        out: NDArray[Any] | None = ...,
        threads: int | None = ...,
        add: ArrayLike | None = ...,
    ) -> NDArray[Any]: ...

class Plan:
    problem: Problem
    algorithm: str
    device: str
    threads: int
    accuracy: str | float
    workspace_limit: int
    effort: str
    @property
    def workspace_bytes(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    def measured_seconds(self, other: Plan | None = ...) -> float | None: ...
    def explain(self) -> Explanation: ...
    def pack(
        self, w: ArrayLike, bias: ArrayLike | None = ..., activation: _Activation = ...
    ) -> PackedConv: ...
    def __call__(
        self,
        x: ArrayLike,
        w: ArrayLike,
        bias: ArrayLike | None = ...,
        out: NDArray[Any] | None = ...,
        activation: _Activation = ...,
        threads: int | None = ...,
        add: ArrayLike | None = ...,
    ) -> NDArray[Any]: ...

def plan(
    problem: Problem,
    algorithm: str = ...,
    device: str = ...,
    threads: int | None = ...,
    accuracy: _Accuracy = ...,
    workspace_limit: int | None = ...,
    effort: Literal["estimate", "measure"] = ...,
) -> Plan: ...
def algorithms(problem: Problem) -> dict[str, str | None]: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
