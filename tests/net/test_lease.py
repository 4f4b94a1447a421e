"""EXCHANGING is a lease: what a stuck worker loses, and what it leaves alone when it wakes.

Reactor, pool and workers are real and run in lockstep between fake sockets (tests/machines/house);
the test plays the supervisor.
"""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Callable, Iterator
from typing import cast

import hypothesis
import pytest

from server.http1.messages import FileRegion, Parts, Request, Response, Stream
from server.net.exchange import Exchange
from server.simulation.kernel import ENDLESS
from statemachine import Engine
from statemachine._generated import ConnectionState, JobState
from tests.fakes import FakeTransport
from tests.machines.house import House
from tests.machines.peers import Peer
from tests.stage import Actor, Stage, StageLock

PIECE = b"0123456789" * 10


class Rig:
    """One house whose handler waits in it until the test lets it go on.

    Its paths are /KIND: what the handler makes when it goes on. `waits` is where it is stuck.
    """

    def __init__(self, engine: Engine, **settings: object) -> None:
        settings = {"late_seconds_max": 1.0, "job_seconds_max": 2.0, **settings}
        self.house = House(engine, self._handle, settings)
        self.waits: str | None = None
        self.stuck_in = "handler"
        self.may_go = False
        self.calls: list[str] = []
        self.streams_closed = 0
        self.house.settle()

    # --- the handler ------------------------------------------------------------------------

    def _wait(self, place: str) -> None:
        """The handler comes by a place, and is stuck if that is the one."""
        if place == self.stuck_in and not self.may_go:
            self.waits = place
            self.house.stage.pause(lambda: self.may_go)
            self.waits = None
        else:
            self.house.stage.pause()

    def _handle(self, request: Request) -> Response:
        kind = request.head.path.split("/")[1]
        self.calls.append(kind)
        if kind == "quick":
            return Response(200, content=b"quick")
        self._wait("handler")
        if kind == "raise":
            raise SystemExit("the handler's own mistake")
        makers: dict[str, Callable[[], Response]] = {
            "plain": lambda: Response(200, content=PIECE),
            "last": lambda: Response(200, content=PIECE, persists=False),
            "file": lambda: Response(200, content=self.house.disk.region(PIECE)),
            "none": lambda: cast("Response", None),
            "parts": lambda: Response(200, content=Parts((PIECE, self._region(), PIECE))),
            "stream": lambda: Response(200, content=self._stream(8)),
            "failing": lambda: Response(200, content=self._stream(9)),
            "304": lambda: Response(304, content=self._stream(8)),
        }
        return makers[kind]()

    def _region(self) -> FileRegion:
        return self.house.disk.region(PIECE)

    def _stream(self, count: int) -> Stream:
        def pieces() -> Iterator[bytes]:
            for number in range(count):
                if number == 5:
                    self._wait("stream")
                if number == 8:
                    raise ValueError("the handler's own mistake")
                yield PIECE

        def close() -> None:
            self.streams_closed += 1
            self._wait("close")

        return Stream(pieces(), None, close)

    # --- the test ---------------------------------------------------------------------------

    def peer(self, *paths: str, method: str = "GET", room: int = ENDLESS) -> Peer:
        peer = Peer(self.house.visit())
        peer.transport.room = room
        for path in paths:
            peer.ask(method, path)
        peer.deliver()
        return peer

    def trail(self, peer: Peer) -> list[str]:
        return self.house.trails.get(peer.transport, [])

    def revoke(self) -> None:
        """What the supervisor does: sees the worker at its job, and long after that again."""
        self.house.pool.supervise(self.house.clock.monotonic())
        self.house.advance(2.5)
        self.house.pool.supervise(self.house.clock.monotonic())

    def wake(self) -> None:
        """What the handler was stuck in lets go of it."""
        assert self.waits == self.stuck_in, "nobody is stuck"
        self.may_go = True
        self.house.settle()

    def exchange(self, peer: Peer) -> Exchange:
        return cast("Exchange", self.house.connection(peer.transport).job)

    def end(self, rng: random.Random | None = None) -> None:
        self.may_go = True
        for transport in self.house.transports:
            transport.room = ENDLESS
        said = [one for one in self.house.diary.lines if " is stuck: " not in one]
        self.house.diary.lines[:] = said
        self.house.end(rng)


Open = Callable[..., Rig]


@pytest.fixture(params=["sealed", "stock"])
def engine(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.param
    return engine


@pytest.fixture
def open_rig(engine: Engine) -> Iterator[Open]:
    rigs: list[Rig] = []

    def open_one(**settings: object) -> Rig:
        rigs.append(Rig(engine, **settings))
        return rigs[-1]

    yield open_one
    for rig in rigs:
        rig.house.put_away()


# --- revoked before the answer began ------------------------------------------------------------

KINDS = ("plain", "last", "file", "none", "parts", "stream", "304", "raise")


@pytest.mark.arrow("C32", "C35")
@pytest.mark.parametrize("kind", KINDS)
def test_who_waits_for_a_stuck_handler_is_answered_and_hears_no_more(
    open_rig: Open, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    rig = open_rig()
    house, peer = rig.house, rig.peer(f"/{kind}")
    house.settle()
    exchange = rig.exchange(peer)
    rig.revoke()
    house.settle()
    assert exchange.state is JobState.REVOKED
    assert peer.statuses() == [500]
    assert rig.trail(peer) == ["C1", "C8", "C32", "C35"]
    received = bytes(peer.transport.received)
    with caplog.at_level(logging.WARNING, "interlock.exchange"):
        rig.wake()
    assert f"request 1-1: GET /{kind}: its handler has ended" in caplog.text
    assert bytes(peer.transport.received) == received
    assert rig.streams_closed == (kind in ("stream", "304"))
    assert set(house.disk.closed.values()) <= {1}
    assert 0 not in house.disk.closed.values(), "a file was left open"
    rig.end()
    assert rig.trail(peer)[4:] == ["C24"]


@pytest.mark.arrow("C32")
def test_it_is_told_so_after_an_answer_that_was_whole(open_rig: Open) -> None:
    """What was sent before is another request's: it is no beginning of this answer."""
    rig = open_rig()
    house = rig.house
    rig.stuck_in = "nowhere"
    peer = rig.peer("/plain")
    house.settle()
    assert peer.statuses() == [200]
    rig.stuck_in = "handler"
    peer.ask("GET", "/plain")
    peer.deliver()
    house.settle()
    assert rig.waits == "handler"
    rig.revoke()
    house.settle()
    assert peer.statuses() == [200, 500]
    rig.wake()
    rig.end()


def test_whoever_has_its_descriptor_by_then_is_not_touched(open_rig: Open) -> None:
    rig = open_rig()
    house, peer = rig.house, rig.peer("/plain")
    house.settle()
    rig.revoke()
    house.settle()
    peer.transport.peer_ends()
    house.settle()
    assert peer.transport.closed == 1
    newcomer = rig.peer("/quick")
    house.settle()
    assert newcomer.transport.descriptor == peer.transport.descriptor
    assert newcomer.statuses() == [200]
    received, armings = bytes(newcomer.transport.received), house.poller.armed.copy()
    rig.wake()
    assert bytes(newcomer.transport.received) == received
    assert (house.poller.armed, house.poller.late_armings) == (armings, 0)
    rig.end()


def test_a_worker_that_is_about_to_take_the_connection_is_not_revoked(open_rig: Open) -> None:
    """The job is RUNNING and its connection QUEUED: who would be its heir?"""
    rig = open_rig()
    house, peer = rig.house, rig.peer("/plain")
    house.run("reactor")
    house.run("worker_0", until="J3")
    exchange = rig.exchange(peer)
    rig.revoke()
    assert exchange.state is JobState.RUNNING
    assert rig.trail(peer) == ["C1"]
    rig.may_go = True
    house.settle()
    assert peer.statuses() == [200]
    rig.end()


@pytest.mark.parametrize("arrow", ["C8", "A2", "C11", "C13"])
def test_a_worker_that_touches_the_connection_is_not_revoked(open_rig: Open, arrow: str) -> None:
    rig = open_rig()
    rig.may_go = True
    house, peer = rig.house, rig.peer("/plain", room=30 if arrow == "C13" else ENDLESS)
    house.run("reactor")
    house.run("worker_0", until=arrow)
    exchange = rig.exchange(peer)
    rig.revoke()
    assert exchange.state is JobState.RUNNING
    peer.transport.room = ENDLESS
    house.settle()
    assert peer.statuses() == [200]
    rig.end()


# --- revoked in the middle of it ------------------------------------------------------------------


@pytest.mark.arrow("C33")
@pytest.mark.parametrize("kind", ["stream", "failing"])
@pytest.mark.parametrize("stuck_in", ["stream", "close"])
def test_half_an_answer_is_cut(open_rig: Open, kind: str, stuck_in: str) -> None:
    rig = open_rig()
    rig.stuck_in = stuck_in
    house, peer = rig.house, rig.peer(f"/{kind}")
    house.settle()
    rig.revoke()
    house.settle()
    assert rig.trail(peer) == ["C1", "C8", "C33"]
    assert peer.transport.closed == 1
    received = bytes(peer.transport.received)
    assert received.count(PIECE) == (5 if stuck_in == "stream" else 8)
    rig.wake()
    assert bytes(peer.transport.received) == received
    assert rig.streams_closed == 1
    rig.end()


@pytest.mark.arrow("C33")
def test_a_stream_that_is_not_sent_is_closed_without_the_lease(open_rig: Open) -> None:
    """HEAD: the head is framed, the stream is not made, and its close hangs."""
    rig = open_rig()
    rig.stuck_in = "close"
    peer = rig.peer("/stream", method="HEAD")
    rig.house.settle()
    rig.revoke()
    rig.house.settle()
    assert rig.trail(peer) == ["C1", "C8", "C33"]
    rig.wake()
    assert (bytes(peer.transport.received), rig.streams_closed) == (b"", 1)
    rig.end()


@pytest.mark.arrow("C28")
@pytest.mark.parametrize("kind", ["stream", "failing"])
def test_a_relayed_stream_is_cut_when_its_worker_is_stuck(open_rig: Open, kind: str) -> None:
    rig = open_rig()
    rig.stuck_in = "stream"
    house, peer = rig.house, rig.peer(f"/{kind}", room=300)
    house.settle()
    assert house.connection(peer.transport).state is ConnectionState.RELAYING
    rig.revoke()
    house.settle()
    assert rig.trail(peer) == ["C1", "C8", "C26"]  # what was made is still on its way
    peer.transport.room = ENDLESS
    house.settle()
    assert rig.trail(peer) == ["C1", "C8", "C26", "C28"]
    received = bytes(peer.transport.received)
    assert received.count(PIECE) == 5
    rig.wake()
    assert bytes(peer.transport.received) == received
    assert rig.streams_closed == 1
    rig.end()


def test_what_was_made_whole_is_sent_whole_though_its_close_hangs(open_rig: Open) -> None:
    rig = open_rig()
    rig.stuck_in = "close"
    house, peer = rig.house, rig.peer("/stream", room=300)
    house.settle()
    assert house.connection(peer.transport).state is ConnectionState.RELAYING
    exchange = rig.exchange(peer)
    rig.revoke()
    assert exchange.state is JobState.REVOKED
    peer.transport.room = ENDLESS
    house.settle()
    assert rig.trail(peer) == ["C1", "C8", "C26", "C27", "C16"]
    assert bytes(peer.transport.received).count(PIECE) == 8
    peer.ask("GET", "/quick")
    peer.deliver()
    house.settle()  # its stand-in answers
    rig.wake()
    assert rig.trail(peer)[5:] == ["C1", "C8", "C11"]
    rig.end()


# --- any moment ---------------------------------------------------------------------------


class PausingLease(StageLock):
    """A lease at each of whose moments anybody else may run."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._pauses = stage.pause

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self._pauses()
        taken = super().acquire(blocking, timeout)
        self._pauses()
        return taken

    def release(self) -> None:
        super().release()
        self._pauses()


SEEDS = range(hypothesis.settings().max_examples // 3)
"""Histories of each kind: 13, and in the deep run 66."""


@pytest.mark.parametrize("kind", ["plain", "last", "file", "stream", "failing", "raise", "304"])
def test_revoked_at_any_moment_there_is_one_answer_or_a_cut(open_rig: Open, kind: str) -> None:
    for seed in SEEDS:
        rng = random.Random(f"{seed} {kind}")
        rig = open_rig(threads=1)
        house = rig.house
        house.desk.make_lease = functools.partial(PausingLease, house.stage)
        rig.stuck_in = rng.choice(["handler", "stream", "close"])
        peer = rig.peer(f"/{kind}", room=rng.choice([0, 30, 250, 700, ENDLESS, ENDLESS]))
        follower = rig.peer("/quick")
        for _ in range(rng.randrange(60)):
            step(house, rng)
        house.stage.spawn(Actor("supervisor", rig.revoke))
        for _ in range(rng.randrange(30)):
            step(house, rng)
        rig.may_go = True
        for _ in range(rng.randrange(30)):
            step(house, rng)
        peer.transport.room = ENDLESS
        house.settle(rng)
        said = f"seed {seed}: {rig.trail(peer)}"
        check_wire(kind, peer, rig.trail(peer), said)
        assert follower.statuses() in ([200], [500]), said
        rig.end(rng)
        house.put_away()


def step(house: House, rng: random.Random) -> None:
    runnable = house.stage.runnable()
    if runnable:
        rng.choice(runnable).step()


def check_wire(kind: str, peer: Peer, trail: list[str], said: str) -> None:
    """What the peer got is the one answer or the other, whole where it was not cut."""
    received = bytes(peer.transport.received)
    assert received.count(b"HTTP/1.1") == (1 if received else 0), said
    if {"C28", "C33", "C14"} & set(trail):
        assert received == b"" or received.startswith(b"HTTP/1.1 "), said
        return
    status = received.split(b" ")[1]
    own = b"500" if kind in ("raise", "304") else b"200"
    assert status == (b"500" if "C32" in trail else own), said
    if kind == "stream" and status == b"200":
        assert received.count(PIECE) == 8, said
        assert received.endswith(b"0\r\n\r\n"), said
    else:
        assert len(peer.statuses()) == 1, said


# --- the client has gone --------------------------------------------------------------------------


def queued(rig: Rig, *more: str, seconds: float = 0.5) -> Peer:
    """A peer whose request waits until the only worker is free."""
    first = rig.peer("/plain")
    rig.house.settle()
    assert rig.waits
    peer = rig.peer("/quick", *more)
    rig.house.run("reactor")
    rig.house.advance(seconds)
    assert rig.trail(first) == ["C1", "C8"]
    return peer


@pytest.mark.arrow("C15")
@pytest.mark.parametrize("more", [(), ("/quick",)])
def test_nothing_is_run_for_a_client_that_reset(open_rig: Open, more: tuple[str, ...]) -> None:
    rig = open_rig()
    peer = queued(rig, *more)
    peer.transport.peer_resets()
    rig.wake()
    assert rig.trail(peer) == ["C1", "C8", "C15"]
    assert rig.calls == ["plain"]
    rig.end()


@pytest.mark.arrow("C47")
def test_nothing_is_run_for_a_client_that_ended_if_that_means_that_it_has_gone(
    open_rig: Open,
) -> None:
    rig = open_rig(half_closed="gone")
    peer = queued(rig)
    peer.transport.peer_ends()
    rig.wake()
    assert rig.trail(peer) == ["C1", "C8", "C47"]
    assert rig.calls == ["plain"]
    rig.end()


def test_a_client_that_ended_its_side_is_served(open_rig: Open) -> None:
    """RFC 9112 section 9.6: it may still read."""
    rig = open_rig()
    peer = queued(rig)
    peer.transport.peer_ends()
    rig.wake()
    assert peer.statuses() == [200]
    assert rig.trail(peer) == ["C1", "C8", "C11", "C5"]
    rig.end()


@pytest.mark.parametrize(("seconds", "looks"), [(0.009, 0), (0.0101, 1)])
def test_who_has_not_waited_is_not_looked_at(
    open_rig: Open, monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int
) -> None:
    looked: list[FakeTransport] = []
    peek = FakeTransport.peek

    def count(transport: FakeTransport) -> bool:
        looked.append(transport)
        return peek(transport)

    monkeypatch.setattr(FakeTransport, "peek", count)
    rig = open_rig()
    peer = queued(rig, seconds=seconds)
    rig.wake()
    assert peer.statuses() == [200]
    assert looked == [peer.transport] * looks
    rig.end()


# --- a forced stop ---------------------------------------------------------------------------


@pytest.mark.arrow("C46")
@pytest.mark.parametrize("kind", ["plain", "stream"])
def test_a_socket_that_a_forced_stop_broke_is_cut(open_rig: Open, kind: str) -> None:
    rig = open_rig()
    rig.stuck_in = "stream" if kind == "stream" else "handler"
    house, peer = rig.house, rig.peer(f"/{kind}")
    house.settle()
    house.stop()
    house.cut()
    house.settle()
    assert peer.transport.aborted
    rig.wake()
    assert rig.trail(peer) == ["C1", "C8", "C46"]
    rig.end()


# --- names ---------------------------------------------------------------------------


def test_an_exchange_is_named_for_its_request(open_rig: Open) -> None:
    rig = open_rig()
    peer = rig.peer("/quick?x=1", "/plain")
    rig.house.settle()
    exchange = rig.exchange(peer)
    assert str(exchange) == "request 1-2: GET /plain"
    rig.end()
