"""The server as its supervisor sees it."""

from __future__ import annotations

from collections.abc import Callable

from statemachine._generated import ServerMachine


class Lifecycle(ServerMachine):
    """The server's own machine. `is_settled` says whether every accepted request has an outcome."""

    __slots__ = ("is_settled",)

    def __init__(self, is_settled: Callable[[], bool]) -> None:
        super().__init__()
        self.is_settled = is_settled

    def ledger_balances(self) -> bool:
        return self.is_settled()
