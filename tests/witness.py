"""What a whole server did, held against the spec: every arrow, by every object, on every thread."""

from __future__ import annotations

import dataclasses
import threading

from server.net.baton import Baton
from server.simulation.judge import roles_of
from statemachine import Arrow, Model, System
from statemachine.trace import Monitor, Recorder, illegal_steps

MAIN = {"supervisor", "MainThread"}


def without(system: System, *properties: str) -> System:
    """The system without these properties, for a run that is meant to break them."""
    kept = tuple(one for one in system.properties if one.id not in properties)
    assert len(kept) == len(system.properties) - len(properties), "no such property"
    return dataclasses.replace(system, properties=kept)


class Witness:
    """A hook for a server under test.

    It records every arrow, holds the occupancy of all states against the properties of the spec,
    and checks that each event was fired by a thread that the spec allows: `driven_by`, and for a
    connection the owner of the state that it left.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.recorder = Recorder(threading.Lock())
        self.monitor = Monitor(system, threading.Lock())
        self.trespasses: list[str] = []
        self.reactor = "reactor"

    def __call__(self, model: Model, arrow: Arrow) -> None:
        self.recorder(model, arrow)
        thread = threading.current_thread().name
        if not self.may(thread, arrow):
            self.trespasses.append(f"{arrow} on thread {thread}")
        if isinstance(model, Baton):
            # Whoever has it is the reactor.
            self.reactor = model.holder.name if model.holder is not None else "reactor"
        if arrow.event == "reactor_died":
            self.reactor = thread  # the supervisor cleans up in its place
        self.monitor(model, arrow)

    def faults(self) -> list[str]:
        """All that was wrong, in one list."""
        return [
            *illegal_steps(self.system, self.recorder.steps),
            *self.monitor.violations,
            *self.trespasses,
        ]

    def may(self, thread: str, arrow: Arrow) -> bool:
        """Whether a thread of this name may fire the arrow."""
        roles = roles_of(self.system, arrow)
        if roles is None:
            return True  # whoever holds the pool's lock: tests/pool sees to that
        role = "main" if thread in MAIN else "worker" if thread.startswith("worker_") else thread
        return (role in roles and role != "reactor") or (
            thread == self.reactor and "reactor" in roles
        )
