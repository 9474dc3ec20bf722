"""Tunables: the numbers that a kernel file leaves open, and the choice made for a device.

A ``.cl`` file gives each of its tunables a default under ``#ifndef``. The table beside the host
code says which values are worth trying and which of them go together on a device, by its limits.
A device has one choice for each table and precision: what ``cyconv tune`` measured and the tuning
file holds (:mod:`cyconv.opencl.tune`), else the table's first that fits. None changes the order of
a sum.
"""

from contextlib import contextmanager
from itertools import product

from cyconv.planning import tuning
from cyconv.runtime.version import __version__

_forced = {}  # {(table, key of a device, wide): choice}: while candidates are measured
_read = {}  # {(file, question): entry}: what the file held when it was first asked


class Tunables:
    """One kernel's.

    Parameters
    ----------
    name : str
        Of the algorithm.
    values : function of (device, wide)
        ``{macro: values}``, each macro's best guess first; `wide` for float64.
    fits : function of (device, wide, choice)
        Whether the values of one choice go together, within the device's limits.
    """

    def __init__(self, name, values, fits=lambda device, wide, choice: True):
        self.name, self._values, self._fits = name, values, fits
        self._candidates = {}

    def candidates(self, device, wide):
        """All choices that fit, ``{macro: value}``, the default first; none if nothing fits."""
        limits = (device.cpu, device.vector_bytes, device.max_group, device.local_memory, wide)
        limits += device.capability
        if limits not in self._candidates:
            values = self._values(device, wide)
            choices = (dict(zip(values, row, strict=True)) for row in product(*values.values()))
            self._candidates[limits] = [c for c in choices if self._fits(device, wide, c)]
        return self._candidates[limits]

    def chosen(self, device, wide):
        """The choice for plans that are made now."""
        forced = _forced.get((self, device.key, wide))
        if forced is not None:
            return forced
        entry = self.recorded(device, wide)
        known = self.valid(entry, device, wide)
        return entry if known else self.candidates(device, wide)[0]

    def valid(self, entry, device, wide):
        """Whether an entry of a file is a choice: its values become source text."""
        known = entry in self.candidates(device, wide)
        return known and all(type(value) is int for value in entry.values())

    def question(self, device, wide):
        """The choice's key in the tuning file."""
        dtype = "float64" if wide else "float32"
        return f"tunables={self.name} {dtype} isa={device.key} cyconv={__version__}"

    def recorded(self, device, wide):
        """What the tuning file holds, whatever it is; read once in a process."""
        file, question = tuning.path(), self.question(device, wide)
        if (file, question) not in _read:
            _read[file, question] = tuning.entry(file, question)
        return _read[file, question]

    def remember(self, device, wide, choice):
        """Keep a choice, here and in the tuning file."""
        file, question = tuning.path(), self.question(device, wide)
        _read[file, question] = choice
        tuning.keep(file, question, choice)

    @contextmanager
    def forced(self, device, wide, choice):
        """`choice` for all plans that are made meanwhile."""
        key = (self, device.key, wide)
        _forced[key] = choice
        try:
            yield
        finally:
            del _forced[key]
