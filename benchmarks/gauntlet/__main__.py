"""The command: chooses rows and contenders, runs them one after the other, and shows what came.

    python -m benchmarks.gauntlet --rows stuck flood --contenders Interlock waitress

Exit status: 0, or 1 if Interlock failed a row. Other people's rows are figures, not failures.
"""

from __future__ import annotations

import argparse
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gauntlet import faults, overload, report, slow_peers, stopping
from benchmarks.gauntlet.contenders import CONTENDERS, TRACES, Contender
from benchmarks.gauntlet.row import Options, Row

ROWS: tuple[Row, ...] = (
    *slow_peers.slow_heads[:2],
    slow_peers.few_no_readers,
    overload.few_streams,
    stopping.sigterm,
    stopping.sigint,
    overload.stuck,
    overload.flood,
    slow_peers.slow_heads[2],
    *slow_peers.slow_contents,
    slow_peers.many_no_readers,
    overload.many_streams,
    overload.fan_out,
    slow_peers.deadlines,
    stopping.moments,
    stopping.late_request,
    stopping.second_signal,
    faults.raises,
    faults.resets,
    faults.descriptors,
)
"""In the order of the table."""
DESCRIPTORS_WANTED = 4096


def main(arguments: list[str] | None = None) -> int:
    """Runs the gauntlet; returns the exit status."""
    options = _parser().parse_args(arguments)
    rows = [row for row in ROWS if not options.rows or row.name in options.rows]
    names = options.contenders or [one.name for one in CONTENDERS]
    contenders = [one for one in CONTENDERS if one.name in names]
    if options.trace:
        options.trace.mkdir(parents=True, exist_ok=True)
        TRACES.append(options.trace)
    settings = Options(options.tries, options.big, options.seed)
    cells: list[report.Cell] = []
    try:
        for number in range(1, 2 + options.twice):
            for row in rows:
                for contender in contenders:
                    cells += _run(row, contender, settings, number)
    except KeyboardInterrupt:
        print("\ninterrupted: what follows is what was run", file=sys.stderr)
    run = report.kept(cells, report.conditions(contenders, settings))
    print(report.table(run))
    if options.json:
        again = options.merge and options.json.exists()
        order = [question.name for row in ROWS for question in row.questions]
        run = report.merged(report.read(options.json), run, order) if again else run
        report.write(options.json, run)
    failed = report.failed(cells, "Interlock")
    if failed:
        print(f"Interlock failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(row: Row, contender: Contender, settings: Options, number: int) -> list[report.Cell]:
    """One row against one contender, with a line of progress."""
    began = time.monotonic()
    if sys.stderr.isatty():
        print(f"{row.name}: {contender.name} …", end="\r", file=sys.stderr, flush=True)
    results = row.ask(contender, settings, descriptors())
    seconds = time.monotonic() - began
    cells = []
    for question, result in zip(row.questions, results, strict=True):
        cells.append(report.Cell(question, contender.name, result, number))
        mark = f"{result.verdict.value:<5}{question.name:<20}{contender.name:<10}"
        print(f"{mark}{result.text}  [{seconds:.0f} s]", file=sys.stderr, flush=True)
    _replay(row)
    return cells


def _replay(row: Row) -> None:
    """Hold what Interlock has traced in this row against the spec; the legal traces are removed.

    Raises SystemExit for one that is not legal: it is kept, and the row told nothing about it.
    """
    for file in sorted(one for folder in TRACES for one in folder.glob("*.trace")):
        judge = [sys.executable, "-m", "statemachine", "replay", str(file)]
        run = subprocess.run(judge, capture_output=True, text=True, check=False)
        if run.returncode:
            raise SystemExit(f"{row.name}: {run.stdout}{run.stderr}")
        print(f"     {run.stdout.splitlines()[0].split(': ', 1)[1]}", file=sys.stderr, flush=True)
        file.unlink()


def descriptors() -> int:
    """How many descriptors this process and those it starts may have: as many as the rows need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS_WANTED:
        known = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else hard
        soft = min(DESCRIPTORS_WANTED, known)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gauntlet",
        description="Overload, slow peers, stuck code and signals, from outside.",
    )
    rows = [row.name for row in ROWS]
    names = [one.name for one in CONTENDERS]
    parser.add_argument("--rows", nargs="+", choices=rows, metavar="ROW", help=", ".join(rows))
    parser.add_argument("--contenders", nargs="+", choices=names, metavar="NAME", help=str(names))
    parser.add_argument("--tries", type=int, default=10, help="of the row moments (default: 10)")
    parser.add_argument("--twice", action="store_true", help="run everything twice")
    parser.add_argument(
        "--big",
        choices=("bytes", "pieces"),
        default="bytes",
        help="how the application makes its 20 MB: one bytes object, or a generator of 64 KiB "
        "pieces (default: bytes)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of random moments (default: 1)")
    parser.add_argument(
        "--trace",
        type=Path,
        metavar="DIR",
        help="have Interlock trace every arrow into this folder, and replay that after each row",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the run in this file")
    parser.add_argument("--merge", action="store_true", help="keep what the file has of others")
    return parser


if __name__ == "__main__":
    # Ended by either signal, it ends the servers that it has started.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
