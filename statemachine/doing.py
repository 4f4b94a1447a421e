"""What the effects of steps make of a moment, in the words of z3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import z3

from statemachine.composition import (
    ABSENT,
    Effect,
    Goto,
    Pop,
    Push,
    Remove,
    SetLink,
    SetMark,
    UnmarkAll,
    WithdrawAll,
    machine_of,
)
from statemachine.smt import BALANCE, LENGTH, QUEUE, STATE, Moment, Objects, Theory


@dataclass(frozen=True)
class Demand:
    """What must hold in the middle of a step for the model to mean what it says."""

    id: str
    english: str
    says: z3.BoolRef


class Doing:
    """Does effects to moments of a theory."""

    def __init__(self, theory: Theory) -> None:
        self.theory = theory

    def do(self, one: Effect, moment: Moment, objects: Objects, demands: list[Demand]) -> Moment:
        """The state after the effect. What must hold for it to mean what it says is demanded."""
        turn: Callable[..., Moment] = getattr(self, EFFECTS[type(one)])
        if isinstance(one, WithdrawAll | Push):
            return turn(one, moment, objects, demands)
        return turn(one, moment, objects)

    def put(
        self, moment: Moment, role: str, what: str, value: z3.ExprRef, objects: Objects
    ) -> Moment:
        """The state in which one object has another value."""
        machine, at = machine_of(role), objects.get(role)
        key = (machine, what)
        new = moment.but(key, value if at is None else z3.Store(moment[key], at, value))
        for count, facts in self.theory.counts.items():
            mine = [fact for fact in facts if fact.machine == machine]
            if not any(what == (STATE if fact.is_state else fact.name) for fact in mine):
                continue
            if count not in self.theory.kept:
                new = new.but(count, self._any_number())
            else:
                was, will = self.theory.has(moment, mine, at), self.theory.has(new, mine, at)
                new = new.but(count, new[count] + self.theory.one(will) - self.theory.one(was))
        return new

    def clear(self, moment: Moment, role: str, objects: Objects) -> Moment:
        """The state in which the object is absent, and has nothing."""
        machine, nothing = machine_of(role), self._truth(value=False)
        for mark in self.theory.model.marks[machine]:
            moment = self.put(moment, role, mark, nothing, objects)
        for link in self.theory.model.links_of(machine):
            moment = self.put(moment, role, link.name, self.theory.nobody[link.target], objects)
        return self.put(moment, role, STATE, self.theory.states[machine][ABSENT], objects)

    def _truth(self, *, value: bool) -> z3.BoolRef:
        return z3.BoolVal(value, self.theory.context)

    def _any_number(self) -> z3.ArithRef:
        return self.theory.fresh("count", z3.IntSort(self.theory.context))

    def _goto(self, one: Goto, moment: Moment, objects: Objects) -> Moment:
        state = self.theory.states[machine_of(one.role)][one.state]
        moment = self.put(moment, one.role, STATE, state, objects)
        return moment.but(BALANCE, moment[BALANCE] + one.tally) if one.tally else moment

    def _set_mark(self, one: SetMark, moment: Moment, objects: Objects) -> Moment:
        value = self._truth(value=one.value)
        return self.put(moment, one.role, one.mark, value, objects)

    def _set_link(self, one: SetLink, moment: Moment, objects: Objects) -> Moment:
        target = self.theory.target(machine_of(one.role), one.link)
        at = objects[one.target] if one.target else self.theory.nobody[target]
        return self.put(moment, one.role, one.link, at, objects)

    def _unmark_all(self, one: UnmarkAll, moment: Moment, _: Objects) -> Moment:
        none = self._truth(value=False)
        key = (one.machine, one.mark)
        many = one.machine in self.theory.sorts
        new = moment.but(key, z3.K(self.theory.sorts[one.machine], none) if many else none)
        return self._forget_counts(new, one.machine, [one.mark])

    def _forget_counts(self, moment: Moment, machine: str, names: Sequence[str]) -> Moment:
        """The numbers of all that has one of these names are not known any more."""
        for key, facts in self.theory.counts.items():
            if any(fact.machine == machine and fact.name in names for fact in facts):
                moment = moment.but(key, self._any_number())
        return moment

    def _push(self, one: Push, moment: Moment, objects: Objects, demands: list[Demand]) -> Moment:
        at = objects[one.role]
        says = f"What is pushed into the queue, {one.role}, is not in it yet."
        demands.append(Demand("pushed_once", says, z3.Not(z3.Select(moment[QUEUE], at))))
        return self._requeue(moment, at, queued=True)

    def _requeue(self, moment: Moment, at: z3.ExprRef, *, queued: bool) -> Moment:
        new = moment.but(
            QUEUE, z3.Store(moment[QUEUE], at, z3.BoolVal(queued, self.theory.context))
        )
        return new.but(LENGTH, moment[LENGTH] + (1 if queued else -1))

    def _unqueue(self, one: Pop | Remove, moment: Moment, objects: Objects) -> Moment:
        return self._requeue(moment, objects[one.role], queued=False)

    def _withdraw_all(
        self, one: WithdrawAll, moment: Moment, _: Objects, demands: list[Demand]
    ) -> Moment:
        theory, machine = self.theory, str(self.theory.model.queue)
        states, arrow = theory.states[machine], theory.model.system.arrows[one.arrow]
        it, key = z3.Const("queued", theory.sorts[machine]), (machine, STATE)
        queued, was = z3.Select(moment[QUEUE], it), z3.Select(moment[key], it)
        waits = z3.ForAll([it], z3.Implies(queued, was == states[arrow.source]))
        says = f"All that is queued is where {one.arrow} begins."
        demands.append(Demand("withdrawn_from_its_source", says, waits))
        new = moment.but(key, z3.Lambda([it], z3.If(queued, states[one.state], was)))
        new = new.but(QUEUE, z3.K(theory.sorts[machine], self._truth(value=False)))
        new = new.but(LENGTH, z3.IntVal(0, theory.context))
        return self._forget_counts(new, machine, [arrow.source, one.state])


EFFECTS: dict[type[Effect], str] = {
    Goto: "_goto",
    SetMark: "_set_mark",
    UnmarkAll: "_unmark_all",
    SetLink: "_set_link",
    Push: "_push",
    Pop: "_unqueue",
    Remove: "_unqueue",
    WithdrawAll: "_withdraw_all",
}
