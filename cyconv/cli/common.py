"""What the commands share: the parser, the error that ends one, and types of arguments."""

import argparse
import re
from contextlib import contextmanager

from cyconv.problem import PADDING_MODES

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


@contextmanager
def bad_input(*more, operation=None):
    """What the library refuses here comes from the user's arguments: these errors, and `more`.

    `operation` is the name that its sentences begin with, if the command's own name says as much.
    """
    try:
        yield
    except (TypeError, ValueError, *more) as error:
        raise CommandError(str(error).removeprefix(f"{operation}: ")) from error
