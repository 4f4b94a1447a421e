"""Generated from spec/readiness.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class ReadinessState(enum.Enum):
    """The states of machine readiness."""

    UNREADY = "UNREADY"
    """Not serving yet."""

    READY = "READY"
    """Serves, and has room for more."""

    OVERCOMMITTED = "OVERCOMMITTED"
    """Serves, but so much of it is stuck in handlers that no stand-in is left."""

    WITHDRAWN = "WITHDRAWN"
    """Stops, or has stopped."""

    __hash__ = object.__hash__


_INITIAL: Final = ReadinessState.UNREADY


class ReadinessMachine(Model):
    """Whether the server asks for more work."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "readiness"
    State: ClassVar[type[ReadinessState]] = ReadinessState
    state: ReadinessState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def opened(self) -> None:
        """H1: UNREADY → READY."""
        raise Unbound(self, "opened")

    def withdrawn(self) -> None:
        """H2: UNREADY → WITHDRAWN.

        H4: READY → WITHDRAWN.
        H6: OVERCOMMITTED → WITHDRAWN.
        """
        raise Unbound(self, "withdrawn")

    def stand_ins_ran_out(self) -> None:
        """H3: READY → OVERCOMMITTED."""
        raise Unbound(self, "stand_ins_ran_out")

    def places_found(self) -> None:
        """H5: OVERCOMMITTED → READY."""
        raise Unbound(self, "places_found")
