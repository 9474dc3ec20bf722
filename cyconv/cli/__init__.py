"""The command ``cyconv``: one module for each subcommand of ``_COMMANDS``; the others help them.

A subcommand's module has ``add_parser(subparsers)``, which describes its arguments and sets
``run``, and ``run(args)``, which does the work, prints its result on stdout and raises
`CommandError` for what the user can mend. Libraries that only a command needs are imported inside
``run``. `bench` and `tune` measure what `networks`, `newer`, `calls`, `integers` and `graph` list
as data; `contest` runs each of the `contestants` in a process of its own.

The exit codes are in ``_EXIT_CODES``.
"""

import os
import sys
import traceback

import cyconv

from . import bench, doctor, edges, explain, tune
from . import filter as filter_photo
from . import run as run_model
from .common import CommandError, Parser
from .interrupts import noted

_COMMANDS = (edges, filter_photo, explain, run_model, bench, tune, doctor)

_EXIT_CODES = """\
exit codes:
  0    done
  1    an error in cyconv itself, no memory, or no room for the output
  2    wrong usage, or an input that is missing or broken (one line on stderr)
  130  interrupted
"""


def _parse(argv):
    parser = Parser(
        prog="cyconv",
        description="Convolution from the command line: filter photos, see how it is done.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"cyconv {cyconv.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(subparsers)
    # An argument that no one knows is the subcommand's error, not the top parser's.
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return args


def main(argv=None):
    """Run the command line `argv` (default: ``sys.argv[1:]``) and return its exit code."""
    name = "cyconv"
    try:
        try:
            args = _parse(argv)
            name = args.parser.prog
            with noted():
                args.run(args)
        except SystemExit as end:
            return end.code
        finally:
            print(end="", flush=True)
    except CommandError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except MemoryError as error:
        print(f"{name}: not enough memory{f': {error}' if str(error) else ''}", file=sys.stderr)
        return 1
    except OSError as error:
        # Commands report on their own files, so this is stdout. Nothing of it may be left for the
        # interpreter to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0  # the reader has seen enough
        print(f"{name}: cannot write the result: {error.strerror}", file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        print(f"{name}: the above is an error in cyconv, please report it", file=sys.stderr)
        return 1
    return 0
