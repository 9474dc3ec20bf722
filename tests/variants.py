"""Every way to compute: each algorithm and, of one that has variants, each variant forced.

A `Way` is the algorithm's name, so it goes wherever the name goes. A test that has one among its
parameters runs with that variant; a loop over ways says ``with forced(way):``.
"""

from contextlib import contextmanager
from importlib import import_module
from math import nan

import pytest

import cyconv
from cyconv.algorithms import winograd
from cyconv.choose import BALANCED

cache = import_module("cyconv.plan").cache  # of the module: cyconv.plan is also a function

ERROR = dict(winograd.ERROR)  # as it is when no variant is forced


class Way(str):
    """The name of an algorithm, and the ``(m, r)`` of its variant or None."""

    def __new__(cls, name, variant=None):
        way = super().__new__(cls, name)
        way.variant = variant
        return way


def label(way):
    """``winograd_f43`` for F(4,3): what a test is called."""
    m, r = way.variant or (None, None)
    return str(way) if m is None else f"{way}_f{m}{r}"


def _ways(name):
    return [Way(name, v) for v in ERROR] if name == "winograd" else [Way(name)]


WAYS = tuple(way for name in cyconv.registry.names() for way in _ways(name))
by_way = pytest.mark.parametrize("algorithm", WAYS, ids=label)


def possible(algorithm):
    """The variants of Winograd that `algorithm`, a name or a Way, may use by default."""
    variant = getattr(algorithm, "variant", None)
    return [variant] if variant else [v for v, error in ERROR.items() if error <= BALANCED]


@contextmanager
def forced(way):
    """While it lasts, every plan for Winograd takes the variant of `way`.

    No other variant's error is within any bound, and its own is within every one but a float's.
    Plans made before are put aside, and those made meanwhile are forgotten.
    """
    variant = getattr(way, "variant", None)
    with pytest.MonkeyPatch.context() as patch:
        if variant is not None:
            for v in ERROR:
                patch.setitem(winograd.ERROR, v, 1.0 if v == variant else nan)
            patch.setattr(cache, "_plans", type(cache._plans)())
        yield way
