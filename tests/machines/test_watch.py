"""The supervisor's waits, one note at a time: a clock and a mailbox that the test has written."""

from __future__ import annotations

import logging
import queue
from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.clock import Clock
from server.config import Config
from server.ledger import Ledger
from server.lifecycle import Lifecycle
from server.net.pool import Census
from server.server import sound_system
from server.supervisor import TURN_SECONDS_MAX, WATCH_SECONDS, House, Note, Supervisor, Watch
from statemachine import Binder, Engine
from statemachine._generated import ConnectionState, ReadinessMachine, ReadinessState, ServerState
from tests.clock import ManualClock

CENSUS = Census(places=1, standing=1, late=0, quarantined=0, stand_ins=0, replaced=0, at_cap=False)


class Script:
    """A mailbox: a note that was written comes at once, None when its wait is over."""

    def __init__(self, clock: ManualClock, *notes: Note | None) -> None:
        self._clock = clock
        self.notes = deque(notes)
        self.waits: list[float] = []

    def put(self, note: Note) -> None:
        self.notes.appendleft(note)

    def get(self, timeout: float) -> Note:
        self.waits.append(timeout)
        note = self.notes.popleft() if self.notes else None
        if note is None:
            self._clock.advance(timeout)
            raise queue.Empty
        return note


class Rooms:
    """A pool, a reactor and a gate that write down what is asked of them."""

    def __init__(self, joins: list[bool]) -> None:
        self.calls: list[str] = []
        self.joins = joins
        self.connections: dict[int, object] = {}
        self.census = CENSUS
        self.turns = True

    def drain(self) -> None:
        self.calls.append("drain")

    def supervise(self, now: float) -> Census:
        self.calls.append(f"supervise at {now:g}")
        return self.census

    def join(self, timeout_seconds: float) -> bool:
        self.calls.append(f"join within {timeout_seconds:g}")
        return self.joins.pop(0)

    def ask(self, what: Any) -> None:
        if self.turns:
            what()

    def cut(self) -> None:
        self.calls.append("cut")

    def open_gate(self) -> None:
        self.calls.append("open the gate")


class Play:
    """A supervisor in a state, with a script."""

    def __init__(
        self, engine: Engine, state: ServerState, *notes: Note | None, joins: tuple[bool, ...] = ()
    ) -> None:
        system = sound_system()
        assert system.ledger is not None
        bind = Binder(system, engine=engine).bind
        self.clock = ManualClock()
        self.script = Script(self.clock, *notes)
        self.rooms = Rooms(list(joins))
        self.lifecycle = bind(Lifecycle)(lambda: True)
        self.lifecycle.state = state
        self.readiness = bind(ReadinessMachine)()
        self.readiness.state = ReadinessState.READY
        self.ledger = Ledger(system.ledger)
        watch = Watch(
            Config(
                engine=engine, drain_seconds_max=10.0, lame_duck_seconds=3.0, cut_seconds_max=4.0
            ),
            cast("Clock", self.clock),
            cast("Any", self.script),
            self.lifecycle,
            self.readiness,
            self.ledger,
            lambda reason: None,
        )
        house = SimpleNamespace(pool=self.rooms, reactor=self.rooms, open_gate=self.rooms.open_gate)
        self.supervisor = Supervisor(watch, cast("House", house))

    def run(self) -> list[str]:
        self.supervisor.run()
        return self.rooms.calls

    def phase(self) -> ServerState:
        return self.lifecycle.state

    def step(self) -> list[str]:
        self.supervisor._steps[self.lifecycle.state]()
        return self.rooms.calls


@pytest.fixture(params=["sealed", "stock"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return cast("Engine", request.param)


def test_workers_are_looked_after_while_a_lame_duck_serves_on(engine: Engine) -> None:
    play = Play(engine, ServerState.SERVING, Note.STOP)
    play.step()
    assert play.phase() is ServerState.LAME_DUCK
    assert play.readiness.state is ReadinessState.WITHDRAWN
    assert play.step()[:3] == ["supervise at 0.25", "supervise at 0.5", "supervise at 0.75"]
    # Every quarter of a second of the three that a lame duck has.
    assert play.rooms.calls.count("drain") == 1
    assert len([call for call in play.rooms.calls if call.startswith("supervise")]) == 12
    assert play.clock.monotonic() == 3.0
    assert play.phase() is ServerState.DRAINING
    assert max(play.script.waits) == WATCH_SECONDS
    assert min(play.script.waits) >= 0.0


def test_a_lame_duck_whose_time_is_over_reads_no_note(engine: Engine) -> None:
    play = Play(engine, ServerState.LAME_DUCK, Note.STOP)
    play.step()
    assert play.lifecycle.state is ServerState.DRAINING
    assert play.script.waits == []


def test_workers_are_looked_after_while_a_drain_lasts(engine: Engine) -> None:
    play = Play(engine, ServerState.DRAINING, None, None, Note.EMPTY, joins=(True,))
    play.supervisor._until = 10.0
    assert play.run() == ["supervise at 0.25", "supervise at 0.5", "drain", "join within 0.25"]
    assert play.lifecycle.state is ServerState.STOPPED


def test_a_worker_on_its_way_out_is_waited_for_again(engine: Engine) -> None:
    """The last connection has been closed, its worker has not ended: no other note will come."""
    play = Play(engine, ServerState.DRAINING, Note.EMPTY, joins=(False, False, True))
    play.supervisor._until = 10.0
    again = ["drain", "join within 0.25", "supervise at 0"]
    assert play.run() == [*again, *again, "drain", "join within 0.25"]
    assert play.lifecycle.state is ServerState.STOPPED
    assert len(play.script.waits) == 3


def test_a_worker_that_does_not_end_is_not_waited_for_beyond_the_drain_s_time(
    engine: Engine,
) -> None:
    play = Play(engine, ServerState.DRAINING, Note.EMPTY, joins=(False, False))
    assert play.run()[:3] == ["drain", "join within 0.25", "supervise at 0"]
    assert play.rooms.calls[3:] == ["cut", "drain", "join within 4"]
    assert play.lifecycle.state is ServerState.FORCED


def test_a_reactor_that_does_not_come_round_is_given_up(engine: Engine) -> None:
    play = Play(engine, ServerState.DRAINING, Note.STOP, joins=(False,))
    play.supervisor._until = 100.0
    play.rooms.turns = False
    assert play.run()[-2:] == ["drain", "join within 4"]
    assert "cut" not in play.rooms.calls
    assert play.clock.monotonic() == TURN_SECONDS_MAX


def test_a_reactor_that_dies_before_it_cuts_is_cut_for(engine: Engine) -> None:
    play = Play(
        engine, ServerState.DRAINING, Note.STOP, Note.EMPTY, Note.REACTOR_DIED, joins=(True,)
    )
    play.supervisor._until = 100.0
    play.rooms.turns = False
    assert play.run() == ["cut", "open the gate", "drain", "join within 4"]
    assert play.clock.monotonic() == 0.0


@pytest.mark.arrow("H6")
@pytest.mark.parametrize("note", [Note.STOP, Note.REACTOR_DIED])
def test_a_server_without_stand_ins_may_be_stopped(engine: Engine, note: Note) -> None:
    play = Play(engine, ServerState.SERVING, note)
    play.readiness.state = ReadinessState.OVERCOMMITTED
    play.step()
    assert play.readiness.state is ReadinessState.WITHDRAWN


@pytest.mark.parametrize("ends", [True, False])
def test_a_handler_that_outlasts_a_forced_stop_is_said(
    engine: Engine, ends: bool, caplog: pytest.LogCaptureFixture
) -> None:
    play = Play(engine, ServerState.CUTTING, joins=(ends,))
    assert play.run() == ["drain", "join within 4"]
    assert play.lifecycle.state is ServerState.FORCED
    assert [record.getMessage() for record in caplog.records] == (
        [] if ends else ["stopped while a handler was still running"]
    )


@pytest.mark.arrow("H3")
@pytest.mark.arrow("H5")
def test_capacity_is_noted_once(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    play = Play(engine, ServerState.SERVING)
    full = CENSUS._replace(at_cap=True)
    with caplog.at_level(logging.INFO, logger="interlock.server"):
        for census in (CENSUS, full, full, CENSUS, CENSUS):
            play.rooms.census = census
            play.step()
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert play.readiness.state is ReadinessState.READY


@pytest.mark.parametrize(
    ("state", "forced", "left"),
    [(ServerState.FORCED, 2, 0), (ServerState.UNBALANCED, 0, 2)],
)
def test_what_a_forced_stop_leaves_open_was_cut_off(
    engine: Engine, state: ServerState, forced: int, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    play = Play(engine, state)
    for _ in range(2):
        play.ledger.tallies["C1"]()
    states = (ConnectionState.EXCHANGING, ConnectionState.FLUSHING, ConnectionState.PARKED)
    play.rooms.connections = dict(enumerate(SimpleNamespace(state=one) for one in states))
    account = play.supervisor.close_account()
    assert (account.accepted, account.forced, account.open) == (2, forced, left)
    assert caplog.records == []


def test_an_account_that_does_not_balance_is_said(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    play = Play(engine, ServerState.STOPPED)
    play.ledger.tallies["C1"]()
    account = play.supervisor.close_account()
    assert account.imbalance == 1
    assert str(account).endswith(" + missing 1")
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
