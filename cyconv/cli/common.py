"""What the commands share: the parser, the error that ends one, and types of arguments."""

import argparse
import os
import re
import secrets
from contextlib import contextmanager
from pathlib import Path

from cyconv.problem import PADDING_MODES
from cyconv.problem.operands import DeviceError

INSTALL_EXTRA = "pip install 'cyconv[cli]'"


class CommandError(Exception):
    """Wrong usage or bad input: `main` prints it in one line and returns 2."""


class Parser(argparse.ArgumentParser):
    """Reports a usage error in one line."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message):
        """Print `message` in one line and leave with exit code 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def positive_int(text):
    """An int >= 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be an integer >= 1, got {text!r}")
    return value


def ints(text):
    """``"1,64,56"`` as a tuple of ints."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be integers with commas between them, got {text!r}"
        ) from None


def int_or_ints(text):
    """``"2"`` as an int, ``"2,1"`` as a tuple: one for each axis."""
    values = ints(text)
    return values[0] if len(values) == 1 else values


def padding(text):
    """An int, one an axis, ``lo:hi`` pairs, or a rule by name."""
    if text in ("valid", "same", "same_lower"):
        return text
    if ":" not in text:
        return int_or_ints(text)
    try:
        pairs = [tuple(map(int, part.split(":"))) for part in text.split(",")]
    except ValueError:
        pairs = []
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise argparse.ArgumentTypeError(f"must be like 1 or 1,1 or 0:1,0:1, got {text!r}")
    return tuple(pairs)


def byte_count(text):
    """Bytes, with an optional K, M or G for the powers of 1024."""
    match = re.fullmatch(r"(\d+) ?([KMG]?)(?:i?B)?", text, re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"must be like 4096, 512K or 64M, got {text!r}")
    return int(match[1]) * 1024 ** " KMG".index(match[2].upper() or " ")


def accuracy(text):
    """A level by name, or a bound on the relative error."""
    if text in ("strict", "balanced", "fast"):
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be strict, balanced, fast or a number, got {text!r}"
        ) from None


def dtype(text):
    """A float type by its name, or by f and its bits."""
    names = {"f32": "float32", "f64": "float64", "float32": "float32", "float64": "float64"}
    if text not in names:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}, got {text!r}")
    return names[text]


def select(args):
    """The layers of ``args.net`` whose names hold ``args.layers``; none is an error."""
    from .networks import layers

    found = layers(args.net)
    if args.layers:
        kept = [layer for layer in found if args.layers.lower() in layer.name.lower()]
        if not kept:
            names = "; ".join(layer.name for layer in found)
            args.parser.error(f"argument --layers: {args.layers!r} is in none of {names}")
        found = kept
    return found


@contextmanager
def whole_file(path, check=False):
    """A name beside `path` to write to, which becomes `path`: whole, or not at all.

    With `check` nothing is written, only refused what can't be.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise CommandError(f"cannot write {path}: no folder {target.parent}")
    if target.exists() and not target.is_file():
        raise CommandError(f"cannot write {path}: it exists and is not a file")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise CommandError(f"cannot write {path}: Permission denied")
    temporary = target.with_name(f".cyconv-{secrets.token_hex(8)}.tmp")
    try:
        yield str(temporary)
        if not check:
            os.replace(temporary, target)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def aligned(lines, left):
    """Rows of cells as lines of text; the columns `left` are aligned to the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            f"{cell:{'<' if i in left else '>'}{width}}"
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def add_run_options(parser):
    """Options of every command that filters a photo."""
    parser.add_argument(
        "--border",
        choices=PADDING_MODES,
        default="reflect",
        metavar="MODE",
        help=f"what lies beyond the photo: {', '.join(PADDING_MODES)} (default: reflect)",
    )
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="threads to use (default: all cores)"
    )
    add_device(parser)


def add_accuracy(parser):
    """The option of commands that plan."""
    parser.add_argument(
        "--accuracy",
        type=accuracy,
        default="balanced",
        metavar="LEVEL",
        help="strict, balanced, fast, or a bound on the relative error (default: balanced)",
    )


def add_device(parser):
    """The option of every command that computes or plans."""
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="NAME",
        help="cpu; opencl; opencl:1, by number; opencl:PoCL, by part of a name (default: cpu)",
    )


def check_device(args):
    """Open the device that was asked for; a CommandError if it is not there."""
    if args.device != "cpu":
        from cyconv import opencl

        with bad_input(operation="queue"):
            opencl.queue(args.device)


@contextmanager
def bad_input(*more, operation=None):
    """What the library refuses here comes from the user's arguments: these errors, and `more`.

    `operation` is the name that its sentences begin with, if the command's own name says as much.
    """
    try:
        yield
    except (TypeError, ValueError, DeviceError, *more) as error:
        raise CommandError(str(error).removeprefix(f"{operation}: ")) from error
