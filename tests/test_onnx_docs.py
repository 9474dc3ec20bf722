"""The page on ONNX: its code runs, and what it prints is what the page shows."""

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("onnx")

PAGE = (Path(__file__).parents[1] / "docs" / "onnx.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_block_runs_in_order(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for i, block in enumerate(blocks("python")):
        if "import onnxruntime" in block and importlib.util.find_spec("onnxruntime") is None:
            continue
        exec(compile(block, f"docs/onnx.md, block {i}", "exec"), names)
    printed = capsys.readouterr().out
    (shown,) = blocks("text")
    assert printed.startswith(shown)
    assert "'reference'" in printed.splitlines()[-1]


def test_its_command(capsys, tmp_path, monkeypatch):
    import numpy as np

    from cyconv.cli import main

    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], "docs/onnx.md", "exec"), {})
    np.save("image.npy", np.zeros((1, 3, 96, 96), "f4"))
    install, command = blocks("sh")[0].splitlines()
    assert install.endswith("'.[onnx]'")
    assert main(command.split()[1:]) == 0
    assert np.load("scores.npy").shape == (1, 10)
