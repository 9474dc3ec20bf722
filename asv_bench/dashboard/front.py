"""The front page: beside the peers, since the last release, and what became slower."""

from html import escape

from cyconv import notebook
from cyconv.cli.report import Report

from . import page

#: A change by less than this is noise on a machine that does other things too.
SEEN = 1.20


def write(html, published, commits, reports):
    """Write ``index.html`` above asv's own page.

    Parameters
    ----------
    html : Path
    published : measured.Published
    commits : dict
        ``{revision: (short hash, subject)}``.
    reports : iterable of Path
        Files that ``cyconv bench --json`` wrote.
    """
    project = published.index["project"]
    parts = [
        notebook.STYLE,
        '<div class="cyconv">',
        _title("Beside other libraries"),
        *_standing(reports),
        *_changes(published, commits),
        _title("Regressions"),
        *_regressions(published, commits),
        "</div>",
    ]
    page.write(html / "index.html", f"{project}: performance", "\n".join(parts))


def _title(words):
    return f"<h2>{escape(words)}</h2>"


# ---- peers --------------------------------------------------------------------------------------


def _standing(reports):
    found = [(path.stem, Report.read(path)) for path in sorted(reports)]
    rows = []
    for name, report in found:
        s, machine = report["summary"], report["machine"]
        if s["geomean"]:
            rows.append(
                (
                    name,
                    len(report["rows"]),
                    _times(s["geomean"]),
                    f"{_times(s['least'])} ({s['least_layer']})",
                    f"{_times(s['total_ratio'])} {s['total_best_peer']}'s",
                    f"{machine['cpu']}, {machine['threads']} thread(s)",
                )
            )
    if not rows:
        yield notebook.text("No report yet: cyconv bench NET --json FILE writes one.")
        return
    yield notebook.text(
        "How many times as fast as the best of the peers, layer by layer; above 1 is faster."
    )
    head = ("class", "layers", "geometric mean", "least", "all layers together", "on")
    yield notebook.table(head, rows, numbers=(1, 2))
    for name, report in found:
        yield notebook.details(f"{name}, layer by layer", report._repr_html_())


def _times(ratio):
    return "–" if ratio is None else f"{ratio:.2f} ×"


# ---- since the release --------------------------------------------------------------------------


def _changes(published, commits):
    tag, since = published.release()
    measured = published.measured()
    if not measured:
        yield _title("Since the last release")
        yield notebook.text("No measurement yet.")
        return
    yield _title(f"Since {tag}" if tag else "Since the first commit measured (no release yet)")
    first = max((rev for rev in measured if rev <= since), default=measured[0])
    last = measured[-1]
    yield f"<p>{len(measured)} commits measured, {_commit(commits, first)} to "
    yield f"{_commit(commits, last)}</p>"
    rows = []
    for series in published.series:
        old, new = series.at(first), series.at(last)
        if old and new and series.unit == "seconds":
            rows.append((old / new, series, old, new))
    rows.sort(key=lambda row: row[0])
    large = [row for row in rows if not 1 / SEEN < row[0] < SEEN]
    small = [row for row in rows if 1 / SEEN < row[0] < SEEN]
    yield _change_table(large) or notebook.text(f"Nothing changed by {SEEN - 1:.0%} or more.")
    yield notebook.details(f"{len(small)} others, within {SEEN - 1:.0%}", _change_table(small))


def _change_table(rows):
    head = ("benchmark", "machine", "before", "now", "speed")
    cells = [
        (
            notebook.link(series.name, series.link),
            series.machine,
            duration(old),
            duration(new),
            notebook.Markup(
                f'<span class="{"faster" if ratio > 1 else "slower"}">{ratio:.2f} ×</span>'
            ),
        )
        for ratio, series, old, new in rows
    ]
    return notebook.table(head, cells, numbers=(2, 3, 4))


# ---- regressions --------------------------------------------------------------------------------


def _regressions(published, commits):
    head = ("benchmark", "became slower at", "by", "now", "best before")
    rows = [
        (
            notebook.link(name, link),
            notebook.Markup(", ".join(_commit(commits, rev) for rev, _, _ in steps)),
            ", ".join(f"{new / old:.2f} ×" for _, old, new in steps),
            _value(last, unit),
            _value(best, unit),
        )
        for name, link, last, best, unit, steps in published.regressions()
    ]
    yield notebook.table(head, rows, numbers=(3, 4)) or notebook.text(
        "asv's step detection finds none."
    )


def _commit(commits, revision):
    """A link to the commit's page, with its subject."""
    short, subject = commits[revision]
    return f"{notebook.link(short, f'commits/{short}/index.html')} {escape(subject)}"


def _value(value, unit):
    return duration(value) if unit == "seconds" else f"{value:.4g} {unit}"


def duration(seconds):
    """Three digits and a unit."""
    for unit, scale in ("s", 1), ("ms", 1e-3), ("µs", 1e-6):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
