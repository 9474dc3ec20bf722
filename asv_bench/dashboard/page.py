"""A page of the dashboard's own: light and dark, for wide and narrow screens, no script."""

from html import escape

_STYLE = """\
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; font: 15px/1.5 system-ui, sans-serif;
  background: Canvas; color: CanvasText; }
nav a { margin-right: 1.2em; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
pre { overflow-x: auto; }
.faster { color: light-dark(#126b2e, #6fdc8c); } .slower { color: light-dark(#a8201a, #ff8a80); }
"""


def write(path, title, body, up=""):
    """Write the page `title` with the HTML `body`; `up` is the way to the front page's folder."""
    text = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{_STYLE}</style>
</head>
<body>
<nav><a href="{up}index.html">Front page</a><a href="{up}asv.html#/">Grid</a>\
<a href="{up}asv.html#summarylist">List</a><a href="{up}asv.html#regressions">Regressions</a></nav>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""
    path.write_text(text, encoding="utf-8")
