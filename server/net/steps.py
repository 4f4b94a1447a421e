"""What the reactor does with a connection: by its state, and by what has brought it to attention.

Its descriptor is ready, a worker has handed it back, or its deadline has passed. States that the
reactor does not own have no step: such a call is late or spurious, and the owner will act.
"""

from __future__ import annotations

from collections.abc import Callable

from server.net.connection import Connection
from server.net.delivering import Delivering
from server.net.reading import Reading
from server.net.sending import Sending
from statemachine._generated import ConnectionState

PARKED = ConnectionState.PARKED
QUEUED = ConnectionState.QUEUED
EXCHANGING = ConnectionState.EXCHANGING
RELAYING = ConnectionState.RELAYING
FLUSHING = ConnectionState.FLUSHING
REFUSING = ConnectionState.REFUSING
STREAMING = ConnectionState.STREAMING
LINGERING = ConnectionState.LINGERING
CLOSED = ConnectionState.CLOSED

Step = Callable[[Connection], object]


class Steps:
    """The tables. `bury` gives a CLOSED connection's descriptor back."""

    __slots__ = ("on_deadline", "on_ready", "on_return")

    def __init__(
        self, reading: Reading, sending: Sending, delivering: Delivering, bury: Step
    ) -> None:
        self.on_ready: dict[ConnectionState, Step] = {
            PARKED: reading.read_later,
            RELAYING: sending.relay,
            FLUSHING: sending.flush,
            REFUSING: sending.flush,
            STREAMING: delivering.ready,
            LINGERING: sending.drop_input,
        }
        self.on_return: dict[ConnectionState, Step] = {
            PARKED: reading.read_on,
            QUEUED: reading.shed_withdrawn,
            EXCHANGING: reading.revoke,
            RELAYING: sending.relay,
            FLUSHING: sending.await_writable,
            STREAMING: delivering.begin,
            LINGERING: sending.linger,
            CLOSED: bury,
        }
        self.on_deadline: dict[ConnectionState, Step] = {
            PARKED: reading.lose_patience,
            QUEUED: reading.withdraw,
            RELAYING: sending.expire,
            FLUSHING: sending.expire,
            REFUSING: sending.expire,
            STREAMING: sending.expire,
            LINGERING: sending.expire,
        }
