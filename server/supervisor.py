"""The ladder by which a server stops, and the watch over its workers while it serves.

Three machines are moved here, by the main thread alone: the server's (spec/server.toml), its
readiness (spec/readiness.toml), and a worker's into LATE and QUARANTINED, which `Pool.supervise`
does under the pool's lock. Other threads, and signal handlers, leave notes in the mailbox.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import logging
import queue
from collections.abc import Callable
from typing import NamedTuple, Protocol

from server.clock import Clock
from server.config import Config
from server.ledger import Account, Ledger
from server.lifecycle import Lifecycle
from server.log_file import reopen_all
from server.net.access_log import AccessLog
from server.net.baton import Baton
from server.net.listener import Listener
from server.net.pool import Census, Pool
from server.net.reactor import Reactor
from server.net.reservoir import Reservoir
from server.net.threads import SystemThreading, Thread, Threading
from statemachine._generated import PoolState, ReadinessMachine, ReadinessState, ServerState

LOG = logging.getLogger("interlock.server")


class Note(enum.Enum):
    """What other threads tell the supervisor."""

    STOP = "a stop was requested"
    EMPTY = "the last connection has been closed"
    CUT = "the reactor has cut what it could"
    DUMP = "what the flight recorder has is wanted"
    REOPEN = "the log files were moved away"
    REACTOR_DIED = "the reactor's loop has ended with an error"


class Mailbox(Protocol):
    """Where notes are left, like `queue.SimpleQueue`. Threads: `put` from any, and from signal
    handlers; `get`, which raises queue.Empty when the time is over, from the main one.
    """

    def put(self, item: Note, /) -> None: ...
    def get(self, *, timeout: float) -> Note: ...


TURN_SECONDS_MAX = 5.0
"""A reactor that does not come round in this time, though it never waits, is as good as dead."""

WATCH_SECONDS = 0.25
"""From one look at the workers to the next: how much later than it could be a worker is found late.

Also how long a signal may wait for its handler, which Python calls between two steps of the main
thread. A signal that comes when this one is about to wait, and gives the interpreter's lock away,
does not end the wait: the wait has to end by itself.
"""

FINAL = frozenset(
    {ServerState.STOPPED, ServerState.UNBALANCED, ServerState.FORCED, ServerState.FAILED}
)
EXIT_STATUS = {
    ServerState.STOPPED: 0,
    ServerState.FORCED: 1,
    ServerState.FAILED: 1,
    ServerState.UNBALANCED: 3,
}


class House:
    """The rooms of a server that has been built.

    A gate holds the reactor's thread before its loop, and after the loop has died, until the
    supervisor lets it pass.
    """

    def __init__(
        self,
        listener: Listener,
        pool: Pool,
        reactor: Reactor,
        access_log: AccessLog | None,
        threading: Threading | None = None,
        reservoir: Reservoir | None = None,
    ) -> None:
        self.listener = listener
        self.pool = pool
        self.reactor = reactor
        self.access_log = access_log
        self.reservoir = reservoir
        self.thread: Thread | None = None
        self.baton: Baton
        self._gate = (threading or SystemThreading()).Lock()
        self._gate.acquire()

    # --- the gate ---------------------------------------------------------------------------

    def wait_at_gate(self) -> None:
        """On the reactor's thread: wait until it is let through."""
        self._gate.acquire()

    def open_gate(self) -> None:
        """Let the reactor's thread through, once; now, or when it comes."""
        with contextlib.suppress(RuntimeError):  # it has been opened already
            self._gate.release()

    # --- the end ----------------------------------------------------------------------------

    def close(self) -> None:
        """The supervisor has come to a final state: let the reactor see it, and wait for its end.

        A worker that still runs will hand its connection back one day, and is not waited for.
        """
        self.reactor.ask(lambda: None)
        # If the loop has died since the last note was read, nobody else will let its thread pass.
        self.open_gate()
        if self.pool.state is PoolState.STOPPED and self.thread is not None:
            self.thread.join()

    def is_still(self) -> bool:
        """Whether all threads have ended, so that nothing moves any more."""
        return self.pool.state is PoolState.STOPPED and not self.pool.crew.quarantined

    def living(self) -> dict[str, int]:
        """By machine, how many objects are in no final state, by what is in the rooms."""
        return {
            **dict.fromkeys(("server", "readiness", "listener", "pool"), 0),
            "worker": len(self.pool.workers),
            "job": len(self.pool.queue),
            "connection": len(self.reactor.connections),
        }

    def give_back(self) -> None:
        """On the reactor's thread: close all that is left, when no worker will hand back more."""
        self.reactor.close()
        if self.access_log is not None:
            self.access_log.close()


class Watch(NamedTuple):
    """What the supervisor reads and moves besides the house. `dump` is the flight recorder's;
    `tick` is called some times a second, and must not raise; `reopen` opens the log files again.
    """

    config: Config
    clock: Clock
    mailbox: Mailbox
    lifecycle: Lifecycle
    readiness: ReadinessMachine
    ledger: Ledger
    dump: Callable[[str], object]
    tick: Callable[[], object] = object
    reopen: Callable[[], None] = reopen_all


class Supervisor:
    """Supervises one house from SERVING to a final state. Threads: the main one."""

    def __init__(self, watch: Watch, house: House) -> None:
        self._config = watch.config
        self._clock = watch.clock
        self._mailbox = watch.mailbox
        self._lifecycle = watch.lifecycle
        self._readiness = watch.readiness
        self._ledger = watch.ledger
        self._dump = watch.dump
        self._tick = watch.tick
        self._reopen = watch.reopen
        self._house = house
        # When the present rung of the ladder has lasted too long: a time of the monotonic clock.
        self._until = 0.0
        self._steps: dict[ServerState, Callable[[], None]] = {
            ServerState.SERVING: self._while_serving,
            ServerState.LAME_DUCK: self._while_lame_duck,
            ServerState.DRAINING: self._while_draining,
            ServerState.CUTTING: self._while_cutting,
        }

    def run(self) -> ServerState:
        """Supervise until the server has stopped; returns the final state."""
        while self._lifecycle.state not in FINAL:
            self._steps[self._lifecycle.state]()
        return self._lifecycle.state

    # --- the ladder down, one step a state --------------------------------------------------

    def _while_serving(self) -> None:
        note = self._note_within(WATCH_SECONDS)
        if note is Note.STOP:
            self._lifecycle.stop_requested()
            self._readiness.withdrawn()
            self._until = self._clock.monotonic() + self._config.lame_duck_seconds
            if self._config.lame_duck_seconds:
                LOG.info("not ready any more, serving on for %g s", self._config.lame_duck_seconds)
        elif note is Note.REACTOR_DIED:
            self._lifecycle.reactor_died()
            self._readiness.withdrawn()
            self._cut_without_reactor()
        else:
            self._note_capacity(self._look_after_workers())

    def _while_lame_duck(self) -> None:
        is_over = self._clock.monotonic() >= self._until
        note = None if is_over else self._note_until(self._until)
        if note is Note.STOP:
            self._force()
        elif note is Note.REACTOR_DIED:
            self._lifecycle.reactor_died()
            self._cut_without_reactor()
        elif note is None:
            self._lifecycle.lame_duck_seconds_passed()
            self._until = self._clock.monotonic() + self._config.drain_seconds_max
            LOG.info("draining: %d connections are open", len(self._house.reactor.connections))
            self._house.reactor.ask(self._house.reactor.drain)

    def _while_draining(self) -> None:
        note = self._note_until(self._until)
        if note is Note.STOP:
            self._force()
        elif note is Note.REACTOR_DIED:
            self._lifecycle.reactor_died()
            self._cut_without_reactor()
        elif note is Note.EMPTY:
            self._house.pool.drain()
            # Told once more while a worker that has answered is still on its way out.
            if self._house.pool.join(WATCH_SECONDS):
                self._lifecycle.drained()
            else:
                self._mailbox.put(Note.EMPTY)
                self._look_after_workers()
                self._check_patience()
        else:
            self._check_patience()

    def _check_patience(self) -> None:
        if self._clock.monotonic() >= self._until:
            LOG.warning("the drain has lasted %g seconds: cutting", self._config.drain_seconds_max)
            self._dump("the drain was not over in time")
            self._lifecycle.drain_seconds_passed()
            self._cut()

    def _force(self) -> None:
        LOG.warning("a second stop was requested: cutting off what is left")
        self._dump("the stop was forced")
        self._lifecycle.force_requested()
        self._cut()

    def _while_cutting(self) -> None:
        self._house.pool.drain()
        if not self._house.pool.join(self._config.cut_seconds_max):
            LOG.warning("stopped while a handler was still running")
        self._lifecycle.cut()

    def _cut(self) -> None:
        """Let the reactor close what it owns, and wait until it has."""
        reactor = self._house.reactor

        def cut() -> None:
            reactor.cut()
            self._mailbox.put(Note.CUT)

        reactor.ask(cut)
        turn_ends = self._clock.monotonic() + TURN_SECONDS_MAX
        while (note := self._note_until(turn_ends)) is not None:
            if note is Note.REACTOR_DIED:
                self._cut_without_reactor()
            if note in (Note.CUT, Note.REACTOR_DIED):
                return

    def _cut_without_reactor(self) -> None:
        """The reactor's thread has left its loop and waits at the gate: act in its place."""
        self._house.reactor.cut()
        self._house.open_gate()

    # --- the watch --------------------------------------------------------------------------

    def _look_after_workers(self) -> Census:
        return self._house.pool.supervise(self._clock.monotonic())

    def _note_capacity(self, census: Census) -> None:
        """Readiness says whether a stand-in is left for the next worker that gets stuck."""
        state = self._readiness.state
        if census.at_cap and state is ReadinessState.READY:
            LOG.error("no stand-in is left, and the server is not ready: %s", census)
            self._readiness.stand_ins_ran_out()
        elif not census.at_cap and state is ReadinessState.OVERCOMMITTED:
            LOG.info("there are stand-ins again, and the server is ready: %s", census)
            self._readiness.places_found()

    def _note_until(self, until: float) -> Note | None:
        """The next note, or None when the time is over. Workers are looked after meanwhile."""
        while True:
            left = until - self._clock.monotonic()
            note = self._note_within(min(max(left, 0.0), WATCH_SECONDS))
            if note is not None or left <= 0:
                return note
            self._look_after_workers()

    def _note_within(self, seconds: float) -> Note | None:
        self._tick()
        try:
            note = self._mailbox.get(timeout=seconds)
        except queue.Empty:
            return None
        if note is Note.DUMP:
            self._dump("asked for")
            return None
        if note is Note.REOPEN:
            self._reopen()
            return None
        return note

    # --- the account ------------------------------------------------------------------------

    def close_account(self) -> Account:
        """The ledger at the end. What is open still was cut off by a forced stop."""
        left = self._ledger.left_open(self._house.reactor.connections.values())
        account = self._ledger.account(left)
        if self._lifecycle.state is ServerState.FORCED:
            account = dataclasses.replace(account, forced=account.forced + left, open=0)
        if account.imbalance:
            LOG.critical("the ledger does not balance, by %d: %s", account.imbalance, account)
            self._dump("the ledger does not balance")
        return account
