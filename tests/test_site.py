"""The site builds without a warning, and its pages need nothing but themselves.

``CYCONV_TEST_SITE=folder`` takes the site that is built there; ``CYCONV_TEST_AXE=axe.min.js`` has
axe-core look at every page too (npm: axe-core).
"""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from .browser import chromium, complaints, overflow, requests

pytestmark = pytest.mark.full
ROOT = Path(__file__).parents[1]
LOOKS = {"desktop": (1280, 900, False), "phone, dark": (390, 844, True)}
#: A sentence or number that the page must show, computed when it was built.
SHOWN = {
    "chapter/definitions.html": "[ 1  4 10 12 10  2  3]",
    "chapter/images.html": "their sum: -4",
    "chapter/channels.html": "32 to 64 channels: 18496",
    "chapter/properties.html": "moved by two rows and two columns: True",
    "chapter/kernels.html": "sharpen      sum of the taps 1",
    "chapter/matrices.html": "[14  8  6] [14  8  6]",
    "chapter/computing.html": "F(2, 3): 36 -> 16, 2.25 times fewer",
    "chapter/gradients.html": "(2, 6, 5)",
    "chapter/exercises.html": "64 x 64 x 3 x 3 + 64 = 36,928",
    "reference/generated/cyconv.conv2d.html": "array([[[[-8, -8],",
    "command_line.html": "find the edges in a photo",
    "accuracy.html": "9 outputs are not finite",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if os.environ.get("CYCONV_TEST_SITE"):
        return Path(os.environ["CYCONV_TEST_SITE"]).resolve()
    for name in ("sphinx", "myst_nb", "numpydoc", "pydata_sphinx_theme", "sphinx_gallery"):
        pytest.importorskip(name)
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-E", "-b", "html", "docs", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return out


class Links(HTMLParser):
    """What a page refers to, the parts of it that can be referred to, and its text."""

    def __init__(self, page):
        super().__init__()
        self.targets, self.parts, self.text = set(), set(), ""
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.parts |= {found.get("id"), found.get("name")}
        self.targets |= {found.get("href"), found.get("src")} - {None}

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def pages(site):
    found = sorted(site.rglob("*.html"))
    return {path: Links(path) for path in found if "_static" not in path.parts}


def test_every_link_within_the_site_leads_somewhere(site, pages):
    broken = []
    for page, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme:
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            path = path / "index.html" if path.is_dir() else path
            known = pages.get(path)
            if not path.is_file() or (
                known and parts.fragment and parts.fragment not in known.parts | {"", "top"}
            ):
                broken.append(f"{page.relative_to(site)}: {target}")
    assert not broken


@pytest.mark.parametrize("page", SHOWN)
def test_pages_show_what_was_computed(site, pages, page):
    assert SHOWN[page] in pages[site / page].text


def test_the_gallery_has_every_example(site):
    for script in (ROOT / "examples").glob("*.py"):
        if script.stem != "gallery":
            assert (site / "gallery" / f"{script.stem}.html").is_file()
            assert (site / "_images" / f"sphx_glr_{script.stem}_001.png").is_file()


AXE = """
const done = arguments[arguments.length - 1];
axe.run({resultTypes: ['violations'], preload: false}).then(found => done(found.violations
  .filter(each => ['serious', 'critical'].includes(each.impact))
  .map(each => `${each.id}: ${each.nodes.map(node => node.target).slice(0, 3).join(', ')}`)));
"""


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_asks_for_anything_or_overflows(site, pages, look):
    axe = os.environ.get("CYCONV_TEST_AXE")
    wrong = []
    with chromium(*LOOKS[look]) as browser:
        for page in pages:
            browser.get(page.as_uri())
            name = page.relative_to(site)
            outside = [a for a in requests(browser) if not a.startswith(("file:", "data:"))]
            wrong += [f"{name} asks for {address}" for address in outside]
            wrong += [f"{name} says {text}" for text in complaints(browser)]
            if (wider := overflow(browser)) > 0:
                wrong.append(f"{name} is {wider} pixels too wide")
            if axe:
                browser.execute_script(Path(axe).read_text("utf-8"))
                wrong += [f"{name}: axe: {each}" for each in browser.execute_async_script(AXE)]
    assert not wrong, "\n".join(wrong)
