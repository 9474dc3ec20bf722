"""A layer of a network with its weights packed: what takes a convolution's place in a model."""

import torch
from torch import nn

from cyconv.planning.plan import plan
from cyconv.problem import Problem
from cyconv.torch import functional
from cyconv.torch.arguments import both_sides
from cyconv.torch.operators import full, pairs
from cyconv.torch.tensors import as_array, as_tensor, lies_last, moved

PLANS = 8  # input sizes whose packed weights a layer keeps
FEW_CHANNELS = 8  # fewer than a vector has: where they lie last, the input is copied first


def put(model, name, module):
    """Give `model` the submodule `module` at the dotted path `name`."""
    above, _, last = name.rpartition(".")
    setattr(model.get_submodule(above), last, module)


class PackedConvolution(nn.Module):
    """A convolution or its transpose for inference: y = clamp(conv(x) + bias + add).

    Weights are packed when an input of a new size comes, and kept for the last eight sizes. The
    result's channels lie last where those of `x` do, unless these are few. Where
    packed weights cannot serve (a gradient is wanted, the model is being compiled, exported or
    mapped, an autocast is on), the differentiable operators compute the same.

    Parameters
    ----------
    layer : torch.nn.Conv1d to Conv3d or ConvTranspose1d to ConvTranspose3d
        Gives the geometry.
    weight, bias : Tensor, and Tensor or None
        Copied. They are buffers of these names, so that a state dict has them.
    clamp : (low, high) or None
    accuracy, threads
        As for :func:`cyconv.torch.optimize`.
    """

    def __init__(self, layer, weight, bias, clamp=None, accuracy="balanced", threads=None):
        super().__init__()
        self.register_buffer("weight", weight.detach().clone(memory_format=torch.contiguous_format))
        self.register_buffer("bias", None if bias is None else bias.detach().clone())
        self.rank, self.transposed = weight.dim() - 2, layer.transposed
        self.stride, self.dilation, self.groups = layer.stride, layer.dilation, layer.groups
        self.output_padding, self.padding_mode = layer.output_padding, layer.padding_mode
        self.padding = both_sides(
            "padding", layer.padding, weight.shape[2:], self.stride, self.dilation
        )
        self.clamp, self.accuracy, self.threads = clamp, accuracy, threads
        self._extra_now = tuple(self.output_padding)
        self._packs, self._of, self._versioned = {}, (None, None), ()

    def forward(self, x, output_size=None, add=None):
        """The layer's result; `output_size` is that of ``torch.nn.ConvTranspose2d``.

        `add` is what the model adds to it before the bounds.
        """
        extra = self._extra(x, output_size)
        if not (self._serves(x) and (add is None or self._plain(add))):
            return self._differentiable(x, extra, add)
        if self.transposed and any(e >= s for e, s in zip(extra, self.stride, strict=True)):
            return self._differentiable(x, extra, add)  # outputs that no element of x meets: rare
        last = x.dim() == self.rank + 2 and lies_last(x)
        if last and x.shape[1] < FEW_CHANNELS:
            x, last = x.contiguous(), False
        to, back = moved(last)
        packed = self._packed(x, last, extra, self.threads_now())
        if add is not None:
            residual = to(as_array(add)) if add.dim() == x.dim() else None
            if residual is None or residual.shape != packed.plan.problem.output_shape:
                return self._differentiable(x, extra, add)  # torch broadcasts it
            add = residual
        return as_tensor(back(packed(to(as_array(x)), add=add)))

    def threads_now(self):
        """The threads of a call: this layer's, else torch's at this moment."""
        return self.threads or torch.get_num_threads()

    @property
    def algorithm(self):
        """Name of the algorithm for the size that came last, or None before the first."""
        last = next(reversed(self._packs.values()), None)
        return last and last.plan.algorithm

    def _serves(self, x):
        """Whether packed weights can: `x` is plain memory, and nobody asks how y came about."""
        return not (
            torch.compiler.is_compiling()
            or torch.jit.is_tracing()
            or torch.is_autocast_enabled("cpu")
            or not self._plain(x)
            or not self._buffers["weight"].is_cpu
        )

    def _plain(self, x):
        """Whether `x` is plain memory of the weights' type, of which no gradient is wanted."""
        return not (
            torch._C._functorch.is_functorch_wrapped_tensor(x)
            or type(x) not in (torch.Tensor, nn.Parameter)
            or (x.requires_grad and torch.is_grad_enabled())
            or x.layout is not torch.strided
            or not x.is_cpu
            or x.dtype is not self._buffers["weight"].dtype
        )

    def _packed(self, x, last, extra, threads):
        """The packed weights for inputs like `x`; packed again if the weights were written to."""
        weight, bias = tensors = self._buffers["weight"], self._buffers["bias"]
        if weight is not self._of[0] or bias is not self._of[1]:
            self._packs, self._of = {}, tensors  # kept, so that no other has its address
            given = [t for t in tensors if t is not None]
            self._versioned = tuple(t for t in given if not t.is_inference())
        key = (
            x.shape,
            last,
            extra,
            threads,
            weight.data_ptr(),
            bias is not None and bias.data_ptr(),
            *[t._version for t in self._versioned],
        )
        found = self._packs.pop(key, None)
        if found is None:
            problem = self._problem(x, last, extra)
            found = plan(problem, threads=threads, accuracy=self.accuracy).pack(
                as_array(self.weight),
                None if self.bias is None else as_array(self.bias),
                self.clamp,
            )
        self._packs[key] = found  # the last
        while len(self._packs) > PLANS:
            self._packs.pop(next(iter(self._packs)), None)
        return found

    def _problem(self, x, last, extra):
        head, sizes = tuple(x.shape[: -self.rank - 1]), tuple(x.shape[-self.rank :])
        channels, direction = x.shape[-self.rank - 1], "forward"
        padding = pairs(self.padding)
        if self.transposed:
            channels, direction = self.weight.shape[1] * self.groups, "grad_input"
            sizes = tuple(n + e for n, e in zip(self._full(sizes), extra, strict=True))
        shape = (*head, *sizes, channels) if last else (*head, channels, *sizes)
        return Problem(
            shape,
            self.weight.shape,
            as_array(self.weight).dtype,
            self.stride,
            padding,
            self.dilation,
            self.groups,
            padding_mode=self.padding_mode,
            data_format="channels_last" if last else "channels_first",
            direction=direction,
            operation="conv_transpose" if self.transposed else "conv",
        )

    def _full(self, sizes):
        """Output sizes of the transpose, without output padding."""
        geometry = zip(
            sizes,
            self.weight.shape[2:],
            self.stride,
            pairs(self.padding),
            self.dilation,
            strict=True,
        )
        return [full(*axis) for axis in geometry]

    def _extra(self, x, output_size):
        if output_size is None:
            return self._extra_now
        wanted = output_size[-self.rank :]
        return tuple(n - m for n, m in zip(wanted, self._full(x.shape[-self.rank :]), strict=True))

    def _differentiable(self, x, extra, add):
        """As :meth:`forward`, by the operators."""
        if self.transposed:
            name, padding = f"conv_transpose{self.rank}d", list(self.padding[::2])
            rest = self.stride, padding, extra, self.groups, self.dilation
        else:
            name = f"conv{self.rank}d"
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            widths = [n for pair in reversed(pairs(self.padding)) for n in pair]
            x = nn.functional.pad(x, widths, mode) if any(widths) else x
            rest = self.stride, 0, self.dilation, self.groups
        y = getattr(functional, name)(x, self.weight, self.bias, *rest)
        y = y if add is None else y + add
        if self.clamp is None:
            return y
        low, high = self.clamp
        return y.clamp(low, None if high == float("inf") else high)

    def __getstate__(self):
        """Without what is packed again where it arrives."""
        return {**self.__dict__, "_packs": {}, "_of": (None, None), "_versioned": ()}

    def extra_repr(self):
        """What ``print`` shows."""
        kernel = " x ".join(map(str, self.weight.shape[2:]))
        parts = [f"{kernel}, stride={tuple(self.stride)}, groups={self.groups}"]
        parts += ["transposed"] if self.transposed else []
        parts += [f"clamp={self.clamp}"] if self.clamp else []
        return ", ".join([*parts, f"algorithm={self.algorithm}"])
