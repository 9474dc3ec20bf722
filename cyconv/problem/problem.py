"""The problem: what is to be computed, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from math import prod

import numpy as np

from cyconv import notebook
from cyconv.problem.geometry import (
    LIMIT,
    are_sizes,
    as_shape,
    between_zeros,
    extent,
    output_size,
    pad_pairs,
    per_axis,
)
from cyconv.problem.names import (
    DATA_FORMATS,
    PADDING_MODES,
    ROLES,
    argument_name,
    checked_dtype,
    shape_name,
    sum_dtype,
)
from cyconv.problem.plain import settle
from cyconv.problem.sizes import derive
from cyconv.runtime.arguments import as_int

MAX_RANK = 8  # six outer axes beside the plane's two, as in kernels/geometry.h


class derived(cached_property):
    """A value that follows from the fields, kept once asked for.

    Without the lock that ``functools.cached_property`` takes before Python 3.12: two threads may
    both compute it, to the same value.
    """

    def __get__(self, problem, owner=None):
        if problem is None:
            return self
        value = problem.__dict__[self.attrname] = self.func(problem)
        return value


@dataclass(frozen=True)
class Problem:
    """A convolution: shapes, dtype, geometry and direction, validated.

    Parameters
    ----------
    x_shape : tuple of int
        ``(N, C, *spatial)``, or unbatched ``(C, *spatial)``; with channels last ``(N, *spatial,
        C)`` or ``(*spatial, C)``. For every direction this is the shape of the forward input.
    w_shape : tuple of int
        ``(K, C / groups, *kernel)``; its rank gives the number of spatial axes.
    dtype : dtype, default float32
        Of x and w.
    stride, dilation : int or one int per axis, default 1
    padding : int, one int per axis, (lo, hi) pairs, 'valid', 'same' or 'same_lower', default 0
    groups : int, default 1
    out_dtype : dtype, optional
        Of the result; default `dtype`. Sums are kept in the wider of the two and rounded once.
    padding_mode : {'zeros', 'reflect', 'replicate', 'circular', 'symmetric'}
        What lies outside the input.
    data_format : {'channels_first', 'channels_last'}
        Or the letters, such as 'NHWC'.
    flip : bool
        True convolution: the kernel is rotated by 180 degrees.
    direction : {'forward', 'grad_input', 'grad_weight'}
        What is computed: the output, or the gradient with respect to x or w given the output's.
    operation : str
        The name that error messages begin with.

    Raises
    ------
    TypeError
        For an argument of the wrong type, or a dtype that is not a number's.
    ValueError
        For an argument that breaks a rule; the message names it, its axis, value and the rule.

    Examples
    --------
    >>> problem = Problem((1, 3, 224, 224), (64, 3, 3, 3), padding=1)
    >>> problem.output_shape, problem.parameters
    ((1, 64, 224, 224), 1728)
    """

    x_shape: tuple
    w_shape: tuple
    dtype: np.dtype = "float32"
    stride: tuple = 1
    padding: tuple = 0
    dilation: tuple = 1
    groups: int = 1
    out_dtype: np.dtype | None = field(default=None, kw_only=True)
    padding_mode: str = field(default="zeros", kw_only=True)
    data_format: str = field(default="channels_first", kw_only=True)
    flip: bool = field(default=False, kw_only=True)
    direction: str = field(default="forward", kw_only=True)
    operation: str = field(default="Problem", kw_only=True, compare=False, repr=False)

    def __post_init__(self):
        op, values = self.operation, self.__dict__  # frozen for others
        if settle(values):
            return
        values["x_shape"] = self._as_shape("x", self.x_shape)
        values["w_shape"] = self._as_shape("w", self.w_shape)
        values["dtype"] = checked_dtype(op, "dtype", self.dtype)
        values["out_dtype"] = self._checked_out_dtype()
        letters = self._check_choices()
        self._check_ranks(letters)
        rank = self.rank
        values["stride"] = per_axis(op, "stride", self.stride, rank, 1)
        values["dilation"] = per_axis(op, "dilation", self.dilation, rank, 1)
        values["groups"] = as_int(op, "groups", self.groups, 1)
        self._check_channels()
        for axis, k in enumerate(self.kernel):
            if k < 1:
                name = shape_name(op, "w")
                raise ValueError(
                    f"{op}: {name}[{axis + 2}], the kernel's size, must be >= 1, got 0"
                )
        values["padding"] = pad_pairs(
            op, self.padding, self.spatial, self.kernel, self.stride, self.dilation
        )
        self._check_extents()
        derive(values)

    def _as_shape(self, role, shape):
        if are_sizes(shape):
            return shape
        return as_shape(self.operation, shape_name(self.operation, role), shape)

    def _checked_out_dtype(self):
        if self.out_dtype is None:
            return sum_dtype(self.dtype) if self.dtype.kind in "iu" else self.dtype
        op, sums = self.operation, sum_dtype(self.dtype)
        out = checked_dtype(op, "out_dtype", self.out_dtype)
        # NumPy lets anything become a dtype of another package's, as bfloat16 is.
        if not np.can_cast(sums, out, "same_kind") or (sums.kind == "c" != out.kind):
            raise TypeError(f"{op}: out_dtype must hold sums in {sums}, got {out}")
        return out

    def _check_choices(self):
        """Refuse unknown words; the data format as it was given."""
        for name, choices in (
            ("padding_mode", PADDING_MODES),
            ("data_format", DATA_FORMATS),
            ("direction", ROLES),
        ):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in choices:
                raise ValueError(
                    f"{self.operation}: {name} must be one of "
                    f"{', '.join(map(repr, choices))}, got {value!r}"
                )
        if not isinstance(self.flip, (bool, np.bool_)):
            raise TypeError(f"{self.operation}: flip must be a bool, got {self.flip!r}")
        letters, values = self.data_format, self.__dict__
        values["flip"] = bool(self.flip)
        values["data_format"] = "channels_last" if DATA_FORMATS[letters] else "channels_first"
        return letters

    def _check_ranks(self, letters):
        op, rank = self.operation, len(self.w_shape) - 2
        x, w = argument_name(op, "x"), argument_name(op, "w")
        if not 1 <= rank <= MAX_RANK:
            raise ValueError(
                f"{op}: {w} must be (K, C/groups, *kernel) with 1 to {MAX_RANK} kernel axes, "
                f"got shape {self.w_shape}"
            )
        if len(self.x_shape) not in (rank + 1, rank + 2):
            if w == "weight_shape":
                axes = len(self.x_shape)
                raise ValueError(
                    f"{op}: {w} must have {axes} axes, or {axes + 1} for an unbatched x, for x of "
                    f"shape {self.x_shape}, got {self.w_shape}"
                )
            raise ValueError(
                f"{op}: {x} must have {rank + 2} axes, or {rank + 1} unbatched, for w of shape "
                f"{self.w_shape}, got shape {self.x_shape}"
            )
        if not letters.startswith("channels") and len(letters) != rank + 2:
            raise ValueError(
                f"{op}: data_format {letters!r} has {len(letters) - 2} spatial axes, {w} has {rank}"
            )

    def _check_channels(self):
        op, (filters, depth), groups = self.operation, self.w_shape[:2], self.groups
        x, w = argument_name(op, "x"), argument_name(op, "w")
        if self.channels % groups:
            raise ValueError(
                f"{op}: groups must divide the {self.channels} channels of {x}, got {groups}"
            )
        if filters % groups:
            raise ValueError(f"{op}: groups must divide the {filters} filters of {w}, got {groups}")
        if depth != self.channels // groups:
            if x == "input_shape":
                raise ValueError(
                    f"{op}: {x} must have {depth} * {groups} = {depth * groups} channels, groups "
                    f"times w.shape[1], got {self.channels}"
                )
            raise ValueError(
                f"{op}: {shape_name(op, 'w')}[1] must be C/groups = {self.channels}/{groups} = "
                f"{self.channels // groups}, got {depth}"
            )

    def _check_extents(self):
        op, x = self.operation, argument_name(self.operation, "x")
        for role, shape in (("x", self.x_shape), ("w", self.w_shape)):
            self._check_bytes(argument_name(op, role), shape)
        spans, axes = self.receptive_field, range(self.rank)
        for axis, span, size, (lo, hi) in zip(axes, spans, self.spatial, self.padding, strict=True):
            if size + lo + hi >= LIMIT:
                raise ValueError(
                    f"{op}: padding[{axis}] must keep the padded input under 2**62, got {(lo, hi)}"
                )
            if span > size + lo + hi:
                raise ValueError(
                    f"{op}: the kernel's extent dilation * (size - 1) + 1 = {span} must be "
                    f"<= the padded input's {size + lo + hi} on spatial axis {axis}"
                )
            if self.padding_mode != "zeros" and size == 0 and lo + hi:
                raise ValueError(
                    f"{op}: padding[{axis}] must be 0 for padding_mode={self.padding_mode!r} on an "
                    f"empty axis, got {(lo, hi)}"
                )
        self._check_bytes("output" if x != "output" else "x", self.y_shape)

    def _check_bytes(self, name, shape):
        if (
            prod(shape if all(shape) else filter(None, shape)) * max(8, self.dtype.itemsize)
            >= 2**63
        ):
            name = name if name.endswith("_shape") else f"{name} of shape"
            raise ValueError(f"{self.operation}: {name} {shape} has more than 2**63 bytes")

    @classmethod
    def of(cls, **fields):
        """What the constructor makes of all `fields`, without the time that a frozen one takes."""
        made = object.__new__(cls)
        made.__dict__.update(fields)
        made.__post_init__()
        return made

    def rewritten(self, **fields):
        """The problem with other `fields`, in their final form, which are known to be right.

        What :func:`dataclasses.replace` makes, without asking again: for problems that follow from
        one that was checked.
        """
        made = object.__new__(type(self))
        values = made.__dict__
        for name in FIELDS:
            values[name] = self.__dict__[name]
        values.update(fields)
        derive(values)
        return made

    def __hash__(self):
        return hash((self.x_shape, self.w_shape, self.stride, self.padding, self.direction))

    def named(self, operation):
        """The problem whose error messages begin with the name `operation`."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, operation=operation)
        return made

    def __reduce__(self):
        """Made anew, and checked, where it arrives: a dtype that is sent is another object."""
        asked = {name: getattr(self, name) for name in FIELDS}
        types = {name: asked[name].type for name in ("dtype", "out_dtype")}
        return _made, (asked | types,)

    @derived
    def rank(self):
        """Number of spatial axes."""
        return len(self.w_shape) - 2

    @derived
    def batched(self):
        """Whether x has a batch axis."""
        return len(self.x_shape) == self.rank + 2

    @derived
    def batch(self):
        """N; 1 for an unbatched input."""
        return self.x_shape[0] if self.batched else 1

    @derived
    def channels(self):
        """C, the input channels of all groups."""
        return self.x_shape[-1] if self.channels_last else self.x_shape[-self.rank - 1]

    @derived
    def channels_last(self):
        """Whether the channel axis is the last one."""
        return self.data_format == "channels_last"

    @derived
    def filters(self):
        """K, the output channels of all groups."""
        return self.w_shape[0]

    @derived
    def spatial(self):
        """Sizes of the input's spatial axes."""
        if self.channels_last:
            return self.x_shape[-self.rank - 1 : -1]
        return self.x_shape[-self.rank :]

    @derived
    def kernel(self):
        """Sizes of the kernel's axes."""
        return self.w_shape[2:]

    @derived
    def output_spatial(self):
        """Sizes of the forward output's spatial axes."""
        axes = self.spatial, self.kernel, self.stride, self.padding, self.dilation
        return tuple(map(output_size, *axes))

    @derived
    def y_shape(self):
        """Shape of the forward output, whatever the direction."""
        head = self.x_shape[:1] if self.batched else ()
        if self.channels_last:
            return (*head, *self.output_spatial, self.filters)
        return (*head, self.filters, *self.output_spatial)

    def shape_of(self, role):
        """Shape of the array in this role: 'x', 'w' or 'y'."""
        return self.y_shape if role == "y" else self.x_shape if role == "x" else self.w_shape

    @derived
    def operand_shapes(self):
        """Shapes of the two arrays that are given, in the order of ROLES."""
        return tuple(map(self.shape_of, ROLES[self.direction][:2]))

    @derived
    def output_shape(self):
        """Shape of what this problem computes: y, or a gradient the shape of x or w."""
        return self.shape_of(ROLES[self.direction][2])

    @derived
    def sum_dtype(self):
        """In which dtype products are summed: wide enough for `dtype` and for `out_dtype`.

        An integer result of 32 or 64 bits from operands like it needs no wider sum: it is the same
        modulo 2^32 or 2^64.
        """
        sums = sum_dtype(self.dtype)
        if sums == self.out_dtype:
            return sums
        if self.dtype == self.out_dtype and self.dtype.kind in "iu" and self.dtype.itemsize >= 4:
            return self.dtype
        return np.promote_types(sums, self.out_dtype) if sums.kind == self.out_dtype.kind else sums

    @derived
    def flops(self):
        """Floating-point operations of the direct algorithm, the same for every direction.

        A multiply and an add for every output, channel and tap.
        """
        outputs = self.batch * self.filters * prod(self.output_spatial)
        return 2 * outputs * prod(self.w_shape[1:])

    @derived
    def bytes(self):
        """Bytes of x, w and y, each touched once."""
        return self.dtype.itemsize * (prod(self.x_shape) + prod(self.w_shape) + prod(self.y_shape))

    @property
    def parameters(self):
        """Learnable weights K * C/groups * prod(kernel), without biases."""
        return prod(self.w_shape)

    @property
    def parameters_with_bias(self):
        """Learnable weights and one bias for each filter."""
        return self.parameters + self.filters

    @derived
    def receptive_field(self):
        """Input elements that one output spans along each axis: dilation * (kernel - 1) + 1."""
        return tuple(map(extent, self.kernel, self.dilation))

    @property
    def title(self):
        """Direction, shapes and dtype in one line."""
        return (
            f"{self.direction} {self.x_shape} * {self.w_shape} -> {self.output_shape}, {self.dtype}"
        )

    def _repr_html_(self):
        asked = {each.name: getattr(self, each.name) for each in fields(self) if each.repr}
        derived = ("output_shape", "parameters", "flops", "bytes", "receptive_field")
        return notebook.card(
            self.title,
            notebook.fields({name: getattr(self, name) for name in derived}),
            notebook.details("arguments", notebook.fields(asked)),
        )


FIELDS = tuple(each.name for each in fields(Problem))


def _made(asked):
    return Problem(**asked)


def slab(problem, axis, outputs, taps):
    """Some outputs of one spatial axis by some taps, of a forward problem between zeros.

    Parameters
    ----------
    problem : Problem
    axis : int
    outputs, taps : (first, last)
        Not empty; the last is left out.

    Returns
    -------
    part : Problem
        Theirs; the zeros that they see are its padding.
    cells : slice
        What they see of x along the axis.
    """
    step, dilation = problem.stride[axis], problem.dilation[axis]
    begin = outputs[0] * step + taps[0] * dilation - problem.padding[axis][0]
    end = begin + (outputs[1] - 1 - outputs[0]) * step + extent(taps[1] - taps[0], dilation)
    cells, zeros = between_zeros(begin, end, problem.spatial[axis])
    x_shape, w_shape, padding = map(list, (problem.x_shape, problem.w_shape, problem.padding))
    x_shape[axis - problem.rank] = cells[1] - cells[0]
    w_shape[axis - problem.rank] = taps[1] - taps[0]
    padding[axis] = zeros
    part = problem.rewritten(x_shape=tuple(x_shape), w_shape=tuple(w_shape), padding=tuple(padding))
    return part, slice(*cells)
