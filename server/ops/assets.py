"""The dashboard's files: the page, its scripts and the drawings, from the folder that comes along.

What the page may load is said in its head, and kept by the browser: what this server sends, and
nothing else. So a target that a stranger made up cannot become a script, wherever it is shown.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from server.http1.messages import Field, Response
from server.ops.door import said

PAGE: Final = "dashboard.html"

SHOWN: Final = ("dashboard.*", "dashboard/**/*", "diagrams/live/**/*.svg", "favicon.svg")
"""Which files are there for it."""

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

POLICY: Final[Field] = (
    "Content-Security-Policy",
    (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
)

FIELDS: Final[tuple[Field, ...]] = (
    POLICY,
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    # A page of one version with the scripts of another would be worse than a page that loads anew.
    ("Cache-Control", "no-store"),
)


class Assets:
    """Files by their path below the folder; "" is the page. Threads: any; nothing in it changes."""

    __slots__ = ("_files",)

    def __init__(self, folder: Path) -> None:
        files = {file.relative_to(folder).as_posix(): file for file in _shown(folder)}
        self._files = {"": folder / PAGE, **files}

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def __call__(self, path: str) -> Response:
        """The file at `path`, which is one of them."""
        file = self._files[path]
        try:
            content = file.read_bytes()
        except OSError:
            return said(404, "The file is gone.")
        return Response(200, (("Content-Type", TYPES[file.suffix]), *FIELDS), content)


@functools.cache
def assets_of(folder: Path) -> Assets:
    """The files of a folder, which is looked through once."""
    return Assets(folder)


def _shown(folder: Path) -> Iterator[Path]:
    for pattern in SHOWN:
        yield from (one for one in folder.glob(pattern) if one.suffix in TYPES)
