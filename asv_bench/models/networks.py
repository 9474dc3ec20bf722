"""Five known networks for inference and one for training, as their papers have them.

Statistics of batch normalisation are as training leaves them, not all 0 and 1.
"""

import torch
from torch import nn
from torch.nn import functional as F

from cyconv.cli.graph import MOBILENET_V2


def block(inputs, outputs, kernel=3, stride=1, groups=1, activation=nn.ReLU, conv=nn.Conv2d):
    """Convolution, batch normalisation and perhaps an activation."""
    layers = [
        conv(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


def vgg16():
    """Thirteen convolutions of 3 x 3 and three dense layers."""
    layers, inputs = [], 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    dense = [nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout()]
    dense += [nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(), nn.Linear(4096, 1000)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten(), *dense)


class Residual(nn.Module):
    """relu(body(x) + x), with a 1 x 1 convolution of x where shapes differ."""

    def __init__(self, body, inputs, outputs, stride, conv=nn.Conv2d):
        super().__init__()
        self.body, self.relu = body, nn.ReLU(inplace=True)
        self.shortcut = None
        if stride > 1 or inputs != outputs:
            self.shortcut = block(inputs, outputs, 1, stride, activation=None, conv=conv)

    def forward(self, x):
        """Sum and bound."""
        y = self.body(x)
        y += x if self.shortcut is None else self.shortcut(x)
        return self.relu(y)


def resnet50():
    """Bottlenecks of 1 x 1, 3 x 3, 1 x 1."""
    layers, inputs = [block(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for width, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for first in [stride] + [1] * (depth - 1):
            body = nn.Sequential(
                block(inputs, width, 1),
                block(width, width, 3, first),
                block(width, 4 * width, 1, activation=None),
            )
            layers.append(Residual(body, inputs, 4 * width, first))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


class Inverted(nn.Module):
    """1 x 1 wider, 3 x 3 in each channel, 1 x 1 narrower, and the input added."""

    def __init__(self, inputs, outputs, stride, factor):
        super().__init__()
        wide = inputs * factor
        widen = [block(inputs, wide, 1, activation=nn.ReLU6)] if factor > 1 else []
        self.body = nn.Sequential(
            *widen,
            block(wide, wide, 3, stride, wide, nn.ReLU6),
            block(wide, outputs, 1, activation=None),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        """With its input where it has the same shape."""
        return x + self.body(x) if self.adds else self.body(x)


def mobilenet_v2():
    """Seventeen inverted residuals."""
    layers, inputs = [block(3, 32, 3, 2, activation=nn.ReLU6)], 32
    for factor, width, depth, stride in MOBILENET_V2:
        for first in [stride] + [1] * (depth - 1):
            layers.append(Inverted(inputs, width, first, factor))
            inputs = width
    layers += [block(inputs, 1280, 1, activation=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(1280, 1000))


class UNet(nn.Module):
    """Down by pools, up by transposed convolutions, and connections across."""

    def __init__(self, width=32, depth=4):
        super().__init__()
        widths = [width << level for level in range(depth + 1)]
        self.down = nn.ModuleList(map(self._two, [3, *widths], widths))
        upward = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList([nn.ConvTranspose2d(i, o, 2, 2) for i, o in upward])
        self.merge = nn.ModuleList([self._two(2 * o, o) for _, o in upward])
        self.last = nn.Conv2d(width, 2, 1)

    @staticmethod
    def _two(inputs, outputs):
        return nn.Sequential(block(inputs, outputs), block(outputs, outputs))

    def forward(self, x):
        """Two classes for each pixel."""
        across = []
        for level, layer in enumerate(self.down):
            x = layer(F.max_pool2d(x, 2) if level else x)
            across.append(x)
        across.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), across.pop()], 1))
        return self.last(x)


def generator():
    """The generator of a DCGAN: transposed convolutions of 4 x 4."""
    layers, inputs = [], 100
    for width, stride, padding in ((512, 1, 0), (256, 2, 1), (128, 2, 1), (64, 2, 1)):
        conv = nn.ConvTranspose2d(inputs, width, 4, stride, padding, bias=False)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU(True)]
        inputs = width
    return nn.Sequential(*layers, nn.ConvTranspose2d(inputs, 3, 4, 2, 1, bias=False), nn.Tanh())


def resnet18(conv=nn.Conv2d, width=64, classes=10):
    """ResNet-18 for small images, without the first stride and pool; of layers `conv`."""
    layers, inputs = [block(3, width, conv=conv)], width
    for level in range(4):
        for stride in (2 if level else 1, 1):
            outputs = width << level
            body = nn.Sequential(
                block(inputs, outputs, 3, stride, conv=conv),
                block(outputs, outputs, activation=None, conv=conv),
            )
            layers.append(Residual(body, inputs, outputs, stride, conv))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


NETWORKS = {
    "vgg16": (vgg16, (1, 3, 224, 224)),
    "resnet50": (resnet50, (1, 3, 224, 224)),
    "mobilenet_v2": (mobilenet_v2, (1, 3, 224, 224)),
    "unet": (UNet, (1, 3, 256, 256)),
    "generator": (generator, (1, 100, 1, 1)),
}


def trained(model):
    """`model` in evaluation, with weights and statistics that keep the signal's size."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight)
    return model.eval()
