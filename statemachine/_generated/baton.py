"""Generated from spec/baton.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class BatonState(enum.Enum):
    """The states of machine baton."""

    KEPT = "KEPT"
    """The reactor's thread polls."""

    LENT = "LENT"
    """A worker has it: it runs jobs, and polls between them. The reactor's thread watches."""

    TRUSTED = "TRUSTED"
    """A worker has it and waits for the world. The reactor's thread sleeps."""

    RECALLED = "RECALLED"
    """A worker still polls, for the last time."""

    DROPPED = "DROPPED"
    """Nobody polls any more."""

    __hash__ = object.__hash__


_INITIAL: Final = BatonState.KEPT


class BatonMachine(Model):
    """The reactor's role: whose thread polls, and fires what is the reactor's to fire."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "baton"
    State: ClassVar[type[BatonState]] = BatonState
    state: BatonState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def lent(self) -> None:
        """B1: KEPT → LENT."""
        raise Unbound(self, "lent")

    def rested(self) -> None:
        """B2: LENT → TRUSTED."""
        raise Unbound(self, "rested")

    def rung(self) -> None:
        """B3: TRUSTED → LENT."""
        raise Unbound(self, "rung")

    def reclaimed(self) -> None:
        """B4: LENT → KEPT."""
        raise Unbound(self, "reclaimed")

    def returned(self) -> None:
        """B5: LENT → KEPT.

        B6: TRUSTED → KEPT.
        B9: RECALLED → KEPT.
        """
        raise Unbound(self, "returned")

    def recalled(self) -> None:
        """B7: LENT → RECALLED.

        B8: TRUSTED → RECALLED.
        """
        raise Unbound(self, "recalled")

    def dropped(self) -> None:
        """B10: KEPT → DROPPED.

        B11: LENT → DROPPED.
        B12: TRUSTED → DROPPED.
        B13: RECALLED → DROPPED.
        """
        raise Unbound(self, "dropped")

    def appoint(self) -> None:
        """A worker that is awake is the holder."""
        raise Unbound(self, "appoint")

    def depose(self) -> None:
        """No worker is the holder any more."""
        raise Unbound(self, "depose")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"appoint", "depose"}
    )
