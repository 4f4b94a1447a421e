"""Generated from spec/pipe.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class PipeState(enum.Enum):
    """The states of machine pipe."""

    OPEN = "OPEN"
    """More may come."""

    ENDED = "ENDED"
    """All has come; some of it may still be in here."""

    BROKEN = "BROKEN"
    """What has come is not the whole content, and more will not come."""

    ABANDONED = "ABANDONED"
    """Nobody reads any more."""

    __hash__ = object.__hash__


_INITIAL: Final = PipeState.OPEN


class PipeMachine(Model):
    """Content between the worker that makes it and the reactor that sends it."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "pipe"
    State: ClassVar[type[PipeState]] = PipeState
    state: PipeState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def ended(self) -> None:
        """E1: OPEN → ENDED."""
        raise Unbound(self, "ended")

    def broken(self) -> None:
        """E2: OPEN → BROKEN."""
        raise Unbound(self, "broken")

    def abandoned(self) -> None:
        """E3: OPEN → ABANDONED.

        E4: ENDED → ABANDONED.
        """
        raise Unbound(self, "abandoned")
