"""The spec as a replay needs it: arrows by number, states by number, and what to look at when.

Everything is worked out once, before the first row, so that a row costs a few look-ups.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

from statemachine.model import Arrow, Equal, Joint, NeverTogether, Place, System


class Bond(enum.Enum):
    """What a whole joint step of two arrows does to the objects that take them."""

    BINDS = "each is the other's from here on"
    PARTS = "they must have been each other's, and are no longer"
    NONE = "nothing"


class Ground:
    """Tables by the arrow's number; states have numbers, too: their places in `places`.

    What is said of the spec's properties:

    - `shifts`: by arrow, which equations it moves out of balance, and by how much. A joint step
      must move each of them back.
    - `nevers`: by arrow, those whose first place it enters. From then on they are looked at when
      the others are entered, too: so a spec names the rarest first.
    - `quick`: the pairs of arrows that are a whole joint step and leave every equation in balance,
      with their bond; `halves`: the arrows of such pairs. `idle`: those that are only watched
      because they must not come between two halves.
    - `gaps`: by arrow, how it moves the ledger's `accepted - settled - open`. In a spec that passes
      its checks all are 0, and the ledger balances in every trace whose rows are legal.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.arrows = arrows = list(system.arrows.values())
        self.places = [
            Place(machine, state)
            for machine, spec in system.machines.items()
            for state in spec.states
        ]
        self._numbers = {place: number for number, place in enumerate(self.places)}
        self.source = [self._number(one.machine, one.source) for one in arrows]
        self.target = [self._number(one.machine, one.target) for one in arrows]
        initial = {name: spec.initial for name, spec in system.machines.items()}
        self.begins = [one.source == initial[one.machine] for one in arrows]
        self.equations = [one for one in system.properties if isinstance(one, Equal)]
        self.sides = [_sides(one) for one in self.equations]
        self.shifts = [list(self._shifts(number)) for number in range(len(arrows))]
        nevers = [one for one in system.properties if isinstance(one, NeverTogether)]
        entered = [self.places[target] for target in self.target]
        self.nevers = [[one for one in nevers if one.places[0] == place] for place in entered]
        self.domains = self._domains()
        self.joints_of = [_joints_of(system.joints, one.id) for one in arrows]
        self.bonds = dict(self._bonds())
        self.open = self._open_places()
        self.gaps = [self._gap(number) for number in range(len(arrows))]
        self.watched = [self._is_watched(number) for number in range(len(arrows))]

        self.quick = {pair: bond for pair, bond in self.bonds.items() if self._is_quick(*pair)}
        starts = {pair[0] for pair in self.quick}
        self.halves = [n in starts and arrows[n].sync is not None for n in range(len(arrows))]
        self.idle = [self._is_idle(number) for number in range(len(arrows))]

    def _number(self, machine: str, state: str) -> int:
        return self._numbers[Place(machine, state)]

    def machine(self, arrow: int) -> str:
        """Whose arrow it is."""
        return self.arrows[arrow].machine

    def into(self, place: Place) -> list[int]:
        """The arrows that enter a state."""
        return [n for n, target in enumerate(self.target) if self.places[target] == place]

    def out_of(self, place: Place) -> list[int]:
        """The arrows that leave a state."""
        return [n for n, source in enumerate(self.source) if self.places[source] == place]

    def _shifts(self, arrow: int) -> Iterator[tuple[int, int]]:
        entered, left = self.places[self.target[arrow]], self.places[self.source[arrow]]
        for number, side in enumerate(self.sides):
            if shift := side.get(entered, 0) - side.get(left, 0):
                yield number, shift

    def _domains(self) -> list[str | None]:
        """By arrow, what keeps the joint steps of its machine apart: a lock, as spec/ names it."""
        under = {
            self.system.arrows[name].machine: joint.under
            for joint in self.system.joints
            for group in joint.groups
            for name in group
        }
        return [under.get(arrow.machine) for arrow in self.arrows]

    def _bonds(self) -> Iterator[tuple[tuple[int, int], Bond]]:
        """By the two arrows of a joint step, in either order.

        Where an equation counts one machine's objects on each side, a joint step that adds one to
        both binds the two, and one that takes one from both parts them.
        """
        numbers = {arrow.id: number for number, arrow in enumerate(self.arrows)}
        for joint in self.system.joints:
            for first, second in _pairs(joint):
                a, b = numbers[first], numbers[second]
                bond = self._bond(a, b)
                yield (a, b), bond
                yield (b, a), bond

    def _bond(self, a: int, b: int) -> Bond:
        for number, shift in self.shifts[a]:
            if (number, -shift) in self.shifts[b] and self.machine(a) != self.machine(b):
                adds = self.places[self.target[a]] in self.sides[number]
                return Bond.BINDS if adds else Bond.PARTS
        return Bond.NONE

    def _open_places(self) -> frozenset[int]:
        ledger = self.system.ledger
        states = ledger.open if ledger else ()
        return frozenset(self._number(ledger.machine, state) for state in states if ledger)

    def _gap(self, arrow: int) -> int:
        ledger, name = self.system.ledger, self.arrows[arrow].id
        if ledger is None:
            return 0
        settles = any(name in arrows for arrows in ledger.settled.values())
        opens = (self.target[arrow] in self.open) - (self.source[arrow] in self.open)
        return (name in ledger.accepted) - settles - opens

    def _is_quick(self, a: int, b: int) -> bool:
        moved = dict(self.shifts[a])
        for number, shift in self.shifts[b]:
            moved[number] = moved.get(number, 0) + shift
        alone = self.gaps[a] or self.gaps[b] or self.nevers[a] or self.nevers[b]
        return not alone and not any(moved.values())

    def _is_idle(self, arrow: int) -> bool:
        alone = self.gaps[arrow] or self.nevers[arrow] or self.shifts[arrow]
        return not alone and self.arrows[arrow].sync is None

    def _is_watched(self, arrow: int) -> bool:
        """Whether it has to do with more than one object, as far as can be said beforehand."""
        return bool(
            self.nevers[arrow] or self.shifts[arrow] or self.domains[arrow] or self.gaps[arrow]
        )


def _sides(equation: Equal) -> dict[Place, int]:
    """What an object in each state adds to left minus right."""
    return {**dict.fromkeys(equation.left, 1), **dict.fromkeys(equation.right, -1)}


def _joints_of(joints: Iterable[Joint], arrow: str) -> dict[str, int]:
    """The joint steps that the arrow may take part in, and its group in each."""
    return {
        joint.id: number
        for joint in joints
        for number, group in enumerate(joint.groups)
        if arrow in group
    }


def _pairs(joint: Joint) -> Iterator[tuple[str, str]]:
    if len(joint.groups) == 2:
        for first in joint.groups[0]:
            for second in joint.groups[1]:
                yield first, second


def whose(arrow: Arrow, birth: int) -> str:
    """An arrow and who took it: `connection#57 C8 QUEUED --taken--> EXCHANGING`."""
    return f"{arrow.machine}#{birth} {arrow.id} {arrow.source} --{arrow.event}--> {arrow.target}"
