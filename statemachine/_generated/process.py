"""Generated from spec/process.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class ProcessState(enum.Enum):
    """The states of machine process."""

    PLANNED = "PLANNED"
    """To be started when its pause is over; there is no process yet."""

    STARTING = "STARTING"
    """A fresh interpreter loads what it is to serve."""

    OVERDUE = "OVERDUE"
    """Killed before it was ready."""

    SERVING = "SERVING"
    """It accepts from the socket that all share, and answers."""

    DRAINING = "DRAINING"
    """It stops by its own ladder: spec/server.toml."""

    CUTTING = "CUTTING"
    """It was told a second time, and cuts off what is left."""

    KILLED = "KILLED"
    """The parent has killed it."""

    CALLED_OFF = "CALLED_OFF"
    """Never started."""

    FAILED = "FAILED"
    """Never served."""

    ENDED = "ENDED"
    """Over, with an account of every request that it accepted."""

    CRASHED = "CRASHED"
    """Over without a word: what it had accepted and not settled is lost."""

    CUT = "CUT"
    """Over by the parent's hand: what it had accepted and not settled was cut off."""

    __hash__ = object.__hash__


_INITIAL: Final = ProcessState.PLANNED


class ProcessMachine(Model):
    """One child that serves, as its parent sees it."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "process"
    State: ClassVar[type[ProcessState]] = ProcessState
    state: ProcessState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def spawned(self) -> None:
        """M1: PLANNED → STARTING."""
        raise Unbound(self, "spawned")

    def spawn_failed(self) -> None:
        """M2: PLANNED → FAILED."""
        raise Unbound(self, "spawn_failed")

    def called_off(self) -> None:
        """M3: PLANNED → CALLED_OFF."""
        raise Unbound(self, "called_off")

    def ready(self) -> None:
        """M4: STARTING → SERVING."""
        raise Unbound(self, "ready")

    def drain_asked(self) -> None:
        """M5: STARTING → DRAINING.

        M10: SERVING → DRAINING.
        """
        raise Unbound(self, "drain_asked")

    def exited(self) -> None:
        """M6: STARTING → FAILED.

        M8: OVERDUE → FAILED.
        M12: SERVING → ENDED when is_accounted.
        M13: SERVING → CRASHED unless is_accounted.
        M14: DRAINING → ENDED when is_accounted.
        M15: DRAINING → CRASHED unless is_accounted.
        M18: CUTTING → ENDED when is_accounted.
        M19: CUTTING → CRASHED unless is_accounted.
        M21: KILLED → CUT.
        """
        raise Unbound(self, "exited")

    def start_seconds_passed(self) -> None:
        """M7: STARTING → OVERDUE."""
        raise Unbound(self, "start_seconds_passed")

    def kill_seconds_passed(self) -> None:
        """M9: OVERDUE → FAILED.

        M20: CUTTING → KILLED.
        M22: KILLED → CUT.
        """
        raise Unbound(self, "kill_seconds_passed")

    def stopping(self) -> None:
        """M11: SERVING → DRAINING."""
        raise Unbound(self, "stopping")

    def drain_seconds_passed(self) -> None:
        """M16: DRAINING → CUTTING."""
        raise Unbound(self, "drain_seconds_passed")

    def force_asked(self) -> None:
        """M17: DRAINING → CUTTING."""
        raise Unbound(self, "force_asked")

    def is_accounted(self) -> bool:
        """It has said what became of its requests, or that it could not start."""
        raise Unbound(self, "is_accounted")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"is_accounted"}
    )
