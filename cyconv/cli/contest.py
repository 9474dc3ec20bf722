"""The parent's side of ``cyconv bench``: contestants in processes of their own, taking turns."""

import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

import cyconv

from .contestants import CONTESTANTS
from .interrupts import check
from .reference import reference

SEED = 20260101
TIMEOUT = 120  # seconds until a contestant that does not answer is ended
SLOW = 20  # seconds of a call from which a contestant does not take part
ENOUGH = 10  # seconds of one contestant on one layer after which its turns end
REST = 0.01, 0.06  # seconds between turns in which the last one's threads stop to spin; if several

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class Child:
    """The process of one contestant, started when first asked, and again after it died."""

    def __init__(self, name, threads):
        self.name = name
        package = str(Path(cyconv.__file__).parents[1])
        paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        self._environment = os.environ | dict.fromkeys(_THREADS, str(threads))
        self._environment["PYTHONPATH"] = paths
        self._process = None

    def ask(self, **request):
        """The answer to a request; ``{"failed": why}`` if there is none."""
        check()
        if self._process is None:
            self._start()
        with suppress(OSError):  # it died: the answer says so
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=TIMEOUT)
        except queue.Empty:
            self.stop()
            return {"failed": f"no answer within {TIMEOUT} s"}
        if line is None:
            code = self._process.wait()
            self.stop()
            return {"failed": f"crashed (signal {-code})" if code < 0 else f"ended (code {code})"}
        return json.loads(line)

    def _start(self):
        command = [sys.executable, "-P", "-W", "ignore", "-m", "cyconv.cli.contestant", self.name]
        self._process = subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self._answers = queue.Queue()
        threading.Thread(
            target=_read, args=(self._process.stdout, self._answers), daemon=True
        ).start()

    def stop(self):
        """End the process, whatever it does."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()
            with suppress(OSError):
                process.stdin.close()


def _read(stdout, answers):
    with stdout:
        for line in stdout:
            answers.put(line)
    answers.put(None)


class Contest:
    """Contestants by name; a context manager that ends their processes."""

    def __init__(self, names, threads, rounds, dtype, device="cpu", cpu_time=False):
        self.threads, self.rounds, self.dtype, self.device = threads, rounds, dtype, device
        self.cpu_time = cpu_time
        self._children = {name: Child(name, threads) for name in names}
        self._rates = {}  # the best so far of each, in FLOP/s of direct summation

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="cyconv-bench-")
        return self

    def __exit__(self, *error):
        for child in self._children.values():
            child.stop()
        self._folder.cleanup()

    def measure(self, layer):
        """``{name: result}`` of those that know how to compute `layer`.

        A result has ``seconds`` (the median), ``gflops``, ``error``, ``algorithm`` and ``rounds``,
        or ``failed``, the reason.
        """
        how = {"threads": self.threads, "device": self.device, "cpu_time": self.cpu_time}
        request = {"layer": asdict(layer), **how, **self._data(layer)}
        results, times = {}, {}
        for name, child in self._children.items():
            if not CONTESTANTS[name].takes(layer):
                continue
            expected = layer.flops / self._rates.get(name, np.inf)
            if expected > SLOW:
                results[name] = {"failed": f"left out: a call would take about {expected:.0f} s"}
                continue
            results[name] = child.ask(do="prepare", **request)
            if "failed" not in results[name]:
                times[name] = []
        for round_ in range(self.rounds):
            order = list(times)
            start = round_ % len(order) if order else 0
            for name in order[start:] + order[:start]:
                spent = sum(times[name])
                if spent > ENOUGH:
                    continue
                time.sleep(REST[self.threads > 1])
                answer = self._children[name].ask(do="turn")
                if "failed" in answer:
                    results[name] = answer
                    del times[name]
                else:
                    times[name].append(answer["seconds"])
        for name, taken in times.items():
            seconds = statistics.median(taken)
            rate = layer.flops / seconds
            self._rates[name] = max(rate, self._rates.get(name, 0))
            results[name] |= {"seconds": seconds, "gflops": rate / 1e9, "rounds": len(taken)}
        return results

    def _data(self, layer):
        """Files of seeded arrays and of what they should give."""
        rng = np.random.default_rng(SEED)
        arrays = layer.arrays(rng, self.dtype)
        files = {}
        for kind, values in ("arrays", arrays), ("expected", reference(layer, *arrays)):
            files[kind] = [str(Path(self._folder.name, f"{kind}{i}.npy")) for i in range(3)]
            files[kind] = files[kind][: len(values)]
            for file, value in zip(files[kind], values, strict=True):
                np.save(file, value, allow_pickle=False)
        return files
