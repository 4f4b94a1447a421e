"""Generated from spec/server.toml by `python -m statemachine generate`; do not edit."""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from statemachine.errors import Unbound
from statemachine.model import Model, next_birth


class ServerState(enum.Enum):
    """The states of machine server."""

    STARTING = "STARTING"
    """The spec is checked; the socket is being bound and the threads are being started."""

    SERVING = "SERVING"
    """Connections are accepted and requests are answered."""

    LAME_DUCK = "LAME_DUCK"
    """Not ready, and says so, but still accepts: who has not noticed yet is served."""

    DRAINING = "DRAINING"
    """No new connection is accepted; what has been accepted is answered."""

    CUTTING = "CUTTING"
    """What is left is cut off without waiting for anybody."""

    STOPPED = "STOPPED"
    """Everything that was accepted has been settled; exit status 0."""

    FORCED = "FORCED"
    """Stopped with something cut off; exit status 1."""

    UNBALANCED = "UNBALANCED"
    """Drained, and the ledger does not balance; exit status 3."""

    FAILED = "FAILED"
    """Never served; exit status 1."""

    __hash__ = object.__hash__


_INITIAL: Final = ServerState.STARTING


class ServerMachine(Model):
    """The life of the whole process, as its supervisor sees it."""

    __slots__ = ("birth", "state")
    machine_name: ClassVar[str] = "server"
    State: ClassVar[type[ServerState]] = ServerState
    state: ServerState

    def __init__(self) -> None:
        self.birth = next_birth()
        self.state = _INITIAL

    def started(self) -> None:
        """S1: STARTING → SERVING."""
        raise Unbound(self, "started")

    def start_failed(self) -> None:
        """S2: STARTING → FAILED."""
        raise Unbound(self, "start_failed")

    def stop_requested(self) -> None:
        """S3: SERVING → LAME_DUCK."""
        raise Unbound(self, "stop_requested")

    def reactor_died(self) -> None:
        """S4: SERVING → CUTTING.

        S8: DRAINING → CUTTING.
        S12: LAME_DUCK → CUTTING.
        """
        raise Unbound(self, "reactor_died")

    def drained(self) -> None:
        """S5: DRAINING → STOPPED when ledger_balances.

        S13: DRAINING → UNBALANCED unless ledger_balances.
        """
        raise Unbound(self, "drained")

    def force_requested(self) -> None:
        """S6: DRAINING → CUTTING.

        S11: LAME_DUCK → CUTTING.
        """
        raise Unbound(self, "force_requested")

    def drain_seconds_passed(self) -> None:
        """S7: DRAINING → CUTTING."""
        raise Unbound(self, "drain_seconds_passed")

    def cut(self) -> None:
        """S9: CUTTING → FORCED."""
        raise Unbound(self, "cut")

    def lame_duck_seconds_passed(self) -> None:
        """S10: LAME_DUCK → DRAINING."""
        raise Unbound(self, "lame_duck_seconds_passed")

    def ledger_balances(self) -> bool:
        """Every request that was accepted has exactly one outcome."""
        raise Unbound(self, "ledger_balances")

    declared_by_spec: ClassVar[frozenset[str]] = frozenset(
        {"ledger_balances"}
    )
