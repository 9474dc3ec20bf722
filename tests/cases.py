"""One table of named problems, from a single cell to a few hundred channels.

Every test that runs "on all problems" takes them from here, so a new row reaches every algorithm,
dtype and instruction set at once. The rank is that of the kernel, so rows of rank 3 to 5 fit too.
"""

import os
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pytest

import cyconv

from . import oracle
from .variants import WAYS, Way, label, reason

FUNCTIONS = {1: "conv1d", 2: "conv2d", 3: "conv3d"}
ALGORITHMS = cyconv.planning.registry.names()
DTYPES = ("float32", "float64")
TIMES = int(os.environ.get("CYCONV_TEST_TIMES", "1"))
"""How many times the usual number of random problems is drawn."""


TOGETHER = 10
"""Seeds that one item runs, where there are many: what pytest does for each item takes longer than
a small problem."""


def seeds(count, first=0, full=0):
    """Parametrize a test by `count` seeds, from `first` on, TIMES over; by `full` with --full.

    The test is called with each of its item's seeds: `pytest_pyfunc_call` of conftest does that.
    """

    def items(begin, end, marks=()):
        step = TOGETHER if end - begin > 2 * TOGETHER else 1
        for start in range(begin, end, step):
            some = range(start, min(start + step, end))
            name = str(start) if step == 1 else f"{start}..{some[-1]}"
            yield pytest.param(some, marks=marks, id=name)

    middle, end = first + TIMES * count, first + TIMES * full
    return pytest.mark.parametrize(
        "seed", [*items(first, middle), *items(middle, end, pytest.mark.full)]
    )


@dataclass(frozen=True)
class Case:
    """A convolution problem with a name; its data follow from the name."""

    name: str
    x: tuple
    w: tuple
    stride: int | tuple = 1
    padding: int | str | tuple = 0
    dilation: int | tuple = 1
    groups: int = 1
    padding_mode: str = "zeros"
    flip: bool = False
    bias: bool = True

    @property
    def rank(self):
        return len(self.w) - 2

    @property
    def geometry(self):
        """Keyword arguments that the product and the oracle both understand."""
        geometry = {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }
        if self.padding_mode != "zeros":
            geometry["padding_mode"] = self.padding_mode
        if self.flip:
            geometry["flip"] = True
        return geometry

    @property
    def seed(self):
        return crc32(self.name.encode())

    def problem(self, dtype):
        return cyconv.Problem(self.x, self.w, dtype=dtype, **self.geometry)

    def reasons(self, dtype):
        """`{algorithm: None or why it can't}`."""
        return cyconv.algorithms(self.problem(dtype))

    def data(self, dtype):
        """Normal `(x, w, bias)`, the same on every run."""
        rng = np.random.default_rng(self.seed)
        x, w, b = (rng.standard_normal(s).astype(dtype) for s in (self.x, self.w, self.w[0]))
        return x, w, b if self.bias else None

    def integers(self, dtype):
        """Integer-valued `(x, w, bias)`: every sum of products is exact in float32."""
        rng = np.random.default_rng(self.seed)
        x, w, b = (rng.integers(-8, 9, s).astype(dtype) for s in (self.x, self.w, self.w[0]))
        return x, w, b if self.bias else None

    def run(self, x, w, bias, **options):
        """The product's answer, through the function of this rank."""
        function = getattr(cyconv, FUNCTIONS.get(self.rank, "conv"))
        return function(x, w, bias, **self.geometry, **options)

    def expected(self, x, w, bias, **options):
        """The oracle's answer."""
        return oracle.conv(x, w, bias, **self.geometry, **options)

    def __str__(self):
        return self.name


# Output widths from 1 to 33 pass every remainder of 2, 4, 8 and 16 lanes, and of 6 x 16 tiles.
WIDTHS = [Case(f"width_{n}", (1, 2, 3, n), (5, 2, 3, 3), padding=1) for n in range(1, 34)]
# Output channels from 1 to 13 pass every remainder of a block of 6, 8 or 12.
CHANNELS_OUT = [Case(f"channels_out_{k}", (1, 3, 6, 7), (k, 3, 3, 3)) for k in range(1, 14)]
LENGTHS = [Case(f"length_{n}", (2, 3, n), (4, 3, 5), padding=2) for n in (1, 2, 7, 8, 9, 31, 64)]

SHAPES = [
    Case("one_cell", (1, 1, 1, 1), (1, 1, 1, 1)),
    Case("one_window", (1, 1, 3, 3), (1, 1, 3, 3)),
    Case("worked_5x5", (1, 1, 5, 5), (1, 1, 3, 3), bias=False),
    Case("odd_5x7", (2, 3, 11, 13), (4, 3, 5, 7)),
    Case("even_2x2", (1, 3, 8, 9), (4, 3, 2, 2)),
    Case("even_4x6", (2, 2, 9, 14), (3, 2, 4, 6), padding=2),
    Case("pointwise", (2, 16, 7, 9), (10, 16, 1, 1)),
    Case("pointwise_strided", (1, 8, 9, 9), (6, 8, 1, 1), stride=2),
    Case("pointwise_padded", (1, 4, 5, 6), (3, 4, 1, 1), padding=2),
    Case("row_1x7", (1, 3, 6, 20), (4, 3, 1, 7), padding=(0, 3)),
    Case("column_7x1", (1, 3, 20, 6), (4, 3, 7, 1), padding=(3, 0)),
    Case("row_1x3", (1, 5, 6, 20), (4, 5, 1, 3), padding=(0, 1)),
    Case("large_15x15", (1, 1, 24, 27), (1, 1, 15, 15), padding=7),
    Case("large_31x31", (1, 2, 33, 40), (3, 2, 31, 31)),
    Case("one_channel", (1, 1, 40, 64), (1, 1, 3, 3), padding=1),
    Case("one_channel_in", (2, 1, 12, 17), (8, 1, 5, 5)),
    Case("one_channel_out", (2, 9, 12, 17), (1, 9, 3, 3)),
    Case("tall", (1, 2, 200, 3), (3, 2, 3, 3), padding=1),
    Case("wide", (1, 2, 3, 3000), (3, 2, 3, 3), padding=1),
    Case("batch", (5, 4, 6, 6), (7, 4, 3, 3), padding=1),
    Case("batch_of_single_windows", (9, 4, 3, 3), (7, 4, 3, 3)),
    Case("unbatched", (4, 6, 8), (7, 4, 3, 3), padding=1),
    Case("without_bias", (2, 3, 7, 8), (4, 3, 3, 3), bias=False),
]

GEOMETRIES = [
    Case("kernel_over_image", (1, 2, 2, 3), (3, 2, 5, 7), padding=(2, 3)),
    Case("kernel_on_padding_only", (1, 2, 1, 1), (3, 2, 3, 3), padding=4),
    Case("padding_over_kernel", (1, 2, 4, 5), (3, 2, 3, 3), padding=(5, 6)),
    Case("per_side", (1, 3, 8, 9), (4, 3, 3, 3), padding=((2, 0), (1, 3))),
    Case("per_side_strided", (1, 3, 8, 9), (4, 3, 3, 5), stride=(2, 3), padding=((0, 2), (4, 1))),
    Case("valid", (1, 3, 8, 9), (4, 3, 3, 3), padding="valid"),
    Case("same", (1, 3, 8, 9), (4, 3, 4, 3), padding="same"),
    Case("same_strided", (1, 3, 8, 9), (4, 3, 3, 3), stride=2, padding="same"),
    Case("row_of_outputs", (1, 2, 3, 200), (1, 2, 3, 3)),
    Case("row_left_over", (1, 1, 25, 304), (1, 1, 5, 5)),
    Case("row_depthwise", (2, 3, 7, 130), (3, 1, 7, 7), groups=3),
    Case("row_strided", (1, 2, 4, 300), (2, 2, 3, 3), stride=2),
    Case("dilated_far", (1, 2, 9, 10), (3, 2, 3, 3), padding=40, dilation=40),
    Case("same_lower", (1, 3, 8, 9), (4, 3, 4, 3), stride=(1, 2), padding="same_lower"),
    Case("stride_2", (2, 3, 13, 18), (7, 3, 3, 3), stride=2, padding=1),
    Case("stride_3x1", (1, 3, 13, 18), (4, 3, 3, 3), stride=(3, 1)),
    Case("stride_1x4", (1, 3, 13, 40), (4, 3, 5, 5), stride=(1, 4), padding=2),
    Case("stride_over_kernel", (1, 3, 17, 19), (4, 3, 2, 2), stride=(4, 3)),
    Case("stride_over_image", (1, 2, 5, 6), (3, 2, 3, 3), stride=50),
    Case("stem_7x7", (1, 3, 32, 41), (8, 3, 7, 7), stride=2, padding=3),
    Case("dilation_2", (1, 3, 13, 18), (4, 3, 3, 3), padding=2, dilation=2),
    Case("dilation_3x1", (1, 3, 17, 18), (4, 3, 3, 5), padding=((1, 4), 2), dilation=(3, 1)),
    Case("dilation_strided", (2, 3, 21, 22), (4, 3, 3, 3), stride=(2, 3), dilation=(2, 4)),
    Case("dilation_on_padding", (1, 2, 3, 4), (3, 2, 3, 3), padding=9, dilation=8),
]

BORDERS = [
    Case("border_reflect", (2, 3, 9, 10), (4, 3, 3, 3), padding=2, padding_mode="reflect"),
    Case("border_replicate", (1, 3, 5, 6), (4, 3, 5, 3), padding=(9, 1), padding_mode="replicate"),
    Case(
        "border_circular", (1, 2, 9, 7), (3, 2, 3, 3), padding=((1, 3), 2), padding_mode="circular"
    ),
    Case(
        "border_symmetric",
        (1, 2, 9, 7),
        (3, 2, 3, 4),
        stride=2,
        padding=3,
        padding_mode="symmetric",
    ),
    Case("border_line", (1, 2, 19), (3, 2, 7), padding=((6, 2),), padding_mode="reflect"),
    Case("flipped", (2, 3, 9, 10), (4, 3, 3, 3), padding=1, flip=True),
    Case("flipped_even", (1, 4, 9, 10), (4, 2, 2, 5), dilation=2, groups=2, flip=True),
    Case(
        "flipped_border", (1, 3, 9, 10), (4, 3, 3, 3), padding=1, padding_mode="circular", flip=True
    ),
]

GROUPS = [
    Case("groups_2", (2, 6, 9, 10), (8, 3, 3, 3), padding=1, groups=2),
    Case("groups_3_strided", (1, 9, 9, 10), (6, 3, 3, 5), stride=2, padding=2, groups=3),
    Case("groups_dilated", (1, 4, 12, 11), (6, 2, 3, 3), dilation=2, groups=2),
    Case("groups_pointwise", (1, 12, 5, 7), (9, 4, 1, 1), groups=3),
    Case("depthwise", (2, 13, 9, 17), (13, 1, 3, 3), padding=1, groups=13),
    Case("depthwise_strided", (1, 8, 15, 16), (8, 1, 3, 3), stride=2, padding=1, groups=8),
    Case("depthwise_5x5", (1, 6, 15, 16), (6, 1, 5, 5), padding=2, dilation=(1, 2), groups=6),
    Case("depthwise_multiplier", (2, 5, 8, 9), (15, 1, 3, 3), padding=1, groups=5),
]

EMPTY = [
    Case("no_images", (0, 3, 8, 9), (4, 3, 3, 3), padding=1),
    Case("no_channels", (2, 0, 8, 9), (4, 0, 3, 3), padding=1),
    Case("no_channels_no_bias", (2, 0, 5), (4, 0, 3), bias=False),
    Case("no_cells", (2, 3, 0, 5), (4, 3, 3, 3), padding=2),
]

LINES = [
    Case("line", (2, 3, 50), (4, 3, 3), padding=1),
    Case("line_long", (1, 1, 20_000), (1, 1, 9)),
    Case("line_long_kernel", (1, 2, 3000), (3, 2, 501), padding=250),
    Case("line_wavenet", (2, 8, 200), (8, 8, 2), padding=((16, 0),), dilation=16),
    Case("line_strided", (2, 3, 101), (4, 3, 10), stride=5),
    Case("line_depthwise", (2, 6, 77), (6, 1, 5), stride=2, padding=2, groups=6),
    Case("line_same", (1, 3, 10), (2, 3, 4), stride=3, padding="same"),
    Case("line_unbatched", (3, 20), (4, 3, 3)),
]

VOLUMES = [
    Case("volume", (2, 3, 6, 9, 10), (4, 3, 3, 3, 3), padding=1),
    Case("volume_one_cell", (1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
    Case("volume_strided", (1, 4, 7, 9, 8), (6, 2, 2, 3, 4), (2, 1, 3), (1, (0, 2), 2), groups=2),
    Case("volume_dilated", (1, 2, 9, 7, 8), (3, 2, 3, 2, 3), padding=(3, 0, 2), dilation=(4, 1, 2)),
    Case("volume_depthwise", (1, 3, 5, 6, 7), (6, 1, 3, 3, 3), padding=1, groups=3),
    Case("volume_border", (1, 2, 5, 6, 7), (3, 2, 3, 3, 3), padding=2, padding_mode="reflect"),
    Case("volume_unbatched", (2, 5, 6, 7), (3, 2, 2, 3, 3)),
    Case("rank_4", (1, 2, 4, 5, 6, 5), (3, 2, 2, 3, 3, 3), (1, 2, 1, 1), ((1, 0), 1, 1, (0, 2))),
    Case(
        "rank_5", (1, 2, 3, 4, 3, 4, 5), (2, 2, 2, 2, 3, 1, 3), padding=1, dilation=(1, 2, 1, 1, 2)
    ),
]

# Winograd's tiles meet every parity of the output, every remainder of a panel and split channels.
TILES = [
    Case("tiles_1x1", (1, 3, 3, 3), (8, 3, 3, 3)),
    Case("tiles_odd", (2, 5, 9, 11), (7, 5, 3, 3), padding=1),
    Case("tiles_even", (1, 8, 16, 12), (12, 8, 3, 3), padding=1),
    Case("tiles_mixed", (3, 4, 7, 10), (6, 4, 3, 3), padding=((0, 1), (2, 0))),
    Case("tiles_resnet_7", (2, 64, 7, 7), (48, 64, 3, 3), padding=1),
    Case("tiles_resnet_14", (1, 40, 14, 14), (64, 40, 3, 3), padding=1),
    Case("tiles_vgg_28", (1, 32, 28, 28), (33, 32, 3, 3), padding=1),
    Case("tiles_first_layer", (1, 3, 57, 61), (64, 3, 3, 3), padding=1),
    Case("tiles_grouped", (1, 24, 13, 15), (20, 12, 3, 3), padding=1, groups=2),
]

BLOCKS = [
    Case("channels_300", (1, 300, 9, 10), (31, 300, 3, 3), padding=1),
    Case("channels_520_pointwise", (1, 520, 6, 7), (130, 520, 1, 1)),
    Case("channels_out_500", (1, 17, 8, 8), (500, 17, 3, 3), padding=1),
    Case("channels_300_5x5", (1, 300, 7, 9), (13, 300, 5, 5), stride=2, padding=2),
    Case("channels_1100_line", (1, 1100, 12), (9, 1100, 3)),
]

CASES = [
    *SHAPES,
    *GEOMETRIES,
    *BORDERS,
    *GROUPS,
    *EMPTY,
    *LINES,
    *VOLUMES,
    *TILES,
    *BLOCKS,
    *WIDTHS,
    *CHANNELS_OUT,
    *LENGTHS,
]

assert len({case.name for case in CASES}) == len(CASES), "two cases share a name"


def named(*names):
    """The rows of these names, in this order."""
    table = {case.name: case for case in CASES}
    return [table[name] for name in names]


def _parameters(wanted, cases, dtypes, algorithms):
    return pytest.mark.parametrize(
        ("algorithm", "case", "dtype"),
        [
            pytest.param(way, case, dtype, id=f"{label(way)}-{case}-{dtype}")
            for case in cases
            for dtype in dtypes
            for problem in [case.problem(dtype)]
            for way in algorithms
            if wanted(reason(problem, way))
        ],
    )


def supported(cases, dtypes=DTYPES, algorithms=WAYS):
    """Runs a test of `(algorithm, case, dtype)` on all that the registry can do, in every way."""
    return _parameters(lambda reason: reason is None, cases, dtypes, algorithms)


def refused(cases, dtypes=DTYPES):
    """Runs a test of `(algorithm, case, dtype)` on all that the registry can't do."""
    names = [Way(name) for name in ALGORITHMS]
    return _parameters(lambda reason: reason is not None, cases, dtypes, names)
