"""docs/conformance.md is true as far as a program can tell, and the program can tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.http1 import conformance as tool
from tests.http1.conformance import Conformance, Requirement, load

SOUND = Requirement(
    id="9112-3.2-x",
    level="MUST",
    says="do",
    verdict="kept",
    kept_in="server/errors.py",
    tests=("a.py::*",),
)
STUDY = {f"{number}-rule": "no HTTP/2" for number in range(1, 107)}
KNOWN = Conformance((SOUND,), {}, STUDY, {"a.py::test_a": frozenset()})


def test_the_requirements_and_the_page_are_as_they_should_be() -> None:
    assert tool.faults_of(load()) == []


def test_a_sound_one_has_no_faults() -> None:
    assert list(KNOWN.faults()) == []


def with_study(rule: str, where: str) -> Conformance:
    return replace(KNOWN, study=STUDY | {rule: where})


def with_row(**changes: str | tuple[str, ...]) -> Conformance:
    return replace(KNOWN, requirements=(replace(SOUND, **changes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (with_row(tests=()), "9112-3.2-x: is kept and has no test"),
        (with_row(tests=("a.py::*", "b.py::*")), "9112-3.2-x: no test fits b.py::*"),
        (with_row(kept_in="server/none.py"), "9112-3.2-x: there is no server/none.py"),
        (with_row(kept_in=""), "9112-3.2-x: a kept one has kept_in, any other one has its why"),
        (with_row(verdict="refused", kept_in=""), "9112-3.2-x: a kept one has kept_in, any other"),
        (with_row(level="OUGHT"), "9112-3.2-x: is OUGHT, kept"),
        (with_row(verdict="broken", kept_in="", why="no"), "9112-3.2-x: is MUST, broken"),
        (with_row(id="9112 3.2"), "9112 3.2: its id is not RFC-section or RFC-section-word"),
        (replace(KNOWN, requirements=(SOUND, SOUND)), "9112-3.2-x: there are 2 of it"),
        (
            replace(KNOWN, marks=dict(KNOWN.marks) | {"b": frozenset({"9112-99"})}),
            "b: is marked 9112-99, which is no section or id of requirements.toml",
        ),
        (replace(KNOWN, study={}), "the study's rules are not numbered 1 to 106"),
        (with_study("7-rule", "9112-99"), "rule 7-rule: 9112-99 is no requirement and no reason"),
        (with_study("7-rule", "never: ETag"), "rule 7-rule: the server does send ETag"),
        (with_study("7-rule", "never: 301"), "rule 7-rule: the server does send 301"),
    ],
)
def test_each_fault_is_told(wrong: Conformance, fault: str) -> None:
    assert [one for one in wrong.faults() if one.startswith(fault)]


def test_a_rule_of_the_study_that_is_not_kept_is_told() -> None:
    row = replace(SOUND, verdict="refused", kept_in="", why="no")
    wrong = replace(KNOWN, requirements=(row,), study=STUDY | {"7-rule": "9112-3.2-x"})
    assert list(wrong.faults()) == [
        "rule 7-rule: 9112-3.2-x is not kept, and the page says that all are"
    ]


def test_a_mark_counts_for_its_requirement_alone() -> None:
    marks = {
        "a.py::test_a": frozenset({"9112-3.2"}),
        "b.py::test_b": frozenset({"9112-3.2-x"}),
        "c.py::test_c": frozenset({"9112-3.2-y"}),
    }
    assert replace(KNOWN, marks=marks).tests_of(replace(SOUND, tests=())) == ["b.py::test_b"]
    assert replace(KNOWN, marks=marks).tests_of(SOUND) == ["a.py::test_a", "b.py::test_b"]


def test_marks_are_read_from_the_text() -> None:
    marks = load().marks
    assert marks["corpus/invalid/both-framings"] == {"9112-6.3"}
    assert marks["test_clock.py::test_the_example_of_the_rfc"] == {"9110-5.6.7"}


def test_a_page_of_yesterday_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tool, "PAGE", tmp_path / "conformance.md")
    told = ["docs/conformance.md is not the present one: make conformance"]
    assert tool.faults_of(KNOWN) == told
    tool.PAGE.write_text(tool.page(KNOWN))
    assert tool.faults_of(KNOWN) == []
    assert tool.faults_of(replace(KNOWN, sections={"1": "x"})) == []
    tool.PAGE.write_text(tool.page(KNOWN) + "\n")
    assert tool.faults_of(KNOWN) == told
