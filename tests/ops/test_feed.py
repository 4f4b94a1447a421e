"""The dashboard's feed: frames while somebody watches, no more than are needed, and none else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable

import pytest

from server.config import Config
from server.events import Hub, Subscription
from server.ops.feed import (
    LOST_SECONDS,
    REST_SECONDS_MAX,
    STILL_FRAME_SECONDS,
    STILL_SECONDS,
    Feed,
)
from server.ops.frames import Lane, View
from server.server import Server, sound_system
from statemachine import Binder, System
from tests.clock import ManualClock


class House:
    """A server that is looked at. `seconds` are what a look takes."""

    def __init__(self, clock: ManualClock) -> None:
        self.system: System = sound_system()
        self.clock = clock
        self.seconds = 0.0
        self.step = "SERVING"
        self.server = Server(Config(port=0), clock=clock)
        self.broken = False
        self.late: list[Callable[[], None]] | None = None
        self.busy_seconds = 0.5

    def view(self, then: View) -> None:
        self.clock.advance(self.seconds)
        if self.broken:
            raise RuntimeError("cannot be looked at")
        look = self.server.snapshot(), self.lanes()
        if self.late is None:
            then(*look)
        else:
            self.late.append(lambda: then(*look))

    def lanes(self) -> Iterable[Lane]:
        return (Lane(f"worker_{n}", "BUSY", f"GET /{n}", self.busy_seconds) for n in range(1000))

    def phase(self) -> object:
        return self.step


class Watching:
    """A feed, and one who watches it or not."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.house = House(self.clock)
        self.hub = Hub(Config())
        self.feed = Feed(lambda: self.house, self.hub, self.clock)
        bound = Binder(self.house.system).bind(Subscription)
        names = (self.feed.channel,)
        self.viewer = bound(names, policy="latest", after="", gaps_max=1)

    def frames(self) -> int:
        """How many events the hub has had."""
        self.feed.tick()
        return int(self.hub.last_id.rpartition("-")[2])


def test_nothing_is_made_while_nobody_watches() -> None:
    here = Watching()
    here.house.broken = True
    assert here.frames() == 0
    here.house.broken = False
    here.hub.subscribe(here.viewer)
    assert here.frames() == 1
    here.hub.unsubscribe(here.viewer)
    here.clock.advance(1)
    assert here.frames() == 1


def test_frames_have_a_pace_and_a_step_of_the_ladder_does_not_wait() -> None:
    here = Watching()
    here.hub.subscribe(here.viewer)
    assert here.frames() == 1
    here.clock.advance(0.19)
    assert here.frames() == 1
    here.clock.advance(0.02)
    assert here.frames() == 2
    here.house.step = "DRAINING"
    assert here.frames() == 3
    assert here.frames() == 3


def test_a_frame_that_takes_long_is_followed_by_a_rest() -> None:
    here = Watching()
    here.hub.subscribe(here.viewer)
    here.house.seconds = 0.05
    assert here.frames() == 1
    here.clock.advance(0.4)
    assert here.frames() == 1
    here.clock.advance(0.11)
    here.house.seconds = 60
    assert here.frames() == 2
    here.clock.advance(REST_SECONDS_MAX + 0.01)
    assert here.frames() == 3


def test_where_nothing_changes_a_frame_now_and_then_is_enough() -> None:
    here = Watching()
    here.hub.subscribe(here.viewer)
    looks = []
    for _ in range(64):
        looks.append(here.frames())
        here.clock.advance(0.25)
    still = int(STILL_SECONDS / 0.25)
    assert looks[still] == still + 1, "until the arrows have gone cold"
    assert looks[-1] == looks[still] + (63 - still) * 0.25 // STILL_FRAME_SECONDS
    here.house.busy_seconds += 0.1
    assert here.frames() == looks[-1] + 1, "what changes is shown at once"
    here.clock.advance(0.25)
    assert here.frames() == looks[-1] + 2


def test_a_look_that_fails_is_logged_and_the_supervisor_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = Watching()
    here.hub.subscribe(here.viewer)
    here.house.broken = True
    with caplog.at_level(logging.ERROR):
        assert here.frames() == 0
    assert "cannot be looked at" in caplog.text


def test_the_last_look_is_told_whenever_it_comes_and_nothing_older_after_it() -> None:
    here = Watching()
    here.feed.last()
    assert here.frames() == 0, "nobody watches"
    here.hub.subscribe(here.viewer)
    late: list[Callable[[], None]] = []
    here.house.late = late
    assert here.frames() == 0
    here.clock.advance(0.01)
    here.house.late = None
    here.feed.last()
    here.feed.last()
    late.pop()()
    assert here.frames() == 2
    here.house.broken = True
    here.feed.last()


def test_a_look_that_comes_later_is_awaited_and_one_that_is_lost_is_not() -> None:
    here = Watching()
    here.hub.subscribe(here.viewer)
    late: list[Callable[[], None]] = []
    here.house.late = late
    assert here.frames() == 0
    here.clock.advance(LOST_SECONDS - 0.01)
    assert (here.frames(), len(late)) == (0, 1), "one look at a time"
    late.pop()()
    here.house.late = None
    assert here.frames() == 1, "it has rested by now, and is not due before that"
    here.clock.advance(REST_SECONDS_MAX)
    here.house.late = late
    assert here.frames() == 1
    here.clock.advance(LOST_SECONDS)
    assert (here.frames(), len(late)) == (1, 2)


def test_a_frame_has_states_and_arrows_in_the_order_of_the_spec() -> None:
    here = Watching()
    here.hub.subscribe(here.viewer)
    here.feed.tick()
    parcel = here.hub.next_for(here.viewer, coded=False)
    assert parcel is not None
    lines = bytes(parcel.data).decode().splitlines()
    assert lines[1] == "event: frame"
    frame = json.loads(lines[2].removeprefix("data: "))
    for name, machine in here.house.system.machines.items():
        assert len(frame["states"][name]) == len(machine.states)
        assert len(frame["taken"][name]) == len(machine.arrows)
    assert frame["phase"] == "STARTING"
    assert frame["states"]["server"][0] == 1
    assert len(frame["latency"]) == len(frame["bounds"]) + 1
    assert frame["workers"][7] == {
        "name": "worker_7", "state": "BUSY", "request": "GET /7", "seconds": 0.5
    }  # fmt: skip
    assert len(frame["workers"]) == 256


def test_no_application_can_guess_the_channel() -> None:
    clock = ManualClock()
    names = {Feed(lambda: House(clock), Hub(Config()), clock).channel for _ in range(2)}
    assert len(names) == 2
    assert min(len(name) for name in names) > 24
