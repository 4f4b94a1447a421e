"""Sphinx's side: a page for each file of code or data that a document leads to."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.application import Sphinx

from docs._ext.linking import LISTINGS

LIST: Final = "listed.txt"


def collect(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each listing, as `html-collect-pages` wants it: name, context, template."""
    top = Path(app.confdir).parent
    names = (Path(app.srcdir).parent / LIST).read_text("utf-8").split()
    for name in names:
        page = f"{LISTINGS}/{name}"
        back = "../" * page.count("/")
        body = (
            f"<h1>{html.escape(name)}</h1>\n"
            f'<p><a class="reference internal" href="{back}index.html">Interlock</a>, as this '
            f"site was built from it.</p>\n{_listed(top / name)}"
        )
        yield page, {"title": name, "body": body, "parents": [], "hide_toc": True}, "page.html"


def _listed(path: Path) -> str:
    try:
        lexer = get_lexer_for_filename(path.name)
    except ClassNotFound:
        lexer = TextLexer()
    layout = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True)
    return str(highlight(path.read_text("utf-8"), lexer, layout))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-collect-pages", collect)
    # Pygments has no lexer for it.
    app.add_lexer("haproxy", TextLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
