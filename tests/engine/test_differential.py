"""The sealing compiler against stock `transitions`: random machines do the same on both.

And the comparison can fail: each fault put into the compiler on purpose is noticed.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachine import machine, sealing
from tests.engine import differential

MACHINES = 1_500
SEED = 20_240_601


def test_random_machines_do_the_same_on_both_engines() -> None:
    assert differential.run(MACHINES, SEED) == []


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.randoms(use_true_random=False))
def test_machines_that_hypothesis_draws_do_the_same_on_both_engines(chance: random.Random) -> None:
    assert differential.difference(differential.draw(chance)) == ""


def _outcomes(machines: int) -> Iterator[str]:
    for number in range(machines):
        stock, _ = differential.play(differential.recipe_of(SEED, number))
        for moment in stock:
            yield moment.what
            yield " ".join(str(part) for part in moment.outcome[:2])
            yield from (f"logged at {level}" for level, _ in moment.said)
            yield from (f"counted {times}" for times in moment.counted)
            if len(moment.seen) > 6:
                yield "many callbacks"


def test_the_random_machines_reach_every_kind_of_outcome() -> None:
    counts = Counter(_outcomes(300))
    for outcome in (
        *("fire", "set", "returned True", "returned False", "raised MachineError"),
        *("raised ValueError", "raised KeyboardInterrupt", "raised SystemExit", "raised Odd"),
        *("logged at 30", "logged at 40", "many callbacks", "counted 0", "counted 2"),
    ):
        assert counts[outcome] >= 10, (outcome, counts)


FAULTY_TEXT: dict[str, tuple[str, str]] = {
    "guards pass when true, not when equal to True": (" == True", ""),
    "unless passes when not True": (" == False", " != True"),
    "a refusal answers None": ("return False", "return None"),
    "a move answers 1": ("return True", "return 1"),
    "an enum's member passes for a text": ("s.__class__ is str and ", ""),
    "a text's place is not looked up by name": ("return OTHERWISE(self)", "return False"),
    "only Exceptions are handed to on_exception": ("except BaseException:", "except Exception:"),
    "only Exceptions of finalize are swallowed": (
        "except BaseException as error",
        "except Exception as error",
    ),
    "an error of finalize is not logged": ("SWALLOWED(error)", "pass"),
    "the second guard is not asked": (" and ", " or "),
}


def _noticed() -> bool:
    return any(
        differential.difference(differential.recipe_of(SEED, number)) for number in range(MACHINES)
    )


@pytest.mark.parametrize("fault", FAULTY_TEXT)
def test_a_fault_in_the_text_is_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sound, (old, new) = sealing.Writer.function, FAULTY_TEXT[fault]
    monkeypatch.setattr(sealing.Writer, "function", lambda writer: sound(writer).replace(old, new))
    assert _noticed()


def _split(callbacks: tuple[sealing.Callback, ...]) -> tuple[tuple[sealing.Callback, ...], ...]:
    """The callbacks that the recipe names, and the tallies."""
    named = (*differential.METHODS, *differential.CALLABLES.values())
    return tuple(c for c in callbacks if c in named), tuple(c for c in callbacks if c not in named)


FAULTY_ROW: dict[str, Callable[[sealing.Row], sealing.Row]] = {
    "before and exit callbacks in another order": lambda row: dataclasses.replace(
        row, leaving=row.leaving[::-1]
    ),
    "enter and after callbacks in another order": lambda row: dataclasses.replace(
        row, arriving=row.arriving[::-1]
    ),
    "prepare is not called": lambda row: dataclasses.replace(row, prepare=()),
    "guards are asked in another order": lambda row: dataclasses.replace(
        row, tests=row.tests[::-1]
    ),
    "callbacks of the target come before the assignment": lambda row: dataclasses.replace(
        row, leaving=row.leaving + row.arriving, arriving=()
    ),
    "tallies are left out": lambda row: dataclasses.replace(row, leaving=_split(row.leaving)[0]),
    "tallies come before the guards": lambda row: dataclasses.replace(
        row, prepare=row.prepare + _split(row.leaving)[1], leaving=_split(row.leaving)[0]
    ),
    "tallies come before what may raise": lambda row: dataclasses.replace(
        row, leaving=_split(row.leaving)[1] + _split(row.leaving)[0]
    ),
    "tallies come after the move": lambda row: dataclasses.replace(
        row, leaving=_split(row.leaving)[0], arriving=row.arriving + _split(row.leaving)[1]
    ),
}


@pytest.mark.parametrize("fault", FAULTY_ROW)
def test_a_fault_in_reading_a_row_is_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = machine._row
    monkeypatch.setattr(machine, "_row", lambda *given: FAULTY_ROW[fault](sound(*given)))
    assert _noticed()


def test_the_command_line_counts_and_replays(capsys: pytest.CaptureFixture[str]) -> None:
    assert differential.main(["--machines", "50", "--seed", "7"]) == 0
    assert capsys.readouterr().out == "50 machines, seed 7: 0 differ\n"
    assert differential.main(["--seed", "7", "--only", "3"]) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_the_command_line_shows_what_differs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = sealing.Writer.function
    monkeypatch.setattr(
        sealing.Writer, "function", lambda writer: sound(writer).replace("return True", "return")
    )
    assert differential.main(["--machines", "20", "--seed", "7"]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("20 machines, seed 7: ")
    assert " of seed 7: step " in shown.err
    assert "script=" in shown.err
