"""One flat model of the whole system, for given bounds: what every backend reads.

`compose` takes a spec and a name under `[bounds]`. What it returns needs no second look at the
spec: each `Move` is one atomic step with all its conditions (the arrows' sources and guards, the
actor's own and the row's) and all its effects, in the order in which they are done.

How a backend reads a `Composed`:

1. *State.* Each machine of `single` has one object; each of `many` so many. An object has a state,
   one of `states[machine]`; for those of `many`, index 0 is ABSENT: there is no such object. It has
   the marks `marks[machine]`, each so or not, and the links of `links` whose `machine` it is, each
   to one object of the link's `target` or to nobody. The queue is a sequence of objects of `queue`;
   None: it is left out. `spent` counts, for each limit that costs, what was spent of it. `balance`
   is an integer: accepted minus settled.
2. *Initial state.* Single objects, and the first `starts[machine]` of each many, are in their
   machine's `initial`; all others are ABSENT. No marks, no links; queue empty, nothing spent.
3. *A move* binds `roles`, to objects that exist, two of one machine to different ones; then
   `makes`, to any object that is ABSENT (which one never matters), which enters in its initial
   state, unmarked and unlinked. It may be taken if every condition of `when` holds in the state
   before, and less than its limit has been spent of what it `costs`. Then the effects of `do`, in
   order; then for each of `then`, if its own `when` holds in the state reached by then, its `do`.
4. *Forgetting.* An object of a many that is in a final state, has none of the marks `stays`, and to
   which no link leads from an object that is not itself forgotten, may be reused: it is as good as
   ABSENT, its marks and links included. So there is no end to what may come.
5. *Fairness.* A move that `awaits` nobody is fair: a step, with one binding of its roles, that can
   be taken from some moment on, by whichever of its arrows, is taken in the end. One that is
   `persistent` is so even if it can be taken only again and again. `costs` is only there to keep
   an exploration finite: a proof for any number leaves it out.
6. *Properties* are in `properties`; what was left out of this model is not in them, but in
   `unsaid`, with the machines that are missing. `invariants` hold of every state, too.

A machine whose bound is 0 is left out. What is said of it is dropped from every condition, so that
what depended on it may go either way: `always` and `never` that hold of such a part hold of the
whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from statemachine.composition import (
    ABSENT,
    Actor,
    Composition,
    Condition,
    Effect,
    Fact,
    First,
    Goto,
    Is,
    Link,
    Make,
    Pop,
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
from statemachine.errors import SpecError
from statemachine.model import (
    Arrow,
    Equal,
    Given,
    Moves,
    NeverTogether,
    OneOwner,
    Property,
    System,
)
from statemachine.projection import Projection, roles_in

FILE = "composition.toml"


@dataclass(frozen=True, slots=True)
class Move:
    """One atomic step, for one choice of its arrows. `owner` is the actor's: a room's name, or a
    machine whose object acts in the role of that name; `by` is the actor's name, None for those in
    `then`. `touches` are the roles that it moves or marks. `alike` are the arrows of other choices
    that do the very same, and are not told apart.
    """

    id: str
    step: Step
    by: str | None
    owner: str | None
    roles: tuple[str, ...]
    makes: tuple[str, ...]
    arrows: tuple[str, ...]
    when: tuple[Condition, ...]
    do: tuple[Effect, ...]
    then: tuple[Move, ...]
    alike: tuple[str, ...] = ()

    @property
    def fair(self) -> bool:
        """Whether it is taken in the end, if it can be from some moment on."""
        return self.step.awaits is None

    @property
    def costs(self) -> str | None:
        """The limit of which it spends one."""
        return self.step.costs

    @property
    def touches(self) -> frozenset[str]:
        """The roles whose state or marks it changes."""
        return frozenset(e.role for e in self.do if isinstance(e, Goto | SetMark))


@dataclass(frozen=True, slots=True)
class Composed:
    """The model: see above."""

    system: System
    bounds: str
    single: tuple[str, ...]
    many: Mapping[str, int]
    starts: Mapping[str, int]
    stays: Mapping[str, tuple[str, ...]]
    states: Mapping[str, tuple[str, ...]]
    marks: Mapping[str, tuple[str, ...]]
    links: tuple[Link, ...]
    queue: str | None
    limits: Mapping[str, int]
    spent: tuple[str, ...]
    open: frozenset[Fact]
    moves: tuple[Move, ...]
    properties: tuple[Property, ...]
    invariants: tuple[Given, ...]
    unsaid: Mapping[str, tuple[str, ...]]
    rest: Mapping[str, tuple[Condition, ...]]

    @property
    def machines(self) -> tuple[str, ...]:
        """Every machine of the model."""
        return (*self.single, *self.many)

    def initial(self, machine: str) -> str:
        """The state in which an object of the machine begins."""
        return self.system.machines[machine].initial

    def final(self, machine: str) -> tuple[str, ...]:
        """The states that nothing leaves."""
        return self.system.machines[machine].final

    def limit(self, term: str | int) -> int:
        """What a term of a count amounts to."""
        return term if isinstance(term, int) else self.limits.get(term, 0)

    def links_of(self, machine: str) -> tuple[Link, ...]:
        """The links that the machine's objects have."""
        return tuple(link for link in self.links if link.machine == machine)


def compose(system: System, bounds: str) -> Composed:
    """The model of the system, with the objects and limits of `[bounds]` of that name.

    Raises SpecError where there is no such name, or no composition.
    """
    if system.composition is None:
        raise SpecError(FILE, "", f"no such file in {system.folder}: nothing says who acts when")
    if bounds not in system.bounds:
        known = ", ".join(system.bounds)
        raise SpecError("system.toml", "bounds", f"has no '{bounds}', expected one of {known}")
    return _Composer(system, system.composition, bounds).model()


class _Composer:
    """Puts one model together. `present` are the machines that are not left out."""

    def __init__(self, system: System, composition: Composition, bounds: str) -> None:
        self.system = system
        self.composition = composition
        self.bounds = bounds
        self.limits = system.bounds[bounds]
        self.present = frozenset(
            [name for name in composition.single if self.limits.get(name, 1)]
            + [name for name in composition.many if self.limits.get(name, 0)]
        )
        self.arrows = system.arrows
        self.parts = Projection(system, self.present, composition.queue)

    def model(self) -> Composed:
        composition, present = self.composition, self.present
        many = {name: self.limits[name] for name in composition.many if name in present}
        single = tuple(name for name in composition.single if name in present)
        machines = self.system.machines
        moves = self._distinct(
            move for step in composition.steps if step.by for move in self._moves(step)
        )
        all_properties = (*self.system.properties, *self._state_conditions())
        said = {one.id: self.parts.missing(one) for one in all_properties}
        properties = [one for one in all_properties if not said[one.id]]
        ledger = self.system.ledger
        return Composed(
            system=self.system,
            bounds=self.bounds,
            single=single,
            many=many,
            starts={name: self._start(name, most) for name, most in many.items()},
            stays={name: composition.many[name] for name in many},
            states={
                name: ((ABSENT,) if name in many else ()) + tuple(machines[name].states)
                for name in (*single, *many)
            },
            marks={
                name: tuple(mark.name for mark in composition.marks if mark.machine == name)
                for name in (*single, *many)
            },
            links=tuple(x for x in composition.links if {x.machine, x.target} <= present),
            queue=composition.queue if composition.queue in present else None,
            limits=self.limits,
            spent=tuple(dict.fromkeys(move.costs for move in moves if move.costs)),
            open=frozenset(Fact(ledger.machine, name) for name in ledger.open)
            if ledger and ledger.machine in present
            else frozenset(),
            moves=moves,
            properties=tuple(self.parts.property(one) for one in properties),
            invariants=tuple(
                self.parts.given(one)
                for one in self.system.invariants
                if not self.parts.missing(one)
            ),
            unsaid={name: missing for name, missing in said.items() if missing},
            rest={
                name: tuple(self.parts.conditions(conditions))
                for name, conditions in composition.rest.items()
            },
        )

    def _state_conditions(self) -> Iterator[Property]:
        """What a state requires, or forbids, of an object in it: a property of its own."""
        words = self.system.vocabulary.conditions
        for machine in (self.system.machines[name] for name in self.composition.machines):
            for state in machine.states.values():
                given = (Is((Fact(machine.name, state.name),)),)
                for verb, name in (("requires", state.requires), ("forbids", state.forbids)):
                    if name and words[name].conditions:
                        held = words[name].conditions
                        hold = held if verb == "requires" else (Unless(held),)
                        what = f"{machine.name}_{state.name}_{verb}_{name}"
                        yield Given(what, f"{state.name} {verb} {name}.", given, hold)

    def _start(self, machine: str, most: int) -> int:
        term = self.composition.starts.get(machine)
        return 0 if term is None else min(most, self.limits.get(term, 0))

    @staticmethod
    def _distinct(moves: Iterable[Move]) -> tuple[Move, ...]:
        """Without what can change nothing, what can never be paid for, and what is said twice."""
        kept: dict[object, Move] = {}
        for move in moves:
            if move.do or move.makes:
                same = (move.by, move.when, move.makes, move.do, move.step.awaits, move.costs)
                first = kept.setdefault(same, move)
                more = set(move.arrows) - {*first.arrows, *first.alike}
                kept[same] = replace(first, alike=(*first.alike, *sorted(more)))
        return tuple(kept.values())

    # --- one step ---------------------------------------------------------------------------

    def _moves(self, step: Step) -> Iterator[Move]:
        """One move for each choice of the step's arrows."""
        if step.costs and not self.limits.get(step.costs, 0):
            return
        steps = {one.id: one for one in self.composition.steps}
        follows = [move for name in step.then for move in self._moves(steps[name])]
        actor = self.composition.actors[step.by] if step.by else None
        for chosen in itertools.product(*step.arrows):
            arrows = [self.arrows[name] for name in chosen]
            when, do = self._flat(step, arrows, actor)
            makes = tuple(effect.role for effect in do if isinstance(effect, Make))
            do = [effect for effect in do if not isinstance(effect, Make)]
            roles = _roles(when, do, self.composition.many) - set(makes)
            kept = tuple(arrow.id for arrow in arrows if arrow.machine in self.present)
            varies = [one for one, group in zip(chosen, step.arrows, strict=True) if len(group) > 1]
            yield Move(
                id=f"{step.id}({' '.join(varies)})" if varies else step.id,
                step=step,
                by=step.by,
                owner=actor.owner if actor else None,
                roles=self._ordered(roles | self._acting(actor)),
                makes=makes,
                arrows=kept,
                when=tuple(dict.fromkeys(when)),
                do=tuple(do),
                then=tuple(follows),
            )

    def _acting(self, actor: Actor | None) -> set[str]:
        """The role of an actor that is itself one of the objects."""
        is_role = actor is not None and actor.owner in self.composition.many
        return {actor.owner} & self.present if actor and is_role else set()

    def _ordered(self, roles: Iterable[str]) -> tuple[str, ...]:
        """In the order of the machines in `many`: links lead from earlier ones to later ones."""
        order = list(self.composition.many)
        return tuple(sorted(roles, key=lambda role: (order.index(machine_of(role)), role)))

    def _flat(
        self, step: Step, arrows: Sequence[Arrow], actor: Actor | None
    ) -> tuple[list[Condition], list[Effect]]:
        """All conditions and effects of a step with these arrows, in order."""
        when = list(actor.when) if actor else []
        do: list[Effect] = [effect for effect in step.do if isinstance(effect, Make)]
        moved: set[str] = set()
        for arrow in arrows:
            if arrow.machine not in moved:
                when.append(Is((Fact(arrow.machine, arrow.source),)))
            moved.add(arrow.machine)
            when += self._guards(arrow)
            do += self._effects(arrow)
            do.append(Goto(arrow.machine, arrow.target, self._tally(arrow)))
        when += step.when
        do += [self._led(effect) for effect in step.do if not isinstance(effect, Make)]
        when += [First(one.role) for one in do if isinstance(one, Pop)]
        when += [Queued(one.role) for one in do if isinstance(one, Remove)]
        return list(self.parts.conditions(when)), [
            effect for effect in do if self.parts.keeps(effect)
        ]

    def _guards(self, arrow: Arrow) -> Iterator[Condition]:
        guards = self.system.vocabulary.guards
        if arrow.when:
            yield from guards[arrow.when].conditions
        if arrow.unless and guards[arrow.unless].conditions:
            yield Unless(guards[arrow.unless].conditions)

    def _effects(self, arrow: Arrow) -> Sequence[Effect]:
        return self.system.vocabulary.effects[arrow.do].effects if arrow.do else ()

    def _tally(self, arrow: Arrow) -> int:
        ledger = self.system.ledger
        if ledger is None or ledger.machine != arrow.machine:
            return 0
        settled = sum(arrows.count(arrow.id) for arrows in ledger.settled.values())
        return ledger.accepted.count(arrow.id) - settled

    def _led(self, effect: Effect) -> Effect:
        if isinstance(effect, WithdrawAll):
            return replace(effect, state=self.arrows[effect.arrow].target)
        return effect


def _roles(when: Iterable[Condition], do: Iterable[Effect], many: Mapping[str, object]) -> set[str]:
    """The roles of machines of which there are many."""
    found = roles_in(when)
    for effect in do:
        if isinstance(effect, SetLink) and effect.target:
            found.add(effect.target)
        if not isinstance(effect, WithdrawAll | UnmarkAll):
            found.add(effect.role)
    return {role for role in found if machine_of(role) in many}


def always_of(model: Composed) -> tuple[Property, ...]:
    """The properties that are judged state by state, and the invariants."""
    kinds = Equal | NeverTogether | Given | OneOwner | Moves
    said = tuple(one for one in model.properties if isinstance(one, kinds))
    return (*said, *model.invariants)
