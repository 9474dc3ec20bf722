"""What notebooks show: well-formed HTML that says what the text says, escaped, details folded."""

import json
import xml.etree.ElementTree as ET

import pytest

import cyconv
from cyconv import notebook
from cyconv.cli.report import Report
from cyconv.opencl.device import DeviceInfo, DeviceList

from .reports import EVIL, report

WEIGHTS = (64, 64, 3, 3)


def parsed(html):
    """The card's elements: what is well-formed XML is well-formed HTML here."""
    style, card = html.split("</style>")
    assert style.startswith("<style>")
    return ET.fromstring(card)


def words(element):
    return " ".join(" ".join(element.itertext()).split())


def rows(table):
    return [[words(cell) for cell in row] for row in table.iter("tr")]


@pytest.fixture
def problem():
    return cyconv.Problem((1, 64, 56, 56), WEIGHTS, stride=2, padding=1)


def test_a_problem_shows_what_follows_and_folds_what_was_asked(problem):
    card = parsed(problem._repr_html_())
    derived, asked = map(rows, card.iter("table"))
    assert ["output_shape", "(1, 64, 28, 28)"] in derived
    assert ["parameters", "36864"] in derived
    assert ["stride", "(2, 2)"] in asked
    assert len(list(card.find("details").iter("table"))) == 1
    assert problem.title in words(card)
    assert not any(row[0] == "operation" for row in asked)


def test_an_explanation_shows_each_algorithm_once():
    pointwise = cyconv.Problem((1, 64, 56, 56), (64, 64, 1, 1), flip=True)
    explanation = cyconv.plan(pointwise).explain()
    card = parsed(explanation._repr_html_())
    shown, refused = map(rows, card.iter("table"))
    told = {c.name: c.reason for c in explanation.candidates}
    assert {row[0] for row in shown[1:]} == {name for name, reason in told.items() if not reason}
    assert {tuple(row) for row in refused[1:]} == {item for item in told.items() if item[1]}
    (chosen,) = (words(row[0]) for row in card.iter("tr") if row.get("class") == "chosen")
    assert chosen == explanation.algorithm
    assert [words(item) for item in card.iter("li")] == list(explanation.chain)
    for line in str(explanation).splitlines()[:2]:
        assert line.strip() in words(card)


def test_an_explanation_of_nothing_is_a_card():
    nothing = cyconv.Problem((0, 3, 8, 8), (4, 3, 3, 3))
    parsed(cyconv.plan(nothing).explain()._repr_html_())


def test_a_report_of_bench_is_shown_escaped():
    found = report()
    html = found._repr_html_()
    assert "<script" not in html
    card = parsed(html)
    (table,) = card.iter("table")
    assert [len(row) for row in rows(table)] == [9, 9]
    assert rows(table)[1][0] == EVIL
    assert [words(fold[0]) for fold in card.iter("details")] == [
        "1 layer(s)",
        "failed: 1",
        "versions",
    ]
    assert "whole net: 1.50 x the speed of torch" in words(card)


def test_a_report_is_read_from_the_commands_file(tmp_path):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(report()), encoding="utf-8")
    assert Report.read(path) == report()
    assert str(Report.read(path)).splitlines()[-1] == "whole net: 1.50 x the speed of torch"


def test_nothing_makes_nothing():
    assert notebook.table(("a",), []) == notebook.details("a", "") == notebook.bullets([]) == ""


def test_colours_are_the_pages_own():
    """No opaque colour: dark text on a dark page would not be read."""
    assert "#" not in notebook.STYLE
    assert "color:inherit" in notebook.STYLE
    assert "rgb(" not in notebook.STYLE


def test_devices_are_a_table_and_each_folds_open():
    one, two = (
        DeviceInfo(i, "PoCL", name, "OpenCL 3.0", "5.0", "CPU", 2, 1 << 15, 3 << 30, i == 0)
        for i, name in enumerate(("first", EVIL))
    )
    card = parsed(DeviceList([one, two])._repr_html_())
    table, *more = map(rows, card.iter("table"))
    assert [row[:2] for row in table[1:]] == [["opencl:0", "first"], ["opencl:1", EVIL]]
    assert [row[-2:] for row in table[1:]] == [["3.0 GiB", "yes"], ["3.0 GiB", "no"]]
    assert len(more) == len(list(card.iter("details"))) == 2
    (alone,) = parsed(one._repr_html_()).iter("table")
    assert ["driver", "5.0"] in rows(alone)
