"""How far an answer may lie from the oracle's, each bound derived.

Every bound is componentwise, ``|y - oracle| <= bound`` cell by cell, and holds for every order in
which an algorithm may add, with or without fused multiply-add.

Symbols: ``u = eps / 2`` is the unit roundoff and ``gamma(n) = n u / (1 - n u)`` bounds the product
of n factors ``(1 + delta_i)``, ``|delta_i| <= u``, less 1 (Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed., lemma 3.1).
"""

from itertools import product

import numpy as np

from . import oracle
from .variants import WAYS, possible

# The finite interpolation points of each F(m, r) that Winograd's variants are pairs of.
FIVE = (0, 0.7, -0.7, 1.5, -1.5)
SEVEN = (0, 1, -1, 0.5, -0.5, 2, -2)
POINTS = {
    (1, 1): (),
    (2, 3): (0, 1, -1),
    (4, 3): FIVE,
    (6, 3): SEVEN,
    (4, 2): FIVE[:4],
    (3, 4): FIVE,
    (2, 5): FIVE,
    (4, 5): SEVEN,
    (2, 7): SEVEN,
}


def gamma(n, dtype):
    """``n u / (1 - n u)`` for `dtype`."""
    nu = n * float(np.finfo(dtype).eps) / 2
    assert nu < 1, f"a sum of {n} terms has no bound in {np.dtype(dtype)}"
    return nu / (1 - nu)


def terms(w):
    """Products in one output: channels of a group times taps."""
    return int(np.prod(w.shape[1:]))


def dot_product_bound(x, w, bias, dtype, **geometry):
    """The bound of plain sums in any order: ``gamma(n + 1) (|w| * |x| + |bias|)``.

    Each of the n products is rounded once and takes part in at most n - 1 additions; adding the
    bias is one more (Higham, eq. 3.5, for any order of summation).
    """
    n = terms(w) + 1
    return gamma(n, dtype) * oracle.conv(abs(x), abs(w), absolute(bias), **geometry)


def transforms(points, taps):
    """`(AT, G, BT)` of ``F(m, taps)`` from its finite points; infinity is added.

    The product of two polynomials of m and r coefficients is ``V^-1 ((V_m a) o (V_r b))`` with
    Vandermonde matrices at alpha = m + r - 1 points. Correlation is its transpose in a:
    ``y = V_m^T ((V_r g) o (V^-T d))``. The bound below takes absolute values and sums over k of
    ``AT[:, k] G[k] BT[k]``, so scaling the rows of one matrix against another's, the freedom that
    implementations have, leaves it as it is.
    """
    alpha = len(points) + 1

    def vandermonde(n):
        infinity = np.eye(n)[-1:]
        return np.vstack([np.power.outer(np.array(points, float), range(n)), infinity])

    bt = np.linalg.inv(vandermonde(alpha)).T
    return vandermonde(alpha - taps + 1).T, vandermonde(taps), np.where(abs(bt) < 1e-12, 0, bt)


def tile_growth(points, taps):
    """``growth[r, q]``: how much of ``|w[r]| |x[i + q - (m - 1)]|`` may enter the error of y[i].

    One tile computes ``y = AT ((G g) o (BT d))``. An error in any intermediate reaches y through
    absolute values, so y[e] (e = 0 .. m - 1) is off by at most gamma times
    ``sum over r, l of T[e, r, l] |g[r]| |d[l]|``, where
    ``T[e, r, l] = sum over k of |AT[e, k] G[k, r] BT[k, l]|`` and ``d[l] = x[i + l - e]``.
    Which e an output has depends on where its tile starts, so the largest over e is taken, and
    q - (m - 1) = l - e runs over ``-(m - 1) .. m + r - 2``.
    """
    t = np.einsum("ek,kr,kl->erl", *map(abs, transforms(points, taps)))
    m, _, alpha = t.shape
    growth = np.zeros((taps, m - 1 + alpha))
    for e in range(m):
        here = growth[:, m - 1 - e : m - 1 - e + alpha]
        np.maximum(here, t[e], out=here)
    return growth


def winograd_bound(x, w, bias, dtype, *, variant, **geometry):
    """The bound of Winograd: ``gamma(n) |x|`` convolved with the weights spread by `tile_growth`.

    The nested algorithm applies the 1-D ones along the last two axes, so the spread kernel is
    ``sum over r1, r2 of |w[r1, r2]| growth[r1, q1] growth[r2, q2]``: it reaches m - 1 taps further
    than the window to either side. A stride is decimated first: the bound is that of the sum over
    its phases, each of stride 1. n counts the roundings on the longest path: one a plane (a phase,
    a channel and a tap of the other axes) for products and their sum; for each tiled axis and
    matrix one an entry of a row, and one for the rounded coefficient; one for the bias (Barabasz et
    al., arXiv 1803.10986, theorem 2).
    """
    rank = w.ndim - 2
    stride, pairs, dilation, out = oracle.geometry(
        x.shape[-rank:], w.shape[2:], *(geometry[a] for a in ("stride", "padding", "dilation"))
    )
    tiled = dict(zip(range(rank)[-2:], variant[-rank:], strict=True))
    n, further, left = w.shape[1], [(0, 0)] * (x.ndim - rank), []
    for axis, s in enumerate(stride):
        m, r = tiled.get(axis, (1, 0))
        reach = (m - 1) * dilation[axis]
        further.append((reach, reach + r * dilation[axis]))  # a phase may be one tap short
        n *= min(s, w.shape[2 + axis]) if axis in tiled else w.shape[2 + axis]
        left.append(1 if axis in tiled else s)
    n += 1 + sum(
        int(np.count_nonzero(m, axis=1).max()) + 1
        for m_r in tiled.values()
        for m in transforms(POINTS[m_r], m_r[1])
    )
    mode = oracle.PAD_MODES[geometry.get("padding_mode", "zeros")]
    scale = abs(x).max(initial=0) or 1  # sums of many large numbers would overflow
    bordered = np.pad(abs(x) / scale, [(0, 0)] * (x.ndim - rank) + list(pairs), mode=mode)
    geometry = {**geometry, "padding": 0, "padding_mode": "zeros", "stride": tuple(left)}
    sizes = 0
    for phase in product(*(range(min(stride[a], w.shape[2 + a])) for a in tiled)):
        steps = dict(zip(tiled, phase, strict=True))
        cells = tuple(
            slice(steps[a], None, stride[a]) if a in tiled else slice(None) for a in range(rank)
        )
        spread = abs(w[(..., *cells)])
        for axis, (m, r) in tiled.items():
            growth = tile_growth(POINTS[m, r], r)[: spread.shape[2 + axis]]
            spread = np.moveaxis(np.moveaxis(spread, 2 + axis, -1) @ growth, -1, 2 + axis)
        part = oracle.conv(np.pad(bordered[(..., *cells)], further), spread, None, **geometry)
        sizes = sizes + part[(..., *(slice(size) for size in out))]
    if bias is not None:
        sizes = sizes + abs(bias).reshape(-1, *[1] * rank) / scale
    return gamma(n, dtype) * sizes * scale


def fft_bound(x, w, bias, dtype, **geometry):
    """The bound of a product of spectra: ``gamma(n) sum over c of |x[c]|_2 |w[k, c]|_1``.

    A transform of N points has the error ``gamma(7 log2 N)`` in the 2-norm (Higham, theorem 24.2:
    ``sqrt(2) 4 + 1 < 7`` roundings a level; a butterfly of radix p <= 11 has at most p + 4, less
    than ``7 log2 p``). With ``|F z|_2 = sqrt(N) |z|_2`` and ``|F^-1 z|_inf <= |z|_1 / N``, errors
    of the spectra reach one output as ``|x|_2 |w|_2``, the last transform's own as
    ``|F^-1 (F x o F w)|_2 <= |x|_2 |w|_1``. So n is that of three transforms, 4 for the complex
    product, C for the sum over channels and 1 for the bias; a tile is never longer than twice the
    image with its border, and |x|_2 over that bounds every tile.
    """
    rank = w.ndim - 2
    batched = x if x.ndim == w.ndim else x[None]
    _, pairs, _, out = oracle.geometry(
        x.shape[-rank:], w.shape[2:], *(geometry[a] for a in ("stride", "padding", "dilation"))
    )
    bordered = oracle.pad(batched, pairs, geometry.get("padding_mode", "zeros"))
    groups, c = geometry["groups"], w.shape[1]
    cells = tuple(range(2, w.ndim))
    scale = abs(x).max(initial=0) or 1  # the squares of large numbers would overflow
    size_x = np.sqrt(((bordered / scale) ** 2).sum(cells)).reshape(len(batched), groups, c)
    size_w = abs(w).sum(cells).reshape(groups, w.shape[0] // groups, c)
    points = 2**rank * max(2, int(np.prod(bordered.shape[2:])))
    n = int(3 * 7 * np.log2(points)) + 1 + 4 + c + 1
    sizes = np.einsum("ngc,gkc->ngk", size_x, size_w).reshape(len(batched), w.shape[0])
    sizes = gamma(n, dtype) * sizes * scale
    if bias is not None:
        sizes = sizes + gamma(1, dtype) * abs(bias)
    allowed = np.broadcast_to(sizes.reshape(*sizes.shape, *(1,) * rank), (*sizes.shape, *out))
    return allowed if x.ndim == w.ndim else allowed[0]


BOUNDS = {
    "direct": dot_product_bound,
    "im2col": dot_product_bound,
    "implicit_gemm": dot_product_bound,
    "batch_gemm": dot_product_bound,
    "fft": fft_bound,
}


def exact(way):
    """Whether only sums, and products with small powers of two, are taken.

    Then small integers come out exactly, and a cell has no effect beyond the outputs whose window
    holds it. Of Winograd only F(2,3) is so: the other matrices hold tenths, thirds and ninths.
    """
    return way != "fft" and way.variant in (None, ((2, 3), (2, 3)))


EXACT = tuple(way for way in WAYS if exact(way))


def absolute(bias):
    return None if bias is None else abs(bias)


def bound(algorithm, x, w, bias, dtype, **geometry):
    """Cell by cell, how far `algorithm` in `dtype` may lie from the float64 oracle.

    Three parts: the algorithm's own, the largest of its variants' if none is named; the oracle's, a
    plain dot product in float64; and what underflow may take, since products below the smallest
    normal number may be lost whole, once for each term.
    """
    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    bias = None if bias is None else np.asarray(bias, np.float64)
    geometry = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **geometry}
    if algorithm == "winograd":
        each = [
            winograd_bound(x, w, bias, dtype, variant=variant, **geometry)
            for variant in possible(w.shape[2:], oracle.per_axis(geometry["stride"], w.ndim - 2))
        ]
        own = np.max(each, axis=0)
    else:
        own = BOUNDS[algorithm](x, w, bias, dtype, **geometry)
    reference = dot_product_bound(x, w, bias, np.float64, **geometry)
    return own + reference + terms(w) * float(np.finfo(dtype).tiny)


def assert_close(y, expected, algorithm, x, w, bias=None, **geometry):
    """``|y - expected| <= bound`` everywhere, and the shape is the oracle's."""
    assert y.shape == expected.shape
    error = abs(y.astype(np.float64) - expected)
    allowed = bound(algorithm, x, w, bias, y.dtype, **geometry)
    wrong = ~(error <= allowed)
    if wrong.any():
        cell = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{algorithm}: {wrong.sum()} of {y.size} cells out of bound, the first at {cell}: "
            f"got {y[cell]!r}, expected {expected[cell]!r}, off by {error[cell]:.3g}, "
            f"allowed {allowed[cell]:.3g}"
        )


def relative_rms(y, expected):
    """RMS of the error over the RMS of the answer."""
    return float(np.sqrt(np.mean((y - expected) ** 2) / np.mean(expected**2)))


# A bound on every path is far above what happens. If the n roundings of a sum are independent and
# of random sign, with variance u^2 / 3 each, the error of the running sum s_1, s_2, ... has
# variance (u^2 / 3) sum s_k^2; for centred products s_k^2 grows as k, so its RMS over the RMS of
# the answer is u sqrt(n / 6). Four times that is allowed. Data of one sign have s_k^2 ~ k^2 and
# come out at u sqrt(n) / 3, below it too.
def expected_rms(n, dtype):
    """The relative RMS error that a running sum of n terms may show, ``4 u sqrt(n / 6)``."""
    return 4 * float(np.finfo(dtype).eps) / 2 * (n / 6) ** 0.5
