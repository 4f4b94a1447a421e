"""The composed model in the words of z3, for any number of objects.

Each machine of the many is a sort of its own, of which nothing is said but that its objects have a
state, marks and links: how many there are is left open. `Nobody` quantifies. What a number stands
for is another matter:

- A *count* of objects is an integer that each effect changes by what it does to the objects that it
  names: by one if the object has one of the facts after it and had none before. So the integer is
  the number of such objects, if it was so at first. Where an effect changes objects that nobody
  names, the integer becomes any.
- The ledger's *balance*, accepted minus settled, changes by the arrows' tallies.
- *Limits* are any numbers from 0 on, the same at all times.
- The *queue* is a set, and its length a count. Whoever takes the first of a sequence takes some
  member of the set, so that all that the sequence can do the set can. That no object is in it twice
  is not assumed: it is demanded of each push.
- *Free* guards are not in the model, which takes them to go either way.

What steps do is in `doing`. These modules and those of the prover import z3, and nothing else
imports them: `proving` does, when the command is run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    First,
    Is,
    Linked,
    Nobody,
    Queued,
    QueueIs,
    Unless,
    machine_of,
)
from statemachine.joining import every_of, some_of

STATE = "STATE"
QUEUE = ("the queue",)
LENGTH = ("the queue", "length")
BALANCE = ("the ledger", "balance")

Key = tuple[str, ...]
"""What changes as one: a machine's states, one of its marks or links, the queue, or a number."""

Objects = Mapping[str, z3.ExprRef]
"""The object that each role stands for."""


def count_key(facts: Iterable[Fact]) -> Key:
    """The number of objects that have one of the facts."""
    return ("count", *sorted(map(str, facts)))


@dataclass(frozen=True)
class Moment:
    """One state of everything: a value for each key."""

    values: Mapping[Key, z3.ExprRef]

    def __getitem__(self, key: Key) -> z3.ExprRef:
        return self.values[key]

    def but(self, key: Key, value: z3.ExprRef) -> Moment:
        """The same with another value."""
        return Moment({**self.values, key: value})


class Theory:
    """The sorts and constants of one model, and what its conditions say.

    The numbers of `kept` facts are followed from state to state; of those that are only `asked`
    nothing is known any more when one of them has changed.
    """

    def __init__(
        self,
        model: Composed,
        kept: Iterable[tuple[Fact, ...]] = (),
        asked: Iterable[tuple[Fact, ...]] = (),
    ) -> None:
        self.model = model
        self.context = z3.Context()
        self.kept = {count_key(facts) for facts in kept}
        self.counts = {count_key(facts): facts for facts in (*kept, *asked)}
        self.sorts = {name: z3.DeclareSort(name, self.context) for name in model.many}
        self.states: dict[str, Mapping[str, z3.ExprRef]] = {}
        self._enums: dict[str, z3.SortRef] = {}
        for name in model.machines:
            words = [f"{name}.{state}" for state in model.states[name]]
            self._enums[name], values = z3.EnumSort(f"{name} state", words, self.context)
            self.states[name] = dict(zip(model.states[name], values, strict=True))
        self.nobody = {n: z3.Const(f"nobody of {n}", s) for n, s in self.sorts.items()}
        self.limits: dict[str, z3.ArithRef] = {}
        self._numbers = itertools.count()

    # --- moments ----------------------------------------------------------------------------

    def moment(self, name: str) -> Moment:
        """A state of which nothing is known yet."""
        values = {key: z3.Const(f"{name} {' '.join(key)}", sort) for key, sort in self._shape()}
        return Moment(values)

    def _shape(self) -> Iterator[tuple[Key, z3.SortRef]]:
        truth, number = z3.BoolSort(self.context), z3.IntSort(self.context)
        for machine in self.model.machines:
            yield (machine, STATE), self._of(machine, self._enums[machine])
            for mark in self.model.marks[machine]:
                yield (machine, mark), self._of(machine, truth)
        for link in self.model.links:
            yield (link.machine, link.name), self._of(link.machine, self.sorts[link.target])
        if self.model.queue:
            yield QUEUE, z3.ArraySort(self.sorts[self.model.queue], truth)
            yield LENGTH, number
        yield BALANCE, number
        for key in self.counts:
            yield key, number

    def _of(self, machine: str, value: z3.SortRef) -> z3.SortRef:
        return z3.ArraySort(self.sorts[machine], value) if machine in self.sorts else value

    def first(self, moment: Moment) -> z3.BoolRef:
        """That it is the first state of all."""
        model, said = self.model, [moment[BALANCE] == 0]
        for machine in model.single:
            initial = self.states[machine][model.initial(machine)]
            said.append(moment[machine, STATE] == initial)
            said += self._bare(moment, machine, None)
        for machine in model.many:
            at = z3.Const(f"the {machine}", self.sorts[machine])
            said.append(z3.ForAll([at], self._fresh(moment, machine, at)))
        for key, facts in self.counts.items():
            if not any(self._at_first(fact) for fact in facts):
                said.append(moment[key] == 0)
        return self.both(said + ([moment[LENGTH] == 0] if model.queue else []))

    def _fresh(self, moment: Moment, machine: str, at: z3.ExprRef) -> z3.BoolRef:
        """That an object is absent, or just begins, and has nothing."""
        model, state = self.model, self.value(moment, machine, STATE, at)
        said = self._bare(moment, machine, at)
        if machine == model.queue:
            said.append(z3.Not(z3.Select(moment[QUEUE], at)))
        begins = z3.And(
            state == self.states[machine][model.initial(machine)], at != self.nobody[machine]
        )
        absent = state == self.states[machine][ABSENT]
        return self.both([*said, z3.Or(absent, begins) if model.starts[machine] else absent])

    def _bare(self, moment: Moment, machine: str, at: z3.ExprRef | None) -> list[z3.BoolRef]:
        """That an object has no marks and no links."""
        marks, links = self.model.marks[machine], self.model.links_of(machine)
        said = [z3.Not(self.value(moment, machine, mark, at)) for mark in marks]
        for link in links:
            nobody = self.nobody[link.target]
            said.append(self.value(moment, machine, link.name, at) == nobody)
        return said

    def counted(self, moment: Moment) -> list[z3.BoolRef]:
        """What is true of a number because of what it is: the limits of what z3 knows of it."""
        said = [limit >= 0 for limit in self.limits.values()] + [moment[LENGTH] >= 0]
        for key, facts in self.counts.items():
            number, machines = moment[key], dict.fromkeys(fact.machine for fact in facts)
            single = [
                self.has(moment, [fact for fact in facts if fact.machine == machine], None)
                for machine in machines
                if machine not in self.sorts
            ]
            many = [machine for machine in machines if machine in self.sorts]
            said.append(number >= self.sum(single) if many else number == self.sum(single))
            for machine in many:
                at = z3.Const(f"the {machine}", self.sorts[machine])
                has = self.has(moment, [fact for fact in facts if fact.machine == machine], at)
                said.append(z3.ForAll([at], z3.Implies(has, number > self.sum(single))))
        return said

    def _at_first(self, fact: Fact) -> bool:
        """Whether an object may have the fact in the first state."""
        model = self.model
        there = model.starts[fact.machine] if fact.machine in model.many else 1
        return bool(there) and fact.name == model.initial(fact.machine)

    def value(self, moment: Moment, machine: str, what: str, at: z3.ExprRef | None) -> z3.ExprRef:
        """What an object has: its state, a mark or a link."""
        values = moment[machine, what]
        return values if at is None else z3.Select(values, at)

    def fresh(self, like: str, sort: z3.SortRef) -> z3.ExprRef:
        """A constant of which nothing is known."""
        return z3.Const(f"{like} {next(self._numbers)}", sort)

    def exists(self, moment: Moment, role: str, at: z3.ExprRef) -> z3.BoolRef:
        """Whether there is such an object."""
        machine = machine_of(role)
        return self.value(moment, machine, STATE, at) != self.states[machine][ABSENT]

    def objects(self, roles: Iterable[str], prefix: str = "") -> dict[str, z3.ExprRef]:
        """A constant for each role."""
        return {role: z3.Const(prefix + role, self.sorts[machine_of(role)]) for role in roles}

    def bound(self, moment: Moment, objects: Objects) -> list[z3.BoolRef]:
        """That there are these objects, and that two of one machine are two."""
        said = [self.exists(moment, role, at) for role, at in objects.items()]
        for (one, x), (two, y) in itertools.combinations(objects.items(), 2):
            if machine_of(one) == machine_of(two):
                said.append(x != y)
        return said

    def every(self, objects: Objects, body: z3.BoolRef) -> z3.BoolRef:
        """For all that the roles may stand for."""
        return z3.ForAll(list(objects.values()), body) if objects else body

    def both(self, parts: Sequence[z3.BoolRef]) -> z3.BoolRef:
        """All of them."""
        return every_of(parts, self.context)

    def either(self, parts: Sequence[z3.BoolRef]) -> z3.BoolRef:
        """One of them at least."""
        return some_of(parts, self.context)

    # --- conditions -------------------------------------------------------------------------

    def all_of(
        self, conditions: Iterable[Condition], moment: Moment, objects: Objects
    ) -> z3.BoolRef:
        """That all of them hold."""
        return self.both([self.holds(one, moment, objects) for one in conditions])

    def holds(self, one: Condition, moment: Moment, objects: Objects) -> z3.BoolRef:
        """That it holds."""
        turn: Callable[..., z3.BoolRef] = getattr(self, CONDITIONS[type(one)])
        return turn(one, moment, objects)

    def has(self, moment: Moment, facts: Iterable[Fact], at: z3.ExprRef | None) -> z3.BoolRef:
        """That the object has one of the facts."""
        found = []
        for fact in facts:
            if fact.is_state:
                state = self.value(moment, fact.machine, STATE, at)
                found.append(state == self.states[fact.machine][fact.name])
            else:
                found.append(self.value(moment, fact.machine, fact.name, at))
        return self.either(found)

    def _is(self, one: Is, moment: Moment, objects: Objects) -> z3.BoolRef:
        found = self.has(moment, one.facts, objects.get(one.facts[0].role))
        return z3.Not(found) if one.negated else found

    def _linked(self, one: Linked, moment: Moment, objects: Objects) -> z3.BoolRef:
        machine = machine_of(one.role)
        link = self.value(moment, machine, one.link, objects.get(one.role))
        at = objects[one.target] if one.target else self.nobody[self.target(machine, one.link)]
        return link != at if one.negated else link == at

    def target(self, machine: str, link: str) -> str:
        return next(x.target for x in self.model.links if (x.machine, x.name) == (machine, link))

    def _queue(self, one: QueueIs, moment: Moment, _: Objects) -> z3.BoolRef:
        assert self.model.queue
        limit, length = self.limit("queue"), moment[LENGTH]
        if one.how in {"empty", "not_empty"}:
            it = z3.Const("queued", self.sorts[self.model.queue])
            empty = z3.ForAll([it], z3.Not(z3.Select(moment[QUEUE], it)))
            return empty if one.how == "empty" else z3.Not(empty)
        return {"full": length >= limit, "has_room": length < limit, "within": length <= limit}[
            one.how
        ]

    def _queued(self, one: Queued | First, moment: Moment, objects: Objects) -> z3.BoolRef:
        return z3.Select(moment[QUEUE], objects[one.role])

    def limit(self, term: str | int) -> z3.ArithRef:
        """What a term of a count amounts to."""
        if isinstance(term, int):
            return z3.IntVal(term, self.context)
        self.limits[term] = z3.Int(f"limit {term}", self.context)
        return self.limits[term]

    def _count(self, one: Count, moment: Moment, _: Objects) -> z3.BoolRef:
        number = self.number(moment, one.facts)
        total = z3.Sum([self.limit(term) for term in one.terms])
        return number >= total if one.at_least else number <= total

    def number(self, moment: Moment, facts: Iterable[Fact]) -> z3.ArithRef:
        """How many objects have one of the facts."""
        return moment[count_key(facts)]

    def _nobody(self, one: Nobody, moment: Moment, objects: Objects) -> z3.BoolRef:
        said = []
        for machine in dict.fromkeys(fact.machine for fact in one.facts):
            facts = [fact for fact in one.facts if fact.machine == machine]
            at = z3.Const(f"any {machine}", self.sorts[machine]) if machine in self.sorts else None
            found = self.has(moment, facts, at)
            if one.link and one.target:
                link = self.value(moment, machine, one.link, at)
                found = z3.And(found, link == objects[one.target])
            said.append(z3.Not(found) if at is None else z3.ForAll([at], z3.Not(found)))
        return self.both(said)

    def _balances(self, _: Balances, moment: Moment, __: Objects) -> z3.BoolRef:
        return moment[BALANCE] == self.number(moment, self.model.open)

    def _unless(self, one: Unless, moment: Moment, objects: Objects) -> z3.BoolRef:
        return z3.Not(self.all_of(one.conditions, moment, objects))

    def _can(self, one: Can, moment: Moment, _: Objects) -> z3.BoolRef:
        moves = [move for move in self.model.moves if move.step.id == one.step]
        return self.either([self.enabled(move, moment) for move in moves])

    def enabled(self, move: Move, moment: Moment, given: Objects | None = None) -> z3.BoolRef:
        """That the move can be taken, by some objects, of which some may be given."""
        given = given or {}
        mine = self.objects(move.roles, f"{move.id} ") | dict(given)
        left = [mine[role] for role in move.roles if role not in given]
        body = z3.And(*self.bound(moment, mine), self.all_of(move.when, moment, mine))
        return z3.Exists(left, body) if left else body

    def sum(self, truths: Iterable[z3.BoolRef]) -> z3.ArithRef:
        """How many of them are true."""
        return z3.Sum([z3.IntVal(0, self.context), *map(self.one, truths)])

    def one(self, truth: z3.BoolRef) -> z3.ArithRef:
        return z3.If(truth, z3.IntVal(1, self.context), z3.IntVal(0, self.context))


CONDITIONS: dict[type[Condition], str] = {
    Is: "_is",
    Linked: "_linked",
    QueueIs: "_queue",
    First: "_queued",
    Queued: "_queued",
    Count: "_count",
    Nobody: "_nobody",
    Balances: "_balances",
    Unless: "_unless",
    Can: "_can",
}
