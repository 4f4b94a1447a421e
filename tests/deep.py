"""The long runs, together: `python -m tests.deep`, which is `make deep`.

Two steps run at a time. Each has a time that it may take; one that fails or is over its time hides
no other, and what it said is shown at the end. Then there is one table of all of them, and the same
as JSON: what ran, how much of it, how long, and the verdict.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

TOP: Final = Path(__file__).parents[1]
POLL_SECONDS: Final = 0.2
TAIL_LINES: Final = 25
"""So much is shown of what a failing step said."""

WELL, FAILED, LATE, SKIPPED = "well", "FAILED", "OVER ITS TIME", "skipped"

FIGURES: Final = {
    "states": re.compile(r"(\d+) states,"),
    "transitions": re.compile(r"(\d+) transitions"),
    "tests": re.compile(r"(\d+) passed"),
    "lives": re.compile(r"^(\d+) lives from", re.MULTILINE),
    "requests": re.compile(r"^requests: (\d+) accepted", re.MULTILINE),
    "arrows": re.compile(r"at least once, (\d+) in all"),
    "machines": re.compile(r"^(\d+) machines, seed", re.MULTILINE),
    "schedules": re.compile(r"^(\d+) schedules in", re.MULTILINE),
    "bugs": re.compile(r"^(\d+) of \d+ found in", re.MULTILINE),
}
"""What is counted in what a step says; more than one of a kind are added up."""


@dataclass(frozen=True, slots=True)
class Step:
    """One run. `arguments` are Python's, `seconds_max` of the clock is what it may take."""

    name: str
    arguments: tuple[str, ...]
    seconds_max: float
    profile: str = ""


@dataclass(slots=True)
class Outcome:
    """What came of a step. `cpu_seconds` are its processor's, those of its children included."""

    name: str
    command: str
    verdict: str
    seconds: float
    cpu_seconds: float
    figures: dict[str, int] = field(default_factory=dict)
    said: str = ""


def steps(seed: int) -> tuple[Step, ...]:
    """All of them, the longest first: so that both processors have something to do to the end."""

    def python(name: str, seconds_max: float, text: str) -> Step:
        return Step(name, ("-m", *shlex.split(text)), seconds_max)

    def tests(folder: str, seconds_max: float) -> Step:
        text = f"-m pytest -q -p no:cacheprovider --timeout={seconds_max:.0f} tests/{folder}"
        return Step(f"stateful: {folder}", tuple(text.split()), seconds_max, "deep")

    at_locks = "--preemptions 2 --no-release-points"
    return (
        python("lives", 700, f"server simulate --seed {seed} --lives 100000"),
        tests("machines", 500),
        tests("interleavings", 400),
        tests("engine", 300),
        tests("simulation", 300),
        python("explorer", 300, "statemachine explore --bounds deep"),
        python("spin: quick_pool", 120, "statemachine spin --bounds quick_pool"),
        python("spin: quick_ends", 120, "statemachine spin --bounds quick_ends"),
        python("spin: quick_stream", 120, "statemachine spin --bounds quick_stream"),
        python("engines compared", 180, "tests.engine.differential --machines 10000 --seed 1"),
        python(
            "schedules: classes",
            180,
            f"tests.interleavings explore 'pool: 2 o o d' {at_locks} --classes",
        ),
        python("schedules: all", 60, f"tests.interleavings explore 'pool: 2z1 o o d' {at_locks}"),
        python("schedules: bugs", 180, "tests.interleavings catalogue"),
        python("schedules: drawn", 60, f"tests.interleavings random --seconds 20 --seed {seed}"),
        python(
            "statements: drawn",
            60,
            f"tests.interleavings random --points --seconds 30 --seed {seed}",
        ),
        python(
            "statements: pct", 60, f"tests.interleavings pct --points --seconds 20 --seed {seed}"
        ),
    )


class Running:
    """A step that has begun, in a process group of its own."""

    def __init__(self, step: Step, seconds_max: float) -> None:
        self.step = step
        self.said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has ended
        self.began = time.monotonic()
        self.until = self.began + seconds_max
        self._is_late = False
        profile = {"HYPOTHESIS_PROFILE": step.profile} if step.profile else {}
        self._process = subprocess.Popen(
            [sys.executable, *step.arguments],
            cwd=TOP,
            env=os.environ | profile,
            stdin=subprocess.DEVNULL,
            stdout=self.said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def ended(self) -> Outcome | None:
        """What came of it; None while it runs. One that is over its time is ended here."""
        if time.monotonic() > self.until and not self._is_late:
            self._is_late = True
            self.kill()
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if not pid:
            return None
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.said.seek(0)
        said = self.said.read().decode(errors="replace")
        self.said.close()
        return Outcome(
            name=self.step.name,
            command=shlex.join(["python", *self.step.arguments]),
            verdict=LATE if self._is_late else verdict_of(self._process.returncode, said),
            seconds=round(self.seconds, 1),
            cpu_seconds=round(usage.ru_utime + usage.ru_stime, 1),
            figures=figures_in(said),
            said=said,
        )

    def kill(self) -> None:
        """End it, and all that it has begun."""
        os.killpg(self._process.pid, signal.SIGKILL)


def verdict_of(status: int, said: str) -> str:
    """By its exit status, and by whether it says that it was skipped."""
    if status:
        return FAILED
    return SKIPPED if said.startswith("skipped: ") else WELL


def figures_in(said: str) -> dict[str, int]:
    """How much a step did, by what it says."""
    found = {name: [int(x) for x in pattern.findall(said)] for name, pattern in FIGURES.items()}
    return {name: sum(numbers) for name, numbers in found.items() if numbers}


def run(todo: Iterable[Step], *, jobs: int, patience: float) -> list[Outcome]:
    """Run the steps, so many at a time, each for `patience` times its time at most."""
    left, running, outcomes = list(todo), list[Running](), list[Outcome]()
    whole = len(left)
    try:
        while left or running:
            while left and len(running) < jobs:
                step = left.pop(0)
                running.append(Running(step, step.seconds_max * patience))
            for one in list(running):
                outcome = one.ended()
                if outcome is not None:
                    running.remove(one)
                    outcomes.append(outcome)
                    _wipe()
                    print(row(outcome), flush=True)
            _tell(running, len(outcomes), whole)
            time.sleep(POLL_SECONDS)
    finally:
        for one in running:
            one.kill()
    return outcomes


def _tell(running: Sequence[Running], done: int, whole: int) -> None:
    """On a terminal: how many are done, and what runs."""
    if sys.stderr.isatty():
        now = ", ".join(f"{one.step.name} {one.seconds:.0f} s" for one in running)
        print(f"\r\x1b[K{done} of {whole}: {now}", end="", file=sys.stderr, flush=True)


def _wipe() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)


def row(outcome: Outcome) -> str:
    """A line of the table."""
    figures = ", ".join(f"{number:,} {name}" for name, number in outcome.figures.items())
    times = f"{outcome.seconds:7.1f} s {outcome.cpu_seconds:7.1f} s cpu"
    return f"{outcome.name:24} {outcome.verdict:14} {times}  {figures}".rstrip()


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, object]:
    """All of it, for a machine to read."""
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "python": platform.python_version(),
        "seconds": round(seconds, 1),
        "load": round(os.getloadavg()[2], 1),
        "steps": [
            {
                "name": one.name,
                "command": one.command,
                "verdict": one.verdict,
                "seconds": one.seconds,
                "cpu_seconds": one.cpu_seconds,
                **one.figures,
            }
            for one in outcomes
        ],
    }


def report(outcomes: Sequence[Outcome], seconds: float) -> int:
    """Print what failing steps said, the table and the JSON. Returns the exit status."""
    bad = [one for one in outcomes if one.verdict in (FAILED, LATE)]
    for one in bad:
        tail = "\n".join(one.said.splitlines()[-TAIL_LINES:])
        print(f"\n--- {one.name} {one.verdict}: {one.command}\n{tail}")
    print("\n" + "\n".join(map(row, outcomes)))
    cpu_seconds = sum(one.cpu_seconds for one in outcomes)
    print(f"{len(outcomes)} steps, {len(bad)} not well: {seconds:.0f} s, {cpu_seconds:.0f} s cpu")
    print(json.dumps(summary(outcomes, seconds)))
    return 1 if bad else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deep", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="steps at a time (default: 2)")
    parser.add_argument(
        "--patience",
        type=float,
        default=1.0,
        help="multiplies what each step may take: on a machine that has other work (default: 1)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of lives and drawn schedules")
    parser.add_argument("--only", metavar="TEXT", default="", help="steps whose name has it")
    options = parser.parse_args(arguments)
    chosen = [one for one in steps(options.seed) if options.only in one.name]
    if not chosen or options.jobs < 1 or options.patience <= 0:
        names = ", ".join(one.name for one in steps(options.seed))
        parser.error(f"expected one job or more, patience, and a step of {names}")
    # What has begun is ended also when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began = time.monotonic()
    outcomes = run(chosen, jobs=options.jobs, patience=options.patience)
    return report(outcomes, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
