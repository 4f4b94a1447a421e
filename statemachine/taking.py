"""Each step of the composed model, taken once by objects of which nothing is known."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import z3

from statemachine.composed import Composed, Move
from statemachine.composition import ABSENT, Fact, Is, Nobody, Queued, Unless, machine_of
from statemachine.doing import Demand, Doing
from statemachine.smt import STATE, Moment, Objects, Theory

STEP = "step "
"""What the names of a step's objects begin with."""


@dataclass(frozen=True)
class Taking:
    """One way to take a step: with what follows at once, or without.

    `when` holds in the state before, `demands` on the way; `after` is the state after it, in terms
    of the one before.
    """

    id: str
    objects: Objects
    when: z3.BoolRef
    before: Moment
    after: Moment
    demands: tuple[Demand, ...]

    @functools.cached_property
    def writes(self) -> frozenset[tuple[str, ...]]:
        """The keys whose value is not the same term as before."""
        values = self.before.values
        return frozenset(key for key in values if self.after[key] is not values[key])


def takings(
    theory: Theory, before: Moment, steps: Collection[str] | None = None
) -> Iterator[Taking]:
    """Every way to take every step, and to forget an object that has come to its end; or every way
    to take these `steps`, of which a name with arrows is one choice.
    """
    for move in theory.model.moves:
        if steps is None or {move.id, move.step.id} & set(steps):
            yield from _taken(theory, before, move)
    for machine in theory.model.many if steps is None else ():
        yield _forgotten(theory, before, machine)


def _taken(theory: Theory, before: Moment, move: Move) -> Iterator[Taking]:
    objects = theory.objects([*move.roles, *move.makes], STEP)
    there = {role: objects[role] for role in move.roles}
    when = [*theory.bound(before, there), theory.all_of(move.when, before, objects)]
    after, demands = before, list[Demand]()
    for role in move.makes:
        machine = machine_of(role)
        initial = theory.states[machine][theory.model.initial(machine)]
        when.append(z3.Not(theory.exists(before, role, objects[role])))
        when.append(objects[role] != theory.nobody[machine])
        after = Doing(theory).put(after, role, STATE, initial, objects)
    for effect in move.do:
        after = Doing(theory).do(effect, after, objects, demands)
    yield from _followed(
        theory, move, Taking(move.id, objects, theory.both(when), before, after, tuple(demands))
    )


def _followed(theory: Theory, move: Move, taking: Taking) -> Iterator[Taking]:
    """The same, with each choice of what comes at once after it."""
    ways = [taking]
    for follow in move.then:
        ways = [after for way in ways for after in _either_way(theory, follow, way)]
    yield from ways


def _either_way(theory: Theory, follow: Move, way: Taking) -> Iterator[Taking]:
    now = theory.all_of(follow.when, way.after, way.objects)
    without = z3.And(way.when, z3.Not(now))
    yield Taking(way.id, way.objects, without, way.before, way.after, way.demands)
    after, demands = way.after, list(way.demands)
    for effect in follow.do:
        after = Doing(theory).do(effect, after, way.objects, demands)
    name, when = f"{way.id}, then {follow.id}", z3.And(way.when, now)
    yield Taking(name, way.objects, when, way.before, after, tuple(demands))


def _forgotten(theory: Theory, before: Moment, machine: str) -> Taking:
    """An object at its end, to which nothing leads, is as good as absent."""
    model, objects = theory.model, theory.objects([machine], STEP)
    final = tuple(Fact(machine, name) for name in model.final(machine))
    stays = tuple(Fact(machine, name) for name in model.stays[machine])
    when = [theory.holds(Is(final), before, objects) if final else theory.either([])]
    if stays:
        when.append(theory.holds(Is(stays, negated=True), before, objects))
    for link in _links_to(model, machine):
        facts = tuple(Fact(link[0], name) for name in model.states[link[0]] if name != ABSENT)
        when.append(theory.holds(Nobody(facts, link[1], machine), before, objects))
    if machine == model.queue:
        when.append(theory.holds(Unless((Queued(machine),)), before, objects))
    return Taking(
        id=f"forget {machine}",
        objects=objects,
        when=theory.both(when),
        before=before,
        after=Doing(theory).clear(before, machine, objects),
        demands=(),
    )


def _links_to(model: Composed, machine: str) -> list[tuple[str, str]]:
    return [(link.machine, link.name) for link in model.links if link.target == machine]
