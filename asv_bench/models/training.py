"""A training step of ResNet-18 with cyconv's convolutions, and with PyTorch's in both layouts.

    python asv_bench/models/training.py [--width 64] [--batch 8] [--size 64] [--threads 1]

A step is forward, loss, backward and the optimiser's update.
"""

import argparse

import torch
from networks import resnet18
from torch import nn
from turns import add_arguments, begin, medians

import cyconv.torch


class Conv(nn.Conv2d):
    """Conv2d, computed by cyconv."""

    def forward(self, x):
        """The same arguments by another function."""
        rest = self.stride, self.padding, self.dilation, self.groups
        return cyconv.torch.conv2d(x, self.weight, self.bias, *rest)


def step(model, x, labels):
    """A function that takes one step of stochastic gradient descent."""
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def call():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return call


def main():
    """Measure, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64, help="channels of the first layer")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=64, help="of the images")
    add_arguments(parser)
    args = parser.parse_args()
    begin(args)
    x, labels = torch.randn(args.batch, 3, args.size, args.size), torch.arange(args.batch) % 10
    calls = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        for name, conv in (("ours", Conv), ("torch", nn.Conv2d)):
            model = resnet18(conv, args.width).to(memory_format=layout)
            key = name if layout is torch.contiguous_format else f"{name} last"
            calls[key] = step(model, x.contiguous(memory_format=layout), labels)
    times = medians(calls, args.turns, args.cpu_time)
    own = min(times["ours"], times["ours last"])
    better = min(times["torch"], times["torch last"])
    ratios = ", ".join(f"{name} {ms / own:.2f}" for name, ms in times.items())
    print(
        f"ResNet-18 of width {args.width}, batch {args.batch}, {args.size} x {args.size}: "
        f"{own:.1f} ms; {ratios}, better torch {better / own:.2f}"
    )


if __name__ == "__main__":
    main()
