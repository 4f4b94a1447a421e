"""Sphinx's settings. `make docs` writes the sources, then calls Sphinx with this file."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

import server  # noqa: E402 - from the folder above

project = "Interlock"
author = "The authors of Interlock"
version = release = server.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "docs._ext.listings", "docs._ext.docstrings"]
source_suffix = {".md": "markdown"}
nitpicky = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_linkify_fuzzy_links = False
smartquotes = False

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"Interlock {version}"
html_static_path = ["_static"]
html_extra_path = ["_build/extra", "images"]
html_css_files = ["diagrams.css", "site.css"]
html_favicon = "../html/favicon.svg"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#1d5fae",
        "color-brand-content": "#1d5fae",
    },
    "dark_css_variables": {
        "color-brand-primary": "#7fb6f4",
        "color-brand-content": "#7fb6f4",
    },
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
suppress_warnings = []
