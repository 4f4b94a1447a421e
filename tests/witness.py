"""What a whole server did, held against the spec: every arrow, by every object, on every thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from statemachine import Arrow, Model, System
from statemachine.trace import Monitor, Recorder, illegal_steps


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

    def __call__(self, model: Model, arrow: Arrow) -> None:
        self.recorder(model, arrow)
        thread = threading.current_thread()
        if not DRIVERS[self.system.machines[arrow.machine].driven_by](self, thread.name, arrow):
            self.trespasses.append(f"{arrow} on thread {thread.name}")
        self.monitor(model, arrow)

    def faults(self) -> list[str]:
        """All that was wrong, in one list."""
        return [
            *illegal_steps(self.system, self.recorder.steps),
            *self.monitor.violations,
            *self.trespasses,
        ]

    def _by_owner(self, thread: str, arrow: Arrow) -> bool:
        owner = self.system.machines[arrow.machine].states[arrow.source].owner
        if arrow.machine != "connection":
            # A message belongs to the owner of its connection, which this arrow does not name.
            return thread == "reactor" or thread.startswith("worker_")
        if owner == "queue":
            return thread.startswith("worker_") if arrow.event == "taken" else thread == "reactor"
        return thread == "reactor" if owner == "reactor" else thread.startswith("worker_")


DRIVERS: dict[str, Callable[[Witness, str, Arrow], bool]] = {
    "main": lambda _, thread, arrow: thread not in ("reactor",) and not thread.startswith("worker"),
    "reactor": lambda _, thread, arrow: thread == "reactor",
    "lock": lambda _, thread, arrow: True,  # the pool's lock: tests/pool holds it to that
    "owner": Witness._by_owner,
}
