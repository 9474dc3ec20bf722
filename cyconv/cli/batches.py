"""A command's work on one file, or on every file of a folder."""

import os
import sys
from pathlib import Path
from time import perf_counter

from . import stacks
from .common import CommandError, bad_input
from .images import shown
from .progress import progress


def run(args, make, what):
    """Read ``args.photo``, `make` a stack of it, write ``args.output``, and say so in one line.

    ``make(stack, target)`` gives the stack to write and how it was computed; `what` is the line's
    word for the kernel. A folder is worked through file by file, into a folder.
    """
    if Path(args.photo).is_dir():
        _run_folder(args, make, what)
        return
    stacks.check_target(args.output)
    stack, algorithm, milliseconds = _run_file(args, args.photo, args.output, make)
    print(
        f"wrote {shown(args.output)}: {stack.size}, {what}, "
        f"algorithm {algorithm}, {milliseconds:.1f} ms"
    )


def _run_file(args, source, target, make):
    with bad_input():
        stack = stacks.read(source)
        start = perf_counter()
        result, algorithm = make(stack, target)
        milliseconds = 1000 * (perf_counter() - start)
    stacks.write(target, result)
    _say_what_is_left(args, source, target, stack)
    return result, algorithm, milliseconds


def _say_what_is_left(args, source, target, stack):
    if stack.left:
        say(args, f"{shown(source)}: {stack.left} more picture(s) in it, left out")
    lost = stacks.left_out(target, stack)
    if lost:
        say(
            args,
            f"{shown(target)}: {Path(target).suffix} holds one picture, {lost} of "
            f"{len(stack.photos)} frames left out; try .gif, .png, .webp, .tiff or .npy",
        )


def say(args, text):
    """One line on stderr, beside the result."""
    print(f"{args.parser.prog}: {text}", file=sys.stderr)


def _run_folder(args, make, what):
    sources, others = _files(args)
    target = Path(args.output)
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        reason = "it exists and is not a folder" if target.exists() else error.strerror
        raise CommandError(f"cannot write {shown(target)}: {reason}") from error
    frames = milliseconds = 0
    failed = []
    with progress(len(sources)) as step:
        for source in sources:
            step(shown(source.name))
            try:
                stacks.check_target(target / source.name)
                stack, _, taken = _run_file(args, source, target / source.name, make)
            except CommandError as error:
                failed.append(str(error))
                continue
            frames += len(stack.photos)
            milliseconds += taken
    for text in failed:
        say(args, text)
    done = len(sources) - len(failed)
    skipped = f"; {others} other file(s) are no images" if others else ""
    print(
        f"wrote {shown(target)}{os.sep}: {done} of {len(sources)} files, {frames} picture(s), "
        f"{what}, {milliseconds:.1f} ms{skipped}"
    )
    if failed:
        raise CommandError(f"{len(failed)} of {len(sources)} files failed")


def _files(args):
    """The images and arrays in the folder, by name, and the number of its other files."""
    try:
        found = sorted(path for path in Path(args.photo).iterdir() if path.is_file())
    except OSError as error:
        raise CommandError(f"cannot read {shown(args.photo)}: {error.strerror}") from error
    sources = [path for path in found if stacks.is_readable(path)]
    if not sources:
        raise CommandError(f"cannot read {shown(args.photo)}: no image in this folder")
    return sources, len(found) - len(sources)
