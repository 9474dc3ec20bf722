"""``cyconv explain`` and ``doctor``, and the command as a process."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import cyconv
from cyconv import cli
from cyconv.cli import common, doctor


def run(capsys, line):
    """(exit code, stdout, stderr) of the command `line`."""
    code = cli.main(line.split())
    return code, *capsys.readouterr()


# ---- explain and doctor -------------------------------------------------------------------------

LAYER = "explain --input 1,64,56,56 --weight 64,64,3,3 --padding 1"


def test_explain_tells_shape_parameters_flops_and_every_algorithm(capsys):
    code, out, err = run(capsys, LAYER)
    assert (code, err) == (0, "")
    assert "1, 64, 56, 56" in out or "1x64x56x56" in out
    assert "36,864" in out or "36864" in out
    for name in cyconv.planning.registry.names():
        assert name in out


def test_explain_json_is_the_plans_explanation(capsys):
    code, out, err = run(capsys, f"{LAYER} --json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["output_shape"] == [1, 64, 56, 56]
    assert report["parameters"] == 64 * 64 * 3 * 3
    assert report["flops"] == 2 * 64 * 56 * 56 * 64 * 3 * 3
    assert {c["name"] for c in report["candidates"]} == set(cyconv.planning.registry.names())
    assert report["algorithm"] in cyconv.planning.registry.names()


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ("--stride 2", [1, 4, 4, 5]),
        ("--stride 2,1 --padding 1,0", [1, 4, 5, 9]),
        ("--padding 0:1,2:0", [1, 4, 9, 11]),
        ("--padding same --padding-mode reflect", [1, 4, 10, 11]),
        ("--dilation 2 --dtype float64 --accuracy strict", [1, 4, 6, 7]),
        ("--algorithm direct --threads 1 --workspace-limit 64M", [1, 4, 8, 9]),
    ],
)
def test_explain_takes_every_geometry(capsys, options, shape):
    code, out, err = run(capsys, f"explain --input 1,2,10,11 --weight 4,2,3,3 --json {options}")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["output_shape"] == shape
    if "--algorithm" in options:
        assert report["algorithm"] == "direct"


def test_explain_can_measure(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CYCONV_TUNING_FILE", str(tmp_path / "tuning.json"))
    line = "explain --input 1,2,10,11 --weight 4,2,3,3 --threads 1 --effort measure"
    code, out, err = run(capsys, line)
    assert (code, err) == (0, "")
    assert "ms measured" in out
    assert (tmp_path / "tuning.json").is_file()


@pytest.mark.parametrize(
    ("text", "count"),
    [("4096", 4096), ("512K", 2**19), ("64M", 2**26), ("2GiB", 2**31), ("1kb", 1024)],
)
def test_byte_counts_have_powers_of_1024(text, count):
    assert common.byte_count(text) == count


def test_doctor_reports_what_is_there(capsys):
    code, out, err = run(capsys, "doctor")
    assert (code, err) == (0, "")
    for text in (
        cyconv.__version__,
        np.__version__,
        cyconv.kernels.isa(),
        "OpenMP",
        "BLAS",
        "cost model",
        "OpenCL",
    ):
        assert text in out


def test_doctor_json(capsys):
    code, out, err = run(capsys, "doctor --json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["isa"]["active"] in report["isa"]["available"]
    assert report["threads"]["used"] == cyconv.get_num_threads()
    assert isinstance(report["openmp"], bool)
    assert report["model"].keys() == {"processor", "date", "command", "file"}
    assert report["opencl"]["devices"] or report["opencl"]["reason"]


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        ("import os; os.abort()", "the OpenCL driver crashed (signal 6)"),
        ("raise RuntimeError('no ICD')", "RuntimeError: no ICD"),
        ("print('[[], []]')", "no device found"),
        ("print('odd')", "the probe gave no readable answer"),
        ("import time; time.sleep(600)", "the OpenCL driver gave no answer within 1 s"),
    ],
)
def test_doctor_survives_a_broken_opencl_driver(monkeypatch, probe, reason):
    monkeypatch.setattr(doctor, "_OPENCL_PROBE", probe)
    monkeypatch.setattr(doctor, "_OPENCL_SECONDS", 1 if "sleep" in probe else 60)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: True)
    assert doctor._opencl() == {"devices": [], "errors": [], "reason": reason}


PLATFORMS = """
import sys, types

class Device:
    name, version, driver_version = "a GPU", "OpenCL 1.2", "1"
    max_compute_units, local_mem_size, global_mem_size = 8, 2**15, 2**30

class Platform:
    def __init__(self, name, count):
        self.name, self.count = name, count

    def get_devices(self):
        if self.count is None:
            raise RuntimeError("clGetDeviceIDs failed: OUT_OF_HOST_MEMORY")
        return [Device()] * self.count

platforms = [Platform("good", 1), Platform("broken", None), Platform("another", 2)]
sys.modules["pyopencl"] = types.SimpleNamespace(
    get_platforms=lambda: platforms, Error=RuntimeError
)
"""


def test_doctor_numbers_devices_and_tells_what_a_platform_said(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_OPENCL_PROBE", PLATFORMS + doctor._OPENCL_PROBE)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: True)
    code, out, err = run(capsys, "doctor")
    assert (code, err) == (0, "")
    for text in ("opencl:0  a GPU (good", "opencl:1  a GPU (another", "opencl:2  a GPU (another"):
        assert text in out
    assert "broken FAILS: clGetDeviceIDs failed: OUT_OF_HOST_MEMORY" in out
    report = json.loads(run(capsys, "doctor --json")[1])
    names = [device["device"] for device in report["opencl"]["devices"]]
    assert names == ["opencl:0", "opencl:1", "opencl:2"]
    assert report["opencl"]["errors"] == [
        {"platform": "broken", "error": "clGetDeviceIDs failed: OUT_OF_HOST_MEMORY"}
    ]


def test_doctor_lists_the_extras_of_the_installed_metadata(monkeypatch):
    class Installed:
        requires = (
            "numpy>=2",
            'pytest>=8; extra == "test"',
            'cyconv[cli]; extra == "test"',
            "no-such-package>=1; extra == 'cli'",
        )

    find = doctor.importlib.metadata.distribution
    monkeypatch.setattr(
        doctor.importlib.metadata,
        "distribution",
        lambda name: Installed if name == "cyconv" else find(name),
    )
    extras = doctor._extras()
    assert extras == {"test": {"pytest": pytest.__version__}, "cli": {"no-such-package": None}}


# ---- the process --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", *(c.__name__.rpartition(".")[2] for c in cli._COMMANDS)])
def test_help_fits_and_succeeds(capsys, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, f"{name} --help")
    assert (code, err) == (0, "")
    assert out.startswith("usage: cyconv")
    assert max(map(len, out.splitlines())) <= 80


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"cyconv {cyconv.__version__}\n", "")


def python(*argv, **options):
    return subprocess.run(
        [sys.executable, *argv],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(cyconv.__file__))},
        **options,
    )


def test_the_command_runs_as_a_process_and_a_closed_pipe_is_no_error():
    done = python("-m", "cyconv", "explain", "--input", "1,2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cyconv explain: the following arguments are required: --weight")
    script = (
        "import os, sys, cyconv.cli\n"
        "reader, writer = os.pipe()\n"
        "os.close(reader)\n"
        "os.dup2(writer, 1)\n"
        "sys.exit(cyconv.cli.main(['doctor', '--json']))\n"
    )
    done = python("-c", script)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version_needs_none_of_the_extras():
    script = (
        "import sys, cyconv.cli\n"
        "cyconv.cli.main(['--version'])\n"
        "print(sorted({'PIL', 'matplotlib', 'rich'} & set(sys.modules)))\n"
    )
    done = python("-c", script)
    assert done.stdout.endswith("\n[]\n"), done.stderr
