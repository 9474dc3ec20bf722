"""The cost model's constants as C numbers, for the estimates; :mod:`cyconv.planning.constants` has
what they mean.

They are copied from the record in use when one of its groups is changed.
"""

from cyconv.planning import cost
from cyconv.planning.constants import Group

cdef dict peaks = {}


cdef double peak(isa) except -1:
    """FLOP/s of one core in float32."""
    return peaks[isa]


def copy():
    """Take the numbers of the record in use."""
    global constants, peaks
    peaks = cost.arithmetic.peak
    groups = cost.arithmetic, cost.memory, cost.copies, cost.transforms, cost.calls
    constants = {name: number for group in groups for name, number in vars(group).items()}


copy()
Group.changed.append(copy)
