"""waitress with 4 threads, its default, and the same content as the others."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Iterable

from waitress import serve  # type: ignore[import-untyped]

CONTENT = b"<h1>hello</h1>\n" * 14
FIELDS = [("Content-Type", "text/html"), ("Content-Length", str(len(CONTENT)))]


def hello(_: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    """The same answer to every request."""
    start_response("200 OK", FIELDS)
    return [CONTENT]


# It warns of each request that waits for a thread; a terminal would be what is measured.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
serve(hello, host="127.0.0.1", port=int(sys.argv[1]), threads=4, _quiet=True)
