"""The geometry of a strided convolution's gradient with respect to its input, axis by axis."""

from dataclasses import dataclass


@dataclass
class Phase:
    """One axis of one phase of the stride: see GradInput."""

    first: int  # the phase's first cell of dx
    step: int  # from one of its cells to the next
    count: int  # of its cells
    taps: tuple  # (start, stop, step) of the taps that meet the phase
    dilation: int  # between the cells of y that neighbouring taps read
    keep: slice  # the cells of y that are read
    padding: tuple  # how many zeros are read before and after those cells

    @property
    def begin(self):
        """What of y the first cell's last tap reads; it may be in the zeros before y."""
        return self.keep.start - self.padding[0]

    @property
    def end(self):
        """Past what of y the last cell's first tap reads."""
        return self.keep.stop + self.padding[1]


def phases_of(problem, axis):
    """The phases of `axis` whose cells meet a tap."""
    s, d = problem.stride[axis], problem.dilation[axis]
    size, lo = problem.spatial[axis], problem.padding[axis][0]
    taps_of = {}
    for r in range(problem.kernel[axis]):
        taps_of.setdefault(r * d % s, []).append(r)
    phases = []
    for phase, taps in taps_of.items():
        first = (phase - lo) % s
        if first >= size:
            continue
        m, count = (first + lo) // s, -(-(size - first) // s)
        step = taps[1] - taps[0] if len(taps) > 1 else 1
        begin = m - (taps[-1] * d - phase) // s  # what of y the first cell's last tap reads
        end = m + count - (taps[0] * d - phase) // s  # past what the last cell's first tap reads
        keep = slice(max(0, begin), min(problem.output_spatial[axis], end))
        if keep.start < keep.stop:
            padding = (keep.start - begin, end - keep.stop)
            dilation = step * d // s if len(taps) > 1 else 1
            taps = (taps[0], taps[-1] + 1, step)
            phases.append(Phase(first, s, count, taps, dilation, keep, padding))
    return phases


def backwards(start, stop, step):
    """The slice that runs through range(start, stop, step) from its end."""
    values = range(start, stop, step)
    return slice(values[-1], start - 1 if start else None, -step)


def met(problem, axis, tap):
    """The cells of dx that one tap reaches along `axis`, and those of y that it reads for them."""
    s, offset = problem.stride[axis], tap * problem.dilation[axis] - problem.padding[axis][0]
    first = max(0, -(offset // s))  # the least p with p s + offset >= 0
    stop = min(problem.output_spatial[axis], -((offset - problem.spatial[axis]) // s))
    if first >= stop:
        return slice(0, 0), slice(0, 0)
    return slice(first * s + offset, (stop - 1) * s + offset + 1, s), slice(first, stop)
