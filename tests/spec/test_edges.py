"""What the loader, the engine and the monitor do where nobody looks: each found by a mutant."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from statemachine import check, load_system
from statemachine._generated import WorkerState
from statemachine.loader import load_machine
from statemachine.machine import build
from statemachine.model import Place
from statemachine.trace import Monitor, Violation
from tests.spec.lamp import load_lamp

SYSTEM = load_system()
ARROWS = SYSTEM.arrows


def test_a_drawing_may_touch_its_comment_sign(tmp_path: Path) -> None:
    rows = (Path(SYSTEM.folder) / "pipe.toml").read_text(encoding="utf-8").splitlines()
    first = next(n for n, row in enumerate(rows) if not row.startswith("#"))
    file = tmp_path / "pipe.toml"
    comment = ["#drawn close", "#", "#  indented", "# plain"]
    file.write_text("\n".join([*comment, *rows[first:]]), encoding="utf-8")
    assert load_machine(file).drawing.split("\n") == ["drawn close", "", " indented", "plain"]


def test_a_machine_that_is_not_sealed_yet_takes_models() -> None:
    machine = build(SYSTEM.machines["worker"], WorkerState, SYSTEM)
    model = SimpleNamespace()
    machine.add_model(model)
    assert machine.models == [model]
    machine.add_states(["LIMBO"])
    machine.add_transition("flee", "LIMBO", WorkerState.DEAD)
    assert "flee" in machine.events
    assert len(machine.get_transitions("flee")) == 1
    machine.remove_transition("flee", "LIMBO")
    assert machine.get_transitions("flee") == []


def test_a_deadline_that_is_no_word_of_the_vocabulary_is_found(tmp_path: Path) -> None:
    edit = ("lamp.toml", 'deadline = "lit_seconds_max"', 'deadline = "dark_seconds_max"')
    assert [str(one) for one in check(load_lamp(tmp_path, edit))] == [
        "lamp.toml: state LIT: deadline 'dark_seconds_max' is not in the vocabulary",
        "vocabulary.toml: lit_seconds_max: no row and no state uses it",
    ]


def test_of_alternatives_in_a_step_none_needs_to_say_so(tmp_path: Path) -> None:
    either = ("system.toml", 'arrows = ["T1", "H1"]', 'arrows = [["T1", "T2"], "H1"]')
    assert check(load_lamp(tmp_path, either)) == []
    silent = ("hand.toml", 'to = "DONE", sync = "press"', 'to = "DONE"')
    assert [str(one) for one in check(load_lamp(tmp_path, silent))] == [
        "hand.toml: row H1: takes part in the joint step press and does not say so: sync"
    ]


def test_what_leads_to_a_state_must_be_able_to_come_there(tmp_path: Path) -> None:
    edit = (
        "system.toml",
        'from = "lamp.LIT", to = ["lamp.BROKEN"]',
        'from = "lamp.LIT", to = ["lamp.DARK"]',
    )
    assert [str(one) for one in check(load_lamp(tmp_path, edit))] == [
        "system.toml: row ends: lamp.LIT cannot come to lamp.DARK"
    ]


class Breaking:
    """A worker's initializer raises, and the pool breaks: one step, of which a half says so."""

    def __init__(self) -> None:
        self.monitor = Monitor(SYSTEM, threading.Lock())
        # A property is broken all the while, and is judged where no step is half done.
        self.monitor.occupancy[Place("pool", "STOPPED")] += 1
        self.monitor.occupancy[Place("worker", "IDLE")] += 1

    def takes(self, name: str) -> None:
        answers = {word.python: lambda: False for word in SYSTEM.vocabulary.conditions.values()}
        self.monitor(cast("Any", SimpleNamespace(**answers)), ARROWS[name])


def test_a_step_is_half_done_until_its_last_arrow() -> None:
    step = next(joint for joint in SYSTEM.joints if joint.id == "break")
    (first,), others = step.groups
    assert ARROWS[first].sync == "break"
    for other in others:
        assert ARROWS[other].sync is None
        play = Breaking()
        play.takes(first)
        with pytest.raises(Violation, match="stopped_no_idle"):
            play.takes(other)


def test_an_arrow_of_a_step_that_has_not_begun_is_none_of_it() -> None:
    with pytest.raises(Violation, match="stopped_no_idle"):
        Breaking().takes("P2")


def test_within_a_half_done_step_nothing_else_is_judged() -> None:
    play = Breaking()
    play.takes("W2")
    play.takes("W1")
    with pytest.raises(Violation):
        play.takes("P2")
    with pytest.raises(Violation):
        play.takes("W1")


def test_the_last_ten_arrows_are_told() -> None:
    monitor = Monitor(SYSTEM, threading.Lock())
    play = Breaking()
    play.monitor = monitor
    for _ in range(12):
        play.takes("C1")
    monitor.occupancy.update({Place("pool", "STOPPED"): 1, Place("worker", "IDLE"): 1})
    with pytest.raises(Violation) as caught:
        play.takes("L1")
    assert str(caught.value).count("C1 connection") == 9
    assert str(caught.value).endswith(f"; {ARROWS['L1']})")
    assert monitor.violations == ["stopped_no_idle: A stopped pool has no worker that waits."]
