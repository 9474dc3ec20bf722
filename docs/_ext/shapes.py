"""Shapes such as (N, C, *spatial) in docstrings are code, not emphasis that never ends."""

import re

SHAPE = re.compile(r"(?<!`)\(([^()`]*\*\w[^()`]*)\)(?!`)")


def literal(_app, _what, _name, _object, _options, lines):
    """Rewrite the docstring's lines."""
    lines[:] = [SHAPE.sub(r"``(\1)``", line) for line in lines]


def setup(app):
    """Sphinx's entry."""
    app.connect("autodoc-process-docstring", literal, priority=100)  # before numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
