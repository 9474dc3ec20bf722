"""Parameters and FLOPs of VGG-16 and ResNet-50, layer by layer, from `cyconv.Problem` alone.
==========================================================================================

A Problem knows its output shape, weights and operations without an array. The layers are those that
the benchmarks measure; a dense layer is a convolution whose kernel is as large as its map. FLOPs
count a multiply and an add as two, for one image of 224 x 224.
"""

import runpy
from collections import Counter

import numpy as np
from gallery import ROOT, arguments, panels, save
from matplotlib.patches import Patch

import cyconv

COLOURS = {"1 x 1": "C0", "3 x 3 or 7 x 7": "C1", "dense": "C2"}
SHAPES = ROOT / "asv_bench" / "benchmarks" / "shapes.py"


def networks():
    """{name: (convolutions, dense layers, parameters beside the weights for each filter)}.

    VGG-16 has a bias for each filter; ResNet-50 a scale and a shift, in the batch norm.
    """
    shapes = runpy.run_path(str(SHAPES))

    def problems(name):
        return [cyconv.Problem(each.x, each.w, **each.geometry) for each in shapes[name]()]

    def dense(*sizes):
        return [cyconv.Problem((1, c, n, n), (k, c, n, n)) for c, n, k in sizes]

    return {
        "VGG-16": (problems("_vgg16"), dense((512, 7, 4096), (4096, 1, 4096), (4096, 1, 1000)), 1),
        "ResNet-50": (problems("_resnet50"), dense((2048, 1, 1000)), 2),
    }


def table(layers):
    """Lines of the table, equal layers counted together."""
    columns = "{:>3}{:>14}{:>17}{:>7}{:>14}{:>13}{:>7}".format
    yield columns("", "input", "weights", "stride", "output", "parameters", "MFLOP")
    for p, count in Counter(layers).items():
        sizes = ["x".join(map(str, s)) for s in (p.x_shape[1:], p.w_shape, p.output_shape[1:])]
        counts = f"{p.parameters:,}", f"{p.flops / 1e6:,.0f}"
        yield columns(f"{count} x", *sizes[:2], p.stride[0], sizes[2], *counts)


def totals(convolutions, dense, beside):
    """Weights of the convolutions, parameters of everything, multiply-adds of everything."""
    weights = sum(p.parameters for p in convolutions)
    everything = weights + sum(beside * p.filters for p in convolutions)
    everything += sum(p.parameters_with_bias for p in dense)
    return weights, everything, sum(p.flops for p in convolutions + dense) // 2


def draw(axes, layers, colours, name, parameters, products):
    """Two bars for each layer: operations above, weights below."""
    numbers = np.arange(1, len(layers) + 1)
    axes[0].bar(numbers, [p.flops / 1e9 for p in layers], color=colours)
    axes[0].set(title=f"{name}: {2 * products / 1e9:.1f} GFLOP", ylabel="GFLOP")
    axes[1].bar(numbers, [p.parameters / 1e6 for p in layers], color=colours)
    axes[1].set(title=f"{parameters / 1e6:.1f} million parameters", ylabel="million", yscale="log")
    axes[1].set_xlabel("layer")


def main(argv=None):
    """Print the tables and totals, draw, save."""
    args = arguments(__doc__, argv)
    found = {}
    figure, axes = panels(2, 2, 10, 5.2, width_ratios=[16, 54], sharex="col")
    for column, (name, (convolutions, dense, beside)) in enumerate(networks().items()):
        found[name] = weights, parameters, products = totals(convolutions, dense, beside)
        print(f"{name}: {parameters:,} parameters, {weights:,} of them weights of convolutions;")
        print(f"{products:,} multiply-adds an image, {2 * products / 1e9:.2f} GFLOP")
        if not args.small:
            print(*table(convolutions + dense), "", sep="\n")
        kinds = ["1 x 1" if p.kernel == (1, 1) else "3 x 3 or 7 x 7" for p in convolutions]
        colours = [COLOURS[kind] for kind in kinds + ["dense"] * len(dense)]
        draw(axes[:, column], convolutions + dense, colours, name, parameters, products)
    # The parameters are those that torchvision lists for its models, to the last digit.
    assert found == {
        "VGG-16": (14_710_464, 138_357_544, 15_470_264_320),
        "ResNet-50": (23_454_912, 25_557_032, 4_089_184_256),
    }
    handles = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    save(figure, args.out, "network_tables")
    return found


if __name__ == "__main__":
    main()
