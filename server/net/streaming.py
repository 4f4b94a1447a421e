"""The worker's side of a response that is made while it is sent.

The worker sends each piece by itself as long as the peer keeps up. When the peer falls behind, the
connection becomes the reactor's (RELAYING), and from there on the worker only fills the pipe: it
never waits for a slow reader, and two threads never share a connection.
"""

from __future__ import annotations

import enum
import functools
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from server.errors import ContentError
from server.http1.messages import Stream
from server.net.responder import JOINED_BYTES_MAX, close_stream

if TYPE_CHECKING:
    from server.net.connection import Connection
    from server.net.exchange import Exchange

LOG = logging.getLogger("interlock.streaming")


class PeerGone(Exception):
    """The peer has failed; nobody will read what is still made."""


class Revoked(Exception):
    """The job was taken from its worker: nothing of the connection is the worker's any more."""


class End(enum.Enum):
    """How a stream ended, as the worker that made it knows."""

    MADE = "all of it was made"
    BROKEN = "the handler failed, or did not keep its promise"
    PEER_GONE = "nobody reads it any more"


class Outlet:
    """Where a worker puts the bytes of one streamed response.

    `send` sends what the peer takes at once, and says whether that was all. `relay` is called when
    the peer has fallen behind: it gives the connection to the reactor, and what is not sent yet to
    the exchange's pipe, which is filled from then on.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        send: Callable[[Connection], bool],
        relay: Callable[[Exchange], object],
    ) -> None:
        self._exchange = exchange
        self._send_now = send
        self._relay = relay

    def make(self, content: Stream) -> End:
        """Make the whole content and pass it on. Whatever happens, the stream is closed once.

        A pipe has been ended or failed before that, for what the handler does there may take long.
        Raises Revoked.
        """
        exchange = self._exchange
        end = End.BROKEN
        try:
            end = self._make(content.pieces)
        finally:
            if exchange.pipe is not None:
                if end is End.BROKEN:
                    exchange.pipe.fail()
                exchange.tell_reactor()
            exchange.lend(functools.partial(close_stream, content))
        return end

    def _make(self, pieces: Iterator[bytes]) -> End:
        exchange = self._exchange
        answer, name = exchange.connection.answer, exchange.connection.request_id
        assert answer is not None
        writer, advance = answer, pieces.__next__
        try:
            while True:
                try:
                    piece = exchange.lend(advance)
                except StopIteration:
                    break
                self._put(writer.content(piece))
            self._put(writer.end())
            self._end()
        except Revoked:
            raise
        except PeerGone as error:
            LOG.debug("the peer has gone: %s", error)
            return End.PEER_GONE
        except ContentError as error:
            LOG.error("request %s: the response was cut: %s", name, error)
            return End.BROKEN
        except BaseException:  # SystemExit and the like end the exchange, never the worker
            LOG.exception("request %s: the handler failed, the response was cut", name)
            return End.BROKEN
        return End.MADE

    def _put(self, data: bytes) -> None:
        """Pass on what comes next. Raises PeerGone, and ContentError where it cannot be kept."""
        exchange = self._exchange
        try:
            if exchange.pipe is None:
                self._send(data)
            elif data:
                exchange.pipe.put(data, exchange.tell_reactor)
        except OSError as error:
            # What the pipe's file has to say is not about the peer.
            if exchange.pipe is None or isinstance(error, BrokenPipeError):
                raise PeerGone(str(error)) from None
            raise ContentError(f"it cannot be kept for its reader: {error}") from None

    def _send(self, data: bytes) -> None:
        connection = self._exchange.connection
        outgoing = connection.outgoing
        last = outgoing[-1] if outgoing else None
        if isinstance(last, bytes) and len(data) <= JOINED_BYTES_MAX:
            outgoing[-1] = last + data
        elif data:
            outgoing.append(data)
        if not self._send_now(connection):
            self._relay(self._exchange)

    def _end(self) -> None:
        if self._exchange.pipe is not None:
            try:
                self._exchange.pipe.end()
            except BrokenPipeError as error:
                raise PeerGone(str(error)) from None
