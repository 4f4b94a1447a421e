"""`python -m statemachine`: exit statuses, and one clear line for whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from statemachine import __main__ as command
from statemachine import generate, load_system
from tests.spec.edits import Edit
from tests.spec.lamp import write_lamp

TOP = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "statemachine", *arguments],
        cwd=TOP,
        env=os.environ | {"PYTHONWARNINGS": "error"},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_check_says_what_was_checked() -> None:
    done = run("check")
    assert (done.returncode, done.stderr) == (0, "")
    system = load_system()
    assert done.stdout == (
        f"{system.folder}: {len(system.machines)} machines, "
        f"{sum(len(m.states) for m in system.machines.values())} states, "
        f"{len(system.arrows)} arrows, {len(system.joints)} joint steps, "
        f"{len(system.properties)} properties: no findings\n"
    )


def test_generate_check_says_that_the_classes_are_current() -> None:
    done = run("generate", "--check")
    assert (done.returncode, done.stdout) == (0, "statemachine/_generated: up to date\n")


@pytest.mark.parametrize("wrong", [["paint"], [], ["check", "--fast"], ["check", "--spec"]])
def test_a_command_that_is_none_exits_2_with_the_usage(wrong: list[str]) -> None:
    done = run(*wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m statemachine")
    assert "Traceback" not in done.stderr


def test_help_shows_every_command() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("check", "generate", "draw"):
        assert f"python -m statemachine {name}" in done.stdout


class TestBrokenSpecs:
    def test_one_line_and_no_traceback(self, tmp_path: Path) -> None:
        write_lamp(tmp_path, ("lamp.toml", 'to = "LIT"', 'to = "LID"'))
        done = run("check", "--spec", str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "statemachine: lamp.toml: row T1: 'to' is 'LID', expected a state: BROKEN, DARK, LIT\n"
        )

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        done = run("check", "--spec", str(tmp_path / "nowhere"))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"statemachine: system.toml: no such file in {tmp_path / 'nowhere'}\n"
        )

    @pytest.mark.parametrize("name", [["check"], ["generate", "--check"], ["draw", "--check"]])
    def test_findings_are_told_one_a_line_by_every_command(
        self, name: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        edits: list[Edit] = [
            ("lamp.toml", 'driven_by = "main"', 'driven_by = "cat"'),
            ("system.toml", 'arrow = "T1"', 'arrow = "T7"'),
        ]
        write_lamp(tmp_path, *edits)
        assert command.main([*name, "--spec", str(tmp_path)]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.splitlines() == [
            "lamp.toml: driven_by: is 'cat', expected one of lock, main, owner, reactor",
            "system.toml: row shines: no arrow has the id T7",
        ]


class TestGenerate:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The generated files of a copy: no test may write into the project."""
        folder = tmp_path / "_generated"
        monkeypatch.setattr(generate.stale, "__defaults__", (folder,))
        monkeypatch.setattr(generate.write, "__defaults__", (folder,))

    def test_it_writes_what_is_old_and_then_has_nothing_to_do(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        assert command.main(["generate", "--check"]) == 1
        told = capsys.readouterr().err.splitlines()
        names = sorted(generate.generate(load_system()))
        assert told == [
            f"statemachine/_generated: {name} is out of date: run python -m statemachine generate"
            for name in names
        ]
        assert command.main(["generate"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"wrote statemachine/_generated/{name}" for name in names
        ]
        assert sorted(path.name for path in (tmp_path / "_generated").iterdir()) == names
        assert command.main(["generate"]) == 0
        assert command.main(["generate", "--check"]) == 0
        assert capsys.readouterr().out == "statemachine/_generated: up to date\n"
