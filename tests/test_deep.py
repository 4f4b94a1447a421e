"""The long runs' table: a step that fails, hangs or is skipped is told as that, and hides none."""

from __future__ import annotations

import json

import pytest

from tests import deep
from tests.deep import Step


def script(name: str, text: str, seconds_max: float = 60.0) -> Step:
    return Step(name, ("-c", text), seconds_max)


def test_every_step_has_its_verdict_and_what_it_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    steps = [
        script("fails", "print('3 states, 4 transitions'); raise SystemExit('so it is')"),
        script("hangs", "import signal; print('begun', flush=True); signal.pause()", 0.0),
        script("lacks", "print('skipped: spin not found')"),
        script("counts", "print('12 states, \\n30 states, 5 transitions\\n7 schedules in 1 s')"),
    ]
    outcomes = deep.run(steps, jobs=2, patience=1.0)
    assert deep.report(outcomes, 1.0) == 1
    assert {one.name: one.verdict for one in outcomes} == {
        "fails": deep.FAILED,
        "hangs": deep.LATE,
        "lacks": deep.SKIPPED,
        "counts": deep.WELL,
    }
    out = capsys.readouterr().out
    assert "so it is" in out
    told = json.loads(out.splitlines()[-1])
    counts = next(one for one in told["steps"] if one["name"] == "counts")
    assert (counts["states"], counts["transitions"], counts["schedules"]) == (42, 5, 7)


def test_all_well_is_status_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert deep.report(deep.run([script("one", "")], jobs=1, patience=1.0), 1.0) == 0
    assert "1 steps, 0 not well" in capsys.readouterr().out


def test_no_such_step_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        deep.main(["--only", "nothing"])
    assert "a step of lives, stateful: machines" in capsys.readouterr().err
