"""One campaign: each mutant meets what may kill it, until something does or nothing is left."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.mutants.child import Task, enter, play_fresh
from tests.mutants.code import AREAS
from tests.mutants.forking import Begin, Child, Children
from tests.mutants.mutant import TOP, Mutant, read
from tests.mutants.recording import Trail, read_back
from tests.mutants.stored import Trails, Verdicts
from tests.mutants.warm import Warm

TESTS = (
    *("tests/spec", "tests/engine", "tests/http1", "tests/machines", "tests/net", "tests/pool"),
    *("tests/wire", "tests/test_ledger.py", "tests/test_clock.py", "tests/processes"),
    *("tests/ops", "tests/app/test_shelf.py", "tests/app/test_static.py"),
)
ENGINE_TESTS = ("tests/engine",)
LEFT_OUT = frozenset(
    {
        "tests/spec/test_schema.py",  # of another package's code, mostly
        "tests/spec/test_cli.py",  # in processes of their own
        "tests/pool/test_interpreter_end.py",
        "tests/pool/test_stress.py",  # long, and different each time
        "tests/pool/test_cpython.py",
    }
)
"""Tests that no mutant of the code meets."""

BUDGET_SECONDS = 10.0
"""Tests meet one mutant until so many seconds of them, by the trails, have passed without a kill:
the quickest first. What only a longer test notices is told as a survivor."""

ALIKE_MAX, FROM_A_FILE = 3, 6
"""The next so many parameters of a test, or tests of a file, wait as if they were twice as slow,
and so on: what is quick and alike must not use up the budget.
"""

REMEMBERED_MAX = 12
"""The tests that killed the last mutants of a file are likely to kill its next one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant: `killed` or `survived`, and by what; `seconds` it took."""

    mutant: Mutant
    outcome: str
    by: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """A child to be forked. `limit` gives a test's seconds."""

    begin: Begin
    limit: Callable[[str], float]
    seconds_max: float = 120.0


Attempts = Generator[Attempt, Child, tuple[str, str]]
"""The attempts on one mutant: each gets its child when that has ended; returns the outcome."""


class Strategy(Protocol):
    """What a campaign needs to know of one kind of mutants."""

    def attempts(self, mutant: Mutant) -> Attempts: ...


def files_of(places: Sequence[str]) -> list[str]:
    """The files of tests in these folders, and of these names."""
    found = []
    for place in places:
        path = TOP / place
        files = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
        found += [file.relative_to(TOP).as_posix() for file in files]
    return [file for file in found if file not in LEFT_OUT]


class Broken(Exception):
    """The tool itself failed on a mutant: nothing can be said of it."""


def run(
    mutants: Sequence[Mutant],
    strategy: Strategy,
    verdicts: Verdicts,
    *,
    jobs: int,
    seconds_max: float = math.inf,
) -> list[Verdict]:
    """Judge every mutant, in their order; what is known already is not tried again.

    After `seconds_max` no other one is begun: the rest has no verdict. Raises Broken.
    """
    end = time.monotonic() + seconds_max
    progress, found = Progress(len(mutants)), dict[str, Verdict]()
    waiting: deque[Mutant] = deque()
    for mutant in mutants:
        if known := verdicts.of(mutant):
            found[mutant.name] = Verdict(mutant, *known, 0.0)
            progress.note(known[0], cheap=True)
        else:
            waiting.append(mutant)
    # First those that have survived before: what is tried in a limited time must not be all the
    # easy ones of an earlier run.
    waiting = deque(sorted(waiting, key=lambda one: not verdicts.survived_once(one)))
    at_work: dict[Child, tuple[Mutant, Attempts, float]] = {}
    children = Children()

    def go_on(mutant: Mutant, attempts: Attempts, began: float, child: Child | None) -> None:
        try:
            attempt = next(attempts) if child is None else attempts.send(child)
        except StopIteration as end:
            outcome, by = end.value
            found[mutant.name] = Verdict(mutant, outcome, by, time.monotonic() - began)
            verdicts.keep(mutant, outcome, by)
            progress.note(outcome)
            return
        fresh = children.start(attempt.begin, limit=attempt.limit, seconds_max=attempt.seconds_max)
        at_work[fresh] = mutant, attempts, began

    try:
        while waiting or at_work:
            while waiting and len(at_work) < jobs and time.monotonic() <= end:
                mutant = waiting.popleft()
                go_on(mutant, strategy.attempts(mutant), time.monotonic(), None)
            if time.monotonic() > end:
                found |= {
                    one.name: _not_tried_again(one)
                    for one in waiting
                    if verdicts.survived_once(one)
                }
                waiting.clear()
            for child in children.ended() if at_work else ():
                mutant, attempts, began = at_work.pop(child)
                if child.outcome == "broken":
                    raise Broken(f"{mutant.name}: {child.by}")
                go_on(mutant, attempts, began, child)
    finally:
        children.close()
        progress.close()
    return [found[mutant.name] for mutant in mutants if mutant.name in found]


def _not_tried_again(mutant: Mutant) -> Verdict:
    """What is said of one that survived before, and for which there was no time."""
    return Verdict(mutant, "survived", "not tried again", 0.0)


class Progress:
    """How far it has come, and how long it may still take: on a terminal only."""

    def __init__(self, count: int, *, what: str = "mutants") -> None:
        self._count = count
        self._what = what
        self._done = self._cheap = self._survived = 0
        self._began = time.monotonic()
        self._shown = sys.stderr.isatty()

    def note(self, outcome: str, *, cheap: bool = False) -> None:
        self._done += 1
        self._cheap += cheap
        self._survived += outcome == "survived"
        if not self._shown:
            return
        tried = self._done - self._cheap
        left = (time.monotonic() - self._began) / max(1, tried) * (self._count - self._done)
        text = f"{self._done}/{self._count} {self._what}, {self._survived} survived"
        told = f"\r\033[K{text}, about {left / 60:.1f} min left"
        print(told, end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


class OnCode:
    """Mutants of the code meet the tests that run their lines."""

    def __init__(
        self,
        warm: Warm,
        trails: dict[str, Trail],
        place: Path,
        *,
        budget_seconds: float = BUDGET_SECONDS,
    ) -> None:
        self._warm = warm
        self._budget_seconds = budget_seconds
        self._trails = trails
        self._place = place
        self._killers: dict[str, list[str]] = {}
        self._numbers = iter(range(1_000_000))

    def attempts(self, mutant: Mutant) -> Attempts:
        tests = self.tests_of(mutant)
        if not tests:
            return "survived", "no test runs it"
        task = Task(mutant, tests)
        child = yield Attempt(lambda fd: self._warm.begin(task, fd), self._limit)
        # What the tests have loaded or made at their own loading, they have of the sound code.
        early = child.outcome == "survived" and mutant.path.startswith("statemachine/")
        if early or child.outcome == "cold":
            child = yield Attempt(self._fresh(task), self._limit)
        assert child.outcome is not None
        if child.outcome == "killed":
            self._remember(mutant.path, child.by)
        return child.outcome, child.by

    def _fresh(self, task: Task) -> Begin:
        place = str(self._place / f"fresh-{next(self._numbers)}")

        def begin(descriptor: int) -> None:
            if os.fork() == 0:
                play_fresh(task, enter(descriptor), place)

        return begin

    def _limit(self, test: str) -> float:
        return 10 * self._trails[test].seconds if test in self._trails else 10.0

    def _remember(self, path: str, by: str) -> None:
        killers = self._killers.setdefault(path, [])
        name = re.sub(r" \([^()]*\)\Z", "", by)
        if name in killers:
            killers.remove(name)
        if name in self._trails and self._trails[name].seconds < 1:
            killers.insert(0, name)
            del killers[REMEMBERED_MAX:]

    def tests_of(self, mutant: Mutant) -> tuple[str, ...]:
        """The tests that may tell, in the order in which it is likely to be told soonest."""
        found = self._meeting(self._places(mutant))
        if not found and not mutant.hot:
            found = self._meeting([(mutant.path, 1, read(mutant.path).count(b"\n"))])
        killers = self._killers.get(mutant.path, [])
        found.sort(key=lambda name: self._trails[name].seconds)
        alike: Counter[str] = Counter()
        ranked = []
        for name in found:
            test, file = name.split("[")[0], name.split("::")[0]
            alike.update((test, file))
            turns = (1 + alike[test] // ALIKE_MAX) * (1 + alike[file] // FROM_A_FILE)
            ranked.append((name not in killers, turns * self._trails[name].seconds, name))
        tests, seconds = list[str](), 0.0
        for *_, name in sorted(ranked):
            seconds += self._trails[name].seconds
            if tests and seconds > self._budget_seconds:
                break
            tests.append(name)
        return tuple(tests)

    def _meeting(self, places: Sequence[tuple[str, int, int]]) -> list[str]:
        trails = self._trails.items()
        return [name for name, trail in trails if any(trail.meets(*place) for place in places)]

    def _places(self, mutant: Mutant) -> list[tuple[str, int, int]]:
        """The lines that tell: the mutant's own, or those that name what it gives."""
        if mutant.hot or not mutant.subject:
            return [(mutant.path, *mutant.lines)]
        names = "|".join(re.escape(name) for name in mutant.subject)
        word = re.compile(rf"\b(?:{names})\b".encode())
        return [
            (path, number, number)
            for files in AREAS.values()
            for path in files
            for number, line in enumerate(read(path).splitlines(), 1)
            if word.search(line)
        ]


def record_missing(warm: Warm, trails: Trails) -> dict[str, Trail]:
    """The trail of every test that is fit, recorded where it is not known."""
    by_file: dict[str, list[str]] = {}
    for name in warm.tests:
        by_file.setdefault(name.split("::")[0], []).append(name)
    missing = [file for file in by_file if trails.of(file) is None]
    progress = Progress(len(missing), what="files of tests recorded")
    for file in missing:
        trails.keep(file, _recorded(warm, by_file[file]))
        progress.note("recorded")
    progress.close()
    known: dict[str, Trail] = {}
    for file in by_file:
        fit = (trails.of(file) or {}).items()
        known |= {name: trail for name, trail in fit if trail is not None}
    return known


def _recorded(warm: Warm, tests: Iterable[str]) -> dict[str, Trail | None]:
    """Record one file's tests. One that ends the process, or does not end, is not fit."""
    left, found = list(tests), dict[str, Trail | None]()
    children = Children()
    while left:
        task = Task(None, tuple(left))
        child = children.start(
            lambda fd, task=task: warm.begin(task, fd),  # type: ignore[misc]
            limit=lambda _: 60.0,
            seconds_max=900.0,
        )
        while child not in list(children.ended()):
            pass
        if child.outcome == "broken":
            raise Broken(f"recording: {child.by}")
        names = iter(list(left))
        for word, rest in child.lines:
            if word == "trail":
                found[next(names)] = read_back(rest)
            elif word == "unfit":
                found[next(names)] = None
        if child.outcome != "recorded" and child.test:
            found[child.test] = None
        elif child.outcome != "recorded":
            raise Broken("recording: no test could be begun")
        left = [name for name in left if name not in found]
    return found
