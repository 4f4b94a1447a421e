"""All children together: spec/fleet.toml, and what its guards ask."""

from __future__ import annotations

from server.processes.accounts import Total
from server.processes.process import STANDING, Process
from statemachine._generated import FleetMachine, FleetState, ProcessState

FINAL = frozenset({FleetState.STOPPED, FleetState.DAMAGED, FleetState.FORCED, FleetState.FAILED})


class Fleet(FleetMachine):
    """The children that are not over yet, in the order in which they were planned.

    `total` is the ledger of those that are over, `worst` the worst exit status of theirs that
    counts, `failure` what a start that ends all of it is worth: an exit status, and a line.
    """

    __slots__ = ("failure", "generation", "places", "processes", "total", "worst")

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = range(1, places + 1)
        self.processes: list[Process] = []
        self.generation = 1
        self.total = Total()
        self.worst = 0
        self.failure = (1, "")

    # --- the spec's words -------------------------------------------------------------------

    def all_are_current(self) -> bool:
        return not self.old()

    def all_ended_well(self) -> bool:
        return self.worst == 0 and self.total.imbalance == 0

    def begin_generation(self) -> None:
        self.generation += 1

    # --- who there is -----------------------------------------------------------------------

    def old(self) -> list[Process]:
        """Those that serve, and were started before the last restart was asked for."""
        return [one for one in self.serving() if one.generation < self.generation]

    def serving(self, place: int | None = None) -> list[Process]:
        """Those that serve, in one place or in all."""
        return [
            one
            for one in self.processes
            if one.state is ProcessState.SERVING and place in (None, one.place)
        ]

    def all_serve(self) -> bool:
        """Whether each place has a process that serves."""
        return {one.place for one in self.serving()} == set(self.places)

    def vacant(self) -> list[int]:
        """The places that nobody has, or will have."""
        held = {one.place for one in self.processes if one.state in STANDING}
        return [place for place in self.places if place not in held]

    # --- the end ----------------------------------------------------------------------------

    def close(self, one: Process, seen: Total) -> None:
        """A process is over: its requests and its exit status go to the account of all."""
        self.processes.remove(one)
        self.total += one.account(seen)
        self.worst = max(self.worst, one.status)

    @property
    def exit_status(self) -> int:
        """What the final state is worth."""
        return {
            FleetState.STOPPED: 0,
            FleetState.DAMAGED: 3 if self.total.imbalance else self.worst,
            FleetState.FORCED: 1,
            FleetState.FAILED: self.failure[0],
        }[self.state]
