"""The page of features says only what tests show."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "features.md").read_text(encoding="utf-8")
TABLES = PAGE.split("## What shows it")


def rows(text):
    """`{first cell: the other cells}` of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


FEATURES = {name: cells[0] for name, cells in rows(TABLES[0]).items()}
SHOWN = {name: re.findall(r"`([^`]+)`", cells[0]) for name, cells in rows(TABLES[1]).items()}


def test_every_feature_that_is_there_is_shown_by_a_test_and_no_other():
    there = {name for name, has in FEATURES.items() if has != "not yet"}
    assert len(FEATURES) >= len(there) > 20
    assert set(SHOWN) == there
    assert all(SHOWN.values())
    assert not any(has.startswith("no") for name, has in FEATURES.items() if name in there)


@pytest.mark.parametrize("name", sorted({test for tests in SHOWN.values() for test in tests}))
def test_every_test_on_the_page_exists(name):
    file, _, test = name.partition("::")
    source = (TESTS / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {re.escape(test)}\(", source, re.MULTILINE)
    assert test.startswith("test_")
