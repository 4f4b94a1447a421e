"""How long each state may last, and who has lasted too long.

The spec names the limits (`deadline` in spec/connection.toml and spec/request.toml), Config gives
them their seconds, the wheel in `timers` finds those that have passed.
Threads: the reactor's alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import floor

from server.clock import Clock
from server.net.connection import Connection
from server.net.timers import NOT_WATCHED, TICK_SECONDS, Timed, Timers
from statemachine._generated import ConnectionState, RequestState, SubscriptionState


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a connection may stay in each state that has a deadline.

    A PARKED connection has the patience of the request that it waits for. `rates` are bytes: so
    many of them, moved in the state, add a second.
    """

    connection: Mapping[ConnectionState, float]
    request: Mapping[RequestState, float]
    rates: Mapping[ConnectionState | RequestState, int]
    subscription: Mapping[SubscriptionState, float] = field(default_factory=dict)


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
        self._queue_seconds = patience.connection[ConnectionState.QUEUED]
        # Until when what is queued in this turn may wait, and the tick by which it is looked at in
        # any case.
        self._queue_until = 0.0
        self._glance_tick = 0
        self.tick()

    def shorten(self, state: RequestState, seconds: float) -> None:
        """From now on be patient with requests in `state` for `seconds` at most."""
        patience = self.patience
        shorter = {**patience.request, state: min(seconds, patience.request[state])}
        self.patience = replace(patience, request=shorter)

    def tick(self) -> None:
        """A new turn begins."""
        self.now = now = self._clock.monotonic()
        self._queue_until = now + self._queue_seconds
        self._glance_tick = floor((now + self.glance_seconds) / TICK_SECONDS) + 1  # `tick_of`

    def begin(self, connection: Connection, state: ConnectionState | RequestState) -> None:
        """The connection has come to `state`, or its request has: its patience begins."""
        seconds = (
            self.patience.connection[state]
            if isinstance(state, ConnectionState)
            else self.patience.request[state]
        )
        connection.deadline = self.now + seconds
        connection.progress = connection.progress_seen = 0
        self._timers.watch(connection, connection.deadline)

    def has_passed(self, connection: Connection, state: ConnectionState) -> bool:
        """Whether patience with a connection in `state` has ended.

        A peer has its first seconds, and after them what it keeps up on the average: its rate moves
        the limit, by a second for so many bytes. But bytes that came in a burst buy no long rest:
        nobody is given more time twice without having moved anything in between.
        """
        if connection.deadline > self.now:
            return False
        if connection.progress == connection.progress_seen:
            return True
        if self._limit(connection, state) <= self.now:
            return True
        connection.progress_seen = connection.progress
        return False

    def watch_on(self, connection: Connection, state: ConnectionState) -> None:
        """Let a connection that has time left come due when that may be over."""
        rest = self.now + (
            self.patience.request.get(connection.reader.state, 0.0)
            if state is ConnectionState.PARKED
            else self.patience.connection.get(state, 0.0)
        )
        self.watch(connection, max(connection.deadline, min(self._limit(connection, state), rest)))

    def _limit(self, connection: Connection, state: ConnectionState) -> float:
        place = connection.reader.state if state is ConnectionState.PARKED else state
        rate = self.patience.rates.get(place)
        moved = 0.0 if rate is None else connection.progress / rate
        return connection.deadline + moved

    def begin_queueing(self, connection: Connection) -> None:
        """The same for QUEUED, which a worker may end, and begin a nearer deadline, unseen."""
        connection.deadline = self._queue_until
        # Nearly every one is looked at soon enough already.
        if not NOT_WATCHED < connection.tick <= self._glance_tick:
            self.glance(connection)

    def watch(self, one: Timed, until: float | None = None) -> None:
        """Let it come due at the deadline that it has, or at another time."""
        self._timers.watch(one, max(one.deadline if until is None else until, self.now))

    def glance(self, one: Timed) -> None:
        """Let it come due soon, whatever its deadline is: that may move without a word."""
        soon = self.now + self.glance_seconds
        # A deadline that has passed is another room's business, which need not be asked again.
        self._timers.watch(one, min(one.deadline, soon) if one.deadline > self.now else soon)

    def forget(self, one: Timed) -> None:
        """It has ended: keep nothing of it."""
        self._timers.forget(one)

    def due(self) -> Iterable[Timed]:
        """What has come due, once each. It may have come too early: watch it again then."""
        return self._timers.due(self.now)

    def seconds_to_next(self) -> float | None:
        """How long at least nothing will come due; None while nothing is watched."""
        return self._timers.seconds_to_next(self._clock.monotonic())
