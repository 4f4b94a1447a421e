"""`python -m tests.mutants`: change one thing at a time, and see whether something notices."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from statemachine import inlining
from tests.mutants import code, handwritten, known, report
from tests.mutants.campaign import (
    BUDGET_SECONDS,
    ENGINE_TESTS,
    TESTS,
    Broken,
    OnCode,
    Verdict,
    files_of,
    record_missing,
    run,
)
from tests.mutants.child import PROFILE
from tests.mutants.mutant import TOP, Mutant
from tests.mutants.stored import Trails, Verdicts
from tests.mutants.warm import Warm

DESCRIPTION = """\
Mutants: one thing is changed at a time, and something must notice.

  spec    rows of the spec: deleted, without their guard, with another target, source or step.
          The static checks meet each one, then the tests of its machine
  engine  the sealed engine, by hand (tests/mutants/engine.toml): tests/engine meets them
  code    operators, constants, statements, locks of the code: the tests that run the line meet it

Survivors that are known, with their reasons, are in tests/mutants/known.toml. What was found out is
kept in .mutants/ for as long as code and tests stay as they are.

exit status: 0 every mutant was noticed or is known, 1 one was not, or an entry is stale,
2 the tests fail without any
"""

EXAMPLES = """\
examples:
  python -m tests.mutants spec --kind deleted         every row, deleted
  python -m tests.mutants spec W4 pool                all mutants of one row and of one machine
  python -m tests.mutants code server/net/pool.py     all mutants of one module
  python -m tests.mutants code --sample 400 --seed 7  some, drawn anew from the seed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one campaign; returns the exit status."""
    options = _options(arguments)
    os.environ["HYPOTHESIS_PROFILE"] = PROFILE
    inlining.enabled = False  # a guard's own lines are followed, and changed
    began = time.monotonic()
    try:
        excused = known.entries()
        every = _mutants(options)
        chosen = _sampled(every, options)
        with tempfile.TemporaryDirectory(prefix="mutants-") as place:
            os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = f"{place}/hypothesis"
            verdicts = CAMPAIGNS[options.what](chosen, options, Path(place))
    except (Broken, RuntimeError, known.Wrong, handwritten.Stale) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mutants: interrupted; what was found out is kept for the next run", file=sys.stderr)
        return 130
    return _tell(verdicts, every, excused, options, time.monotonic() - began)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("spec", "engine", "code"))
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a row's id, a machine, a module's file or its area",
    )
    parser.add_argument("--kind", help="only mutants of this kind, such as deleted or constant")
    parser.add_argument("--sample", type=int, metavar="K", help="so many, drawn at random")
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="begin none after so long, in random order"
    )
    parser.add_argument("--seed", type=int, default=1, help="of sample and order (default: 1)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time (default: 2)")
    parser.add_argument(
        "--budget",
        type=float,
        default=BUDGET_SECONDS,
        metavar="SECONDS",
        help=f"of tests that one mutant of the code meets (default: {BUDGET_SECONDS:g})",
    )
    parser.add_argument(
        "--tests",
        nargs="+",
        default=[],
        metavar="PATH",
        help="only tests of these files and folders meet mutants of the code",
    )
    parser.add_argument("--again", action="store_true", help="try also what is known already")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every verdict there")
    parser.add_argument("--list", action="store_true", help="print every verdict")
    parser.add_argument(
        "--record", action="store_true", help="write the scores down for docs/mutants.md"
    )
    options = parser.parse_args(arguments)
    options.command = _command(options)
    return options


def _command(options: argparse.Namespace) -> str:
    """What was asked, without what is done with the answer."""
    words = ["python -m tests.mutants", options.what, *options.names]
    given = {name: getattr(options, name) for name in ("kind", "sample", "minutes")}
    words += [f"--{name} {value}" for name, value in given.items() if value is not None]
    words += ["--tests", *options.tests] if options.tests else []
    if options.sample is not None or options.minutes is not None:
        words.append(f"--seed {options.seed}")
    return " ".join(words)


def _mutants(options: argparse.Namespace) -> list[Mutant]:
    """All that the command speaks of, before a sample is drawn. Raises SystemExit."""
    if options.what == "spec":
        from statemachine import load_system
        from tests.mutants import rows

        system = load_system()
        _require(options.names, {*system.arrows, *system.machines})
        found = rows.mutants(system, options.names)
    elif options.what == "engine":
        found = handwritten.mutants()
    else:
        paths = [path for name in options.names for path in code.AREAS.get(name, (name,))]
        _require(paths, {path for files in code.AREAS.values() for path in files})
        found = code.mutants(paths)
    if options.kind:
        _require([options.kind], {one.kind for one in found})
        found = [one for one in found if one.kind == options.kind]
    return found


def _require(names: Sequence[str], there: set[str]) -> None:
    if unknown := [name for name in names if name not in there]:
        raise SystemExit(f"mutants: nothing is called {', '.join(unknown)}")


def _sampled(every: list[Mutant], options: argparse.Namespace) -> list[Mutant]:
    """All of them in their order, or a random part in random order: the seed is printed."""
    if options.sample is None and options.minutes is None:
        return every
    count = min(len(every), options.sample or len(every))
    print(f"{count} of {len(every)}, in the order of seed {options.seed}")
    return random.Random(options.seed).sample(every, count)


def _on_code(mutants: list[Mutant], options: argparse.Namespace, place: Path) -> list[Verdict]:
    files = files_of(ENGINE_TESTS if options.what == "engine" else options.tests or TESTS)
    if missing := [name for name in files if not (TOP / name).is_file()]:
        raise RuntimeError(f"no such tests: {', '.join(missing)}")
    warm = Warm(files, place / "tests")
    try:
        trails = record_missing(warm, Trails())
        files_met = {name.split("::")[0] for name in warm.tests}
        store = Verdicts(files_met, pains=str(options.budget), again=options.again)
        strategy = OnCode(warm, trails, place, budget_seconds=options.budget)
        return run(mutants, strategy, store, jobs=options.jobs, seconds_max=_seconds_max(options))
    finally:
        warm.close()


def _on_spec(mutants: list[Mutant], options: argparse.Namespace, place: Path) -> list[Verdict]:
    from tests.mutants import on_spec

    machines = list(dict.fromkeys(one.subject[0] for one in mutants))
    files = on_spec.every_file()
    store = Verdicts(files, again=options.again)
    strategy = on_spec.OnSpec(place)
    if any(store.of(one) is None for one in mutants):
        on_spec.require_baseline(strategy, machines, store, jobs=options.jobs)
    return run(mutants, strategy, store, jobs=options.jobs, seconds_max=_seconds_max(options))


def _seconds_max(options: argparse.Namespace) -> float:
    return math.inf if options.minutes is None else 60 * float(options.minutes)


CAMPAIGNS = {"spec": _on_spec, "engine": _on_code, "code": _on_code}


def _tell(
    verdicts: list[Verdict],
    every: list[Mutant],
    excused: list[known.Entry],
    options: argparse.Namespace,
    seconds: float,
) -> int:
    """Print what was found; returns the exit status."""
    for one in verdicts if options.list else ():
        told = one.by if one.outcome == "killed" else f"SURVIVED ({one.by})"
        print(f"{one.mutant.name}: {told} [{one.seconds:.2f} s]")
    found = report.faults(verdicts, excused)
    whole = not options.names and options.kind is None
    areas = {one.area for one in every} if whole else set[str]()
    gone = known.stale(excused, every, areas)
    found += [f"STALE {name}: known.toml lists a mutant that is none" for name in gone]
    for fault in found:
        print(fault)
    made = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "command": options.command,
        "python": platform.python_version(),
    }
    rows = report.scores(verdicts, every, excused, **made)
    print(report.table(rows))
    kinds = Counter(_killer(one) for one in verdicts)
    print(f"{len(verdicts)} in {seconds:.0f} s: " + ", ".join(f"{n} {k}" for k, n in kinds.items()))
    if options.json:
        entries = [[one.mutant.name, one.outcome, one.by, one.seconds] for one in verdicts]
        options.json.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    if options.record:
        report.merged(rows)
    return 1 if found else 0


def _killer(one: Verdict) -> str:
    if one.outcome != "killed":
        return "survived"
    if one.by.startswith(("check: ", "load: ")):
        return "killed by the static checks"
    if one.by.startswith("explore: "):
        return "killed by the explorer"
    return "killed by time" if "(no end within" in one.by else "killed by tests"


if __name__ == "__main__":
    sys.exit(main())
