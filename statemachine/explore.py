"""Every state of the composed model, breadth first, and what is wrong with the first bad one.

Objects of one machine are interchangeable, so states that differ in names alone are explored once.
A counterexample is a shortest one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from statemachine.composed import Composed, Move
from statemachine.composition import WithdrawAll
from statemachine.model import Moves, OneOwner, Property, Sometimes
from statemachine.program import Program

PROGRESS_STATES = 20_000
"""Progress is told about every so many states."""

Progress = Callable[[int, int, float], None]
"""Called with the states found, the depth and the processor's seconds so far."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and the way there: the states from the first, and the numbers of the moves.

    `loop` is, for what never comes, where the states begin that go round for ever.
    """

    property: Property | None
    says: str
    states: tuple[bytes, ...]
    moves: tuple[int, ...]
    loop: int | None = None


@dataclass(frozen=True, slots=True)
class Explored:
    """What an exploration found. `complete` is false where a fault or the limit ended it.

    `seconds` are of the processor: what else runs on the machine does not count.
    """

    model: Composed
    states: int
    transitions: int
    depth: int
    seconds: float
    complete: bool
    fault: Fault | None
    taken: frozenset[str]

    @property
    def never_taken(self) -> tuple[str, ...]:
        """Arrows of the model that no move takes in any state."""
        moves = [*self.model.moves, *(one for move in self.model.moves for one in move.then)]
        known = dict.fromkeys(arrow for move in moves for arrow in arrows_of(move))
        return tuple(arrow for arrow in known if arrow not in self.taken)

    @property
    def unseen(self) -> tuple[Sometimes, ...]:
        """Those `sometimes` that no run of a complete exploration fulfils."""
        wanted = [one for one in self.model.properties if isinstance(one, Sometimes)]
        return tuple(one for one in wanted if one.arrow not in self.taken)


def arrows_of(move: Move) -> tuple[str, ...]:
    """Every arrow that the move may take, without those of its `then`."""
    withdrawn = (one.arrow for one in move.do if isinstance(one, WithdrawAll))
    return (*move.arrows, *move.alike, *withdrawn)


class Explorer:
    """One breadth-first exploration. `most` bounds the states; `progress` hears of them."""

    def __init__(
        self, model: Composed, *, most: int = 50_000_000, progress: Progress | None = None
    ) -> None:
        self.model = model
        self.program = Program(model)
        self._most = most
        self._progress = progress
        self._found: dict[bytes, int] = {}
        self._order: list[bytes] = []
        self._parents: list[int] = []
        self._by: list[int] = []
        self._moves_property = next((p for p in model.properties if isinstance(p, Moves)), None)
        self._owned = next((p for p in model.properties if isinstance(p, OneOwner)), None)

    def run(self) -> Explored:
        """Explore until there is nothing new, something is wrong, or it is too much."""
        began = time.process_time()
        program, order, found = self.program, self._order, self._found
        self._add(program.canonical(bytearray(program.layout.initial())), 0, -1)
        taken = bytearray(len(self.model.moves))
        transitions, depth, level_ends, fault = 0, 0, 1, self._state_fault(0)
        successors, canonical = program.successors, program.canonical
        forget = program.forget
        index, seen = 0, set[bytes]()
        while fault is None and index < len(order) and len(order) <= self._most:
            if index == level_ends:
                depth, level_ends = depth + 1, len(order)
            if self._progress and index % PROGRESS_STATES == 0:
                self._progress(len(order), depth, time.process_time() - began)
            state = order[index]
            try:
                out, fair, owners = successors(state)
            except ValueError:
                fault = self._fault(None, "a job is pushed into the queue twice", index)
                break
            transitions += len(out)
            for move, after in out:
                taken[move] = 1
                forget(after)
                reached = bytes(after)
                if reached in seen:
                    continue
                seen.add(reached)
                reached = canonical(after)
                if reached not in found:
                    self._add(reached, index, move)
                    if program.broken(reached) >= 0:
                        fault = self._state_fault(len(order) - 1)
                        break
            fault = fault or self._standing_fault(index, fair, owners)
            index += 1
        return Explored(
            model=self.model,
            states=len(order),
            transitions=transitions,
            depth=depth,
            seconds=time.process_time() - began,
            complete=fault is None and index == len(order),
            fault=fault,
            taken=self._arrows(taken),
        )

    @property
    def states(self) -> list[bytes]:
        """The states found so far, in the order in which they were found."""
        return self._order

    def _add(self, state: bytes, parent: int, move: int) -> None:
        self._found[state] = len(self._order)
        self._order.append(state)
        self._parents.append(parent)
        self._by.append(move)

    def _arrows(self, taken: Sequence[int]) -> frozenset[str]:
        """Every arrow that was taken."""
        moves = [move for move, was in zip(self.model.moves, taken, strict=True) if was]
        follows = self.program.follows[: len(self.program.then)]
        moves += [one for one, was in zip(self.program.then, follows, strict=True) if was]
        return frozenset(arrow for move in moves for arrow in arrows_of(move))

    # --- faults -----------------------------------------------------------------------------

    def _state_fault(self, index: int) -> Fault | None:
        """What is wrong with the state itself."""
        number = self.program.broken(self._order[index])
        if number < 0:
            return None
        one = self.program.always[number]
        return self._fault(one, one.english, index)

    def _standing_fault(self, index: int, fair: bool, owners: dict[int, int]) -> Fault | None:
        """What is wrong with what can be done in the state."""
        if not fair and self._moves_property and not self.program.rests(self._order[index]):
            return self._fault(self._moves_property, self._moves_property.english, index)
        for at, parties in owners.items():
            if parties & (parties - 1) and self._owned:
                who = ", ".join(self._party(bit) for bit in range(256) if parties >> bit & 1)
                says = f"{self._owned.english} Here {self.program.layout.name(at)} has {who}."
                return self._fault(self._owned, says, index)
        return None

    def _party(self, bit: int) -> str:
        parties = self.program.parties
        return str(parties[bit]) if bit < len(parties) else self.program.layout.name(bit)

    def _fault(self, one: Property | None, says: str, index: int) -> Fault:
        moves: list[int] = []
        states = [self._order[index]]
        while self._by[index] >= 0:
            moves.append(self._by[index])
            index = self._parents[index]
            states.append(self._order[index])
        return Fault(one, says, tuple(reversed(states)), tuple(reversed(moves)))
