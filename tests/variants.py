"""Every way to compute: each algorithm and, of one that has variants, some of them forced.

A `Way` is the algorithm's name, so it goes wherever the name goes. A test that has one among its
parameters runs with that variant; a loop over ways says ``with forced(way):``. The variants of
Winograd for 3 x 3 kernels are ways of their own; of those for all other kernels the one with the
smallest tiles is a way, and the one with the largest.
"""

from contextlib import contextmanager
from importlib import import_module

import pytest

import cyconv
from cyconv.algorithms import winograd
from cyconv.planning.cost import BALANCED

cache = import_module("cyconv.planning.plan").cache  # of the module: cyconv.plan is also a function

ERROR = dict(winograd.ERROR)  # as it is when no variant is forced
SQUARES = tuple(pair for pair in ERROR if pair[0] == pair[1] and pair[0][1] == 3)
_fitting = winograd._fitting


class Way(str):
    """The name of an algorithm, and its variant: a pair of (m, r), 'small', 'large' or None."""

    def __new__(cls, name, variant=None):
        way = super().__new__(cls, name)
        way.variant = variant
        return way

    def fitting(self, down, across):
        """The variant for so many taps of each axis in a list, or nothing."""
        found = _fitting(down, across)
        if self.variant in SQUARES:
            return [pair for pair in found if pair == self.variant]
        others = [pair for pair in found if pair not in SQUARES]
        return others[:1] if self.variant == "small" else others[-1:]


def label(way):
    """``winograd_f43`` for F(4 x 4, 3 x 3): what a test is called."""
    if way.variant in SQUARES:
        m, r = way.variant[0]
        return f"{way}_f{m}{r}"
    return f"{way}_{way.variant}" if way.variant else str(way)


def _ways(name):
    if name != "winograd":
        return [Way(name)]
    return [Way(name, variant) for variant in (*SQUARES, "small", "large")]


WAYS = tuple(way for name in cyconv.planning.registry.names() for way in _ways(name))
by_every_way = pytest.mark.parametrize("algorithm", WAYS, ids=label)
IMAGE_WAYS = tuple(way for way in WAYS if way.variant not in ("small", "large"))
by_way = pytest.mark.parametrize("algorithm", IMAGE_WAYS, ids=label)  # that can do 3 x 3


def reason(problem, way):
    """Why `way` cannot solve `problem`, or None."""
    with forced(way):
        return cyconv.algorithms(problem)[way]


def possible(kernel, stride):
    """The variants of Winograd that may be used by default, on the last two axes."""
    taps = [-(-k // s) for k, s in zip(kernel, stride, strict=True)]
    found = winograd._fitting(*(1, *taps)[-2:])
    return [v for v in found if winograd.ERROR[v] <= BALANCED] or found[:1]


def without_plans(patch):
    """Until `patch` is undone, plans made before are put aside; those made meanwhile go then."""
    patch.setattr(cache, "_plans", type(cache._plans)())


@contextmanager
def forced(way):
    """While it lasts, every plan for Winograd takes the variant of `way`, within any accuracy.

    Plans made before are put aside, and those made meanwhile are forgotten.
    """
    with pytest.MonkeyPatch.context() as patch:
        if getattr(way, "variant", None) is not None:
            patch.setattr(winograd, "_fitting", way.fitting)
            for v in ERROR:
                patch.setitem(winograd.ERROR, v, 1.0)
            without_plans(patch)
        yield way
