"""What answers in a simulated life: a handler that does what a request's path says, and what a
client may expect of it.

    /KIND/NUMBER/SIZE
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from wsgiref.types import StartResponse, WSGIEnvironment

from server.app.event_streams import EventSource
from server.events import Hub
from server.http1.messages import Events, Request, Response, Stream
from server.simulation.carrier import Carrier
from server.simulation.disk import Disk
from server.simulation.plan import Ask

if TYPE_CHECKING:
    from server.http1.messages import Content

CHANNELS: Final = ("ch0", "ch1")
PIECE_BYTES: Final = 100
SECONDS: Final = 0.02
"""What one unit of a slow handler's size is worth."""

CUT_KINDS: Final = frozenset({"liar", "breaks", "short"})
"""Answers that do not keep what their head says: their clients must see a cut."""

EVENT_KINDS: Final = frozenset({"subscribe", "latest"})
FILE_KINDS: Final = frozenset({"file", "short"})
FAILING_KINDS: Final = frozenset({"raise", "exit", "none"})


class Broken(Exception):
    """A handler's own mistake."""


@dataclass(slots=True)
class Knot:
    """What a handler may wait for: a gate that opens for good."""

    is_open: bool = False


@dataclass(slots=True)
class Stage:
    """What handlers of one life have at hand. `hung` waits for `release`, `stuck` for the end.

    `published` is what was published, by the number of its id; `may_lose`: somebody who has
    published may be torn out before that is noted down.
    """

    carrier: Carrier
    disk: Disk
    hub: Hub
    may_lose: bool = False
    released: Knot = field(default_factory=Knot)
    ended: Knot = field(default_factory=Knot)
    published: dict[int, tuple[str, str]] = field(default_factory=dict)

    def publish(self, number: int, size: int) -> None:
        """Publish some events, on both channels in turn."""
        for count in range(1 + size // 10):
            channel, data = CHANNELS[(number + count) % 2], f"{number}.{count}" + "." * size
            name = self.hub.publish(channel, data)
            self.published[int(name.rpartition("-")[2])] = (channel, data)

    def wait(self, kind: str, size: int) -> None:
        """As long as this kind takes."""
        if kind == "slow":
            self.carrier.sleep(size * SECONDS)
        elif kind == "hang":
            self.carrier.point(self.released)
        elif kind == "stuck":
            self.carrier.point(self.ended)


def content_of(path: str, kind: str, size: int, sent: bytes) -> bytes:
    """What the answer to this request contains, whole."""
    begin = path.encode()
    if kind == "echo":
        return b"%b %d %d" % (begin, len(sent), zlib.crc32(sent))
    if kind in ("big", "file", "short"):
        return begin.ljust(PIECE_BYTES * size, b".")
    if kind in ("stream", "sized", "liar", "breaks"):
        return b"".join(_pieces(begin, size))
    return b"" if kind == "empty" else begin


def _pieces(begin: bytes, size: int) -> Iterator[bytes]:
    yield begin
    for number in range(size):
        yield b"%05d" % number * (PIECE_BYTES // 5)


def _breaking(begin: bytes, size: int) -> Iterator[bytes]:
    yield from _pieces(begin, size)
    raise Broken("in the middle")


def expected_status(ask: Ask) -> int:
    """The status of an answer that a worker gives."""
    if ask.kind in FAILING_KINDS:
        return 500
    return 204 if ask.kind == "empty" else 200


def is_cut(ask: Ask) -> bool:
    """Whether the answer cannot be whole."""
    return ask.kind in CUT_KINDS and ask.method != "HEAD"


def begun(stage: Stage, path: str) -> tuple[str, str, int]:
    """What is done before there is an answer; returns the kind, the number and the size asked for.

    Raises Broken or SystemExit where that is what is asked for.
    """
    _, kind, number, size_text = path.split("/")
    size = int(size_text)
    stage.wait(kind, size)
    if kind == "raise":
        raise Broken("at once")
    if kind == "exit":
        raise SystemExit(3)
    if kind == "publish":
        stage.publish(int(number), size)
    return kind, number, size


# --- without an application -------------------------------------------------------------------


def native(stage: Stage) -> Callable[[Request], Response]:
    """A handler as the net room knows it."""

    def handler(request: Request) -> Response:
        path = request.head.path
        kind, number, size = begun(stage, path)
        if kind == "none":
            return None  # type: ignore[return-value] # as handlers do
        content = _native_content(stage, request, kind, size)
        return Response(204 if kind == "empty" else 200, (("X-Number", number),), content)

    return handler


def _native_content(stage: Stage, request: Request, kind: str, size: int) -> Content:
    path = request.head.path
    if kind == "subscribe":
        return Events(CHANNELS)
    if kind == "latest":
        return Events(CHANNELS[:1], "latest")
    begin = path.encode()
    sent = request.content if isinstance(request.content, bytes) else request.content.read()
    content = content_of(path, kind, size, sent)
    if kind in ("file", "short") and content:
        claims = len(content) + (kind == "short")
        return stage.disk.region(content, claims=claims)
    if kind == "breaks":
        return Stream(_breaking(begin, size), None, _nothing)
    if kind in ("stream", "sized", "liar"):
        declared = {"stream": None, "sized": len(content), "liar": len(content) + 1}[kind]
        return Stream(_pieces(begin, size), declared, _nothing)
    return content


def _nothing() -> None:
    pass


# --- a WSGI application -----------------------------------------------------------------------


def application(
    stage: Stage,
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    """The same as a WSGI application, for the app room."""

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = str(environ["PATH_INFO"])
        kind, number, size = begun(stage, path)
        if kind == "none":
            return None  # type: ignore[return-value] # as applications do
        source = environ["interlock.events"]
        assert isinstance(source, EventSource)
        if kind == "subscribe":
            return source.subscribe(*CHANNELS)
        if kind == "latest":
            return source.subscribe(CHANNELS[0], policy="latest")
        content = content_of(path, kind, size, environ["wsgi.input"].read())
        fields = [("X-Number", number)]
        if kind in ("sized", "liar", "short"):
            fields.append(("Content-Length", str(len(content) + (kind in ("liar", "short")))))
        start_response("204 No Content" if kind == "empty" else "200 OK", fields)
        return _wsgi_content(environ, kind, size, content)

    return call


def _wsgi_content(
    environ: WSGIEnvironment, kind: str, size: int, content: bytes
) -> Iterable[bytes]:
    begin = str(environ["PATH_INFO"]).encode()
    if kind == "breaks":
        return _breaking(begin, size)
    if kind in ("stream", "sized", "liar"):
        return _pieces(begin, size)
    if kind in ("file", "short"):
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(content))
        return wrapped
    return [content]
