"""Every benchmark in ``asv_bench`` imports, sets up, and runs once on its smallest parameters."""

import importlib
import inspect
import json
import math
import os
import re
import sys
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import cyconv

ASV_BENCH = Path(__file__).parents[1] / "asv_bench"
SEED = 7
SAMPLE = 4

# The package pins thread counts in the environment, which is not this process's business. asv puts
# `asv_bench` on the path in the same way.
with mock.patch.dict(os.environ), mock.patch.object(sys, "path", [str(ASV_BENCH), *sys.path]):
    from benchmarks import common, shapes

    MODULES = [
        importlib.import_module(f"benchmarks.{path.stem}")
        for path in sorted((ASV_BENCH / "benchmarks").glob("*.py"))
        if path.stem != "__init__"
    ]

BENCHMARKS = [
    pytest.param(cls, id=f"{module.__name__.partition('.')[2]}.{name}")
    for module in MODULES
    for name, cls in inspect.getmembers(module, inspect.isclass)
    if cls.__module__ == module.__name__ and not name.startswith("_") and cls is not shapes.Layer
]


@pytest.fixture(autouse=True)
def one_round(monkeypatch):
    monkeypatch.setattr(common, "ROUNDS", 1)


def combinations(cls):
    return list(product(*getattr(cls, "params", ())))


def size(combination):
    """Multiply-adds of a layer up to its output size; 0 for parameters that are no layer."""
    layer = shapes.LAYERS.get(combination[0]) if combination else None
    return math.prod(layer.x) * math.prod(layer.w) if layer else 0


def set_up(cls, combination):
    """The benchmark ready to run, or None where it skips this combination."""
    benchmark = cls()
    try:
        getattr(benchmark, "setup", lambda *_: None)(*combination)
    except NotImplementedError:
        return None
    return benchmark


@pytest.mark.parametrize("cls", BENCHMARKS)
def test_setup_on_first_last_and_a_seeded_sample(cls):
    combos = combinations(cls)
    picked = np.random.default_rng(SEED).integers(len(combos), size=SAMPLE)
    ready = [set_up(cls, combos[i]) for i in {0, len(combos) - 1, *picked.tolist()}]
    assert any(ready), f"every combination was skipped (seed {SEED})"


@pytest.mark.parametrize("cls", BENCHMARKS)
def test_every_method_runs_on_the_smallest_layer(cls, child):
    combos = combinations(cls)
    least = min(map(size, combos))
    methods = [
        name
        for name, _ in inspect.getmembers(cls, inspect.isfunction)
        if re.match("(time|timeraw|track|peakmem)_", name)
    ]
    assert methods
    for combination in combos:
        if size(combination) > least or (benchmark := set_up(cls, combination)) is None:
            continue
        for name in methods:
            result = getattr(benchmark, name)(*combination)
            if name.startswith("track_"):
                assert math.isfinite(result), name
                assert result >= 0, name
                assert getattr(cls, name).unit
            elif name.startswith("timeraw_"):
                child(result)


@pytest.mark.parametrize("name", cyconv.planning.registry.names())
def test_the_registry_is_the_list_of_measured_algorithms(name):
    assert name in common.algorithms()


def test_every_layer_of_a_network_has_its_own_name():
    for network, layers in (
        (shapes.VGG16, 9),
        (shapes.RESNET50, 23),
        (shapes.MOBILENET_V2, 30),
    ):
        assert len(network) == len(set(network.values())) == layers


def test_the_layers_chain():
    """Every layer of a network reads as many channels as some layer of it writes."""
    for network in (shapes.VGG16, shapes.RESNET50, shapes.MOBILENET_V2):
        written = {3} | {layer.w[0] for layer in network.values()}
        assert {layer.x[1] for layer in network.values()} <= written


def test_asv_conf_names_folders_that_exist():
    text = (ASV_BENCH / "asv.conf.json").read_text()
    conf = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    assert (ASV_BENCH / conf["benchmark_dir"] / "__init__.py").is_file()
    assert (ASV_BENCH / conf["repo"] / "pyproject.toml").is_file()
    ignored = (ASV_BENCH.parent / ".gitignore").read_text().split()
    for folder in ("env_dir", "results_dir", "html_dir"):
        assert f"asv_bench/{conf[folder]}/" in ignored
