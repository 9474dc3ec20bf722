"""How Sphinx builds the site: ``python -m sphinx -W -b html docs site``."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
if not any(path.suffix in (".so", ".pyd") for path in (ROOT / "cyconv" / "kernels").iterdir()):
    # Nothing is built here, so the installed package is meant, and not the folder of that name.
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
sys.path[:0] = [str(HERE / "_ext"), str(ROOT / "examples")]

import without_torch  # noqa: E402  (from _ext)

import cyconv  # noqa: E402

without_torch.load()

project = "cyconv"
author = project_copyright = "the cyconv developers"
release = version = cyconv.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
    "numpydoc",
    "myst_nb",
    "explorable_pages",
    "kernel_table",
    "mathml",
    "shapes",
]
exclude_patterns = [
    "gallery/*.ipynb",
    "gallery/*.py",
    "gallery/sg_execution_times.rst",
    "sg_execution_times.rst",  # its page would load scripts from other hosts
]

# Chapters are text with cells of code, which the build runs; a cell that fails fails the build.
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_ipywidgets_js = {}  # they would come from another host

# Formulas are MathML: browsers draw it, screen readers read it, and nothing is loaded.
html_math_renderer = "mathml"

autodoc_typehints = "none"
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "[.]py$",
    "ignore_pattern": "^gallery[.]py$",
    "image_scrapers": ("gallery_pictures.scraper",),
    "reset_argv": "gallery_pictures.arguments",
    "reset_modules": (),
    "within_subsection_order": "FileNameSortKey",
    "show_signature": False,
    "show_memory": False,
    "abort_on_example_error": True,
    "min_reported_time": 1e9,
    "plot_gallery": "True",
}

html_context = {"default_mode": "auto"}
html_theme = "pydata_sphinx_theme"
html_title = "cyconv"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "cyconv"},
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 5,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
