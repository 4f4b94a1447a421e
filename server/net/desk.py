"""The desk: what a worker does with an answer, beside calling the handler for it.

It sends what the kernel takes at once, and hands the connection to the reactor again, in the state
that says what is left to do. It never waits for the peer.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from server.errors import ContentError
from server.http1.messages import Content, Events, FileRegion, Request, Response, Stream
from server.net.connection import Connection
from server.net.pipe import Pipe
from server.net.responder import close_stream
from server.net.rooms import Rooms
from server.net.streaming import End, Outlet
from server.net.threads import Lock
from statemachine._generated import ConnectionState, RequestState, ResponseState, ServerState

if TYPE_CHECKING:
    from server.net.exchange import Exchange
    from statemachine.noting import Log

LOG = logging.getLogger("interlock.exchange")

Handler = Callable[[Request], Response]

CONTENT = ResponseState.CONTENT
SERVING, LAME_DUCK = ServerState.SERVING, ServerState.LAME_DUCK

CUT = frozenset({ServerState.CUTTING, ServerState.FORCED})
"""States of the server in which a broken socket was broken by us."""


def _after(prefix: str) -> str:
    """The first text that is greater than each that begins with `prefix`; "" for an empty one."""
    return prefix and prefix[:-1] + chr(ord(prefix[-1]) + 1)


class Returns(Protocol):
    """What the reactor takes back. Threads: any."""

    def hand_back(self, connection: Connection) -> None:
        """Look at this connection again; its state says why."""

    def sweep(self) -> None:
        """Look at all parked connections again: the server has begun to drain."""


class Desk:
    """What all exchanges of one server share. In `log` it is noted whose each of them is.

    `handler` answers all requests but those below a `reserved` prefix of the path, which has a
    handler of its own.

    Threads: every worker. Nothing here changes after the start.
    """

    def __init__(
        self,
        handler: Handler,
        log: Log | None = None,
        reserved: tuple[str, Handler] | None = None,
    ) -> None:
        self.handler = handler
        # A path begins with the prefix where it is not less than it, and less than what comes
        # after all that do. That is no call; and for most paths it is one comparison.
        self.reserved_from, self.reserved_handler = reserved or ("", handler)
        self.reserved_to = _after(self.reserved_from)
        self.name = None if log is None else log.name
        self.link = None if log is None else log.linker()

    def furnish(self, rooms: Rooms, returns: Returns) -> None:
        """Before the first exchange: what it may use besides. Two steps, for the rooms know what
        makes exchanges, and each of those its desk.
        """
        self.make_lease: Callable[[], Lock] = rooms.pool.threading.Lock
        self.responder = rooms.responder
        self.now = rooms.clock.monotonic
        self._returns = returns
        self._poller = rooms.poller
        self._make_pipe = rooms.makers.pipe
        self._make_subscription = rooms.makers.subscription
        self._memory = rooms.reservoir.memory
        self._lifecycle = rooms.lifecycle
        self.queue_seconds = rooms.patience.connection[ConnectionState.QUEUED]
        self._idle_seconds = rooms.patience.request[RequestState.AWAITED]
        self._write_seconds = rooms.patience.connection[ConnectionState.FLUSHING]
        self._linger_seconds = rooms.patience.connection[ConnectionState.LINGERING]
        self._send_turn_bytes_max = rooms.config.send_turn_bytes_max
        self._relay_memory_bytes_max = rooms.config.relay_memory_bytes_max
        self._half_closed_is_gone = rooms.config.half_closed == "gone"

    def hand_back(self, connection: Connection) -> None:
        """Let the reactor look at a connection that is no worker's any more."""
        self._returns.hand_back(connection)

    # --- before -----------------------------------------------------------------------------

    def has_left(self, connection: Connection) -> bool:
        """Hand back a connection whose peer has gone while its request was queued."""
        try:
            ended = connection.transport.peek()
        except OSError:
            self._lose(connection)
            return True
        # A peer that has ended its side may still read (RFC 9112 section 9.6).
        if ended and self._half_closed_is_gone:
            self._end(connection, connection.peer_ended)
            return True
        return False

    # --- the response -----------------------------------------------------------------------

    def send_message(self, exchange: Exchange, response: Response) -> None:
        """Frame a response whose content is bytes, and send it: most are."""
        connection = exchange.connection
        try:
            message = self.responder.message(connection, response)
        except Exception as error:  # noqa: BLE001 - it is logged there
            self._frame_instead(connection, response, error)
            message = b""
        outgoing = connection.outgoing
        if message and not outgoing:
            try:
                sent = connection.transport.send(message)
            except OSError:
                self._lose(connection)
                return
            if sent == len(message):
                self._finish(connection)
                return
            outgoing.append(memoryview(message)[sent:] if sent else message)
        elif message:
            outgoing.append(message)
        self._send(exchange)

    def send_more(self, exchange: Exchange, response: Response) -> None:
        """The same for any other content, or for what is no response. Raises Revoked."""
        content = self._frame(exchange, response)
        if isinstance(content, Stream):
            self._stream(exchange, content)
        elif isinstance(content, Events):
            self._subscribe(exchange.connection, content)
        else:
            self._send(exchange)

    def _frame(self, exchange: Exchange, response: Response) -> Content:
        """Frame the response; returns what is left to be made of it. Raises Revoked."""
        stream = getattr(response, "content", None)
        if not isinstance(stream, Stream):
            return self._frame_made(exchange.connection, response)
        # Its `close` is the handler's code: it must not be called while the lease is held.
        close, stream.close = stream.close, lambda: None
        content = self._frame_made(exchange.connection, response)
        stream.close = close
        if content is not stream:
            exchange.lend(functools.partial(close_stream, stream))
        return content

    def _frame_made(self, connection: Connection, response: Response) -> Content:
        """Frame the response, or the error that it is; returns what is left to be made of it."""
        try:
            self.responder.frame(connection, response)
        except Exception as error:  # noqa: BLE001 - it is logged there
            self._frame_instead(connection, response, error)
            return b""
        answer = connection.answer
        owed = answer is not None and answer.state is CONTENT
        return response.content if owed else b""

    def _frame_instead(self, connection: Connection, response: Response, error: Exception) -> None:
        """Frame what is told of a response that cannot be framed."""
        name = connection.request_id
        if isinstance(error, ContentError):
            LOG.error("request %s: the handler's response cannot be sent: %s", name, error)
        else:
            told = "request %s: the handler's answer is no response: %r"
            LOG.error(told, name, response, exc_info=error)
        self.responder.frame_error(connection, 500, "The server made a mistake.")

    def _send(self, exchange: Exchange) -> None:
        """All is decided: send what the kernel takes at once, and leave the rest to the reactor."""
        connection, turn = exchange.connection, self._send_turn_bytes_max
        try:  # as `_send_now` does, written out
            sent = connection.send(turn) or connection.send_more(turn, self._relay_memory_bytes_max)
        except ContentError as error:
            LOG.error("request %s: the response was cut: %s", connection.request_id, error)
            self._end(connection, connection.response_broken)
        except OSError:
            self._lose(connection)
        else:
            if sent:
                self._finish(connection)
            elif self._may_keep(connection):
                self._set_deadline(connection, self._write_seconds)
                self._end(connection, connection.send_blocked)
            else:
                self._relay_rest(exchange)

    def _send_now(self, connection: Connection) -> bool:
        """Send what the peer takes at once. True: that was all. Raises what `Connection.send`
        does.
        """
        turn = self._send_turn_bytes_max
        return connection.send(turn) or connection.send_more(turn, self._relay_memory_bytes_max)

    def _may_keep(self, connection: Connection) -> bool:
        """Whether what is not sent may wait in memory; then it has been taken from the reservoir.

        Bytes that come with files are kept in any case: a pipe has no place for files.
        """
        size = connection.unsent_bytes()
        if size <= self._relay_memory_bytes_max and self._memory.take(size):
            connection.keep_unsent(functools.partial(self._memory.give_back, size))
            return True
        return any(isinstance(one, FileRegion) for one in connection.outgoing)

    def _relay_rest(self, exchange: Exchange) -> None:
        """What is left is too much for the memory: the pipe has a file for it."""
        try:
            self._relay(exchange).end()
        except BrokenPipeError as error:
            LOG.debug("the peer has gone: %s", error)
        except OSError as error:
            # The pipe is BROKEN, and the reactor will find it so.
            LOG.error("%s: the response was cut: it cannot be kept: %s", exchange, error)
        exchange.tell_reactor()

    def _stream(self, exchange: Exchange, content: Stream) -> None:
        """Send content while it is made; the reactor relays it where the peer falls behind."""
        connection = exchange.connection
        outlet = Outlet(exchange, send=self._send_now, relay=self._relay)
        end = outlet.make(content)
        if exchange.pipe is not None:
            return  # the connection is the reactor's, and the pipe says how the stream ended
        if end is End.MADE:
            self._finish(connection)
        elif end is End.BROKEN:
            self._end(connection, connection.response_broken)
        else:
            self._lose(connection)

    def _subscribe(self, connection: Connection, events: Events) -> None:
        """The head is in line, and others make the content: the worker is free."""
        connection.subscription = self._make_subscription(events)
        self._set_deadline(connection, self._write_seconds)
        self._end(connection, connection.subscribed)

    def _relay(self, exchange: Exchange) -> Pipe:
        """Give the connection to the reactor, and to the pipe what is not sent yet. The pipe is all
        that this worker keeps. Raises what `Pipe.put` does.
        """
        connection = exchange.connection
        rest = list(connection.outgoing)
        connection.outgoing.clear()
        connection.pipe = exchange.pipe = pipe = self._make_pipe()
        self._set_deadline(connection, self._write_seconds)
        self._end(connection, connection.content_outran_peer)
        # Nothing is left to be held: a worker that waits for its reader may be revoked, too.
        exchange.lease.release()
        while rest:
            piece = rest.pop(0)
            assert not isinstance(piece, FileRegion)
            pipe.put(piece, exchange.tell_reactor)
        return pipe

    # --- the hand-over ----------------------------------------------------------------------

    def _end(self, connection: Connection, event: Callable[[], None]) -> None:
        event()
        self._returns.hand_back(connection)

    def _lose(self, connection: Connection) -> None:
        """The peer has failed; or so it seems, where a forced stop has broken its socket."""
        ours = self._lifecycle.state in CUT
        self._end(connection, connection.cut if ours else connection.peer_failed)

    def _set_deadline(self, connection: Connection, seconds: float) -> None:
        # Before the arrow, for after it the reactor may look at once: it would find the deadline of
        # QUEUED, which a slow handler has outlasted, and close what has only just become its own.
        connection.deadline = self.now() + seconds
        connection.progress = connection.progress_seen = 0

    def _finish(self, connection: Connection) -> None:
        """Every byte is with the kernel: hand the connection over by its state."""
        now = self.now()
        self.responder.log(connection, now=now)
        answer = connection.answer
        if answer is None or not answer.persists:
            self._set_deadline(connection, self._linger_seconds)
            connection.response_sent()
            self._returns.hand_back(connection)
            return
        descriptor = connection.transport.descriptor
        pipelined = connection.reader.renew()
        # As `_set_deadline` does, and before the arrow for the same reason.
        connection.deadline = now + self._idle_seconds
        connection.progress = connection.progress_seen = 0
        # The state is the hand-over: after this arrow the connection is the reactor's, and nothing
        # of it is touched here any more. Arming its descriptor only makes the reactor look.
        connection.response_sent()
        if pipelined:
            self._returns.hand_back(connection)
        else:
            self._poller.attend(descriptor)
        # A drain that began while this response was promised to persist may have looked for parked
        # connections before this one was. It began before this line, then, and we see it; or it
        # begins after it, and sees the connection.
        state = self._lifecycle.state
        if state is not SERVING and state is not LAME_DUCK:
            self._returns.sweep()
