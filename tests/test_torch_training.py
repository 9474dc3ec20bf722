"""Training by `cyconv.torch` follows the curve of the loss that PyTorch has."""

import pytest

import cyconv

torch = pytest.importorskip("torch")
pytest.importorskip("ml_dtypes")
nn = torch.nn

STEPS = 50


@pytest.fixture(autouse=True)
def _one_thread():
    """Layers so small are slower on several, most of all on a machine that has other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Conv(nn.Conv2d):
    """Conv2d, computed by cyconv."""

    def forward(self, x):
        rest = self.stride, self.padding, self.dilation, self.groups
        return cyconv.torch.conv2d(x, self.weight, self.bias, *rest)


class Residual(nn.Module):
    """A block as ResNet-18 has it."""

    def __init__(self, conv, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            conv(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            conv(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(
                conv(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet(conv, width=8):
    """ResNet-18, eight times as narrow."""
    layers = [conv(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    inputs = width
    for level in range(4):
        for stride in (2 if level else 1, 1):
            layers.append(Residual(conv, inputs, width << level, stride))
            inputs = width << level
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def losses(conv, dtype, rate, momentum, layout=torch.contiguous_format):
    """The loss before each step."""
    torch.manual_seed(0)
    model = resnet(conv).to(dtype).to(memory_format=layout)
    x = torch.randn(64, 3, 16, 16, dtype=dtype).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (64,))
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum)
    curve = []
    for step in range(STEPS):
        which = (torch.arange(16) + 16 * step) % 64
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[which]), labels[which])
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    return torch.tensor(curve, dtype=torch.float64)


def test_the_curve_in_float64():
    """As fast as one trains: what differs is rounding, and a wrong gradient would show."""
    theirs = losses(nn.Conv2d, torch.float64, 0.01, 0.9)
    ours = losses(Conv, torch.float64, 0.01, 0.9)
    assert theirs[-8:].mean() < 0.5 * theirs[0]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_curve_in_float32(layout):
    """At a rate at which rounding does not grow: PyTorch's two layouts agree there as well."""
    given = torch.float32, 1e-4, 0.0
    theirs = losses(nn.Conv2d, *given)
    assert theirs[-8:].mean() < theirs[:8].mean() - 0.05
    for conv in (nn.Conv2d, Conv):
        torch.testing.assert_close(losses(conv, *given, layout), theirs, rtol=0, atol=1e-3)
