"""Static checks of a composition: what a well-formed one may still get wrong.

Like `checks`, to which these belong: each is a function from the system, whose composition is
there, to findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from statemachine.composition import (
    Can,
    Composition,
    Condition,
    Count,
    Effect,
    Fact,
    First,
    Is,
    Linked,
    Make,
    Nobody,
    Pop,
    Push,
    Queued,
    Remove,
    SetLink,
    SetMark,
    Step,
    Unless,
    UnmarkAll,
    WithdrawAll,
    machine_of,
)
from statemachine.model import Given, OneOwner, System
from statemachine.projection import roles_in

FILE = "composition.toml"
SYSTEM = "system.toml"
OWN_LIMITS = frozenset({"queue", "leads_to"})
"""Limits that mean something without a row that names them."""

Report = tuple[str, str, str]
"""The file, the place and what is said of it."""


def composition_reports(system: System) -> Iterator[Report]:
    """What is wrong with the composition; nothing where there is none."""
    if system.composition is not None:
        for one in CHECKS:
            yield from one(system, system.composition)


def _machines(system: System, composition: Composition) -> Iterator[Report]:
    listed = [*composition.single, *composition.many, *composition.abstracted]
    for name in system.machines:
        if listed.count(name) != 1:
            says = f"is listed {listed.count(name)} times as single, many or abstracted"
            yield FILE, f"machine {name}", f"{says}, expected once"
    for name in dict.fromkeys(listed):
        if name not in system.machines:
            yield FILE, f"machine {name}", "is no machine of the system"
    for name in (composition.queue, *composition.starts):
        if name not in composition.many:
            yield FILE, f"machine {name}", "is queued or starts, expected one of [many]"


def _arrows(system: System, composition: Composition) -> Iterator[Report]:
    """Each arrow of a modelled machine is taken by some step, or its absence has a reason."""
    used = {arrow for step in composition.steps for arrow in _arrows_of(step)}
    modelled = {
        arrow.id
        for name in composition.machines
        if name in system.machines
        for arrow in system.machines[name].arrows
    }
    for name in sorted(modelled - used - composition.unmodelled.keys()):
        yield FILE, f"arrow {name}", "is taken by no step, and [unmodelled] does not say why"
    for name in composition.unmodelled:
        if name in used or name not in modelled:
            yield FILE, f"unmodelled {name}", "is taken by a step, or no arrow of the model"
    for step in composition.steps:
        for name in _arrows_of(step):
            if name not in modelled:
                yield FILE, f"row {step.id}", f"takes {name}, which is no arrow of the model"


def _arrows_of(step: Step) -> Iterator[str]:
    for group in step.arrows:
        yield from group
    for effect in step.do:
        if isinstance(effect, WithdrawAll):
            yield effect.arrow


def _chains(system: System, composition: Composition) -> Iterator[Report]:
    """Two arrows of one machine in one step follow each other."""
    arrows = system.arrows
    for step in composition.steps:
        reached: dict[str, set[str]] = {}
        for group in step.arrows:
            known = [arrows[name] for name in group if name in arrows]
            for arrow in known:
                before = reached.get(arrow.machine, {arrow.source})
                if before != {arrow.source}:
                    says = f"{arrow.id} leaves {arrow.source}, the arrow before it leads elsewhere"
                    yield FILE, f"row {step.id}", says
            for machine in {arrow.machine for arrow in known}:
                reached[machine] = {a.target for a in known if a.machine == machine}


def _joints(system: System, composition: Composition) -> Iterator[Report]:
    """What the system calls one step is one here, and only whole."""
    for joint in system.joints:
        members = {name for group in joint.groups for name in group}
        # An alternative of several groups' joint may have other steps of its own, without sync.
        bound = {name for name in members if name in system.arrows and system.arrows[name].sync}
        for step in composition.steps:
            taken = set(_arrows_of(step))
            if taken & bound and not all(taken & set(group) for group in joint.groups):
                says = f"takes {' '.join(sorted(taken & bound))} without its joint step {joint.id}"
                yield FILE, f"row {step.id}", says


def _words(system: System, composition: Composition) -> Iterator[Report]:
    """Each word of a modelled machine means something here, or is free."""
    words = system.vocabulary
    for kind in (words.guards, words.effects, words.conditions):
        for word in kind.values():
            modelled = word.machine in composition.machines
            if modelled and not (word.conditions or word.effects or word.free):
                yield "vocabulary.toml", word.name, "has no 'model' and is not 'free'"


def _steps(system: System, composition: Composition) -> Iterator[Report]:
    named = [step.id for step in composition.steps]
    follows = {name for step in composition.steps for name in step.then}
    for step in composition.steps:
        place = f"row {step.id}"
        if named.count(step.id) > 1:
            yield FILE, place, "the id is used twice"
        if step.by is not None and step.by not in composition.actors:
            yield FILE, place, f"'by' is '{step.by}', expected an actor"
        if step.by is None and step.id not in follows:
            yield FILE, place, "has no 'by', and no step has it in 'then'"
        for name in step.then:
            if name not in named:
                yield FILE, place, f"'then' names {name}, which is no step"
        if step.by is None:
            yield from ((FILE, place, says) for says in _follow_faults(system, composition, step))
        yield from ((FILE, place, says) for says in _fairness_faults(system, step))


def _follow_faults(system: System, composition: Composition, step: Step) -> Iterator[str]:
    """What comes at once has nobody to choose."""
    roles = {machine_of(role) for role in roles_in(step.when)}
    roles |= {system.arrows[name].machine for name in _arrows_of(step) if name in system.arrows}
    for name in sorted(roles & composition.many.keys()):
        yield f"comes at once after others and speaks of a {name}: which one is not said"
    if step.then or step.awaits or step.costs:
        yield "comes at once after others, and has 'then', 'awaits' or 'costs' of its own"


def _fairness_faults(system: System, step: Step) -> Iterator[str]:
    arrows = [system.arrows[name] for name in _arrows_of(step) if name in system.arrows]
    worldly = [arrow.id for arrow in arrows if arrow.environment]
    if worldly and not step.awaits and not step.certain and step.by:
        yield f"takes {worldly[0]}, the environment's, and awaits nobody: 'certain' must say why"
    if step.certain and (not worldly or step.awaits):
        yield "says why it is certain, and nothing of it is the world's, or it awaits somebody"
    if step.persistent and step.awaits:
        yield "is persistent, and awaits somebody who may never come"


# --- names ---------------------------------------------------------------------------------------


def _names(system: System, composition: Composition) -> Iterator[Report]:
    """Every state, mark, link, role and limit that a condition or effect names is known."""
    for file, place, conditions, effects in _texts(system, composition):
        for one in _flattened(conditions):
            for says in _condition_faults(system, composition, one):
                yield file, place, says
        for effect in effects:
            for says in _effect_faults(system, composition, effect):
                yield file, place, says


Text = tuple[str, str, tuple[Condition, ...], tuple[Effect, ...]]


def _texts(system: System, composition: Composition) -> Iterator[Text]:
    """Everything that is written in conditions and effects, with its place."""
    for step in composition.steps:
        yield FILE, f"row {step.id}", step.when, step.do
    for actor in composition.actors.values():
        yield FILE, f"actor {actor.name}", actor.when, ()
    for name, rest in composition.rest.items():
        yield FILE, f"rest {name}", rest, ()
    words = system.vocabulary
    for word in (*words.guards.values(), *words.effects.values(), *words.conditions.values()):
        yield "vocabulary.toml", word.name, word.conditions, word.effects
    for one in system.properties:
        if isinstance(one, Given):
            yield SYSTEM, f"row {one.id}", (*one.given, *one.hold), ()
    for one in system.invariants:
        yield "invariants.toml", f"row {one.id}", (*one.given, *one.hold), ()


def _flattened(conditions: Iterable[Condition]) -> Iterator[Condition]:
    for one in conditions:
        yield one
        if isinstance(one, Unless):
            yield from _flattened(one.conditions)


def _condition_faults(system: System, composition: Composition, one: Condition) -> Iterator[str]:
    facts: tuple[Fact, ...] = ()
    if isinstance(one, Is | Count | Nobody):
        facts = one.facts
        yield from _fact_faults(system, composition, facts)
    if isinstance(one, Is) and len({fact.role for fact in facts}) > 1:
        yield f"asks of {facts[0].role} and of {facts[-1].role} at once"
    if isinstance(one, Linked):
        yield from _link_faults(composition, one.role, one.link, one.target)
    if isinstance(one, Nobody) and one.link:
        for fact in facts:
            yield from _link_faults(composition, fact.role, one.link, one.target)
    if isinstance(one, First | Queued) and machine_of(one.role) != composition.queue:
        yield f"looks for {one.role} in the queue, which holds each a {composition.queue}"
    if isinstance(one, Can) and one.step not in {step.id for step in composition.steps}:
        yield f"asks for {one.step}, which is no step"


def _fact_faults(system: System, composition: Composition, facts: Iterable[Fact]) -> Iterator[str]:
    marks = {(mark.machine, mark.name) for mark in composition.marks}
    for fact in facts:
        machine = system.machines.get(fact.machine)
        if machine is None or fact.machine not in composition.machines:
            yield f"names {fact}, and {fact.machine} is no machine of the model"
        elif fact.is_state and fact.name not in machine.states:
            yield f"names {fact}, which is no state"
        elif not fact.is_state and (fact.machine, fact.name) not in marks:
            yield f"names {fact}, which is no mark"


def _link_faults(
    composition: Composition, role: str, link: str, target: str | None
) -> Iterator[str]:
    known = {(one.machine, one.name): one.target for one in composition.links}
    leads = known.get((machine_of(role), link))
    if leads is None:
        yield f"names {role}.{link}, which is no link"
    elif target is not None and machine_of(target) != leads:
        yield f"lets {role}.{link} lead to {target}, expected a {leads}"


def _effect_faults(system: System, composition: Composition, one: Effect) -> Iterator[str]:
    if isinstance(one, SetMark):
        yield from _fact_faults(system, composition, [Fact(one.role, one.mark)])
    elif isinstance(one, UnmarkAll):
        yield from _fact_faults(system, composition, [Fact(one.machine, one.mark)])
    elif isinstance(one, SetLink):
        yield from _link_faults(composition, one.role, one.link, one.target)
    elif isinstance(one, Push | Pop | Remove) and machine_of(one.role) != composition.queue:
        yield f"queues {one.role}, expected a {composition.queue}"
    elif isinstance(one, Make) and machine_of(one.role) not in composition.many:
        yield f"makes {one.role}, of which there is one"


def _unused(system: System, composition: Composition) -> Iterator[Report]:
    """A mark that nobody sets says nothing; nor does an actor who does nothing."""
    effects = [effect for _, _, _, done in _texts(system, composition) for effect in done]
    marked = {
        (machine_of(one.role), one.mark)
        for one in effects
        if isinstance(one, SetMark) and one.value
    }
    for mark in composition.marks:
        if (mark.machine, mark.name) not in marked:
            yield FILE, f"mark {mark.machine}.{mark.name}", "no step sets it"
    by = {step.by for step in composition.steps}
    for name in composition.actors:
        if name not in by:
            yield FILE, f"actor {name}", "takes no step"


def _limits(system: System, composition: Composition) -> Iterator[Report]:
    """Bounds speak of machines, and of limits that some row names."""
    counted = [
        term
        for _, _, conditions, _ in _texts(system, composition)
        for one in _flattened(conditions)
        if isinstance(one, Count)
        for term in one.terms
        if isinstance(term, str)
    ]
    costs = [step.costs for step in composition.steps if step.costs]
    known = {*counted, *costs, *composition.starts.values(), *OWN_LIMITS, *composition.machines}
    for name, bounds in system.bounds.items():
        for key, value in bounds.items():
            if key not in known:
                yield SYSTEM, f"bounds {name}", f"'{key}' is no machine and no limit of the model"
            if key in composition.single and value > 1:
                yield SYSTEM, f"bounds {name}", f"'{key}' is {value}, and there is one"
    named = {key for bounds in system.bounds.values() for key in bounds}
    for name in sorted({*counted, *costs, *composition.starts.values()} - named):
        yield FILE, f"limit {name}", "no bounds give it a number"
    for name in system.pinned:
        if name not in system.bounds:
            yield SYSTEM, f"pinned {name}", "is no name under [bounds]"


def _owned(system: System, composition: Composition) -> Iterator[Report]:
    for one in system.properties:
        if isinstance(one, OneOwner) and one.machine not in composition.machines:
            yield SYSTEM, f"row {one.id}", f"{one.machine} is no machine of the model"


CHECKS: tuple[Callable[[System, Composition], Iterator[Report]], ...] = (
    _machines,
    _arrows,
    _chains,
    _joints,
    _words,
    _steps,
    _names,
    _unused,
    _limits,
    _owned,
)
