"""The performance dashboard in a browser without a network, over a small repository's history."""

import json
import os
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("asv")
if shutil.which("git") is None or shutil.which("npm") is None:
    pytest.skip("no git or no npm on the path", allow_module_level=True)

from .browser import chromium
from .reports import EVIL, report

ROOT = Path(__file__).parents[1]
SEED = 11
COUNT, SLOWER_AT = 12, 8  # commits; the first that is slower
DAY = 86_400
CALLS, PLAIN = "subset.Images.time_filter", "subset.Overhead.time_tiny_call"


def git(folder, *arguments, day=0):
    when = f"{1_700_000_000 + day * DAY} +0000"
    name = {
        f"GIT_{who}_{what}": "nobody"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    environment = os.environ | name | {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def benchmark(name, params):
    return {
        "code": "",
        "name": name,
        "param_names": ["kernel"] * bool(params),
        "params": [params] if params else [],
        "timeout": 60,
        "type": "time",
        "unit": "seconds",
        "version": "1",
    }


def history(folder):
    """A repository with a measured history in which k3 takes twice as long from one commit on."""
    repo, results = folder / "repo", folder / "results"
    (results / "quiet").mkdir(parents=True)
    repo.mkdir()
    git(repo, "init", "--quiet", "--initial-branch=main")
    params = ["'k3'", "'k7'"]
    names = {CALLS: params, PLAIN: []}
    table = {name: benchmark(name, values) for name, values in names.items()}
    (results / "benchmarks.json").write_text(json.dumps(table | {"version": 2}))
    (results / "quiet" / "machine.json").write_text('{"machine": "quiet", "version": 1}')
    rng = np.random.default_rng(SEED)
    hashes = []
    for i in range(COUNT):
        (repo / "file").write_text(str(i))
        git(repo, "add", "file", day=i)
        git(repo, "commit", "--quiet", f"--message=Change {i} {EVIL}", day=i)
        hashes.append(git(repo, "rev-parse", "HEAD"))
        k3, k7, tiny = rng.uniform(0.99, 1.01, 3) * [1e-3, 5e-3, 2e-6]
        k3 *= 2 if i >= SLOWER_AT else 1
        result = {
            "commit_hash": hashes[-1],
            "env_name": "virtualenv-py3.11",
            "date": 1000 * (1_700_000_000 + i * DAY),
            "params": {"machine": "quiet", "python": "3.11"},
            "python": "3.11",
            "requirements": {},
            "env_vars": {},
            "result_columns": ["result", "params", "version"],
            "results": {CALLS: [[k3, k7], [params], "1"], PLAIN: [[tiny], [], "1"]},
            "durations": {},
            "version": 2,
        }
        path = results / "quiet" / f"{hashes[-1][:8]}-virtualenv-py3.11.json"
        path.write_text(json.dumps(result))
    git(repo, "tag", "v0.1", hashes[3])
    config = json.loads((ROOT / "asv_bench" / "asv.conf.json").read_text())
    config |= {"repo": str(repo), "results_dir": str(results)}
    config["benchmark_dir"] = str(ROOT / "asv_bench" / "benchmarks")
    (folder / "asv.conf.json").write_text(json.dumps(config))
    (folder / "reports").mkdir()
    (folder / "reports" / "images.json").write_text(json.dumps(report()))
    return hashes


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """(address, hashes) of a dashboard that is served."""
    folder = tmp_path_factory.mktemp("dashboard")
    hashes = history(folder)
    command = f"-m asv_bench.dashboard --no-serve --output {folder / 'html'}"
    command += f" --config {folder / 'asv.conf.json'} --reports {folder / 'reports'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.syspath_prepend(str(ROOT))
        from asv_bench.dashboard import __main__ as dashboard
        from asv_bench.dashboard import local_scripts

        try:
            local_scripts.fetch()
        except SystemExit as reason:
            pytest.skip(str(reason))
        dashboard.main(command.split()[2:])
    handler = partial(Quiet, directory=folder / "html")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", hashes
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(width=None) as driver:
        yield driver


@pytest.fixture
def visit(site, browser):
    """``visit(page, *words)``: go there, and give its text when all `words` are in it.

    At the end, nothing was asked of another host and no script failed.
    """

    def text():
        return browser.find_element("tag name", "body").text

    def go(page, *words):
        from selenium.webdriver.support.ui import WebDriverWait

        browser.get("about:blank")
        browser.get(f"{site[0]}/{page}")
        WebDriverWait(browser, 30).until(
            lambda _: all(word in text() for word in words), f"{words} not in: {page}"
        )
        return text()

    yield go
    requests = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {
        message["params"]["request"]["url"]
        for message in requests
        if message["method"] == "Network.requestWillBeSent"
    }
    assert asked
    assert {
        url for url in asked if not url.startswith((site[0], "data:", "about:", "chrome:"))
    } == set()
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def hrefs(browser, words):
    """Where the links with these words lead."""
    return [
        link.get_attribute("href")
        for link in browser.find_elements("tag name", "a")
        if words in link.text
    ]


def test_the_front_page_says_where_we_stand_and_what_changed(site, browser, visit):
    address, hashes = site
    text = visit("", "Beside other libraries", "Since v0.1", "Regressions")
    assert "1.50 ×" in text  # of the peers' report
    slower = hashes[SLOWER_AT][:8]
    assert re.search(r"Images.time_filter\(k3\) quiet \S+ .s (1.9|2)\S* ms 0.(4|5)\d ×", text)
    assert f"{slower} Change {SLOWER_AT} <script>" in text
    assert "became slower at" in text
    (page,) = set(hrefs(browser, slower))
    assert page == f"{address}/commits/{slower}/index.html"
    graphs = set(hrefs(browser, "Images.time_filter(k3)"))
    assert graphs == {f"{address}/asv.html#{CALLS}?p-kernel=%27k3%27"}
    body = visit(page.removeprefix(f"{address}/"), f"Change {SLOWER_AT}", "file |")
    assert hashes[SLOWER_AT - 1][:8] in body


@pytest.mark.parametrize("width", [400, 1200])
def test_the_front_page_fits_its_window(visit, browser, width):
    visit("", "Regressions")
    browser.set_window_size(width, 900)
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) <= 0
    browser.set_window_size(1200, 900)


def test_the_grid_and_the_list_name_every_benchmark(visit, browser):
    visit("asv.html#/", "Images.time_filter", "Overhead.time_tiny_call")
    assert len(browser.find_elements("css selector", "#summarygrid-display canvas")) >= 2
    visit("asv.html#summarylist", "k3", "k7")


def test_a_graph_has_a_point_for_every_commit(visit, browser):
    visit(f"asv.html#{CALLS}?p-kernel=%27k3%27", "time_filter")
    from selenium.webdriver.support.ui import WebDriverWait

    plotted = """
        const plot = $("#main-graph").data("plot");
        return plot ? plot.getData().map(s => s.data.filter(p => p && p[1] != null).length) : [];
    """
    points = WebDriverWait(browser, 30).until(lambda b: b.execute_script(plotted))
    assert max(points) == COUNT


def test_the_regressions_page_names_the_slow_commit(site, browser, visit):
    address, hashes = site
    slower = hashes[SLOWER_AT][:8]
    text = visit("asv.html#regressions", "time_filter", slower)
    assert "time_tiny_call" not in text
    assert f"{address}/commits/{slower}" in hrefs(browser, slower)


def test_what_was_not_measured_is_not_kept(tmp_path):
    from asv_bench.dashboard import configuration

    history(tmp_path)
    path = tmp_path / "results" / "benchmarks.json"
    table = json.loads(path.read_text())
    path.write_text(json.dumps(table | {"other.time_it": benchmark("other.time_it", [])}))
    configuration.prune(tmp_path / "results")
    assert json.loads(path.read_text()) == table


def test_the_kept_history_is_of_the_subset_and_small():
    kept = ROOT / "asv_bench" / "history"
    table = json.loads((kept / "benchmarks.json").read_text())
    results = sorted(kept.glob("*/*-virtualenv-py*.json"))
    assert len(results) >= 8
    for path in results:
        text = path.read_text()
        assert len(text) < 10_000
        result = json.loads(text)
        assert path.name.startswith(result["commit_hash"][:8])
        assert result["params"]["machine"] == path.parent.name
        assert set(result["results"]) <= set(table)
        assert all(name.startswith("subset.") for name in result["results"])


def test_licences_lie_beside_the_scripts(site, tmp_path_factory):
    folder = next(path for path in tmp_path_factory.getbasetemp().glob("dashboard*/html/scripts"))
    page = (folder.parent / "asv.html").read_text()
    loaded = set(re.findall(r'(?:src|href)="scripts/([^"]+)"', page))
    assert len(loaded) == 10
    assert {path.name for path in folder.iterdir()} == loaded | {"licences"}
    for package in (folder / "licences").iterdir():
        assert any(package.iterdir())
