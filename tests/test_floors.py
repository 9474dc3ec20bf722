"""The floors of the house: which room imports which."""

import re
from pathlib import Path

import pytest

import cyconv

ROOT = Path(cyconv.__file__).parent

FLOORS = (
    ("cli",),
    ("dask", "onnx"),
    ("filters", "quantized", "signal", "toeplitz", "torch", "unfolding"),
    ("ndimage",),
    ("api",),
    ("opencl",),
    ("algorithms",),
    ("planning",),
    ("lowering",),
    ("problem",),
    ("notebook", "runtime"),
    ("kernels",),
)
"""From the roof to the ground: a room imports from its own and from the floors below it."""

BELOW = {
    room: {name for lower in FLOORS[i + 1 :] for name in lower} | {room}
    for i, floor in enumerate(FLOORS)
    for room in floor
}
IMPORT = re.compile(
    r"^\s*(?:from\s+(cyconv[\w.]*)\s+c?import\s+\(?([^\n#]*)|c?import\s+(cyconv[\w.]*))", re.M
)


def files(room):
    """The sources of a room: a folder, or a module at the root."""
    folder = ROOT / room
    if folder.is_dir():
        return sorted(
            path for suffix in ("py", "pyx", "pxd") for path in folder.rglob(f"*.{suffix}")
        )
    return [folder.with_suffix(".py")]


def imported(text):
    """The rooms that a source imports, at its top or within a function; '' is the roof itself."""
    for module, names, whole in IMPORT.findall(text):
        parts = (module or whole).split(".")
        if len(parts) > 1:
            yield parts[1]
        elif whole:
            yield ""
        else:
            yield from (name.split()[0] for name in names.strip("() ").split(",") if name.strip())


@pytest.mark.parametrize("room", BELOW)
def test_imports_run_downwards(room):
    # The command line is the one room above the public names.
    allowed = BELOW[room] | ({""} if room == "cli" else set())
    # ``import cyconv.kernels`` binds `cyconv`, and is an import of the kernels.
    for path in files(room):
        wrong = set(imported(path.read_text(encoding="utf-8"))) - allowed
        if room == "cli":
            wrong &= set(BELOW)  # public names
        assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


def test_every_room_has_its_floor():
    modules = {path.stem for path in ROOT.glob("*.py")} - {"__init__", "__main__"}
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert modules | folders == set(BELOW)


def test_the_check_finds_an_import_upwards():
    text = "def f():\n    from cyconv.api import conv\nfrom cyconv import lowering, problem\n"
    assert list(imported(text)) == ["api", "lowering", "problem"]
    assert list(imported("import cyconv\nfrom cyconv.runtime.memory cimport Buffer\n")) == [
        "",
        "runtime",
    ]


def test_every_room_that_loads_when_asked_for_is_on_a_floor():
    assert set(cyconv._ROOMS) <= set(BELOW)
