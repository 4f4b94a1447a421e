"""Mutants of the spec meet the static checks, the explorer if there is one, then the tests.

The tests are those of the row's machine, with INTERLOCK_SPEC set to a copy of the spec. What only
compares a list with the spec is left out, since that would notice every deletion: generated files,
drawings, `test_every_arrow_...`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.config import Config
from statemachine import SpecError, check, load_system, spec_folder
from tests.mutants.campaign import Attempt, Attempts, Progress
from tests.mutants.child import OPTIONS, Player, Told, enter, reported
from tests.mutants.forking import Child, Children
from tests.mutants.mutant import TOP, Mutant
from tests.mutants.rows import DELETED
from tests.mutants.stored import Verdicts

TESTS = {
    "server": ("tests/wire/test_shutdown.py", "tests/wire/test_arrows.py"),
    "listener": ("tests/wire/test_arrows.py", "tests/wire/test_shutdown.py"),
    "pool": ("tests/pool/test_faults.py", "tests/pool/test_thread_pool.py"),
    "worker": (
        "tests/pool/test_guarded.py",
        "tests/pool/test_faults.py",
        "tests/pool/test_lateness.py",
    ),
    "job": (
        "tests/pool/test_guarded.py",
        "tests/pool/test_faults.py",
        "tests/pool/test_lateness.py",
    ),
    "connection": (
        "tests/wire/test_http.py",
        "tests/wire/test_deadlines.py",
        "tests/wire/test_streams.py",
    ),
    "request": ("tests/http1/test_reader.py", "tests/http1/test_corpus.py"),
    "chunked": ("tests/http1/test_reader.py", "tests/http1/test_corpus.py"),
    "response": ("tests/http1/test_writer.py",),
    "pipe": ("tests/wire/test_streams.py",),
    "readiness": ("tests/machines/test_watch.py", "tests/machines/test_server.py"),
    "fleet": ("tests/machines/test_process.py",),
    "process": ("tests/machines/test_fleet.py",),
    "subscription": ("tests/wire/test_events.py",),
}
"""Where a machine's arrows are taken, besides tests/machines/test_MACHINE*.py, which come first."""

TEST_SECONDS_MAX = 12.0
MUTANT_SECONDS_MAX = 90.0
EXPLORER = "statemachine.explore"
LOADED = ("hypothesis.stateful", "server.server", "server.thread_pool", "tests.machines.house")
"""Loaded before the children fork: what the tests need, and what reads no spec at its loading."""

LIMITS = frozenset(one.name for one in dataclasses.fields(Config))


class BaselineFailed(RuntimeError):
    """The tests fail although nothing was changed."""


def tests_of(machine: str) -> list[str]:
    """The files of tests for one machine's rows: one scene an arrow first, where there are some."""
    own = sorted(
        (TOP / "tests/machines").glob(f"test_{machine}*.py"),
        key=lambda path: (not path.stem.endswith("_arrows"), path.name),
    )
    return [*(path.relative_to(TOP).as_posix() for path in own), *TESTS.get(machine, ())]


def tests_for(machine: str, arrow: str) -> list[str]:
    """The files of tests for one row: first those that name it, then those of its machine."""
    return list(dict.fromkeys((*_naming(arrow), *tests_of(machine))))


@functools.cache
def _naming(arrow: str) -> tuple[str, ...]:
    return tuple(
        path.relative_to(TOP).as_posix()
        for folder in ("machines", "net", "pool", "wire")
        for path in sorted((TOP / "tests" / folder).glob("test_*.py"))
        if f'"{arrow}"' in path.read_text(encoding="utf-8")
    )


def tests_of_all(machine: str, arrows: Iterable[str]) -> list[str]:
    """The files of tests for these rows of the machine."""
    return list(dict.fromkeys(file for one in arrows for file in tests_for(machine, one)))


def every_file() -> set[str]:
    """All files of tests that some mutant of the spec meets."""
    arrows = load_system().arrows.values()
    return {file for one in arrows for file in tests_for(one.machine, one.id)}


@contextmanager
def spec_with(mutant: Mutant | None, place: Path | None = None) -> Iterator[Path]:
    """A copy of the spec folder with the mutant in it; with None, a sound one."""
    with tempfile.TemporaryDirectory(prefix="spec-", dir=place) as folder:
        copy = Path(folder) / "spec"
        shutil.copytree(spec_folder(), copy)
        if mutant is not None:
            file = copy / Path(mutant.path).name
            file.write_bytes(mutant.applied(file.read_bytes()))
            if mutant.kind == DELETED:
                # They name every row: that they miss one says nothing of the row.
                for name in ("composition.toml", "invariants.toml"):
                    (copy / name).unlink()
        yield copy


def found_by_check(folder: Path) -> str | None:
    """What the static checks find first in the spec of `folder`."""
    try:
        findings = check(load_system(folder), limits=LIMITS)
    except SpecError as error:
        return f"load: {error}"
    return f"check: {findings[0]}" if findings else None


class OnSpec:
    """Meets each mutant of the spec. `place` is a folder for copies of it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._killers: dict[str, list[str]] = {}
        self._numbers = iter(range(1_000_000))
        for name in LOADED:
            importlib.import_module(name)

    def attempts(self, mutant: Mutant) -> Attempts:
        machine, arrow = mutant.subject
        with spec_with(mutant, self._place) as folder:
            found = found_by_check(folder)
            if found is not None:
                return "killed", found
            if mutant.kind == "environment":
                # Nothing that runs reads it: it is for proofs, and for the drawings.
                found = found_by_explorer(folder)
                return ("killed", f"explore: {found}") if found else ("survived", "the explorer")
            child = yield self._attempt(machine, arrow, folder)
        assert child.outcome is not None
        if child.outcome == "killed":
            killers = self._killers.setdefault(machine, [])
            killers[:0] = [child.by]
            del killers[20:]
        return child.outcome, child.by

    def baseline(self, machine: str) -> Attempts:
        """The same tests with a sound copy."""
        with spec_with(None, self._place) as folder:
            child = yield self._attempt(machine, "", folder)
        assert child.outcome is not None
        return child.outcome, child.by

    def _attempt(self, machine: str, arrow: str, folder: Path) -> Attempt:
        place = str(self._place / f"tests-{next(self._numbers)}")
        rows = [arrow] if arrow else [one.id for one in load_system().machines[machine].arrows]
        files = tests_of_all(machine, rows)
        killers = list(self._killers.get(machine, ()))

        def begin(descriptor: int) -> None:
            if os.fork() == 0:
                play(files, _Order(arrow, killers), folder, place, enter(descriptor))

        return Attempt(begin, lambda _: TEST_SECONDS_MAX, MUTANT_SECONDS_MAX)


def require_baseline(
    strategy: OnSpec, machines: Sequence[str], verdicts: Verdicts, *, jobs: int
) -> None:
    """Raises BaselineFailed if some machine's tests fail with a sound copy of the spec."""
    waiting = [name for name in machines if verdicts.of(_unchanged(name)) is None]
    children = Children()
    at_work: dict[Child, tuple[str, Attempts]] = {}
    progress = Progress(len(machines), what="machines' tests pass with nothing changed")
    try:
        while waiting or at_work:
            while waiting and len(at_work) < jobs:
                machine = waiting.pop()
                attempts = strategy.baseline(machine)
                first = next(attempts)
                child = children.start(first.begin, limit=first.limit, seconds_max=3600.0)
                at_work[child] = machine, attempts
            for child in children.ended():
                machine, _ = at_work.pop(child)
                if child.outcome != "survived":
                    raise BaselineFailed(f"{machine}: with nothing changed: {child.by}")
                verdicts.keep(_unchanged(machine), child.outcome, "")
                progress.note("passed")
    finally:
        children.close()
        progress.close()


def _unchanged(machine: str) -> Mutant:
    """The mutant that is none."""
    return Mutant("spec", f"{machine} unchanged", "none", f"spec/{machine}.toml", 0, 0, b"", (1, 1))


class _Order:
    """Tests that are marked with the arrow first, then those that killed the last mutants."""

    def __init__(self, arrow: str, killers: Sequence[str]) -> None:
        self._arrow = arrow
        self._killers = killers

    def __call__(self, items: Sequence[pytest.Item]) -> list[pytest.Item]:
        fit = [item for item in items if not item.name.startswith("test_every_arrow")]
        return sorted(fit, key=self._rank)

    def _rank(self, item: pytest.Item) -> int:
        if any(self._arrow in mark.args for mark in item.iter_markers("arrow")):
            return 0
        return 1 if item.nodeid in self._killers else 2


def play(files: Sequence[str], order: _Order, folder: Path, place: str, told: Told) -> None:
    """In the child: explore, then test. Never returns."""
    with reported(told):
        told("run", "explore")
        if found := found_by_explorer(folder):
            told.last("killed", f"explore: {found}")
        os.environ["INTERLOCK_SPEC"] = str(folder)
        options = [*files, *OPTIONS, f"--basetemp={place}"]
        pytest.main(options, plugins=[Player(told, order)])
        told.last("broken", "pytest came to no test")


def found_by_explorer(folder: Path) -> str | None:
    """What `python -m statemachine explore` says, if there is such a command and it finds a fault.

    Its exit status is 0 for a spec that keeps its properties, and 1 for one that does not.
    """
    if importlib.util.find_spec(EXPLORER) is None:
        return None
    main = importlib.import_module("statemachine.__main__").main
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = main(["explore", "--spec", str(folder)])
    lines = out.getvalue().strip().splitlines()
    return (lines or ["it found something"])[-1] if status == 1 else None
