"""`python -m statemachine`: check the spec, generate the typed classes, draw the diagrams."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from statemachine import diagrams, generate
from statemachine.checks import check
from statemachine.errors import StateMachineError
from statemachine.loader import load_system, spec_folder
from statemachine.model import System

DESCRIPTION = """\
State machines from a declarative spec.

spec/ holds one TOML file a machine, a vocabulary and the system that they make together;
spec/README.md teaches the language on one page. Everything here reads that folder and nothing else.
"""

EXAMPLES = """\
examples:
  python -m statemachine check               is the spec well-formed, total and live?
  python -m statemachine generate            rewrite statemachine/_generated/ from the spec
  python -m statemachine generate --check    exit 1 if it is out of date
  python -m statemachine draw                redraw docs/states/*.md and html/diagrams/*.svg
                                             (needs graphviz for SVG)
  python -m statemachine draw --check        exit 1 if a drawing is out of date (needs nothing)

exit status: 0 well, 1 something was found, 2 the command itself was wrong
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        system = load_system(options.spec)
        findings = check(system)
        for finding in findings:
            print(finding, file=sys.stderr)
        if findings:
            return 1
        return int(options.run(system, options))
    except StateMachineError as error:
        print(f"statemachine: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--spec",
        metavar="DIR",
        type=Path,
        default=spec_folder(),
        help="the folder with the spec (default: the one that belongs to this code)",
    )
    parser = argparse.ArgumentParser(
        prog="python -m statemachine",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    one = commands.add_parser(
        "check", parents=[shared], help="lint the spec", description=check.__doc__
    )
    one.set_defaults(run=_check)
    for name, run, what in (
        ("generate", _generate, "write the typed classes"),
        ("draw", _draw, "draw the diagrams"),
    ):
        one = commands.add_parser(name, parents=[shared], help=what)
        one.add_argument(
            "--check", action="store_true", help="write nothing; exit 1 if a file is out of date"
        )
        one.set_defaults(run=run)
    return parser


def _check(system: System, _: argparse.Namespace) -> int:
    states = sum(len(machine.states) for machine in system.machines.values())
    print(
        f"{system.folder}: {len(system.machines)} machines, {states} states, "
        f"{len(system.arrows)} arrows, {len(system.joints)} joint steps, "
        f"{len(system.properties)} properties: no findings"
    )
    return 0


def _generate(system: System, options: argparse.Namespace) -> int:
    if options.check:
        return _report_stale("statemachine/_generated", generate.stale(system), "generate")
    for name in generate.write(system):
        print(f"wrote statemachine/_generated/{name}")
    return 0


def _draw(system: System, options: argparse.Namespace) -> int:
    if options.check:
        return _report_stale("drawings", diagrams.stale(system), "draw")
    for name in diagrams.write(system):
        print(f"wrote {name}")
    return 0


def _report_stale(what: str, names: Sequence[str], command: str) -> int:
    for name in names:
        print(
            f"{what}: {name} is out of date: run python -m statemachine {command}", file=sys.stderr
        )
    if not names:
        print(f"{what}: up to date")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
