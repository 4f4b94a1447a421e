"""Static checks: what a well-formed spec may still get wrong.

Each check is a function from the system to findings; `CHECKS` lists them all. A finding cites the
file and the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import combinations

from statemachine.composition_checks import composition_reports
from statemachine.model import (
    Arrow,
    Equal,
    LeadsTo,
    Ledger,
    MachineSpec,
    NeverTogether,
    Sometimes,
    State,
    System,
)
from statemachine.projection import places_of

OUTSIDE = frozenset({"peer", "kernel", "handler"})
"""Whom no machine of ours drives: to wait for them takes a deadline."""

DRIVERS = frozenset({"main", "reactor", "lock", "owner"})
"""Who may fire a machine's events: one thread, whoever holds the pool's lock, or the owner of the
present state."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where."""

    file: str
    place: str
    says: str

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.says}"


def check(system: System, *, limits: AbstractSet[str] | None = None) -> list[Finding]:
    """Every finding of every check, in a stable order; none for a sound spec.

    `limits` are the names of the limits that deadlines and rates must resolve to, where the caller
    knows them.
    """
    findings = [finding for one in CHECKS for finding in one(system)]
    if limits is not None:
        findings += _unknown_limits(system, limits)
    return findings


def _unreachable_states(system: System) -> Iterator[Finding]:
    for machine in system.machines.values():
        reached = _closure({machine.initial}, ((a.source, a.target) for a in machine.arrows))
        for name in machine.states:
            if name not in reached:
                yield Finding(machine.file, f"state {name}", "unreachable from the initial state")


def _dead_ends(system: System) -> Iterator[Finding]:
    for machine in system.machines.values():
        alive = _closure(set(machine.final), ((a.target, a.source) for a in machine.arrows))
        for name in machine.states:
            if name not in alive:
                yield Finding(
                    machine.file, f"state {name}", "no way leads from it to a final state"
                )


def _arrows_out_of_final(system: System) -> Iterator[Finding]:
    for machine in system.machines.values():
        for arrow in machine.arrows:
            if arrow.source in machine.final:
                yield Finding(
                    machine.file, f"row {arrow.id}", f"leaves the final state {arrow.source}"
                )


def _ambiguous_arrows(system: System) -> Iterator[Finding]:
    for machine in system.machines.values():
        for first, second in combinations(machine.arrows, 2):
            if (first.source, first.event) != (second.source, second.event):
                continue
            place = f"rows {first.id} and {second.id}"
            if not _exclusive(first, second):
                yield Finding(
                    machine.file,
                    place,
                    "both may be enabled: one needs when, the other unless, with the same guard",
                )
            elif first.target == second.target:
                yield Finding(machine.file, place, "same source, event and target: make them one")


def _exclusive(first: Arrow, second: Arrow) -> bool:
    return (first.when is not None and first.when == second.unless) or (
        first.unless is not None and first.unless == second.when
    )


def _half_guards(system: System) -> Iterator[Finding]:
    """A guard whose other answer no row takes would refuse without a word in the table.

    Under a lock, `when` alone is a claim, which may fail. Elsewhere an event is a fact that has
    happened already: a guard may choose between two rows, it cannot refuse.
    """
    for machine in system.machines.values():
        for arrow in machine.arrows:
            others = [a for a in machine.arrows_from(arrow.source, arrow.event) if a is not arrow]
            if others or _answered_elsewhere(machine, arrow):
                continue
            place, says = f"row {arrow.id}", "no row says what happens"
            if arrow.unless:
                yield Finding(machine.file, place, f"{says} when {arrow.unless}")
            if arrow.when and machine.driven_by != "lock":
                yield Finding(machine.file, place, f"{says} unless {arrow.when}")


def _answered_elsewhere(machine: MachineSpec, arrow: Arrow) -> bool:
    """Another event of the same state takes the other answer: accepted when, refused unless."""
    return any(_exclusive(arrow, other) for other in machine.arrows_from(arrow.source))


def _waits(system: System) -> Iterator[Finding]:
    for machine in system.machines.values():
        for state in machine.states.values():
            for says in _wait_faults(system, machine, state):
                yield Finding(machine.file, f"state {state.name}", says)


def _wait_faults(system: System, machine: MachineSpec, state: State) -> Iterator[str]:
    bounded = state.deadline or state.deadline_of
    if state.waits_for in OUTSIDE and not bounded:
        yield f"waits for the {state.waits_for} without a deadline"
    if state.waits_for and state.waits_for not in OUTSIDE | system.machines.keys() | {"reactor"}:
        yield f"waits for '{state.waits_for}', expected {', '.join(sorted(OUTSIDE))} or a machine"
    if state.waits_for and state.name in machine.final:
        yield "is final and waits for somebody"
    if bounded and not state.waits_for:
        yield "has a deadline and waits for nobody"
    yield from _limit_faults(system, state)
    if state.deadline_of and not _all_waits_bounded(system, state.deadline_of):
        yield f"takes its deadline from '{state.deadline_of}', which is no machine that has them"
    if bounded and not state.then and state.owner not in system.machines:
        yield "has a deadline and does not say which event it fires: 'then' is missing"
    if state.then and not machine.arrows_from(state.name, state.then):
        yield f"its deadline fires '{state.then}', and no row leaves it on that event"


def _limit_faults(system: System, state: State) -> Iterator[str]:
    if state.deadline and state.deadline not in system.vocabulary.deadlines:
        yield f"deadline '{state.deadline}' is not in the vocabulary"
    if state.rate and state.rate not in system.vocabulary.rates:
        yield f"rate '{state.rate}' is not in the vocabulary"
    if state.rate and not state.deadline:
        yield "has a rate and no deadline that it could move"


def _all_waits_bounded(system: System, name: str) -> bool:
    """Whether the machine has waits for the outside, each with a limit of its own."""
    machine = system.machines.get(name)
    states = machine.states.values() if machine else ()
    limits = [state.deadline for state in states if state.waits_for in OUTSIDE]
    return bool(limits) and all(limits)


def _owners(system: System) -> Iterator[Finding]:
    for machine in system.machines.values():
        if machine.driven_by not in DRIVERS:
            expected = ", ".join(sorted(DRIVERS))
            yield Finding(
                machine.file, "driven_by", f"is '{machine.driven_by}', expected one of {expected}"
            )
        for name, state in machine.states.items():
            if not state.owner and name not in machine.final:
                yield Finding(machine.file, f"state {name}", "has no owner and is not final")


def _words(system: System) -> Iterator[Finding]:
    vocabulary = system.vocabulary
    used: set[str] = set()
    for machine in system.machines.values():
        named = [
            (f"row {a.id}", kind, word)
            for a in machine.arrows
            for kind, word in (("guards", a.when), ("guards", a.unless), ("effects", a.do))
            if word
        ] + [
            (f"state {s.name}", "conditions", word)
            for s in machine.states.values()
            for word in (s.requires, s.forbids)
            if word
        ]
        for place, kind, name in named:
            used.add(name)
            word = getattr(vocabulary, kind).get(name)
            if word is None:
                yield Finding(machine.file, place, f"'{name}' is not in the vocabulary's {kind}")
            elif word.machine != machine.name:
                yield Finding(machine.file, place, f"'{name}' is a word of machine {word.machine}")
    states = [state for m in system.machines.values() for state in m.states.values()]
    limits = {limit for state in states for limit in (state.deadline, state.rate)}
    known = {*vocabulary.guards, *vocabulary.effects, *vocabulary.conditions}
    unused = {*vocabulary.deadlines, *vocabulary.rates} - limits
    for name in sorted(known - used) + sorted(unused):
        yield Finding("vocabulary.toml", name, "no row and no state uses it")


def _methods(system: System) -> Iterator[Finding]:
    """One method cannot answer two words, and none can be an event's: the event would hide it."""
    words = system.vocabulary
    for machine in system.machines.values():
        owners = {event: f"the event {event}" for event in machine.events}
        for word in (*words.guards.values(), *words.effects.values(), *words.conditions.values()):
            if word.machine != machine.name:
                continue
            if word.python in owners:
                says = (
                    f"its method '{word.python}' is {owners[word.python]} of machine {machine.name}"
                )
                yield Finding("vocabulary.toml", word.name, says)
            owners[word.python] = f"the word {word.name}"


def _joints(system: System) -> Iterator[Finding]:
    arrows = system.arrows
    members: dict[str, set[str]] = {}
    for joint in system.joints:
        members[joint.id] = {arrow for group in joint.groups for arrow in group}
        for group in joint.groups:
            for name in group:
                if name not in arrows:
                    yield Finding("system.toml", f"row {joint.id}", f"no arrow has the id {name}")
                elif len(group) == 1 and arrows[name].sync != joint.id:
                    yield Finding(
                        arrows[name].machine + ".toml",
                        f"row {name}",
                        f"takes part in the joint step {joint.id} and does not say so: sync",
                    )
    for arrow in arrows.values():
        if arrow.sync and arrow.id not in members.get(arrow.sync, ()):
            yield Finding(
                arrow.machine + ".toml",
                f"row {arrow.id}",
                f"its joint step '{arrow.sync}' in system.toml does not list it",
            )


def _properties(system: System) -> Iterator[Finding]:
    for one in system.properties:
        for place in places_of(one) if isinstance(one, Equal | NeverTogether | LeadsTo) else ():
            machine = system.machines.get(place.machine)
            if machine is None or place.state not in machine.states:
                yield Finding("system.toml", f"row {one.id}", f"no machine has the state {place}")
        if isinstance(one, Sometimes) and one.arrow not in system.arrows:
            yield Finding("system.toml", f"row {one.id}", f"no arrow has the id {one.arrow}")
        if isinstance(one, LeadsTo):
            yield from _leads_nowhere(system, one)


def _leads_nowhere(system: System, one: LeadsTo) -> Iterator[Finding]:
    """Each target of a leads-to must be one step away or more, by the machine's own arrows."""
    machine = system.machines.get(one.source.machine)
    if machine is None:
        return
    reached = _closure({one.source.state}, ((a.source, a.target) for a in machine.arrows))
    for target in one.targets:
        if target.machine == machine.name and target.state not in reached:
            yield Finding("system.toml", f"row {one.id}", f"{one.source} cannot come to {target}")


def _ledger(system: System) -> Iterator[Finding]:
    """The ledger balances by construction.

    Each arrow that gives its object an open entry is listed as accepted, each that takes the entry
    away is listed under one term, and no other is listed. So, whatever way an object goes, what was
    accepted is what was settled and what is open.
    """
    ledger = system.ledger
    if ledger is None:
        return
    machine = system.machines.get(ledger.machine)
    if machine is None:
        yield Finding("system.toml", "ledger", f"no machine is called '{ledger.machine}'")
        return
    for says in _ledger_faults(ledger, machine):
        yield Finding("system.toml", "ledger", says)
    for arrow in machine.arrows:
        for says in _entry_faults(ledger, arrow):
            yield Finding("system.toml", f"ledger, row {arrow.id}", says)


def _ledger_faults(ledger: Ledger, machine: MachineSpec) -> Iterator[str]:
    own = {arrow.id for arrow in machine.arrows}
    yield from (
        f"no state of {machine.name} is called {name}"
        for name in ledger.open
        if name not in machine.states
    )
    yield from (
        f"no arrow of {machine.name} has the id {name}" for name in ledger.arrows if name not in own
    )
    if machine.initial in ledger.open:
        yield f"an object begins in {machine.initial}, with an open entry that nobody accepted"
    for name in machine.final:
        if name in ledger.open:
            yield f"an object ends in {name}, with an open entry that nothing will settle"


def _entry_faults(ledger: Ledger, arrow: Arrow) -> Iterator[str]:
    was, will_be = arrow.source in ledger.open, arrow.target in ledger.open
    opens, closes = will_be and not was, was and not will_be
    accepted = ledger.accepted.count(arrow.id)
    terms = [term for term, arrows in ledger.settled.items() for one in arrows if one == arrow.id]
    if opens and accepted != 1:
        yield f"opens an entry, and is listed {accepted} times as accepted, expected once"
    if accepted and not opens:
        yield "is listed as accepted, and opens no entry"
    if closes and len(terms) != 1:
        yield f"closes an entry, and is listed under {' and '.join(terms) or 'no term'}"
    if terms and not closes:
        yield f"is listed under {' and '.join(terms)}, and closes no entry"


def _composition(system: System) -> Iterator[Finding]:
    """What `composition_checks` has to say."""
    return (Finding(*report) for report in composition_reports(system))


def _unknown_limits(system: System, limits: AbstractSet[str]) -> Iterator[Finding]:
    words = system.vocabulary
    named = [("deadline", name) for name in words.deadlines] + [("rate", n) for n in words.rates]
    for kind, name in named:
        if name not in limits:
            yield Finding("vocabulary.toml", f"{kind} {name}", "Config has no limit of that name")


def _closure(start: AbstractSet[str], edges: Iterable[tuple[str, str]]) -> set[str]:
    reached, pairs = set(start), list(edges)
    grew = True
    while grew:
        new = {target for source, target in pairs if source in reached} - reached
        reached |= new
        grew = bool(new)
    return reached


CHECKS: tuple[Callable[[System], Iterator[Finding]], ...] = (
    _unreachable_states,
    _dead_ends,
    _arrows_out_of_final,
    _ambiguous_arrows,
    _half_guards,
    _waits,
    _owners,
    _words,
    _methods,
    _joints,
    _properties,
    _ledger,
    _composition,
)
