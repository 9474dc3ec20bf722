"""asv's configuration, with the kept history for its results."""

import json
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]

#: The fixed subset, of which the history is kept.
SUBSET = r"^subset\."


def write(target, html, config=None):
    """Write to `target` the configuration that publishes the history as `html`.

    Parameters
    ----------
    target : Path
        The file to write.
    html : Path
        The folder that asv fills.
    config : Path, optional
        Another project's asv.conf.json, with its own results.

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
        found["results_dir"] = str(FOLDER / "history")
    found |= {"html_dir": str(html), "show_commit_url": "commits/"}
    found["branches"] = [name if _exists(found["repo"], name) else "HEAD"
                         for name in found["branches"]]  # fmt: skip
    target.write_text(json.dumps(found, indent=2), encoding="utf-8")
    return found


def _exists(repo, branch):
    """Whether the clone has the branch: one made for a check may have no more than a commit."""
    command = ["git", "-C", repo, "rev-parse", "--verify", "--quiet", branch]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
