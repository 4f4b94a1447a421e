"""One ledger for all processes, those included that were replaced.

accepted = answered + shed + client_gone + forced + lost_by_crash + open
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from server.ledger import Account


@dataclass(frozen=True, slots=True)
class Total(Account):
    """The terms, summed: numbers of requests.

    `lost_by_crash` were accepted by a process that ended without a word, and had no outcome then.
    """

    lost_by_crash: int = 0

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Self:
        """The terms that are counted there. One that this code does not know is left out: the sum
        does not balance then, which is told.
        """
        known = {one.name for one in fields(cls)}
        return cls(**{name: count for name, count in counts.items() if name in known})

    def __add__(self, other: Total) -> Total:
        return Total(
            **{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        )
