"""Moments at which two threads meet at one connection, one by one.

Each is a schedule that a random history finds once in a blue moon, or a fault that the rooms of the
house must survive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, cast

import pytest

from server.net.connection import Connection
from statemachine._generated import (
    ConnectionState,
    JobState,
    PoolState,
)
from tests.machines.conftest import Open
from tests.machines.peers import CONTINUE, Peer
from tests.machines.scene import Scene

ENDLESS = 1 << 40


def state_of(scene: Scene, peer: Peer) -> ConnectionState:
    return scene.house.connection(peer.transport).state


# --- the handler ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["raise", "exit", "none", "unframeable", "unframeable-file"])
def test_a_handler_that_makes_a_mistake_is_a_500(open_scene: Open, kind: str) -> None:
    scene = open_scene()
    peer = scene.asking(f"/{kind}/1", "/plain/2")
    scene.house.settle()
    assert peer.statuses()[0] == 500
    scene.end()


def test_a_field_that_is_no_text_is_a_500_and_its_file_is_closed(open_scene: Open) -> None:
    scene = open_scene()
    peer = scene.asking("/odd-file/1")
    scene.house.settle()
    assert peer.statuses() == [500]
    assert list(scene.house.disk.closed.values()) == [1]
    scene.end()


def test_head_does_not_send_the_file_and_closes_it(open_scene: Open) -> None:
    scene = open_scene()
    peer = scene.asking("/file/1", method="HEAD")
    scene.house.settle()
    (status, fields, content), *_ = peer.replies()[0]
    assert (status, fields["content-length"], content) == (200, "3000", b"")
    assert list(scene.house.disk.closed.values()) == [1]
    scene.end()


# --- muted and parked at once -----------------------------------------------------------------


def test_who_is_parked_while_it_is_being_muted_is_looked_at_again(open_scene: Open) -> None:
    """The worker finds the descriptor attended, and asks nobody; then the reactor silences it."""
    scene = open_scene()
    house, peer = scene.house, scene.asking("/plain/1")
    house.settle()
    mute, muting = house.poller.mute, list[int]()

    def slowly(descriptor: int) -> None:
        muting.append(descriptor)
        house.stage.pause()
        mute(descriptor)

    house.poller.mute = slowly  # type: ignore[method-assign] # a worker comes in between
    peer.ask("GET", "/plain/2")
    peer.deliver()
    house.run("reactor")
    house.run("worker_0", until="C8")
    peer.ask("GET", "/plain/3")
    peer.deliver()
    while not muting:
        house.actor("reactor").step()
    house.run("worker_0", until="C11")
    house.run("worker_0")
    assert state_of(scene, peer) is ConnectionState.PARKED
    house.settle()
    assert peer.statuses() == [200, 200, 200], "nobody looked at what had come meanwhile"
    scene.end()


# --- deadlines --------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "arrow"), [("/file/1", "C13"), ("/close/1", "C12")])
def test_a_slow_handler_does_not_use_up_the_next_states_patience(
    open_scene: Open, path: str, arrow: str
) -> None:
    """The reactor looks at the time after the worker's arrow and before its call."""
    scene = open_scene(linger_seconds_max=60, head_seconds_max=1)
    house, peer = scene.house, scene.asking(path)
    peer.transport.room = 1000
    house.run("reactor")
    house.run("worker_0", until="C8")
    house.advance(31)
    house.run("reactor")
    house.run("worker_0", until=arrow)
    house.advance(1.1)
    house.run("reactor")
    assert scene.trail(peer) == ["C1", "C8", arrow]
    scene.end()
    assert peer.statuses() == [200]


def test_an_exchange_begins_a_nearer_deadline_than_there_was(open_scene: Open) -> None:
    """The wheel holds the content's deadline, a minute away, when the answer has long been sent."""
    scene = open_scene()
    house, peer = scene.house, scene.peer()
    peer.ask("POST", "/plain/1", content=b"content")
    peer.deliver(peer.said - 1)
    house.settle()
    house.advance(16)
    house.settle()
    peer.deliver()
    house.settle()
    assert peer.statuses() == [200]
    house.advance(14)
    house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C11"]
    # A glance late, and a tick: the patience of QUEUED and EXCHANGING is not looked at sooner.
    house.advance(3.2)
    house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C11", "C4"]
    scene.end()


def test_who_was_with_a_worker_for_long_is_still_looked_at_later(open_scene: Open) -> None:
    scene = open_scene()
    house, peer = scene.house, scene.asking("/plain/1")
    house.run("reactor")
    house.run("worker_0", until="C8")
    for _ in range(3):
        house.advance(20)
        house.run("reactor")
    house.settle()
    assert peer.statuses() == [200]
    for _ in range(3):
        house.advance(6)
        house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C11", "C4"]
    scene.end()


class Meeting(float):
    """A deadline during whose reading another thread runs."""

    def __new__(cls, value: float, _: Callable[[], None]) -> Self:
        return super().__new__(cls, value)

    def __init__(self, _: float, meet: Callable[[], None]) -> None:
        self._meet: Callable[[], None] | None = meet

    def __gt__(self, other: object) -> bool:
        meet, self._meet = self._meet, None
        if meet is not None:
            meet()
        return float(self) > cast("float", other)


@pytest.mark.parametrize("path", ["/plain/1", "/file/1", "/close/1"])
def test_a_worker_comes_in_time_while_the_reactor_gives_up(open_scene: Open, path: str) -> None:
    """The reactor has seen QUEUED and reads the deadline; the worker runs the whole exchange."""
    scene = open_scene()
    house, peer = scene.house, scene.asking(path)
    peer.transport.room = 1000
    house.run("reactor")
    connection = house.connection(peer.transport)
    assert connection.state is ConnectionState.QUEUED
    # Nested: the test's thread would wait for the reactor, on whose thread the meeting takes place.
    met: list[bool] = []

    def meet() -> None:
        met.append(True)
        for _ in range(100):
            worker = house.actor("worker_0")
            if worker.may_go():
                worker.step()

    connection.deadline = Meeting(30.0, meet)
    house.advance(31)
    house.run("reactor")
    assert met
    assert scene.trail(peer)[-1] not in ("C4", "C19", "C24")
    scene.end()
    assert peer.statuses() == [200]


# --- interim responses ------------------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 1, 10, len(CONTINUE) - 1, len(CONTINUE)])
def test_an_interim_response_that_does_not_fit_is_sent_whole(open_scene: Open, room: int) -> None:
    scene = open_scene()
    peer = scene.peer()
    peer.transport.room = room
    peer.ask("POST", "/plain/1", content=b"content", fields=("Expect: 100-continue",))
    peer.deliver(peer.said - 7)
    scene.house.settle()
    assert bytes(peer.transport.received) == CONTINUE[:room]
    peer.transport.room = ENDLESS
    scene.house.settle()
    assert bytes(peer.transport.received) == CONTINUE
    peer.deliver()
    scene.house.settle()
    assert peer.statuses() == [200]
    assert bytes(peer.transport.received).count(b"100 Continue") == 1
    scene.end()


def test_content_that_comes_while_the_interim_response_waits_is_read(open_scene: Open) -> None:
    scene = open_scene()
    peer = scene.peer()
    peer.transport.room = 10
    peer.ask("POST", "/plain/1", content=b"content", fields=("Expect: 100-continue",))
    peer.deliver(peer.said - 7)
    scene.house.settle()
    peer.deliver()
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C13"]
    peer.transport.room = ENDLESS
    scene.house.settle()
    assert peer.statuses() == [200]
    scene.end()


def test_a_waiting_interim_response_logs_nothing(open_scene: Open) -> None:
    scene = open_scene()
    peer = scene.peer()
    peer.transport.room = 10
    peer.ask("POST", "/plain/1", content=b"content", fields=("Expect: 100-continue",))
    peer.deliver(peer.said - 7)
    scene.house.settle()
    peer.transport.peer_resets()
    scene.house.settle()
    assert (scene.trail(peer), scene.house.ledger.entries) == (["C6"], [])
    scene.end()


# --- the pool breaks --------------------------------------------------------------------------


def test_who_is_queued_when_the_pool_breaks_is_told(open_scene: Open) -> None:
    scene = open_scene()
    house, peer = scene.house, scene.asking("/plain/1")
    house.run("reactor")
    house.stage.threads_left = 0
    house.actor("worker_0").strike(MemoryError())
    house.settle()
    assert house.pool.state is PoolState.BROKEN
    assert peer.statuses() == [503]
    later = scene.peer()
    later.ask("POST", "/plain/2", content=b"content")
    later.deliver()
    house.settle()
    assert later.statuses() == [503]
    assert house.reservoir.memory.held_bytes == 0, "nobody reads the content of what was shed"
    later.ask("GET", "/plain/3")
    later.deliver()
    house.settle()
    assert later.statuses() == [503, 503]
    house.diary.lines.clear()
    scene.end()


def test_a_worker_dies_with_a_job_that_it_has_not_begun(open_scene: Open) -> None:
    scene = open_scene()
    house, peer = scene.house, scene.asking("/plain/1")
    house.run("reactor")
    house.run("worker_0", until="J3")
    job = house.connection(peer.transport).job
    assert job is not None
    assert (job.state, state_of(scene, peer)) == (JobState.RUNNING, ConnectionState.QUEUED)
    house.actor("worker_0").strike(MemoryError())
    house.settle()
    assert job.state is JobState.ABANDONED
    assert peer.statuses() == [503]
    house.diary.lines.clear()
    scene.end()


@pytest.mark.parametrize("reactor_is_fast", [True, False])
def test_a_job_fails_before_it_has_taken_its_connection(
    open_scene: Open, monkeypatch: pytest.MonkeyPatch, reactor_is_fast: bool
) -> None:
    scene = open_scene()
    house, peer = scene.house, scene.asking("/plain/1")
    house.run("reactor")

    def fail(_: Connection) -> None:
        raise MemoryError

    monkeypatch.setattr(type(house.connection(peer.transport)), "taken", fail)
    if reactor_is_fast:
        # It hears of the connection while the job has not ended: only the deadline is left then.
        while not house.reactor_thread.may_go():
            house.actor("worker_0").step()
        house.run("reactor")
        house.settle()
        house.advance(31)
    else:
        house.run("worker_0")
    house.settle()
    monkeypatch.undo()
    assert peer.statuses() == [503]
    house.diary.lines.clear()
    scene.end()


def test_a_late_mistake_does_not_touch_the_next_exchange(open_scene: Open) -> None:
    """The connection is with another worker by the time the first one is torn out."""
    scene = open_scene(threads=2)
    house, peer = scene.house, scene.asking("/plain/1", "/plain/2")
    house.run("reactor")
    house.run("worker_0", until="C11")
    house.actor("worker_0").step()  # has left the connection to the reactor, and not told it yet
    house.reactor.ask(lambda: None)
    house.run("reactor")
    house.run("worker_1", until="C8")
    house.actor("worker_0").strike(MemoryError())
    house.settle()
    assert peer.statuses() == [200, 200]
    house.diary.lines.clear()
    scene.end()


def test_a_worker_is_torn_out_right_after_it_took_the_connection(open_scene: Open) -> None:
    scene = open_scene()
    house, peer = scene.house, scene.asking("/plain/1")
    house.run("reactor")
    house.run("worker_0", until="C8")
    house.actor("worker_0").strike(MemoryError())
    house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C14"]
    house.diary.lines.clear()
    scene.end()


def test_a_connection_that_is_closed_and_not_told_of_is_buried(open_scene: Open) -> None:
    """The worker is torn out between the arrow to CLOSED and the call that tells of it."""
    scene = open_scene()
    house, peer = scene.house, scene.asking("/short/1")
    house.run("reactor")
    house.run("worker_0", until="C14")
    house.actor("worker_0").strike(MemoryError())
    house.settle()
    house.diary.lines.clear()
    scene.end()
    assert peer.transport.closed == 1


# --- a request that came behind the one before ------------------------------------------------


def test_a_pipelined_request_outlasts_the_deadline_of_an_idle_connection(
    open_scene: Open,
) -> None:
    """The worker stands between its arrow and the call that hands the connection back."""
    scene = open_scene()
    house = scene.house
    peer = scene.asking("/plain/1", "/plain/2")
    house.run("reactor")
    house.run("worker_0", until="C11")
    house.advance(house.config.idle_seconds_max + 1)
    house.run("reactor")
    house.settle()
    assert peer.statuses() == [200, 200]
    scene.end()


def test_a_pipelined_request_is_not_closed_for_a_newcomer(open_scene: Open) -> None:
    """The same moment, when as many are open as may be and somebody waits."""
    scene = open_scene(connections_max=2, queue_seconds_max=5.0)
    house = scene.house
    peer = scene.asking("/plain/1", "/plain/2")
    house.run("reactor")
    house.run("worker_0", until="C11")
    house.advance(2.0)
    scene.peer()
    scene.peer()
    house.run("reactor")
    house.settle()
    assert peer.statuses() == [200, 200]
    scene.end()
