"""The explorables are pages of their own: they go to the site as they are."""

import shutil
from pathlib import Path


def copied(app, exception):
    """Put docs/explorables beside the pages that Sphinx wrote."""
    if exception is None and app.builder.format == "html":
        target = Path(app.outdir) / "explorables"
        shutil.copytree(Path(app.srcdir) / "explorables", target, dirs_exist_ok=True)


def setup(app):
    """Sphinx's entry."""
    app.connect("build-finished", copied)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
