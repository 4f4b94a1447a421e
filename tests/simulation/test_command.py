"""`python -m server simulate`, as its user sees it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from server.cli import main
from server.simulation import bearers
from server.simulation.life import Life
from server.simulation.plan import draw_plan
from server.simulation.shrink import key_of
from tests.simulation.test_planted import drop_a_byte


def simulate(*arguments: str) -> int:
    return main(["simulate", *arguments])


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """What these tests simulate as a user's application."""
    if environ["PATH_INFO"] == "/boom":
        raise ValueError("boom")
    environ["wsgi.errors"].write("a line of the application's own\n")
    content = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello ", content]


APP = f"{__name__}:application"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Content of connections that send more than fits goes missing by a byte."""
    drop_a_byte(monkeypatch)


def test_many_lives_end_in_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--lives", "20", "--seed", "3") == 0
    told = capsys.readouterr()
    assert "20 lives from seed 3: none failed" in told.out
    assert re.search(r"requests: \d+ accepted: \d+ answered", told.out)
    assert re.search(r"arrows: \d+ of \d+ taken at least once, \d+ in all; never: ", told.out)
    assert told.err == ""


def test_failures_are_told_by_seed_and_end_in_1(
    broken: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate("--lives", "30") == 1
    told = capsys.readouterr().out
    found = re.search(r"^life (\d+) failed: (.*)$", told, re.MULTILINE)
    assert found
    assert simulate("--seed", found[1], "--lives", "1", "--verbose") == 1
    again = capsys.readouterr().out
    assert f"life {found[1]} failed: {found[2]}" in again
    assert "connects" in again
    assert re.search(r"^ +\d+\.\d{3}  reactor +connection#\d+ C1 ", again, re.MULTILINE)


def test_a_failing_life_is_made_smaller(broken: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--lives", "60") == 1
    found = re.search(r"life (\d+) failed: (.*)", capsys.readouterr().out)
    assert found
    assert simulate("--seed", found[1], "--lives", "1", "--shrink") == 1
    told = capsys.readouterr().out
    again = re.search(r"^again: (.*)$", told, re.MULTILINE)
    assert again
    asked = re.findall(r"^    r\d+: ", told, re.MULTILINE)
    assert len(asked) == 1, "one request is enough for this bug"
    assert simulate(*again[1].split()) == 1
    failed = re.search(r"life \d+ failed: (.*)", capsys.readouterr().out)
    assert failed
    assert key_of(failed[1]) in told or key_of(failed[1]) == key_of(found[2])


def test_a_life_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    seed = next(one for one in range(50) if "C8" in Life(draw_plan(one)).play().taken)
    assert simulate("--seed", str(seed), "--lives", "1", "--diagram") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sequenceDiagram"
    assert "    participant reactor" in lines
    assert any("->>worker_" in line and " C8 taken" in line for line in lines)


def test_an_application_is_asked_what_the_scenario_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(
        '[[request]]\nmethod = "POST"\ntarget = "/cart"\ncontent = "abc"\nstatus = 200\n'
        'fields = { Content-Type = "text/plain" }\n'
    )
    assert simulate("--app", APP, "--scenario", str(scenario), "--lives", "20") == 0
    assert "20 lives from seed 1: none failed" in capsys.readouterr().out
    scenario.write_text('[[request]]\ntarget = "/boom"\n')
    assert simulate("--app", APP, "--scenario", str(scenario), "--lives", "2") == 1
    assert "the application failed: GET /boom: ValueError('boom')" in capsys.readouterr().out
    scenario.write_text('[[request]]\ntarget = "/"\nstatus = [201]\n')
    assert simulate("--app", APP, "--scenario", str(scenario), "--lives", "2") == 1
    assert "was answered 200, expected (201,)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no request, expected [[request]] tables"),
        ("x = ", "is no TOML"),
        ("request = [1]", "request 1 is 1, expected a table"),
        ('[[request]]\nurl = "/"', "request 1 has url, expected content, fields, method"),
        ('[[request]]\ntarget = "x"', "has the target 'x', expected a path"),
        ("[[request]]\nmethod = 7", "has the method 7, expected one like GET"),
        ("[[request]]\nfields = 7", "has fields 7, expected a table of texts"),
        ("[[request]]\ncontent = 7", "has content 7, expected a text"),
        ("[[request]]\nstatus = 7", "has the status 7, expected numbers from 200 to 599"),
    ],
)
def test_a_scenario_that_is_none_is_told_in_a_line(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(text)
    assert simulate("--app", APP, "--scenario", str(scenario)) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--verbose"], "are of one life: say --lives 1"),
        (["--lives", "1", "--without", "c99"], "--without c99: this life has c0"),
        (["--scenario", "x"], "says what an --app is asked, and none is named"),
        (["--app", "nowhere:app"], "there is no module nowhere"),
        (["--jobs", "0"], "--jobs is 0, expected 1 or more"),
    ],
)
def test_a_wrong_command_line_is_told_in_a_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(*arguments) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


def test_without_greenlet_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> object:
        if name == "greenlet":
            raise ImportError(name)
        return real(name, package)

    bearers.greenlets.cache_clear()
    monkeypatch.setattr(importlib, "import_module", missing)
    assert simulate("--lives", "1") == 2
    bearers.greenlets.cache_clear()
    assert "pip install 'interlock[simulate]'" in capsys.readouterr().err


def test_jobs_are_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--lives", "101", "--jobs", "2") == 0
    assert "101 lives from seed 1: none failed" in capsys.readouterr().out
