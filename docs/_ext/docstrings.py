"""Sphinx's side: docstrings are sentences with Markdown's backticks; here they become Sphinx's."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def as_rest(_app: Sphinx, _kind: str, _name: str, _one: Any, _opts: Any, lines: list[str]) -> None:
    """An indented block after a paragraph is code; everything else is prose. Changes `lines`."""
    out: list[str] = []
    code = False
    for line in lines:
        indented = line.startswith("    ")
        if indented and not code and out and not out[-1].strip():
            out[-1:] = ["", ".. code-block:: python", ""]
        code = indented or (code and not line.strip())
        out.append(line)
    lines[:] = out


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", as_rest)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
