"""Every public name has an example that runs, and a place in the site's reference."""

import contextlib
import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import cyconv

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
NEEDS = {"torch": "torch", "dask": "dask.array", "onnx": "onnx", "opencl": "pyopencl"}
MODULES = [
    "cyconv",
    *(
        f"cyconv.{room}"
        for room in ("filters", "toeplitz", "ndimage", "signal", "dask", "onnx", "torch", "opencl")
    ),
]
#: Submodules that a module's __all__ lists, and which have no page of their own.
ROOMS = {"cyconv.dask": {"ndimage", "signal"}}


def loaded(module):
    """The module; the test is skipped without what it needs."""
    room = module.rpartition(".")[2]
    if room in NEEDS:
        pytest.importorskip(NEEDS[room])
    return importlib.import_module(module)


def functions(module):
    """The functions and classes among a module's public names, by name."""
    names = set(module.__all__) - ROOMS.get(module.__name__, set())
    return {name: found for name in sorted(names) if callable(found := getattr(module, name))}


def listed(text):
    """The names in the summaries of a page of the reference, with their module."""
    module = re.search(r"^\.\. currentmodule:: (\S+)$", text, re.M)
    summaries = re.findall(r"^\.\. autosummary::\n((?: {3}.*\n|\n)+)", text, re.M)
    return {
        f"{module[1]}.{name}"
        for summary in summaries
        for name in re.findall(r"^ {3}(\w[\w.]*)$", summary, re.M)
    }


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module):
    found = {name for page in REFERENCE.glob("*.rst") for name in listed(page.read_text("utf-8"))}
    missing = {f"{module}.{name}" for name in functions(loaded(module))} - found
    assert not missing


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_every_public_name_run(module):
    package = loaded(module)
    if module == "cyconv.opencl" and not package.devices():
        pytest.skip("needs an OpenCL device")
    names = {"np": np, "cyconv": cyconv}
    if module == "cyconv.torch":
        names["torch"] = importlib.import_module("torch")
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    for name, found in functions(package).items():
        own = {name: found} | vars(package)
        test = doctest.DocTestParser().get_doctest(
            found.__doc__, own | names, f"{module}.{name}", None, None
        )
        assert test.examples, f"{module}.{name} has no example"
        said = []
        with contextlib.suppress(doctest.DocTestFailure):
            runner.run(test, out=said.append)
        assert runner.summarize(verbose=False).failed == 0, "".join(said)


@pytest.mark.parametrize("module", ["cyconv.filters", "cyconv.ndimage", "cyconv.torch"])
def test_the_examples_that_open_a_module_run(module):
    package = loaded(module)
    test = doctest.DocTestParser().get_doctest(package.__doc__, {}, module, None, None)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("page", ["coming_from", "filtering"])
def test_the_names_in_the_tables_exist(page):
    text = (REFERENCE.parent / f"{page}.md").read_text("utf-8")
    names = set(re.findall(r"\bcyconv((?:\.\w+)+)", text))
    assert names
    for name in names - {".torch"}:
        found = cyconv
        for part in name.split(".")[1:]:
            found = getattr(found, part)
