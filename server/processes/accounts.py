"""One ledger for all processes, those included that were replaced.

accepted = answered + shed + client_gone + forced + lost_by_crash + open
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True)
class Total:
    """The terms, summed: numbers of requests. They mean what those of `server.ledger.Account` do.

    `lost_by_crash` were accepted by a process that ended without a word, and had no outcome then.
    """

    accepted: int = 0
    answered: int = 0
    shed: int = 0
    client_gone: int = 0
    forced: int = 0
    lost_by_crash: int = 0
    open: int = 0

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Self:
        """The terms that are counted there. One that this code does not know is left out: the sum
        does not balance then, which is told.
        """
        known = {one.name for one in fields(cls)}
        return cls(**{name: count for name, count in counts.items() if name in known})

    @property
    def settled(self) -> int:
        """Those that have an outcome."""
        return self.answered + self.shed + self.client_gone + self.forced + self.lost_by_crash

    @property
    def imbalance(self) -> int:
        """How many are missing, or counted twice (below zero); 0 where all processes are sound."""
        return self.accepted - self.settled - self.open

    def __add__(self, other: Total) -> Total:
        return Total(
            **{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        )

    def __str__(self) -> str:
        """An equation that is always true: where the terms do not balance, it says by how much."""
        text = (
            f"ledger: accepted {self.accepted} = answered {self.answered} + shed {self.shed}"
            f" + client-gone {self.client_gone} + forced {self.forced}"
            f" + lost-by-crash {self.lost_by_crash}"
        )
        if self.open:
            text += f" + open {self.open}"
        if self.imbalance > 0:
            text += f" + missing {self.imbalance}"
        if self.imbalance < 0:
            text += f" - counted twice {-self.imbalance}"
        return text
