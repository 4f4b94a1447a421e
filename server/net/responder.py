"""Responses become bytes here, for whoever owns the connection: a worker or the reactor.

Threads: any; all that is written belongs to the connection, whose owner calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from server.clock import Clock, DateCache
from server.http1.messages import Events, FileRegion, Parts, Response, Stream, pieces_of
from server.http1.writer import ResponseWriter
from server.net.access_log import AccessLog
from server.net.connection import Connection, close_file
from server.net.log_entry import CUT, Entry
from server.net.meter import NEVER, OTHER, Meter
from statemachine._generated import ResponseState, ServerMachine, ServerState
from statemachine.ahead import IS_COMPILED

LOG = logging.getLogger("interlock.responder")

PENDING, SERVING = ResponseState.PENDING, ServerState.SERVING

JOINED_BYTES_MAX = 64 * 1024
"""Bytes up to this size are joined to those before them, so that one system call sends both."""


class ErrorPage(Protocol):
    """Makes the page for an error: its status and a sentence for the reader."""

    def __call__(
        self, status: int, detail: str, *, fields: tuple[tuple[str, str], ...] = ()
    ) -> Response: ...


class Responder:
    """Frames responses and logs how they ended.

    `lifecycle` is the server's machine, which is read and never moved here: outside SERVING no
    connection is promised another request.
    """

    def __init__(
        self,
        writer_type: Callable[[object], ResponseWriter],
        *,
        clock: Clock,
        lifecycle: ServerMachine,
        error_page: ErrorPage,
        access_log: AccessLog | None,
        meter: Meter | None = None,
    ) -> None:
        self._writer_type = writer_type
        self._clock = clock
        self._wall = clock.wall
        self._dates = DateCache(clock)
        self._lifecycle = lifecycle
        self._error_page = error_page
        self._access_log = access_log
        self._meter = meter if IS_COMPILED else None
        self._note = None if meter is None or IS_COMPILED else meter.note

    def frame(self, connection: Connection, response: Response) -> None:
        """Make `response` the connection's outgoing bytes, and decide whether it persists.

        Raises ContentError if the response cannot be framed, and whatever comes of an answer that
        is no Response; nothing has been promised then, and its file is closed.
        """
        message = self.message(connection, response)
        if message:
            connection.outgoing.append(message)

    def message(self, connection: Connection, response: Response) -> bytes:
        """The same, but where all of it is one piece it is returned, and not put in line: else no
        bytes are.
        """
        writer = connection.answer
        if writer is None or writer.state is not PENDING:
            writer = self._writer_type(connection.head)
        # Else it has framed an interim response to this request.
        content = response.content
        persists = response.persists and self._lifecycle.state is SERVING
        if type(content) is bytes and len(content) <= JOINED_BYTES_MAX:
            second, date = self._dates.known
            if not 0.0 <= self._wall() - second < 1.0:
                date = self._dates.now()
            message = writer.message_of(response, content, date, persists)
            connection.answer = writer
            return message
        self._frame_more(connection, response, writer, persists=persists)
        return b""

    def _frame_more(
        self,
        connection: Connection,
        response: Response,
        writer: ResponseWriter,
        *,
        persists: bool,
    ) -> None:
        """Frame content that is not sent with its head."""
        content = response.content
        if isinstance(content, Events):
            # Such a stream ends with its connection: then a client knows by itself to come back.
            persists = False
        try:
            start = writer.head_of(response, date=self._dates.now(), persists=persists)
        except BaseException:
            discard(response)
            raise
        connection.answer = writer
        if writer.state is ResponseState.COMPLETE:
            discard(response)
            connection.outgoing.append(start)
        elif isinstance(content, Stream | Events):
            connection.outgoing.append(start)
        else:
            writer.told_bytes = len(content) if isinstance(content, bytes) else content.size
            connection.outgoing.extend(_in_line(start, content, writer))

    def frame_error(
        self,
        connection: Connection,
        status: int,
        detail: str,
        *,
        fields: tuple[tuple[str, str], ...] = (),
        persists: bool = False,
    ) -> None:
        """The same for an error page."""
        page = self._error_page(status, detail, fields=fields)
        page.persists = persists
        self.frame(connection, page)

    def interim(self, connection: Connection) -> bytes:
        """100 (Continue), for a client that waits for it before it sends its content."""
        assert connection.head is not None
        connection.answer = writer = self._writer_type(connection.head)
        return writer.interim()

    def log(self, connection: Connection, *, cut: bool = False, now: float | None = None) -> None:
        """Meter the answer that has just ended, well or not, and write its line of the access log.

        An interim response is no answer, and has no line. `now` is the present moment of the
        monotonic clock, where the caller knows it.
        """
        answer, log, note, meter = connection.answer, self._access_log, self._note, self._meter
        if answer is None or answer.state is PENDING:
            return
        if note is None and meter is None and log is None:
            return
        if now is None:
            now = self._clock.monotonic()
        head, taken_at, answered_at = connection.head, connection.taken_at, connection.answered_at
        if note is not None or meter is not None:
            method, status = OTHER if head is None else head.method, answer.status
            began, queued_at = connection.began, connection.queued_at
            noted = (method, status, began, queued_at, taken_at, answered_at, now)
            if note is not None:
                note(noted)
            elif meter is not None:
                meter.enter(noted)
        if log is None:
            return
        seconds = now - connection.began
        log.record(
            Entry(
                peer=connection.transport.peer,
                local=connection.transport.local,
                head=head,
                status=answer.status,
                size=answer.size,
                started=self._clock.wall() - seconds,
                seconds=seconds,
                end_state=CUT if cut else connection.state.name,
                persists=not cut and connection.persists(),
                request_id=connection.request_id,
                queue_seconds=None if taken_at == NEVER else taken_at - connection.queued_at,
                app_seconds=None if answered_at == NEVER else answered_at - taken_at,
                write_seconds=None if answered_at == NEVER else now - answered_at,
            )
        )


def _in_line(
    start: bytes, content: bytes | FileRegion | Parts, writer: ResponseWriter
) -> list[bytes | FileRegion]:
    """What is to be sent: the head, and the content after it.

    Bytes are framed now, and the message ends now if nothing else is owed. What lies in a file is
    framed as the file gives it, and ends in `Connection.send`.
    """
    line: list[bytes | FileRegion] = [start]
    for piece in pieces_of(content):
        last = line[-1]
        if isinstance(piece, FileRegion):
            line.append(piece)
        elif isinstance(last, bytes) and max(len(last), len(piece)) <= JOINED_BYTES_MAX:
            line[-1] = last + writer.content(piece)
        else:
            line.append(writer.content(piece))
    if writer.content_is_exact():
        writer.end()
    return line


def discard(response: Response) -> None:
    """Close what a response whose content is not sent would have been made of."""
    content = response.content
    if isinstance(content, Events):
        return
    if isinstance(content, Stream):
        close_stream(content)
        return
    for piece in pieces_of(content):
        if isinstance(piece, FileRegion):
            close_file(piece)


def close_stream(content: Stream) -> None:
    """Tell the handler that its stream is over. Its mistakes there must not cost us a worker."""
    try:
        content.close()
    except Exception:
        LOG.exception("a response's stream could not be closed")
