"""`python -m statemachine`: check, explore and prove the spec, generate, draw, judge traces."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from statemachine import diagrams, exploring, generate, proving, replaying, spin
from statemachine.checks import check
from statemachine.errors import StateMachineError
from statemachine.loader import load_system
from statemachine.model import System
from statemachine.tables import spec_folder

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
  python -m statemachine replay FILE         does this trace of a server keep to the spec?
  python -m statemachine replay --to-json FILE    the same trace, a JSON object a line
  python -m statemachine explore             every state of the composed system, for small bounds
  python -m statemachine explore --bounds deep --svg fault.svg
                                             for larger ones; a counterexample is drawn
  python -m statemachine prove               the same properties for any number of objects, by
                                             induction (needs z3)
  python -m statemachine spin --bounds quick_ends
                                             the same by SPIN (needs spin and gcc)

exit status: 0 well, 1 something was found, 2 the command itself was wrong, or a trace is unreadable
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
    except BrokenPipeError:
        # Whoever reads has seen enough. Python would flush the rest at its end, and say that it
        # cannot.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
    one = commands.add_parser(
        "replay",
        parents=[shared],
        help="hold traces of a server against the spec",
        description="Hold traces, written by python -m server --trace FILE or dumped by its flight "
        "recorder, against the spec. Exit status: 0 all are legal, 1 one is not, 2 one is damaged.",
    )
    replaying.add_arguments(one)
    one.set_defaults(run=replaying.run)
    one = commands.add_parser(
        "explore",
        parents=[shared],
        help="visit every state of the composed system, and judge the properties",
    )
    exploring.add_options(one)
    one.set_defaults(run=exploring.run)
    one = commands.add_parser(
        "prove", parents=[shared], help="prove the properties for any number of objects"
    )
    proving.add_options(one)
    one.set_defaults(run=proving.run)
    one = commands.add_parser(
        "promela", parents=[shared], help="print the composed system in Promela, for SPIN"
    )
    spin.add_options(one)
    one.add_argument("--ends", action="store_true", help="the model for what comes in the end")
    one.set_defaults(run=spin.write)
    one = commands.add_parser(
        "spin", parents=[shared], help="let SPIN judge the composed system, and compare"
    )
    spin.add_options(one)
    one.set_defaults(run=spin.run)
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
