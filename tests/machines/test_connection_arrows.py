"""Each arrow of spec/connection.toml, taken by the real reactor and the real pool."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from server.server import sound_system
from statemachine import Engine
from tests.machines.peers import Peer
from tests.machines.scene import Scene

Stage = Callable[[Scene], None]
SCENES: dict[str, tuple[Stage, dict[str, object]]] = {}


def arrow(*ids: str, **settings: object) -> Callable[[Stage], Stage]:
    """This scene takes these arrows."""

    def note(stage: Stage) -> Stage:
        for one in ids:
            SCENES[one] = (stage, settings)
        return stage

    return note


@arrow("C1", "C8", "C11", "C5")
def a_request_is_answered(scene: Scene) -> None:
    peer = scene.asking("/plain/1")
    scene.house.settle()
    assert peer.statuses() == [200]
    peer.ask("GET", "/plain/2")
    peer.deliver()
    scene.house.settle()
    assert peer.statuses() == [200, 200]
    peer.transport.peer_ends()
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C11", "C1", "C8", "C11", "C5"]


@arrow("C2", "C35")
def nonsense_is_refused(scene: Scene) -> None:
    peer = scene.peer()
    peer.say(b"GET\r\n\r\n")
    peer.deliver()
    scene.house.settle()
    assert peer.statuses() == [400]
    assert scene.trail(peer) == ["C2", "C35"]


@arrow("C3")
def half_a_request_is_told_that_time_is_over(scene: Scene) -> None:
    peer = scene.peer()
    peer.say(b"GET / HT")
    peer.deliver()
    scene.house.settle()
    scene.house.advance(10.1)
    scene.house.settle()
    assert peer.statuses() == [408]
    assert scene.trail(peer) == ["C3", "C35"]


def refused(scene: Scene) -> Peer:
    """A peer that has sent nonsense, and reads nothing of the answer."""
    peer = scene.peer()
    peer.transport.room = 5
    peer.say(b"GET\r\n\r\n")
    peer.deliver()
    scene.house.settle()
    return peer


@arrow("C36")
def a_refusal_that_is_not_read(scene: Scene) -> None:
    peer = refused(scene)
    scene.house.advance(20.5)
    scene.house.settle()
    assert scene.trail(peer) == ["C2", "C36"]


@arrow("C37")
def a_reset_while_a_refusal_is_sent(scene: Scene) -> None:
    peer = refused(scene)
    peer.transport.peer_resets()
    scene.house.settle()
    assert scene.trail(peer) == ["C2", "C37"]


@arrow("C38")
def a_refusal_is_cut(scene: Scene) -> None:
    peer = refused(scene)
    scene.house.stop()
    scene.house.run("reactor")
    scene.house.cut()
    scene.house.run("reactor")
    assert scene.trail(peer) == ["C2", "C38"]


@arrow("C48", connections_max=2)
def a_newcomer_where_all_are_idle(scene: Scene) -> None:
    oldest = scene.asking("/plain/1")
    scene.house.settle()
    scene.house.advance(1.5)
    scene.asking("/plain/2")
    newcomer = scene.asking("/plain/3")
    scene.house.settle()
    assert scene.trail(oldest) == ["C1", "C8", "C11", "C48"]
    assert newcomer.statuses() == [200]


@arrow("C46")
def a_stop_is_forced_while_a_worker_is_at_it(scene: Scene) -> None:
    peer = scene.asking("/file/1")
    scene.house.run("reactor")
    scene.house.run("worker_0", until="C8")
    scene.house.stop()
    scene.house.run("reactor")
    scene.house.cut()
    scene.house.run("reactor")
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C46"]


@arrow("C4")
def silence_ends_in_silence(scene: Scene) -> None:
    peer = scene.peer()
    scene.house.settle()
    scene.house.advance(15.1)
    scene.house.settle()
    assert (peer.statuses(), scene.trail(peer)) == ([], ["C4"])


@arrow("C6")
def a_reset_between_requests(scene: Scene) -> None:
    peer = scene.peer()
    scene.house.settle()
    peer.transport.peer_resets()
    scene.house.settle()
    assert scene.trail(peer) == ["C6"]


@arrow("C7", "C10", "C21", "C25")
def everybody_is_cut(scene: Scene) -> None:
    house = scene.house
    parked, slow, last = scene.peer(), scene.peer(), scene.asking("/close/1")
    slow.transport.room = 10
    slow.ask("GET", "/plain/2")
    slow.deliver()
    house.settle()
    queued = scene.asking("/plain/3")
    house.run("reactor", until="J1")
    house.stop()
    house.run("reactor")
    house.cut()
    house.run("reactor")
    trails = [scene.trail(one)[-1] for one in (parked, queued, slow, last)]
    assert trails == ["C7", "C10", "C21", "C25"]


@arrow("C9", "C34", queue_jobs_max=1)
def a_full_queue_is_told_at_once(scene: Scene) -> None:
    peers = [scene.asking("/plain/1"), scene.asking("/plain/2")]
    scene.house.run("reactor")
    assert [one.statuses() for one in peers] == [[], [503]]
    assert scene.trail(peers[1]) == ["C1", "C9", "C34"]
    scene.house.settle()
    assert peers[0].statuses() == [200]


@arrow("C12", "C22")
def the_last_response(scene: Scene) -> None:
    peer = scene.asking("/close/1")
    scene.house.settle()
    assert peer.transport.has_ended
    peer.transport.peer_ends()
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C12", "C22"]


@arrow("C13", "C16")
def a_slow_reader(scene: Scene) -> None:
    peer = scene.peer()
    peer.ask("GET", "/file/1")
    peer.transport.room = 1000
    peer.deliver()
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C13"]
    peer.transport.room = 1 << 40
    scene.house.settle()
    assert peer.statuses() == [200]
    assert scene.trail(peer) == ["C1", "C8", "C13", "C16"]
    peer.ask("GET", "/plain/2")
    peer.deliver()
    scene.house.settle()
    assert peer.statuses() == [200, 200]


@arrow("C17")
def a_slow_reader_of_the_last_response(scene: Scene) -> None:
    peer = scene.asking("/close/1")
    peer.transport.room = 5
    scene.house.settle()
    peer.transport.room = 1 << 40
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C13", "C17"]


@arrow("C14")
def a_file_that_ends_too_early(scene: Scene) -> None:
    peer = scene.asking("/short/1")
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C14"]


@arrow("C18")
def a_file_that_ends_too_early_for_a_slow_reader(scene: Scene) -> None:
    peer = scene.asking("/short/1")
    peer.transport.room = 1000
    scene.house.settle()
    peer.transport.room = 1 << 40
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C13", "C18"]


@arrow("C15")
def a_reset_while_a_worker_is_at_it(scene: Scene) -> None:
    peer = scene.asking("/file/1")
    scene.house.run("reactor")
    scene.house.run("worker_0", until="C8")
    peer.transport.peer_resets()
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C15"]


@arrow("C19")
def a_reader_that_does_not_read(scene: Scene) -> None:
    peer = scene.asking("/file/1")
    peer.transport.room = 1000
    scene.house.settle()
    scene.house.advance(23.1)
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C13", "C19"]


@arrow("C20")
def a_reset_while_the_rest_is_sent(scene: Scene) -> None:
    peer = scene.asking("/file/1")
    peer.transport.room = 1000
    scene.house.settle()
    peer.transport.peer_resets()
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C13", "C20"]


@arrow("C23")
def a_reset_after_the_last_word(scene: Scene) -> None:
    peer = scene.asking("/close/1")
    scene.house.settle()
    peer.transport.peer_resets()
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C12", "C23"]


@arrow("C24")
def a_peer_that_never_ends(scene: Scene) -> None:
    peer = scene.asking("/close/1")
    scene.house.settle()
    scene.house.advance(2.1)
    scene.house.settle()
    assert scene.trail(peer) == ["C1", "C8", "C12", "C24"]


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.arrow(one)) for one in SCENES]
)
def test_the_arrow_is_taken(engine: Engine, name: str) -> None:
    stage, settings = SCENES[name]
    scene = Scene(engine, settings)
    try:
        stage(scene)
        assert scene.house.taken(name) >= 1
        scene.end()
    finally:
        scene.house.put_away()


STREAMED = {"C26", "C27", "C28", "C29", "C30", "C31"}
"""RELAYING takes a worker that goes on by itself: tests/wire/test_streams.py, on real threads."""


ELSEWHERE = {
    *("C32", "C33", "C47"),  # a revoked lease and a client that has gone: tests/net/test_lease.py
    *("C39", "C40", "C41", "C42", "C43", "C44", "C45"),  # streams of events: the hub's tests
}


def test_every_arrow_has_a_scene() -> None:
    spec = sound_system().machines["connection"]
    assert SCENES.keys() | STREAMED | ELSEWHERE == {one.id for one in spec.arrows}
