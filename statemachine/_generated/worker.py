"""Generated from spec/worker.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class WorkerState(enum.Enum):
    """The states of machine worker."""

    STARTING = "STARTING"
    """Its thread is being started, or runs the initializer."""

    IDLE = "IDLE"
    """Owns no job; looks for one, or sleeps until one comes."""

    BUSY = "BUSY"
    """Owns exactly one job."""

    LATE = "LATE"
    """Owns exactly one job, which takes long; a stand-in may have its place."""

    QUARANTINED = "QUARANTINED"
    """Its job was taken from it. Its thread is stuck in the handler, and nobody waits for it.
    """

    STOPPED = "STOPPED"
    """Its thread has left the loop as it should."""

    DEAD = "DEAD"
    """Its thread is gone as it should not be; the pool puts another in its place."""

    __hash__ = object.__hash__


_INITIAL: Final = WorkerState.STARTING


class WorkerMachine(Model):
    """One thread of the pool, and whether it owns a job."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "worker"
    State: ClassVar[type[WorkerState]] = WorkerState
    state: WorkerState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def started(self) -> None:
        """W1: STARTING → IDLE."""
        raise Unbound(self, "started")

    def initializer_raised(self) -> None:
        """W2: STARTING → DEAD."""
        raise Unbound(self, "initializer_raised")

    def died(self) -> None:
        """W3: STARTING → DEAD.

        W6: IDLE → DEAD.
        W8: BUSY → DEAD.
        W12: LATE → DEAD.
        W15: QUARANTINED → DEAD.
        """
        raise Unbound(self, "died")

    def took_job(self) -> None:
        """W4: IDLE → BUSY when queue_has_job."""
        raise Unbound(self, "took_job")

    def dismissed(self) -> None:
        """W5: IDLE → STOPPED when no_job_will_come."""
        raise Unbound(self, "dismissed")

    def finished(self) -> None:
        """W7: BUSY → IDLE.

        W10: LATE → IDLE unless place_is_taken.
        W11: LATE → STOPPED when place_is_taken.
        """
        raise Unbound(self, "finished")

    def became_late(self) -> None:
        """W9: BUSY → LATE."""
        raise Unbound(self, "became_late")

    def quarantined(self) -> None:
        """W13: LATE → QUARANTINED."""
        raise Unbound(self, "quarantined")

    def woke(self) -> None:
        """W14: QUARANTINED → STOPPED."""
        raise Unbound(self, "woke")

    def retired(self) -> None:
        """W16: IDLE → STOPPED when is_surplus."""
        raise Unbound(self, "retired")

    def queue_has_job(self) -> bool:
        """The pool's queue is not empty."""
        raise Unbound(self, "queue_has_job")

    def no_job_will_come(self) -> bool:
        """The pool does not accept jobs any more and its queue is empty."""
        raise Unbound(self, "no_job_will_come")

    def is_surplus(self) -> bool:
        """More workers are not late than the pool has places."""
        raise Unbound(self, "is_surplus")

    def place_is_taken(self) -> bool:
        """As many workers as the pool has places are not late."""
        raise Unbound(self, "place_is_taken")

    def owns_job(self) -> bool:
        """The worker holds a job."""
        raise Unbound(self, "owns_job")

    def take_job(self) -> None:
        """The oldest job leaves the queue and becomes this worker's own."""
        raise Unbound(self, "take_job")

    def drop_job(self) -> None:
        """The job is this worker's no longer."""
        raise Unbound(self, "drop_job")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {
            "queue_has_job",
            "no_job_will_come",
            "is_surplus",
            "place_is_taken",
            "owns_job",
            "take_job",
            "drop_job",
        }
    )
