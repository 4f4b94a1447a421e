"""The parent at its edges: what it says of a failure, and for how long it waits to the second."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pytest

from server.processes.parent import SETTLED_SECONDS, Parent
from server.processes.world import Asked, Exited, News, Told
from server.server import sound_system
from statemachine import Binder
from statemachine._generated import FleetState
from tests.machines.brood import Brood

START, DRAIN, CUT, KILL = 60.0, 31.0, 6.0, 5.0
"""Seconds of patience: with a start, with a drain and its grace, with a cut, with the kernel."""


def serving(**settings: object) -> Brood:
    """Two places, in which processes 1 and 2 serve."""
    brood = Brood(**settings)  # type: ignore[arg-type] # they are a Config's
    brood.ready(1, 2)
    return brood


def state(brood: Brood) -> FleetState:
    return brood.fleet.state


def test_it_runs_until_all_have_ended_and_waits_for_what_comes_first() -> None:
    brood = Brood()
    brood.children.clear()
    asked: list[float | None] = []
    turns: list[Callable[[], Sequence[News]]] = [
        lambda: [Told(1, {"says": "ready"}), Told(2, {"says": "ready"})],
        lambda: [Asked.STOP],
        lambda: [Told(1, {"says": "ended", "status": 0, "account": {}}), Exited(1, 0)],
        lambda: [Told(2, {"says": "ended", "status": 0, "account": {}}), Exited(2, 0)],
        list,
    ]

    def wait(until: float | None) -> Sequence[News]:
        asked.append(until)
        return turns[len(asked) - 1]()

    brood.wait = wait  # type: ignore[method-assign] # the test says what happens
    parent = Parent(brood.parent._config, brood, Binder(sound_system()), brood._announce)
    brood.fleet = parent.fleet
    assert parent.run() == 0
    # Once more at the end, without waiting: for who has asked meanwhile.
    assert asked == [START, None, DRAIN, DRAIN, brood.monotonic()]
    assert brood.forgotten == {1, 2}


def test_processes_are_started_in_the_order_of_their_places() -> None:
    brood = Brood(places=3)
    assert [(one.number, one.place) for one in brood.fleet.processes] == [(1, 1), (2, 2), (3, 3)]


# --- what is said of a failure ------------------------------------------------------------------


def test_one_that_dies_before_it_is_ready_is_told_by_its_signal() -> None:
    brood = Brood()
    brood.dies(1, signal=11)
    assert brood.fleet.failure == (1, "process 1 was ended by signal 11 before it was ready")


def test_one_that_is_not_ready_in_time_is_told_so_and_waited_for() -> None:
    brood = Brood()
    brood.ready(2)
    brood.passes(START)
    assert brood.children[1].killed
    brood.passes(KILL - 0.1)
    assert not brood.forgotten, "the kernel has not said that it is gone"
    brood.dies(1)
    assert brood.fleet.failure == (1, "process 1 was not ready after 60 seconds")


def test_a_system_that_gives_no_process_is_told_by_its_own_words() -> None:
    brood = serving(start_tries_max=1)
    brood.barren = True
    brood.dies(1)
    assert state(brood) is FleetState.FAILING
    says = "1 processes in a row failed at their start: cannot start a process: Resource"
    assert brood.fleet.failure == (1, f"{says} temporarily unavailable")


@pytest.mark.parametrize("crashes", [True, False])
def test_a_crash_is_logged_and_an_end_is_none(
    crashes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    brood = serving()
    with caplog.at_level(logging.ERROR, "interlock.processes"):
        if crashes:
            brood.dies(1)
        else:
            brood.ends(1)
    says = ["process 1 was ended by signal 9, without a word"]
    assert [one.getMessage() for one in caplog.records] == (says if crashes else [])


def test_an_account_that_does_not_balance_is_worth_3() -> None:
    brood = serving()
    brood.tell(Asked.STOP)
    account = {"accepted": 3, "answered": 1}
    brood.tell(Told(1, {"says": "ended", "status": 0, "account": account}), Exited(1, 0))
    brood.ends(2)
    assert state(brood) is FleetState.DAMAGED
    assert brood.fleet.exit_status == 3


# --- how long it waits --------------------------------------------------------------------------


def test_a_drain_has_its_seconds_and_then_a_cut_has() -> None:
    brood = serving()
    child = brood.children[1]
    brood.tell(Asked.STOP)
    brood.passes(DRAIN - 0.1)
    assert child.told == ["stop"]
    brood.passes(0.1)
    assert child.told == ["stop", "stop"], "the second time, it is to cut off what is left"
    brood.passes(CUT - 0.1)
    assert not child.killed
    brood.passes(0.1)
    assert child.killed
    brood.passes(KILL - 0.1)
    assert not brood.forgotten, "it is waited for"
    brood.passes(0.1)
    assert brood.forgotten == {1, 2}


@pytest.mark.parametrize("at_once", [True, False])
def test_one_that_has_served_for_a_while_is_the_first_to_die_in_its_place(at_once: bool) -> None:
    """It is replaced at once, and the one after it after a pause."""
    brood = serving()
    brood.dies(1)
    brood.ready(3)
    brood.passes(SETTLED_SECONDS if at_once else SETTLED_SECONDS - 0.1)
    brood.dies(3)
    assert brood.alive() == ([2, 4] if at_once else [2])
    brood.passes(0.5)
    assert brood.alive() == [2, 4]
    brood.dies(4)
    assert brood.alive() == [2], "and now there is a pause in any case"


def test_a_replacement_that_failed_does_not_count_against_its_place() -> None:
    brood = serving(start_tries_max=2)
    brood.tell(Asked.RESTART)
    brood.fails(3)
    assert state(brood) is FleetState.SERVING, "the old ones serve on"
    brood.dies(1)
    brood.passes(10.0)
    brood.fails(4)
    assert state(brood) is FleetState.SERVING, "that was the first of two"
    brood.passes(10.0)
    brood.fails(5)
    assert state(brood) is FleetState.FAILING


def test_who_is_started_after_a_restart_was_asked_for_is_not_replaced() -> None:
    brood = serving()
    brood.dies(1)
    brood.dies(3)
    assert brood.alive() == [2]
    brood.tell(Asked.RESTART)  # the next one waits for its pause: it will load what is there then
    brood.passes(0.5)
    brood.ready(4)
    brood.ready(5)
    brood.ends(2)
    assert state(brood) is FleetState.SERVING
    assert brood.alive() == [4, 5]


def test_a_dump_is_asked_of_all() -> None:
    brood = serving()
    brood.tell(Asked.DUMP)
    told = [one.told for one in brood.children.values()]
    assert told == [["dump"], ["dump"]]
