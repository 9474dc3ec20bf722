"""Rules that leave dtypes that kernels have: sums in a wider type, complex numbers by real ones."""

import numpy as np

from cyconv.lowering.rule import Rule
from cyconv.runtime.halves import cast, is_half

KERNEL_DTYPES = tuple(
    np.dtype(name) for name in ("float32", "float64", "int32", "int64", "uint32", "uint64")
)
NARROW = frozenset(map(np.dtype, ("int8", "uint8", "int16")))


def is_narrow(problem):
    """Whether its integers, of 8 or 16 bits, may stay as they are stored: sums are in int32."""
    return (
        problem.direction == "forward" and problem.dtype in NARROW and problem.out_dtype == "int32"
    )


class Cast(Rule):
    """storage dtype -> the dtype of the sums; one rounding at the end."""

    def __init__(self, problem):
        self.dtype = problem.sum_dtype
        super().__init__(problem, problem.rewritten(dtype=self.dtype, out_dtype=self.dtype))

    @staticmethod
    def applies(problem):
        return not problem.dtype == problem.sum_dtype == problem.out_dtype

    def second(self, b):
        return (_cast(b, self.dtype),)

    def run(self, a, out, solve):
        sums = out if out.dtype == self.dtype else np.empty_like(out, self.dtype)
        solve(0, _cast(a, self.dtype), sums)
        if sums is not out:
            out[...] = _cast(sums, out.dtype)

    def __str__(self):
        return f"{self.problem.dtype} -> sums in {self.dtype}, rounded once"


def _cast(array, dtype):
    """`array` as `dtype`, where it lies."""
    return cast(array, dtype) if type(array) is np.ndarray else array.astype(dtype, copy=False)


class Stored(Cast):
    """storage dtype of 16 bits -> the dtype of the sums, where kernels copy x and write y."""

    stored = True

    @staticmethod
    def applies(problem):
        dtypes = problem.dtype, problem.out_dtype
        return (
            problem.direction == "forward"
            and any(map(is_half, dtypes))
            and problem.sum_dtype == np.float32
            and all(is_half(dtype) or dtype == np.float32 for dtype in dtypes)
        )


class Complex(Rule):
    """complex -> three real convolutions (Gauss).

    (a + ib)(c + id) = (t1 - t3) + i (t1 + t2) with t1 = c (a + b), t2 = a (d - c), t3 = b (c + d).
    Those sums may overflow, or spread a non-finite part, where the four products of the definition
    do not: they are taken where a result is not finite.
    """

    epilogue = False
    spares = 1

    def __init__(self, problem):
        real = np.dtype(f"f{problem.dtype.itemsize // 2}")
        super().__init__(problem, *[problem.rewritten(dtype=real, out_dtype=real)] * 4)

    @staticmethod
    def applies(problem):
        return problem.dtype.kind == "c"

    def second(self, b):
        with np.errstate(over="ignore", invalid="ignore"):
            return b.real, b.imag - b.real, b.real + b.imag, b.imag

    def run(self, a, out, solve):
        t1, t2, t3 = (np.empty(out.shape, self.children[0].dtype) for _ in range(3))
        with np.errstate(over="ignore", invalid="ignore"):
            solve(0, a.real + a.imag, t1)
            solve(1, a.real, t2)
            solve(2, a.imag, t3)
            np.subtract(t1, t3, out=out.real)
            np.add(t1, t2, out=out.imag)
        wrong = ~np.isfinite(out)
        if wrong.any():
            self.four_products(a, out, wrong, solve)

    def four_products(self, a, out, cells, solve):
        """Fill these cells of `out` by the definition: (ac - bd) + i (ad + bc)."""
        ac, bd, ad, bc = (np.empty_like(out, self.children[0].dtype) for _ in range(4))
        solve(0, a.real, ac)
        solve(-1, a.imag, bd)
        solve(-1, a.real, ad)
        solve(0, a.imag, bc)
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(ac, bd, out=out.real, where=cells)
            np.add(ad, bc, out=out.imag, where=cells)


class ComplexStrict(Complex):
    """complex -> four real convolutions, none of a sum."""

    spares = 0

    def __init__(self, problem):
        super().__init__(problem)
        self.children = self.children[:2]

    def second(self, b):
        return b.real, b.imag

    def run(self, a, out, solve):
        self.four_products(a, out, True, solve)
