"""`cyconv.torch` against `torch.nn.functional`: values, gradients, compilers, transformations."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

import cyconv

torch = pytest.importorskip("torch")
pytest.importorskip("ml_dtypes")

door = cyconv.torch
operators = door.operators
as_array, as_tensor = door.tensors.as_array, door.tensors.as_tensor
F = torch.nn.functional
NAMES = [f"conv{kind}{rank}d" for kind in ("", "_transpose") for rank in (1, 2, 3)]
EXACT = (torch.float32, torch.float64, torch.complex64, torch.complex128)
HALVES = (torch.float16, torch.bfloat16)
TOLERANCE = {
    torch.float32: 2e-5,
    torch.complex64: 2e-5,
    torch.float64: 1e-12,
    torch.complex128: 1e-12,
    torch.float16: 5e-3,
    torch.bfloat16: 5e-2,
}
# What torch's own compilers say of Python and of themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
]


@pytest.fixture(autouse=True)
def _torch_as_it_was():
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch._dynamo.reset()


def samples(name, dtype, requires_grad=False):
    """PyTorch's own sample inputs of its function `name`, as (tensors, keywords)."""
    pytest.importorskip("expecttest")  # its testing module asks for it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    (info,) = [each for each in op_db if each.name == f"nn.functional.{name}"]
    for sample in info.sample_inputs("cpu", dtype, requires_grad):
        yield (sample.input, *sample.args), sample.kwargs


def close(ours, theirs, dtype=None):
    tolerance = TOLERANCE[dtype or theirs.dtype]
    largest = float(abs(theirs.detach()).max())
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * largest)


def gradients(y, inputs, order=1):
    """Gradients of a sum of squares of y, and of a sum of theirs."""
    inputs = [a for a in inputs if torch.is_tensor(a) and a.requires_grad]
    found = torch.autograd.grad((y * y.conj()).real.sum(), inputs, create_graph=order > 1)
    if order == 1:
        return list(found)
    total = sum((g * g.conj()).real.sum() for g in found)
    return [*found, *torch.autograd.grad(total, inputs)]


@pytest.mark.parametrize("dtype", EXACT, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_samples_and_their_gradients(name, dtype):
    ours, theirs = getattr(door, name), getattr(F, name)
    for inputs, rest in samples(name, dtype, requires_grad=True):
        y, z = ours(*inputs, **rest), theirs(*inputs, **rest)
        assert y.shape == z.shape
        close(y, z)
        for a, b in zip(gradients(y, inputs), gradients(z, inputs), strict=True):
            torch.testing.assert_close(
                a, b, rtol=TOLERANCE[dtype] * 10, atol=TOLERANCE[dtype] * float(abs(b).max())
            )


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_samples_of_halves(name, dtype):
    """Beside float32's answers for the same numbers: one rounding of each result."""
    ours, theirs = getattr(door, name), getattr(F, name)
    for inputs, rest in samples(name, dtype):
        wide = [a.float().requires_grad_() if torch.is_tensor(a) else a for a in inputs]
        inputs = [a.requires_grad_() if torch.is_tensor(a) else a for a in inputs]
        y, z = ours(*inputs, **rest), theirs(*wide, **rest)
        assert y.dtype == dtype
        torch.testing.assert_close(y.float(), z, rtol=2 * torch.finfo(dtype).eps, atol=1e-2)
        found = torch.autograd.grad(y.sum(), [a for a in inputs if torch.is_tensor(a)])
        wanted = torch.autograd.grad(z.sum(), [a for a in wide if torch.is_tensor(a)])
        for a, b in zip(found, wanted, strict=True):
            assert a.dtype == dtype
            torch.testing.assert_close(a.float(), b, rtol=2 * torch.finfo(dtype).eps, atol=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_integers(name):
    for inputs, rest in samples(name, torch.int64):
        ours = getattr(door, name)(*inputs, **rest)
        torch.testing.assert_close(ours, getattr(F, name)(*inputs, **rest), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_samples_compiled(name):
    """The whole graph, forward and backward, without Inductor's code for what is around it."""
    theirs = getattr(F, name)
    torch._dynamo.config.recompile_limit = 100
    compiled = torch.compile(getattr(door, name), fullgraph=True, backend="aot_eager")
    for i, (inputs, rest) in enumerate(samples(name, torch.float32, requires_grad=True)):
        if i % 4:
            continue
        y, z = compiled(*inputs, **rest), theirs(*inputs, **rest)
        close(y, z)
        for a, b in zip(gradients(y, inputs), gradients(z, inputs), strict=True):
            torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-5 * float(abs(b).max()))


GEOMETRIES = {
    "plain": ((2, 3, 7, 6), (4, 3, 3, 2), {}),
    "all": (
        (2, 4, 9, 8),
        (6, 2, 3, 2),
        {"stride": (2, 3), "padding": 1, "dilation": 2, "groups": 2},
    ),
    "depthwise": ((2, 4, 5, 5), (8, 1, 3, 3), {"groups": 4, "padding": "same"}),
}


def operands(x, w, dtype=torch.float64):
    filters = w[0]
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in (x, w, (filters,))]


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gradcheck(geometry, dtype):
    x, w, rest = GEOMETRIES[geometry]
    inputs = operands(x, w, dtype)
    call = lambda *a: door.conv2d(*a, **rest)
    assert torch.autograd.gradcheck(call, inputs, fast_mode=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize(
    "rest",
    [
        {},
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
        {"stride": (1, 2), "dilation": 3, "output_padding": (2, 2)},
    ],
    ids=["plain", "groups", "beyond"],
)
def test_gradcheck_transposed(rest, dtype):
    groups = rest.get("groups", 1)
    inputs = [
        torch.randn(s, dtype=dtype, requires_grad=True)
        for s in ((2, 4, 4, 3), (4, 3, 3, 2), (3 * groups,))
    ]
    call = lambda *a: door.conv_transpose2d(*a, **rest)
    close(call(*inputs), F.conv_transpose2d(*inputs, **rest))
    assert torch.autograd.gradcheck(call, inputs, fast_mode=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True)


def test_third_derivatives():
    x, w, b = operands((1, 2, 6), (2, 2, 3))
    for library in (F, door):
        (g,) = torch.autograd.grad(library.conv1d(x, w, b).pow(4).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.pow(2).sum(), w, create_graph=True)
        (third,) = torch.autograd.grad(h.pow(2).sum(), x)
        if library is F:
            wanted = third
    torch.testing.assert_close(third, wanted)


CHECKED = {
    "conv": lambda x, w, b, g: (operators.conv, (x, w, b, [2, 1], [1, 0, 2, 1], [1, 2], 2)),
    "conv without bias": lambda x, w, b, g: (
        operators.conv, (x, w, None, [2, 1], [1, 0, 2, 1], [1, 2], 2)),
    "conv_grad_input": lambda x, w, b, g: (
        operators.conv_grad_input, (g, w, None, [7, 6], [2, 1], [1, 0, 2, 1], [1, 2], 2)),
    "conv_grad_input with bias": lambda x, w, b, g: (
        operators.conv_grad_input, (g, w, x[0, :, 0, 0].detach().requires_grad_(), [7, 6], [2, 1],
                                    [1, 0, 2, 1], [1, 2], 2)),
    "conv_grad_weight": lambda x, w, b, g: (
        operators.conv_grad_weight, (x, g, [3, 2], [2, 1], [1, 0, 2, 1], [1, 2], 2)),
}  # fmt: skip


@pytest.mark.parametrize("layout", ["first", "last", "scattered"])
@pytest.mark.parametrize("name", CHECKED)
def test_opcheck(name, layout):
    x, w, b = operands((2, 4, 7, 6), (6, 2, 3, 2), torch.float32)
    g = torch.randn(2, 6, 3, 7, requires_grad=True)
    if layout == "last":
        x, g = (a.detach().to(memory_format=torch.channels_last).requires_grad_() for a in (x, g))
    if layout == "scattered":
        x, g = (a.detach().mT.contiguous().mT.requires_grad_() for a in (x, g))
    operator, arguments = CHECKED[name](x, w, b, g)
    torch.library.opcheck(operator, arguments)


def test_memory_is_shared_both_ways():
    x = torch.randn(2, 3, 4, 5)
    for tensor in (x, x.mT, x[:, :, ::2], x.to(torch.bfloat16), x.half()[..., 1:].mT):
        array = as_array(tensor)
        assert array.__array_interface__["data"][0] == tensor.data_ptr()
        back = as_tensor(array)
        assert back.data_ptr() == tensor.data_ptr()
        assert back.dtype == tensor.dtype
        assert back.stride() == tensor.stride()


def test_views_that_have_put_off_work():
    x = torch.randn(1, 2, 6, dtype=torch.complex64)
    w = torch.randn(3, 2, 3, dtype=torch.complex64)
    close(door.conv1d(x.conj(), w.conj()), F.conv1d(x.conj(), w.conj()))
    negated = x.conj().imag
    assert negated.is_neg()
    close(door.conv1d(negated, w.real), F.conv1d(negated, w.real.contiguous()))


@pytest.mark.parametrize("rank", [2, 3])
def test_channels_last(rank):
    layout = {2: torch.channels_last, 3: torch.channels_last_3d}[rank]
    x, w = torch.randn(2, 4, *(5,) * rank), torch.randn(4, 4, *(3,) * rank)
    for name in (f"conv{rank}d", f"conv_transpose{rank}d"):
        y = getattr(door, name)(x.to(memory_format=layout), w)
        assert y.is_contiguous(memory_format=layout)
        close(y, getattr(F, name)(x, w))


def test_expanded_and_scattered_tensors():
    x = torch.randn(1, 1, 6, 1).expand(3, 4, 6, 5)
    w = torch.randn(3, 3, 4, 2).permute(3, 2, 0, 1)
    close(door.conv2d(x, w), F.conv2d(x, w))


def test_inference_mode():
    x, w, b = operands((2, 3, 8, 8), (4, 3, 3, 3), torch.float32)
    with torch.inference_mode():
        y = door.conv2d(x, w, b)
        close(y, F.conv2d(x, w, b))
        assert y.is_inference()
    with torch.no_grad():
        assert not door.conv2d(x, w, b).requires_grad


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("to", HALVES, ids=str)
def test_autocast(name, to):
    rank = int(name[-2])
    x, w = torch.randn(2, 3, *(6,) * rank), torch.randn(3, 3, *(3,) * rank, requires_grad=True)
    with torch.autocast("cpu", to):
        y, z = getattr(door, name)(x, w), getattr(F, name)(x, w)
    assert y.dtype == z.dtype == to
    wide = getattr(F, name)(x.to(to).float(), w.to(to).float())  # torch's own sums may be rounded
    torch.testing.assert_close(y.float(), wide, rtol=2 * torch.finfo(to).eps, atol=1e-2)
    (g,) = torch.autograd.grad(y.sum(), w)
    assert g.dtype == torch.float32
    with torch.autocast("cpu", to):
        assert getattr(door, name)(x.double(), w.double()).dtype == torch.float64


class Net(torch.nn.Module):
    """Both kinds of convolution, and something between them."""

    def __init__(self, library):
        super().__init__()
        self.library = library
        self.down = torch.nn.Parameter(torch.randn(6, 3, 3, 3))
        self.up = torch.nn.Parameter(torch.randn(6, 3, 4, 4))

    def forward(self, x):
        h = self.library.conv2d(x, self.down, stride=2, padding=1).relu()
        return self.library.conv_transpose2d(h, self.up, None, 2, 1)


def nets():
    ours, theirs = Net(door), Net(F)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_inductor():
    ours, theirs = nets()
    compiled = torch.compile(ours, fullgraph=True)
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(2, 3, 8, 8).to(memory_format=layout)
        try:
            y = compiled(x)
        except torch._inductor.exc.InductorError as error:
            pytest.skip(f"Inductor does not work here: {error}"[:200])
        close(y, theirs(x))
        grads = [
            torch.autograd.grad(z.sum(), n.down)[0] for n, z in ((ours, y), (theirs, theirs(x)))
        ]
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-3)


def test_compiled_for_sizes_that_change():
    ours, theirs = nets()
    compiled = torch.compile(ours, fullgraph=True, dynamic=True, backend="aot_eager")
    for n in (8, 10, 12):
        x = torch.randn(n, 3, n, n + 2)
        close(compiled(x), theirs(x))


def test_export():
    ours, theirs = nets()
    x = torch.randn(2, 3, 8, 8)
    size = torch.export.Dim("size", min=2, max=32)
    program = torch.export.export(ours, (x,), dynamic_shapes={"x": {0: size}})
    names = {str(node.target) for node in program.graph.nodes}
    assert {"cyconv.conv.default", "cyconv.conv_grad_input.default"} <= names
    x = torch.randn(5, 3, 8, 8)
    close(program.module()(x), theirs(x))


@pytest.mark.parametrize("transposed", [False, True], ids=["forward", "transposed"])
@pytest.mark.parametrize(
    "dims",
    [(0, None, None), (1, None, None), (None, 0, None), (None, 0, 0), (0, 0, 0), (2, 1, 1),
     (0, None, 0), (None, None, 0)],
    ids=str,
)  # fmt: skip
def test_vmap(dims, transposed):
    shapes = [[2, 4, 7], [4, 2, 3], [4]]
    inputs = []
    for shape, dim in zip(shapes, dims, strict=True):
        if dim is not None:
            shape.insert(dim, 5)
        inputs.append(torch.randn(shape))
    name = "conv_transpose1d" if transposed else "conv1d"
    rest = {"stride": 2, "padding": 1, "groups": 2}

    def call(library):
        return lambda x, w, b: getattr(library, name)(x, w, b, **rest)

    close(torch.vmap(call(door), dims)(*inputs), torch.vmap(call(F), dims)(*inputs))


def test_gradients_of_each_sample():
    x, w = torch.randn(4, 3, 6, 6), torch.randn(2, 3, 3, 3)

    def each(library):
        loss = lambda w, x: library.conv2d(x[None], w, stride=2).pow(2).sum()
        return torch.vmap(torch.func.grad(loss), (None, 0))(w, x)

    torch.testing.assert_close(each(door), each(F), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["conv1d", "conv_transpose1d"])
def test_transformations_of_functions(name):
    x, w = torch.randn(2, 2, 5, dtype=torch.float64), torch.randn(2, 2, 3, dtype=torch.float64)

    def hessian(library):
        loss = lambda w: getattr(library, name)(x, w).pow(3).sum()
        return torch.func.jacrev(torch.func.grad(loss))(w)

    def both(library):
        call = lambda x, w: getattr(library, name)(x, w).sin()
        y, pull = torch.func.vjp(call, x, w)
        return pull(y)

    torch.testing.assert_close(hessian(door), hessian(F))
    torch.testing.assert_close(both(door), both(F))


class Blurred(torch.utils.data.Dataset):
    """Images that a worker convolves."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        x = torch.full((1, 64, 64), float(i))
        return door.conv2d(x, torch.ones(1, 1, 3, 3))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_loader(start):
    door.conv2d(torch.ones(1, 8, 64, 64), torch.ones(8, 8, 3, 3))  # threads before the fork
    loader = torch.utils.data.DataLoader(
        Blurred(), batch_size=2, num_workers=2, multiprocessing_context=start, timeout=60
    )
    found = torch.cat(list(loader))
    assert torch.equal(found, torch.arange(6.0).mul(9).view(6, 1, 1, 1).expand(6, 1, 62, 62))


def test_threads_are_those_of_torch(monkeypatch):
    seen = []
    monkeypatch.setattr(
        operators.api, "conv", lambda *a, threads, **_: seen.append(threads) or np.zeros((1, 1, 1))
    )
    for n in (1, 2):
        torch.set_num_threads(n)
        door.conv1d(torch.ones(1, 1, 1), torch.ones(1, 1, 1))
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda x, w: door.conv2d(x[0, 0], w), ValueError, "conv2d: input must have 4 axes"),
        (lambda x, w: door.conv1d(x, w), ValueError, "conv1d: weight must have 3 axes"),
        (lambda x, w: door.conv2d(x.double(), w), TypeError, "weight must be torch.float64"),
        (lambda x, w: door.conv2d(x.int(), w.int()), TypeError, "float, complex or int64"),
        (lambda x, w: door.conv2d(x, w, stride=(1, 2, 3)), ValueError, "stride must be an int"),
        (lambda x, w: door.conv2d(x, w, stride=0), ValueError, "stride.0. must be >= 1"),
        (lambda x, w: door.conv2d(x, w, padding="all"), ValueError, "'valid' or 'same'"),
        (lambda x, w: door.conv2d(x, w, None, 2, "same"), ValueError, "stride must be 1"),
        (lambda x, w: door.conv2d(x, w, groups=2), ValueError, "groups must divide"),
        (lambda x, w: door.conv_transpose2d(x, w), ValueError, "input's 3 channels, got 4"),
        (
            lambda x, w: door.conv_transpose2d(x, w[:3], None, 1, 0, 1),
            ValueError,
            "output_padding.0. must be",
        ),
        (lambda x, w: door.conv_transpose2d(x, w[:3], None, 1, 9), ValueError, "axis 0 must be"),
        (lambda x, w: door.conv2d(x.to_sparse(), w), NotImplementedError, "cyconv::conv"),
    ],
)
def test_errors_name_what_is_wrong(call, error, says):
    with pytest.raises(error, match=says):
        call(torch.ones(1, 3, 5, 5), torch.ones(4, 3, 3, 3))


def test_nothing_of_torch_is_imported_unasked():
    script = (
        "import sys, cyconv; assert 'torch' not in sys.modules;"
        "sys.modules['torch'] = None\n"
        "try: cyconv.torch\n"
        "except ImportError as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.strip() == "cyconv.torch needs PyTorch: pip install 'cyconv[torch]'"


def test_the_signatures_are_those_of_torch():
    assert cyconv.torch is door
    for name in NAMES:
        ours = getattr(door, name)
        code = ours.__code__
        names = code.co_varnames[: code.co_argcount]
        text = getattr(F, name).__doc__.lstrip().split("->")[0]
        theirs = [part.split("=")[0].strip() for part in text.partition("(")[2].split(",")]
        assert list(names) == [n.rstrip(") ") for n in theirs], name
