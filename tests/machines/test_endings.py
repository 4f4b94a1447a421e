"""Drains, cuts and the reactor's own mistakes: each connection ends, once, and nobody waits."""

from __future__ import annotations

import gc

import pytest

from server.http1.messages import FileRegion
from server.net.connection import Connection
from server.net.pool import Job
from statemachine._generated import (
    ConnectionState,
    ListenerState,
    ServerState,
)
from tests.machines.conftest import Open
from tests.machines.peers import Peer
from tests.machines.scene import Scene

ENDLESS = 1 << 40


def state_of(scene: Scene, peer: Peer) -> ConnectionState:
    return scene.house.connection(peer.transport).state


# --- drain and cut ----------------------------------------------------------------------------


def test_a_cut_reaches_what_a_worker_has_just_taken(open_scene: Open) -> None:
    scene = open_scene()
    house, peer = scene.house, scene.asking("/plain/1")
    house.run("reactor")
    house.run("worker_0", until="J3")
    assert state_of(scene, peer) is ConnectionState.QUEUED
    house.stop()
    house.cut()
    house.run("reactor")
    assert peer.transport.aborted
    house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C46"]
    scene.end()


def test_the_supervisor_can_cut_for_a_dead_reactor(open_scene: Open) -> None:
    scene = open_scene()
    house = scene.house
    running = scene.asking("/plain/1")
    house.run("reactor")
    house.run("worker_0", until="C8")
    parked, queued = scene.peer(), scene.asking("/plain/2")
    house.run("reactor")
    house.bury_reactor(RuntimeError("struck by lightning"))
    house.lifecycle.reactor_died()
    house.reactor.cut()
    assert scene.trail(queued) == ["C1", "C10"]
    assert scene.trail(parked) == ["C7"]
    assert (queued.transport.closed, parked.transport.closed) == (1, 1)
    assert running.transport.aborted
    assert house.porch.state is ListenerState.CLOSED


def test_what_is_parked_after_the_reactor_has_died_is_closed_in_the_end(open_scene: Open) -> None:
    """The response was with the kernel when the supervisor cut; the arrow came afterwards."""
    scene = open_scene()
    house = scene.house
    peer = scene.asking("/plain/1")
    house.run("reactor")
    house.run("worker_0", until="R10")
    house.bury_reactor(RuntimeError("struck by lightning"))
    house.lifecycle.reactor_died()
    house.reactor.cut()
    house.run("worker_0", until="C11")
    house.pool.drain()
    house.run("worker_0")
    house.reactor.close()
    assert scene.trail(peer) == ["C1", "C8", "C11", "C7"]
    assert peer.transport.closed == 1


def test_a_descriptor_is_given_back_whatever_its_connection_meets(
    open_scene: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = open_scene()
    house = scene.house
    peer = scene.peer()
    house.settle()

    def fail(_: Connection) -> None:
        raise RuntimeError("struck by lightning")

    monkeypatch.setattr(type(house.connection(peer.transport)), "let_go", fail)
    peer.transport.peer_ends()
    house.settle()
    assert peer.transport.closed == 1
    assert house.diary.lines
    house.diary.forget("interlock.reactor")
    scene.end()


def test_who_is_parked_by_the_reactor_in_a_drain_is_hurried(open_scene: Open) -> None:
    """A response that was promised to persist is flushed after the drain has begun."""
    scene = open_scene(drain_idle_seconds=0.5)
    house, peer = scene.house, scene.asking("/file/1")
    peer.transport.room = 1000
    house.settle()
    house.stop()
    house.settle()
    peer.transport.room = ENDLESS
    house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C13", "C16"]
    house.advance(0.6)
    house.settle()
    assert scene.trail(peer)[4:] == ["C4"]
    scene.end()


@pytest.mark.parametrize("leftover", [b"", b"\r\n"])
def test_who_is_parked_by_a_worker_in_a_drain_is_hurried(open_scene: Open, leftover: bytes) -> None:
    scene = open_scene(drain_idle_seconds=0.5)
    house, peer = scene.house, scene.asking("/plain/1")
    peer.say(leftover)
    peer.deliver()
    house.run("reactor")
    house.run("worker_0", until="A2")
    house.stop()
    house.run("reactor")
    house.settle()
    house.advance(0.6)
    house.settle()
    assert scene.trail(peer)[-1] == "C4"
    scene.end()


@pytest.mark.parametrize("when", ["J3", "C8", "C11"])
def test_a_drain_at_any_moment_of_an_exchange(open_scene: Open, when: str) -> None:
    scene = open_scene()
    house, peer = scene.house, scene.asking("/plain/1")
    house.run("reactor")
    house.run("worker_0", until=when)
    house.stop()
    house.settle()
    scene.end()
    assert peer.statuses() == [200]


# --- the reactor's own mistakes ---------------------------------------------------------------


def test_one_peers_pipeline_does_not_keep_the_others_waiting(open_scene: Open) -> None:
    scene = open_scene(queue_jobs_max=1)
    house = scene.house
    scene.asking("/plain/0")
    house.run("reactor")
    greedy = scene.asking(*(f"/plain/{n}" for n in range(1, 51)))
    before = house.poller.polls
    house.run("reactor", steps_max=1000)
    assert greedy.statuses() == [503] * 50
    assert house.poller.polls - before >= 50
    scene.end()


def test_thousands_of_requests_at_once_while_the_queue_is_full(open_scene: Open) -> None:
    scene = open_scene(queue_jobs_max=1)
    house = scene.house
    house.pausing_arrows = False
    scene.asking("/plain/0")
    house.run("reactor")
    greedy = scene.asking(*(f"/plain/{n}" for n in range(1, 2001)))
    house.run("reactor", steps_max=100_000)
    assert greedy.statuses() == [503] * 2000
    scene.end()


def test_a_file_that_cannot_be_closed_costs_nobody_anything(open_scene: Open) -> None:
    scene = open_scene()
    house, peer = scene.house, scene.asking("/file/1")
    peer.transport.room = 1000
    house.settle()
    (piece,) = house.connection(peer.transport).outgoing
    assert isinstance(piece, FileRegion)
    closed = piece.close

    def fail() -> None:
        closed()
        raise OSError("Input/output error")

    piece.close = fail
    peer.transport.peer_resets()
    house.settle()
    assert peer.transport.closed == 1
    scene.end()


def test_an_error_after_the_job_was_given_away_leaves_it_to_its_worker(
    open_scene: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = open_scene()
    house, offer = scene.house, scene.house.pool.offer

    def offer_and_fail(_: object, job: Job, **options: bool) -> bool:
        offer(job, **options)
        raise RuntimeError("struck by lightning")

    monkeypatch.setattr(type(house.pool), "offer", offer_and_fail)
    peer = scene.asking("/plain/1")
    house.run("reactor")
    assert state_of(scene, peer) is ConnectionState.QUEUED
    monkeypatch.undo()
    house.settle()
    assert peer.statuses() == [200]
    assert len(house.diary.lines) == 1
    house.diary.lines.clear()
    scene.end()


def test_an_error_before_the_job_was_given_away_closes_the_connection(
    open_scene: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = open_scene()
    house = scene.house

    def fail(*_: object, **__: object) -> bool:
        raise RuntimeError("struck by lightning")

    monkeypatch.setattr(type(house.pool), "offer", fail)
    peer = scene.asking("/plain/1")
    house.run("reactor")
    monkeypatch.undo()
    assert scene.trail(peer) == ["C1", "C10"]
    house.diary.lines.clear()
    scene.end()


def test_a_newcomer_for_whom_the_selector_has_no_room_is_not_the_end(
    open_scene: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """epoll_ctl(2): ENOSPC, the limit on watches was reached; or ENOMEM."""
    scene = open_scene()
    house, add = scene.house, scene.house.poller.add

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(house.poller, "add", refuse)
    unlucky = scene.peer()
    house.settle()
    assert house.porch.state is ListenerState.PAUSED
    assert unlucky.transport.closed == 1
    monkeypatch.setattr(house.poller, "add", add)
    house.advance(0.6)
    lucky = scene.asking("/plain/1")
    house.settle()
    assert lucky.statuses() == [200]
    scene.end()


def connections() -> list[Connection]:
    """Every one that the interpreter knows of."""
    # By their types: `isinstance` asks a lazy object for its class, and Django has such.
    return [one for one in gc.get_objects() if issubclass(type(one), Connection)]


def test_a_connection_that_ended_is_forgotten(open_scene: Open) -> None:
    """Also by the wheel, whose entries would keep it for as long as its patience was."""
    gc.collect()
    gc.disable()
    try:
        earlier = connections()  # what other tests still hold is not this one's to judge
        scene = open_scene(observed=False)
        peers = [scene.asking("/plain/1"), scene.asking("/close/1"), scene.peer()]
        scene.house.settle()
        for peer in peers:
            peer.transport.peer_ends()
        scene.house.settle()
        assert not scene.house.reactor.connections
        assert [one for one in connections() if not any(one is old for old in earlier)] == []
    finally:
        gc.enable()
    assert scene.house.lifecycle.state is ServerState.SERVING
    scene.end()
