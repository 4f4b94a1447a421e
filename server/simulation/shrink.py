"""A life that fails, made smaller: whatever can be left out while it fails the same way is."""

from __future__ import annotations

import re
from collections.abc import Callable

from server.simulation.plan import Plan


def key_of(fault: str) -> str:
    """What two faults have in common that are one: their first line, without its numbers."""
    return re.sub(r"\d+(\.\d+)?", "N", fault.partition("\n")[0])[:100]


def shrunk(plan: Plan, faults_in: Callable[[Plan], list[str]]) -> tuple[Plan, list[str]]:
    """The smallest life that was found which fails as this one does, and the names of the parts
    that it lacks.
    """
    wanted = {key_of(one) for one in faults_in(plan)}

    def fails(one: Plan) -> bool:
        return bool(wanted & {key_of(fault) for fault in faults_in(one)})

    gone: list[str] = []
    found = True
    while found:
        found = False
        for name in plan.without(gone).parts:
            # What belongs to a client that is left out has gone with it.
            if name in plan.without(gone).parts and fails(plan.without([*gone, name])):
                gone.append(name)
                found = True
    return plan.without(gone), gone
