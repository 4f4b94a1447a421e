"""Generated from spec/job.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class JobState(enum.Enum):
    """The states of machine job."""

    NEW = "NEW"
    """Made, and not yet offered to the pool."""

    QUEUED = "QUEUED"
    """Accepted; waits in the queue for a worker."""

    RUNNING = "RUNNING"
    """Owned by exactly one worker, which runs it."""

    REFUSED = "REFUSED"
    """Not accepted; it never runs."""

    WITHDRAWN = "WITHDRAWN"
    """Accepted, and taken back before it ran; it never runs."""

    RETURNED = "RETURNED"
    """It ran once and returned."""

    RAISED = "RAISED"
    """It ran once and raised."""

    ABANDONED = "ABANDONED"
    """It had begun to run when its worker died."""

    REVOKED = "REVOKED"
    """It had begun to run and was taken from its worker, which is stuck in it."""

    __hash__ = object.__hash__


_INITIAL: Final = JobState.NEW


class JobMachine(Model):
    """One piece of work on its way through the pool."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "job"
    State: ClassVar[type[JobState]] = JobState
    state: JobState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def accepted(self) -> None:
        """J1: NEW → QUEUED when pool_accepts."""
        raise Unbound(self, "accepted")

    def refused(self) -> None:
        """J2: NEW → REFUSED unless pool_accepts."""
        raise Unbound(self, "refused")

    def taken(self) -> None:
        """J3: QUEUED → RUNNING."""
        raise Unbound(self, "taken")

    def withdrawn(self) -> None:
        """J4: QUEUED → WITHDRAWN."""
        raise Unbound(self, "withdrawn")

    def returned(self) -> None:
        """J5: RUNNING → RETURNED."""
        raise Unbound(self, "returned")

    def raised(self) -> None:
        """J6: RUNNING → RAISED."""
        raise Unbound(self, "raised")

    def abandoned(self) -> None:
        """J7: RUNNING → ABANDONED."""
        raise Unbound(self, "abandoned")

    def revoked(self) -> None:
        """J8: RUNNING → REVOKED."""
        raise Unbound(self, "revoked")

    def pool_accepts(self) -> bool:
        """The pool is SERVING and the queue holds fewer jobs than it may."""
        raise Unbound(self, "pool_accepts")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"pool_accepts"}
    )
