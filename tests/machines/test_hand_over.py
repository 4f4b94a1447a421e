"""Moments at which two threads meet at one connection, one by one.

Each is a schedule that a random history finds once in a blue moon, or a fault that the rooms of the
house must survive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import pytest

from statemachine import Engine
from statemachine._generated import (
    ConnectionState,
)
from tests.machines.peers import Peer
from tests.machines.scene import Scene

ENDLESS = 1 << 40
Open = Callable[..., Scene]


@pytest.fixture(params=["sealed", "stock"])
def open_scene(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens scenes, and puts them away whatever happens."""
    scenes: list[Scene] = []

    def open_one(*, observed: bool = True, **settings: object) -> Scene:
        scenes.append(Scene(cast("Engine", request.param), settings, observed=observed))
        return scenes[-1]

    yield open_one
    for scene in scenes:
        scene.house.put_away()


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
