"""The net room: reactor, desk, pool and workers, between a fake kernel and clients with scripts.

A scene's text is the number of workers, with options, a script for each client, and after a slash
one for the supervisor:

    1 gwg pw / d

Options: `q1` a queue for one request; `b` with a baton, which workers are lent, `B` with one whose
holder always runs what it reads. A client connects, and then does what its letters
say:

| letter | act |
|---|---|
| g c r | ask for a page; for one after which the server closes; for one whose handler raises |
| p | ask for two pages at once |
| h | ask for one that takes HANG_SECONDS |
| b m | leave little room for the answer, and ask for a big one; make room |
| w | wait until every request has an answer, or the connection has been closed |
| e x | end its side; reset the connection |
| t | let 31 seconds pass |

The supervisor's: `d` drain, `k` cut, `s` and `S` look after the workers after late_seconds_max and
job_seconds_max, `t` as above, `h` wait for HANG_SECONDS, `u` let a tick pass, whoever is at work,
`T` as long as `t`, although a worker may be. When all have played, it drains, waits and stops as a
server does.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import server.net.exchange as exchange_module
import server.net.pool as pool_module
import server.net.reactor as reactor_module
import server.net.responder as responder_module
import server.net.worker as worker_module
from server.app.errors import error_response
from server.config import Config
from server.events import Hub, Subscription
from server.http1.chunked import ChunkedReader
from server.http1.head import kept_heads
from server.http1.messages import Request, Response
from server.http1.reader import RequestReader
from server.http1.writer import ResponseWriter, chunk
from server.lifecycle import Lifecycle
from server.net.baton import QUICK_JOBS, Baton
from server.net.connection import Connection
from server.net.desk import Desk
from server.net.exchange import Exchange
from server.net.intake import Intake
from server.net.pipe import Pipe
from server.net.pool import Pool
from server.net.reactor import Reactor
from server.net.reservoir import Reservoir
from server.net.responder import Responder
from server.net.rooms import Makers, Rooms
from server.server import patience
from server.simulation import CarriedLock, Carrier
from statemachine import Arrow, Model
from statemachine._generated import JobState, ListenerState, PoolState, ServerState
from tests.fakes import Disk, FakePoller, FakeTransport, Named, Porch, lowest_free
from tests.interleavings.scene import SYSTEM, BoundOnce, Watch
from tests.machines.peers import Answers, Peer
from tests.witness import Witness

PORCH = 4
PAUSES = ("connection", "request", "response")
"""Machines whose arrows are points: each may be the hand-over."""

HANG_SECONDS, PATIENCE_SECONDS, TICK_SECONDS = 61.0, 31.0, 0.1
"""Who asks after PATIENCE_SECONDS and waits behind one that hangs has waited for too long when that
one ends.
"""

LITTLE_ROOM = 1000
SOON_SECONDS = 0.5
LATE_SECONDS, JOB_SECONDS = 2.0, 30.0
TURNS_MAX = 60

TEXT = re.compile(
    r"(?P<workers>[1-9])(q(?P<queue>\d+))?(?P<baton>[bB])?(?P<clients>( [gcrphbmwext]+)*)"
    r"( / (?P<stopper>[dkhsStTu]+))?"
)
BINDER = BoundOnce()
WITNESS = Witness(SYSTEM)
LINGERED = {"C12", "C17", "C35", "C40"}
assert SYSTEM.ledger is not None
SETTLED = {arrow for arrows in SYSTEM.ledger.settled.values() for arrow in arrows}


@dataclass(frozen=True, slots=True)
class Plan:
    """A scene's text, read."""

    workers: int
    queue: int
    has_baton: bool
    is_quick: bool
    clients: tuple[str, ...]
    stopper: str

    @property
    def is_quiet(self) -> bool:
        """Nobody leaves, nothing is stopped, and every client waits for its answers."""
        patient = all(re.fullmatch(r"([gcrphw]|bm)*w", script) for script in self.clients)
        return patient and not self.stopper

    @property
    def is_swift(self) -> bool:
        """Nothing takes time, and nobody lets time pass."""
        letters = set("".join(self.clients))
        return letters <= set("gcrpw") and set(self.stopper) <= {"d"}


@functools.lru_cache(maxsize=1024)
def plan_of(text: str) -> Plan:
    """Raises ValueError, in one line."""
    found = TEXT.fullmatch(text)
    if found is None:
        says = "a reactor's scene is WORKERS[q1][b] CLIENT... / SUPERVISOR"
        raise ValueError(f"{says}, not {text!r}")
    clients = tuple(found["clients"].split())
    queue, stopper = int(found["queue"] or 100), found["stopper"] or ""
    return Plan(
        int(found["workers"]), queue, bool(found["baton"]), found["baton"] == "B", clients, stopper
    )


class Ear:
    """In place of a room's logger: what no test provoked is a fault."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, text: str, *said: object, **_: object) -> None:
        self.lines.append(text % said)

    exception = critical = error

    def warning(self, *_: object, **__: object) -> None:
        pass

    info = debug = warning


class CarriedPoller(FakePoller):
    """Waits for its time, too; and every call from outside is a point. `crowd` is called where a
    second thread polls.
    """

    def __init__(self, carrier: Carrier, crowd: Callable[[], None]) -> None:
        super().__init__(carrier, carrier)
        self._carrier = carrier
        self._crowd = crowd
        self._is_polled = False

    @property
    def waits(self) -> bool:
        """Whether the reactor waits, and was not told of anything."""
        return self._is_polled and not self._rung

    def poll(self, timeout_seconds: float | None) -> list[int]:
        if self._is_polled:
            self._crowd()
        self._is_polled = True
        self._carrier.pause(lambda: self._rung or bool(self.ready()), timeout_seconds)
        self._is_polled = False
        return super().poll(0.0)

    def control(self, descriptor: int, what: int) -> bool:
        known = super().control(descriptor, what)
        self._carrier.point()
        return known

    def _pause_worker(self) -> None:
        self._carrier.point()


class Answered:
    """The gate of a client: everything that it asked for has an answer, or it was hung up on."""

    def __init__(self, peer: Peer, porch: Porch) -> None:
        self._peer = peer
        self._porch = porch

    @property
    def is_open(self) -> bool:
        transport = self._peer.transport
        if transport.closed or transport.has_ended:
            return True
        if self._porch.state is ListenerState.CLOSED and transport in self._porch.waiting:
            return True  # it came too late
        return transport.received.count(b"HTTP/1.1 ") >= len(self._peer.asked)


class Waiting:
    """The gate of who lets much time pass: reactor and workers wait.

    Not within the reactor's turn: it takes the time at which a turn began for the present. And not
    between two lines of a worker's: who stops for as long there as an idle connection may live,
    between an arrow and the call that tells of it, is closed upon.
    """

    def __init__(self, scene: ReactorScene) -> None:
        self._scene = scene

    @property
    def is_open(self) -> bool:
        tasks = self._scene.carrier.tasks
        working = (one for one in tasks if one.name.startswith("worker") and not one.has_ended)
        return self._scene.poller.waits and not any(one.gate.is_open for one in working)


class ReactorScene:
    """One net room, its clients and its supervisor."""

    def __init__(self, carrier: Carrier, text: str) -> None:
        self.carrier = carrier
        self.plan = plan = plan_of(text)
        self.config = config = Config.of({"threads": plan.workers, "queue_jobs_max": plan.queue})
        self.disk, self.ear = Disk(), Ear()
        self.answers = Answers(self.disk)
        self.peers: list[Peer] = []
        self.resets: list[Peer] = []
        self.trails: dict[int, list[str]] = {}
        self.is_empty = False
        self.deadlines: dict[Model, float] = {}
        self.stopped_at = self.emptied_at = 0.0
        self.poller = CarriedPoller(carrier, self._find_crowd)
        self.named = Named(PORCH)
        self.porch = BINDER.bind(Porch)(self.named)
        self.poller.expect(PORCH, self.porch.readiness)
        self.lifecycle = BINDER.bind(Lifecycle)(lambda: True)
        self.pool = BINDER.bind(Pool)(
            BINDER,
            queue_jobs_max=plan.queue,
            facade=carrier,
            stand_ins_max=config.stand_ins_max,
            late_seconds_max=LATE_SECONDS,
            job_seconds_max=JOB_SECONDS,
        )
        assert isinstance(self.pool.lock, CarriedLock)
        self.watch = Watch(carrier, self.pool.lock)
        BINDER.hook_now = self._hook
        for module in (reactor_module, pool_module, worker_module):
            module.__dict__["LOG"] = self.ear
        for module in (exchange_module, responder_module):
            module.__dict__["LOG"] = Ear()  # a handler's own mistakes, and peers that go
        self.reservoir = Reservoir(carrier, memory_bytes_max=1 << 30, file_bytes_max=1 << 30)
        self.reactor = self._make_reactor(config)
        self.baton = BINDER.bind(Baton)(
            self.pool,
            self.reactor,
            now=carrier.monotonic,
            after_turn=_nothing,
            quick_jobs=0 if plan.is_quick else QUICK_JOBS,
        )
        if plan.has_baton:
            self.pool.baton = self.baton
        self._descriptors = lowest_free(
            lambda number: any(
                one.transport.descriptor == number and not one.transport.closed
                for one in self.peers
            )
        )
        self.pool.start(plan.workers)
        self.lifecycle.started()
        carrier.spawn("reactor", self._react)
        self._actors = [
            carrier.spawn(f"client_{number}", functools.partial(self._visit, script))
            for number, script in enumerate(plan.clients)
        ]
        carrier.spawn("supervisor", self._supervise)

    def _make_reactor(self, config: Config) -> Reactor:
        bind = BINDER.bind
        reader_type, chunked_type = bind(RequestReader), bind(ChunkedReader)
        whole_head = kept_heads(config)
        exchange_type, connection_type = bind(Exchange), bind(Connection)
        pipe_type, subscription_type = bind(Pipe), bind(Subscription)
        responder = Responder(
            bind(ResponseWriter),
            clock=self.carrier,
            lifecycle=self.lifecycle,
            error_page=error_response,
            access_log=None,
        )
        self.desk = Desk(self._handle)
        rooms = Rooms(
            config=config,
            clock=self.carrier,
            poller=self.poller,
            listener=self.porch,
            pool=self.pool,
            responder=responder,
            makers=Makers(
                connection=lambda transport: connection_type(
                    transport,
                    reader_type(config, chunked_type, whole_head),
                    Intake(1024, self.reservoir),
                ),
                pipe=lambda: pipe_type(
                    self.carrier, self.reservoir, memory_bytes_max=64, file_bytes_max=4096
                ),
                exchange=functools.partial(exchange_type, self.desk),
                subscription=lambda events: subscription_type(
                    events.channels, policy=events.policy, after=events.after, gaps_max=1
                ),
            ),
            patience=patience(SYSTEM, config),
            lifecycle=self.lifecycle,
            reservoir=self.reservoir,
            hub=Hub(config, frame=chunk, stamp="s", lock=self.carrier.Lock()),
        )
        reactor = Reactor(rooms, emptied=self._empty)
        self.desk.furnish(rooms, reactor)
        return reactor

    def _find_crowd(self) -> None:
        self.watch.break_off("two threads poll")

    def _empty(self) -> None:
        self.is_empty = True
        self.emptied_at = self.carrier.now

    def _hook(self, model: Model, arrow: Arrow) -> None:
        if isinstance(model, Connection):
            self._look_at(model, arrow)
        self._check_thread(model, arrow)
        self.watch(model, arrow)
        if arrow.machine in PAUSES:
            self.carrier.point()

    def _look_at(self, connection: Connection, arrow: Arrow) -> None:
        """What must hold of a connection besides what the spec says."""
        self.trails.setdefault(id(connection.transport), []).append(arrow.id)
        owned = arrow.target in ("QUEUED", "EXCHANGING")
        descriptor = connection.transport.descriptor
        if owned and self.poller.armed[descriptor] and descriptor not in self.poller.attended:
            self.watch.break_off(f"{arrow}, and its descriptor is armed")
        left = connection.deadline - self.carrier.now
        if arrow.event == "deadline_passed" and left > 0:
            self.watch.break_off(f"{arrow}, with {left:g} seconds left")
        if arrow.target == "EXCHANGING":
            self.deadlines[connection] = connection.deadline
        is_over = arrow.source == "EXCHANGING" and arrow.target in ("PARKED", "LINGERING")
        if is_over and connection.deadline == self.deadlines[connection]:
            self.watch.break_off(f"{arrow}, with the deadline of the request in the queue")

    def _check_thread(self, model: Model, arrow: Arrow) -> None:
        """Only the owner of a state fires its events."""
        task = self.carrier.current
        # Of a job that was revoked, the reactor is the heir, at a forced stop as well.
        inherited = arrow.id == "C46" and isinstance(model, Connection) and _is_revoked(model)
        if task is None or arrow.machine == "server" or inherited:
            return
        holder = self.baton.holder
        WITNESS.reactor = "reactor" if holder is None else holder.name
        if not WITNESS.may(task.name, arrow):
            self.watch.break_off(f"{arrow} on the thread {task.name}")

    # --- the tasks --------------------------------------------------------------------------

    def _react(self) -> None:
        self.reactor.open()
        while self.lifecycle.state not in (ServerState.STOPPED, ServerState.FORCED):
            if self.plan.has_baton:
                self.baton.turn()
            else:
                self.reactor.poll_once()

    def _handle(self, request: Request) -> Response:
        self.carrier.point()
        if request.head.path.startswith("/plain/h"):
            self.carrier.sleep(HANG_SECONDS)
        return self.answers(request)

    def _visit(self, script: str) -> None:
        transport = FakeTransport(next(self._descriptors), self.disk)
        peer = Peer(transport)
        self.peers.append(peer)
        self.poller.expect(transport.descriptor, transport.readiness)
        self.porch.waiting.append(transport)
        for letter in script:
            self.carrier.point()
            if letter == "w":
                asked_at = self.carrier.now
                self.carrier.point(Answered(peer, self.porch))
                seconds = self.carrier.now - asked_at
                assert not self.plan.is_swift or seconds < SOON_SECONDS, f"answered in {seconds} s"
            elif letter == "t":
                self.pass_time(PATIENCE_SECONDS)
            elif not transport.closed:
                CLIENT[letter](peer)
                if letter == "x":
                    self.resets.append(peer)
        transport.room = 1 << 40

    def _supervise(self) -> None:
        for letter in self.plan.stopper:
            SUPERVISOR[letter](self)
        for actor in self._actors:
            actor.join()
        if self.lifecycle.state is ServerState.SERVING:
            self.stop()
        for _ in range(TURNS_MAX):
            if self.is_empty and not self.reactor.connections:
                break
            self.carrier.sleep(5.0)
            self.pool.supervise(self.carrier.now)
        assert self.is_empty, "nobody was told that the last connection is closed"
        assert not self.reactor.connections, f"not closed in the end: {self._left()}"
        self.pool.drain()
        self.pool.join()
        if self.lifecycle.state is ServerState.CUTTING:
            self.lifecycle.cut()
        else:
            self.lifecycle.drained()
        self.reactor.ask(lambda: None)

    def _left(self) -> list[str]:
        return [connection.state.name for connection in self.reactor.connections.values()]

    def stop(self) -> None:
        if self.lifecycle.state is ServerState.SERVING:
            self.stopped_at = self.carrier.now
            self.lifecycle.stop_requested()
            self.lifecycle.lame_duck_seconds_passed()
            self.reactor.ask(self.reactor.drain)

    def cut(self) -> None:
        self.stop()
        if self.lifecycle.state is ServerState.DRAINING:
            self.lifecycle.force_requested()
            self.reactor.ask(self.reactor.cut)

    def pass_time(self, seconds: float) -> None:
        self.carrier.point(Waiting(self))
        self.carrier.advance(seconds)

    def stall(self) -> None:
        self.carrier.pause(lambda: self.poller.waits)
        self.carrier.advance(PATIENCE_SECONDS)

    def look(self, after: float) -> None:
        self.pass_time(after)
        self.pool.supervise(self.carrier.now)

    # --- the judge --------------------------------------------------------------------------

    def judge(self) -> None:
        fault = self.watch.fault()
        assert fault is None, fault
        assert self.pool.state is PoolState.STOPPED
        self.reactor.close()
        assert not self.ear.lines, f"logged: {self.ear.lines[0]}"
        assert self.named.closed == 1, "the listening socket is not closed"
        taken = Counter(arrow.id for _, arrow in self.watch.steps)
        settled = sum(taken[one] for one in SETTLED)
        assert taken["C1"] == settled, f"{taken['C1']} requests accepted, {settled} settled"
        held = self.reservoir.memory.held_bytes, self.reservoir.file.held_bytes
        assert held == (0, 0), f"bytes are held by nobody: {held}"
        assert set(self.disk.closed.values()) <= {1}, "a file was not closed once"
        seconds = self.emptied_at - self.stopped_at
        patience_seconds = self.config.drain_idle_seconds + self.config.linger_seconds_max
        assert not self.plan.is_swift or seconds < patience_seconds + SOON_SECONDS, (
            f"the drain took {seconds:g} seconds, though nobody had anything to do"
        )
        for peer in self.peers:
            self._judge_peer(peer)

    def _judge_peer(self, peer: Peer) -> None:
        trail = self.trails.get(id(peer.transport), [])
        if peer.transport in self.porch.waiting:
            return
        assert peer.transport.closed == 1, f"a descriptor was not given back: {trail}"
        # A worker whose job was revoked answers nothing, and the reactor says 500 in its place; and
        # what a client had sent is lost with a reset.
        lost = peer in self.resets or any(one in trail for one in ("C32", "C33"))
        peer.check(trail, struck=lost)
        # A worker that stops between its arrow and its call for as long as that is closed upon.
        if self.plan.is_swift and LINGERED & set(trail) and trail[-1] in ("C22", "C24"):
            assert peer.transport.has_ended, f"our side was never ended: {trail}"
        if self.plan.is_quiet:
            kinds = [one.kind for one in peer.asked]
            expected = kinds.index("close") + 1 if "close" in kinds else len(kinds)
            answers = len(peer.replies()[0])
            assert answers == expected, f"{expected} requests, {answers} answers: {trail}"


def _nothing() -> None:
    pass


def _is_revoked(connection: Connection) -> bool:
    return connection.job is not None and connection.job.state is JobState.REVOKED


def _asking(*paths: str) -> Callable[[Peer], None]:
    def ask(peer: Peer) -> None:
        for path in paths:
            peer.ask("GET", f"/{path}{len(peer.asked)}")
        peer.deliver()

    return ask


def _squeeze(peer: Peer) -> None:
    peer.transport.room = LITTLE_ROOM
    _asking("big/")(peer)


def _make_room(peer: Peer) -> None:
    peer.transport.room = 1 << 40


CLIENT: dict[str, Callable[[Peer], None]] = {
    "g": _asking("plain/"),
    "c": _asking("close/"),
    "r": _asking("raise/"),
    "p": _asking("plain/", "plain/"),
    "h": _asking("plain/h"),
    "b": _squeeze,
    "m": _make_room,
    "e": lambda peer: peer.transport.peer_ends(),
    "x": lambda peer: peer.transport.peer_resets(),
}
SUPERVISOR: dict[str, Callable[[ReactorScene], None]] = {
    "d": ReactorScene.stop,
    "k": ReactorScene.cut,
    "s": lambda scene: scene.look(LATE_SECONDS),
    "S": lambda scene: scene.look(JOB_SECONDS),
    "t": lambda scene: scene.look(PATIENCE_SECONDS),
    "h": lambda scene: scene.carrier.sleep(HANG_SECONDS),
    "T": lambda scene: scene.stall(),
    "u": lambda scene: scene.carrier.advance(TICK_SECONDS),
}


class ReactorScenes:
    """The kind."""

    kind = "reactor"
    samples = (
        "1 gw",
        "1 gwgw / d",
        "2 pw gw / d",
        "1 gwg / dk",
        "1 bmw / d",
        "2 cw gwe",
        "1q1 gw gw gw",
        "1 h gw / sS",
        "1 gwx pw / d",
        "1 gwtg / t",
        "1b gwgw",
        "2b gwg pw / d",
        "2b hw gw",
        "1b gtgw / dk",
    )

    def open(self, carrier: Carrier, text: str) -> ReactorScene:
        return ReactorScene(carrier, text)

    def draw(self, dice: Callable[[int], int]) -> str:
        clients = " ".join(
            "".join("gwgwcrphbmwwext"[dice(15)] for _ in range(1 + dice(4)))
            for _ in range(1 + dice(2))
        )
        queue = ("q1" if dice(5) == 1 else "") + ("b" if dice(2) else "")
        stopper = "".join("ddkhsStu"[dice(8)] for _ in range(dice(4)))
        return f"{1 + dice(2)}{queue} {clients}" + (f" / {stopper}" if stopper else "")


SCENE = ReactorScenes()
