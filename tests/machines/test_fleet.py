"""The parent of several processes: scenes for its rows, and any history of signals and deaths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.processes.fleet import FINAL
from server.processes.parent import SETTLED_SECONDS
from server.processes.process import STANDING
from server.processes.world import Asked
from statemachine import Engine
from statemachine._generated import FleetState, ProcessState
from tests.machines.brood import LEAVING, Brood, quiet


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    log = quiet()
    before, log.disabled = log.disabled, True
    yield
    log.disabled = before


def serving(engine: Engine, places: int = 2, **settings: object) -> Brood:
    """A parent whose children all serve."""
    brood = Brood(engine, places, **settings)
    brood.ready(*brood.children)
    assert brood.fleet.state is FleetState.SERVING
    return brood


def fleet_rows(brood: Brood) -> list[str]:
    return [one for one in brood.taken if one.startswith("F")]


@pytest.mark.arrow("F1")
@pytest.mark.arrow("F8")
@pytest.mark.arrow("F14")
def test_all_are_ready_then_all_are_drained(engine: Engine) -> None:
    brood = Brood(engine, 3)
    brood.ready(1, 3)
    assert brood.announced == 0
    brood.ready(2)
    assert brood.announced == 1
    brood.works(2, 7, 5)
    brood.tell(Asked.STOP)
    assert [one.told for one in brood.children.values()] == [["stop"]] * 3
    assert not brood.listening
    brood.end()
    assert fleet_rows(brood) == ["F1", "F8", "F14"]
    assert brood.fleet.exit_status == 0
    assert str(brood.fleet.total) == (
        "ledger: accepted 7 = answered 7 + shed 0 + client-gone 0 + forced 0 + lost-by-crash 0"
    )
    brood.judge()


@pytest.mark.arrow("F2")
@pytest.mark.arrow("F5")
@pytest.mark.arrow("F9")
def test_who_was_started_before_a_restart_is_replaced_once_all_serve(engine: Engine) -> None:
    brood = Brood(engine)
    brood.tell(Asked.RESTART)
    brood.ready(1, 2)
    assert (brood.fleet.state, brood.announced) == (FleetState.ROLLING, 1)
    brood.ready(3)
    brood.ends(1)
    brood.ready(4)
    brood.ends(2)
    assert fleet_rows(brood) == ["F5", "F2", "F9"]
    brood.end()
    brood.judge()


@pytest.mark.arrow("F3")
@pytest.mark.arrow("F17")
def test_a_start_that_fails_ends_all_with_the_child_s_own_line(engine: Engine) -> None:
    brood = Brood(engine)
    brood.ready(2)
    brood.fails(1, "--app nope: there is no module nope", status=2)
    assert brood.children[2].told == ["stop"]
    brood.end()
    assert fleet_rows(brood) == ["F3", "F17"]
    assert brood.fleet.exit_status == 2
    assert brood.fleet.failure == (2, "--app nope: there is no module nope")
    assert brood.announced == 0
    brood.judge()


@pytest.mark.arrow("F4")
def test_a_stop_while_all_start_waits_for_those_that_load(engine: Engine) -> None:
    brood = Brood(engine)
    brood.ready(1)
    brood.tell(Asked.STOP)
    assert [one.told for one in brood.children.values()] == [["stop"]] * 2
    brood.end()
    assert fleet_rows(brood) == ["F4", "F14"]
    brood.judge()


@pytest.mark.arrow("F6")
@pytest.mark.arrow("F13")
def test_a_restart_replaces_one_after_the_other(engine: Engine) -> None:
    brood = serving(engine)
    brood.code = 2
    brood.tell(Asked.RESTART)
    assert brood.alive() == [1, 2, 3]
    assert brood.children[1].told == []  # it serves until the next one does
    brood.ready(3)
    assert brood.children[1].told == ["stop"]
    assert brood.alive() == [1, 2, 3]  # and the next place's turn comes when it has ended
    brood.ends(1)
    assert brood.alive() == [2, 3, 4]
    brood.tell(Asked.STOP)
    assert [brood.children[one].told for one in (2, 3, 4)] == [["stop"]] * 3
    brood.end()
    assert fleet_rows(brood) == ["F1", "F6", "F13", "F14"]
    assert brood.fleet.exit_status == 0
    brood.judge()


@pytest.mark.arrow("F11")
def test_a_second_restart_begins_anew(engine: Engine) -> None:
    brood = serving(engine)
    brood.tell(Asked.RESTART)
    brood.ready(3)
    brood.ends(1)
    brood.code = 2
    brood.tell(Asked.RESTART)
    for new, old in ((4, 2), (5, 3), (6, 4)):
        assert brood.fleet.state is FleetState.ROLLING
        brood.ready(new)
        brood.ends(old)
    assert brood.fleet.state is FleetState.SERVING
    assert {brood.children[one].generation for one in brood.alive()} == {2}
    assert fleet_rows(brood) == ["F1", "F6", "F11", "F9"]
    brood.end()
    brood.judge()


@pytest.mark.arrow("F10")
def test_new_code_that_does_not_start_leaves_the_old_one_serving(engine: Engine) -> None:
    brood = serving(engine)
    brood.tell(Asked.RESTART)
    brood.fails(3)
    assert brood.fleet.state is FleetState.SERVING
    assert brood.alive() == [1, 2]
    brood.tell(Asked.RESTART)  # and may be tried again
    brood.barren = True
    brood.ready(4)
    brood.ends(1)  # the next place's: the system has no process to give
    assert brood.fleet.state is FleetState.SERVING
    assert fleet_rows(brood) == ["F1", "F6", "F10", "F6", "F10"]
    brood.end()
    brood.judge()


@pytest.mark.arrow("F7")
@pytest.mark.parametrize("ready_between", [False, True])
def test_a_place_is_tried_so_often_in_a_row(engine: Engine, ready_between: bool) -> None:
    brood = serving(engine, start_tries_max=2)
    brood.dies(1)
    brood.fails(3)
    brood.passes(60)
    if ready_between:
        brood.ready(4)
        brood.dies(4)
        brood.passes(60)
        brood.fails(5)
        assert brood.fleet.state is FleetState.SERVING
    else:
        brood.fails(4, "it is gone")
        assert brood.fleet.state is FleetState.FAILING
        assert brood.fleet.failure == (1, "2 processes in a row failed at their start: it is gone")
    brood.end()
    brood.judge()


@pytest.mark.arrow("F12")
def test_a_restart_does_not_save_a_place_that_cannot_be_filled(engine: Engine) -> None:
    brood = serving(engine, start_tries_max=1)
    brood.tell(Asked.RESTART)
    brood.dies(2)
    brood.fails(4)
    assert brood.children[1].told == ["stop"]
    brood.end()
    assert fleet_rows(brood) == ["F1", "F6", "F12", "F17"]
    brood.judge()


@pytest.mark.arrow("F15")
@pytest.mark.parametrize(("status", "worth"), [(1, 1), (3, 3)])
def test_a_child_that_ends_badly_is_seen_in_the_exit_status(
    engine: Engine, status: int, worth: int
) -> None:
    brood = serving(engine)
    brood.tell(Asked.STOP)
    brood.ends(1, status)
    brood.end()
    assert fleet_rows(brood) == ["F1", "F8", "F15"]
    assert brood.fleet.exit_status == worth
    brood.judge()


@pytest.mark.arrow("F16")
@pytest.mark.arrow("F18")
@pytest.mark.arrow("F19")
@pytest.mark.parametrize("failing", [False, True])
def test_a_second_stop_forces(engine: Engine, failing: bool) -> None:
    brood = Brood(engine)
    brood.ready(1)
    if failing:
        brood.fails(2)
    else:
        brood.tell(Asked.STOP)
    brood.tell(Asked.STOP)
    assert brood.children[1].told == ["stop", "stop"]
    brood.tell(Asked.STOP)
    assert brood.children[1].told == ["stop", "stop"]
    brood.end()
    assert fleet_rows(brood) == (["F3", "F18", "F19"] if failing else ["F4", "F16", "F19"])
    assert brood.fleet.exit_status == 1
    brood.judge()


def test_a_dump_is_passed_on_and_late_signals_are_passed_over(engine: Engine) -> None:
    brood = serving(engine)
    brood.tell(Asked.DUMP)
    assert [one.told for one in brood.children.values()] == [["dump"]] * 2
    brood.tell(Asked.STOP, Asked.RESTART)
    assert brood.fleet.state is FleetState.DRAINING
    brood.end()
    brood.judge()


def test_pauses_grow_with_each_death_in_a_row(engine: Engine) -> None:
    brood = serving(engine, places=2, restart_pause_seconds=0.5)
    pauses = []
    for _ in range(9):
        victim = brood.alive()[-1]
        brood.dies(victim)
        began = brood.clock.monotonic()
        while (until := brood.parent.until()) and brood.alive()[-1] < victim:
            brood.passes(until - brood.clock.monotonic())
        pauses.append(brood.clock.monotonic() - began)
        brood.ready(brood.alive()[-1])
    assert pauses == [0, 0.5, 1, 2, 4, 8, 16, 16, 16]
    brood.passes(SETTLED_SECONDS)
    brood.dies(brood.alive()[-1])
    assert len(brood.alive()) == 2  # who has served for long is replaced at once
    brood.end()
    assert brood.fleet.exit_status == 1
    brood.judge()


class FleetHistory(RuleBasedStateMachine):
    """One parent, whatever its children, its operator and the system do."""

    engine: Engine

    @initialize(places=st.integers(2, 3), pause=st.sampled_from([0.0, 0.5]))
    def begin(self, places: int, pause: float) -> None:
        self.brood = Brood(
            self.engine, places, restart_pause_seconds=pause, start_tries_max=3, lame_duck_seconds=1
        )
        self.counted: dict[str, int] = {}

    def some(self, data: st.DataObject, **kinds: bool) -> int | None:
        """A child that lives and is as told."""
        found = [
            number
            for number in self.brood.alive()
            if all(
                bool(getattr(self.brood.children[number], kind)) is so for kind, so in kinds.items()
            )
        ]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data())
    def one_is_ready(self, data: st.DataObject) -> None:
        if number := self.some(data, ready=False, killed=False):
            self.brood.ready(number)

    @rule(data=st.data())
    def all_are_ready(self, data: st.DataObject) -> None:
        while number := self.some(data, ready=False, killed=False):
            self.brood.ready(number)

    @rule(data=st.data())
    def one_fails(self, data: st.DataObject) -> None:
        if number := self.some(data, ready=False, killed=False):
            self.brood.fails(number)

    @rule(data=st.data(), accepted=st.integers(0, 9), answered=st.integers(0, 9))
    def one_works(self, data: st.DataObject, accepted: int, answered: int) -> None:
        if number := self.some(data, ready=True, killed=False):
            self.brood.works(number, accepted, answered)

    @rule(data=st.data(), status=st.sampled_from([0, 0, 0, 1, 3]))
    def one_ends_as_told(self, data: st.DataObject, status: int) -> None:
        if number := self.some(data, stopping=True, killed=False):
            self.brood.ends(number, status)

    @rule(data=st.data())
    def one_dies(self, data: st.DataObject) -> None:
        if number := self.some(data):
            self.brood.dies(number)

    @rule(data=st.data())
    def one_is_told_by_somebody_else(self, data: st.DataObject) -> None:
        if number := self.some(data, ready=True, killed=False):
            self.brood.stops(number)
            self.brood.children[number].told.append("stop")

    @rule(asked=st.sampled_from([Asked.RESTART, Asked.RESTART, Asked.DUMP]))
    def the_operator_asks(self, asked: Asked) -> None:
        self.brood.tell(asked)

    @precondition(lambda self: len(self.brood.taken) > 12)
    @rule()
    def the_operator_stops(self) -> None:
        self.brood.tell(Asked.STOP)

    @rule()
    def the_system_has_none_to_give(self) -> None:
        self.brood.barren = not self.brood.barren

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.brood.passes(seconds)

    @rule()
    def somebody_asks_all(self) -> None:
        self.brood.wonder()

    @rule(data=st.data())
    def one_answers(self, data: st.DataObject) -> None:
        if number := self.some(data, asked=True, killed=False):
            self.brood.answers(number)

    @rule()
    def all_answer(self) -> None:
        self.brood.wonder()
        for number in self.brood.alive():
            self.brood.answers(number)

    @invariant()
    def what_is_told_of_all_is_never_less_than_before(self) -> None:
        brood, company = self.brood, self.brood.company()
        gathered, brood.gathered = brood.gathered, []
        for one in map(company.sum_of, gathered):
            terms = {"accepted": one.ledger.accepted, **one.ledger.outcomes}
            now = {**terms, "answers": sum(one.answers.values()), "slow": sum(one.latency.counts)}
            assert all(now[name] >= count for name, count in self.counted.items())
            assert one.ledger.imbalance == 0
            assert one.faults == ()
            self.counted = now

    @invariant()
    def places_are_kept(self) -> None:
        fleet = self.brood.fleet
        if fleet.state in FINAL | LEAVING:
            assert all(one.state not in STANDING for one in fleet.processes)
            return
        assert fleet.vacant() == []
        standing = [one for one in fleet.processes if one.state in STANDING]
        assert len(standing) <= len(fleet.places) + 1, "one after the other"
        assert self.brood.unkind == []

    @invariant()
    def nobody_is_waited_for_without_an_end(self) -> None:
        for one in self.brood.fleet.processes:
            assert (one.deadline is None) is (one.state is ProcessState.SERVING)

    def teardown(self) -> None:
        brood = self.brood
        brood.end()
        brood.judge()
        brood.wonder()
        self.what_is_told_of_all_is_never_less_than_before()
        assert brood.parent.until() is None, "nobody waits for an answer"
        crashed = {"M13", "M15", "M19", "M21", "M22"} & set(brood.taken)
        if brood.fleet.state is FleetState.STOPPED:
            assert not crashed
        if brood.fleet.state is FleetState.DAMAGED:
            assert brood.fleet.exit_status == max(
                [one.status for one in brood.children.values()] + [int(bool(crashed))]
            )


def test_whatever_happens_the_fleet_follows_its_table(engine: Engine) -> None:
    history = type("History", (FleetHistory,), {"engine": engine})
    run_state_machine_as_test(history)
