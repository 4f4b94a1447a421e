"""WSGI (PEP 3333): an application as a handler.

```
 application(environ, start_response) ──▶ iterable ──▶ its first piece with bytes ──▶ Response
   start_response: AWAITED → STARTED, and again with exc_info    │
   write(): kept, to be sent before the iterable's pieces        └─ SENT: nothing is taken back
```
What the application has made already (a list, a file) is sent without it. What it makes piece by
piece is a `Stream`: each piece is sent before the next one is asked for, as the PEP demands. All of
its code runs on the worker's thread, `close` too, which is called once, whatever happened.

What is known to be wrong before the head is sent becomes a page with status 500, a Content-Length
that is not kept too; later the connection is cut, for nothing else would tell the client. Both are
logged.
"""

from __future__ import annotations

import enum
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from wsgiref.types import WSGIApplication

from server.app.errors import error_response
from server.app.event_streams import CONTENT_TYPE, EventSource, EventStream, event_response
from server.app.wsgi_environ import Environs, ErrorStream, environ_base
from server.app.wsgi_files import FileWrapper
from server.app.wsgi_head import ApplicationError, ExcInfo, error_of, head_of
from server.events import Hub
from server.http1.messages import Content, Events, Field, Parts, Request, Response, Stream
from server.http1.writer import WITHOUT_CONTENT

LOG = logging.getLogger("interlock.app")


def wsgi(
    application: WSGIApplication, *, url_scheme: str = "http", events: Hub | None = None
) -> Callable[[Request], Response]:
    """A handler that calls a WSGI application, from as many threads as the server has.

    `events` is the hub that `environ["interlock.events"]` stands for; without one it is not there.
    `url_scheme` is https where something before this server speaks TLS for it.
    """
    errors = ErrorStream()
    source = None if events is None else EventSource(events)
    environs = Environs(environ_base(errors, url_scheme=url_scheme, events=source))

    def handler(request: Request) -> Response:
        call = Call(request, errors, source)
        try:
            call.iterable = application(environs.environ_of(request), call.start_response)
            return call.response()
        except BaseException:  # SystemExit and the like end the exchange, never the worker
            LOG.exception("the application failed: %s", call)
            call.close()
            return error_response(500, "The application made a mistake.")

    return handler


class Phase(enum.Enum):
    """How far a response has come."""

    AWAITED = "start_response has not been called"
    STARTED = "there is a head, of which nothing has been sent"
    SENT = "the head has been sent"


AWAITED, STARTED, SENT = Phase.AWAITED, Phase.STARTED, Phase.SENT


class Call:
    """One call of an application. Threads: the worker's alone.

    `iterable` is what the application returned, until that is closed.
    """

    __slots__ = (
        "_errors", "_fields", "_phase", "_request", "_size", "_source", "_status", "_written",
        "iterable",
    )  # fmt: skip

    def __init__(
        self, request: Request, errors: ErrorStream, source: EventSource | None = None
    ) -> None:
        self._request = request
        self._errors = errors
        self._source = source
        self._phase = AWAITED
        self._status = 0
        self._fields: tuple[Field, ...] = ()
        self._size: int | None = None
        self._written: list[bytes] = []
        self.iterable: Iterable[bytes] | None = None

    def __str__(self) -> str:
        return f"{self._request.head.method} {self._request.head.target}"

    # --- what the application calls ---------------------------------------------------------

    def start_response(
        self, status: str, headers: list[Field], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """Begin the response; with `exc_info`, begin it anew, and forget what was written.

        Raises ApplicationError for what PEP 3333 forbids, and the error of `exc_info` itself where
        the head has been sent.
        """
        if exc_info:
            try:
                if self._phase is SENT:
                    raise error_of(exc_info)
            finally:
                exc_info = None  # its frames hold ours: PEP 3333 warns of the circle
        elif self._phase is not AWAITED:
            raise ApplicationError("start_response was called again, without exc_info")
        self._status, self._fields, self._size = head_of(status, headers)
        self._phase = STARTED
        self._written.clear()
        return self.write

    def write(self, data: bytes) -> None:
        """Keep `data`, to be sent before the iterable's pieces; PEP 3333 lets a server do so.

        Raises ApplicationError for other than bytes, and when the iterable's turn has come.
        """
        if self._phase is SENT:
            raise ApplicationError("write() was called while the iterable is sent")
        if _checked(data):
            self._written.append(data)

    # --- what the server calls --------------------------------------------------------------

    def response(self) -> Response:
        """The response that the application began, and what it returned as its content.

        Raises ApplicationError where it broke PEP 3333, and whatever it raises.
        """
        iterable = self.iterable
        content: Content
        if type(iterable) is list or type(iterable) is tuple:
            self.iterable = None  # neither has a `close`
            # The usual case, of which `_made` would say the same.
            if (
                len(iterable) == 1
                and type(iterable[0]) is bytes
                and self._size in (None, len(iterable[0]))
                and iterable[0]
                and self._phase is STARTED
                and not self._written
                and self._status not in WITHOUT_CONTENT
            ):
                self._phase = SENT
                if self._errors.begun.text:
                    self._errors.flush()
                return Response(self._status, self._fields, iterable[0])
            content = self._made(iterable)
        elif type(iterable) is FileWrapper:
            content = self._file(iterable)
        elif type(iterable) is EventStream:
            content = self._subscribed(iterable)
        elif iterable is None:
            raise ApplicationError("the application returned None, expected an iterable of bytes")
        else:
            content = self._streamed(iter(iterable), alone=_has_one_piece(iterable))
        self._phase = SENT
        if not isinstance(content, Stream):
            self.close()
        if isinstance(content, Events):
            return event_response(content, self._fields)
        return Response(self._status, self._fields, content)

    def close(self) -> None:
        """Tell the application that its response is over: the first time only.

        Its mistakes there are logged; no one else can be told any more.
        """
        iterable, self.iterable = self.iterable, None
        if iterable is not None:
            try:
                close = getattr(iterable, "close", None)
                if close is not None:
                    close()
            except BaseException:  # SystemExit and the like end the exchange, never the worker
                LOG.exception("the application's iterable could not be closed: %s", self)
        if self._errors.begun.text:
            self._errors.flush()

    # --- content ----------------------------------------------------------------------------

    def _made(self, pieces: Iterable[bytes]) -> Content:
        """Content that is all there: its size is known, and held against the declared one."""
        made = (*self._written, *filter(_checked, pieces))
        if self._phase is AWAITED:
            self._require_head()
        if self._status in WITHOUT_CONTENT:
            return b""
        size = sum(map(len, made))
        # In an answer to HEAD, applications leave out the content whose size they declare, or whose
        # size nobody will know.
        if self._request.head.method == "HEAD" and (self._size is not None or not size):
            return Stream(iter(()), self._size, self.close)
        if self._size is not None and size != self._size:
            raise ApplicationError(f"the content has {size} bytes, Content-Length is {self._size}")
        if len(made) > 1:
            return Parts(made)
        return made[0] if made else b""

    def _streamed(self, pieces: Iterator[bytes], *, alone: bool = False) -> Content:
        """Content that is made when it is asked for; the head waits for the first bytes of it.

        `alone`: there is one piece only, so that its size is the whole one's.
        """
        first = next(filter(_checked, pieces), b"")
        if not first:
            return self._made(())
        stream = None if self._source is None else self._source.redeem(first)
        if stream is not None:
            return self._subscribed(stream)
        self._require_head()
        if self._status in WITHOUT_CONTENT:
            return b""
        made = (*self._written, first)
        size = sum(map(len, made))
        if self._size is None:
            declared = size if alone else None
        elif size <= self._size or self._request.head.method == "HEAD":
            declared = self._size
        else:
            raise ApplicationError(f"the content has {size} bytes, Content-Length is {self._size}")
        return Stream(itertools.chain(made, filter(_checked, pieces)), declared, self.close)

    def _file(self, wrapper: FileWrapper) -> Content:
        """A file: the kernel sends it where it can. Content-Length says how much of it is wanted
        (PEP 3333), and is broken only by a file that has less.
        """
        self._require_head()
        if self._status in WITHOUT_CONTENT:
            return b""
        region = None if self._written else wrapper.region()
        if region is None:
            left = None if self._size is None else self._size - sum(map(len, self._written))
            return self._streamed(wrapper.blocks(left))
        if self._size is not None:
            if self._size > region.size and self._request.head.method != "HEAD":
                region.close()
                raise ApplicationError(
                    f"the file has {region.size} bytes left, {self._size} were promised"
                )
            region.size = self._size
        return region

    def _subscribed(self, stream: EventStream) -> Events:
        """A stream of events, which others make. Without a head from the application it has the
        one that such a stream has.
        """
        if self._phase is STARTED:
            kinds = [value for name, value in self._fields if name.lower() == "content-type"]
            kind = kinds[0].partition(";")[0].strip().lower() if kinds else CONTENT_TYPE
            if (self._status, kind) != (200, CONTENT_TYPE):
                raise ApplicationError(
                    f"a stream of events has status {self._status} and type {kind:.80}, expected "
                    f"200 and {CONTENT_TYPE}"
                )
            if self._size is not None or self._written:
                raise ApplicationError("a stream of events has a Content-Length or was written to")
        return stream.events_for(self._request)

    def _require_head(self) -> None:
        if self._phase is AWAITED:
            raise ApplicationError("there is content, and start_response has not been called")


def _checked(piece: bytes) -> bytes:
    """The piece itself, which is false where it has no bytes. Raises ApplicationError."""
    if not isinstance(piece, bytes):
        raise ApplicationError(f"a piece of content is a {type(piece).__name__}, expected bytes")
    return piece


def _has_one_piece(iterable: Iterable[bytes]) -> bool:
    """Whether the iterable says so: PEP 3333, "Handling the Content-Length Header"."""
    length = getattr(iterable, "__len__", None)
    return length is not None and length() == 1
