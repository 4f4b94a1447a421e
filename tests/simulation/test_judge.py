"""The judge says what `statemachine.trace` says, and of the threads what the witness says."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable

import pytest

from server.server import sound_system
from server.simulation.carrier import Carrier
from server.simulation.judge import Judge, Record, book_of, roles_of
from server.simulation.life import Life
from server.simulation.plan import draw_plan
from server.simulation.verdict import faults_of
from statemachine import Arrow, Model
from statemachine.trace import Monitor, Recorder, Violation, illegal_steps

SYSTEM = sound_system()


class Puppet:
    """An object that is in whatever state it is said to be in, and agrees to all questions."""

    def __init__(self, machine: str) -> None:
        self.machine_name = machine
        self.answers = True

    def __getattr__(self, name: str) -> Callable[[], bool]:
        return lambda: self.answers


def judged(steps: list[tuple[Puppet, Arrow]]) -> tuple[list[str], list[str]]:
    """What the judge says of them, and what Monitor and illegal_steps say."""
    judge = Judge(book_of(sound_system), Carrier(lambda runnable, _: runnable[0]))
    monitor, recorder = Monitor(SYSTEM, threading.Lock()), Recorder(threading.Lock())
    for puppet, arrow in steps:
        model: Model = puppet  # type: ignore[assignment] # as much of one as is asked for
        judge(model, arrow)
        recorder(model, arrow)
        with contextlib.suppress(Violation):
            monitor(model, arrow)
    says = [one for one in judge.faults if "on thread outside" not in one]
    return says, [*illegal_steps(SYSTEM, recorder.steps), *monitor.violations]


@pytest.mark.parametrize("seed", range(40))
def test_the_judge_says_what_the_monitor_says(seed: int) -> None:
    """Any steps, legal or not: both are content, or neither is."""
    dice = random.Random(seed)
    arrows = [one for one in SYSTEM.arrows.values() if one.machine in ("job", "worker", "pool")]
    puppets = [Puppet(name) for name in ("job", "job", "worker", "worker", "pool")]
    steps = []
    places = {id(one): SYSTEM.machines[one.machine_name].initial for one in puppets}
    for _ in range(12):
        puppet = dice.choice(puppets)
        legal = [
            one
            for one in arrows
            if one.machine == puppet.machine_name
            and (one.source == places[id(puppet)] or dice.random() < 0.02)
        ]
        if legal:
            arrow = dice.choice(legal)
            places[id(puppet)] = arrow.target
            steps.append((puppet, arrow))
    mine, theirs = judged(steps)
    assert bool(mine) == bool(theirs), (mine, theirs)


def test_a_state_that_requires_what_does_not_hold() -> None:
    puppet = Puppet("worker")
    puppet.answers = False
    arrows = SYSTEM.arrows
    mine, theirs = judged([(puppet, arrows["W1"]), (puppet, arrows["W4"])])
    assert any("requires" in one for one in mine)
    assert any("requires" in one for one in theirs)


def test_lives_are_well_by_the_monitor_too() -> None:
    for seed in range(25):
        life = Life(draw_plan(seed))
        monitor, recorder = Monitor(SYSTEM, threading.Lock()), Recorder(threading.Lock())
        judge = life.past.judge
        told = judge.told

        def both(
            record: Record,
            arrow: Arrow,
            told: Callable[..., None] = told,
            recorder: Recorder = recorder,
            monitor: Monitor = monitor,
        ) -> None:
            told(record, arrow)
            recorder(record.model, arrow)
            monitor(record.model, arrow)

        judge.told, judge.tells_all = both, True
        assert faults_of(life.play()) == []
        assert illegal_steps(SYSTEM, recorder.steps) == []
        assert monitor.violations == []
        assert len(recorder.steps) == len(judge.steps)


def test_who_may_fire_what() -> None:
    arrows = SYSTEM.arrows
    assert set(roles_of(SYSTEM, arrows["C8"]) or ()) == {"worker"}
    assert set(roles_of(SYSTEM, arrows["C9"]) or ()) == {"reactor"}
    assert set(roles_of(SYSTEM, arrows["C11"]) or ()) == {"worker"}
    assert set(roles_of(SYSTEM, arrows["C32"]) or ()) == {"reactor"}
    assert set(roles_of(SYSTEM, arrows["S3"]) or ()) == {"main"}
    assert set(roles_of(SYSTEM, arrows["A2"]) or ()) == {"worker", "reactor"}
    assert roles_of(SYSTEM, arrows["J3"]) is None


def test_an_arrow_on_the_wrong_thread_is_told() -> None:
    carrier = Carrier(lambda runnable, _: runnable[0])
    judge = Judge(book_of(sound_system), carrier)
    puppet: Model = Puppet("connection")  # type: ignore[assignment] # the same
    with carrier:
        carrier.spawn("worker_0", lambda: judge(puppet, SYSTEM.arrows["C1"]))
        carrier.run()
    assert [one.rpartition(" ")[2] for one in judge.faults] == ["worker_0"]
