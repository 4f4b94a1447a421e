"""The WSGI application that every contender serves: PEP 3333, and nothing of any server's own.

`/events` alone asks for Interlock's hub, and is asked of Interlock alone.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

SLOW_SECONDS = 0.05
EVENT_SECONDS = 0.05
CHANNEL = "ticks"
HELLO = b"<h1>hello</h1>\n" * 14
JSON = b'{"rows":[' + b",".join(b'{"id":%d,"name":"row"}' % n for n in range(100, 544)) + b"]}"
FILES = Path(os.environ.get("SPEED_FILES", "."))
PIECE_BYTES = 64 * 1024

# waitress warns of each request that waits for a thread: the log would be what is measured.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)

_publishing = threading.Lock()

Page = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """What the path asks for."""
    path = environ["PATH_INFO"]
    page = PAGES.get(path)
    if page is not None:
        return page(environ, start_response)
    return _file(environ, start_response)


def _whole(kind: str, content: bytes) -> Page:
    fields = [("Content-Type", kind), ("Content-Length", str(len(content)))]

    def page(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", fields)
        return [content]

    return page


def _upload(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Reads the content to its end, in pieces; says how much it was."""
    left = size = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0:
        piece = environ["wsgi.input"].read(min(left, PIECE_BYTES))
        if not piece:
            break
        left -= len(piece)
    content = b"%d\n" % (size - left)
    status = "400 Bad Request" if left else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))])
    return [content]


def _slow(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    time.sleep(SLOW_SECONDS)
    return _hello(_, start_response)


def _file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A file of FILES, by the server's own wrapper where it has one."""
    place = FILES / environ["PATH_INFO"].rpartition("/")[2]
    file = place.open("rb")
    fields = [("Content-Type", "text/html"), ("Content-Length", str(place.stat().st_size))]
    start_response("200 OK", fields)
    wrap = environ.get("wsgi.file_wrapper")
    if wrap is not None:
        wrapped: Iterable[bytes] = wrap(file, PIECE_BYTES)
        return wrapped
    return iter(lambda: file.read(PIECE_BYTES), b"")


def _events(environ: WSGIEnvironment, _: StartResponse) -> Iterable[bytes]:
    """Each event says when it was published, in nanoseconds of the monotonic clock."""
    hub = environ["interlock.events"]
    if _publishing.acquire(blocking=False):
        threading.Thread(target=_publish, args=(hub,), daemon=True).start()
    stream: Iterable[bytes] = hub.subscribe(CHANNEL)
    return stream


def _publish(hub: object) -> None:
    while True:
        hub.publish(CHANNEL, str(time.monotonic_ns()))  # type: ignore[attr-defined]
        time.sleep(EVENT_SECONDS)


_hello = _whole("text/html", HELLO)
PAGES: dict[str, Page] = {
    "/": _hello,
    "/json": _whole("application/json", JSON),
    "/upload": _upload,
    "/slow": _slow,
    "/events": _events,
}
