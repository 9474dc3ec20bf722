"""asv's configuration, with the kept history for its results."""

import json
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]

#: The fixed subset, of which the history is kept.
SUBSET = r"^subset\."


def write(target, html, config=None, results=None):
    """Write to `target` the configuration that publishes the history as `html`.

    Parameters
    ----------
    target : Path
        The file to write.
    html : Path
        The folder that asv fills.
    config : Path, optional
        Another asv.conf.json, with its own results.
    results : Path, optional
        Their folder, in place of the history.

    Returns
    -------
    dict
        What was written.
    """
    source = Path(config or FOLDER / "asv.conf.json").resolve()
    found = json.loads(source.read_text(encoding="utf-8"))
    for name in ("repo", "benchmark_dir", "env_dir", "results_dir"):
        found[name] = str((source.parent / found[name]).resolve())
    if config is None:
        found["results_dir"] = str(results or FOLDER / "history")
    found |= {"html_dir": str(html), "show_commit_url": "commits/"}
    found["branches"] = [
        name if _exists(found["repo"], name) else "HEAD" for name in found["branches"]
    ]
    target.write_text(json.dumps(found, indent=2), encoding="utf-8")
    return found


def prune(results):
    """Leave in benchmarks.json only what has a result; asv writes all there are."""
    path = Path(results, "benchmarks.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    measured = {"version"}
    for each in Path(results).glob("*/*.json"):
        measured |= json.loads(each.read_text(encoding="utf-8")).get("results", {}).keys()
    kept = {name: value for name, value in table.items() if name in measured}
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _exists(repo, branch):
    """Whether the clone has the branch: one made for a check may have no more than a commit."""
    command = ["git", "-C", repo, "rev-parse", "--verify", "--quiet", branch]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
