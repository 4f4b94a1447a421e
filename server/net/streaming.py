"""The worker's side of a response that is made while it is sent.

The worker sends each piece by itself as long as the peer keeps up. When the peer falls behind, the
connection becomes the reactor's (RELAYING), and from there on the worker only fills the pipe: it
never waits for a slow reader, and two threads never share a connection.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable

from server.errors import ContentError
from server.http1.messages import Stream
from server.net.connection import Connection
from server.net.pipe import Pipe
from server.net.responder import JOINED_BYTES_MAX, close_stream

LOG = logging.getLogger("interlock.streaming")


class PeerGone(Exception):
    """The peer has failed; nobody will read what is still made."""


class End(enum.Enum):
    """How a stream ended, as the worker that made it knows."""

    MADE = "all of it was made"
    BROKEN = "the handler failed, or did not keep its promise"
    PEER_GONE = "nobody reads it any more"


class Outlet:
    """Where a worker puts the bytes of one streamed response.

    `relay` is called when the peer has fallen behind: it gives the connection to the reactor, and
    returns the pipe to fill. `pipe` is that one, or None as long as the peer has kept up.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        turn_bytes_max: int,
        relay: Callable[[Connection], Pipe],
        hand_back: Callable[[Connection], None],
    ) -> None:
        self._connection = connection
        self._turn_bytes_max = turn_bytes_max
        self._relay = relay
        self._hand_back = hand_back
        self.pipe: Pipe | None = None

    def make(self, content: Stream) -> End:
        """Make the whole content and pass it on. Whatever happens, the stream is closed once."""
        answer = self._connection.answer
        assert answer is not None
        writer, name = answer.writer, self._connection.request_id
        try:
            for piece in content.pieces:
                self._put(writer.content(piece))
            self._put(writer.end())
            self._end()
        except PeerGone as error:
            LOG.debug("the peer has gone: %s", error)
            return End.PEER_GONE
        except ContentError as error:
            LOG.error("request %s: the response was cut: %s", name, error)
            return End.BROKEN
        except BaseException:  # SystemExit and the like end the exchange, never the worker
            LOG.exception("request %s: the handler failed, the response was cut", name)
            return End.BROKEN
        finally:
            close_stream(content)
        return End.MADE

    def _put(self, data: bytes) -> None:
        """Pass on what comes next. Raises PeerGone."""
        try:
            if self.pipe is None:
                self._send(data)
            elif data and self.pipe.put(data):
                self._hand_back(self._connection)
        except OSError as error:
            raise PeerGone(str(error)) from None

    def _send(self, data: bytes) -> None:
        connection = self._connection
        outgoing = connection.outgoing
        last = outgoing[-1] if outgoing else None
        if isinstance(last, bytes) and len(data) <= JOINED_BYTES_MAX:
            outgoing[-1] = last + data
        elif data:
            outgoing.append(data)
        if not connection.send(self._turn_bytes_max):
            self.pipe = self._relay(connection)

    def _end(self) -> None:
        if self.pipe is not None:
            try:
                self.pipe.end()
            except OSError as error:
                raise PeerGone(str(error)) from None
