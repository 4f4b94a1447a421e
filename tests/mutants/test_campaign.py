"""A kill is a kill, a hole is told as a survivor, and what does not end is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.mutants import forking
from tests.mutants.forking import Child, Children
from tests.mutants.mutant import TOP

SCRIPT = """
import json, os, sys
from pathlib import Path
os.environ["HYPOTHESIS_PROFILE"] = "mutants"
from tests.mutants import code
from tests.mutants.campaign import OnCode, record_missing, run
from tests.mutants.stored import Trails, Verdicts
from tests.mutants.warm import Warm

place, file = Path(sys.argv[1]), sys.argv[2]
warm = Warm([file], place / "tests")
trails = record_missing(warm, Trails(place))
names = [name.rsplit("::")[-1] for name in trails]
paths = ["server/http1/persistence.py", "server/net/sleepers.py", "server/http1/lines.py"]
mutants = [one for one in code.mutants(paths) if any(word in one.name for word in sys.argv[3:])]
store = Verdicts([], place)
verdicts = run(mutants, OnCode(warm, trails, place), store, jobs=2)
warm.close()
print(json.dumps([names, [[one.mutant.name, one.outcome, one.by] for one in verdicts]]))
"""
HOLES = "tests/mutants/holes.py"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, list[str]]]:
    """Which tests were recorded, and the outcome of each mutant, with what told."""
    place = tmp_path_factory.mktemp("campaign")
    words = ["without_cr", "(module): 4 → (5)", "Sleepers.wake_all"]
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(place), HOLES, *words],
        cwd=TOP,
        env=os.environ | {"PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    names, verdicts = json.loads(run.stdout)
    return names, {name: rest for name, *rest in verdicts}


Found = tuple[list[str], dict[str, list[str]]]


def test_a_kill_names_the_test(found: Found) -> None:
    _, verdicts = found
    killed = [by for name, (outcome, by) in verdicts.items() if "without_cr" in name]
    assert killed
    assert any(by.endswith("::test_lines") for by in killed)


def test_a_constant_of_a_module_is_planted_before_it_is_loaded(found: Found) -> None:
    _, verdicts = found
    outcome, by = verdicts["server/net/sleepers.py (module): 4 → (5)"]
    assert outcome == "killed"
    assert by.endswith("::test_constant")


def test_a_hole_is_told_as_a_survivor(found: Found) -> None:
    _, verdicts = found
    outcomes = {name: outcome for name, (outcome, _) in verdicts.items() if "wake_all" in name}
    assert outcomes["server/net/sleepers.py Sleepers.wake_all: self.clear() → pass"] == "survived"
    assert set(outcomes.values()) == {"survived"}


def test_a_test_that_fails_anyway_kills_nobody(found: Found) -> None:
    names, verdicts = found
    assert "test_that_is_not_fit" not in names
    assert "test_a_hole" in names
    assert not [by for _, by in verdicts.values() if "not_fit" in by]


# --- children ------------------------------------------------------------------------------------


def child_of(play: Callable[[int], None], *, seconds_max: float = 30.0) -> Child:
    """What becomes of a child that does this."""

    def begin(descriptor: int) -> None:
        if os.fork() == 0:
            os.setsid()
            os.write(descriptor, b"pid %d\n" % os.getpid())
            play(descriptor)
            os._exit(0)

    children = Children()
    child = children.start(begin, limit=lambda _: 0.0, seconds_max=seconds_max)
    while child not in list(children.ended()):
        pass
    return child


def hang(descriptor: int) -> None:
    os.write(descriptor, b"run a test\n")
    while True:
        time.sleep(60)


def test_a_mutant_has_survived_the_tests_that_there_was_time_for() -> None:
    child = child_of(hang, seconds_max=0.2)
    assert (child.outcome, child.by) == ("survived", "0 s of tests")


def test_a_child_whose_test_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "TELLS_LIMIT", 0.05)
    child = child_of(hang)
    assert child.outcome == "killed"
    assert child.by.startswith("a test (no end within ")
    assert child.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_child_that_vanishes_is_a_kill() -> None:
    def vanish(descriptor: int) -> None:
        os.write(descriptor, b"run a test\n")
        os._exit(7)

    child = child_of(vanish)
    assert (child.outcome, child.by) == ("killed", "a test (the process ended)")


@pytest.mark.parametrize("outcome", ["killed", "survived", "cold", "broken"])
def test_what_a_child_says_last_counts(outcome: str) -> None:
    def tell(descriptor: int) -> None:
        os.write(descriptor, f"run a test\n{outcome} by this\n".encode())

    child = child_of(tell)
    assert (child.outcome, child.by) == (outcome, "by this")
