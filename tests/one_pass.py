"""Phases of a stride solved in one call: what the tests of each such call share."""

import numpy as np

import cyconv

from . import oracle, tolerances
from .test_directions import channels_last, normal


class OnePass:
    """The gradients of inputs by one algorithm."""

    def __init__(self, algorithm):
        self.algorithm = algorithm

    def plan_of(self, case, dtype="float32", **options):
        problem = cyconv.Problem(case.x, case.w, dtype, **case.geometry, direction="grad_input")
        return cyconv.plan(problem, algorithm=self.algorithm, **options)

    def apart(self, case, dtype="float32", **options):
        """The same plan, that solves each phase on its own: not from the cache, nor put there."""
        plan = self.plan_of(case, dtype, **options)
        key = plan.problem, self.algorithm, plan.threads, "balanced", plan.workspace_limit
        alone = type(plan)(*key, plan._isa)
        alone._root.together = None
        return alone

    def check_bits(self, case, seed):
        """The bits of each phase on its own, with any epilogue, of arrays that lie in any way."""
        rng = np.random.default_rng(seed)
        dtype = str(rng.choice(["float32", "float64"]))
        x, w, g = normal(case, dtype)
        options = {"threads": int(rng.integers(1, 4))}
        if rng.random() < 0.5:
            options["bias"] = rng.standard_normal(x.shape[1]).astype(dtype)
        if rng.random() < 0.5:
            options["activation"] = (-0.5, 0.75)
        if rng.random() < 0.3:
            options["add"] = rng.standard_normal(x.shape).astype(dtype)
        plan = self.plan_of(case, dtype)
        y, expected = plan(g, w, **options), self.apart(case, dtype)(g, w, **options)
        np.testing.assert_array_equal(y, expected, strict=True)
        out = np.moveaxis(np.full_like(channels_last(x), np.nan), -1, 1)
        np.testing.assert_array_equal(plan(g, w, **options, out=out), expected)
        turned = channels_last(g).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(plan(turned, w, **options), expected)
        packed = plan.pack(w, options.get("bias"), options.get("activation"))
        np.testing.assert_array_equal(packed(g, add=options.get("add")), expected)

    def check_sums(self, case):
        """The oracle's sums."""
        x, w, g = normal(case, "float32")
        expected = oracle.grad_input(x.shape, w, g, **case.geometry)
        bound = oracle.grad_input(x.shape, abs(w), abs(g), **case.geometry)
        y = self.plan_of(case)(g, w)
        terms = w.shape[0] // case.groups * int(np.prod(w.shape[2:]))
        assert (abs(y - expected) <= tolerances.gamma(terms + 1, "float32") * bound).all()


def in_one_pass(plan):
    return "in one pass" in plan.explain().chain[-1]
