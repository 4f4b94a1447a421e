"""The reactor and the desk at their edges: how often the kernel is asked, who is just in time."""

from __future__ import annotations

import pytest

from server.http1.messages import Request, Response
from server.net.idle import ROOM_BATCH, ROOM_SECONDS
from statemachine import Engine
from tests.machines.conftest import Open
from tests.machines.door import Door
from tests.machines.house import House
from tests.machines.peers import Peer


@pytest.mark.parametrize("count", [1, 2])
def test_the_kernel_is_asked_once_more_than_there_are_newcomers(engine: Engine, count: int) -> None:
    door = Door(engine)
    try:
        door.settle()
        for _ in range(count):
            door.call()
        door.settle()
        assert (door.inside(), door.socket.accepts) == (count, count + 1)
        door.end()
    finally:
        door.house.put_away()


@pytest.mark.parametrize(("waiting", "let_in"), [(1, 1), (3, 3), (4, 3)])
def test_a_drain_lets_in_as_many_as_the_backlog_holds_and_one(
    engine: Engine, waiting: int, let_in: int
) -> None:
    door = Door(engine, connections_max=100, backlog=2)
    try:
        door.settle()
        for _ in range(waiting):
            door.call()
        door.house.poller.armed[4] = 0  # the reactor is not told of them before the drain
        door.house.stop()
        door.settle()
        assert door.inside() + sum(one.closed for one in door.callers) == let_in
        assert len(door.socket.backlog) == waiting - let_in
        door.end()
    finally:
        door.house.put_away()


@pytest.mark.parametrize(("seconds", "closed"), [(ROOM_SECONDS, True), (0.99, False)])
def test_who_has_been_idle_for_just_long_enough_makes_room(
    open_scene: Open, seconds: float, closed: bool
) -> None:
    scene = open_scene(connections_max=2)
    oldest = scene.asking("/plain/1")
    scene.house.settle()
    scene.house.advance(seconds)
    scene.asking("/plain/2")
    newcomer = scene.asking("/plain/3")
    scene.house.run("reactor")
    assert bool(oldest.transport.closed) is closed
    scene.house.settle()
    scene.house.advance(ROOM_SECONDS + 0.1)
    scene.house.settle()
    assert newcomer.statuses() == [200]
    scene.end()


def test_no_more_are_closed_at_once_than_a_batch(engine: Engine) -> None:
    most = ROOM_BATCH + 3
    door = Door(engine, connections_max=most)
    try:
        door.settle()
        for _ in range(most - 1):
            door.call()
        door.settle()
        door.house.advance(ROOM_SECONDS)
        door.call()
        door.settle()
        assert sum(one.closed for one in door.callers) == ROOM_BATCH
        door.end()
    finally:
        door.house.put_away()


class Parting:
    """A house whose handler answers with bytes; one peer, whose kernel takes so many at once."""

    def __init__(self, engine: Engine, size: int, *, at_once: int, room: int = 1 << 30) -> None:
        limits = {"send_turn_bytes_max": 4096, "relay_memory_bytes_max": 8192}
        self.content = b"x" * size
        self.house = House(engine, self._handle, limits)
        self.peer = Peer(self.house.visit())
        transport = self.peer.transport
        transport.room = room
        sound = transport.send

        def send(data: bytes | memoryview) -> int:
            return sound(memoryview(data)[:at_once])

        transport.send = send  # type: ignore[method-assign] # a kernel's buffer is no larger
        self.peer.ask("GET", "/")
        self.peer.deliver()
        self.house.settle()

    def _handle(self, _: Request) -> Response:
        return Response(200, content=self.content)

    def trail(self) -> list[str]:
        return self.house.trails[self.peer.transport]


@pytest.mark.parametrize("at_once", [1 << 20, 5000, 4096])
def test_a_peer_that_takes_every_turn_whole_is_sent_all_at_once(
    engine: Engine, at_once: int
) -> None:
    """Also what is too much to be kept: turn after turn."""
    play = Parting(engine, 40960, at_once=at_once)
    try:
        kept = [] if at_once > 5000 else ["C13", "C16"]
        assert play.trail() == ["C1", "C8", *(kept or ["C11"])]
        assert play.peer.transport.received.count(b"x") == 40960
        play.house.end()
    finally:
        play.house.put_away()


def test_a_peer_that_takes_no_whole_turn_is_left_to_the_reactor(engine: Engine) -> None:
    play = Parting(engine, 40960, at_once=1 << 20, room=5000)
    try:
        assert play.trail()[:3] == ["C1", "C8", "C26"]
        play.peer.transport.room = 1 << 30
        play.house.settle()
        assert play.peer.transport.received.count(b"x") == 40960
        play.house.end()
    finally:
        play.house.put_away()
