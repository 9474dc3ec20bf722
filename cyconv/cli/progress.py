"""Progress on stderr: rich's bar on a terminal, if rich is there, else a line a step."""

import sys
from contextlib import contextmanager

from .interrupts import check


@contextmanager
def progress(total):
    """Give a function to call with a text before each of `total` steps."""
    bar = _bar() if sys.stderr.isatty() else None
    done = 0
    if bar is None:

        def step(text):
            nonlocal done
            check()
            done += 1
            print(f"{done}/{total} {text}", file=sys.stderr, flush=True)

        yield step
        return
    with bar:
        task = bar.add_task("", total=total)

        def step(text):
            nonlocal done
            check()
            bar.update(task, description=text, completed=done)
            done += 1

        yield step
        bar.update(task, completed=total)


def _bar():
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        return None
    # Few repaints: they would take time from what is measured.
    return Progress(console=Console(stderr=True), transient=True, refresh_per_second=2)
