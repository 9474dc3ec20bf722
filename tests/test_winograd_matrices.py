"""The transform matrices of Winograd's algorithm, checked in exact fractions."""

from fractions import Fraction
from itertools import pairwise

import pytest

from cyconv.algorithms.winograd_matrices import VARIANTS, cook_toom, points

from . import tolerances

# Lavin and Gray, arXiv 1509.09308, eq. 9.
LAVIN_AT = [[1, 1, 1, 0], [0, 1, -1, -1]]
LAVIN_G = [[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]  # twice
LAVIN_BT = [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]

SIZES = [(m, r) for m in range(1, 8) for r in range(1, 7)] + [(2, 10), (11, 3)]
by_size = pytest.mark.parametrize(("m", "r"), SIZES)


def times(matrix, vector):
    return [sum(a * v for a, v in zip(row, vector, strict=True)) for row in matrix]


def correlate(d, g):
    """``y[i] = sum over r of g[r] d[i + r]``, every window inside."""
    return [sum(a * b for a, b in zip(g, d[i:], strict=False)) for i in range(len(d) - len(g) + 1)]


def algorithm(matrices, d, g):
    """``AT ((G g) o (BT d))``."""
    at, gm, bt = matrices
    return times(at, [a * b for a, b in zip(times(gm, g), times(bt, d), strict=True)])


def unit(n, i):
    return [int(j == i) for j in range(n)]


def is_correlation(matrices, m, r):
    """Both sides are bilinear, so agreement on all pairs of unit vectors is agreement."""
    alpha = m + r - 1
    return all(
        algorithm(matrices, unit(alpha, i), unit(r, j)) == correlate(unit(alpha, i), unit(r, j))
        for i in range(alpha)
        for j in range(r)
    )


@by_size
def test_the_matrices_correlate_exactly(m, r):
    assert is_correlation(cook_toom(m, r, points(m + r - 2)), m, r)


@pytest.mark.parametrize(("m", "r"), sorted({f for pair in VARIANTS for f in pair}))
def test_each_variant_correlates_exactly_by_the_points_of_its_bound(m, r):
    assert {float(p) for p in points(m + r - 2)} == set(tolerances.POINTS[m, r])
    assert is_correlation(cook_toom(m, r), m, r)


@by_size
def test_shapes_and_types(m, r):
    alpha = m + r - 1
    for matrix, shape in zip(
        cook_toom(m, r, points(m + r - 2)), [(m, alpha), (alpha, r), (alpha, alpha)], strict=True
    ):
        assert (len(matrix), *{len(row) for row in matrix}) == shape
        assert all(isinstance(entry, int | Fraction) for row in matrix for entry in row)


@pytest.mark.parametrize(
    ("m", "finite"),
    [
        (2, (0, 1, -1)),
        (2, (0, Fraction(1, 2), 3)),
        (4, (0, 1, -1, 2, -2)),
        (4, (0, Fraction(7, 10), Fraction(-7, 10), Fraction(3, 2), Fraction(-3, 2))),
        (4, (0, -1, 1, Fraction(1, 2), -2)),
        (4, (5, 6, 7, 8, 9)),
        (6, (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2))),
    ],
)
def test_any_distinct_points_will_do(m, finite):
    assert is_correlation(cook_toom(m, 3, finite), m, 3)


def test_worked_f23():
    """``d = (1, 2, 3, 4)``, ``g = (1, 0, -1)``: ``1 - 3 = 2 - 4 = -2``."""
    assert algorithm(cook_toom(2, 3, (0, 1, -1)), [1, 2, 3, 4], [1, 0, -1]) == [-2, -2]


def test_f23_is_lavin_and_gray_up_to_scale():
    """Row k of G and of BT and column k of AT agree up to factors whose product is 1."""
    lavin = LAVIN_AT, [[Fraction(e, 2) for e in row] for row in LAVIN_G], LAVIN_BT
    assert is_correlation(lavin, 2, 3)
    ours = cook_toom(2, 3, (0, 1, -1))

    def rows(matrices):
        at, g, bt = matrices
        return zip(zip(*at, strict=True), g, bt, strict=True)

    for mine, theirs in zip(rows(ours), rows(lavin), strict=True):
        scale = 1
        for a, b in zip(mine, theirs, strict=True):
            (factor,) = {x / Fraction(y) for x, y in zip(a, b, strict=True) if x or y}
            scale *= factor
        assert scale == 1


def test_f23_needs_only_halves():
    """So that small integers stay exact in floating point."""
    for matrix in cook_toom(2, 3, points(3)):
        assert {abs(e) for row in matrix for e in row} <= {0, Fraction(1, 2), 1}


def test_points_are_distinct_and_begin_with_0_1_minus_1():
    assert set(points(3)) == {0, 1, -1}
    for n in range(20):
        assert len(points(n)) == len(set(points(n))) == n


def test_points_come_in_pairs_of_opposite_sign():
    for n in range(1, 20, 2):
        finite = points(n)
        assert sorted(finite) == sorted(-p for p in finite)
        assert all(a < b for a, b in pairwise(sorted(finite)))


@pytest.mark.parametrize("finite", [(0, 1), (0, 1, -1, 2), (0, 1, 1), (1, Fraction(2, 2), 0)])
def test_wrong_points(finite):
    with pytest.raises(ValueError, match=r"F\(2, 3\) needs 3 distinct points"):
        cook_toom(2, 3, finite)
