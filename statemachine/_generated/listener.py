"""Generated from spec/listener.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class ListenerState(enum.Enum):
    """The states of machine listener."""

    BOUND = "BOUND"
    """The socket is bound and listens; nobody accepts yet."""

    ACCEPTING = "ACCEPTING"
    """The socket is armed; newcomers are accepted in batches."""

    PAUSED = "PAUSED"
    """The process or the machine is out of descriptors or memory; newcomers wait in the
    backlog.
    """

    FULL = "FULL"
    """As many connections are open as Config allows; newcomers wait in the backlog."""

    CLOSED = "CLOSED"
    """The listening socket is closed."""

    __hash__ = object.__hash__


_INITIAL: Final = ListenerState.BOUND


class ListenerMachine(Model):
    """The listening socket, and whether newcomers are let in."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "listener"
    State: ClassVar[type[ListenerState]] = ListenerState
    state: ListenerState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def opened(self) -> None:
        """L1: BOUND → ACCEPTING."""
        raise Unbound(self, "opened")

    def closed(self) -> None:
        """L2: BOUND → CLOSED.

        L5: ACCEPTING → CLOSED.
        L7: PAUSED → CLOSED.
        L9: FULL → CLOSED.
        """
        raise Unbound(self, "closed")

    def descriptors_ran_out(self) -> None:
        """L3: ACCEPTING → PAUSED."""
        raise Unbound(self, "descriptors_ran_out")

    def cap_reached(self) -> None:
        """L4: ACCEPTING → FULL."""
        raise Unbound(self, "cap_reached")

    def pause_ended(self) -> None:
        """L6: PAUSED → ACCEPTING."""
        raise Unbound(self, "pause_ended")

    def room_made(self) -> None:
        """L8: FULL → ACCEPTING."""
        raise Unbound(self, "room_made")
