"""How long each state may last, and who has lasted too long.

The spec names the limits (`deadline` in spec/connection.toml and spec/request.toml), Config gives
them their seconds, the wheel in `timers` finds those that have passed.
Threads: the reactor's alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from server.clock import Clock
from server.net.connection import Connection
from server.net.timers import Timed, Timers
from statemachine._generated import ConnectionState, RequestState


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a connection may stay in each state that has a deadline.

    A PARKED connection has the patience of the request that it waits for.
    """

    connection: Mapping[ConnectionState, float]
    request: Mapping[RequestState, float]


class Deadlines:
    """The reactor's sense of time: `now` is the monotonic time at which its present turn began."""

    def __init__(self, clock: Clock, patience: Patience) -> None:
        self._clock = clock
        self._timers = Timers()
        self.patience = patience
        self.now = clock.monotonic()
        # While another room owns a connection, its deadline may come to lie before its entry in
        # the wheel. So it is looked at again after the shortest patience that there is.
        self.glance_seconds = min(*patience.connection.values(), *patience.request.values())

    def shorten(self, state: RequestState, seconds: float) -> None:
        """From now on be patient with requests in `state` for `seconds` at most."""
        patience = self.patience
        shorter = {**patience.request, state: min(seconds, patience.request[state])}
        self.patience = Patience(patience.connection, shorter)

    def tick(self) -> None:
        """A new turn begins."""
        self.now = self._clock.monotonic()

    def begin(self, connection: Connection, state: ConnectionState | RequestState) -> None:
        """The connection has come to `state`, or its request has: its patience begins."""
        seconds = (
            self.patience.connection[state]
            if isinstance(state, ConnectionState)
            else self.patience.request[state]
        )
        connection.deadline = self.now + seconds
        self._timers.watch(connection, connection.deadline)

    def begin_queueing(self, connection: Connection) -> None:
        """The same for QUEUED, which a worker may end, and begin a nearer deadline, unseen."""
        connection.deadline = self.now + self.patience.connection[ConnectionState.QUEUED]
        self._timers.watch(connection, min(connection.deadline, self.now + self.glance_seconds))

    def watch(self, one: Timed) -> None:
        """Let it come due at the deadline that it has."""
        self._timers.watch(one, max(one.deadline, self.now))

    def glance(self, one: Timed) -> None:
        """Let it come due soon, whatever its deadline is."""
        self._timers.watch(one, self.now + self.glance_seconds)

    def forget(self, one: Timed) -> None:
        """It has ended: keep nothing of it."""
        self._timers.forget(one)

    def due(self) -> Iterator[Timed]:
        """What has come due, once each. It may have come too early: watch it again then."""
        return self._timers.due(self.now)

    def seconds_to_next(self) -> float | None:
        """How long at least nothing will come due; None while nothing is watched."""
        return self._timers.seconds_to_next(self._clock.monotonic())
