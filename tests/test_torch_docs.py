"""The page on PyTorch: its code runs, and what it prints is what the page shows."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("ml_dtypes")

PAGE = (Path(__file__).parents[1] / "docs" / "torch.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def shape_of(report):
    """A report without what depends on the machine: algorithms, digits, widths of columns."""
    lines = [re.sub(r"example .*", "example", line) for line in report.strip().splitlines()]
    rows = [re.split(r"  +", line) for line in lines]
    return [[cell for i, cell in enumerate(row) if i != 2] for row in rows]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_every_block_runs_in_order(capsys):
    names = {}
    for i, block in enumerate(blocks("python")):
        exec(compile(block, f"docs/torch.md, block {i}", "exec"), names)
    printed = capsys.readouterr().out
    (report,) = blocks("text")
    assert shape_of(printed)[: report.count("\n")] == shape_of(report)
    assert "'torch'" in printed.splitlines()[-1]
