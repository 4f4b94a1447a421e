"""The net room, whole and real, between a fake kernel and a test that says who runs.

Reactor, reading, sending, desk, pool, workers, readers and writers are the server's own. Reactor
and workers are actors of `tests.stage`; sockets, selector and files are those of `tests.fakes`; the
clock moves when the test says so. Each arrow of a connection, a request and a response is a pause,
so that any other thread may come in between.
"""

from __future__ import annotations

import functools
import logging
import random
import socket
from collections.abc import Mapping
from typing import cast

import pytest

from server.app.errors import error_response
from server.config import Config
from server.events import Hub, Subscription
from server.http1.chunked import ChunkedReader
from server.http1.head import kept_heads
from server.http1.reader import RequestReader
from server.http1.writer import ResponseWriter, chunk
from server.lifecycle import Lifecycle
from server.net.access_log import AccessLog
from server.net.connection import Connection
from server.net.desk import Desk, Handler
from server.net.exchange import Exchange
from server.net.intake import Intake
from server.net.listener import Listener
from server.net.log_entry import Entry
from server.net.pipe import Pipe
from server.net.pool import Pool
from server.net.reactor import Reactor
from server.net.reservoir import Reservoir
from server.net.responder import Responder
from server.net.rooms import Makers, Rooms
from server.net.threads import SystemThreading
from server.server import patience, sound_system
from statemachine import Arrow, Binder, Engine, Model
from statemachine._generated import ConnectionState, PoolState, ServerState
from tests.clock import ManualClock
from tests.fakes import Disk, FakePoller, FakeTransport, Named, Porch, lowest_free
from tests.stage import Actor, ActorDied, Stage
from tests.witness import Witness

PORCH = 4
PAUSES = ("connection", "response", "request")
NOT_THE_REACTORS = (ConnectionState.QUEUED, ConnectionState.EXCHANGING)


class Diary(logging.Handler):
    """What the rooms say went wrong in them: a test that did not provoke it must not find it."""

    def __init__(self, *names: str) -> None:
        super().__init__(logging.ERROR)
        self.names = names
        self.lines: list[str] = []
        for name in names:
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.name}: {record.getMessage()}"
        if record.exc_info:
            text += f": {record.exc_info[1]!r}"
        self.lines.append(text)

    def forget(self, name: str) -> None:
        """Pass over what one of the rooms had to say."""
        self.lines = [line for line in self.lines if not line.startswith(f"{name}: ")]

    def put_away(self) -> None:
        for name in self.names:
            logging.getLogger(name).removeHandler(self)


class Ledger:
    """An access log that keeps its entries."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record(self, entry: Entry) -> None:
        self.entries.append(entry)


class House:
    """One server's net room, and the street outside. `trails` is each connection's way so far.

    `listening` is a listening socket of the test's own; else newcomers wait on the fake porch.
    """

    def __init__(
        self,
        engine: Engine,
        handler: Handler,
        settings: Mapping[str, object],
        *,
        observed: bool = True,
        listening: object = None,
    ) -> None:
        self.stage, self.clock, self.disk = Stage(), ManualClock(), Disk()
        self.witness = Witness(sound_system())
        self.diary = Diary("interlock.reactor", "interlock.pool")
        self.ledger = Ledger()
        self.trails: dict[FakeTransport, list[str]] = {}
        self.emptied = 0
        self.pausing_arrows = True
        self.config = config = Config.of({"engine": engine, "threads": 1, **settings})
        self.binder = Binder(sound_system(), engine=engine, hook=self._hook if observed else None)
        bind = self.binder.bind
        self.lifecycle = bind(Lifecycle)(lambda: True)
        self.poller = FakePoller(self.clock, self.stage)
        self.named = Named(PORCH)
        self.porch = bind(Porch)(self.named)
        self.listener: Listener = self.porch
        if listening is not None:
            self.listener = bind(Listener)(cast("socket.socket", listening))
        self.poller.expect(PORCH, self.porch.readiness)
        self.pool, self.responder = self._make_pool(config), self._make_responder()
        self.hub = Hub(config, frame=chunk, stamp="s", lock=self.stage.Lock())
        self.reservoir = Reservoir(
            SystemThreading(),
            memory_bytes_max=config.buffer_memory_bytes_max,
            file_bytes_max=config.buffer_file_bytes_max,
        )
        self.desk = Desk(handler)
        rooms = self._make_rooms(config)
        self.reactor = Reactor(rooms, emptied=self._empty)
        self.desk.furnish(rooms, self.reactor)
        self.transports: list[FakeTransport] = []
        self._descriptors = lowest_free(
            lambda number: any(t.descriptor == number and not t.closed for t in self.transports)
        )
        self.pool.start(config.threads)
        self.reactor_thread = self.stage.spawn(Actor("reactor", self._react))
        self.lifecycle.started()
        self.hub.open(self.reactor.wake)

    def _make_rooms(self, config: Config) -> Rooms:
        return Rooms(
            config=config,
            clock=self.clock,
            poller=self.poller,
            listener=self.listener,
            pool=self.pool,
            responder=self.responder,
            makers=self._make_makers(config),
            patience=patience(sound_system(), config),
            lifecycle=self.lifecycle,
            reservoir=self.reservoir,
            hub=self.hub,
        )

    def _make_makers(self, config: Config) -> Makers:
        bind, threads = self.binder.bind, SystemThreading()
        reader_type, chunked_type = bind(RequestReader), bind(ChunkedReader)
        whole_head = kept_heads(config)
        exchange_type, connection_type, pipe_type = bind(Exchange), bind(Connection), bind(Pipe)
        subscription_type = bind(Subscription)
        return Makers(
            connection=lambda transport: connection_type(
                transport,
                reader_type(config, chunked_type, whole_head),
                Intake(1024, self.reservoir),
            ),
            pipe=lambda: pipe_type(
                threads, self.reservoir, memory_bytes_max=64, file_bytes_max=4096
            ),
            exchange=functools.partial(exchange_type, self.desk),
            subscription=lambda events: subscription_type(
                events.channels,
                policy=events.policy,
                after=events.after,
                gaps_max=config.event_gaps_max,
            ),
        )

    def _make_responder(self) -> Responder:
        return Responder(
            self.binder.bind(ResponseWriter),
            clock=self.clock,
            lifecycle=self.lifecycle,
            error_page=error_response,
            access_log=cast("AccessLog", self.ledger),
        )

    def _make_pool(self, config: Config) -> Pool:
        return self.binder.bind(Pool)(
            self.binder,
            queue_jobs_max=config.queue_jobs_max,
            facade=self.stage,
            stand_ins_max=config.stand_ins_max,
            late_seconds_max=config.late_seconds_max,
            job_seconds_max=config.job_seconds_max,
        )

    def _react(self) -> None:
        self.reactor.open()
        while self.lifecycle.state not in (ServerState.STOPPED, ServerState.FORCED):
            self.reactor.poll_once()

    def _empty(self) -> None:
        self.emptied += 1

    def _hook(self, model: Model, arrow: Arrow) -> None:
        self.witness(model, arrow)
        if isinstance(model, Connection):
            transport = cast("FakeTransport", model.transport)
            self.trails.setdefault(transport, []).append(arrow.id)
            if model.state in NOT_THE_REACTORS:
                armed = self.poller.armed[transport.descriptor]
                attended = transport.descriptor in self.poller.attended
                assert attended or not armed, f"armed while {model.state.name}"
        if self.pausing_arrows and arrow.machine in PAUSES:
            self.stage.pause()

    # --- the street -------------------------------------------------------------------------

    def visit(self) -> FakeTransport:
        """A client connects."""
        transport = FakeTransport(next(self._descriptors), self.disk)
        self.transports.append(transport)
        self.poller.expect(transport.descriptor, transport.readiness)
        self.porch.waiting.append(transport)
        return transport

    def connection(self, transport: FakeTransport) -> Connection:
        return self.reactor.connections[transport.descriptor]

    # --- who runs ---------------------------------------------------------------------------

    def settle(self, rng: random.Random | None = None) -> None:
        """Everybody runs until nothing more happens by itself."""
        self.stage.settle(rng)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def actor(self, name: str) -> Actor:
        return next(one for one in self.stage.actors if one.name == name)

    def run(self, name: str, *, until: str | None = None, steps_max: int = 200) -> None:
        """Let one thread run alone: until it has taken an arrow, or until it waits."""
        before = self.taken(until) if until else 0
        actor = self.actor(name)
        for _ in range(steps_max):
            if actor.ended or not actor.may_go() or (until and self.taken(until) > before):
                break
            actor.step()
        assert not until or self.taken(until) > before, f"{name} did not take {until}"

    def taken(self, arrow: str) -> int:
        return self.witness.recorder.coverage()[arrow]

    # --- the end ----------------------------------------------------------------------------

    def stop(self) -> None:
        """What the supervisor does at the first signal."""
        self.lifecycle.stop_requested()
        self.lifecycle.lame_duck_seconds_passed()
        self.reactor.ask(self.reactor.drain)

    def cut(self) -> None:
        """What it does when it loses patience."""
        self.lifecycle.force_requested()
        self.reactor.ask(self.reactor.cut)

    def bury_reactor(self, error: BaseException) -> None:
        """The reactor's thread dies where it is."""
        self.reactor_thread.strike(error)
        with pytest.raises(ActorDied):
            self.reactor_thread.step()

    def end(self, rng: random.Random | None = None, *, struck: bool = False) -> None:
        """Drain, unless that was done, let time pass, and see that nothing is left."""
        self.pausing_arrows = rng is not None
        if self.lifecycle.state is ServerState.SERVING:
            self.stop()
        for _ in range(40):
            self.settle(rng)
            if self.emptied and not self.reactor.connections:
                break
            self.advance(max(self.config.drain_idle_seconds, 5.0))
        left = [(c.state.name, self.trails.get(t)) for t, c in self._left()]
        assert not left, f"not closed in the end: {left}"
        assert self.emptied, "nobody was told that the last connection is closed"
        self.pool.drain()
        self.settle(rng)
        assert self.pool.state is PoolState.STOPPED
        if self.lifecycle.state is ServerState.CUTTING:
            self.lifecycle.cut()
        else:
            self.lifecycle.drained()
        self.reactor.ask(lambda: None)
        self.settle(rng)
        self.reactor.close()
        if struck:
            self.diary.forget("interlock.pool")
        self._check()

    def _left(self) -> list[tuple[FakeTransport, Connection]]:
        return [(cast("FakeTransport", c.transport), c) for c in self.reactor.connections.values()]

    def _check(self) -> None:
        assert self.witness.faults() == []
        assert self.diary.lines == []
        assert self.reactor_thread.ended
        assert self.named.closed == 1
        assert [t.closed for t in self.transports if t not in self.porch.waiting].count(1) == len(
            self.transports
        ) - len(self.porch.waiting), "a descriptor was not given back"
        assert set(self.disk.closed.values()) <= {1}, f"files closed: {self.disk.closed}"
        assert (self.reservoir.memory.held_bytes, self.reservoir.file.held_bytes) == (0, 0)

    def put_away(self) -> None:
        """Whatever has happened: no thread and no log handler outlives the test."""
        self.stage.fall()
        self.diary.put_away()
