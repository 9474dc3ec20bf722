"""The OpenCL devices of this machine against the CPU path: every geometry, direction and dtype.

`CYCONV_TEST_OPENCL` names one device ("opencl:1"); without it each is tested.
"""

import os
from functools import cache

import numpy as np
import pytest

import cyconv

from . import oracle, tolerances
from .cases import CASES, Case, named, seeds

pytest.importorskip("pyopencl", reason="pyopencl is not installed: pip install 'cyconv[opencl]'")

import pyopencl.array

from cyconv import opencl
from cyconv.opencl import device as door
from cyconv.opencl import registry


def compiles(device):
    """Whether its driver compiles anything: PoCL's of 2022 knows no processor of 2024."""
    context = opencl.queue(device).context
    try:
        pyopencl.Program(context, "kernel void nothing(global int *a) { *a = 0; }").build()
    except pyopencl.Error:
        return False
    return True


def names():
    """Each device that compiles kernels, by its number; or the one that the environment names."""
    named_device = os.environ.get("CYCONV_TEST_OPENCL")
    found = [f"opencl:{d.index}" for d in opencl.devices()]
    return [named_device] if named_device else list(filter(compiles, found))


DEVICES = names()
KEPT = []
pytestmark = [
    pytest.mark.skipif(
        not DEVICES, reason="no OpenCL device that compiles: pip install 'pyopencl[pocl]'"
    ),
    # Of pyopencl's own kernels: some drivers have something to say of every one.
    pytest.mark.filterwarnings("ignore:Non-empty compiler output"),
]
ALGORITHMS = registry.ALGORITHMS
EXACT = tuple(name for name in ALGORITHMS if name != "winograd")


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(autouse=True)
def _buffers_that_oclgrind_knows(monkeypatch):
    """Oclgrind 21 takes a buffer at a freed one's address for as initialised as that one was."""
    empty = door.Device.empty

    def empty_and_kept(self, nbytes):
        buffer = empty(self, nbytes)
        if "Oclgrind" in self.name:
            KEPT.append(buffer)
        return buffer

    monkeypatch.setattr(door.Device, "empty", empty_and_kept)


@cache
def reasons(case, dtype, device):
    return cyconv.opencl.algorithms(case.problem(dtype), device)


def run(case, arrays, device, algorithm, **options):
    """The device's answer, or skip with the reason why there is none."""
    why = reasons(case, arrays[0].dtype.name, device)[algorithm]
    if why is not None:
        with pytest.raises(ValueError, match=f"algorithm='{algorithm}'"):
            case.run(*arrays, device=device, algorithm=algorithm, **options)
        pytest.skip(why)
    return case.run(*arrays, device=device, algorithm=algorithm, **options)


def double(device):
    if not door.get("test", device).float64:
        pytest.skip("the device has no float64")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_named_problems(case, algorithm, device):
    x, w, bias = case.integers("float32")
    y = run(case, (x, w, bias), device, algorithm)
    expected = case.expected(x, w, bias)
    assert y.dtype == np.float32
    if algorithm in EXACT:
        np.testing.assert_array_equal(y, expected)
    else:
        np.testing.assert_allclose(y, expected, rtol=0, atol=2e-5 * abs(expected).max(initial=1))


SOME = named(
    "odd_5x7", "stem_7x7", "dilation_strided", "groups_3_strided", "depthwise_multiplier", "line",
    "volume", "border_symmetric", "flipped_even", "tiles_even", "no_channels", "unbatched",
)  # fmt: skip


@pytest.mark.parametrize("algorithm", EXACT)
@pytest.mark.parametrize("case", SOME, ids=str)
def test_accuracy(case, algorithm, device):
    """Within the bound of a plain sum in float32."""
    x, w, bias = case.data("float32")
    y = run(case, (x, w, bias), device, algorithm)
    tolerances.assert_close(y, case.expected(x, w, bias), "direct", x, w, bias, **case.geometry)


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("case", SOME, ids=str)
def test_dtypes(case, dtype, device):
    if dtype in ("float64", "complex128"):
        double(device)
    x, w, bias = (None if a is None else (a / 8).astype(dtype) for a in case.integers("float64"))
    if x.dtype.kind == "c":
        x, w = x * (1 - 2j), w * (2 + 1j)
    y = case.run(x, w, bias, device=device, accuracy="strict")
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, case.run(x, w, bias))


def random_problem(seed):
    """Any geometry that three axes allow, small."""
    rng = np.random.default_rng(seed)
    rank, groups = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2, 3]))
    kernel = tuple(int(n) for n in rng.integers(1, 5, rank))
    dilation = tuple(int(n) for n in rng.integers(1, 3, rank))
    spatial = tuple(
        (k - 1) * d + int(rng.integers(1, 12)) for k, d in zip(kernel, dilation, strict=True)
    )
    channels, filters = (groups * int(n) for n in rng.integers(1, 6, 2))
    mode = str(rng.choice(["zeros", "zeros", "reflect", "replicate", "circular", "symmetric"]))
    return Case(
        f"seed_{seed}",
        (int(rng.integers(1, 4)), channels, *spatial),
        (filters, channels // groups, *kernel),
        stride=tuple(int(n) for n in rng.integers(1, 4, rank)),
        padding=tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (rank, 2))),
        dilation=dilation,
        groups=groups,
        padding_mode=mode,
        flip=bool(rng.integers(2)),
    )


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@seeds(12)
def test_random_problems_in_all_directions(seed, layout, device):
    case = random_problem(seed)
    x, w, bias = case.integers("float32")
    if layout == "channels_last":
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    how = {"data_format": layout, **case.geometry}
    y = cyconv.conv(x, w, bias, **how)
    where = {"device": device, "accuracy": "strict", **how}  # exact on small integers
    clamp = {"activation": (-20.0, 35.0)}
    np.testing.assert_array_equal(cyconv.conv(x, w, bias, **where), y, f"seed {seed}")
    np.testing.assert_array_equal(
        cyconv.conv(x, w, bias, **where, **clamp), np.clip(y, -20, 35), f"seed {seed}"
    )
    g = np.random.default_rng(seed).integers(-4, 5, y.shape).astype(np.float32)
    for got, expected in zip(
        cyconv.conv_vjp(x, w, g, **where), cyconv.conv_vjp(x, w, g, **how), strict=True
    ):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected, f"seed {seed}")


@pytest.mark.parametrize("dtype", ["complex64", ">f4", ">c8", "float16"])
def test_gradients_of_other_dtypes(dtype, device):
    case = named("tiles_even")[0]
    x, w, _ = case.integers("float32")
    y = cyconv.conv(x, w, **case.geometry)
    g = np.random.default_rng(5).integers(-4, 5, y.shape)
    if np.dtype(dtype).kind == "c":
        x, w, g = x * (1 - 2j), w * (2 + 1j), g * (3 - 1j)
    arrays = [(a / 8).astype(dtype) for a in (x, w, g)]
    there = cyconv.conv_vjp(*arrays, device=device, accuracy="strict", **case.geometry)
    for got, expected in zip(there, cyconv.conv_vjp(*arrays, **case.geometry), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 3, 0, 5), (2, 0, 4, 5), (0, 0, 4, 5)])
def test_the_gradient_of_a_bias_of_nothing(shape, device):
    g = np.ones(shape, ">f4")
    got = cyconv.conv_grad_bias(g, device=device)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.zeros(shape[1]))
    there = pyopencl.array.to_device(opencl.queue(device), g.astype("=f4"))
    np.testing.assert_array_equal(cyconv.conv_grad_bias(there, device=device).get(), got)
    assert cyconv.conv_grad_bias(g.astype(np.int8), device=device).dtype == np.int32


@pytest.mark.parametrize("dtype", ["complex64", "float32"])
def test_the_gradient_of_a_bias_in_device_memory(dtype, device):
    g = np.random.default_rng(5).integers(-4, 5, (2, 3, 5, 4)).astype(dtype)
    g = g * (3 - 1j) if g.dtype.kind == "c" else g
    there = pyopencl.array.to_device(opencl.queue(device), g.astype(dtype))
    got = cyconv.conv_grad_bias(there, device=device).get()
    np.testing.assert_array_equal(got, g.sum((0, 2, 3)))


@seeds(6, first=100)
def test_transposed(seed, device):
    case = random_problem(seed)
    _, w, _ = case.integers("float32")
    rng = np.random.default_rng(seed)
    x = rng.integers(-4, 5, (2, w.shape[0], *rng.integers(2, 7, case.rank))).astype(np.float32)
    bias = rng.integers(-4, 5, w.shape[1] * case.groups).astype(np.float32)
    how = {"stride": case.stride, "dilation": case.dilation, "groups": case.groups, "padding": 0}
    how["output_padding"] = tuple(
        max(s, d) - 1 for s, d in zip(case.stride, case.dilation, strict=True)
    )
    np.testing.assert_array_equal(
        cyconv.conv_transpose(x, w, bias, device=device, accuracy="strict", **how),
        cyconv.conv_transpose(x, w, bias, **how),
        f"seed {seed}",
    )


def test_out_is_filled(device):
    case = named("batch")[0]
    x, w, bias = case.integers("float32")
    out = np.empty((*case.run(x, w, bias).shape[:-1], 99), np.float32)[..., ::-2][..., :6]
    assert case.run(x, w, bias, device=device, out=out, accuracy="strict") is out
    np.testing.assert_array_equal(out, case.run(x, w, bias))


def test_any_strides(device):
    case = named("tiles_mixed")[0]
    x, w, bias = case.integers("float32")
    backwards = w[..., ::-1].copy()[..., ::-1]
    how = {"device": device, "accuracy": "strict"}
    fortran = case.run(np.asfortranarray(x), backwards, bias, **how)
    np.testing.assert_array_equal(fortran, case.run(x, w, bias))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_value_touches_the_outputs_that_see_it(algorithm, value, device):
    rng = np.random.default_rng(20261122)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, 5, 13, 12), (7, 5, 3, 3)))
    bias = rng.standard_normal(7).astype(np.float32)
    x[1, 2, 5, 6] = value
    y = cyconv.conv2d(x, w, bias, padding=1, device=device, algorithm=algorithm)
    expected = oracle.conv(x, w, bias, padding=1)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_weight_that_is_not_finite_meets_the_zeros_around(algorithm, stride, device):
    rng = np.random.default_rng(20261122)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((1, 3, 9, 40), (2, 3, 3, 3)))
    w[1, 2, 0, 2] = np.inf
    problem = cyconv.Problem(x.shape, w.shape, padding=1, stride=stride)
    if cyconv.opencl.algorithms(problem, device)[algorithm] is not None:
        pytest.skip("the stride is 2")
    y = cyconv.plan(problem, device=device, algorithm=algorithm)(x, w)
    expected = cyconv.plan(problem, algorithm="direct")(x, w)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_a_sample_alone_has_the_bits_it_has_in_a_batch(device):
    rng = np.random.default_rng(20261122)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((5, 7, 13, 12), (9, 7, 3, 3)))
    for algorithm in ALGORITHMS:
        how = {"padding": 1, "device": device, "algorithm": algorithm}
        whole = cyconv.conv2d(x, w, **how)
        np.testing.assert_array_equal(cyconv.conv2d(x[2:3], w, **how), whole[2:3])


def test_the_scratch_is_kept_within_the_limit(device):
    rng = np.random.default_rng(3)
    x = rng.integers(-8, 9, (7, 4, 20, 20)).astype(np.float32)
    w = rng.integers(-8, 9, (5, 4, 3, 3)).astype(np.float32)
    how = {"padding": 1, "device": device, "algorithm": "implicit_gemm"}
    one = cyconv.plan(
        cyconv.Problem((1, *x.shape[1:]), w.shape, padding=1),
        device=device,
        algorithm="implicit_gemm",
    ).workspace_bytes
    plan = cyconv.plan(
        cyconv.Problem(x.shape, w.shape, padding=1),
        device=device,
        algorithm="implicit_gemm",
        workspace_limit=2 * one,
    )
    assert plan.workspace_bytes == 2 * one
    np.testing.assert_array_equal(plan(x, w), cyconv.conv2d(x, w, padding=1))
    with pytest.raises(MemoryError, match=f"needs {one} bytes of workspace, limit {one - 1}"):
        cyconv.conv2d(x, w, workspace_limit=one - 1, **how)
    np.testing.assert_array_equal(
        cyconv.conv2d(x, w, padding=1, device=device, workspace_limit=0),
        oracle.conv(x, w, padding=1),
    )


@pytest.fixture(params=[True, False], ids=["cpu", "gpu"])
def kind(request, device, monkeypatch):
    """The device's name; its kernels are a CPU's or a GPU's, whatever it is."""
    opened = door.Device(door.get("test", device).queue)
    opened.cpu = request.param
    monkeypatch.setitem(door._known, device, opened)
    monkeypatch.setattr(cyconv.api.cache, "_plans", {})  # they know devices by name
    return device


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_kernels_of_every_kind_run_anywhere(algorithm, kind):
    device = kind
    rng = np.random.default_rng(20261122)
    x = rng.integers(-8, 9, (2, 4, 6, 9)).astype(np.float32)
    w = rng.integers(-8, 9, (132, 2, 3, 3)).astype(np.float32)
    how = {"padding": 1, "groups": 2, "accuracy": "strict"}
    np.testing.assert_array_equal(
        cyconv.conv2d(x, w, device=device, algorithm=algorithm, **how), cyconv.conv2d(x, w, **how)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "case",
    named("odd_5x7", "stem_7x7", "dilation_strided", "groups_3_strided", "volume", "tiles_even"),
    ids=str,
)
def test_every_direction_by_the_kernels_of_every_kind(case, algorithm, dtype, kind):
    """Problems whose rewritten parts an algorithm takes, exact on small integers."""
    if dtype == "float64":
        double(kind)
    x, w, _ = case.integers(dtype)
    how = {k: v for k, v in case.geometry.items() if k != "padding_mode"}
    g = np.random.default_rng(case.seed).integers(-4, 5, cyconv.conv(x, w, **how).shape)
    operands = {"forward": (x, w), "grad_input": (g, w), "grad_weight": (x, g)}
    solved = 0
    for direction, pair in operands.items():
        pair = [a.astype(dtype) for a in pair]
        problem = cyconv.Problem(x.shape, w.shape, dtype, direction=direction, **how)
        if cyconv.opencl.algorithms(problem, kind)[algorithm] is not None:
            continue
        got = cyconv.plan(problem, algorithm, device=kind)(*pair)
        expected = cyconv.plan(problem, "direct")(*pair)
        if algorithm in EXACT:
            np.testing.assert_array_equal(got, expected, direction)
        else:
            np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5 * abs(expected).max())
        solved += 1
    if algorithm != "winograd" and "llvmpipe" not in door.get("test", kind).name:
        assert solved == 3


@seeds(8, first=200)
def test_random_problems_by_the_kernels_of_every_kind(seed, kind):
    case = random_problem(seed)
    x, w, bias = case.integers("float32")
    how = {"device": kind, "accuracy": "strict", **case.geometry}
    y = cyconv.conv(x, w, bias, **case.geometry)
    np.testing.assert_array_equal(cyconv.conv(x, w, bias, **how), y, f"seed {seed}")
    g = np.random.default_rng(seed).integers(-4, 5, y.shape).astype(np.float32)
    for got, expected in zip(
        cyconv.conv_vjp(x, w, g, **how), cyconv.conv_vjp(x, w, g, **case.geometry), strict=True
    ):
        np.testing.assert_array_equal(got, expected, f"seed {seed}")


@pytest.mark.parametrize("algorithm", EXACT)
def test_a_result_that_runs_backwards(algorithm, kind):
    """As the gradient of a rotated kernel: offsets from its first cell are negative."""
    problem = cyconv.Problem((2, 4, 9, 12), (4, 4, 3, 3), direction="grad_weight", flip=True)
    rng = np.random.default_rng(20261122)
    x, g = (rng.integers(-4, 5, s).astype(np.float32) for s in (problem.x_shape, problem.y_shape))
    got = cyconv.plan(problem, algorithm, device=kind)(x, g)
    np.testing.assert_array_equal(got, cyconv.plan(problem, "direct")(x, g))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_gpu_has_groups_of_many_work_items(algorithm, device, monkeypatch):
    """Those that compute the sums of a layer: one item leaves most of a GPU's lanes idle."""
    opened = door.Device(door.get("test", device).queue)
    opened.cpu = False
    monkeypatch.setitem(door._known, device, opened)
    monkeypatch.setattr(cyconv.api.cache, "_plans", {})
    groups = []
    launch = door.Device.launch

    def noted(self, kernel, size, group, *arguments):
        groups.append((kernel.function_name, int(np.prod(group))))
        return launch(self, kernel, size, group, *arguments)

    monkeypatch.setattr(door.Device, "launch", noted)
    x, w = np.ones((2, 4, 12, 12), np.float32), np.ones((6, 4, 3, 3), np.float32)
    cyconv.conv2d(x, w, device=device, algorithm=algorithm)
    assert groups
    assert all(items >= 16 for _, items in groups), groups


def test_measured_choices_are_remembered_for_each_device(device, monkeypatch, tmp_path):
    file = tmp_path / "tuning.json"
    monkeypatch.setenv("CYCONV_TUNING_FILE", str(file))
    problem = cyconv.Problem((1, 4, 9, 10), (6, 4, 3, 3), padding=1)
    plan = cyconv.plan(problem, device=device, effort="measure")
    assert plan.explain().source == "measured now"
    assert door.get("test", device).key in file.read_text(encoding="utf-8")
    x, w, _ = Case("tuned", problem.x_shape, problem.w_shape, padding=1).integers("float32")
    np.testing.assert_allclose(plan(x, w), cyconv.conv2d(x, w, padding=1), atol=1e-3)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("case", SOME, ids=str)
def test_a_residual(case, algorithm, device):
    x, w, bias = case.integers("float32")
    expected = case.expected(x, w, bias)
    add = np.random.default_rng(3).integers(-9, 9, expected.shape).astype(np.float32)
    plain = run(case, (x, w, bias), device, algorithm)
    y = run(case, (x, w, bias), device, algorithm, add=add, activation="relu")
    np.testing.assert_array_equal(y, np.maximum(plain + add, 0))
    lain = np.asfortranarray(add)
    out = np.full_like(add, np.nan)
    for given in (lain, out):
        out[...] = add
        assert run(case, (x, w, bias), device, algorithm, add=given, out=out) is out
        np.testing.assert_array_equal(out, plain + add)


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
@pytest.mark.parametrize("case", named("stride_2", "line", "channels_out_6"), ids=str)
def test_a_residual_of_other_types(case, dtype, device):
    x, w, bias = (a.astype(dtype) for a in case.integers("float64"))
    plain = case.run(x, w, bias)
    add = (np.arange(plain.size) % 7).astype(dtype).reshape(plain.shape)
    expected = case.run(x, w, bias, add=add, accuracy="strict")
    y = case.run(x, w, bias, add=add, device=device, accuracy="strict")
    np.testing.assert_array_equal(y, expected)


def test_a_residual_of_a_transposed_convolution(device):
    rng = np.random.default_rng(4)
    x, w = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((2, 3, 5, 6), (3, 4, 2, 2)))
    plain = cyconv.conv_transpose2d(x, w, stride=3, device=device)
    add = rng.integers(-4, 5, plain.shape).astype(np.float32)
    y = cyconv.conv_transpose2d(x, w, stride=3, device=device, add=add, activation="relu6")
    np.testing.assert_array_equal(y, np.clip(plain + add, 0, 6))
    with pytest.raises(ValueError, match="conv_transpose2d: add must have shape"):
        cyconv.conv_transpose2d(x, w, stride=3, device=device, add=add[:1])
