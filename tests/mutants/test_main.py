"""The command: what it chooses, what it says of itself, and what it refuses."""

from __future__ import annotations

import pytest

from tests.mutants import __main__ as command
from tests.mutants.code import AREAS


def chosen(*arguments: str) -> list[str]:
    options = command._options(arguments)
    return [one.name for one in command._sampled(command._mutants(options), options)]


def test_names_choose_rows_machines_files_and_areas() -> None:
    assert chosen("spec", "H5", "--kind", "deleted") == ["H5 deleted"]
    assert len(chosen("spec", "readiness", "--kind", "deleted")) == 6
    ledger = chosen("code", "ledger")
    assert ledger == chosen("code", *AREAS["ledger"])
    assert len(ledger) > 20
    assert len(chosen("engine")) >= 20


@pytest.mark.parametrize(
    "arguments",
    [("spec", "Z1"), ("code", "server/nowhere.py"), ("code", "ledger", "--kind", "none")],
)
def test_what_there_is_not_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match=r"nothing is called (Z1|server/nowhere\.py|none)"):
        chosen(*arguments)


def test_a_sample_is_its_seed_s(capsys: pytest.CaptureFixture[str]) -> None:
    first = chosen("code", "ledger", "--sample", "10", "--seed", "3")
    assert len(set(first)) == 10
    assert first == chosen("code", "ledger", "--sample", "10", "--seed", "3")
    assert first != chosen("code", "ledger", "--sample", "10", "--seed", "4")
    assert "10 of " in capsys.readouterr().out
    # In a limited time, all of them, in an order that says nothing about them.
    order = chosen("code", "ledger", "--minutes", "1")
    assert order != chosen("code", "ledger")
    assert sorted(order) == sorted(chosen("code", "ledger"))


def test_it_says_what_was_asked() -> None:
    given = ("code", "ledger", "--sample", "10", "--list", "--record", "--json", "file")
    told = command._options(given).command
    assert told == "python -m tests.mutants code ledger --sample 10 --seed 1"
    assert command._options(["engine"]).command == "python -m tests.mutants engine"


def test_tests_that_are_nowhere_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["code", "baton", "--tests", "tests/nowhere.py"]) == 2
    assert capsys.readouterr().err == "mutants: no such tests: tests/nowhere.py\n"


def test_which_tests_met_them_is_part_of_the_command() -> None:
    options = command._options(["code", "baton", "--tests", "tests/machines/test_baton.py"])
    says = "python -m tests.mutants code baton --tests tests/machines/test_baton.py"
    assert options.command == says
