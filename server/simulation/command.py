"""`python -m server simulate`: many lives of the whole server, each repeated from its seed.

Exit status: 0 no life failed, 1 some did, 2 the command line was wrong or greenlet is missing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from server.errors import ConfigError, InterlockError
from server.server import sound_system
from server.simulation.bearers import greenlets
from server.simulation.lives import Kind, Tally, play_all
from server.simulation.scenario import DEFAULT, load_scenario
from server.simulation.shrink import shrunk
from server.simulation.telling import diagram, timeline, told_plan

DESCRIPTION: Final = """\
Simulate the whole server: its own threads, parser, writer, pool and ladder of the stop, on sockets,
files and a clock in memory. Each life is drawn from a seed: clients, and what goes wrong. It is
held against the spec, arrow by arrow, and against what clients read. The same seed is the same
life, always.
"""

EPILOG: Final = """\
examples:
  python -m server simulate --lives 10000 --jobs 2
  python -m server simulate --seed 4711 --lives 1 --verbose    one life again, told line by line
  python -m server simulate --seed 4711 --lives 1 --shrink     and what of it is needed to fail
  python -m server simulate --app shop.wsgi:application        your own WSGI application

exit status: 0 no life failed, 1 some did, 2 wrong command line, or greenlet is not installed
"""
FAILURES_SHOWN: Final = 20

ABOVE: Final = frozenset({"fleet", "process"})
"""Machines of the parent of several servers: the one that is simulated has none."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        greenlets()
        kind = _kind(options)
        if options.verbose or options.diagram or options.without or options.shrink:
            return _play_one(kind, options)
        return _play_many(kind, options)
    except InterlockError as error:
        print(f"interlock: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server simulate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--seed", type=_whole, default=1, metavar="S", help="the first life's seed (default: 1)")
    add("--lives", type=_whole, default=1000, metavar="N", help="how many lives (default: 1000)")
    add("--jobs", type=_whole, default=1, metavar="N", help="processes at once (default: 1)")
    add("--app", default="", metavar="MODULE:CALLABLE", help="WSGI application that is asked")
    add("--scenario", type=Path, metavar="FILE", help="what it is asked: TOML, [[request]] tables")
    add("--verbose", action="store_true", help="tell one life: bytes, arrows, faults, virtual time")
    add("--diagram", action="store_true", help="draw one life as a Mermaid sequence diagram")
    add("--shrink", action="store_true", help="leave out of one life what it does not need to fail")
    add("--without", default="", metavar="PARTS", help="leave these parts out: c1,r7,d0")
    return parser


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def _kind(options: argparse.Namespace) -> Kind:
    """What is simulated. Raises ConfigError."""
    if options.scenario is not None and not options.app:
        raise ConfigError("--scenario says what an --app is asked, and none is named")
    if options.jobs < 1:
        raise ConfigError(f"--jobs is {options.jobs}, expected 1 or more")
    if not options.app:
        return Kind()
    wishes = DEFAULT if options.scenario is None else load_scenario(options.scenario)
    return Kind(options.app, wishes)


# --- one life ---------------------------------------------------------------------------------


def _play_one(kind: Kind, options: argparse.Namespace) -> int:
    if options.lives != 1:
        raise ConfigError(
            "--verbose, --diagram, --shrink and --without are of one life: say --lives 1"
        )
    names = [one for one in options.without.split(",") if one]
    plan = kind.plan(options.seed)
    if unknown := [one for one in names if one not in plan.parts]:
        raise ConfigError(f"--without {unknown[0]}: this life has {', '.join(plan.parts)}")
    plan = plan.without(names)
    past, faults = kind.play(plan, watched=True)
    if options.shrink and faults:
        plan, gone = shrunk(plan, lambda one: kind.play(one)[1])
        past, faults = kind.play(plan, watched=True)
        names += gone
    if options.diagram:
        print("\n".join(diagram(past)))
    elif options.verbose or options.shrink:
        print("\n".join([*told_plan(plan), "", *timeline(past), ""]))
    if names and options.shrink:
        print(f"again: --seed {options.seed} --lives 1 --verbose --without {','.join(names)}")
    for fault in faults:
        print(f"life {options.seed} failed: {fault}")
    if not faults and not options.diagram:
        print(f"life {options.seed} is well: {past.digest()}")
    return 1 if faults else 0


# --- many -------------------------------------------------------------------------------------


def _play_many(kind: Kind, options: argparse.Namespace) -> int:
    began, tally = time.monotonic(), Tally()
    is_terminal = sys.stderr.isatty()
    for some in play_all(kind, options.seed, options.lives, options.jobs):
        for seed, fault in some.failed[: max(0, FAILURES_SHOWN - len(tally.failed))]:
            print(f"life {seed} failed: {fault.partition(chr(10))[0]}", flush=True)
        tally.add(some)
        if is_terminal:
            rate = tally.lives / (time.monotonic() - began)
            done = f"\r{tally.lives:,} of {options.lives:,} lives, {rate:.0f}/s "
            print(done, end="", file=sys.stderr, flush=True)
    if is_terminal:
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    print("\n".join(_summary(tally, options.seed, time.monotonic() - began)))
    return 1 if tally.failed else 0


def _summary(tally: Tally, first: int, seconds: float) -> list[str]:
    arrows = [one.id for one in sound_system().arrows.values() if one.machine not in ABOVE]
    never = [one for one in arrows if not tally.arrows[one]]
    outcomes = ", ".join(f"{tally.outcomes[one]} {one}" for one in tally.outcomes)
    befell = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.befell.items()))
    failed = f"{len(tally.failed)} failed" if tally.failed else "none failed"
    rate = tally.lives / max(seconds, 1e-9)
    taken = f"{len(arrows) - len(never)} of {len(arrows)} taken at least once"
    return [
        f"{tally.lives} lives from seed {first}: {failed}",
        f"requests: {tally.requests} accepted: {outcomes}",
        f"time: {tally.seconds:.0f} virtual seconds in {seconds:.1f}, {rate:.0f} lives a second",
        f"arrows: {taken}, {tally.arrows.total()} in all; never: {' '.join(never) or 'none'}",
        f"befell: {befell or 'nothing'}",
    ]
