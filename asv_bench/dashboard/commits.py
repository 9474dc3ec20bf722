"""A page for each measured commit: what lies between it and the one measured before."""

import subprocess
from html import escape

from . import page


def write(html, repo, published):
    """Write ``commits/<hash>/index.html``, and give ``{revision: (short hash, subject)}``."""
    length = published.index["hash_length"]
    found, before = {}, None
    for revision in published.measured():
        full = published.hashes[revision]
        short = full[:length]
        subject = _git(repo, "log", "-1", "--format=%s", full).strip()
        found[revision] = short, subject
        since = ["log", "--format=%h %s", f"{before}..{full}"] if before else ["log", "-1", full]
        text = _git(repo, *since) + "\n" + _git(repo, "diff", "--stat=100", *_range(before, full))
        folder = html / "commits" / short
        folder.mkdir(parents=True)
        head = f"since the commit measured before it, {before[:length]}" if before else "the first"
        body = f"<p>{escape(head)}</p><pre>{escape(text)}</pre>"
        page.write(folder / "index.html", f"{short} {subject}", body, up="../../")
        before = full
    return found


def _range(before, full):
    return (before, full) if before else (full, full)


def _git(repo, *arguments):
    command = ["git", "-C", repo, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
