"""``.. kernels::`` lists the fixed kernels of cyconv.filters with their numbers."""

import numpy as np
from docutils import nodes
from docutils.parsers.rst import Directive

from cyconv import filters


class Kernels(Directive):
    """A table of the arrays, read from the library."""

    def run(self):
        """The table's node."""
        table, group = nodes.table(), nodes.tgroup(cols=3)
        table += group
        group += [nodes.colspec(colwidth=width) for width in (25, 25, 50)]
        heading, body = nodes.thead(), nodes.tbody()
        group += [heading, body]
        heading += _row(*(nodes.paragraph(text=t) for t in ("array", "name", "numbers")))
        names = {id(kernel): name for name, kernel in filters.KERNELS.items()}
        for name in sorted(filters.__all__):
            kernel = getattr(filters, name)
            if isinstance(kernel, np.ndarray):
                rows = "\n".join(" ".join(f"{value:g}" for value in row) for row in kernel)
                called = names.get(id(kernel))
                body += _row(
                    _code(name),
                    _code(repr(called)) if called else nodes.paragraph(),
                    nodes.literal_block(rows, rows),
                )
        return [table]


def _code(text):
    return nodes.paragraph("", "", nodes.literal(text=text))


def _row(*cells):
    row = nodes.row()
    for cell in cells:
        row += nodes.entry("", cell)
    return row


def setup(app):
    """Sphinx's entry."""
    app.add_directive("kernels", Kernels)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
