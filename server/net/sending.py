"""The door out: FLUSHING connections are sent what is left, LINGERING ones are waited for.

Threads: the reactor's alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from server.errors import ContentError
from server.net.connection import Connection
from server.net.deadlines import Deadlines
from server.net.poller import READ, WRITE
from server.net.rooms import Rooms
from statemachine._generated import ConnectionState, RequestState

LOG = logging.getLogger("interlock.sending")


class Sending:
    """Steps of FLUSHING and LINGERING. `bury` is the reactor's: it closes what is CLOSED.

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

    # --- FLUSHING ---------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """An answer of the reactor's own: its reader's patience begins."""
        self._deadlines.begin(connection, ConnectionState.FLUSHING)
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
                self._poller.arm(connection.transport.descriptor, READ)
        else:
            connection.flushed()
            self.linger(connection)

    def await_writable(self, connection: Connection) -> None:
        """A worker's response did not fit: the reader's patience with it begins."""
        self._deadlines.begin(connection, ConnectionState.FLUSHING)
        self._poller.arm(connection.transport.descriptor, WRITE)

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
