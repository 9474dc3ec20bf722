r"""Winograd's transform matrices from their points, in exact fractions.

``F(m, r)`` computes m outputs of an r-tap correlation with ``alpha = m + r - 1`` multiplications
[1]_. It is the transpose of Toom-Cook polynomial multiplication: choose ``alpha - 1`` finite
points :math:`p_j` and the point at infinity; with :math:`M_j(x) = \prod_{l \ne j} (x - p_l)` and
:math:`f_j = M_j(p_j)`,

.. math:: y = A^T [(G g) \odot (B^T d)], \quad
   A^T_{ij} = p_j^i, \quad G_{jk} = p_j^k / f_j, \quad B^T_{jl} = [x^l] M_j(x),

and for infinity the last column of :math:`A^T` is :math:`e_{m-1}`, the last row of G is
:math:`e_{r-1}`, the last row of :math:`B^T` holds the coefficients of :math:`\prod_l (x - p_l)`.

The build turns these matrices into C (:func:`header`), so no coefficient is typed anywhere.

References
----------
.. [1] S. Winograd, *Arithmetic Complexity of Computations*, SIAM 1980; A. Lavin, S. Gray, "Fast
   Algorithms for Convolutional Neural Networks", CVPR 2016.
.. [2] B. Barabasz, A. Anderson, K. M. Soodhalter, D. Gregg, "Error Analysis and Improving the
   Accuracy of Winograd Convolution for Deep Neural Networks", ACM TOMS 46(4), 2020.
"""

from fractions import Fraction
from itertools import combinations
from math import prod

_NONE = (1, 1)  # F(1, 1): an axis that is left as it is
_LINES = ((4, 3), (6, 3), (4, 5), (2, 7))
_SQUARES = ((2, 3), (4, 3), (6, 3), (4, 2), (3, 4), (2, 5), (4, 5), (2, 7))

VARIANTS = (
    *((f, f) for f in _SQUARES),
    *((_NONE, f) for f in _LINES),
    *((f, _NONE) for f in _LINES),
)
"""The pairs of F(m, r), down the rows and across, that are compiled into the kernels, in the order
of ``kernels_t.winograd``."""

# Points in pairs +-p near 1 keep the powers p^i, and with them the rounding error, small [2]_.
_PAIRS = {
    1: (Fraction(1),),
    2: (Fraction(7, 10), Fraction(3, 2)),
    3: (Fraction(1), Fraction(1, 2), Fraction(2)),
}


def points(count):
    """The first `count` finite points: 0 and pairs of opposite numbers.

    Parameters
    ----------
    count : int
        ``m + r - 2`` for F(m, r).

    Returns
    -------
    tuple of Fraction
    """
    pairs = count // 2
    magnitudes = _PAIRS.get(pairs) or _PAIRS[3] + tuple(
        p for i in range(3, pairs) for p in (Fraction(i, i - 1) if i % 2 else Fraction(i - 1, i),)
    )
    return (Fraction(0), *(s * p for p in magnitudes for s in (1, -1)))[:count]


def _from_roots(roots):
    """Coefficients, lowest first, of prod(x - root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [
            s - root * c for s, c in zip(shifted, [*coefficients, Fraction(0)], strict=True)
        ]
    return coefficients


def cook_toom(m, r, finite_points=None):
    """The matrices of F(m, r).

    Parameters
    ----------
    m, r : int
        Outputs and taps; ``m, r >= 1``.
    finite_points : sequence of m + r - 2 distinct Fractions, optional
        Default :func:`points`.

    Returns
    -------
    AT, G, BT : lists of lists of Fraction
        Of shapes (m, alpha), (alpha, r), (alpha, alpha), with alpha = m + r - 1.

    Raises
    ------
    ValueError
        If the points are not m + r - 2 distinct numbers.
    """
    alpha = m + r - 1
    finite = [Fraction(p) for p in (points(alpha - 1) if finite_points is None else finite_points)]
    if len(finite) != alpha - 1 or any(a == b for a, b in combinations(finite, 2)):
        raise ValueError(f"cook_toom: F({m}, {r}) needs {alpha - 1} distinct points, got {finite}")
    AT = [[p**i for p in finite] + [Fraction(i == m - 1)] for i in range(m)]
    G, BT = [], []
    for j, p in enumerate(finite):
        others = finite[:j] + finite[j + 1 :]
        f = prod((p - q for q in others), start=Fraction(1))
        sign = -1 if f < 0 else 1  # of f, moved from G to B
        G.append([sign * p**k / f for k in range(r)])
        BT.append([sign * c for c in _from_roots(others)] + [Fraction(0)])
    G.append([Fraction(k == r - 1) for k in range(r)])
    BT.append(_from_roots(finite))
    return AT, G, BT


def _term(coefficient, operand):
    """``+ c * operand`` as C, without multiplications by one."""
    sign = "-" if coefficient < 0 else "+"
    size = abs(coefficient)
    factor = "" if size == 1 else f"(real)({size.numerator}.0 / {size.denominator}.0) * "
    return f" {sign} {factor}{operand}"


def _sum(terms):
    text = "".join(_term(c, x) for c, x in terms if c)
    if not text:
        return "(vec){0}"
    return text[3:] if text.startswith(" + ") else f"-{text[3:]}"


def _mirror(a, b):
    """Whether b[i] = (-1)^i a[i] or its negative; the sign, or 0."""
    for sign in (1, -1):
        if all(y == sign * (-1) ** i * x for i, (x, y) in enumerate(zip(a, b, strict=True))):
            return sign
    return 0


def _function(name, matrix):
    """C for out = matrix @ in on vectors, sharing sums between mirrored rows and columns."""
    rows, columns = len(matrix), len(matrix[0])
    lines = [f"INLINE void {name}(const vec *in, vec *out) {{"]
    terms = [[] for _ in range(rows)]
    done = set()
    by_column = [list(column) for column in zip(*matrix, strict=True)]
    for j in range(columns):  # opposite points: A^T [.. p, -p ..] x = sum and difference of two x
        if j in done:
            continue
        partner = next(
            (
                k
                for k in range(j + 1, columns)
                if rows > 1 and rows != columns and _mirror(by_column[j], by_column[k]) == 1
            ),
            None,
        )
        if partner is None:
            for i in range(rows):
                terms[i].append((matrix[i][j], f"in[{j}]"))
            continue
        done.add(partner)
        lines.append(f"    const vec sum{j} = in[{j}] + in[{partner}];")
        lines.append(f"    const vec difference{j} = in[{j}] - in[{partner}];")
        for i in range(rows):
            terms[i].append((matrix[i][j], f"{'difference' if i % 2 else 'sum'}{j}"))
    done = set()
    for i in range(rows):
        if i in done:
            continue
        partner = next(
            (
                k
                for k in range(i + 1, rows)
                if rows >= columns and any(matrix[i][::2]) and any(matrix[i][1::2])
                if _mirror(matrix[i], matrix[k])
            ),
            None,
        )
        if partner is None:
            lines.append(f"    out[{i}] = {_sum(terms[i])};")
            continue
        done.add(partner)
        sign = _mirror(matrix[i], matrix[partner])
        lines.append(f"    const vec even{i} = {_sum(terms[i][::2])};")
        lines.append(f"    const vec odd{i} = {_sum(terms[i][1::2])};")
        lines.append(f"    out[{i}] = even{i} + odd{i};")
        first, second = ("even", "odd") if sign > 0 else ("odd", "even")
        lines.append(f"    out[{partner}] = {first}{i} - {second}{i};")
    return "\n".join([*lines, "}"])


def header(variants=VARIANTS):
    """The C header of the transforms: one straight-line function for each matrix, and the list.

    ``WINOGRAD_VARIANTS(X)`` gives ``X(m, r, n, s)`` for each pair of F(m, r) and F(n, s), and
    ``WINOGRAD_AXES(X)`` gives ``X(m, r)`` for each F(m, r) once.
    """
    parts = ["/* Written by cyconv/algorithms/winograd_matrices.py from the points. */"]
    single = dict.fromkeys(f for pair in variants for f in pair)
    for m, r in single:
        for name, matrix in zip(("AT", "G", "BT"), cook_toom(m, r), strict=True):
            parts.append(_function(f"winograd_{name}_{m}_{r}", matrix))
    listed = " ".join(f"X({m}, {r}, {n}, {s})" for (m, r), (n, s) in variants)
    parts.append(f"#define WINOGRAD_VARIANTS(X) {listed}")
    axes = " ".join(f"X({m}, {r})" for m, r in single)
    parts.append(f"#define WINOGRAD_AXES(X) {axes}")
    return "\n\n".join(parts) + "\n"
