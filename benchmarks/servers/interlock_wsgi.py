"""Interlock with the same WSGI application as waitress, and as many threads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from server import serve

CONTENT = b"<h1>hello</h1>\n" * 14
FIELDS = [("Content-Type", "text/html"), ("Content-Length", str(len(CONTENT)))]


def hello(_: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    """The page, whatever is asked."""
    start_response("200 OK", FIELDS)
    return [CONTENT]


sys.exit(serve(hello, port=int(sys.argv[1]), threads=4))
