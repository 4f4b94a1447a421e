"""Generated from spec/fleet.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class FleetState(enum.Enum):
    """The states of machine fleet."""

    STARTING = "STARTING"
    """The socket listens, and the first processes are being started."""

    SERVING = "SERVING"
    """Each place has a process, or will have one again."""

    ROLLING = "ROLLING"
    """The processes are being replaced, one after the other."""

    DRAINING = "DRAINING"
    """All processes were told to stop."""

    FAILING = "FAILING"
    """There is no use in going on: all processes were told to stop."""

    CUTTING = "CUTTING"
    """All processes were told a second time."""

    STOPPED = "STOPPED"
    """Every request that any process accepted has an outcome; exit status 0."""

    DAMAGED = "DAMAGED"
    """Stopped, and some process did not end well; the exit status is the worst of theirs."""

    FORCED = "FORCED"
    """Stopped with something cut off; exit status 1."""

    FAILED = "FAILED"
    """Given up; the exit status is that of the process that failed."""

    __hash__ = object.__hash__


_INITIAL: Final = FleetState.STARTING


class FleetMachine(Model):
    """The parent of all processes that serve."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "fleet"
    State: ClassVar[type[FleetState]] = FleetState
    state: FleetState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def all_ready(self) -> None:
        """F1: STARTING → SERVING when all_are_current.

        F2: STARTING → ROLLING unless all_are_current.
        """
        raise Unbound(self, "all_ready")

    def start_failed(self) -> None:
        """F3: STARTING → FAILING."""
        raise Unbound(self, "start_failed")

    def stop_requested(self) -> None:
        """F4: STARTING → DRAINING.

        F8: SERVING → DRAINING.
        F13: ROLLING → DRAINING.
        """
        raise Unbound(self, "stop_requested")

    def restart_requested(self) -> None:
        """F5: STARTING → STARTING.

        F6: SERVING → ROLLING.
        F11: ROLLING → ROLLING.
        """
        raise Unbound(self, "restart_requested")

    def tries_ran_out(self) -> None:
        """F7: SERVING → FAILING.

        F12: ROLLING → FAILING.
        """
        raise Unbound(self, "tries_ran_out")

    def all_replaced(self) -> None:
        """F9: ROLLING → SERVING."""
        raise Unbound(self, "all_replaced")

    def replacement_failed(self) -> None:
        """F10: ROLLING → SERVING."""
        raise Unbound(self, "replacement_failed")

    def emptied(self) -> None:
        """F14: DRAINING → STOPPED when all_ended_well.

        F15: DRAINING → DAMAGED unless all_ended_well.
        F17: FAILING → FAILED.
        F19: CUTTING → FORCED.
        """
        raise Unbound(self, "emptied")

    def force_requested(self) -> None:
        """F16: DRAINING → CUTTING.

        F18: FAILING → CUTTING.
        """
        raise Unbound(self, "force_requested")

    def all_are_current(self) -> bool:
        """Every process that serves was started after the last restart was asked for."""
        raise Unbound(self, "all_are_current")

    def all_ended_well(self) -> bool:
        """Every process that served has ended with status 0, and together their requests have
        an outcome.
        """
        raise Unbound(self, "all_ended_well")

    def begin_generation(self) -> None:
        """Processes that were started before are old from now on."""
        raise Unbound(self, "begin_generation")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"all_are_current", "all_ended_well", "begin_generation"}
    )
