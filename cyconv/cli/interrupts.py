"""Ctrl-C that is not lost.

The handler of SIGINT raises KeyboardInterrupt wherever the program is. Some places drop it: the
start of an extension module that tries an optional import, a callback from C. So it is also noted,
and work that comes in steps asks at each one.
"""

import signal
import threading
from contextlib import contextmanager

_noted = threading.Event()


@contextmanager
def noted():
    """Note every Ctrl-C inside."""
    before = signal.getsignal(signal.SIGINT)
    # A handler that is not Python's own is the caller's, and other threads can't set any.
    ours = before is signal.default_int_handler
    ours = ours and threading.current_thread() is threading.main_thread()
    _noted.clear()
    if ours:
        signal.signal(signal.SIGINT, _note)
    try:
        yield
        check()
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _note(number, frame):
    _noted.set()
    signal.default_int_handler(number, frame)


def check():
    """Raise KeyboardInterrupt if one came before, whatever became of it."""
    if _noted.is_set():
        raise KeyboardInterrupt
