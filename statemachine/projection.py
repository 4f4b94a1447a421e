"""What is left of a composition when some machines are left out.

What is said of a machine that is not there is dropped: a condition that speaks of it, an effect on
it. A step that was held back by it may then be taken, so that whatever the whole can do, the part
can; and what never happens in the part never happens in the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from statemachine.composition import (
    Balances,
    Condition,
    Count,
    Effect,
    First,
    Is,
    Linked,
    Nobody,
    Queued,
    QueueIs,
    SetLink,
    Unless,
    UnmarkAll,
    WithdrawAll,
    machine_of,
)
from statemachine.model import (
    Arrow,
    Equal,
    Given,
    LeadsTo,
    NeverTogether,
    OneOwner,
    Place,
    Property,
    Sometimes,
    System,
)


class Projection:
    """Keeps what speaks of the machines `present`, all of the system's."""

    def __init__(self, system: System, present: frozenset[str], queue: str) -> None:
        self.present = present
        self._arrows = system.arrows
        self._ledger = system.ledger.machine if system.ledger else ""
        self._queue = queue
        links = system.composition.links if system.composition else ()
        self._leads = {(link.machine, link.name): link.target for link in links}

    def conditions(self, conditions: Iterable[Condition]) -> Iterator[Condition]:
        """Those that can be asked without the machines that are left out."""
        for one in conditions:
            if isinstance(one, Nobody):
                facts = tuple(fact for fact in one.facts if fact.machine in self.present)
                if facts and machine_of(one.target or facts[0].role) in self.present:
                    yield replace(one, facts=facts)
            elif self._can_ask(one):
                yield one

    def _can_ask(self, one: Condition) -> bool:
        if isinstance(one, Balances):
            return self._ledger in self.present
        if isinstance(one, QueueIs):
            return self._queue in self.present
        if isinstance(one, Unless):
            return all(self._can_ask(inner) for inner in one.conditions)
        if isinstance(one, Linked) and not self._is_led(machine_of(one.role), one.link):
            return False
        return machines_in([one]) <= self.present

    def keeps(self, effect: Effect) -> bool:
        """Whether the effect is on machines that are there."""
        if isinstance(effect, WithdrawAll):
            return self._arrows[effect.arrow].machine in self.present
        if isinstance(effect, UnmarkAll):
            return effect.machine in self.present
        machine = machine_of(effect.role)
        if isinstance(effect, SetLink) and not self._is_led(machine, effect.link):
            return False
        return machine in self.present

    def _is_led(self, machine: str, link: str) -> bool:
        """Whether a link leads to a machine that is there."""
        return self._leads.get((machine, link)) in self.present

    def missing(self, one: Property) -> tuple[str, ...]:
        """The machines without which the property says nothing."""
        named = machines_of(one, self._arrows)
        if isinstance(one, LeadsTo) and {place.machine for place in one.targets} & self.present:
            named = {one.source.machine}
        if isinstance(one, Given) and list(self.conditions(one.hold)):
            named = machines_in(one.given)
        return tuple(sorted(named - self.present))

    def given(self, one: Given) -> Given:
        """What is left of one of this kind."""
        hold = tuple(self.conditions(one.hold))
        return one._replace(given=tuple(self.conditions(one.given)), hold=hold)

    def property(self, one: Property) -> Property:
        """What is left of it."""
        if isinstance(one, Given):
            return self.given(one)
        if isinstance(one, LeadsTo):
            targets = tuple(place for place in one.targets if place.machine in self.present)
            return one._replace(targets=targets)
        return one


def machines_of(one: Property, arrows: Mapping[str, Arrow]) -> set[str]:
    """The machines that a property speaks of."""
    if isinstance(one, Equal | NeverTogether | LeadsTo):
        return {place.machine for place in places_of(one)}
    if isinstance(one, Sometimes):
        return {arrows[one.arrow].machine} if one.arrow in arrows else set()
    if isinstance(one, OneOwner):
        return {one.machine}
    return machines_in((*one.given, *one.hold)) if isinstance(one, Given) else set()


def places_of(one: Equal | NeverTogether | LeadsTo) -> tuple[Place, ...]:
    """The places that a property names."""
    if isinstance(one, Equal):
        return one.left + one.right
    if isinstance(one, NeverTogether):
        return one.places
    return (one.source, *one.targets)


def roles_in(conditions: Iterable[Condition]) -> set[str]:
    """Every role that conditions speak of."""
    found: set[str] = set()
    for one in conditions:
        if isinstance(one, Is):
            found |= {fact.role for fact in one.facts}
        elif isinstance(one, Linked):
            found |= {one.role, *([one.target] if one.target else [])}
        elif isinstance(one, First | Queued):
            found.add(one.role)
        elif isinstance(one, Nobody) and one.target:
            found.add(one.target)
        elif isinstance(one, Unless):
            found |= roles_in(one.conditions)
    return found


def machines_in(conditions: Iterable[Condition]) -> set[str]:
    """The machines that conditions speak of, of a role or of anybody."""
    found: set[str] = set()
    for one in conditions:
        if isinstance(one, Count | Nobody):
            found |= {fact.machine for fact in one.facts}
        elif isinstance(one, Unless):
            found |= machines_in(one.conditions)
    return found | {machine_of(role) for role in roles_in(conditions)}
