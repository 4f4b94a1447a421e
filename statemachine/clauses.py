"""What is to hold of the composed model at every moment, as clauses that z3 reads.

Most clauses are generated: from the properties of system.toml that are judged state by state, and
from what a link and an absent object are. The
others are rows of invariants.toml: what else is true, and needed so that each clause follows from
all of them one step earlier.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import z3

from statemachine.composed import Composed, Move
from statemachine.composition import (
    ABSENT,
    Balances,
    Can,
    Condition,
    Count,
    Fact,
    Link,
    Unless,
    machine_of,
)
from statemachine.model import Equal, Given, NeverTogether, OneOwner, Place, Property
from statemachine.projection import roles_in
from statemachine.smt import QUEUE, STATE, Moment, Theory

Says = Callable[[Theory, Moment], z3.BoolRef]


@dataclass(frozen=True)
class Clause:
    """One thing that holds at every moment. `counts` are the facts whose numbers it speaks of."""

    id: str
    english: str
    says: Says
    counts: tuple[tuple[Fact, ...], ...] = ()


def clauses_of(model: Composed) -> tuple[Clause, ...]:
    """Every clause of the model, the written ones last."""
    said = [
        clause_of(model, one)
        for one in model.properties
        if isinstance(one, Equal | NeverTogether | Given) and not asks_can(one)
    ]
    return (
        *_absent(model),
        *_led(model),
        *said,
        *(clause_of(model, one) for one in model.invariants),
    )


def asks_can(one: Property) -> bool:
    """Whether it asks if some step can be taken: that follows from clauses, and is none."""
    return isinstance(one, Given) and any(isinstance(x, Can) for x in (*one.given, *one.hold))


def clause_of(model: Composed, one: Equal | NeverTogether | Given) -> Clause:
    """A property, or a row of invariants.toml, as a clause."""
    if isinstance(one, Equal):
        return _equal(one)
    if isinstance(one, NeverTogether):
        return _never(model, one)

    def says(theory: Theory, moment: Moment) -> z3.BoolRef:
        return theory.both([_held(theory, moment, one.given, hold) for hold in one.hold])

    conditions = (*one.given, *one.hold)
    counts = tuple(facts for x in conditions for facts in counts_of(model, x))
    return Clause(one.id, one.english, says, counts)


def _many(model: Composed, conditions: Iterable[Condition]) -> list[str]:
    """The roles that are objects of machines of which there are many."""
    return [role for role in sorted(roles_in(conditions)) if machine_of(role) in model.many]


def _held(
    theory: Theory, moment: Moment, given: tuple[Condition, ...], hold: Condition
) -> z3.BoolRef:
    """For all that the roles of these conditions may stand for, and no others: that it holds."""
    objects = theory.objects(_many(theory.model, (*given, hold)), "the ")
    when = theory.both([*theory.bound(moment, objects), theory.all_of(given, moment, objects)])
    return theory.every(objects, z3.Implies(when, theory.holds(hold, moment, objects)))


def _equal(one: Equal) -> Clause:
    left, right = facts_of(one.left), facts_of(one.right)

    def says(theory: Theory, moment: Moment) -> z3.BoolRef:
        return theory.number(moment, left) == theory.number(moment, right)

    return Clause(one.id, one.english, says, (left, right))


def facts_of(places: Iterable[Place]) -> tuple[Fact, ...]:
    """Places as facts."""
    return tuple(Fact(place.machine, place.state) for place in places)


def _never(model: Composed, one: NeverTogether) -> Clause:
    def says(theory: Theory, moment: Moment) -> z3.BoolRef:
        objects = {
            f"{place.machine}{number}": z3.Const(f"the {place}", theory.sorts[place.machine])
            for number, place in enumerate(one.places)
            if place.machine in model.many
        }
        there = [
            theory.has(moment, [fact], objects.get(f"{fact.role}{number}"))
            for number, fact in enumerate(facts_of(one.places))
        ]
        return theory.every(objects, z3.Not(theory.both(there)))

    return Clause(one.id, one.english, says)


# --- what is counted -----------------------------------------------------------------------------


def counts_of(model: Composed, one: Condition) -> Iterator[tuple[Fact, ...]]:
    """The facts whose numbers a condition asks for."""
    if isinstance(one, Count):
        yield one.facts
    elif isinstance(one, Balances):
        yield tuple(model.open)
    elif isinstance(one, Unless):
        for inner in one.conditions:
            yield from counts_of(model, inner)


# --- what no row has to say ----------------------------------------------------------------------


def _absent(model: Composed) -> Iterator[Clause]:
    for machine in model.many:

        def says(theory: Theory, moment: Moment, machine: str = machine) -> z3.BoolRef:
            return _nothing(theory, moment, machine)

        yield Clause(
            id=f"absent_{machine}",
            english=f"A {machine} that there is not has no marks, no links and no place.",
            says=says,
        )


def _nothing(theory: Theory, moment: Moment, machine: str) -> z3.BoolRef:
    """That whoever is absent has nothing, and that nobody is absent."""
    model, at = theory.model, z3.Const(f"the {machine}", theory.sorts[machine])
    said = [z3.Not(theory.value(moment, machine, x, at)) for x in model.marks[machine]]
    for link in model.links_of(machine):
        nobody = theory.nobody[link.target]
        said.append(theory.value(moment, machine, link.name, at) == nobody)
    if machine == model.queue:
        said.append(z3.Not(z3.Select(moment[QUEUE], at)))
    absent = theory.states[machine][ABSENT]
    state = theory.value(moment, machine, STATE, at)
    body = z3.Implies(state == absent, theory.both(said))
    nobody = theory.nobody[machine]
    return z3.And(
        theory.value(moment, machine, STATE, nobody) == absent,
        z3.substitute(body, (at, nobody)),
        z3.ForAll([at], body),
    )


def _led(model: Composed) -> Iterator[Clause]:
    for link in model.links:

        def says(theory: Theory, moment: Moment, link: Link = link) -> z3.BoolRef:
            roles = [link.machine] if link.machine in theory.sorts else []
            objects = theory.objects(roles, "the ")
            target = theory.value(moment, link.machine, link.name, objects.get(link.machine))
            there = theory.exists(moment, link.target, target)
            return theory.every(objects, z3.Or(target == theory.nobody[link.target], there))

        yield Clause(
            id=f"led_{link.machine}_{link.name}",
            english=f"{link.machine}.{link.name} leads to a {link.target} that there is.",
            says=says,
        )


# --- one owner -----------------------------------------------------------------------------------


def owner_clauses(model: Composed, one: OneOwner) -> Iterator[Clause]:
    """That no two parties can move the same object, for each two kinds of parties."""
    movers = [
        (move, role)
        for move in model.moves
        for role in sorted(move.touches)
        if machine_of(role) == one.machine and role not in move.makes and move.owner
    ]
    parties = list(dict.fromkeys(str(move.owner) for move, _ in movers))
    for first, second in itertools.combinations_with_replacement(parties, 2):
        if first == second and first not in model.many:
            continue

        def says(
            theory: Theory, moment: Moment, pair: tuple[str, str] = (first, second)
        ) -> z3.BoolRef:
            return _apart(theory, moment, movers, pair)

        name = f"{one.id}: {first}, {second}"
        yield Clause(name, f"{one.english} Here {first} and {second}.", says)


def _apart(
    theory: Theory, moment: Moment, movers: list[tuple[Move, str]], pair: tuple[str, str]
) -> z3.BoolRef:
    """That what one of the pair could move, the other could not."""
    machine = machine_of(movers[0][1])
    it = z3.Const(f"the {machine}", theory.sorts[machine])
    able, parties = [], []
    for number, party in enumerate(pair):
        own = {}
        if party in theory.sorts:
            own = {party: z3.Const(f"party {number}", theory.sorts[party])}
            parties.append(own[party])
        ways = [
            theory.enabled(move, moment, {role: it, **own})
            for move, role in movers
            if move.owner == party
        ]
        able.append(theory.either(ways))
    if pair[0] == pair[1]:
        able.append(parties[0] != parties[1])
    return z3.ForAll([it, *parties], z3.Not(theory.both(able)))
