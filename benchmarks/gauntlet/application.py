"""The WSGI application that every contender serves: PEP 3333, and nothing of any server's own.

`/events-hub` alone looks whether its server offers more: event streams that hold no thread. Where
it does not, the same events come from a generator, as they do from `/events`.
"""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

BIG_BYTES = 20_000_000
PIECE_BYTES = 64 * 1024
STUCK_SECONDS_MAX = 60.0
EVENT_SECONDS = 0.5
EVENT_SECONDS_MIN = 0.01
CHANNEL = "telemetry"
TEXT = [("Content-Type", "text/plain")]
STREAM = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]

_big = bytes(BIG_BYTES)
_publishing = threading.Lock()
_never = threading.Event()

Query = dict[str, str]
Page = Callable[[WSGIEnvironment, StartResponse, Query], Iterable[bytes]]


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """What the path asks for; 404 where it asks for nothing."""
    page = PAGES.get(environ["PATH_INFO"])
    if page is None:
        return _short(start_response, b"no such page\n", "404 Not Found")
    return page(environ, start_response, dict(parse_qsl(environ.get("QUERY_STRING", ""))))


def _short(
    start_response: StartResponse, content: bytes, status: str = "200 OK"
) -> Iterable[bytes]:
    start_response(status, [*TEXT, ("Content-Length", str(len(content)))])
    return [content]


def _hello(environ: WSGIEnvironment, start_response: StartResponse, _: Query) -> Iterable[bytes]:
    """A few bytes, once the request's content has been read."""
    if length := int(environ.get("CONTENT_LENGTH") or 0):
        environ["wsgi.input"].read(length)
    return _short(start_response, b"hello\n")


def _slow(_: WSGIEnvironment, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    """An answer that holds its thread for so many seconds."""
    time.sleep(min(float(query.get("seconds", "1")), STUCK_SECONDS_MAX))
    return _short(start_response, b"at last\n")


def _big_one(_: WSGIEnvironment, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    """20 MB: one bytes object that all requests share, or pieces made on the way."""
    start_response("200 OK", [*TEXT, ("Content-Length", str(BIG_BYTES))])
    return _pieces() if query.get("as") == "pieces" else [_big]


def _pieces() -> Iterator[bytes]:
    for begin in range(0, BIG_BYTES, PIECE_BYTES):
        yield bytes(min(PIECE_BYTES, BIG_BYTES - begin))


def _stuck(_: WSGIEnvironment, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    """A handler that waits for what does not come; bounded, so that no run is wedged."""
    seconds = float(query.get("seconds", STUCK_SECONDS_MAX))
    _never.wait(min(seconds, STUCK_SECONDS_MAX))
    return _short(start_response, b"it never came\n")


def _events(_: WSGIEnvironment, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    """An event stream as a WSGI application of any server writes it; `every` is in seconds."""
    start_response("200 OK", STREAM)
    return _ticks(_every(query))


def _every(query: Query) -> float:
    return max(float(query.get("every", EVENT_SECONDS)), EVENT_SECONDS_MIN)


def _ticks(seconds: float) -> Iterator[bytes]:
    number = 0
    while True:
        yield b"data: %d\n\n" % number
        number += 1
        time.sleep(seconds)


def _events_hub(
    environ: WSGIEnvironment, start_response: StartResponse, query: Query
) -> Iterable[bytes]:
    """The same events through the server's hub, where it has one."""
    hub = environ.get("interlock.events")
    if hub is None:
        return _events(environ, start_response, query)
    if _publishing.acquire(blocking=False):
        threading.Thread(target=_publish, args=(hub, _every(query)), daemon=True).start()
    answer: Iterable[bytes] = hub.subscribe(CHANNEL)
    return answer


def _publish(hub: object, seconds: float) -> None:
    number = 0
    while True:
        hub.publish(CHANNEL, str(number))  # type: ignore[attr-defined]
        number += 1
        time.sleep(seconds)


def _raise(_: WSGIEnvironment, start_response: StartResponse, query: Query) -> Iterable[bytes]:
    """Raises what is asked for, before the response or within its content."""
    raised = getattr(builtins, query.get("what", "Exception"), None)
    if not (isinstance(raised, type) and issubclass(raised, BaseException)):
        return _short(start_response, b"that cannot be raised\n", "400 Bad Request")
    if query.get("when") == "content":
        start_response("200 OK", TEXT)
        return _pieces_then(raised)
    raise raised("as asked")


def _pieces_then(raised: type[BaseException]) -> Iterator[bytes]:
    yield b"a piece, and then\n"
    raise raised("as asked")


PAGES: dict[str, Page] = {
    "/": _hello,
    "/slow": _slow,
    "/big": _big_one,
    "/stuck": _stuck,
    "/events": _events,
    "/events-hub": _events_hub,
    "/raise": _raise,
}
