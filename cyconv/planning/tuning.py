"""Measured choices: time the candidates once, remember the winner in a file.

The file is JSON, and holds one entry for each question that was measured::

    {"format": "cyconv tuning", "schema": 1, "entries": {"<question>": {"winograd": 0.0012, ...}}}

A question names everything that the answer depends on: the primitive problem with one image, the
threads, the accuracy, the limit on workspace, the processor, the instruction set and the version of
cyconv. The answer is seconds by algorithm; entries of another kind are the tunables of a device's
kernels (:mod:`cyconv.opencl.tunables`). A file that is not like this is left alone, and ignored
with one warning. Concurrent writers may lose each other's latest entries, never the file.
"""

import json
import os
import secrets
import sys
import threading
import warnings
from contextlib import contextmanager
from time import perf_counter

import numpy as np

from cyconv.planning import files
from cyconv.runtime import forks, machine
from cyconv.runtime.version import __version__

FORMAT, SCHEMA = "cyconv tuning", 1
MOST = 20_000  # entries of a file; the oldest go

SECONDS = 0.5  # for all candidates of one question, unless one call of each takes longer
ROUNDS = 7
WORTH = 4  # a candidate predicted to take so many times the fastest, and SECONDS, is passed over

_lock = threading.RLock()  # one measurement at a time; and the two below
_remembered = {}  # {file: {question: answer}}: what this process measured
_warned = set()
_anew = False  # do not read what the file has
forks.in_child(lambda: globals().update(_lock=threading.RLock()))


class TuningFileError(Exception):
    """Why a tuning file cannot be used."""


def path():
    """The tuning file: ``CYCONV_TUNING_FILE``, else one in the user's cache folder.

    Returns
    -------
    str or None
        None where the user has no home folder.
    """
    named = os.environ.get("CYCONV_TUNING_FILE")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    folder = cache_folder()
    return None if folder is None else os.path.join(folder, "tuning.json")


def cache_folder():
    """cyconv's folder in the user's cache, or None where the user has no home folder."""
    if sys.platform == "win32":
        folder = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    elif sys.platform == "darwin":
        folder = os.path.expanduser("~/Library/Caches")
    else:
        folder = os.environ.get("XDG_CACHE_HOME") or ""
        if not os.path.isabs(folder):  # as the XDG specification asks
            folder = os.path.expanduser("~/.cache")
    return os.path.join(folder, "cyconv") if os.path.isabs(folder) else None


def question(problem, threads, accuracy, workspace_limit, isa):
    """The key of one measured choice: all that it depends on, in one line of text."""

    def sizes(values):
        return ",".join(map(str, values))

    return (
        f"x={sizes(problem.x_shape)} w={sizes(problem.w_shape)} {problem.dtype} "
        f"stride={sizes(problem.stride)} dilation={sizes(problem.dilation)} "
        f"padding={sizes(f'{lo}:{hi}' for lo, hi in problem.padding)} groups={problem.groups} "
        f"threads={threads} accuracy={accuracy} workspace={workspace_limit} "
        f"isa={isa} cyconv={__version__} cpu={machine.cpu()} caches={sizes(machine.caches().sizes)}"
    )


def read(file):
    """The entries of a tuning file: ``{question: {algorithm: seconds}}``.

    Raises
    ------
    TuningFileError
        If there is something at `file` and it is not a tuning file that can be read.
    """
    if not os.path.isfile(file):
        if os.path.lexists(file):
            raise TuningFileError("it is not a file")
        return {}
    content = files.content(file, FORMAT, TuningFileError)
    if content.get("schema") != SCHEMA or not isinstance(content.get("entries"), dict):
        raise TuningFileError(f"its schema is not {SCHEMA}, which this version of cyconv writes")
    return content["entries"]


def write(file, entries):
    """Add `entries` to a tuning file, whole or not at all.

    Raises
    ------
    TuningFileError
        If the file cannot be written, or what is there is not a tuning file.
    """
    merged = {k: v for k, v in read(file).items() if k not in entries} | entries
    content = {"format": FORMAT, "schema": SCHEMA, "entries": dict(list(merged.items())[-MOST:])}
    target = os.path.realpath(file)  # through a link
    temporary = f"{target}.{secrets.token_hex(8)}.tmp"
    try:
        if os.path.exists(target) and not os.access(target, os.W_OK):
            raise PermissionError(13, "Permission denied")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            with open(temporary, "x", encoding="utf-8") as opened:
                json.dump(content, opened, indent=0)
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(temporary, target)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)
    except OSError as error:
        raise TuningFileError(error.strerror or str(error)) from None


@contextmanager
def anew(wanted=True):
    """Measure again, once, what the file has already."""
    global _anew
    before, _anew = _anew, wanted
    if wanted:
        _remembered.clear()
    try:
        yield
    finally:
        _anew = before


def _warn(file, error):
    """Say once in a process that `file` is ignored."""
    if file not in _warned:
        _warned.add(file)
        warnings.warn(
            f"cyconv ignores the tuning file {file}: {error}", RuntimeWarning, stacklevel=2
        )


def entry(file, key):
    """What this process measured or the file holds for `key`, whatever it is; else None."""
    answer = _remembered.get(file, {}).get(key)
    if answer is None and file is not None and not _anew:
        try:
            answer = read(file).get(key)
        except TuningFileError as error:
            _warn(file, error)
    return answer


def keep(file, key, answer):
    """Remember an answer in this process and, if that can be, in the file."""
    _remembered.setdefault(file, {})[key] = answer
    try:
        if file is None:
            raise TuningFileError("there is no home folder to keep it in")
        write(file, {key: answer})
    except TuningFileError as error:
        _warn(file, error)


def _recorded(file, key, names):
    """The answer to `key`, if it names one of `names`; else None."""
    answer = entry(file, key)
    if not isinstance(answer, dict):
        return None
    known = {
        name: float(seconds)
        for name, seconds in answer.items()
        if type(seconds) in (int, float) and 0 < seconds < 1e9
    }
    # One that is gone, or a new one, asks for a new measurement.
    return known if known and set(known) <= set(names) else None


def seconds(problem, names, threads, accuracy, workspace_limit, isa, kind):
    """What each algorithm takes for one image, from the tuning file or measured now.

    Parameters
    ----------
    problem : Problem
        A primitive one, of one image.
    names : list of str
        The algorithms that may solve it, the one predicted fastest first.
    threads, accuracy, workspace_limit, isa, kind
        The plan's, and its class; `isa` is a device where the plan is one's.

    Returns
    -------
    measured : dict of str to float
        Empty where there was no memory to measure anything.
    source : {'tuning file', 'measured now'}
    """
    key = question(problem, threads, accuracy, workspace_limit, isa)
    file = path()
    with _lock:
        found = _recorded(file, key, names)
        if found is not None:
            return found, "tuning file"
        measured = measure(problem, names, threads, accuracy, workspace_limit, isa, kind)
        if not measured:
            return {}, "measured now"
        keep(file, key, measured)
    return measured, "measured now"


def measure(problem, names, threads, accuracy, workspace_limit, isa, kind):
    """Time `names` on random data, taking turns: ``{name: least seconds of a packed call}``."""
    calls, best = {}, {}
    started = perf_counter()

    def turn(name):
        begun = perf_counter()
        calls[name]()
        taken = perf_counter() - begun
        best[name] = min(taken, best.get(name, taken))

    try:
        x, w = (_random(shape, problem.dtype) for shape in (problem.x_shape, problem.w_shape))
        y = np.empty(problem.output_shape, problem.out_dtype)
    except MemoryError:
        return {}
    for name in names:
        try:
            plan = kind(problem, name, threads, accuracy, workspace_limit, isa)
            if best and plan.seconds > max(SECONDS, WORTH * min(best.values())):
                continue
            packed = plan.pack(w)
            calls[name] = packed.repeated(x, y)
            turn(name)
        except MemoryError:
            calls.pop(name, None)
    for round_ in range(ROUNDS):
        fastest = min(best.values(), default=0)
        for name in calls:
            # The first call may have set up what lasts. Later, who is far behind is let be.
            worth = best[name] < SECONDS if round_ == 0 else best[name] < WORTH * fastest
            if worth and (round_ == 0 or perf_counter() - started < SECONDS):
                turn(name)
    return best


def _random(shape, dtype):
    rng = np.random.default_rng(0)
    if dtype.kind in "iu":
        return rng.integers(0, 100, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)
