"""The table is made of the kept run alone, and the README's is that table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.gauntlet import report
from benchmarks.gauntlet.__main__ import ROWS
from benchmarks.gauntlet.contenders import CONTENDERS
from benchmarks.gauntlet.readme import KEPT, README, up_to_date
from benchmarks.gauntlet.row import Options, Question, Result, Verdict

QUESTION = Question("stuck", "All stuck: a request?", "answered")
OTHER = Question("flood", "A flood: told?", "each")
GOOD, BAD = Result(Verdict.PASS, "0.1 s", {"seconds": 0.12345}), Result(Verdict.FAIL, "never")


def kept(*cells: report.Cell) -> dict[str, Any]:
    return report.kept(cells, report.conditions(CONTENDERS[:2], Options()))


def test_a_table_has_a_row_a_question_and_a_column_a_contender() -> None:
    run = kept(
        report.Cell(QUESTION, "Interlock", GOOD),
        report.Cell(QUESTION, "waitress", BAD),
        report.Cell(OTHER, "waitress", Result(Verdict.NOT_APPLICABLE, "n/a: not installed")),
    )
    lines = report.table(run).splitlines()
    assert "| All stuck: a request? | ✓ 0.1 s | ✗ never |" in lines
    assert "| A flood: told? | not run | n/a: not installed |" in lines
    assert lines[-1] == "Rows passed of 2: Interlock 1, waitress 0."


def test_two_runs_that_differ_are_both_shown_and_do_not_pass() -> None:
    cells = [report.Cell(QUESTION, "Interlock", one, n) for n, one in enumerate([GOOD, BAD], 1)]
    text = report.table(kept(*cells))
    assert "| ✓ 0.1 s<br>✗ never |" in text
    assert "Interlock 0," in text
    assert report.failed(cells, "Interlock") == ["stuck"]
    assert report.failed(cells[:1], "Interlock") == []
    assert report.failed(cells, "waitress") == []


def test_two_runs_that_agree_are_shown_once() -> None:
    cells = [report.Cell(QUESTION, "Interlock", GOOD, n) for n in (1, 2)]
    assert "| ✓ 0.1 s | not run |" in report.table(kept(*cells))


def test_a_run_that_was_kept_is_read_again(tmp_path: Path) -> None:
    run = kept(report.Cell(QUESTION, "Interlock", GOOD))
    report.write(tmp_path / "new" / "run.json", run)
    assert report.read(tmp_path / "new" / "run.json") == run
    assert run["rows"][0]["results"]["Interlock"][0]["figures"] == {"seconds": 0.123}


def test_what_was_run_again_replaces_what_it_was() -> None:
    old = kept(report.Cell(QUESTION, "Interlock", BAD), report.Cell(QUESTION, "waitress", BAD))
    again = (report.Cell(QUESTION, "Interlock", GOOD), report.Cell(OTHER, "Interlock", GOOD))
    new = report.kept(again, report.conditions(CONTENDERS[:1], Options()))
    table = report.table(report.merged(old, new, [OTHER.name, QUESTION.name]))
    assert table.splitlines()[-4:-2] == [
        "| A flood: told? | ✓ 0.1 s | not run |",
        "| All stuck: a request? | ✓ 0.1 s | ✗ never |",
    ]


def test_questions_have_names_of_their_own() -> None:
    names = [question.name for row in ROWS for question in row.questions]
    assert len(names) == len(set(names)) > 20


def test_the_place_of_the_table_must_be_there() -> None:
    text = "before\n<!-- measured: gauntlet -->\nold\n<!-- end -->\nafter\n"
    assert up_to_date(text, "new\n") == text.replace("old", "\nnew\n")
    with pytest.raises(ValueError, match="0 places"):
        up_to_date("no place", "new\n")


@pytest.mark.skipif(not KEPT.exists(), reason="no run is kept yet")
def test_the_table_of_the_readme_is_the_kept_run_s() -> None:
    text = README.read_text(encoding="utf-8")
    run = report.read(KEPT)
    assert text == up_to_date(text, report.table(run)), "run python -m benchmarks.gauntlet.readme"


@pytest.mark.skipif(not KEPT.exists(), reason="no run is kept yet")
def test_the_kept_run_is_whole_and_of_today_s_questions() -> None:
    rows = report.read(KEPT)["rows"]
    asked = [(q.name, q.asks, q.judged) for row in ROWS for q in row.questions]
    assert [(row["name"], row["asks"], row["judged"]) for row in rows] == asked
    for row in rows:
        assert row["results"].keys() == {one.name for one in CONTENDERS}
        assert all(len(runs) >= 2 for runs in row["results"].values())
