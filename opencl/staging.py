r"""Images laid out so that every tap of a convolution is a shift.

An axis of stride s and padding lo is cut into phases: cell m of phase f is x[m s + f - lo], zero
outside x. Tap r then reads phase f = r d mod s, shifted by r d div s. With the axes of one phase
flattened, output i of a plane is

.. math:: y[i] = \sum_t w[t] \, s[i + shift(t)]

for every i; the positions i that lie beyond an output row's end are computed and thrown away.
"""

from functools import cached_property
from itertools import product
from math import gcd, prod

import numpy as np

from cyconv.opencl.base import three, volume
from cyconv.opencl.device import long8

TAIL = 64  # elements, more than any tile reads beyond a plane


class Staged:
    """How the planes of one problem are laid out; `swapped`, with its taps for outputs.

    Attributes
    ----------
    sizes : list of int
        Of one phase (d, h, w).
    plane : int
        Elements of one plane: all phases and the tail, zeros for the last vector.
    positions : int
        From the first output to the last, with those between that are thrown away.
    """

    def __init__(self, problem, stride, dilation, least=1, swapped=False):
        outputs, taps = problem.output_spatial, problem.kernel
        self.outputs, self.taps = (
            three(sizes, 1) for sizes in ((taps, outputs) if swapped else (outputs, taps))
        )
        self.stride, self.dilation = three(stride, 1), three(dilation, 1)
        self.inputs = three(problem.spatial, 1)
        self.lo = three((lo for lo, _ in problem.padding), 0)
        axes = list(zip(self.taps, self.dilation, self.stride, strict=True))
        reach = [(n - 1) * d // s for n, d, s in axes]
        self.sizes = [size + more for size, more in zip(self.outputs, reach, strict=True)]
        depth, rows, columns = self.outputs
        below, across = self.sizes[1] * self.sizes[2], self.sizes[2]
        self.positions = (depth - 1) * below + (rows - 1) * across + columns
        self.phase = prod(self.sizes)
        # The last tap of the last output is the last cell of its phase: of `least` outputs, beyond.
        self.tail = max(0, least - max(0, self.positions))
        # r d mod s comes again after s / gcd(d, s) taps.
        phases = prod(min(n, s // gcd(d, s)) for n, d, s in axes)
        self.plane = self.phase * phases + self.tail

    @cached_property
    def phases(self):
        """Of each phase (d, h, w), where it begins in the image."""
        axes = zip(self.taps, self.dilation, self.stride, strict=True)
        return list(product(*(sorted({r * d % s for r in range(min(n, s))}) for n, d, s in axes)))

    @cached_property
    def table(self):
        """Of each phase (d, h, w), where its first cell lies in the image."""
        return np.subtract(self.phases, self.lo, dtype=np.int32).tobytes()

    @cached_property
    def shifts(self):
        """What each tap adds to an output's position, in the order of the weights."""
        _, rows, columns = self.sizes
        total, places = np.zeros((1, 1, 1), np.int64), np.zeros((1, 1, 1), np.int64)
        for axis, step in enumerate((rows * columns, columns, 1)):
            shape = [-1 if i == axis else 1 for i in range(3)]
            far = np.arange(self.taps[axis], dtype=np.int64) * self.dilation[axis]
            shift, phase = np.divmod(far, self.stride[axis])
            used = np.unique(phase)
            total = total + step * shift.reshape(shape)
            places = places * len(used) + np.searchsorted(used, phase).reshape(shape)
        return (places * self.phase + total).reshape(-1)

    def lies_so(self, x):
        """Whether the image itself is laid out so: one phase, no border, rows without gaps."""
        d, h, w = three(x.strides[2:], 0)
        _, rows, columns = self.inputs
        return (
            self.sizes == self.inputs
            and set(self.stride) == {1}
            and not any(self.lo)
            and (columns == 1 or w == 1)
            and (rows == 1 or h == columns)
            and (self.inputs[0] == 1 or d == rows * columns)
        )

    def fill(self, device, macros, x, buffer):
        """Enqueue the copy of all of x's planes into `buffer`, in x's order."""
        kernel = device.kernel("staging", "stage", **macros)
        n, c = x.shape[:2]
        depth, rows, columns = self.sizes
        run, across = (columns + self.tail, 1) if device.cpu else (1, device.group(64))
        device.launch(
            kernel,
            (
                -(-(columns + self.tail) // (run * across)) * across,
                depth * rows * len(self.phases),
                n * c,
            ),
            (across, 1, 1),
            x.buffer,
            buffer,
            device.constant(self.table),
            volume(x),
            long8([*self.inputs, max(1, c)]),
            long8([*self.sizes, self.plane, self.tail]),
            long8(self.stride),
            np.int64(run),
        )
