"""One child as its parent sees it: a scene for each row of spec/process.toml."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from server.processes.world import Asked
from server.server import sound_system
from statemachine import Engine
from statemachine._generated import FleetState
from tests.machines.brood import Brood, quiet

START, DRAIN, CUT, KILL = 60.0, 31.0, 6.0, 5.0
"""The parent's patience by the usual settings: with a start, a drain, a cut, and the kernel."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    log = quiet()
    before, log.disabled = log.disabled, True
    yield
    log.disabled = before


def stop(brood: Brood) -> None:
    brood.tell(Asked.STOP)


def by(action: str, *arguments: object) -> Callable[[Brood], None]:
    return lambda brood: getattr(brood, action)(*arguments)


READY = by("ready", 1)
WORKS = by("works", 1, 5, 3)
SCENES: dict[str, tuple[list[Callable[[Brood], None]], str, str]] = {
    # what happens, the rows of the first child, and what becomes of five requests that it accepted
    "M4": ([READY, stop, by("ends", 1)], "M1 M4 M10 M14", ""),
    "M5": ([stop, by("ends", 1)], "M1 M5 M14", ""),
    "M6": ([by("fails", 1)], "M1 M6", ""),
    "M7": ([by("passes", START), by("dies", 1)], "M1 M7 M8", ""),
    "M9": ([by("passes", START), by("passes", KILL)], "M1 M7 M9", ""),
    "M11": ([READY, by("stops", 1), by("ends", 1)], "M1 M4 M11 M14", ""),
    "M12": ([READY, WORKS, by("ends", 1, 1)], "M1 M4 M12", "answered"),
    "M13": ([READY, WORKS, by("dies", 1)], "M1 M4 M13", "lost_by_crash"),
    "M14": ([READY, WORKS, stop, by("ends", 1)], "M1 M4 M10 M14", "answered"),
    "M15": ([READY, WORKS, stop, by("dies", 1)], "M1 M4 M10 M15", "lost_by_crash"),
    "M16": ([READY, stop, by("passes", DRAIN), by("ends", 1, 1)], "M1 M4 M10 M16 M18", ""),
    "M17": ([READY, WORKS, stop, stop, by("ends", 1, 1)], "M1 M4 M10 M17 M18", "answered"),
    "M19": ([READY, WORKS, stop, stop, by("dies", 1)], "M1 M4 M10 M17 M19", "lost_by_crash"),
    "M20": (
        [READY, WORKS, stop, stop, by("passes", CUT), by("dies", 1)],
        "M1 M4 M10 M17 M20 M21",
        "forced",
    ),
    "M22": (
        [READY, WORKS, stop, stop, by("passes", CUT), by("passes", KILL)],
        "M1 M4 M10 M17 M20 M22",
        "forced",
    ),
}
ALSO = {"M1": "M4", "M8": "M7", "M10": "M4", "M18": "M16", "M21": "M20"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.arrow(n)) for n in SCENES])
def test_the_arrow_is_taken(engine: Engine, name: str) -> None:
    happens, rows, term = SCENES[name]
    brood = Brood(engine)
    for one in happens:
        one(brood)
    first = brood.recorder.steps[0].serial
    assert " ".join(s.arrow.id for s in brood.recorder.steps if s.serial == first) == rows
    assert name in rows
    if term:
        assert getattr(brood.fleet.total, term) == (5 if term == "answered" else 2)
        assert brood.fleet.total.imbalance == 0
    assert brood.children[1].killed is bool({"M7", "M20"} & set(rows.split()))
    brood.end()
    brood.judge()


@pytest.mark.arrow("M2")
def test_a_system_without_a_process_to_give_is_a_start_that_fails(engine: Engine) -> None:
    brood = Brood(engine)
    brood.ready(1, 2)
    brood.barren = True
    brood.dies(1)
    assert brood.taken[-2:] == ["M13", "M2"]
    brood.barren = False
    brood.passes(0.5)
    assert brood.taken[-1] == "M1"
    brood.end()
    brood.judge()


@pytest.mark.arrow("M3")
def test_who_was_not_started_yet_never_is(engine: Engine) -> None:
    brood = Brood(engine)
    brood.ready(1, 2)
    brood.dies(1)
    brood.dies(3)
    assert brood.alive() == [2]  # the next one waits for its pause
    brood.tell(Asked.STOP)
    assert "M3" in brood.taken
    brood.ends(2)
    assert brood.fleet.state is FleetState.DAMAGED
    brood.judge()


@pytest.mark.parametrize("name", ["ready", "stopping", "nonsense", 7])
def test_words_that_come_late_or_are_none_change_nothing(engine: Engine, name: object) -> None:
    from server.processes.world import Told

    brood = Brood(engine)
    brood.ready(1, 2)
    brood.tell(Asked.STOP)
    before = list(brood.taken)
    brood.tell(Told(1, {"says": name}), Told(99, {"says": "ready"}))
    assert brood.taken == before
    brood.end()
    brood.judge()


def test_every_arrow_has_a_scene() -> None:
    rows = {arrow.id for arrow in sound_system().machines["process"].arrows}
    assert rows == {*SCENES, *ALSO, "M2", "M3"}
    assert all(row in SCENES[scene][1].split() for row, scene in ALSO.items())
