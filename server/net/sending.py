"""The door out: FLUSHING and REFUSING connections are sent what is left, RELAYING ones what a
worker still makes, and LINGERING ones are waited for.

Threads: the reactor's alone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from server.errors import ContentError
from server.net.connection import Connection
from server.net.deadlines import Deadlines
from server.net.pipe import Pipe
from server.net.poller import READ, WRITE
from server.net.rooms import Rooms
from statemachine._generated import ConnectionState, PipeState, RequestState

LOG = logging.getLogger("interlock.sending")


class Sending:
    """Steps of RELAYING, FLUSHING, REFUSING and LINGERING. `bury` is the reactor's: it closes what
    is CLOSED.

    `hand_back` makes it look at a connection again: at one that persists and has sent more already.
    """

    def __init__(
        self,
        rooms: Rooms,
        *,
        deadlines: Deadlines,
        bury: Callable[[Connection], None],
        hand_back: Callable[[Connection], None],
    ) -> None:
        self._receive_bytes_max = rooms.config.receive_bytes_max
        self._send_turn_bytes_max = rooms.config.send_turn_bytes_max
        self._poller = rooms.poller
        self._deadlines = deadlines
        self._responder = rooms.responder
        self._bury = bury
        self._hand_back = hand_back

    # --- FLUSHING and REFUSING --------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """An answer of the reactor's own: its reader's patience begins."""
        self._deadlines.begin(connection, ConnectionState.REFUSING)
        self.flush(connection)

    def flush(self, connection: Connection) -> None:
        """Send what the kernel takes now, and come back for the rest."""
        try:
            sent = connection.send(self._send_turn_bytes_max)
        except ContentError as error:
            LOG.error("the response was cut: %s", error)
            connection.response_broken()
            self._bury(connection)
        except OSError:
            connection.peer_failed()
            self._bury(connection)
        else:
            if sent:
                self._flushed(connection)
            else:
                self._poller.arm(connection.transport.descriptor, WRITE)

    def _flushed(self, connection: Connection) -> None:
        self._responder.log(connection)
        if connection.persists():
            connection.reader.renew()
            self._deadlines.begin(connection, RequestState.AWAITED)
            connection.flushed()
            if connection.reader.has_leftover:
                # Not from here: a peer that sends a thousand requests at once would nest as deep.
                self._hand_back(connection)
            else:
                self._poller.attend(connection.transport.descriptor)
        else:
            connection.flushed()
            self.linger(connection)

    def await_writable(self, connection: Connection) -> None:
        """A worker's response did not fit: the reader's patience with it begins."""
        self._deadlines.begin(connection, ConnectionState.FLUSHING)
        self._poller.arm(connection.transport.descriptor, WRITE)

    # --- RELAYING ---------------------------------------------------------------------------

    def relay(self, connection: Connection) -> None:
        """Send what a worker has made so far, and see whether that is all."""
        pipe = connection.pipe
        assert pipe is not None
        # Before the pipe is found empty: what it says afterwards may be about later pieces.
        state = pipe.state
        try:
            empty = self._send_from(pipe, connection)
        except OSError:
            connection.peer_failed()
            self._bury(connection)
            return
        if not empty:
            if connection.deadline == math.inf:
                self._deadlines.begin(connection, ConnectionState.RELAYING)
            self._poller.arm(connection.transport.descriptor, WRITE)
        elif state is PipeState.OPEN:
            # The peer has all there is: the next wait for it is another. The worker's next piece
            # finds the pipe empty, and calls us.
            connection.deadline = math.inf
        elif state is PipeState.ENDED:
            pipe.abandon()
            connection.pipe = None
            self._deadlines.begin(connection, ConnectionState.FLUSHING)
            connection.content_made()
            self._flushed(connection)
        else:
            connection.response_broken()
            self._bury(connection)

    def _send_from(self, pipe: Pipe, connection: Connection) -> bool:
        """Send what is in the pipe, about a turn's worth. True: it is empty. Raises OSError."""
        room = self._send_turn_bytes_max
        while room > 0:
            if not connection.send(room):
                return False
            piece = pipe.take()
            if piece is None:
                pipe.make_room()
                return True
            connection.outgoing.append(piece)
            room -= len(piece) if isinstance(piece, bytes) else piece.size
        return False

    # --- LINGERING --------------------------------------------------------------------------

    def linger(self, connection: Connection) -> None:
        """End our side, and read on until the peer has ended its own (RFC 9112 9.6)."""
        self._deadlines.begin(connection, ConnectionState.LINGERING)
        try:
            connection.transport.end()
        except OSError:
            connection.peer_failed()
            self._bury(connection)
            return
        self.drop_input(connection)

    def drop_input(self, connection: Connection) -> None:
        """Read and forget: bytes left unread would make our close a reset (RFC 9112 9.6)."""
        try:
            data = connection.transport.receive(self._receive_bytes_max)
        except OSError:
            connection.peer_failed()
            self._bury(connection)
            return
        if data == b"":
            connection.peer_ended()
            self._bury(connection)
        else:
            self._poller.arm(connection.transport.descriptor, READ)

    def expire(self, connection: Connection) -> None:
        """Patience has ended."""
        connection.deadline_passed()
        self._bury(connection)
