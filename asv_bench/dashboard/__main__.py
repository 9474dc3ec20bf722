"""The performance dashboard: ``python -m asv_bench.dashboard``, in the root of a checkout.

Takes the results kept in ``asv_bench/history`` (and with ``--run`` first adds to them), publishes
them with asv, puts the scripts of asv's pages beside them, writes the front page and serves it all.
It shows the history of a repository, so it is a command of the checkout and not of the library.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from . import commits, configuration, front, local_scripts
from .measured import Published


def main(argv=None):
    """Run the command line `argv`."""
    parser = argparse.ArgumentParser(
        prog="python -m asv_bench.dashboard", description=__doc__.partition("\n\n")[2]
    )
    add = parser.add_argument
    add("--run", metavar="COMMITS", help="first measure these, as git names them: HEAD^!, v1..main")
    add("--machine", help="the name of this machine in the history, for --run")
    add("--bench", default=configuration.SUBSET, help="what to measure (default: the subset)")
    add("--output", type=Path, default=configuration.FOLDER / "html", help="the folder to write")
    add("--config", type=Path, help="another asv.conf.json, with its own results")
    add(
        "--reports",
        type=Path,
        default=configuration.FOLDER / "history" / "bench",
        help="a folder of files that cyconv bench --json wrote",
    )
    add("--port", type=int, default=8000, help="of the server on this machine (default: 8000)")
    add("--no-serve", action="store_true", help="only write the folder")
    args = parser.parse_args(argv)
    html = args.output.resolve()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "asv.conf.json")
        asked = configuration.write(config, html, args.config)
        if args.run:
            machine = ["--machine", args.machine] if args.machine else []
            _asv("run", config, "--bench", args.bench, *machine, args.run)
            configuration.prune(asked["results_dir"])
        _asv("publish", config, "--no-pull")
    build(html, asked["repo"], args.reports.glob("*.json"))
    print(f"wrote {html}")
    if not args.no_serve:
        serve(html, args.port)


def build(html, repo, reports):
    """Make of asv's folder `html` the dashboard: local scripts, commits, the front page."""
    modules = local_scripts.fetch()
    (html / "index.html").rename(html / "asv.html")
    for name in ("asv.html", "error.html"):
        local_scripts.localise(html / name, modules)
    feed = html / "regressions.xml"
    text = feed.read_text(encoding="utf-8")
    feed.write_text(text.replace("index.html#", "asv.html#"), encoding="utf-8")
    published = Published(html)
    front.write(html, published, commits.write(html, repo, published), reports)


def serve(html, port):
    """Serve `html` to this machine until Ctrl-C."""
    handler = partial(SimpleHTTPRequestHandler, directory=html)
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def _asv(command, config, *more):
    """Run asv; what it says is the user's to read."""
    asv = [sys.executable, "-m", "asv", command, "--config", str(config), *more]
    code = subprocess.run(asv, check=False).returncode
    if code:
        raise SystemExit(f"dashboard: asv {command} failed with exit code {code}")


if __name__ == "__main__":
    main()
