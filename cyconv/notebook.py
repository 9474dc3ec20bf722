"""HTML for notebooks: a titled card of tables, lists and folded details, all text escaped.

Colours are the page's own, seen through: what is right on white is right on black.
"""

from html import escape

STYLE = (
    "<style>"
    ".cyconv{font-size:13px;line-height:1.45;color:inherit;overflow-x:auto;max-width:100%}"
    ".cyconv p,.cyconv ul{margin:.2em 0}"
    ".cyconv table{border-collapse:collapse;margin:.4em 0;font-size:inherit;color:inherit;"
    "background:none}"
    ".cyconv th,.cyconv td{padding:.15em .7em;text-align:left;color:inherit;background:none;"
    "border:0;border-bottom:1px solid rgba(128,128,128,.35)}"
    ".cyconv .number{text-align:right;font-variant-numeric:tabular-nums}"
    ".cyconv tr.chosen td,.cyconv tr.chosen th{font-weight:bold;background:rgba(64,132,214,.2)}"
    ".cyconv summary{cursor:pointer}"
    "</style>"
)


class Markup(str):
    """HTML: it is not escaped again."""


def link(words, target):
    """A cell or an item that leads to `target`."""
    return Markup(f'<a href="{escape(target)}">{escape(words)}</a>')


def _escaped(words):
    return words if isinstance(words, Markup) else escape(str(words))


def card(title, *parts):
    """All that a ``_repr_html_`` returns: `title` in bold, then parts made by this module."""
    body = "".join(parts)
    return f'{STYLE}<div class="cyconv"><p><b>{escape(title)}</b></p>{body}</div>'


def text(words):
    """A paragraph."""
    return f"<p>{_escaped(words)}</p>"


def bullets(sentences):
    """A list; nothing for none."""
    items = "".join(f"<li>{_escaped(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def details(summary, *parts):
    """`parts` folded away behind `summary`; nothing if they are empty."""
    body = "".join(parts)
    return f"<details><summary>{escape(summary)}</summary>{body}</details>" if body else ""


def table(head, rows, *, numbers=(), chosen=None):
    """Rows of cells under `head`; columns `numbers` to the right, row `chosen` marked.

    Nothing for no rows. The first cell of a row is its heading.
    """

    def line(cells, tag, mark=""):
        found = []
        for i, cell in enumerate(cells):
            name = "th" if tag == "th" or i == 0 else "td"
            scope = f' scope="{"col" if tag == "th" else "row"}"' if name == "th" else ""
            kind = ' class="number"' if i in numbers else ""
            found.append(f"<{name}{scope}{kind}>{_escaped(cell)}</{name}>")
        return f"<tr{mark}>{''.join(found)}</tr>"

    body = "".join(
        line(row, "td", ' class="chosen"' if i == chosen else "") for i, row in enumerate(rows)
    )
    top = f"<thead>{line(head, 'th')}</thead>" if head else ""
    return f"<table>{top}<tbody>{body}</tbody></table>" if body else ""


def fields(pairs):
    """A table of names and values."""
    return table((), pairs.items())
