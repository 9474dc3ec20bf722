"""The phases of a stride, solved in one call: what :mod:`phases` and :mod:`interleaved` share."""

from cyconv.algorithms.base cimport ceil_div


cdef class Together:
    """The children of a rule that interleaves their results, solved in one call.

    Parameters
    ----------
    phases : sequence of tuple of Phase
        Of the two axes, for each child.
    algorithms : sequence of Algorithm
        Of the children.

    Attributes
    ----------
    workspace_per_thread : int
        Bytes of scratch.
    one : Algorithm
        The first: it has the sizes that all have.
    order : tuple of int
        The children, row by row of the stride.
    """

    all_or_nothing = True

    def __init__(self, phases, algorithms):
        starts = [tuple(axis.first for axis in pair) for pair in phases]
        self.order = tuple(sorted(range(len(starts)), key=starts.__getitem__))
        self.one = algorithms[0]

    cdef tuple ordered(self, things):
        """What belongs to the children, row by row of the stride."""
        return tuple([things[i] for i in self.order])

    cdef keep(self, needed):
        """A thread's bytes of scratch, or a MemoryError if they are over the limit."""
        self.one.check_workspace(needed + 64)
        self.workspace_per_thread = ceil_div(needed, 64) * 64  # a cache line

    def workspace(self, int threads):
        """Bytes of scratch that a call on `threads` threads takes, all together."""
        return self.threads_for(threads) * self.workspace_per_thread

    cdef int threads_for(self, int threads):
        """As many of `threads` as the workspace limit lets run."""
        return max(1, min(threads, self.one.workspace_limit // self.workspace_per_thread))
