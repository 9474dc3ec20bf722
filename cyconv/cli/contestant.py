"""The process of one contestant: ``python -m cyconv.cli.contestant NAME``.

It reads requests from stdin and answers each on stdout, a line of JSON both ways, so it computes
only when asked::

    {"do": "prepare", "layer": {...}, "threads": 1, "arrays": [FILE, ...], "expected": [FILE, ...]}
    {"seconds": 0.0021, "error": 3e-7, "algorithm": "winograd"}
    {"do": "turn"}
    {"seconds": 0.0020}

What goes wrong is answered by ``{"failed": "why"}``. The process ends with its stdin.
"""

import json
import math
import os
import signal
import statistics
import sys
from time import perf_counter, process_time

import numpy as np

from cyconv.cli.contestants import CONTESTANTS
from cyconv.cli.networks import row
from cyconv.cli.peers import Task
from cyconv.cli.reference import error

TURN = 0.008  # seconds of a turn at least: short calls are repeated
PARTS = 8
LONG = 0.2  # seconds of a call that needs no other ones before it, to wake threads and fill caches


class Process:
    """One contestant and the task that it is at."""

    def __init__(self, name):
        self.contestant = CONTESTANTS[name]
        self.made, self.task, self.calls, self.warm = None, None, 1, True

    def answer(self, request):
        """The answer to one request."""
        try:
            do = request.pop("do")
            return self.turn() if do == "turn" else self.prepare(**request)
        except MemoryError as problem:
            return {"failed": f"not enough memory {problem}".rstrip()}
        except Exception as problem:
            text = " ".join(str(problem).split()) or type(problem).__name__
            return {"failed": text[:200]}

    def prepare(self, layer, threads, arrays, expected, device="cpu", cpu_time=False):
        """Make ready for a row, compute it once, and compare."""
        self.clock = process_time if cpu_time else perf_counter
        self.made = self.task = None  # its memory first
        operands = [np.load(file, allow_pickle=False) for file in arrays]
        x, w, gradient = operands + [None] * (3 - len(operands))
        if device != "cpu":
            _limit_memory(lifted=True)  # drivers map more than they use
        task = Task(row(layer), x, w, gradient, threads, device)
        self.task = task  # engines read its memory without a hold on it
        made = self.contestant.make(task)
        result, seconds = _timed(made.call)
        right = [np.load(file, allow_pickle=False) for file in expected]
        worst = error(made.arrays(result), right)
        del result, right
        if not math.isfinite(worst):
            return {"failed": "its result is not finite"}
        if seconds < LONG:
            seconds = _timed(made.call)[1]
        self.made, self.calls = made, max(1, math.ceil(TURN / max(seconds, 1e-7)))
        self.warm = seconds < LONG
        return {"seconds": seconds, "error": worst, "algorithm": made.algorithm}

    def turn(self):
        """Seconds of a call: the median of the parts of a turn, which others may disturb."""
        call, several = self.made.call, range(math.ceil(self.calls / PARTS))
        if self.warm:
            for _ in range(self.calls):
                call()
        parts = []
        for _ in range(min(self.calls, PARTS)):
            start = self.clock()
            for _ in several:
                call()
            parts.append(self.clock() - start)
        return {"seconds": statistics.median(parts) / len(several)}


def _timed(call):
    start = perf_counter()
    result = call()
    return result, perf_counter() - start


def _limit_memory(lifted=False):
    """What needs more than the machine has fails in this process, and not the machine."""
    try:
        import resource

        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard if lifted else most, hard))
    except (ImportError, AttributeError, ValueError, OSError):
        pass  # not on this system


def main(name):
    """Answer until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    _limit_memory()
    process = Process(name)
    for line in sys.stdin:
        print(json.dumps(process.answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
