"""Which parametrised cases are run unless ``--full`` asks for all: each pair of values once.

Most faults need one value of a parameter, or two that meet [1]_: a kernel for one dtype, a border
under one algorithm. So of a test with many cases those are kept that bring together two values
that no case kept before had: every algorithm still meets every named problem, every dtype and
every instruction set, but not all of them at once.

References
----------
.. [1] D. R. Kuhn, D. R. Wallace, A. M. Gallo, "Software fault interactions and implications for
   software testing", IEEE Transactions on Software Engineering 30(6), 2004.
"""

from itertools import combinations
from zlib import crc32

FEW = 40
"""A test with at most so many cases keeps them all."""


def kept(cases):
    """The indices of the cases to run.

    Parameters
    ----------
    cases : list of tuple of str
        The names of each case's values, in the same order of the parameters.

    Returns
    -------
    set of int
        Of cases that have among them each pair of values that any case has. The order in which they
        are looked at is that of a checksum: the same in every process, and of no parameter.
    """
    if len(cases) <= FEW:
        return set(range(len(cases)))
    found, seen = set(), set()
    for i in sorted(range(len(cases)), key=lambda i: crc32("/".join(cases[i]).encode())):
        pairs = set(combinations(enumerate(cases[i]), 2)) or {(cases[i],)}
        if not pairs <= seen:
            found.add(i)
            seen |= pairs
    return found


def thin(metafunc):
    """Leave to a test the calls to run, before there is an item of each."""
    quick = [c for c in metafunc._calls if all(mark.name != "full" for mark in c.marks)]
    few = kept([tuple(c.id.split("-")) for c in quick])
    left_out = {c.id for i, c in enumerate(quick) if i not in few}
    metafunc._calls[:] = [c for c in metafunc._calls if c.id not in left_out]


def thinned(items):
    """The items to run, in the order of `items`."""
    tests = {}
    for i, item in enumerate(items):
        callspec = getattr(item, "callspec", None)
        values = tuple(callspec.id.split("-")) if callspec else ()
        tests.setdefault(item.nodeid.partition("[")[0], []).append((i, values))
    wanted = {cases[k][0] for cases in tests.values() for k in kept([v for _, v in cases])}
    return [items[i] for i in sorted(wanted)]
