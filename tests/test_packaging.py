"""What the project files say is true: the README runs, CI runs the README, the package is whole."""

import pydoc
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import cyconv

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def blocks(language):
    """The README's code blocks in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def algorithm_table():
    """Rows of the README's table as {algorithm: {column: cell}}."""
    header, _, *rows = re.search(r"^\| algorithm .*?(?=\n\n)", README, re.M | re.S)[0].splitlines()
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    table = {}
    for row in rows:
        name, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        table[name.strip("`")] = dict(zip(columns[1:], cells, strict=True))
    return table


IMAGE = {"x_shape": (1, 8, 16, 16), "w_shape": (8, 8, 3, 3)}
COLUMNS = {
    "1-D": {"x_shape": (1, 8, 64), "w_shape": (8, 8, 3)},
    "3-D": {"x_shape": (1, 8, 9, 9, 9), "w_shape": (8, 8, 3, 3, 3)},
    "1 × 1": IMAGE | {"w_shape": (8, 8, 1, 1)},
    "5 × 5": IMAGE | {"w_shape": (8, 8, 5, 5)},
    "stride": IMAGE | {"stride": 2},
    "dilation": IMAGE | {"dilation": 2},
    "groups": IMAGE | {"w_shape": (8, 2, 3, 3), "groups": 4},
    "complex": IMAGE | {"dtype": "complex64"},
    "integers": IMAGE | {"dtype": "int32"},
}


def test_readme_names_two_commands_that_do_all_the_set_up():
    assert blocks("sh")[0].splitlines() == [
        "python -m pip install '.[cli]' && cyconv edges",
        "python -m pip install '.[test]' && python -m pytest -n auto",
    ]


def test_every_extra_that_is_named_exists():
    texts = [README, (ROOT / "CONTRIBUTING.md").read_text(), (ROOT / ".ci/run").read_text()]
    named = {name for text in texts for name in re.findall(r"'\.\[(\w+)\]'", text)}
    assert {"cli", "test", "dev", "bench"} <= named <= PROJECT["optional-dependencies"].keys()


def test_ci_runs_the_commands_of_the_readme():
    program = re.search(r"awk '([^']*)' README\.md", (ROOT / ".ci/run").read_text())[1]
    found = subprocess.run(
        ["awk", program, ROOT / "README.md"], check=True, capture_output=True, text=True
    )
    assert found.stdout == blocks("sh")[0]


def test_readme_example_runs_in_ten_lines(capsys):
    (example,) = blocks("python")
    assert len([line for line in example.splitlines() if line]) <= 10
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_readme_table_lists_the_registry():
    assert tuple(algorithm_table()) == cyconv.planning.registry.names()


def test_readme_table_has_the_columns_that_are_checked():
    for row in algorithm_table().values():
        assert list(row) == ["how", *COLUMNS]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", cyconv.planning.registry.names())
def test_readme_table_is_what_algorithms_says(name, column):
    reason = cyconv.algorithms(cyconv.Problem(**COLUMNS[column]))[name]
    assert algorithm_table()[name][column] == ("yes" if reason is None else "no"), reason


def test_every_function_that_the_readme_lists_exists():
    rows = re.search(r"^\| functions .*?(?=\n\n)", README, re.M | re.S)[0].splitlines()[2:]
    names = [name for row in rows for name in re.findall(r"`([\w.]+)`", row.split("|")[1])]
    assert len(names) > len(rows)
    for name in names:
        assert pydoc.locate(f"cyconv.{name.removeprefix('cyconv.')}"), name


def test_readme_images_and_links_exist():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_package_carries_its_types():
    package = Path(cyconv.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "__init__.pyi").is_file()


def test_version_is_that_of_the_project():
    assert cyconv.__version__ == PROJECT["version"]


def test_nothing_is_compiled_for_the_build_host_or_with_unsafe_mathematics():
    setup = (ROOT / "setup.py").read_text()
    for flag in ("-march=native", "-mtune=native", "-ffast-math", "-Ofast"):
        assert f'"{flag}"' not in setup
