"""ONNX's convolutions for its reference evaluator: ``new_ops=cyconv.onnx.operators``.

The classes have the operators' names, by which the evaluator finds them, and the parameters of
their ``_run`` are the operators' inputs and attributes.
"""

from onnx.reference.op_run import OpRun

from cyconv.api import conv, conv_transpose
from cyconv.onnx.attributes import geometry, pairs
from cyconv.onnx.sampling import deformed
from cyconv.quantized import conv_integer, qlinear_conv
from cyconv.unfolding import fold


class Conv(OpRun):
    """Cross-correlation."""

    def _run(self, X, W, B=None, **attributes):
        return (conv(X, W, B, *geometry("Conv", W.shape, **attributes)),)


class ConvTranspose(OpRun):
    """Transposed convolution."""

    def _run(self, X, W, B=None, output_padding=None, output_shape=None, **attributes):
        stride, padding, dilation, groups = geometry("ConvTranspose", W.shape, **attributes)
        extra = tuple(output_padding or (0,) * len(stride))
        shape = tuple(output_shape) if output_shape else None
        y = conv_transpose(X, W, B, stride, padding, extra, groups, dilation, output_shape=shape)
        return (y,)


class ConvInteger(OpRun):
    """Cross-correlation of integers less their zero points."""

    def _run(self, x, w, x_zero_point=None, w_zero_point=None, **attributes):
        zeros = (0 if zero is None else zero for zero in (x_zero_point, w_zero_point))
        return (conv_integer(x, w, *zeros, *geometry("ConvInteger", w.shape, **attributes)),)


class QLinearConv(OpRun):
    """Quantised convolution of quantised arrays."""

    def _run(
        self,
        x,
        x_scale,
        x_zero_point,
        w,
        w_scale,
        w_zero_point,
        y_scale,
        y_zero_point,
        B=None,
        **attributes,
    ):
        arguments = geometry("QLinearConv", w.shape, **attributes)
        y = qlinear_conv(
            x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, B, *arguments
        )
        return (y,)


class Col2Im(OpRun):
    """Columns added back to the image."""

    def _run(self, columns, image_shape, block_shape, dilations=None, pads=None, strides=None):
        size, kernel = (tuple(map(int, shape)) for shape in (image_shape, block_shape))
        ones = (1,) * len(size)
        padding = pairs("Col2Im", pads, len(size))
        return (fold(columns, size, kernel, dilations or ones, padding, strides or ones),)


class DeformConv(OpRun):
    """Cross-correlation whose taps lie where offsets say."""

    def _run(self, X, W, offset, B=None, mask=None, offset_group=1, **attributes):
        stride, padding, dilation, groups = geometry("DeformConv", W.shape, **attributes)
        samples = deformed(X, W.shape, offset, mask, stride, padding, dilation, offset_group or 1)
        # Each window lies apart in the samples: a convolution whose stride is its kernel.
        return (conv(samples, W, B, W.shape[2:], 0, 1, groups).astype(X.dtype, copy=False),)


operators = [Conv, ConvTranspose, ConvInteger, QLinearConv, Col2Im, DeformConv]
"""What to give to ``ReferenceEvaluator(model, new_ops=...)``."""
