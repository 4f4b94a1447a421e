"""Delete each arrow of the spec in turn: does a check or a test notice?

    python -m tests.house.arrows              every arrow
    python -m tests.house.arrows L3 server    these arrows, or these machines' arrows

Each row is deleted in a copy of spec/. First `statemachine check` reads the copy; if it finds
nothing, the tests of that machine run with INTERLOCK_SPEC set to it, until one fails. What only
compares a list with the spec is left out: generated files, drawings, `test_every_arrow_...`. The
same tests must pass with a copy from which nothing was deleted, or they would prove nothing.

Exit status: 0 every deletion was noticed, 1 one was not, 2 the tests fail without any.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.config import Config
from statemachine import Arrow, SpecError, System, check, load_system, spec_folder
from tests.house.source import TOP

RUNS_MAX = 2
"""Runs of pytest at once. More would make the tests with real sockets wait for the processor."""

RUN_SECONDS_MAX = 180
TEST_SECONDS_MAX = 30

TESTS = {
    "server": ("tests/wire/test_shutdown.py", "tests/wire/test_arrows.py"),
    "listener": ("tests/wire/test_arrows.py", "tests/wire/test_shutdown.py"),
    "pool": ("tests/pool/test_faults.py", "tests/pool/test_thread_pool.py"),
    "worker": ("tests/pool/test_faults.py", "tests/pool/test_thread_pool.py"),
    "job": ("tests/pool/test_faults.py", "tests/pool/test_thread_pool.py"),
    "connection": (
        "tests/wire/test_http.py",
        "tests/wire/test_deadlines.py",
        "tests/wire/test_streams.py",
    ),
    "request": ("tests/http1/test_reader.py", "tests/http1/test_corpus.py"),
    "chunked": ("tests/http1/test_reader.py", "tests/http1/test_corpus.py"),
    "response": ("tests/http1/test_writer.py",),
    "pipe": ("tests/wire/test_streams.py",),
}
"""Where a machine's arrows are taken, besides tests/machines/test_MACHINE*.py, which come first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one deletion. `by` says what noticed it; None: nothing did."""

    arrow: Arrow
    by: str | None


class BaselineFailed(Exception):
    """The tests fail although nothing was deleted."""


@contextlib.contextmanager
def spec_without(arrow: Arrow | None) -> Iterator[Path]:
    """A copy of the spec folder without the arrow's row; with None, a whole one."""
    with tempfile.TemporaryDirectory(prefix="interlock-spec-") as place:
        copy = Path(place) / "spec"
        shutil.copytree(spec_folder(), copy)
        if arrow is not None:
            file = copy / f"{arrow.machine}.toml"
            rows = file.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [row for row in rows if not row.lstrip().startswith(f'{{ id = "{arrow.id}",')]
            assert len(kept) == len(rows) - 1, f"{arrow.id} is not one line of {file.name}"
            file.write_text("".join(kept), encoding="utf-8")
        yield copy


def found_by_check(folder: Path) -> str | None:
    """What the static checks find first in the spec of `folder`."""
    limits = {one.name for one in dataclasses.fields(Config)}
    try:
        findings = check(load_system(folder), limits=limits)
    except SpecError as error:
        return f"load: {error}"
    return f"check: {findings[0]}" if findings else None


def tests_of(machine: str) -> list[str]:
    """The test files for one machine's arrows, the most telling first."""
    own = sorted((TOP / "tests/machines").glob(f"test_{machine}*.py"), key=_plain_first)
    names = [path.relative_to(TOP).as_posix() for path in own]
    return [*names, *TESTS.get(machine, ())]


def _plain_first(path: Path) -> tuple[bool, str]:
    """One scene an arrow, where there are some, before random histories."""
    return not path.stem.endswith("_arrows"), path.name


def failed_test(machine: str, folder: Path) -> str | None:
    """The first of the machine's tests that fails with the spec of `folder`."""
    with tempfile.TemporaryDirectory(prefix="interlock-run-") as place:
        log = Path(place) / "log"
        status = _run_pytest(tests_of(machine), folder, log)
        text = log.read_text(encoding="utf-8", errors="replace")
    if status == 0:
        return None
    names = re.findall(r"^(tests/\S+?::.+?) (?:FAILED|ERROR)\b", text, re.MULTILINE)
    names += re.findall(r"^(?:FAILED|ERROR) (tests/\S+(?:::[^\n]+?)?)(?: - |$)", text, re.MULTILINE)
    if status is None:
        started = re.findall(r"^(tests/\S+?::\S+)", text, re.MULTILINE)
        return f"no end within {RUN_SECONDS_MAX} s: {started[-1] if started else 'nothing ran'}"
    if status != 1 or not names:
        raise BaselineFailed(f"pytest ended with {status}:\n{text[-2000:]}")
    return str(names[0])


def _run_pytest(files: Sequence[str], folder: Path, log: Path) -> int | None:
    """The exit status of pytest, or None if it had to be ended."""
    command = [sys.executable, "-m", "pytest", "-x", "-v", "--tb=no", "-p", "no:cacheprovider"]
    command += ["--hypothesis-seed=0", f"--timeout={TEST_SECONDS_MAX}"]
    command += ["-k", "not test_every_arrow", *files]
    environment = os.environ | {
        "INTERLOCK_SPEC": str(folder),
        "HYPOTHESIS_PROFILE": "quick",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(log.parent / "hypothesis"),
    }
    with log.open("wb") as out:
        run = subprocess.Popen(
            command, cwd=TOP, env=environment, stdout=out, stderr=out, start_new_session=True
        )
        try:
            return run.wait(RUN_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # A test may have started processes of its own; nothing outlives the run.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()


def judge(arrow: Arrow) -> Verdict:
    """Delete one arrow, and see."""
    with spec_without(arrow) as folder:
        return Verdict(arrow, found_by_check(folder) or failed_test(arrow.machine, folder))


def require_baseline(machine: str) -> None:
    """Raises BaselineFailed if the machine's tests fail with a whole spec."""
    with spec_without(None) as folder:
        failed = failed_test(machine, folder) if tests_of(machine) else "there are no tests"
    if failed:
        raise BaselineFailed(f"{machine}: with nothing deleted: {failed}")


def chosen(system: System, names: Sequence[str]) -> list[Arrow]:
    """The arrows that are meant by ids or machines; all of them for no name."""
    known = set(system.arrows) | set(system.machines)
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no arrow and no machine is called {', '.join(unknown)}")
    every = system.arrows.values()
    return [one for one in every if not names or one.id in names or one.machine in names]


def _say(number: int, count: int, text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{number}/{count} {text}", end="", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge every arrow; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.arrows", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="an arrow's id, or a machine")
    arrows = chosen(load_system(), parser.parse_args(arguments).names)
    began = time.monotonic()
    machines = list(dict.fromkeys(arrow.machine for arrow in arrows))
    with concurrent.futures.ThreadPoolExecutor(RUNS_MAX) as pool:
        try:
            for number, _ in enumerate(pool.map(require_baseline, machines), 1):
                _say(number, len(machines), "machines' tests pass with nothing deleted")
            verdicts = []
            for number, verdict in enumerate(pool.map(judge, arrows), 1):
                _say(number, len(arrows), verdict.arrow.id)
                verdicts.append(verdict)
        except BaselineFailed as error:
            pool.shutdown(cancel_futures=True)
            print(f"\n{error}", file=sys.stderr)
            return 2
    _say(len(arrows), len(arrows), "\n")
    return report(verdicts, time.monotonic() - began)


def report(verdicts: Sequence[Verdict], seconds: float) -> int:
    """Print the table; returns the exit status."""
    for one in verdicts:
        print(f"{one.arrow!s:60} {one.by or 'NOT NOTICED'}")
    noticed = [one.by for one in verdicts if one.by]
    static = [by for by in noticed if by.startswith(("check: ", "load: "))]
    print(
        f"{len(verdicts)} tried, {len(noticed)} noticed ({len(static)} by the static checks, "
        f"{len(noticed) - len(static)} by tests), in {seconds:.0f} s"
    )
    return 0 if len(noticed) == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
