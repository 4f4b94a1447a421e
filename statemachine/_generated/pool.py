"""Generated from spec/pool.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class PoolState(enum.Enum):
    """The states of machine pool."""

    SERVING = "SERVING"
    """Jobs are accepted while the queue has room."""

    DRAINING = "DRAINING"
    """No job is accepted; accepted jobs are run, then the workers stop."""

    BROKEN = "BROKEN"
    """No job is accepted and none is queued: workers cannot be had."""

    STOPPED = "STOPPED"
    """No worker lives but those in quarantine, no job is queued, none runs."""

    __hash__ = object.__hash__


_INITIAL: Final = PoolState.SERVING


class PoolMachine(Model):
    """The thread pool's own phase: what `submit` may promise."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "pool"
    State: ClassVar[type[PoolState]] = PoolState
    state: PoolState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def drain_began(self) -> None:
        """P1: SERVING → DRAINING.

        P5: BROKEN → DRAINING.
        """
        raise Unbound(self, "drain_began")

    def broke(self) -> None:
        """P2: SERVING → BROKEN.

        P3: DRAINING → BROKEN.
        P6: BROKEN → BROKEN.
        """
        raise Unbound(self, "broke")

    def workers_ended(self) -> None:
        """P4: DRAINING → STOPPED when no_worker_lives."""
        raise Unbound(self, "workers_ended")

    def resized(self) -> None:
        """P7: SERVING → SERVING."""
        raise Unbound(self, "resized")

    def no_worker_lives(self) -> bool:
        """No thread of this pool runs but those in quarantine, and none is being started."""
        raise Unbound(self, "no_worker_lives")

    def change_places(self) -> None:
        """The pool has as many places as it was asked to have."""
        raise Unbound(self, "change_places")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"no_worker_lives", "change_places"}
    )
