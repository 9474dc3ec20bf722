"""The constants of the cost model: what a processor takes for each kind of work.

Five groups make one record, `Constants`. Their values are in a file of one line a constant
(:mod:`cyconv.planning.model`), which ``cyconv tune --model`` writes for another machine. Here each
constant has its unit, its meaning and its origin. A share is of the rate that its unit names; rates
and times are those of float32. A fit changes the groups in place.
"""

from dataclasses import dataclass, field, fields
from typing import ClassVar

FITTED = "fitted to the times of random convolutions"
SOLVED = "solved from the time of one convolution that is nearly all arithmetic"
CHOSEN = "chosen by trials of one kernel; a fit keeps it"


def _of(unit, means, parts=(), origin=FITTED):
    """One constant, described; with `parts`, so many numbers of these names."""
    return field(metadata={"unit": unit, "means": means, "parts": parts, "origin": origin})


class Group:
    """What the groups have in common: who keeps a copy of their numbers is told of a change."""

    changed: ClassVar = []  # functions to call

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        for tell in Group.changed:
            tell()


@dataclass(eq=False, repr=False)
class Arithmetic(Group):
    """Rates of the kernels that multiply and add, and what they take to begin."""

    peak: dict = _of(  # noqa: RUF009 (a field of its own)
        "FLOP/s",
        "Largest rate of one core in float32, by instruction set.",
        parts=("baseline", "avx2", "avx512", "neon"),
        origin=SOLVED,
    )
    integer_share: float = _of(
        "share of peak",
        "Largest rate of one core in integers, whose products take more instructions.",
        origin=SOLVED,
    )
    tile_shares: tuple = _of(
        "share of peak",
        "Rates of the matrix kernel, by the filters of a register tile.",
        parts=("1 filter", "2 filters", "3 filters", "4 filters", "5 filters", "6 filters"),
    )
    tile_seconds: float = _of("seconds", "Time to begin and to store one register tile.")
    offsets_share: float = _of(
        "share of the matrix kernel's rate",
        "Rate of the matrix kernel where it reads a strip through a table of offsets.",
    )
    winograd_share: float = _of(
        "share of the matrix kernel's rate",
        "Rate of Winograd's products, which read and write transformed tiles.",
    )
    stencil_shares: tuple = _of(
        "share of peak",
        "Rates of the stencil kernel, which takes filters one at a time, by the taps of a column.",
        parts=("1 tap", "2 or 3 taps", "4 taps and more"),
    )
    stencil_strip_seconds: float = _of("seconds", "Time of the stencil kernel to begin one strip.")
    stencil_row_seconds: float = _of(
        "seconds", "Time of the stencil kernel to begin one row of outputs of one filter."
    )
    image3_shares: tuple = _of(
        "share of peak",
        "Rates of 3 x 3 taps on one plane, read from the image itself, by stride.",
        parts=("stride 1", "stride 2"),
    )
    gradient3_shares: tuple = _of(
        "share of peak",
        "Rates of the gradient of 3 x 3 weights on one plane, by stride.",
        parts=("stride 1", "stride 2"),
        origin=CHOSEN,
    )
    gradient3_taps: int = _of(
        "taps",
        "Least size of the plane of output gradients for which the gradient of 3 x 3 weights has "
        "its own kernel.",
        origin=CHOSEN,
    )
    plane_seconds: float = _of(
        "seconds", "Time to begin one plane of 3 x 3 taps, or of their gradient."
    )
    blas_share: float = _of("share of peak", "Rate of BLAS where a group has many filters.")
    blas_filter_share: float = _of(
        "share of peak", "Rate of BLAS for each filter, where a group has few."
    )
    blas_pixels: float = _of(
        "pixels", "Output pixels by which BLAS takes an image to be larger than it is."
    )


@dataclass(eq=False, repr=False)
class Memory(Group):
    """Rates between the cores and memory, and how they hide behind arithmetic."""

    bandwidth: float = _of("bytes/s", "Rate at which all cores together read and write memory.")
    weights_bandwidth: float = _of(
        "bytes/s", "Rate at which one core reads packed weights that it uses once."
    )
    shown_share: float = _of(
        "share of the shorter time",
        "Part of the time for memory that a longer one for arithmetic does not hide, "
        "and the reverse.",
    )


@dataclass(eq=False, repr=False)
class Copies(Group):
    """Times of one core to bring pixels into the order that a kernel reads, and outputs back."""

    row_seconds: float = _of("seconds", "Time to begin one row of an image in a strip.")
    pixel_seconds: tuple = _of(
        "seconds", "Time to copy one pixel into a strip.", parts=("no stride", "a stride")
    )
    gather_seconds: tuple = _of(
        "seconds",
        "Time to copy one tap's pixel into a panel.",
        parts=("from wide rows", "from narrow rows"),
    )
    column_row_seconds: float = _of(
        "seconds",
        "Time to find one row of a kernel for one column of a panel over the pixels of all images.",
    )
    column_seconds: float = _of(
        "seconds", "Time to copy one element into a panel over the pixels of all images."
    )
    patch_seconds: tuple = _of(
        "seconds",
        "Time to copy one element of a patch into BLAS's matrix.",
        parts=("no stride", "a stride"),
    )
    store_seconds: float = _of("seconds", "Time to copy one output from BLAS's matrix.")


@dataclass(eq=False, repr=False)
class Transforms(Group):
    """Times of one core to transform tiles for Winograd's products and for those of spectra: by
    SciPy's FFT, and by the kernels' own transforms of pairs of tiles.
    """

    winograd_tile_seconds: float = _of(
        "seconds", "Time to transform one tile of one plane by F(2 x 2, 3 x 3), there or back."
    )
    winograd_row_seconds: float = _of(
        "seconds", "Time to begin one row of Winograd tiles of one plane or filter."
    )
    fft_axis_seconds: float = _of(
        "seconds", "Time of a real FFT for one point and axis, whatever the length."
    )
    fft_stage_seconds: float = _of(
        "seconds", "Time of a real FFT for one point and doubling of the length."
    )
    fft_lone_factor: float = _of(
        "times", "How much longer a row's FFT takes that has no others of its length beside it."
    )
    fft_far_factor: float = _of(
        "times", "How much longer an FFT takes in a piece of work that no cache holds."
    )
    fft_point_seconds: float = _of("seconds", "Time to load or to store one point of an FFT tile.")
    fft_product_seconds: float = _of(
        "seconds", "Time of one product of two spectra for one point of the tile."
    )
    fft_wider_power: float = _of(
        "power of 2", "Power of 2 that says how much longer fft takes in float64 than in float32."
    )
    pair_point_seconds: float = _of(
        "seconds",
        "Time of AVX2 to load one point of a tile, to turn it and to store its result, "
        "whatever the length.",
    )
    pair_stage_seconds: float = _of(
        "seconds",
        "Time of AVX2 to transform one point of a tile there and back, for a doubling of the "
        "length.",
    )
    pair_column_seconds: float = _of(
        "seconds", "Time to begin the transforms of a vector's count of columns, there and back."
    )
    pair_product_seconds: float = _of(
        "seconds", "Time of AVX2 for one product of two spectra for one point of a tile."
    )
    pair_far_share: float = _of(
        "share of the time",
        "How much longer a pair of tiles takes for each doubling of its bytes beyond a core's "
        "second cache.",
    )


@dataclass(eq=False, repr=False)
class Calls(Group):
    """Times to begin something, however small."""

    call_seconds: float = _of("seconds", "Time of a call from Python that computes nothing.")
    piece_seconds: float = _of("seconds", "Time to begin one piece of work on a thread.")
    blas_seconds: float = _of("seconds", "Time to hold BLAS to one thread and to let it go.")
    fft_seconds: float = _of("seconds", "Time to begin the FFTs of one piece of work from Python.")
    pairs_seconds: float = _of(
        "seconds", "Time to begin the products of spectra of one call, by the kernels' transforms."
    )


@dataclass(eq=False, repr=False)
class MeasuredOn:
    """Where the values come from."""

    processor: str
    date: str
    command: str


@dataclass(eq=False, repr=False)
class Constants:
    """The whole record."""

    measured_on: MeasuredOn
    arithmetic: Arithmetic
    memory: Memory
    copies: Copies
    transforms: Transforms
    calls: Calls


GROUPS = {
    "arithmetic": Arithmetic,
    "memory": Memory,
    "copies": Copies,
    "transforms": Transforms,
    "calls": Calls,
}


def described():
    """Each constant as ``(group, name, {unit, means, parts, origin})``."""
    for group, kind in GROUPS.items():
        for constant in fields(kind):
            yield group, constant.name, constant.metadata
