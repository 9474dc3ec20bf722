"""Is this commit slower than another?  ``python -m asv_bench.check [BASE]``, in a checkout's root.

Builds both, measures the fixed subset on them in turns, and ends with exit code 1 if something of
it became slower by more than `FACTOR` and by more than its own noise, as asv tells it from the
samples.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from .dashboard import configuration

#: What a shared machine does to a call that did not change stays below this.
FACTOR = 1.2


def main(argv=None):
    """Run the command line `argv`; the exit code is asv's."""
    parser = argparse.ArgumentParser(
        prog="python -m asv_bench.check", description=__doc__.partition("\n\n")[2]
    )
    add = parser.add_argument
    add("base", nargs="?", default="main", help="the commit to compare with (default: main)")
    add("commit", nargs="?", default="HEAD", help="the commit to judge (default: HEAD)")
    add("--factor", type=float, default=FACTOR, help=f"what counts as slower (default: {FACTOR})")
    add("--bench", default=configuration.SUBSET, help="what to measure (default: the subset)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "asv.conf.json")
        # The samples of a check are no history.
        configuration.write(config, Path(folder, "html"), results=Path(folder, "results"))
        asv = [sys.executable, "-m", "asv"]
        subprocess.run([*asv, "machine", "--config", config, "--yes"], check=True)
        command = [*asv, "continuous", "--config", config, "--bench", args.bench]
        command += ["--factor", str(args.factor), "--interleave-rounds", "--split"]
        return subprocess.run([*command, args.base, args.commit], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
