"""The hub's door: STREAMING connections are sent what is published.

```
 worker ──subscribed──▶ begin ──▶ the head, and what it has missed
 Hub.news ──▶ a round: each subscriber's turn, some of them in each turn of the reactor
 its socket takes no more ──▶ BEHIND ──▶ the socket has room again ──▶ ready
```
A subscriber that keeps up costs one `send` a round, of bytes that all share. One that does not
costs nothing until its socket has room: then it is sent what the rings still have for it, and what
is kept for it meanwhile is at most the rest of one event.

Threads: the reactor's alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from server.events import Event, Parcel, Subscription
from server.net.connection import Connection
from server.net.deadlines import Deadlines
from server.net.poller import READ, WRITE
from server.net.rooms import Rooms
from server.net.sending import Sending
from statemachine._generated import ConnectionState, ServerState, SubscriptionState

SLICE: Final = 32
"""Subscribers that have their turn before every other connection has one."""

REST: Final = 3.0
"""A round is followed by a rest of so many times its length: what is published meanwhile goes out
together. So the reactor, and the workers that need the interpreter, have three quarters of the time
for others, however many subscribe; and few subscribers wait for nothing."""

REST_SECONDS_MIN: Final = 0.002
"""Less is no rest: the selector counts in milliseconds."""

REST_SECONDS_MAX: Final = 1.0
"""A round that was long because the machine slept in the middle of it earns no long rest."""

SPREAD: Final = 0.618034
"""The golden ratio: its multiples spread evenly, however many there are."""

STREAMING = ConnectionState.STREAMING
CURRENT, BEHIND, GAPPED = (
    SubscriptionState.CURRENT,
    SubscriptionState.BEHIND,
    SubscriptionState.GAPPED,
)
SLOW: Final = frozenset({BEHIND, GAPPED})
LIVE: Final = frozenset({CURRENT, BEHIND, GAPPED})
GOING_ON: Final = frozenset({ServerState.SERVING, ServerState.LAME_DUCK})
"""States of the server in which streams go on."""

Step = Callable[[Connection], None]


class Delivering:
    """Steps of STREAMING. `bury` is the reactor's: it closes what is CLOSED. `take` takes a step,
    so that a mistake of ours in it costs that connection alone.

    Guarantees: a subscriber whose connection has bytes in line is armed for room in its socket; a
    CURRENT one has none in line.
    """

    def __init__(
        self,
        rooms: Rooms,
        *,
        deadlines: Deadlines,
        sending: Sending,
        bury: Step,
        take: Callable[[Step, Connection], None],
    ) -> None:
        self._hub = rooms.hub
        self._watch = rooms.viewers.channel
        self._last_look = rooms.viewers.last
        self._clock = rooms.clock
        self._poller = rooms.poller
        self._responder = rooms.responder
        self._lifecycle = rooms.lifecycle
        self._memory = rooms.reservoir.memory
        self._receive_bytes_max = rooms.config.receive_bytes_max
        self._turn_bytes_max = rooms.config.send_turn_bytes_max
        self._retry_seconds = rooms.config.event_retry_seconds
        self._patience: Mapping[SubscriptionState, float] = rooms.patience.subscription
        self._deadlines = deadlines
        self._sending = sending
        self._bury = bury
        self._take = take
        self._subscribers: dict[Subscription, Connection] = {}
        # Who has a turn in this round, and who had one that was not enough.
        self._round: deque[Connection] = deque()
        self._unfinished: dict[Connection, None] = {}
        self._round_seconds = 0.0
        self._rest_until = -math.inf

    # --- steps of STREAMING -----------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """A worker has subscribed it: send the head, and what it has missed."""
        subscription = _subscription_of(connection)
        if subscription in self._subscribers:
            return  # a worker that failed after its hand-over hands back a second time
        self._deadlines.forget(connection)
        connection.deadline = math.inf
        self._subscribers[subscription] = connection
        self._hub.subscribe(subscription)
        self._be_patient(subscription)
        waits = self._retry_seconds * (1 + connection.serial * SPREAD % 1)
        self._put(connection, self._hub.opening(subscription, round(waits * 1000)))
        self._serve(connection)
        self._listen(connection)

    def ready(self, connection: Connection) -> None:
        """The peer has said something or ended, or its socket has room. What it says after its
        request is nobody's: the head told it that the connection ends with the stream.
        """
        try:
            data = connection.transport.receive(self._receive_bytes_max)
        except OSError:
            connection.peer_failed()
            self._bury(connection)
            return
        if data == b"":
            connection.peer_ended()
            self._bury(connection)
            return
        if connection.outgoing:
            self._serve(connection)
        self._listen(connection)

    def check(self, subscription: Subscription) -> None:
        """A subscription has come due, perhaps too early."""
        connection = self._subscribers.get(subscription)
        if connection is None:
            return
        if subscription.deadline > self._deadlines.now:
            self._deadlines.watch(subscription)
        else:
            self._take(self._lose_patience, connection)

    def forget(self, connection: Connection) -> None:
        """The connection is CLOSED: it subscribes to nothing any more."""
        subscription, connection.subscription = connection.subscription, None
        if subscription is None:
            return
        if subscription.state is not SubscriptionState.ENDED and not connection.outgoing:
            # What has bytes in line is logged as every cut is.
            self._responder.log(connection, cut=True)
        if subscription.state in LIVE:
            subscription.ended()
        self._release(subscription)
        self._unfinished.pop(connection, None)

    # --- the reactor's turns ----------------------------------------------------------------

    @property
    def rests(self) -> bool:
        """Whether nobody subscribes to anything, or did a moment ago: then `turn` does nothing."""
        return not (self._subscribers or self._round or self._unfinished or self._hub.has_news)

    def turn(self) -> None:
        """Give some of those who have news their turn, unless it is time to rest."""
        if self._deadlines.now < self._rest_until or not self._has_round():
            return
        began = self._clock.monotonic()
        for _ in range(min(SLICE, len(self._round))):
            connection = self._round.popleft()
            # Who has bytes in line is served when its socket has room.
            if connection.state is STREAMING and not connection.outgoing:
                self._take(self._serve, connection)
        now = self._clock.monotonic()
        self._round_seconds += now - began
        if not self._round:
            rest, self._round_seconds = min(REST * self._round_seconds, REST_SECONDS_MAX), 0.0
            self._rest_until = now + rest if rest >= REST_SECONDS_MIN else -math.inf

    def _has_round(self) -> bool:
        """Whether anybody has a turn; a new round begins when the last has ended."""
        if self._round:
            return True
        waiting, self._unfinished = self._unfinished, {}
        if self._hub.has_news:
            for subscription in self._hub.news():
                waiting[self._subscribers[subscription]] = None
        self._round.extend(waiting)
        return bool(waiting)

    def seconds_to_wait(self) -> float | None:
        """How long there is nothing to be done here; None: until somebody says so."""
        if self._round:
            return 0.0
        if self._unfinished or self._hub.has_news:
            return max(0.0, self._rest_until - self._deadlines.now)
        return None

    @property
    def watchers(self) -> int:
        """How many are told of the drain itself, and so leave last."""
        return self._hub.subscribers(self._watch)

    def drain(self) -> None:
        """End every stream but the watchers': after what has been published, where the subscriber
        takes it; else after the event that is in line. It comes back with Last-Event-ID.
        """
        for subscription, connection in list(self._subscribers.items()):
            if self._goes_on(subscription):
                continue
            if subscription.state is CURRENT:
                self._unfinished[connection] = None
            else:
                self._take(self._end, connection)

    def drain_watchers(self) -> None:
        """Nobody else is left: what has come of all is told, and then there is nothing more."""
        self._last_look()
        self._watch = ""
        self.drain()

    # --- sending ----------------------------------------------------------------------------

    def _serve(self, connection: Connection) -> None:
        """Send what is in line, and a turn's worth of what comes next."""
        try:
            if not connection.outgoing:
                self._feed(connection)
            elif self._flush(connection):
                subscription = _subscription_of(connection)
                is_over = subscription.state in SLOW and not self._goes_on(subscription)
                self._end(connection) if is_over else self._feed(connection)
        except OSError:
            connection.peer_failed()
            self._bury(connection)

    def _feed(self, connection: Connection) -> None:
        """Send what the subscriber has not had yet; nothing is in line. Raises OSError."""
        assert connection.answer is not None
        subscription, writer = _subscription_of(connection), connection.answer
        room, send = self._turn_bytes_max, connection.transport.send
        while room > 0:
            parcel = self._hub.next_for(subscription, coded=writer.coded)
            if parcel is None:
                self._catch_up(connection)
                return
            if parcel.losses:
                was_current = subscription.state is CURRENT
                subscription.events_lost()
                if subscription.state not in LIVE:
                    self._cut_off(connection)
                    return
                if was_current:
                    self._be_patient(subscription)
            sent = send(parcel.data)
            if sent < len(parcel.data):
                self._keep_rest(connection, parcel, sent)
                return
            writer.count(parcel.size)
            subscription.move(parcel.last)
            if not parcel.more:
                self._catch_up(connection)
                return
            room -= sent
        self._unfinished[connection] = None

    def _catch_up(self, connection: Connection) -> None:
        """The subscriber has had all there is, and has been sent something."""
        subscription = _subscription_of(connection)
        if subscription.state in SLOW:
            subscription.caught_up()
            self._be_patient(subscription)
        else:
            subscription.deadline = self._deadlines.now + self._patience[CURRENT]
        if not self._goes_on(subscription):
            self._end(connection)

    def _goes_on(self, subscription: Subscription) -> bool:
        """Whether a stream goes on: in a drain, as long as that is what it tells of."""
        return self._lifecycle.state in GOING_ON or self._watch in subscription.names

    def _keep_rest(self, connection: Connection, parcel: Parcel, sent: int) -> None:
        """The socket took a part of a parcel: keep the rest of the event that it ended in."""
        assert connection.answer is not None
        index, rest = parcel.after(sent)
        begun = parcel.events[: index + 1]
        connection.answer.count(sum(event.size for event in begun))
        _subscription_of(connection).move(begun[-1].number)
        connection.outgoing.append(rest)
        self._await_room(connection)

    def _put(self, connection: Connection, event: Event) -> None:
        """Put lines of our own in line."""
        assert connection.answer is not None
        writer, outgoing = connection.answer, connection.outgoing
        data = event.data if writer.coded else event.block
        if outgoing and isinstance(outgoing[-1], bytes):
            outgoing[-1] += data
        else:
            outgoing.append(data)
        writer.count(event.size)

    def _flush(self, connection: Connection) -> bool:
        """Send what is in line. True: the subscriber can be fed again. Raises OSError."""
        if not connection.send(self._turn_bytes_max):
            self._await_room(connection)
            return False
        connection.deadline = math.inf
        self._deadlines.forget(connection)
        subscription = _subscription_of(connection)
        if subscription.state is SubscriptionState.ENDED:
            self._finish(connection)
            return False
        if subscription.state in SLOW and subscription.policy == "latest":
            # What it was too slow for it did not ask for.
            subscription.caught_up()
            self._be_patient(subscription)
        return True

    def _await_room(self, connection: Connection) -> None:
        """Bytes are in line that the socket does not take: the peer's time begins."""
        subscription = _subscription_of(connection)
        if connection.deadline == math.inf:
            self._deadlines.begin(connection, STREAMING)
        if subscription.state is CURRENT:
            subscription.blocked()
            self._be_patient(subscription)
        if connection.give_back is None:
            size = connection.unsent_bytes()
            if self._memory.take(size):
                connection.give_back = partial(self._memory.give_back, size)
            elif subscription.state in SLOW:
                subscription.memory_ran_out()
                self._cut_off(connection)
                return
        self._poller.arm(connection.transport.descriptor, READ | WRITE)

    def _listen(self, connection: Connection) -> None:
        """Be told when the peer ends."""
        if connection.state is STREAMING and not connection.outgoing:
            self._poller.arm(connection.transport.descriptor, READ)

    # --- deadlines and ends -----------------------------------------------------------------

    def _be_patient(self, subscription: Subscription) -> None:
        """Patience with it begins."""
        subscription.deadline = self._deadlines.now + self._patience[subscription.state]
        self._deadlines.watch(subscription)

    def _lose_patience(self, connection: Connection) -> None:
        """A subscriber has been silent, or behind, for too long."""
        subscription = _subscription_of(connection)
        if subscription.state is CURRENT:
            subscription.silence_lasted()
            self._put(connection, self._hub.heartbeat(subscription))
            self._be_patient(subscription)
            self._serve(connection)
        else:
            subscription.deadline_passed()
            self._cut_off(connection)

    def _cut_off(self, connection: Connection) -> None:
        connection.fell_behind()
        self._bury(connection)

    def _end(self, connection: Connection) -> None:
        """Nothing is published to it any more: send what is in line, and the end."""
        assert connection.answer is not None
        subscription = _subscription_of(connection)
        subscription.ended()
        self._release(subscription)
        last = connection.answer.end()
        if last:
            connection.outgoing.append(last)
        try:
            self._flush(connection)
        except OSError:
            connection.peer_failed()
            self._bury(connection)

    def _finish(self, connection: Connection) -> None:
        self._responder.log(connection)
        connection.stream_ended()
        self._sending.linger(connection)

    def _release(self, subscription: Subscription) -> None:
        if self._subscribers.pop(subscription, None) is not None:
            self._hub.unsubscribe(subscription)
            self._deadlines.forget(subscription)


def _subscription_of(connection: Connection) -> Subscription:
    assert connection.subscription is not None
    return connection.subscription
