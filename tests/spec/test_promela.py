"""The Promela writer, and what SPIN makes of it: as many states, and the same verdicts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from statemachine import __main__ as command
from statemachine import load_system, spin
from statemachine.composed import compose
from statemachine.liveness import Liveness
from statemachine.model import LeadsTo
from statemachine.promela import Writer, expression
from tests.spec.desk import load_desk, write_desk
from tests.spec.edits import Edit

needs_spin = pytest.mark.skipif(
    not (shutil.which("spin") and shutil.which("gcc")), reason="spin and gcc are not installed"
)


@pytest.mark.parametrize(
    ("python", "promela"),
    [
        ("(s[3] == 0) and not (s[b_x + 1] & 4 != 0)", "((s[3] == 0) && !(((s[8] & 4) != 0)))"),
        ("s[b_x] in (1, 2)", "(s[7] == 1 || s[7] == 2)"),
        ("(b_x in s[3:5])", "(7 == s[3] || 7 == s[4])"),
        ("((s[1] == 2) + (s[2] == 2) >= 1)", "(((s[1] == 2) + (s[2] == 2)) >= 1)"),
        ("True", "1"),
    ],
)
def test_conditions_are_turned(python: str, promela: str) -> None:
    assert expression(python, {"b_x": 7}) == promela


def test_a_step_is_guarded_and_done_at_once(tmp_path: Path) -> None:
    text = Writer(compose(load_desk(tmp_path), "one")).safety()
    (line,) = (x for x in text.splitlines() if x.endswith("/* serve */"))
    assert line.startswith("  :: d_step { ")
    assert "(s[4] == 5)" in line, "the first of the queue is the errand at 5"
    assert "forget()" in line


def test_outsiders_may_do_nothing_and_each_fair_step_has_a_process(tmp_path: Path) -> None:
    text = Writer(compose(load_desk(tmp_path), "two")).liveness()
    names = [x.split()[2] for x in text.splitlines() if x.startswith("active proctype")]
    fair = [x for x in names if not x.startswith("world")]
    assert [x.split("_")[1] for x in fair] == ["serve()", "serve()", "finish()", "finish()"]
    assert text.count("ltl turn_comes_") == 2


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["promela", "--bounds", "quick_ends"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("/* interlock, bounds quick_ends: generated from spec/ */\nbyte s[")
    assert "assert(" in text


def test_without_spin_nothing_is_judged_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command.main(["spin", "--bounds", "quick_ends"]) == 0
    said = capsys.readouterr().out
    assert said == "skipped: spin and gcc not found; SPIN judges nothing here\n"


@needs_spin
def test_spin_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_desk(tmp_path)
    assert command.main(["spin", "--spec", str(tmp_path), "--bounds", "two"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("two: SPIN: 10 states in ")
    assert said[0].endswith(", as many as the explorer finds")
    assert said[1:] == [
        "two: SPIN: 0 assertions fail",
        "two: SPIN: turn_comes holds: so says the explorer",
    ]


NO_POP: Edit = ("composition.toml", '{ pop = "errand" }, ', "")


@needs_spin
def test_spin_finds_what_the_explorer_finds(tmp_path: Path) -> None:
    model = compose(load_desk(tmp_path, NO_POP), "one")
    assert spin.safety(Writer(model).safety()).errors == 1


@needs_spin
def test_a_model_that_spin_refuses_is_told_in_one_line() -> None:
    with pytest.raises(spin.SpinFailed, match=r"spin -a model\.pml") as error:
        spin.safety("active proctype system() { do :: s[0] -> skip od }")
    assert "\n" not in str(error.value)


def test_without_persistence_the_projects_own_drain_may_wait_for_ever() -> None:
    """A stream that is made quickly may hold its lease whenever it is asked for."""
    judged = Liveness(compose(load_system(), "quick_ends"), persistence=False)
    failing = [one.id for one in judged.properties if judged.fails(one)]
    assert failing == [
        *("no_lost_job", "job_settles", "request_settles", "server_stops", "cut_ends"),
        "lame_duck_drains",
    ]
    assert all(isinstance(one, LeadsTo) for one in judged.properties)


def test_a_difference_between_the_two_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_desk(tmp_path, ("system.toml", "evenings = 1, leads_to = 1 }\n\n", "evenings = 1 }\n\n"))
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(spin, "safety", lambda text: spin.Run(states=9, errors=1))
    assert command.main(["spin", "--spec", str(tmp_path), "--bounds", "two"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith(", the explorer finds 10")
    assert said[1:] == ["two: SPIN: 1 assertions fail"]
