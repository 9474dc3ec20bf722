"""Fixtures: the instruction sets of this machine, and settings put back after every test."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

import cyconv
from cyconv import cli

from .selection import thin, thinned
from .variants import Way, forced

# Child processes import the same cyconv, whatever their working directory.
os.environ["PYTHONPATH"] = str(Path(cyconv.__file__).parents[1])
os.environ["PYTHONSAFEPATH"] = "1"

hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser):
    """``--full``: the long sweep."""
    parser.addoption(
        "--full", action="store_true", help="run every parametrised case, not each pair of values"
    )


@pytest.hookimpl(trylast=True)  # after the marks and the fixtures have multiplied the calls
def pytest_generate_tests(metafunc):
    """Make no item of a case that is left out, where no name of one is asked for."""
    config = metafunc.config
    asked = config.option.keyword or config.option.markexpr or any("[" in a for a in config.args)
    if not (asked or config.getoption("--full")):
        thin(metafunc)


@pytest.hookimpl(trylast=True)  # after -k and -m have chosen
def pytest_collection_modifyitems(config, items):
    """Leave out the cases that show no pair of values for the first time."""
    if not config.getoption("--full"):
        quick = [item for item in items if item.get_closest_marker("full") is None]
        run = thinned(quick)
        config.hook.pytest_deselected(items=list(set(items) - set(run)))
        items[:] = run


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Call a test of `cases.seeds` with each seed; what it raises says which one it was."""
    seeds = pyfuncitem.funcargs.get("seed")
    if not isinstance(seeds, range):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    skipped = []
    for seed in seeds:
        try:
            pyfuncitem.obj(**{**given, "seed": seed})
        except pytest.skip.Exception as reason:
            skipped.append(reason)
        except Exception as error:
            error.add_note(f"seed={seed}")
            raise
    if len(skipped) == len(seeds):
        raise skipped[0]
    return True


@pytest.fixture(params=cyconv.kernels.available())
def isa(request):
    """Each instruction set that this machine has, chosen for the length of the test."""
    before = cyconv.kernels.isa()
    cyconv.kernels.set_isa(request.param)
    yield request.param
    cyconv.kernels.set_isa(before)


@pytest.fixture(autouse=True)
def _thread_count():
    """The process's thread count, put back."""
    before = cyconv.get_num_threads()
    yield
    cyconv.set_num_threads(before)


@pytest.fixture(autouse=True)
def _variant(request):
    """The variant that a parameter of the test names, forced for its length."""
    callspec = getattr(request.node, "callspec", None)
    values = callspec.params.values() if callspec else ()
    with forced(next((value for value in values if isinstance(value, Way)), None)):
        yield


@pytest.fixture
def child():
    """`child(code, **environment)`: Python runs `code` in a process of its own and has to succeed.

    Warnings are errors there too. With ``check=False`` it may fail.
    """

    def run(code, *, check=True, **environment):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done

    return run


def pytest_report_header():
    """The two facts without which a failure can't be repeated."""
    return f"cyconv: {cyconv.kernels.isa()} of {', '.join(cyconv.kernels.available())}"


@pytest.fixture
def command(capsys):
    """``command("edges in.png -o", name) -> (exit code, stdout, stderr)``."""

    def run(*words):
        code = cli.main(" ".join(map(str, words)).split())
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
