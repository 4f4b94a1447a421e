"""The ledger: what became of every request that was accepted.

    accepted = answered + shed + client_gone + forced + open

The spec says which arrow of a connection belongs to which term (`[ledger]` in spec/system.toml),
and its check proves that no way through the machine opens an entry without closing it, or closes it
twice. Here the arrows are counted as they are taken. `left_open` is counted otherwise, from the
connections themselves, so that the sum can be held against something.

Threads: the counts may be read from any, and advanced from any: to advance a builtin's iterator is
one step of the interpreter, so that no count is lost and none needs a lock. Where the interpreter
has no lock of its own, each has one.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import repeat
from operator import attrgetter, length_hint
from typing import Final

from statemachine import LedgerSpec, Model
from statemachine.ahead import IS_COMPILED, Count


@dataclass(frozen=True, slots=True)
class Account:
    """The terms at one moment: numbers of requests.

    `answered` got an answer, or the beginning of one that the handler did not finish; `shed` were
    told 503, because nobody had time; of `client_gone` the client failed, left or did not read;
    `forced` were cut off by a forced stop; `open` have no outcome yet.
    """

    accepted: int = 0
    answered: int = 0
    shed: int = 0
    client_gone: int = 0
    forced: int = 0
    open: int = 0

    @property
    def outcomes(self) -> dict[str, int]:
        """The terms that settle a request, by name, in the order in which they are told."""
        terms = (one.name for one in fields(self) if one.name not in ("accepted", "open"))
        return {term: getattr(self, term) for term in terms}

    @property
    def settled(self) -> int:
        """Those that have an outcome."""
        return sum(self.outcomes.values())

    @property
    def imbalance(self) -> int:
        """How many requests are missing, or counted twice (below zero); 0 in a sound server."""
        return self.accepted - self.settled - self.open

    def told(self) -> dict[str, int]:
        """All terms by name, and the imbalance, as JSON has them."""
        return {**asdict(self), "imbalance": self.imbalance}

    def __str__(self) -> str:
        """An equation that is always true: where the terms do not balance, it says by how much."""
        outcomes = " + ".join(
            f"{term.replace('_', '-')} {count}" for term, count in self.outcomes.items()
        )
        text = f"ledger: accepted {self.accepted} = {outcomes}"
        if self.open:
            text += f" + open {self.open}"
        if self.imbalance > 0:
            text += f" + missing {self.imbalance}"
        if self.imbalance < 0:
            text += f" - counted twice {-self.imbalance}"
        return text


TERMS = tuple(Account().outcomes)

STATE_OF: Callable[[Model], str] = attrgetter("state._name_")
"""The name of an object's state. By `_name_`, for `name` takes steps of the interpreter."""

COUNTS_MAX = 10
"""How often open entries are counted again when something has moved meanwhile."""


MOST: Final = sys.maxsize


class LockedCount:
    """Counts down from MOST, as `repeat` does, on an interpreter where that is no single step."""

    __slots__ = ("_left", "_lock")

    def __init__(self) -> None:
        self._left = MOST
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[None]:
        return self

    def __next__(self) -> None:
        with self._lock:
            self._left -= 1

    def __length_hint__(self) -> int:
        return self._left


def _count() -> Iterator[object]:
    """What is advanced once for each. How many there were is what it is shorter by."""
    if IS_COMPILED:
        return Count()
    locked = getattr(sys, "_is_gil_enabled", None)
    return repeat(None, MOST) if locked is None or locked() else LockedCount()


class Tallies(Mapping[str, Callable[[], object]]):
    """What counts each of these arrows. A count is made when it is first asked for, which for most
    of a short life's is never.
    """

    __slots__ = ("_arrows", "_counts")

    def __init__(self, arrows: Iterable[str]) -> None:
        self._arrows = dict.fromkeys(arrows)
        self._counts: dict[str, Iterator[object]] = {}

    def __getitem__(self, arrow: str) -> Callable[[], object]:
        count = self._counts.get(arrow)
        if count is None:
            if arrow not in self._arrows:
                raise KeyError(arrow)
            # One step of the interpreter: whoever comes second counts with the first one's.
            count = self._counts.setdefault(arrow, _count())
        return count.__next__

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrows)

    def __len__(self) -> int:
        return len(self._arrows)

    def taken(self, arrow: str) -> int:
        """How often it was taken so far; 0 for one that nobody counts."""
        count = self._counts.get(arrow)
        return 0 if count is None else MOST - length_hint(count)


class Ledger:
    """Counts the arrows that open and close entries, and those in `also`. `tallies` are what a
    Binder calls for them.

    Raises ValueError for a spec whose terms are others than an Account's.
    """

    def __init__(self, spec: LedgerSpec, also: Iterable[str] = ()) -> None:
        if set(spec.settled) != set(TERMS):
            raise ValueError(f"the ledger's terms are {sorted(spec.settled)}, expected {TERMS}")
        self._spec = spec
        self._tallies = Tallies((*spec.arrows, *also))

    @property
    def tallies(self) -> Mapping[str, Callable[[], object]]:
        """By arrow, what counts it."""
        return self._tallies

    def taken(self) -> dict[str, int]:
        """How often each arrow that is counted was taken so far."""
        return {arrow: self._tallies.taken(arrow) for arrow in self._tallies}

    def left_open(self, connections: Iterable[Model]) -> int:
        """How many of these are in a state with an open entry, by what they say themselves."""
        numbers = by_state(connections)
        return sum(numbers.get(name, 0) for name in self._spec.open)

    def account(self, left_open: int = 0) -> Account:
        """The terms now, with this number of entries that are open."""
        # What settles is read first: it was accepted before, so that no sum comes out too high.
        settled = {term: self._sum(arrows) for term, arrows in self._spec.settled.items()}
        return Account(accepted=self._sum(self._spec.accepted), open=left_open, **settled)

    def live(self, connections: Collection[Model]) -> Account:
        """The terms now, while connections move.

        An arrow is counted just before its connection moves, and others are taken while these
        lines run. So the open entries are counted again until the sum holds, and if it never does,
        they are what it takes: accepted and not settled.

        That is never done where no connection is left. Nothing is between a count and a move then;
        if nothing was counted meanwhile either, the account is told as it is, balanced or not.
        """
        for _ in range(COUNTS_MAX):
            before, present = self.account(), list(connections)
            account = self.account(self.left_open(present))
            if not account.imbalance or (not present and account == before):
                return account
        return replace(account, open=max(0, account.open + account.imbalance))

    def _sum(self, arrows: Iterable[str]) -> int:
        return sum(map(self._tallies.taken, arrows))


def by_state(models: Iterable[Model]) -> Counter[str]:
    """How many objects of one machine are in each state, by the states' names.

    It takes no step of the interpreter for each: of ten thousand, others are not kept waiting.
    """
    return Counter(map(STATE_OF, list(models)))
