"""`python -m statemachine replay`: judge traces, tell where one goes wrong, convert, draw."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from statemachine import chunks, lines
from statemachine.ground import Ground
from statemachine.model import System
from statemachine.replay import IllegalTrace, Replay, account
from statemachine.retelling import Story
from statemachine.tracefile import Trace, TraceError, digest

STORY_STEPS = 16
DIAGRAM_STEPS = 30
PROGRESS_ROWS = 1 << 20


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The command's own options."""
    command.add_argument("files", metavar="FILE", type=Path, nargs="+", help="a trace, in any form")
    command.add_argument("--counts", action="store_true", help="how often each arrow was taken")
    command.add_argument(
        "--diagram",
        metavar="N",
        type=int,
        nargs="?",
        const=DIAGRAM_STEPS,
        help="the last N arrows, or those before the first fault, as a Mermaid sequence diagram "
        f"(default: {DIAGRAM_STEPS})",
    )
    command.add_argument(
        "--to-json",
        action="store_true",
        help="judge nothing; write the trace to standard output, a JSON object a line",
    )


def run(system: System, options: argparse.Namespace) -> int:
    """Judge each file; returns the exit status: 0 legal, 1 illegal, 2 unreadable."""
    worst = 0
    for file in options.files:
        try:
            if options.to_json:
                _convert(system, file)
            else:
                worst = max(worst, _judge(Ground(system), file, options))
        except TraceError as error:
            print(f"statemachine: {error}", file=sys.stderr)
            worst = 2
    return worst


@contextmanager
def opened(system: System, file: Path) -> Iterator[Trace]:
    """A trace of this system, in either form. Raises TraceError."""
    try:
        stream = file.open("rb")
    except OSError as error:
        raise TraceError(file, "", f"cannot be read: {error.strerror}") from None
    with stream:
        begin = stream.read(1)
        stream.seek(0)
        if not begin:
            raise TraceError(file, "byte 0", "expected a trace, and the file is empty")
        trace = lines.read(file, stream) if begin == b"{" else chunks.read(file, stream)
        if trace.header.spec != digest(system) or trace.header.arrows != tuple(system.arrows):
            says = (
                f"it was recorded with the spec {trace.header.spec}, and {system.folder} is "
                f"{digest(system)}: name the one that it was recorded with, --spec DIR"
            )
            raise TraceError(file, "", says)
        yield trace


def _convert(system: System, file: Path) -> None:
    with opened(system, file) as trace:
        for text in lines.converted(system, trace):
            sys.stdout.write(text)
    if trace.cut:
        print(f"{file}: {trace.cut}", file=sys.stderr)


def judged(ground: Ground, trace: Trace) -> Replay:
    """Judge a trace to its end. Raises IllegalTrace, or TraceError."""
    replay = Replay(ground, whole=trace.header.whole)
    for first, rows in trace.blocks:
        replay.feed(first, rows)
        _show_progress(trace.file, first)
    _show_progress(trace.file, None)
    replay.close(trace.ending)
    return replay


def _judge(ground: Ground, file: Path, options: argparse.Namespace) -> int:
    began, fault = time.perf_counter(), None
    try:
        with opened(ground.system, file) as trace:
            replay = judged(ground, trace)
    except IllegalTrace as error:
        fault = error
        _tell_fault(ground, file, fault)
    else:
        _tell_summary(file, trace, replay, time.perf_counter() - began)
        if options.counts:
            _tell_counts(replay)
    if options.diagram is not None:
        until = fault.row if fault is not None else None
        with opened(ground.system, file) as again:
            print(Story(ground, again, steps=options.diagram, until=until).diagram())
    return 0 if fault is None else 1


def _tell_counts(replay: Replay) -> None:
    for arrow, count in replay.taken().items():
        print(f"  {arrow:<5}{count:>12}")


def _show_progress(file: Path, row: int | None) -> None:
    if not sys.stderr.isatty():
        return
    if row is None:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    elif row % PROGRESS_ROWS < chunks.ROWS_MAX:
        print(f"\r{file}: {row:,} rows", end="", file=sys.stderr, flush=True)


def _tell_summary(file: Path, trace: Trace, replay: Replay, seconds: float) -> None:
    taken = replay.taken()
    used = sum(count > 0 for count in taken.values())
    events, rate = sum(taken.values()), sum(taken.values()) / max(seconds, 1e-9)
    print(
        f"{file}: legal: {events} arrows taken by {len(replay.places)} objects, {used} of "
        f"{len(taken)} kinds, in {seconds:.2f} s ({rate:,.0f}/s)"
    )
    living = ", ".join(f"{count} {name}" for name, count in sorted(replay.living().items()))
    print(f"  not in a final state at the end: {living or 'none'}")
    if text := account(replay.ground, replay):
        print(f"  {text}")
    if not trace.header.whole:
        print("  it does not begin with the process: objects are where they were first seen")
    if replay.lost:
        print(f"  rows are missing in {replay.lost} places: from there on, the same")
    if trace.cut:
        print(f"  {trace.cut}")
    elif trace.ending is not None and trace.ending.says:
        print(f"  the writer's last words: {trace.ending.says}")
    if trace.ending is not None and trace.ending.taken is not None and replay.whole:
        print("  as many of each arrow as the process counted")


def _tell_fault(ground: Ground, file: Path, fault: IllegalTrace) -> None:
    print(f"{file}: illegal: {fault}")
    with opened(ground.system, file) as again:
        story = Story(ground, again, steps=STORY_STEPS, until=fault.row - 1)
    if fault.birth is not None:
        print("  whom it concerns, as they were before:")
        for birth in story.concerned(fault.birth):
            print(f"    {story.where(birth)}")
    print("  the last arrows before:")
    for step in story.steps:
        print(f"  {story.line(step)}")
