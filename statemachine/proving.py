"""`python -m statemachine prove`: the command, its progress and its report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from statemachine.model import System

if TYPE_CHECKING:
    from statemachine.proof import Failure, Proof, Prover

EXAMPLES_MAX = 3
"""So many failures are told with an example; the others by name."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=_seconds,
        default=2.0,
        help="what z3 may take for one obligation; more is a failure (default: 2)",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="name every clause, and every way to take a step"
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.001 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no time, expected 0.001 or more")
    return seconds


def run(system: System, options: argparse.Namespace) -> int:
    """Prove it. 1 if something is not proved, 2 without z3."""
    try:
        from statemachine.proof import Prover  # noqa: PLC0415 - z3 is big, and only this needs it
    except ModuleNotFoundError as error:
        if error.name != "z3":
            raise
        print("statemachine: prove needs z3: pip install z3-solver", file=sys.stderr)
        return 2
    prover = Prover(
        system, seconds=options.seconds, progress=_progress if sys.stderr.isatty() else None
    )
    proof = prover.run()
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    if options.verbose:
        print("\n".join(_listed(prover)))
    for number, failure in enumerate(proof.failures):
        print("\n".join(told(prover, failure, example=number < EXAMPLES_MAX)))
    if proof.beyond and not proof.failures:
        print(f"not for induction, see explore: {', '.join(one.id for one in proof.beyond)}")
    if proof.model.unsaid:
        print(f"not in the model: {', '.join(proof.model.unsaid)}")
    print(summary(system, proof))
    return 1 if proof.failures else 0


def summary(system: System, proof: Proof) -> str:
    """One line of figures."""
    many = ", ".join(f"{name}s" for name in proof.model.many)
    figures = (
        f"{proof.clauses} clauses, {proof.takings} ways to take {len(proof.model.moves)} moves, "
        f"{proof.asked + proof.framed} obligations: {proof.framed} framed, "
        f"{proof.asked - len(proof.failures)} proved, {proof.seconds:.2f} s"
    )
    if not proof.failures:
        return f"{system.folder}: proved for any number of {many}: {figures}"
    more = "" if proof.complete else ", and it was given up"
    return f"{system.folder}: NOT proved: {len(proof.failures)} failed{more}: {figures}"


def told(prover: Prover, failure: Failure, *, example: bool) -> Iterator[str]:
    """A failure in words, with a small example if one is wanted."""
    from statemachine.induction import SIZES, example_of  # noqa: PLC0415 - with z3, as above

    yield f"{failure.step}: does not keep {failure.clause}: {failure.english}"
    if failure.verdict == "unknown":
        yield "  z3 does not know in the time that it was given"
        return
    if not example:
        return
    lines = example_of(prover, failure)
    yield from (f"  {line}" for line in lines)
    if lines:
        yield "  This may be a state that never comes: then a row of invariants.toml is missing."
    else:
        yield f"  z3 cannot rule it out, and has no example with {SIZES[-1]} or fewer of each."
    yield "  For a run from the first state, if there is one: python -m statemachine explore"


def _listed(prover: Prover) -> Iterator[str]:
    for clause in prover.clauses:
        yield f"clause {clause.id}: {clause.english}"
    for taking in prover.takings:
        framed = sum(prover.framed(clause, taking) for clause in prover.clauses)
        yield f"step {taking.id}: {len(prover.clauses) - framed} asked, {framed} framed"


def _progress(done: int, of: int) -> None:
    print(f"\r{done} of {of} steps", end="", file=sys.stderr)
