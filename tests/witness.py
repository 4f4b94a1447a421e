"""What a whole server did, held against the spec: every arrow, by every object, on every thread."""

from __future__ import annotations

import threading

from statemachine import Arrow, Model, System
from statemachine.trace import Monitor, Recorder, illegal_steps

MAIN = {"supervisor", "MainThread"}


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
        if thread not in self._drivers(thread, arrow):
            self.trespasses.append(f"{arrow} on thread {thread}")
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

    def _drivers(self, thread: str, arrow: Arrow) -> set[str]:
        """The threads that may fire this arrow; `thread` stands for any worker that it is."""
        machine = self.system.machines[arrow.machine]
        worker = thread if thread.startswith("worker_") else "a worker"
        if machine.driven_by == "lock":
            return {thread}  # whoever holds the pool's lock: tests/pool sees to that
        if machine.driven_by == "main":
            return MAIN
        owner = machine.states[arrow.source].owner
        if machine.driven_by == "reactor":
            return {self.reactor, *(MAIN if owner == "main" else ())}
        if owner == "queue":
            return {worker if arrow.event == "taken" else self.reactor}
        if owner == "connection":
            return {worker, self.reactor}  # a message belongs to its connection's owner
        return {self.reactor if owner == "reactor" else worker}
