"""The file of the cost model's constants: which one is read, and how it is written.

The library reads ``constants.json`` beside this module or, if the environment says so, the file
``CYCONV_MODEL``, once, when it is imported. The file is JSON::

    {"format": "cyconv model", "schema": 1, "measured_on": {"processor": ..., "date": ...,
     "command": ...}, "arithmetic": {"peak": {"avx2": ...}, "tile_shares": [...], ...}, ...}

It is written whole. A file that is not like this is ignored with one warning.
"""

import json
import os
import warnings
from dataclasses import asdict, fields
from math import isfinite

from cyconv.planning import files
from cyconv.planning.constants import GROUPS, Constants, MeasuredOn

FORMAT, SCHEMA = "cyconv model", 1
BUILT_IN = os.path.join(os.path.dirname(__file__), "constants.json")


class ModelFileError(Exception):
    """Why a file of constants cannot be used."""


def path():
    """The file that ``CYCONV_MODEL`` names, or None where it names none.

    Returns
    -------
    str or None
    """
    named = os.environ.get("CYCONV_MODEL")
    return os.path.abspath(os.path.expanduser(named)) if named else None


def load():
    """The constants that this process works with.

    Returns
    -------
    constants : Constants
    file : str or None
        Where they come from; None for the built-in ones.
    """
    file = path()
    if file is not None:
        try:
            return read(file), file
        except ModelFileError as error:
            warnings.warn(
                f"cyconv ignores the model file {file}: {error}", RuntimeWarning, stacklevel=2
            )
    return read(BUILT_IN), None


def read(file):
    """The constants in `file`.

    Parameters
    ----------
    file : str

    Returns
    -------
    Constants

    Raises
    ------
    ModelFileError
        If it is not there, or is not such a file, or lacks a constant, or has one that is not
        made of positive numbers.
    """
    content = files.content(file, FORMAT, ModelFileError)
    if content.get("schema") != SCHEMA:
        raise ModelFileError(f"its schema is not {SCHEMA}, which this version of cyconv writes")
    measured_on = _named(content, "measured_on", MeasuredOn)
    for name, text in measured_on.items():
        if not isinstance(text, str):
            raise ModelFileError(f"its measured_on.{name} is not text")
    return Constants(MeasuredOn(**measured_on), **{name: _group(content, name) for name in GROUPS})


def _named(content, name, kind):
    """What `content` has under `name`, which must be just the fields of the class `kind`."""
    values = content.get(name)
    expected = {field.name for field in fields(kind)}
    if not isinstance(values, dict) or values.keys() != expected:
        found = set(values) if isinstance(values, dict) else set()
        odd = sorted(expected ^ found)
        raise ModelFileError(f"its {name} lacks or should not have: {', '.join(odd)}")
    return values


def _group(content, name):
    """One group of constants, each with as many numbers as its field says."""
    kind = GROUPS[name]
    values = _named(content, name, kind)
    for field in fields(kind):
        value, parts = values[field.name], field.metadata["parts"]
        if field.type is dict and isinstance(value, dict) and value.keys() == set(parts):
            numbers = value.values()
        elif field.type is tuple and isinstance(value, list) and len(value) == len(parts):
            numbers = values[field.name] = tuple(value)
        else:
            numbers = [] if parts else [value]
        if not numbers or not all(map(_positive, numbers)):
            wanted = f"{len(parts)} positive numbers" if parts else "a positive number"
            raise ModelFileError(f"its {name}.{field.name} is not {wanted}")
    return kind(**values)


def _positive(value):
    return type(value) in (int, float) and value > 0 and isfinite(value)


def text(constants):
    """What a file of these constants holds.

    Parameters
    ----------
    constants : Constants

    Returns
    -------
    str
        JSON with one constant a line.
    """

    def lines(values):
        return ",\n".join(f"  {json.dumps(key)}: {json.dumps(values[key])}" for key in values)

    groups = ",\n".join(
        f" {json.dumps(name)}: {{\n{lines(values)}\n }}"
        for name, values in asdict(constants).items()
    )
    return f'{{\n "format": "{FORMAT}",\n "schema": {SCHEMA},\n{groups}\n}}\n'
