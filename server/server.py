"""The composition root: the one file that knows everybody, and the ladder by which a server stops.

    with Server(Config(port=0)) as server:
        print(server.url)

Threads: the one that calls `start` and `run` is the supervisor, "main" in spec/server.toml; it
alone fires the server machine's events. Others, and signal handlers, leave notes in its mailbox.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import logging
import math
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from server.app.errors import error_response
from server.app.loading import handler_of
from server.clock import Clock, SystemClock
from server.config import Config
from server.errors import InterlockError, StartError
from server.http1.chunked import ChunkedReader
from server.http1.reader import RequestReader
from server.http1.writer import ResponseWriter
from server.net.access_log import AccessLog, open_access_log
from server.net.connection import Connection
from server.net.deadlines import Patience
from server.net.exchange import Desk, Exchange, Handler
from server.net.intake import Intake
from server.net.listener import Listener, bind
from server.net.pipe import Pipe
from server.net.poller import Poller, best_poller
from server.net.pool import Pool
from server.net.reactor import Reactor
from server.net.responder import Responder
from server.net.rooms import Makers, Rooms
from statemachine import (
    Binder,
    Hook,
    SpecError,
    StateMachineError,
    System,
    check,
    load_system,
)
from statemachine._generated import (
    ConnectionState,
    PoolState,
    RequestState,
    ServerMachine,
    ServerState,
)

LOG = logging.getLogger("interlock.server")


class Note(enum.Enum):
    """What other threads tell the supervisor."""

    STOP = "a stop was requested"
    EMPTY = "the last connection has been closed"
    CUT = "the reactor has cut what it could"
    REACTOR_DIED = "the reactor's loop has ended with an error"


TURN_SECONDS_MAX = 5.0
"""A reactor that does not come round in this time, though it never waits, is as good as dead."""

SIGNAL_SECONDS_MAX = 0.5
"""Python calls a signal's handler between two steps of the main thread. A signal that comes when
this one is about to wait, and gives the interpreter's lock away, does not end the wait: the wait
has to end by itself.
"""

FINAL = frozenset({ServerState.STOPPED, ServerState.FORCED, ServerState.FAILED})
EXIT_STATUS = {ServerState.STOPPED: 0, ServerState.FORCED: 1, ServerState.FAILED: 1}


class Server:
    """One server, made of a Config and a handler; without one it serves what the Config names.

    `hook` is called for every arrow that any of its machines takes. `lifecycle` says which phase it
    is in. Raises SpecError if the spec is not sound.

    Threads: `start`, `run` and `stop` belong to one thread; `request_stop` may be called from any,
    and from signal handlers.
    """

    def __init__(
        self,
        config: Config | None = None,
        handler: Handler | None = None,
        *,
        clock: Clock | None = None,
        hook: Hook | None = None,
    ) -> None:
        self.config = config or Config()
        self._clock = clock or SystemClock()
        self._handler = handler
        self._mailbox: queue.SimpleQueue[Note] = queue.SimpleQueue()
        self._system = sound_system()
        self._binder = Binder(self._system, engine=self.config.engine, hook=hook)
        self.lifecycle = self._binder.bind(ServerMachine)()
        self._house: _House | None = None
        self._steps: dict[ServerState, Callable[[_House], None]] = {
            ServerState.SERVING: self._while_serving,
            ServerState.DRAINING: self._while_draining,
            ServerState.CUTTING: self._while_cutting,
        }

    # --- the outside ------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the server listens on. Raises StartError before `start`."""
        if self._house is None:
            raise StartError("the server has not been started")
        return self._house.listener.address

    @property
    def url(self) -> str:
        """The root of what is served: `http://127.0.0.1:7878`. Raises StartError before `start`."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Bind, start the threads, and serve. Raises StartError, ConfigError or SealError."""
        try:
            self._house = house = self._build()
            house.pool.start(self.config.threads)
            house.thread = threading.Thread(
                target=lambda: self._react(house), name="reactor", daemon=True
            )
            house.thread.start()
        except (InterlockError, StateMachineError):
            self.lifecycle.start_failed()
            raise
        except RuntimeError as error:
            assert self._house is not None
            self._house.pool.drain()
            self._house.reactor.close_listener()
            self._house.pool.join()
            self._house.give_back()
            self.lifecycle.start_failed()
            raise StartError(f"cannot start a thread: {error}") from None
        self.lifecycle.started()
        house.gate.release()

    def request_stop(self) -> None:
        """Drain and stop; asked a second time, cut off what is left."""
        self._mailbox.put(Note.STOP)

    def run(self) -> int:
        """Supervise until the server has stopped, and return the exit status."""
        house = self._house
        if house is None:
            raise StartError("the server has not been started")
        while self.lifecycle.state not in FINAL:
            self._steps[self.lifecycle.state](house)
        house.close()
        return EXIT_STATUS[self.lifecycle.state]

    def stop(self) -> int:
        """Drain and stop, and return the exit status."""
        self.request_stop()
        return self.run()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- the ladder down, one step a state --------------------------------------------------

    def _while_serving(self, house: _House) -> None:
        note = self._next_note(math.inf)
        if note is Note.STOP:
            self.lifecycle.stop_requested()
            house.drain_until = self._clock.monotonic() + self.config.drain_seconds_max
            LOG.info("draining: %d connections are open", len(house.reactor.connections))
            house.reactor.ask(house.reactor.drain)
        elif note is Note.REACTOR_DIED:
            self.lifecycle.reactor_died()
            self._cut_without_reactor(house)

    def _while_draining(self, house: _House) -> None:
        note = self._next_note(house.drain_until)
        if note is Note.STOP:
            LOG.warning("a second stop was requested: cutting off what is left")
            self.lifecycle.force_requested()
            self._cut(house)
        elif note is Note.REACTOR_DIED:
            self.lifecycle.reactor_died()
            self._cut_without_reactor(house)
        elif note is Note.EMPTY and self._pool_has_ended(house, house.drain_until):
            self.lifecycle.drained()
        else:
            LOG.warning("the drain has lasted %g seconds: cutting", self.config.drain_seconds_max)
            self.lifecycle.drain_seconds_passed()
            self._cut(house)

    def _while_cutting(self, house: _House) -> None:
        until = self._clock.monotonic() + self.config.cut_seconds_max
        if not self._pool_has_ended(house, until):
            LOG.warning("stopped while a handler was still running")
        self.lifecycle.cut()

    def _cut(self, house: _House) -> None:
        """Let the reactor close what it owns, and wait until it has."""

        def cut() -> None:
            house.reactor.cut()
            self._mailbox.put(Note.CUT)

        house.reactor.ask(cut)
        turn_ends = self._clock.monotonic() + TURN_SECONDS_MAX
        while (note := self._next_note(turn_ends)) is not None:
            if note is Note.REACTOR_DIED:
                self._cut_without_reactor(house)
            if note in (Note.CUT, Note.REACTOR_DIED):
                return

    def _cut_without_reactor(self, house: _House) -> None:
        """The reactor's thread has left its loop and waits at the gate: act in its place."""
        house.reactor.cut()
        house.gate.release()

    def _pool_has_ended(self, house: _House, until: float) -> bool:
        house.pool.drain()
        return house.pool.join(max(0.0, until - self._clock.monotonic()))

    def _next_note(self, until: float) -> Note | None:
        """The next note, or None when the time is over."""
        left = max(0.0, until - self._clock.monotonic())
        while True:
            step = min(left, SIGNAL_SECONDS_MAX)
            try:
                return self._mailbox.get(timeout=step)
            except queue.Empty:
                left -= step
                if left <= 0:
                    return None

    # --- the reactor's thread ---------------------------------------------------------------

    def _react(self, house: _House) -> None:
        house.gate.acquire()
        try:
            house.reactor.open()
            # A handler that outlasts a forced stop still owns its connection: the reactor stays to
            # close it. The thread keeps no process alive.
            while self.lifecycle.state not in FINAL or house.reactor.connections:
                house.reactor.poll_once()
        except BaseException:
            LOG.critical("the reactor died", exc_info=True)
            self._mailbox.put(Note.REACTOR_DIED)
            house.gate.acquire()
        # Workers that outlast a forced stop hand their connections back before they end.
        house.pool.join()
        house.give_back()

    # --- composition ------------------------------------------------------------------------

    def _build(self) -> _House:
        config, clock, bind_type = self.config, self._clock, self._binder.bind
        handler = self._handler or handler_of(config, clock)
        access_log = open_access_log(config, clock)
        try:
            listening = bind(config.host, config.port, config.backlog)
            poller = _poller_or_close(listening)
        except StartError:
            if access_log is not None:
                access_log.close()
            raise
        listener = bind_type(Listener)(listening)
        pool = bind_type(Pool)(
            self._binder, queue_jobs_max=config.queue_jobs_max, prefix="worker", daemon=True
        )
        responder = Responder(
            bind_type(ResponseWriter),
            clock=clock,
            lifecycle=self.lifecycle,
            error_page=error_response,
            access_log=access_log,
        )
        exchange_type, chunked_type = bind_type(Exchange), bind_type(ChunkedReader)
        reader_type, connection_type = bind_type(RequestReader), bind_type(Connection)
        pipe_type = bind_type(Pipe)
        rooms = Rooms(
            config=config,
            clock=clock,
            poller=poller,
            listener=listener,
            pool=pool,
            responder=responder,
            makers=Makers(
                connection=lambda transport: connection_type(
                    transport,
                    reader_type(config, chunked_type),
                    Intake(config.body_memory_bytes_max),
                ),
                pipe=lambda: pipe_type(
                    pool.threading,
                    memory_bytes_max=config.relay_memory_bytes_max,
                    file_bytes_max=config.relay_file_bytes_max,
                ),
                exchange=lambda connection: exchange_type(connection, desk),
            ),
            patience=patience(self._system, config),
            lifecycle=self.lifecycle,
        )
        reactor = Reactor(rooms, emptied=lambda: self._mailbox.put(Note.EMPTY))
        desk = Desk(handler, rooms, reactor)
        return _House(listener, pool, reactor, access_log)


class _House:
    """The rooms of a server that has been built.

    `drain_until` is a time of the monotonic clock. `gate` holds the reactor's thread before its
    loop, and after the loop has died, until the supervisor lets it pass.
    """

    def __init__(
        self, listener: Listener, pool: Pool, reactor: Reactor, access_log: AccessLog | None
    ) -> None:
        self.listener = listener
        self.pool = pool
        self.reactor = reactor
        self.access_log = access_log
        self.thread = threading.Thread(name="reactor", daemon=True)
        self.gate = threading.Semaphore(0)
        self.drain_until = 0.0

    def close(self) -> None:
        """The supervisor has come to a final state: let the reactor see it, and wait for its end.

        A worker that still runs will hand its connection back one day, and is not waited for.
        """
        self.reactor.ask(lambda: None)
        # If the loop has died since the last note was read, nobody else will let its thread pass.
        self.gate.release()
        if self.pool.state is PoolState.STOPPED:
            self.thread.join()

    def give_back(self) -> None:
        """On the reactor's thread: close all that is left, when no worker will hand back more."""
        self.reactor.close()
        if self.access_log is not None:
            self.access_log.close()


def _poller_or_close(listening: socket.socket) -> Poller:
    """The selector. Raises StartError, with the socket closed, if the system has none to give."""
    try:
        return best_poller()
    except OSError as error:
        listening.close()
        raise StartError(f"cannot watch connections: {error.strerror}") from None


@functools.cache
def sound_system() -> System:
    """The spec that belongs to this code. Raises SpecError unless every check passes."""
    system = load_system()
    limits = {one.name for one in dataclasses.fields(Config)}
    for finding in check(system, limits=limits):
        raise SpecError(finding.file, finding.place, finding.says)
    return system


def patience(system: System, config: Config) -> Patience:
    """The limits that the spec's deadlines name, by state."""

    def seconds(machine: str) -> Iterator[tuple[str, float]]:
        for name, state in system.machines[machine].states.items():
            if state.deadline is not None:
                yield name, getattr(config, state.deadline)

    return Patience(
        connection={ConnectionState[name]: limit for name, limit in seconds("connection")},
        request={RequestState[name]: limit for name, limit in seconds("request")},
    )
