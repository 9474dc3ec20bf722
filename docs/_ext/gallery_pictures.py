"""The gallery's examples write a picture each; here it is where sphinx-gallery looks for it."""

import shutil
import tempfile
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

FOLDER = Path(tempfile.mkdtemp(prefix="cyconv-gallery-"))
SMALL = {"filter_larger_than_memory"}  # in full it writes 1.6 GB


def arguments(_, script):
    """The command line of an example."""
    small = Path(script["src_file"]).stem in SMALL
    return ["--out", str(FOLDER), *(["--small"] if small else [])]


def scraper(_, block_vars, gallery_conf):
    """Take the picture that the example has written, if it has."""
    stem = Path(block_vars["src_file"]).stem
    written = FOLDER / f"{stem}.png"
    if not written.exists():
        return ""
    target = next(block_vars["image_path_iterator"])
    shutil.move(written, target)
    return figure_rst([target], gallery_conf["src_dir"], stem.replace("_", " "))
