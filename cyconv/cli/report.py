"""What ``cyconv bench`` tells: rows, summaries, the machine, a table and a chart."""

import importlib.metadata
import json
import os
import platform
from dataclasses import asdict
from math import exp, log
from pathlib import Path

from cyconv import notebook

from .common import aligned
from .contestants import CONTESTANTS
from .graph import Graph
from .layer import Layer

INEXACT = 1e-4  # an error, relative to the largest result, that float32 layers stay below
OURS, ONE_SHOT = "cyconv", "cyconv one-shot"

_DISTRIBUTIONS = {"cv2": "opencv"}
_LEFT = (0, 2, 6)  # columns of words in the table
_INK, _SLOWER = "#2a6f97", "#c1666b"


class Report(dict):
    """A report of ``cyconv bench``: a dict, with the command's table for its text.

    ``Report.read("resnet50.json")`` is what ``cyconv bench resnet50 --json resnet50.json`` wrote.
    """

    @classmethod
    def read(cls, path):
        """The report in the file `path`."""
        return cls(json.loads(Path(path).read_text(encoding="utf-8")))

    def __str__(self):
        return text(self)

    def _repr_html_(self):
        title, made_of = _title(self)
        head, *lines = _lines(self)
        failed = list(_failures(self))
        return notebook.card(
            title,
            notebook.bullets(_standing(self)),
            notebook.details(
                f"{len(lines)} layer(s)",
                notebook.table(
                    head, lines, numbers=[i for i in range(len(head)) if i not in _LEFT]
                ),
            ),
            notebook.details(f"failed: {len(failed)}", notebook.bullets(failed)),
            notebook.details("versions", notebook.text(made_of)),
        )


def machine(threads):
    """What the figures depend on beside the contestants."""
    import cyconv
    from cyconv.runtime import machine

    return {
        "cpu": machine.cpu(),
        "cpus": os.cpu_count(),
        "isa": cyconv.kernels.isa(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "threads": threads,
    }


def versions(names):
    """Versions of cyconv and of what the contestants `names` are made of."""
    import cyconv

    modules = {"numpy", "scipy"} | {module for name in names for module in CONTESTANTS[name].needs}
    owners = importlib.metadata.packages_distributions()
    found = {"cyconv": cyconv.__version__}
    for module in sorted(modules):
        distribution = owners.get(module, [module])[0]
        try:
            found[_DISTRIBUTIONS.get(module, module)] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            found[module] = None
    return found


def row(layer, results):
    """One layer's results, each beside cyconv's, and cyconv's beside the best peer's."""
    ours = results.get(OURS, {}).get("seconds")
    peers = {}
    for name, result in results.items():
        if name != OURS and "seconds" in result and ours:
            result["cyconv_is_faster"] = result["seconds"] / ours
        if CONTESTANTS[name].peer and "seconds" in result and _as_right(layer, result, results):
            peers[name] = result["seconds"]
    best = min(peers, key=peers.get, default=None)

    def ratio(seconds):
        return peers[best] / seconds if best and seconds else None

    return {
        "layer": layer.name,
        **{k: v for k, v in asdict(layer).items() if k != "name"},
        "flops": layer.flops,
        "results": results,
        "best_peer": best,
        "ratio": ratio(ours),
        "one_shot_ratio": ratio(results.get(ONE_SHOT, {}).get("seconds")),
    }


def _as_right(layer, result, results):
    """Whether a peer's result is float arithmetic's, where the error can say so."""
    if not isinstance(layer, Layer | Graph):
        return True
    ours = results.get(OURS, {}).get("error") or 0
    return result.get("error", 0) <= max(INEXACT, 100 * ours)


def summary(rows):
    """Geometric mean and least of the ratios, and the times of all layers with their repeats."""
    totals = {}
    for name in dict.fromkeys(name for row in rows for name in row["results"]):
        seconds = [row["results"].get(name, {}).get("seconds") for row in rows]
        totals[name] = (
            None
            if None in seconds
            else sum(s * row["repeats"] for s, row in zip(seconds, rows, strict=True))
        )
    peers = {name: s for name, s in totals.items() if s and CONTESTANTS[name].peer}
    best = min(peers, key=peers.get, default=None)
    ours = totals.get(OURS)
    return {
        **_ratios(rows, "ratio", ""),
        **_ratios(rows, "one_shot_ratio", "one_shot_"),
        "total_seconds": totals,
        "total_best_peer": best,
        "total_ratio": peers[best] / ours if best and ours else None,
    }


def _ratios(rows, key, prefix):
    ratios = {row["layer"]: row[key] for row in rows if row[key]}
    least = min(ratios, key=ratios.get, default=None)
    mean = exp(sum(map(log, ratios.values())) / len(ratios)) if ratios else None
    return {
        f"{prefix}geomean": mean,
        f"{prefix}least": ratios.get(least),
        f"{prefix}least_layer": least,
    }


def text(report):
    """The report as a table, with what failed and the summary below."""
    lines = list(_lines(report))
    return "\n".join(
        [*_title(report), "", *aligned(lines, _LEFT), "", *_failures(report), *_standing(report)]
    )


def _lines(report):
    """The table's cells, its head first."""
    rows = report["rows"]
    one_shot = any(ONE_SHOT in row["results"] for row in rows)
    head = ["layer", "times", "algorithm", "ms", "GFLOP/s", "error", "best peer", "ms", "ratio"]
    yield head + ["one-shot ms", "ratio"] * one_shot
    for row in rows:
        ours, shot = row["results"].get(OURS, {}), row["results"].get(ONE_SHOT, {})
        peer = row["results"].get(row["best_peer"], {})
        cells = [
            row["layer"],
            str(row["repeats"]),
            ours.get("algorithm") or "-",
            _ms(ours),
            _number(ours.get("gflops"), ".1f"),
            _number(ours.get("error"), ".1e"),
            row["best_peer"] or "-",
            _ms(peer),
            _number(row["ratio"], ".2f"),
        ]
        yield cells + [_ms(shot), _number(row["one_shot_ratio"], ".2f")] * one_shot


def _title(report):
    m = report["machine"]
    yield (
        f"{report['net']}, {report['dtype']}, {m['threads']} thread(s), {report['rounds']} "
        f"round(s) of {report.get('clock', 'wall time')}, on {m['cpu']} ({m['isa']})"
    )
    yield ", ".join(f"{name} {version}" for name, version in report["versions"].items())


def _failures(report):
    """What failed, on which layers."""
    failed = {}
    for row in report["rows"]:
        for name, result in row["results"].items():
            if "failed" in result:
                failed.setdefault((name, result["failed"]), []).append(row["layer"])
    for (name, reason), layers in failed.items():
        more = f" and {len(layers) - 1} more" if len(layers) > 1 else ""
        yield f"{name}: {reason} ({layers[0]}{more})"


def _standing(report):
    """Our speed beside the peers'."""
    s = report["summary"]
    measured = "calls" if "function" in report["rows"][0] else "packed"
    for prefix, what in ("", measured), ("one_shot_", "one-shot"):
        if s[f"{prefix}geomean"]:
            yield (
                f"{what}: geomean {s[f'{prefix}geomean']:.2f} x the best peer's speed, "
                f"least {s[f'{prefix}least']:.2f} ({s[f'{prefix}least_layer']})"
            )
    totals = {name: seconds for name, seconds in s["total_seconds"].items() if seconds}
    if totals:
        yield "total with repeats: " + ", ".join(
            f"{name} {1e3 * seconds:.1f} ms" for name, seconds in totals.items()
        )
    if s["total_ratio"]:
        yield f"whole net: {s['total_ratio']:.2f} x the speed of {s['total_best_peer']}"


def _number(value, spec):
    return "-" if value is None else format(value, spec)


def _ms(result):
    seconds = result.get("seconds")
    return "-" if seconds is None else format(1e3 * seconds, ".3f" if seconds < 1 else ".0f")


def chart(report, file, kind):
    """Draw each layer's ratio to the best peer as a bar, with a line at 1."""
    from matplotlib.figure import Figure

    rows = [row for row in report["rows"] if row["ratio"]]
    figure = Figure(figsize=(9, 1.4 + 0.24 * len(rows)), layout="constrained")
    axes = figure.subplots()
    ratios = [row["ratio"] for row in rows]
    bars = axes.barh(
        [f"{row['layer']}  ({row['best_peer']})" for row in rows],
        ratios,
        color=[_INK if ratio >= 1 else _SLOWER for ratio in ratios],
    )
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the first layer on top
    axes.margins(x=0.08)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel("times as fast as the best peer (named beside the layer)")
    m = report["machine"]
    axes.set_title(
        f"cyconv on {report['net']}: {report['dtype']}, {m['threads']} thread(s), {m['cpu']}",
        fontsize=10,
    )
    figure.savefig(file, format=kind, dpi=120)
