"""The command: chooses scenarios and servers, runs them in turns, and shows what came.

    python -m benchmarks.speed --scenario hello-64 mixed --servers Interlock waitress --rounds 5

Needs wrk. Exit status: 0; 1 where something is missing, or Interlock failed a scenario.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.gauntlet.process import NotStarted, Process
from benchmarks.speed import report
from benchmarks.speed.contenders import BARE, CONTENDERS, Contender, Pinned, make_files
from benchmarks.speed.scenarios import (
    POOLS,
    SCENARIOS,
    START_UP,
    Round,
    Scenario,
    Terms,
    pools,
    start_up,
)

DESCRIPTORS_WANTED = 8192
DEFAULT, QUICK = (3, 2), (1, 1)
"""Rounds, and seconds of each."""


class Bench:
    """The run under way: who is measured, for how long, on which cores."""

    def __init__(self, contenders: Sequence[Contender], rounds: int, seconds: int) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.contenders = contenders
        self.rounds = rounds
        self.core = cores[0]
        self.terms = Terms(seconds, cores[-1])
        self.found: report.Found = {}
        self.at = report.conditions(contenders, len(cores), seconds, rounds)

    def run(self, scenario: Scenario, files: Path) -> None:
        """Measures everybody in one scenario, round by round."""
        here = self.found.setdefault(scenario.name, {})
        if scenario.name == POOLS:
            _progress(scenario.name, "both pools")
            here.update(pools(self.rounds))
            return
        those = [one for one in self.contenders if takes_part(one, scenario)]
        pinned = [Pinned(one, scenario.served, files, self.core) for one in those]
        with contextlib.ExitStack() as stack:
            servers: dict[str, Process | str] = {}
            if not scenario.fresh and scenario.name != START_UP:
                servers = {one.contender.name: _started(one, stack) for one in pinned}
            if scenario.name == START_UP:
                for one in pinned:
                    start_up(one)  # it leaves its bytecode, and counts for nothing
            for number in range(1, self.rounds + 1):
                for one in pinned:
                    name = one.contender.name
                    _progress(scenario.name, f"round {number} of {self.rounds}: {name}")
                    figures = self._round(scenario, one, servers.get(name))
                    here.setdefault(name, []).append(figures)

    def _round(self, scenario: Scenario, pinned: Pinned, server: Process | str | None) -> Round:
        if scenario.name == START_UP:
            return start_up(pinned)
        if isinstance(server, str):
            return {"failure": server}
        with contextlib.ExitStack() as stack:
            process = server or _started(pinned, stack)
            if isinstance(process, str):
                return {"failure": process}
            return scenario.round(process, self.terms)


def takes_part(contender: Contender, scenario: Scenario) -> bool:
    """Whether this scenario asks anything of it."""
    if contender.version() is None:
        return False
    if contender.name == BARE:
        return scenario.bare and not scenario.alone
    if contender.files_only:
        return scenario.served.is_file
    return contender.package == "interlock" or not scenario.alone


def _started(pinned: Pinned, stack: contextlib.ExitStack) -> Process | str:
    """A server until the stack ends, or why there is none."""
    try:
        return stack.enter_context(Process(pinned))
    except NotStarted as error:
        return str(error)


def _progress(*words: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{': '.join(words)} …", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _files() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # a server that gives up its rights still reads it
        make_files(folder)
        _keep_bytecode(folder / "bytecode")
        yield folder


def _keep_bytecode(folder: Path) -> None:
    """Every server runs from bytecode, as what was installed does: this checkout was not, and where
    PYTHONDONTWRITEBYTECODE is set its source would be compiled at each start, and its peers' not.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)


def main(arguments: list[str] | None = None) -> int:
    """Measures; returns the exit status."""
    options = _parser().parse_args(arguments)
    if shutil.which("wrk") is None:
        print("the benchmarks need wrk (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    _raise_descriptors()
    rounds, seconds = QUICK if options.quick else DEFAULT
    contenders = [one for one in CONTENDERS if not options.servers or one.name in options.servers]
    scenarios = [one for one in SCENARIOS if not options.scenario or one.name in options.scenario]
    bench = Bench(contenders, options.rounds or rounds, options.seconds or seconds)
    for one in contenders:
        if one.version() is None:
            print(f"{one.name} is not installed: left out", file=sys.stderr)
    began = time.monotonic()
    os.sched_setaffinity(0, {bench.terms.core})
    try:
        with _files() as files:
            for scenario in scenarios:
                bench.run(scenario, files)
    except KeyboardInterrupt:
        print("\ninterrupted: what follows is what was run", file=sys.stderr)
    finally:
        _progress("done in", f"{time.monotonic() - began:.0f} s\n")
    return _show(bench, scenarios, options.json)


def _show(bench: Bench, scenarios: Sequence[Scenario], place: Path | None) -> int:
    run = report.kept(bench.found, scenarios, bench.at)
    print(report.printed(run))
    if place:
        report.write(place, run)
    ours = {name: results.get(report.US, []) for name, results in bench.found.items()}
    failed = [name for name, rounds in ours.items() if any("failure" in one for one in rounds)]
    if failed:
        print(f"Interlock failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _raise_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: 1 at least")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description="Speed by scenario, beside other servers, in one run, in turns.",
    )
    names = [one.name for one in SCENARIOS]
    servers = [one.name for one in CONTENDERS]
    add = parser.add_argument
    add("--scenario", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    add("--servers", nargs="+", choices=servers, metavar="NAME", help=", ".join(servers))
    add("--rounds", type=_positive, help=f"of each scenario (default: {DEFAULT[0]})")
    add("--seconds", type=_positive, help=f"a round (default: {DEFAULT[1]})")
    add("--quick", action="store_true", help="1 round of 1 s: a few minutes, and rough")
    add("--json", type=Path, metavar="FILE", help="keep every round in this file")
    return parser


if __name__ == "__main__":
    # Ended by either signal, it ends the servers that it has started.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
