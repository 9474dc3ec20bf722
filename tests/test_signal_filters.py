"""cyconv.signal's filters along one axis against scipy.signal's: same answer, same refusal."""

import numpy as np
import pytest

from cyconv import signal
from cyconv.signal import phases
from cyconv.signal.extension import MODES, extended_lines

from .cases import seeds
from .test_ndimage import outcome
from .test_signal import operand

scipy_version = pytest.importorskip("scipy", minversion="1.17")
from scipy import signal as peer

DTYPES = ("bool", "u1", "i2", "i8", "f2", "f4", "f8", "c8", "c16", ">f4", "g", "G")
FUNCTIONS = ("upfirdn", "resample_poly", "lfilter", "savgol_filter")
BACKGROUNDS = ("mean", "median", "minimum", "maximum")


def line(rng, name, n, k):
    """The arguments of one random call, x and its axis apart."""
    rates = [int(rate) for rate in rng.integers(1, 13, 2)]
    cval = [0, 0, 1.5, 2j][rng.integers(4)]
    if name == "upfirdn":
        h = operand(rng, k, rng.choice(DTYPES))
        return (h,), rates, {"mode": str(rng.choice(MODES)), "cval": cval}
    if name == "resample_poly":
        keywords = {"padtype": str(rng.choice([*MODES, *BACKGROUNDS]))}
        if keywords["padtype"] == "constant":
            keywords["cval"] = cval
        if rng.random() < 0.5:
            keywords["window"] = operand(rng, k, rng.choice(DTYPES))
        return (), rates, keywords
    if name == "lfilter":
        b = operand(rng, k, rng.choice(DTYPES))
        return (b, operand(rng, rng.choice([1, 1, 1, 3]), rng.choice(DTYPES))), (), {}
    order = int(rng.integers(0, min(k, 4) + 1))
    keywords = {"deriv": int(rng.integers(4)), "delta": [1.0, 0.5, 2][rng.integers(3)]}
    keywords["mode"] = str(
        rng.choice(["interp", "interp", "mirror", "nearest", "wrap", "constant"])
    )
    return (), (k, order), keywords | {"cval": cval}


def call(rng, name):
    """The arguments and keywords of one random call."""
    ndim = int(rng.integers(1, 4))
    shape = rng.integers(1, 12, ndim)
    axis = int(rng.integers(ndim))
    n, k = int(rng.integers(2, 60)), int(rng.integers(1, 50 if name != "savgol_filter" else 12))
    shape[axis] = n
    before, after, keywords = line(rng, name, n, k)
    x = operand(rng, shape, rng.choice(DTYPES))
    keywords["axis"] = axis - ndim * int(rng.integers(2))
    if name == "lfilter" and rng.random() < 0.5:
        zi = np.where(rng.random(ndim) < 0.3, 1, shape)
        zi[axis] = max(len(operand_) for operand_ in before) - 1 if rng.random() < 0.95 else 1
        keywords["zi"] = operand(rng, zi, rng.choice(DTYPES))
    return (*before, x, *after), keywords


def assert_close(ours, theirs, scale, context):
    """Within rounding of sums of magnitude `scale`, or equal where nothing is summed."""
    if isinstance(ours, (type, tuple)) or isinstance(theirs, (type, tuple)):
        assert isinstance(ours, tuple) == isinstance(theirs, tuple), context
        if not isinstance(ours, tuple):
            assert ours is theirs, context
            return
        for one, other in zip(ours, theirs, strict=True):
            assert_close(one, other, scale, context)
        return
    assert ours.dtype == theirs.dtype, context
    assert ours.shape == theirs.shape, context
    if theirs.dtype.kind not in "fc":
        np.testing.assert_array_equal(ours, theirs, context)
        return
    eps = np.finfo(theirs.dtype).eps
    ours, theirs = (y.astype(np.result_type(y, np.float64)) for y in (ours, theirs))
    bound = {"rtol": 16 * float(eps), "atol": 16 * float(eps) * scale}
    np.testing.assert_allclose(ours, theirs, **bound, err_msg=context)


def largest(array):
    return float(np.abs(np.asarray(array).astype(complex)).max(initial=1))


def magnitude(name, args, keywords):
    """A bound of the sums of absolute values in one call."""
    if name == "savgol_filter":
        # SciPy fits the ends by monomials: for order 4 in 12 cells of condition below 1e3.
        return 1e3 * largest(args[0])
    x = args[0] if name == "resample_poly" else args[-1] if name == "lfilter" else args[1]
    taps = args[0] if name in ("upfirdn", "lfilter") else keywords.get("window", np.ones(1))
    # Straight lines and turned cells grow by a period in each of the 60 cells outside at most.
    mode = keywords.get("mode", keywords.get("padtype"))
    grown = 1 if mode in (None, "constant", "wrap", "edge", *BACKGROUNDS) else 120
    gain = 3 * args[1] if name == "resample_poly" else 1
    least = np.abs(np.asarray(args[1]).astype(complex)).flat[0] if name == "lfilter" else 1
    zi = largest(keywords["zi"]) if "zi" in keywords else 0
    return gain * len(taps) * largest(taps) * grown * (largest(x) + 2.5) / (least or 1) + zi


@seeds(3)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_random_calls_answer_as_scipy(name, seed):
    for i in range(150):
        rng = np.random.default_rng([seed, i, FUNCTIONS.index(name)])
        args, keywords = call(rng, name)
        ours = outcome(getattr(signal, name), *args, **keywords)
        theirs = outcome(getattr(peer, name), *args, **keywords)
        shown = " ".join(f"{a.dtype}{a.shape}" if np.ndim(a) else str(a) for a in args)
        context = f"seed {seed}, call {i}: {shown} {keywords}"
        assert_close(ours, theirs, magnitude(name, args, keywords), context)


@pytest.mark.parametrize("columns", [1, 3, 20])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
@pytest.mark.parametrize(
    ("up", "down", "taps"),
    [(1, 1, 1500), (2, 1, 40), (1, 7, 500), (6, 4, 61), (160, 147, 3201), (31, 40, 9), (40, 31, 9)],
)
def test_long_signals(up, down, taps, dtype, columns):
    rng = np.random.default_rng(7)
    x, h = rng.normal(size=(4_000, columns)).astype(dtype), rng.normal(size=taps).astype(dtype)
    ours, theirs = (m.upfirdn(h, x, up, down, axis=0) for m in (signal, peer))
    scale = largest(x) * largest(h) * taps
    assert_close(ours, theirs, scale, "")


@pytest.mark.parametrize("width", [0, 1, 2, 5, 7])
@pytest.mark.parametrize(("up", "down"), [(7, 5), (5, 7), (12, 8), (7, 30)])
def test_any_number_of_phases_may_share_a_convolution(up, down, width, monkeypatch):
    rng = np.random.default_rng(8)
    x, h = rng.integers(-9, 9, 50) * 1.0, rng.integers(-9, 9, 33) * 1.0
    monkeypatch.setattr(phases, "block", lambda *_: width)
    np.testing.assert_array_equal(signal.upfirdn(h, x, up, down), peer.upfirdn(h, x, up, down))


@pytest.mark.parametrize("mode", MODES)
def test_what_lies_outside_a_line(mode):
    """A filter of a single tap, moved: cells of several periods on either side."""
    rng = np.random.default_rng(9)
    for n in (2, 3, 7):
        x = rng.normal(size=n)
        around = extended_lines(x[None, :, None], 30, 30, mode, 2.5)[0, :, 0]
        moved = [
            peer.upfirdn(np.eye(1, 31, tap)[0], x, mode=mode, cval=2.5)[: n + 30] for tap in (30, 0)
        ]
        np.testing.assert_allclose(around[: n + 30], moved[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(around[30:], moved[1], rtol=0, atol=1e-12)


def test_one_cell_goes_on_as_it_is():
    for mode in set(MODES) - {"constant"}:
        sign = np.array([-1.0, 1, -1]) if mode == "antisymmetric" else 1
        np.testing.assert_array_equal(
            extended_lines(np.full((1, 1, 1), 3.0), 1, 1, mode)[0, :, 0], np.full(3, 3.0) * sign
        )


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_non_finite_cell_stays_in_its_windows(value):
    """Its windows are those of a cell of 1 under a filter of ones."""
    x, one = np.zeros(100), np.zeros(100)
    x[40], one[40] = value, 1
    for up, down, taps in [(1, 1, 9), (3, 2, 10), (7, 5, 40), (5, 7, 3), (1, 4, 9)]:
        reached = peer.upfirdn(np.ones(taps), one, up, down) != 0
        result = signal.upfirdn(np.ones(taps), x, up, down)
        np.testing.assert_array_equal(~np.isfinite(result), reached)


def test_an_infinite_tap_is_not_multiplied_with_what_lies_outside():
    h, x = np.array([np.inf, 1.0, 2.0]), np.arange(1.0, 9)
    for m, name, args in [
        (peer, "upfirdn", (h, x, 3, 2)),
        (peer, "lfilter", (h, 1.0, x)),
        (peer, "lfilter", ([1.0, 2.0], 0.0, x)),
    ]:
        ours, theirs = (outcome(getattr(n, name), *args) for n in (signal, m))
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (m.resample_poly(x, 2, 3, window=h) for m in (signal, peer))
    np.testing.assert_array_equal(ours, theirs)


def test_pieces_of_a_signal_follow_each_other():
    rng = np.random.default_rng(10)
    b, x = rng.normal(size=20), rng.normal(size=(2, 300))
    state, parts = np.zeros((2, 19)), []
    for piece in np.split(x, [3, 50, 51, 200], axis=1):
        y, state = signal.lfilter(b, 2.0, piece, zi=state)
        parts.append(y)
    np.testing.assert_allclose(np.hstack(parts), signal.lfilter(b, 2.0, x), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("window", "order"), [(7, 2), (8, 5), (31, 4), (9, 8)])
def test_a_polynomial_is_its_own_fit_at_the_ends(window, order, dtype):
    t = np.linspace(-1, 1, 60)
    p = np.polynomial.Polynomial(np.arange(1.0, order + 2))
    ends = np.r_[: window // 2, -(window // 2) : 0]
    for deriv in range(3):
        y = signal.savgol_filter(p(t).astype(dtype), window, order, deriv, t[1] - t[0])
        # A derivative multiplies errors by the inverse of the step, 30, and by up to the square of
        # the order over the window's half, 16 for order 8 in 9 cells.
        atol = 300 * np.finfo(dtype).eps * 30**deriv * np.abs(p(t)).max()
        np.testing.assert_allclose(y[ends], p.deriv(deriv)(t)[ends], rtol=0, atol=atol)


def test_taps_are_scipys():
    for args in [(5, 2), (6, 3, 1, 0.5), (7, 2, 0, 1.0, 1, "dot"), (5, 2, 3)]:
        np.testing.assert_array_equal(signal.savgol_coeffs(*args), peer.savgol_coeffs(*args))


def test_what_is_remembered_is_not_changed_by_its_users():
    x = np.arange(9.0)
    signal.savgol_coeffs(5, 2)[:] = 0
    first = signal.savgol_filter(x, 5, 2)
    signal.resample_poly(x, 3, 2)[:] = 0
    np.testing.assert_array_equal(signal.savgol_filter(x, 5, 2), first)
    np.testing.assert_allclose(signal.resample_poly(x, 3, 2), peer.resample_poly(x, 3, 2))


X, ROW, NO_CELLS = np.arange(20.0), np.ones((3, 4)), np.zeros((3, 0))
H = [1.0, 2, 3]
ODD = (0, -1, 1.5, 2.0, "2", "a", None, np.array(2), True)
AXES = (1, -2, 0.0, "a", None, True, np.int8(0))
REFUSALS = [
    *(("upfirdn", args, {}) for args in ((H, []), (H, [], 5), (H, NO_CELLS), (H, NO_CELLS.T),
      (H, 3.0), (3.0, X), ([], X), ([[1]], X), (H, np.array([1, 2], "O")))),
    *(("upfirdn", (H, X), {name: value}) for name in ("up", "down") for value in ODD),
    *((name, args, {"axis": axis}) for axis in AXES
      for name, args in (("upfirdn", (H, X)), ("resample_poly", (X, 2, 3)), ("lfilter", (H, 1, X)),
                         ("savgol_filter", (X, 5, 2)), ("lfilter", (H, 1, X, -1)[:3]))),
    *(("lfilter", (H, 1, X), {"axis": axis, "zi": [1.0, 2.0]}) for axis in AXES),
    *(("savgol_filter", (X, 5, 2), {"axis": axis, "mode": "nearest"}) for axis in AXES),
    *(("upfirdn", (H, X), {"mode": mode})
      for mode in ("WRAP", "bad", "zero", 1, None, "constant", "edge")),
    *(("upfirdn", (H, x), {"cval": cval}) for x in (X, X * 1j)
      for cval in (5, 1j, None, "5", [1], np.array([2.0]), np.float32(2))),
    *(("resample_poly", (X, up, 3), {}) for up in ODD),
    *(("resample_poly", (X, 2, 3), {"window": window})
      for window in ([], np.array(2.0), [[1, 2]], [1.0, 2, 3, 4], "hann", 5.0, "bad", None,
                     ("general_cosine", [0.5, 0.3, 0.2]), np.ones(3, bool))),
    *(("resample_poly", (X, 2, 3), keywords)
      for keywords in ({"cval": 2.0}, {"cval": 2.0, "padtype": "wrap"}, {"padtype": "bad"},
                       {"cval": 0, "padtype": "mean"}, {"padtype": "MEAN"}, {"padtype": None},
                       {"padtype": []}, {"cval": 1j}, {"cval": "a"})),
    *(("resample_poly", (x, up, down), {"axis": -1, "padtype": padtype})
      for x in ([], NO_CELLS, 2.0, np.array([1, 2], "g"), np.array([True, False]))
      for up, down in ((2, 3), (2, 2)) for padtype in ("constant", "mean", "minimum")),
    *(("savgol_filter", (X, window, order), {"mode": mode}) for mode in ("interp", "nearest")
      for window, order in ((4, 0), (1, 0), (0, 0), (-1, 0), (5.0, 0), ("5", 0), (None, 0), (20, 0),
                            (21, 0), (np.int64(5), 0), (5, 4), (5, 5), (5, -1), (5, None))),
    *(("savgol_filter", (X, 5, 2), keywords)
      for keywords in ({"deriv": -1}, {"deriv": 3}, {"deriv": None}, {"delta": 0}, {"delta": 0.0},
                       {"deriv": 1, "delta": -1}, {"delta": None}, {"delta": "a"}, {"cval": 1j},
                       {"deriv": 1, "delta": np.float32(0.1)}, {"mode": "reflect"}, {"mode": None},
                       {"mode": []}, {"mode": "constant", "cval": 1j},
                       {"mode": "constant", "cval": "a"}, {"mode": "constant", "cval": 2})),
    *(("savgol_filter", (x, 3, 0), {"mode": mode}) for mode in ("interp", "wrap")
      for x in (1.0, [], NO_CELLS)),
    *(("lfilter", args, {}) for args in ((1, 1, X), ([], 1, X), ([[1, 2]], 1, X), (None, 1, X),
      ("a", 1, X), (H, [], X), (H, [[1]], X), (H, None, X), (H, "a", X), (H, 1, 2.0), (H, 1, []),
      (H, 1, NO_CELLS), (H, 1, NO_CELLS.T), (H, [1, 2], X), (H, [1, 0], X), (H, 2, X.astype("O")),
      ([1], [1], np.arange(3)), ([1], [1], [True]))),
    *(("lfilter", (H, 1, ROW), {"zi": zi})
      for zi in ([1.0], [[1.0, 2]], np.ones((3, 2)), np.ones((3, 1)), np.ones((1, 1)),
                 np.ones((2, 2)), np.ones((1, 3)), [[1j, 2]], [["a", "b"]], NO_CELLS)),
    ("lfilter", ([2.0], 1, ROW), {"zi": NO_CELLS}),
    ("lfilter", ([2.0], 1, ROW), {"zi": np.zeros((3, 1))}),
    ("lfilter", (np.ones(9), 1, ROW), {"axis": -2, "zi": np.ones((8, 1))}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "keywords"), REFUSALS)
def test_refusals_are_scipys(name, args, keywords):
    ours, theirs = (outcome(getattr(m, name), *args, **keywords) for m in (signal, peer))
    if isinstance(ours, type) and isinstance(theirs, type):
        assert issubclass(ours, theirs) or issubclass(theirs, ours)
    else:
        assert_close(ours, theirs, 1e4, "")


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"constant"}))
def test_a_line_without_cells_does_not_go_on(mode):
    with pytest.raises(ValueError, match="continues a line, got shape"):
        signal.upfirdn(H, [], mode=mode)
