"""The desk: where a worker answers one request.

An `Exchange` is the job that a complete request becomes. It makes the connection the worker's own,
calls the handler, sends what the kernel takes at once, and hands the connection to the reactor
again, in the state that says what is left to do. It never waits for the peer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from server.errors import ContentError
from server.http1.messages import Content, Request, Response, Stream
from server.net.connection import Connection
from server.net.pipe import Pipe
from server.net.poller import READ
from server.net.pool import Job
from server.net.rooms import Rooms
from server.net.streaming import End, Outlet
from statemachine._generated import (
    ConnectionState,
    RequestState,
    ResponseState,
    ServerState,
)

LOG = logging.getLogger("interlock.exchange")

Handler = Callable[[Request], Response]


class Returns(Protocol):
    """What the reactor takes back. Threads: any."""

    def hand_back(self, connection: Connection) -> None:
        """Look at this connection again; its state says why."""

    def sweep(self) -> None:
        """Look at all parked connections again: the server has begun to drain."""


class Desk:
    """What all exchanges of one server share.

    Threads: every worker. Nothing here changes after the start.
    """

    def __init__(self, handler: Handler, rooms: Rooms, returns: Returns) -> None:
        self._handler = handler
        self._returns = returns
        self._responder = rooms.responder
        self._clock = rooms.clock
        self._poller = rooms.poller
        self._make_pipe = rooms.makers.pipe
        self._lifecycle = rooms.lifecycle
        self._idle_seconds = rooms.patience.request[RequestState.AWAITED]
        self._write_seconds = rooms.patience.connection[ConnectionState.FLUSHING]
        self._linger_seconds = rooms.patience.connection[ConnectionState.LINGERING]
        self._send_turn_bytes_max = rooms.config.send_turn_bytes_max

    def hand_back(self, connection: Connection) -> None:
        """Let the reactor look at a connection that is no worker's any more."""
        self._returns.hand_back(connection)

    def serve(self, connection: Connection) -> None:
        """Answer the request of a connection that is EXCHANGING, and hand the connection back."""
        request = connection.take_request()
        try:
            content = self._frame(connection, self._answer(connection, request))
            if isinstance(content, Stream):
                self._stream(connection, content)
            else:
                self._send(connection)
        finally:
            if not isinstance(request.content, bytes):
                request.content.close()

    def _send(self, connection: Connection) -> None:
        """All is decided: send what the kernel takes at once, and leave the rest to the reactor."""
        try:
            sent = connection.send(self._send_turn_bytes_max)
        except ContentError as error:
            LOG.error("request %s: the response was cut: %s", connection.request_id, error)
            self._end(connection, connection.response_broken)
        except OSError:
            self._end(connection, connection.peer_failed)
        else:
            if sent:
                self._finish(connection)
            else:
                self._set_deadline(connection, self._write_seconds)
                self._end(connection, connection.send_blocked)

    def _end(self, connection: Connection, event: Callable[[], None]) -> None:
        event()
        self._returns.hand_back(connection)

    def _stream(self, connection: Connection, content: Stream) -> None:
        """Send content while it is made; the reactor relays it where the peer falls behind."""
        outlet = Outlet(
            connection,
            turn_bytes_max=self._send_turn_bytes_max,
            relay=self._relay,
            hand_back=self._returns.hand_back,
        )
        end = outlet.make(content)
        if outlet.pipe is not None:
            # The connection is the reactor's: it learns from the pipe how the stream ended.
            if end is End.BROKEN:
                outlet.pipe.fail()
            self._returns.hand_back(connection)
        elif end is End.MADE:
            self._finish(connection)
        else:
            broken = end is End.BROKEN
            self._end(connection, connection.response_broken if broken else connection.peer_failed)

    def _relay(self, connection: Connection) -> Pipe:
        """Give the connection to the reactor; the pipe is all that this worker keeps of it."""
        connection.pipe = pipe = self._make_pipe()
        self._set_deadline(connection, self._write_seconds)
        self._end(connection, connection.content_outran_peer)
        return pipe

    def _answer(self, connection: Connection, request: Request) -> Response:
        try:
            return self._handler(request)
        except BaseException:  # SystemExit and the like end the exchange, never the worker
            head = request.head
            said = connection.request_id, head.method, head.target
            LOG.exception("request %s: the handler raised: %s %s", *said)
            return Response(500)

    def _frame(self, connection: Connection, response: Response) -> Content:
        """Frame the response, or the error that it is; returns what is left to be made of it."""
        try:
            self._responder.frame(connection, response)
        except ContentError as error:
            name = connection.request_id
            LOG.error("request %s: the handler's response cannot be sent: %s", name, error)
        except Exception:
            name = connection.request_id
            LOG.exception("request %s: the handler's answer is no response: %r", name, response)
        else:
            answer = connection.answer
            owed = answer is not None and answer.writer.state is ResponseState.CONTENT
            return response.content if owed else b""
        self._responder.frame_error(connection, 500, "The server made a mistake.")
        return b""

    def _set_deadline(self, connection: Connection, seconds: float) -> None:
        # Before the arrow, for after it the reactor may look at once: it would find the deadline of
        # QUEUED, which a slow handler has outlasted, and close what has only just become its own.
        connection.deadline = self._clock.monotonic() + seconds

    def _finish(self, connection: Connection) -> None:
        """Every byte is with the kernel: hand the connection over by its state."""
        self._responder.log(connection)
        reader, descriptor = connection.reader, connection.transport.descriptor
        if not connection.persists():
            self._set_deadline(connection, self._linger_seconds)
            connection.response_sent()
            self._returns.hand_back(connection)
            return
        reader.renew()
        pipelined = reader.has_leftover
        self._set_deadline(connection, self._idle_seconds)
        # The state is the hand-over: after this arrow the connection is the reactor's, and nothing
        # of it is touched here any more. Arming its descriptor only makes the reactor look.
        connection.response_sent()
        if pipelined:
            self._returns.hand_back(connection)
        else:
            self._poller.arm(descriptor, READ)
        # A drain that began while this response was promised to persist may have looked for parked
        # connections before this one was. It began before this line, then, and we see it; or it
        # begins after it, and sees the connection.
        if self._lifecycle.state is not ServerState.SERVING:
            self._returns.sweep()


class Exchange(Job):
    """One complete request, as a job."""

    __slots__ = ("connection", "desk")

    def __init__(self, connection: Connection, desk: Desk) -> None:
        super().__init__()
        self.connection = connection
        self.desk = desk

    def run(self) -> None:
        try:
            self.connection.taken()
            self.desk.serve(self.connection)
        except BaseException:
            self._give_up()
            raise

    def dropped(self, error: BaseException | None) -> None:  # noqa: ARG002 - all errors are one
        """Withdrawn, or abandoned by a worker that died: nobody will answer."""
        self._give_up()

    def _give_up(self) -> None:
        """The connection must not stay with a job that has ended, nor with its worker."""
        connection = self.connection
        # A mistake may have come after the hand-over, when the next request of the connection is
        # with another worker already: then its job is another, and nothing here is ours. The state
        # is read first: what is EXCHANGING now and has this job is not another worker's.
        exchanging = connection.state is ConnectionState.EXCHANGING
        if connection.job is not self:
            return
        if exchanging:
            connection.response_broken()
        # What is still QUEUED is shed by the reactor.
        self.desk.hand_back(connection)
