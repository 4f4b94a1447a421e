"""`tests.house.arrows`: it deletes one row, no more, and can tell whether that is noticed."""

from __future__ import annotations

import pytest

from statemachine import load_system, spec_folder
from tests.house import arrows
from tests.house.source import TOP

SYSTEM = load_system()


def test_exactly_one_row_is_deleted() -> None:
    for arrow in SYSTEM.arrows.values():
        with arrows.spec_without(arrow) as folder:
            left = load_system(folder).arrows
        assert SYSTEM.arrows.keys() - left.keys() == {arrow.id}


def test_the_environment_names_another_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    with arrows.spec_without(SYSTEM.arrows["L8"]) as folder:
        monkeypatch.setenv("INTERLOCK_SPEC", str(folder))
        assert spec_folder() == folder
        assert "L8" not in load_system().arrows
    monkeypatch.setenv("INTERLOCK_SPEC", "")
    assert "L8" in load_system().arrows


@pytest.mark.parametrize("name", ["S1", "P2"])
def test_the_static_checks_notice(name: str) -> None:
    by = arrows.judge(SYSTEM.arrows[name]).by
    assert by is not None
    assert by.startswith("check: ")


def test_tests_notice_what_the_static_checks_do_not() -> None:
    arrow = SYSTEM.arrows["A6"]
    with arrows.spec_without(arrow) as folder:
        assert arrows.found_by_check(folder) is None
    by = arrows.judge(arrow).by
    assert by is not None
    assert by.startswith("tests/machines/test_response.py::")


def test_an_arrow_that_nobody_takes_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrows, "tests_of", lambda _: ["tests/http1/test_grammar.py"])
    assert arrows.judge(SYSTEM.arrows["A6"]).by is None


def test_tests_that_fail_anyway_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrows, "tests_of", lambda _: ["tests/no_such_file.py"])
    with pytest.raises(arrows.BaselineFailed):
        arrows.require_baseline("response")


@pytest.mark.parametrize("machine", SYSTEM.machines)
def test_every_machine_has_tests(machine: str) -> None:
    names = arrows.tests_of(machine)
    assert names
    assert [name for name in names if not (TOP / name).exists()] == []


def test_a_machine_without_tests_fails_at_once() -> None:
    with pytest.raises(arrows.BaselineFailed, match="there are no tests"):
        arrows.require_baseline("no_such_machine")


def test_names_choose_arrows() -> None:
    assert [one.id for one in arrows.chosen(SYSTEM, ["L3", "response"])][:2] == ["L3", "A1"]
    assert len(arrows.chosen(SYSTEM, [])) == len(SYSTEM.arrows)
    with pytest.raises(SystemExit, match="no arrow and no machine is called Z1"):
        arrows.chosen(SYSTEM, ["Z1"])
