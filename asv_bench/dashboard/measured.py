"""What asv published, as values: a series for each benchmark, its parameters and machine."""

import json
from dataclasses import dataclass
from itertools import product
from urllib.parse import urlencode

from asv.graph import Graph


@dataclass(frozen=True)
class Series:
    """One line of a graph: `points` are (revision, value), the oldest first."""

    benchmark: str
    arguments: str
    machine: str
    unit: str
    link: str
    points: tuple

    @property
    def name(self):
        """Class and method without their file, then the arguments."""
        return f"{self.benchmark.partition('.')[2] or self.benchmark}{self.arguments}"

    def at(self, revision):
        """The last value up to `revision`, or None."""
        values = [value for rev, value in self.points if rev <= revision]
        return values[-1] if values else None


class Published:
    """The folder that ``asv publish`` wrote."""

    def __init__(self, html):
        self.html = html
        self.index = self._load("index.json")
        self.hashes = {int(r): h for r, h in self.index["revision_to_hash"].items()}
        self.varying = {k for k, values in self.index["params"].items() if len(values) > 1}
        self.series = list(self._all_series())

    def _load(self, name):
        return json.loads((self.html / name).read_text(encoding="utf-8"))

    def _all_series(self):
        for where in self.index["graph_param_list"]:
            for name, benchmark in self.index["benchmarks"].items():
                path = Graph.get_file_path(where, name) + ".json"
                if (self.html / path).is_file():
                    yield from self._series(where, name, benchmark, self._load(path))

    def _series(self, where, name, benchmark, graph):
        for i, values in enumerate(product(*benchmark["params"])):
            arguments = f"({', '.join(value.strip(chr(39)) for value in values)})" if values else ""
            found = ((rev, value[i] if values else value) for rev, value in graph)
            yield Series(
                name,
                arguments,
                where.get("machine", ""),
                benchmark["unit"],
                self.link(name, where, benchmark, i if values else None),
                tuple((rev, value) for rev, value in found if value is not None),
            )

    def link(self, name, where, benchmark, i):
        """The address of a graph, at the parameters of number `i`."""
        asked = {key: where[key] for key in where if key in self.varying}
        if i is not None:
            values = list(product(*benchmark["params"]))[i]
            asked |= {
                f"p-{key}": value
                for key, value in zip(benchmark["param_names"], values, strict=True)
            }
        return f"asv.html#{name}" + (f"?{urlencode(asked)}" if asked else "")

    def measured(self):
        """The revisions that have a value, the oldest first."""
        return sorted({rev for series in self.series for rev, _ in series.points})

    def release(self):
        """(name, revision) of the last release that has a measurement at or before it."""
        known = self.measured()
        tags = [(rev, tag) for tag, rev in self.index["tags"].items() if known and rev >= known[0]]
        if tags:
            rev, tag = max(tags)
            return tag, rev
        return None, known[0] if known else None

    def regressions(self):
        """(name, link, last value, best value, unit, [(revision, before, after)]) of each."""
        for name, _, where, i, last, best, jumps in self._load("regressions.json")["regressions"]:
            plain = name.partition("(")[0]
            benchmark = self.index["benchmarks"][plain]
            shown = name.partition(".")[2].replace("'", "")
            steps = [(after, old, new) for _, after, old, new in jumps]
            yield shown, self.link(plain, where, benchmark, i), last, best, benchmark["unit"], steps
