"""The reactor: who owns the selector, and every connection that waits for its peer.

It never waits for anything but its selector. Three things bring a connection to its attention: its
descriptor is ready, a worker handed it back, or its deadline passed. For each there is a table from
the connection's state to a step (`steps`).

Threads: `hand_back`, `sweep` and `ask` from any; all else from whoever has the baton (`baton`), one
at a time: "the reactor's thread", here and in the other rooms.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping

from server.events import Subscription
from server.net.connection import Connection
from server.net.deadlines import Deadlines
from server.net.delivering import Delivering
from server.net.idle import ROOM_SECONDS, longest_idle
from server.net.listener import OutOfRoom
from server.net.poller import READ
from server.net.reading import Reading
from server.net.rooms import Rooms
from server.net.sending import Sending
from server.net.sleepers import ROUSE_SECONDS
from server.net.steps import (
    CLOSED,
    EXCHANGING,
    FLUSHING,
    LINGERING,
    PARKED,
    QUEUED,
    REFUSING,
    RELAYING,
    STREAMING,
    Step,
    Steps,
)
from server.net.timers import Timed
from statemachine._generated import ConnectionState, JobState, ListenerState, RequestState

LOG = logging.getLogger("interlock.reactor")

ACCEPT_BATCH = 64
"""Newcomers taken in before those who are here already have their turn."""


class Reactor:
    """Guarantees: a connection is in `connections` from accept to close; each is closed once.

    `emptied` is called, on the reactor's thread, when the server no longer accepts and the last
    connection has been closed; perhaps more than once.
    """

    def __init__(self, rooms: Rooms, *, emptied: Callable[[], None]) -> None:
        self.connections: dict[int, Connection] = {}
        self._config = rooms.config
        self._makers = rooms.makers
        self._poller = rooms.poller
        self._listener = rooms.listener
        self._pool = rooms.pool
        self._responder = rooms.responder
        self._emptied = emptied
        self._alarm = rooms.alarm
        self._serials = itertools.count(1)
        # What the selector has told of, and nobody has looked at yet. Like all of this, it is
        # whose the baton is.
        self._pending: deque[int] = deque()
        self._returned: deque[Connection] = deque()
        self._asked: deque[Callable[[], None]] = deque()
        self._deadlines = deadlines = Deadlines(rooms.clock, rooms.patience)
        hand_back = self.hand_back
        sending = Sending(rooms, deadlines=deadlines, bury=self._bury, hand_back=hand_back)
        reading = Reading(rooms, deadlines=deadlines, sending=sending, bury=self._bury)
        self._delivering = delivering = Delivering(
            rooms, deadlines=deadlines, sending=sending, bury=self._bury, take=self._take_step
        )
        self._steps = Steps(reading, sending, delivering, self._bury)
        self._read = reading.read
        self._make_room: Step = reading.make_room

    # --- from any thread --------------------------------------------------------------------

    @property
    def accepted(self) -> int:
        """How many connections have been accepted so far."""
        # A count shows its next number, and nothing else of it can be read without advancing it.
        return int(repr(self._serials)[len("count(") : -1]) - 1

    def hand_back(self, connection: Connection) -> None:
        """Look at this connection: its state says what is to be done."""
        self._returned.append(connection)
        self._poller.wake()

    def ask(self, what: Callable[[], None]) -> None:
        """Call `what` on the reactor's thread, soon."""
        self._asked.append(what)
        self._poller.wake()

    def wake(self) -> None:
        """Have another turn soon: there are news for subscribers."""
        self._poller.wake()

    def sweep(self) -> None:
        """Shorten the patience with idle connections, once more: one has just been parked."""
        self.ask(self._hurry_idle)

    # --- the loop ---------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to accept."""
        self._poller.add(self._listener.descriptor)
        self._listener.opened()

    def poll_once(self) -> None:
        """Wait for the next thing to happen, and do all that there is to do."""
        ready = self.wait()
        self.turn(ready)
        # Only now: one worker that is quick does more than four that pass the interpreter's lock to
        # each other, and to this thread, at every system call.
        if self._pool.strained:
            self._pool.rouse(self._deadlines.now, idle=not ready)

    def wait(self) -> list[int]:
        """Wait for the next thing to happen; the descriptors that are ready."""
        # A turn that was not ended is gone on with: nothing else is newer.
        return [] if self._pending else self._poller.poll(self._seconds_to_wait())

    def turn(self, ready: list[int]) -> bool:
        """Do all that there is to do. False: the baton has become another's meanwhile, and so has
        what is left of the turn.
        """
        self._deadlines.tick()
        self._pending.extend(ready)
        if not self._look_at_pending():
            return False
        # Those who come back meanwhile wait for the next turn: one peer's long pipeline, of which
        # each request is answered at once, must not keep the others from theirs.
        for _ in range(len(self._returned)):
            self._take(self._steps.on_return, self._returned.popleft())
        while self._asked:
            self._asked.popleft()()
        if not self._delivering.rests:
            self._delivering.turn()
        for timed in self._deadlines.due():
            self._check(timed)
        return True

    def _look_at_pending(self) -> bool:
        """Look at each descriptor that the selector has told of. False: as `turn` says."""
        pending, connection_of, read = self._pending, self.connections.get, self._read
        while pending:
            descriptor = pending.popleft()
            connection = connection_of(descriptor)
            if connection is not None:
                if connection.state is not PARKED:
                    self._look(connection)
                    continue
                try:  # as in `_take_step`: written out, for this is done for each request
                    if not read(connection):
                        return False
                except Exception:  # noqa: BLE001 - it is logged there
                    self._give_up(connection)
            elif descriptor == self._listener.descriptor:
                self._accept()
        return True

    def _seconds_to_wait(self) -> float | None:
        if self._returned or self._asked:
            return 0.0
        seconds = self._deadlines.seconds_to_next()
        if not self._delivering.rests:
            news = self._delivering.seconds_to_wait()
            if news is not None:
                seconds = news if seconds is None else min(seconds, news)
        if self._pool.strained:
            return ROUSE_SECONDS if seconds is None else min(seconds, ROUSE_SECONDS)
        return seconds

    def _look(self, connection: Connection) -> None:
        """The descriptor of a connection is ready that was no reader's when we saw it."""
        # A worker that parks it finds it muted, or we find it parked.
        self._poller.mute(connection.transport.descriptor)
        self._take(self._steps.on_ready, connection)

    def _take(self, steps: Mapping[ConnectionState, Step], connection: Connection) -> None:
        """Take the state's step. A mistake of ours costs this connection, never the reactor."""
        step = steps.get(connection.state)
        if step is not None:
            self._take_step(step, connection)

    def _take_step(self, step: Step, connection: Connection) -> None:
        try:
            step(connection)
        except Exception:  # noqa: BLE001 - it is logged there
            self._give_up(connection)

    def _give_up(self, connection: Connection) -> None:
        """A step of ours has failed, in an `except` block."""
        LOG.exception("a connection from %s was given up", connection.transport.peer)
        self._alarm("a connection was given up")
        if self._is_ours(connection):
            connection.cut()
        if connection.state is CLOSED:
            self._bury(connection)

    # --- the listener -----------------------------------------------------------------------

    def _accept(self) -> None:
        if self._listener.state is not ListenerState.ACCEPTING:
            return
        try:
            for _ in range(ACCEPT_BATCH):
                if not self._welcome():
                    break
                if len(self.connections) >= self._config.connections_max:
                    self._listener.cap_reached()
                    self._close_idle()
                    return
        except OutOfRoom as error:
            LOG.warning("not accepting for a while: %s", error)
            self._listener.descriptors_ran_out()
            self._listener.deadline = self._deadlines.now + self._config.accept_pause_seconds
            self._deadlines.watch(self._listener)
            return
        self._poller.arm(self._listener.descriptor, READ)

    def _welcome(self) -> bool:
        """Accept one newcomer; False when nobody waits. Raises OutOfRoom."""
        transport = self._listener.accept()
        if transport is None:
            return False
        try:
            self._poller.add(transport.descriptor)
        except OSError as error:  # epoll_ctl(2): ENOSPC or ENOMEM
            transport.close()
            raise OutOfRoom(str(error)) from None
        connection = self._makers.connection(transport)
        connection.serial = next(self._serials)
        self.connections[transport.descriptor] = connection
        self._deadlines.begin(connection, RequestState.AWAITED)
        return True

    def _look_at_listener(self) -> None:
        if self._listener.state is ListenerState.PAUSED:
            self._listener.pause_ended()
            self._poller.arm(self._listener.descriptor, READ)
        elif self._listener.state is ListenerState.FULL:
            self._close_idle()

    def _close_idle(self) -> None:
        """At the cap: let newcomers in at the expense of those who have been idle for longest.

        Between two requests a connection costs its place and owes nothing, and its client can open
        another: so a full house of idle ones must not keep everybody else in the backlog.
        """
        now = self._deadlines.now
        until = now + self._deadlines.patience.request[RequestState.AWAITED] - ROOM_SECONDS
        for connection in longest_idle(self.connections.values(), until):
            self._take_step(self._make_room, connection)
        if self._listener.state is ListenerState.FULL:
            self._listener.deadline = now + ROOM_SECONDS
            self._deadlines.watch(self._listener)

    # --- deadlines and the end --------------------------------------------------------------

    def _check(self, timed: Timed) -> None:
        if isinstance(timed, Connection):
            self._check_deadline(timed)
        elif isinstance(timed, Subscription):
            self._delivering.check(timed)
        else:
            self._look_at_listener()

    def _check_deadline(self, connection: Connection) -> None:
        # The state is read once, and before the deadline, which its owner wrote before the state. A
        # QUEUED connection may be parked by a worker at this very moment: the step for QUEUED finds
        # the job gone then, but one for PARKED would close what has only just come back.
        state = connection.state
        step = self._steps.on_deadline.get(state)
        if step is not None and self._deadlines.has_passed(connection, state):
            self._take_step(step, connection)
        # A worker may move the state while we look: CLOSED here means closed for good, and any
        # other answer only decides how soon we look again.
        state = connection.state
        if state is PARKED and connection.reader.state is RequestState.AWAITED:
            connection.rest()  # here, where it is looked at anyway: no request is slower for it
        if state is CLOSED:
            self._bury(connection)
        elif state in (PARKED, FLUSHING, REFUSING, STREAMING, LINGERING):
            self._deadlines.watch_on(connection, state)
        else:
            self._deadlines.glance(connection)

    def _bury(self, connection: Connection) -> None:
        """Give a CLOSED connection's descriptor back."""
        descriptor = connection.transport.descriptor
        if self.connections.get(descriptor) is not connection:
            return
        if connection.outgoing:
            self._responder.log(connection, cut=True)
        self._delivering.forget(connection)
        del self.connections[descriptor]
        self._deadlines.forget(connection)
        # The peer of a response that was cut must see a cut (spec/connection.toml, C14).
        close = connection.transport.close
        if connection.looks_whole():
            close = connection.transport.reset
        self._poller.disarm(descriptor)
        try:
            connection.let_go()
        finally:  # whatever it has met there: nobody would find the descriptor any more
            connection.job = None  # which knows its connection: neither would go by itself
            close()
        if self._listener.state is ListenerState.FULL:
            self._listener.room_made()
            self._poller.arm(self._listener.descriptor, READ)
        self._report_if_empty()

    # --- the server's end -------------------------------------------------------------------

    def drain(self) -> None:
        """Accept whom the kernel has greeted already, then nobody; hurry those who are idle."""
        try:
            # Those who join the backlog meanwhile may be as many again, and again.
            for _ in range(self._config.backlog + 1):
                if self._listener.state is ListenerState.CLOSED or not self._welcome():
                    break
        except OutOfRoom as error:
            LOG.warning("the backlog was not emptied: %s", error)
        self.close_listener()
        self._deadlines.shorten(RequestState.AWAITED, self._config.drain_idle_seconds)
        self._hurry_idle()
        self._delivering.drain()
        self._report_if_empty()

    def close_listener(self) -> None:
        """Stop accepting, whatever the server's phase."""
        if self._listener.state is not ListenerState.CLOSED:
            self._listener.closed()
            self._poller.disarm(self._listener.descriptor)
            self._listener.close()

    def cut(self) -> None:
        """Close what the reactor owns, take back what is queued, and break what workers hold."""
        self.close_listener()
        self._pool.withdraw_all()
        for connection in list(self.connections.values()):
            if self._is_ours(connection):
                connection.cut()
            if connection.state is CLOSED:
                self._bury(connection)
                continue
            # Its worker finds the peer gone when it sends; only its owner may move it. It may be
            # QUEUED still, if the worker has taken the job and not yet the connection.
            try:
                connection.transport.abort()
            except OSError:
                LOG.debug("a connection had ended before it was cut", exc_info=True)
        self._report_if_empty()

    def _is_ours(self, connection: Connection) -> bool:
        """Whether no worker has this connection, nor can take it any more."""
        if connection.state is QUEUED:
            assert connection.job is not None
            return connection.job.state not in (JobState.QUEUED, JobState.RUNNING)
        if connection.state is EXCHANGING:
            return connection.job is not None and connection.job.state is JobState.REVOKED
        return connection.state in (PARKED, RELAYING, FLUSHING, REFUSING, STREAMING, LINGERING)

    def close(self) -> None:
        """The loop has ended, and so has every worker: close what they left, and the selector."""
        for connection in list(self.connections.values()):
            # Of a loop that died: a worker may have parked it when nobody looked any more.
            if self._is_ours(connection):
                connection.cut()
            self._bury(connection)
        self._poller.close()

    def _hurry_idle(self) -> None:
        until = self._deadlines.now + self._config.drain_idle_seconds
        for connection in list(self.connections.values()):
            if connection.state is PARKED and connection.reader.state is RequestState.AWAITED:
                connection.deadline = min(connection.deadline, until)
                self._deadlines.watch(connection)

    def _report_if_empty(self) -> None:
        if self._listener.state is not ListenerState.CLOSED:
            return
        if not self.connections:
            self._emptied()
        elif self._delivering.watchers == len(self.connections):
            # Not at once: whoever reports is in the middle of a step.
            self.ask(self._delivering.drain_watchers)
