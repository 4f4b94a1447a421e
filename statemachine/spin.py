"""`python -m statemachine promela` and `spin`: the model for SPIN, and SPIN's own judgement.

What must agree: as many states, by SPIN's count and by ours; no assertion fails; and of each thing
that must come in the end, under weak fairness, both say the same, be it yes or no. What rests on
persistence fails under weak fairness alone: there both must find a run that shows it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from statemachine.composed import compose
from statemachine.errors import StateMachineError
from statemachine.exploring import bounds_named, wants_ends
from statemachine.liveness import Liveness
from statemachine.model import System
from statemachine.promela import Writer

SECONDS_MAX = 1800
PROCESSES_A_FAIRNESS_WORD = 4
SMALL_CHARACTERS = 20_000
STATES = re.compile(r"^\s*(?P<states>\d+) states, stored", re.MULTILINE)
ERRORS = re.compile(r"errors: (?P<errors>\d+)")
INCOMPLETE = re.compile(r"max search depth too small|Search not completed|out of memory")


class SpinFailed(StateMachineError):
    """SPIN, or the compiler, did not do its work. The message is one line."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of SPIN says."""

    states: int
    errors: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    parser.add_argument(
        "--bounds",
        metavar="NAME",
        default="quick",
        help="a name under [bounds] of system.toml, or what several begin with (default: quick)",
    )


def write(system: System, options: argparse.Namespace) -> int:
    """Print the models of the bounds: for safety, or with `--ends` for what must come."""
    for name in bounds_named(system, options.bounds):
        writer = Writer(compose(system, name))
        print(writer.liveness() if options.ends else writer.safety())
    return 0


def run(system: System, options: argparse.Namespace) -> int:
    """Let SPIN judge each of the bounds. 0 also where there is no SPIN, which is said."""
    lacking = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
    if lacking:
        print(f"skipped: {' and '.join(lacking)} not found; SPIN judges nothing here")
        return 0
    worst = 0
    for name in bounds_named(system, options.bounds):
        for is_well, line in _judged(system, name):
            print(line, file=sys.stdout if is_well else sys.stderr, flush=True)
            worst = max(worst, int(not is_well))
    return worst


def _judged(system: System, name: str) -> Iterator[tuple[bool, str]]:
    """Each finding, and whether it is as it should be."""
    model = compose(system, name)
    writer, ours = Writer(model), Liveness(model, persistence=False)
    began = time.perf_counter()
    run_of = safety(writer.safety())
    seconds = time.perf_counter() - began
    count = len(ours.graph.states)
    agrees = run_of.states == count
    verdict = "as many as the explorer finds" if agrees else f"the explorer finds {count}"
    yield agrees, f"{name}: SPIN: {run_of.states} states in {seconds:.1f} s, {verdict}"
    yield run_of.errors == 0, f"{name}: SPIN: {run_of.errors} assertions fail"
    if wants_ends(model):
        yield from _judged_ends(name, writer, ours)


def _judged_ends(name: str, writer: Writer, ours: Liveness) -> Iterator[tuple[bool, str]]:
    claims = writer.claims()
    with _compiled(writer.liveness(), _fairness(writer.liveness())) as verifier:
        found: dict[str, int] = {}
        for claim, name_of in claims.items():
            done = verifier.run(["-a", "-f", "-N", claim])
            found[name_of] = found.get(name_of, 0) + done.errors
    for one in ours.properties:
        fails, here = found[one.id] > 0, ours.fails(one)
        word = "fails under weak fairness, and needs persistence" if fails else "holds"
        verdict = "so says the explorer" if fails == here else "the explorer says otherwise"
        yield fails == here, f"{name}: SPIN: {one.id} {word}: {verdict}"


def _fairness(text: str) -> list[str]:
    """What the compiler must know of the number of processes, which fairness speaks of."""
    processes = text.count("active proctype") + 1
    return [f"-DNFAIR={processes // PROCESSES_A_FAIRNESS_WORD + 2}"]


def safety(text: str) -> Run:
    """Let SPIN visit every state of a model. Raises SpinFailed."""
    # Claims in the file would be checked in place of deadlocks, without a word: NOCLAIM.
    with _compiled(text, ["-DSAFETY", "-DNOCLAIM"]) as verifier:
        return verifier.run([])


class _Verifier:
    """A compiled model in a folder of its own, which goes when the block ends."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str]) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def run(self, options: list[str]) -> Run:
        """Run it. Raises SpinFailed where it did not come to its end."""
        text = _output(["./pan", "-m10000000", *options], Path(self._folder.name))
        states, errors = STATES.search(text), ERRORS.search(text)
        if not states or not errors:
            raise SpinFailed(f"SPIN's verifier says nothing of states: {_last_line(text)}")
        found = Run(int(states["states"]), int(errors["errors"]))
        if INCOMPLETE.search(text) and not found.errors:
            raise SpinFailed(f"SPIN's verifier has not come to its end: {_last_line(text)}")
        return found


def _compiled(text: str, options: list[str]) -> _Verifier:
    folder = tempfile.TemporaryDirectory(prefix="interlock-spin-")
    try:
        place = Path(folder.name)
        (place / "model.pml").write_text(text, encoding="utf-8")
        _output(["spin", "-a", "model.pml"], place)
        # A small model runs faster than it compiles.
        effort = "-O1" if len(text) > SMALL_CHARACTERS else "-O0"
        _output(["gcc", effort, "-w", "-DVECTORSZ=8192", *options, "-o", "pan", "pan.c"], place)
    except BaseException:
        folder.cleanup()
        raise
    return _Verifier(folder)


def _output(command: list[str], place: Path) -> str:
    """What a command says. Raises SpinFailed if it fails or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command,
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        raise SpinFailed(f"{command[0]} took more than {SECONDS_MAX} s") from None
    text = done.stdout + done.stderr
    if done.returncode:
        raise SpinFailed(f"{' '.join(command)}: {_last_line(text)}")
    return text


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"
