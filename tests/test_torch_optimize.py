"""`cyconv.torch.optimize`: small networks of every common kind give the answers they gave."""

import copy
import pickle

import numpy as np
import pytest

import cyconv

torch = pytest.importorskip("torch")
pytest.importorskip("ml_dtypes")

nn, F = torch.nn, torch.nn.functional
optimize = cyconv.torch.optimize
Packed = cyconv.torch.packed.PackedConvolution
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Complex modules are a new feature"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),  # of comparisons of sizes
]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    yield
    torch._dynamo.reset()


def trained(model):
    """`model` with statistics and affine maps as training leaves them, not all 0 and 1."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
    return model


def block(inputs, outputs, activation=nn.ReLU, **rest):
    rest = {"kernel_size": 3, "padding": 1, "bias": False} | rest
    return [nn.Conv2d(inputs, outputs, **rest), nn.BatchNorm2d(outputs), activation()]


def vgg():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, padding="same"),
        nn.ReLU(), nn.MaxPool2d(2), *block(8, 16), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Dropout(), nn.Linear(64, 5),
    )  # fmt: skip


class Residual(nn.Module):
    """A block as ResNet has it, its one ReLU called twice."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.down = None
        if stride > 1 or inputs != outputs:
            self.down = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.down is None else self.down(x)))


def resnet():
    return nn.Sequential(*block(3, 8), Residual(8, 8), Residual(8, 16, 2), nn.Flatten(2))


def mobilenet():
    return nn.Sequential(
        *block(3, 8, nn.ReLU6, stride=2),
        *block(8, 8, nn.ReLU6, groups=8),
        *block(8, 16, lambda: nn.Hardtanh(-0.5, 0.75), kernel_size=1, padding=0),
        *block(16, 16, nn.ReLU6, groups=16, dilation=2),
        *block(16, 12, nn.Hardswish, groups=4),
    )


class UNet(nn.Module):
    """Down, up by a transposed convolution, and a connection across."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(*block(3, 8))
        self.down = nn.Sequential(*block(8, 16, stride=2))
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.last = nn.Conv2d(16, 2, 3, padding=1, padding_mode="reflect")

    def forward(self, x):
        a = self.first(x)
        return self.last(torch.cat([a, F.relu(self.up(self.down(a)))], 1))


def generator():
    def up(inputs, outputs, groups=1, **rest):
        rest = {"kernel_size": 4, "stride": 2, "padding": 1, "groups": groups} | rest
        return nn.ConvTranspose2d(inputs, outputs, **rest), nn.BatchNorm2d(outputs), nn.ReLU()

    return nn.Sequential(
        *up(6, 16, stride=1, padding=0),
        *up(16, 8, 4, bias=False),
        *up(8, 8, output_padding=1),
        nn.ConvTranspose2d(8, 3, 3, padding=1),
        nn.Tanh(),
    )


def signals():
    return nn.Sequential(
        nn.Conv1d(2, 8, 9, padding=4, padding_mode="circular"),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.ConvTranspose1d(8, 4, 4, 2),
        nn.Conv1d(4, 1, 3),
    )


def volumes():
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1),
        nn.BatchNorm3d(4, affine=False),
        nn.ReLU(),
        nn.ConvTranspose3d(4, 2, 2, 2),
    )


# Model, example, others' sizes, how many convolutions, and how many layers join them.
NETS = {
    "vgg": (vgg, (2, 3, 16, 16), (1, 3, 20, 24), 3, 4),
    "resnet": (resnet, (2, 3, 16, 16), (1, 3, 18, 14), 6, 13),
    "mobilenet": (mobilenet, (2, 3, 16, 16), (3, 3, 33, 20), 5, 9),
    "unet": (UNet, (1, 3, 16, 16), (2, 3, 12, 20), 4, 5),
    "generator": (generator, (2, 6, 1, 1), (1, 6, 2, 3), 4, 6),
    "signals": (signals, (2, 2, 32), (1, 2, 51), 3, 2),
    "volumes": (volumes, (1, 1, 6, 6, 6), (2, 1, 5, 8, 6), 2, 2),
}


def close(ours, theirs, tolerance=1e-4):
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("accuracy", ["strict", "balanced", "fast"])
@pytest.mark.parametrize("name", NETS)
def test_networks(name, accuracy):
    make, size, other, convolutions, joined = NETS[name]
    model = trained(make())
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(size)
    ours = optimize(model, x, accuracy)
    assert model.training
    assert all(torch.equal(a, before[key]) for key, a in model.state_dict().items())
    assert not ours.training
    theirs = copy.deepcopy(model).eval()
    for shape in (size, other):
        x = torch.randn(shape)
        with torch.inference_mode():
            close(ours(x), theirs(x))
    report = ours.report
    assert len(report.replaced) == len(report.layers) == convolutions
    assert sum(len(layer.joined) for layer in report.layers) == joined
    assert report.untraced is None
    assert report.difference < 1e-4


def test_the_report_says_what_was_done_and_why():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Sequential(*block(3, 8))
            self.two = nn.Conv2d(8, 8, 3, padding=1)
            self.own = type("Own", (nn.Conv2d,), {})(8, 8, 1)
            self.hooked = nn.Conv2d(8, 8, 1)
            self.hooked.register_forward_hook(lambda module, inputs, y: y * 2)
            self.shared = nn.Conv2d(8, 8, 1)
            self.weight = nn.Parameter(torch.randn(8, 8, 1, 1))
            self.pool = nn.MaxPool2d(2)

        def forward(self, x):
            x = self.two(self.one(x))
            x = torch.relu(x) + x
            x = self.hooked(self.own(x))
            x = self.shared(torch.relu(self.shared(x)))
            return self.pool(F.conv2d(x, self.weight))

    x = torch.randn(1, 3, 8, 8)
    model = trained(Net()).eval()
    ours = optimize(model, x)
    close(ours(x), model(x))
    lines = str(ours.report).splitlines()
    words = {line.split()[0]: line for line in lines}
    assert "BatchNorm2d + ReLU" in words["one.0"]
    assert ours.report.layers[0].algorithm in words["one.0"]
    assert "its result goes 2 ways" in words["two"]
    assert "left" in words["own"]
    assert "Own is a class of its own" in words["own"]
    assert "it has hooks" in words["hooked"]
    assert "called 2 times" in words["shared"]
    assert "a function, not a module" in words["conv2d"]
    assert "3 of 6 convolutions replaced" in lines[-2]
    assert lines[-1] == "left alone, no convolutions: 1 MaxPool2d"


def test_every_way_to_write_an_activation():
    ways = (
        F.relu, torch.relu, F.relu6, lambda x: x.relu(), lambda x: x.relu_(), torch.relu_,
        F.hardtanh, lambda x: F.hardtanh(x, -2, 0.5), lambda x: F.hardtanh(x, max_val=0.25),
        lambda x: F.relu(x, inplace=True), lambda x: F.hardtanh(x, -0.5, max_val=0.5),
    )  # fmt: skip

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in ways)

        def forward(self, x):
            for way, layer in zip(ways, self.layers, strict=True):
                x = way(layer(x))
            return x

    model, x = Net().eval(), torch.randn(2, 4, 6, 6)
    ours = optimize(model, x)
    close(ours(x), model(x))
    assert all(len(layer.joined) == 1 for layer in ours.report.layers)
    assert [n.op for n in ours.graph.nodes].count("call_module") == len(ways)
    assert {n.op for n in ours.graph.nodes} == {"placeholder", "call_module", "output"}


SUMS = {
    "plus": lambda conv, x: conv(x) + x,
    "other_first": lambda conv, x: x + conv(x),
    "torch_add": lambda conv, x: torch.add(x, conv(x)),
    "method": lambda conv, x: conv(x).add(x),
    "method_in_place": lambda conv, x: conv(x).add_(x),
    "known_later": lambda conv, x: conv(x) + F.avg_pool2d(x, 3, 1, 1),
    "broadcast": lambda conv, x: conv(x) + x.mean((2, 3), keepdim=True),
    "fewer_axes": lambda conv, x: conv(x) + x.mean((0, 1)),
    "another_layout": lambda conv, x: conv(x) + x.transpose(2, 3),
    "channels_last": lambda conv, x: conv(x) + x.to(memory_format=torch.channels_last),
    "wider": lambda conv, x: conv(x) + x.double(),
}


def in_place(conv, x):
    y = conv(x)
    y += x
    return y


def beside_a_write(conv, x):
    z = x * 2
    y = conv(z)
    z.mul_(3)
    return y + z


UNJOINED = {
    "number": (lambda conv, x: conv(x) + 2, ""),
    "weighted": (lambda conv, x: torch.add(conv(x), x, alpha=2), ""),
    "itself": (lambda conv, x: (lambda y: y + y)(conv(x)), ""),
    "into_the_other": (
        lambda conv, x: (x * 2).add_(conv(x)),
        "its sum is written into another's memory",
    ),
    "beside_a_write": (beside_a_write, "before its sum mul_ writes in place"),
}


class Summing(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.way = way

    def forward(self, x):
        return F.relu6(self.way(lambda x: self.norm(self.conv(x)), x))


@pytest.mark.parametrize("way", [*SUMS.values(), in_place], ids=[*SUMS, "in_place"])
def test_every_way_to_write_a_sum(way):
    model, x = trained(Summing(way)).eval(), torch.randn(2, 4, 6, 6)
    ours = optimize(model, x)
    before = x.clone()
    with torch.inference_mode():
        close(ours(x), model(x))
    assert torch.equal(x, before)
    assert ours.report.layers[0].joined == ["BatchNorm2d", "add", "ReLU6"]
    x.requires_grad_()
    grads = [torch.autograd.grad(m(x).pow(2).sum(), x)[0] for m in (ours, model)]
    close(*grads)
    exported = torch.export.export(ours, (x.detach(),)).module()
    close(exported(x.detach()), model(x).detach())


@pytest.mark.parametrize("name", UNJOINED)
def test_sums_that_stay(name):
    way, note = UNJOINED[name]
    model, x = trained(Summing(way)).eval(), torch.randn(2, 4, 6, 6)
    ours = optimize(model, x)
    close(ours(x), model(x))
    (layer,) = ours.report.layers
    assert layer.joined == ["BatchNorm2d"]
    assert layer.note == note


def test_a_sum_of_two_convolutions():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return torch.relu(self.a(x) + self.b(x)) + x.mean()

    model, x = Net().eval(), torch.randn(1, 3, 8, 8)
    ours = optimize(model, x)
    close(ours(x), model(x).detach())
    assert [layer.joined for layer in ours.report.layers] == [["add", "ReLU"], []]


def test_a_nan_stays_one():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    x = torch.tensor([[[[float("nan"), float("inf"), -1.0]]]])
    torch.testing.assert_close(optimize(model, x)(x), model.eval()(x).detach(), equal_nan=True)


class Branching(nn.Module):
    """What torch.fx cannot trace: Python asks the data."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.again = self.conv

    def forward(self, x):
        if x.sum() > 1e9:
            return x
        return self.norm(self.conv(x)).relu() + self.again(x)

    def name(self):
        return "mine"


def test_models_that_cannot_be_traced():
    model, x = trained(Branching()).eval(), torch.randn(1, 3, 8, 8)
    ours = optimize(model, x)
    close(ours(x), model(x))
    assert ours.name() == "mine"
    assert ours.conv is ours.again
    assert isinstance(ours.conv, Packed)
    assert not ours.report.layers[0].joined
    assert "nothing was fused: torch.fx cannot trace the model (TraceError" in str(ours.report)


def test_a_model_of_one_layer():
    layer, x = nn.Conv2d(3, 4, 3, stride=2), torch.randn(3, 8, 8)
    close(optimize(layer, x)(x), layer(x).detach())


def test_several_inputs_and_results():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x, scale=1.0, *, shift=None):
            return {"y": self.conv(x) * scale, "pair": (x, None)}

    x, scale = torch.randn(1, 3, 5, 5), torch.tensor(2.0)
    model = Net()
    ours = optimize(model, (x, scale))
    close(ours(x, scale)["y"], model(x, scale)["y"].detach())


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.bfloat16, torch.complex64], ids=str
)
def test_other_types(dtype):
    layers = [nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 2, 3, 2)]
    model = nn.Sequential(*layers).to(dtype).eval()
    x = torch.randn(1, 3, 6, 6, dtype=dtype)
    ours = optimize(model, x)
    assert ours(x).dtype == dtype
    assert len(ours.report.replaced) == 2
    close(ours(x), model(x).detach(), {torch.bfloat16: 0.05, torch.float16: 0.01}.get(dtype, 1e-4))


def test_channels_last():
    model = trained(resnet()).eval().to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 16, 16).to(memory_format=torch.channels_last)
    ours = optimize(model, x)
    close(ours(x), model(x))
    assert ours(x).is_contiguous()  # three channels are copied, for all that follows


def test_many_channels_stay_last():
    x = torch.randn(2, 16, 7, 9).to(memory_format=torch.channels_last)
    model = nn.Sequential(nn.Conv2d(16, 24, 3, padding=1), nn.ReLU())
    y = optimize(model, x)(x)
    close(y, model(x))
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_output_size_of_a_transpose():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1)

        def forward(self, x):
            return self.up(x, output_size=(1, 2, 8, 7))

    x, model = torch.randn(1, 3, 4, 4), Net()
    ours = optimize(model, x)
    assert len(ours.report.replaced) == 1
    close(ours(x), model(x).detach())


def test_weights_that_are_not_plain():
    model = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)),
        nn.utils.parametrizations.spectral_norm(nn.ConvTranspose2d(4, 3, 3)),
    ).eval()
    x = torch.randn(1, 3, 8, 8)
    ours = optimize(model, x)
    assert len(ours.report.replaced) == 2
    close(ours(x), model(x).detach())


def test_weights_written_to_are_packed_again():
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3)).eval(), torch.randn(1, 3, 8, 8)
    ours = optimize(model, x)
    other = nn.Sequential(nn.Conv2d(3, 4, 3))
    ours.load_state_dict(other.state_dict())
    close(ours(x), other(x).detach())
    for _ in range(3):  # new tensors, perhaps where the old ones were
        other = nn.Sequential(nn.Conv2d(3, 4, 3))
        ours.load_state_dict({k: v.clone() for k, v in other.state_dict().items()}, assign=True)
        close(ours(x), other(x).detach())
    close(ours.double()(x.double()), other.double()(x.double()).detach())


def test_few_sizes_are_kept():
    ours = optimize(nn.Sequential(nn.Conv2d(1, 1, 3)), torch.randn(1, 1, 8, 8))
    (layer,) = (m for m in ours.modules() if isinstance(m, Packed))
    for n in range(5, 30):
        ours(torch.randn(1, 1, n, 5))
    assert len(layer._packs) == cyconv.torch.packed.PLANS


def test_gradients_flow_to_the_input():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
        nn.ReLU6(),
        nn.ConvTranspose2d(4, 2, 3, 2, 1, 1),
    ).eval()
    ours = optimize(model, torch.randn(1, 3, 8, 8))
    x = torch.randn(1, 3, 8, 8, requires_grad=True)
    grads = [torch.autograd.grad(m(x).pow(2).sum(), x)[0] for m in (ours, model)]
    close(*grads)


def test_compiled_exported_mapped_traced_and_under_autocast():
    model = trained(nn.Sequential(*block(3, 4), nn.ConvTranspose2d(4, 2, 2, 2))).eval()
    x = torch.randn(2, 3, 8, 8)
    ours = optimize(model, x)
    wanted = model(x).detach()
    close(torch.compile(ours, fullgraph=True, backend="aot_eager")(x), wanted)
    close(torch.export.export(ours, (x,)).module()(x), wanted)
    close(torch.vmap(ours)(x[:, None])[:, 0], wanted)
    script = torch.jit.trace(ours, x)
    close(script(x + 1), model(x + 1).detach())
    with torch.autocast("cpu"):
        assert ours(x).dtype == torch.bfloat16


def test_copies_and_pickles():
    model, x = trained(nn.Sequential(*block(3, 4))).eval(), torch.randn(1, 3, 8, 8)
    ours = optimize(model, x)
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        close(other(x), ours(x))
    assert "PackedConvolution(3 x 3" in str(ours)


def test_threads():
    model, x = nn.Conv2d(3, 4, 3), torch.randn(1, 3, 8, 8)
    ours = optimize(model, x, threads=2)
    assert ours.report.layers[0].packed.threads_now() == 2
    assert np.array_equal(ours(x).numpy(), optimize(model, x, threads=1)(x).numpy())


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((torch.relu, None), TypeError, "model must be a torch.nn.Module"),
        ((nn.ReLU(), torch.ones(1), "good"), ValueError, "accuracy must be"),
        ((nn.ReLU(), torch.ones(1), "fast", 0), ValueError, "threads must be >= 1"),
    ],
)
def test_errors(arguments, error, says):
    with pytest.raises(error, match=f"^optimize: {says}"):
        optimize(*arguments)
