"""`python -m statemachine explore`: the command, its progress and its report."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from statemachine.composed import Composed, compose
from statemachine.errors import SpecError
from statemachine.explore import Explored, Explorer, Fault
from statemachine.liveness import Liveness
from statemachine.model import System
from statemachine.program import Program
from statemachine.sequence import mermaid, svg
from statemachine.story import Story, told


def bounds_named(system: System, name: str) -> list[str]:
    """The bounds of that name, and all whose name begins with it and goes on after a `_`.

    Raises SpecError where there is none.
    """
    found = [one for one in system.bounds if one == name or one.startswith(f"{name}_")]
    if not found:
        known = ", ".join(system.bounds)
        raise SpecError("system.toml", "bounds", f"has no '{name}', expected one of {known}")
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "--bounds",
        metavar="NAME",
        default="quick",
        help="a name under [bounds] of system.toml, or what several begin with (default: quick)",
    )
    parser.add_argument(
        "--svg", metavar="FILE", type=Path, help="draw the counterexample, if there is one"
    )


def run(system: System, options: argparse.Namespace) -> int:
    """Explore under each of the bounds. 1 if something is wrong, at the first that is."""
    seen: set[str] = set()
    names = bounds_named(system, options.bounds)
    models = [compose(system, name) for name in names]
    for model in models:
        explorer = Explorer(model, progress=_progress if sys.stderr.isatty() else None)
        explored = explorer.run()
        _clear()
        print(summary(explored))
        story = _story(explored.fault, explorer.program)
        if story is None and wants_ends(model):
            story = _judge_ends(model)
        if story is None:
            story_text = _pinned_fault(system, explored)
            if story_text:
                print(story_text, file=sys.stderr)
                return 1
            seen |= explored.taken
            continue
        print(f"\n{story}\n\n{mermaid(story)}")
        if options.svg:
            options.svg.write_text(svg(story), encoding="utf-8")
            print(f"wrote {options.svg}")
        return 1
    return _report_unseen(models, seen)


def wants_ends(model: Composed) -> bool:
    """Whether the bounds ask that `leads_to` be judged."""
    return model.limit("leads_to") > 0


def summary(explored: Explored) -> str:
    """One line of figures."""
    rate = explored.states / explored.seconds if explored.seconds else 0.0
    return (
        f"{explored.model.bounds}: {explored.states} states, {explored.transitions} transitions, "
        f"depth {explored.depth}, {explored.seconds:.2f} s, {rate:.0f} states/s"
    )


def _story(fault: Fault | None, program: Program) -> Story | None:
    return None if fault is None else told(fault, program)


def _judge_ends(model: Composed) -> Story | None:
    began = time.process_time()
    liveness = Liveness(model)
    fault = liveness.fault()
    seconds = time.process_time() - began
    named = ", ".join(one.id for one in liveness.properties)
    states = len(liveness.graph.states)
    print(f"{model.bounds}: what comes in the end, on {states} states with names: {seconds:.2f} s")
    if fault is None:
        print(f"{model.bounds}: {named}: hold")
    return _story(fault, liveness.program)


def _pinned_fault(system: System, explored: Explored) -> str | None:
    pinned = system.pinned.get(explored.model.bounds)
    if pinned is None or pinned == explored.states:
        return None
    return (
        f"system.toml: pinned: {explored.model.bounds} is {pinned}, and {explored.states} states "
        "were found: say so there if that is meant"
    )


def _report_unseen(models: Sequence[Composed], seen: set[str]) -> int:
    """Arrows that were taken under none of the bounds; and what was to be seen sometimes."""
    arrows = {
        arrow.id
        for model in models
        for machine in model.machines
        for arrow in model.system.machines[machine].arrows
    }
    never = [name for name in models[0].system.arrows if name in arrows - seen]
    print(f"arrows never taken under these bounds: {' '.join(never) or 'none'}")
    wanted = {
        one.id: getattr(one, "arrow")  # noqa: B009 - of those that have one
        for model in models
        for one in model.properties
        if hasattr(one, "arrow")
    }
    for name, arrow in wanted.items():
        print(f"sometimes: {name}: {arrow} is {'taken' if arrow in seen else 'NEVER taken'}")
    unsaid = set.intersection(*(set(model.unsaid) for model in models))
    if unsaid:
        print(f"not in these models: {', '.join(sorted(unsaid))}")
    missing = [name for name, arrow in wanted.items() if arrow not in seen]
    for name in missing:
        print(f"{name}: no run under these bounds takes {wanted[name]}", file=sys.stderr)
    return 1 if missing else 0


def _progress(states: int, depth: int, seconds: float) -> None:
    print(f"\r{states} states, depth {depth}, {seconds:.0f} s", end="", file=sys.stderr)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
