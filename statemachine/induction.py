"""A counterexample to induction: a state in which all clauses hold, and one step that ends it.

Whether such a state can come is another question: if it cannot, a clause is missing that says so.
It is looked for among few objects, where z3 can try all there is.
"""

from __future__ import annotations

from collections.abc import Iterator

import z3

from statemachine.composition import ABSENT, machine_of
from statemachine.grounding import Grounding
from statemachine.proof import Failure, Prover
from statemachine.smt import BALANCE, LENGTH, QUEUE, STATE, Moment

SIZES = (1, 2, 3)
"""So many objects of each machine are tried."""

Objects = dict[str, list[z3.ExprRef]]


def example_of(prover: Prover, failure: Failure) -> tuple[str, ...]:
    """The objects before and after the step, a line each; nothing where no small example exists."""
    for size in SIZES:
        small = _Small(prover, size)
        model = small.model(failure)
        if model is not None:
            return tuple(small.told(model, failure))
    return ()


class _Small:
    """The theory with `size` objects of each machine."""

    def __init__(self, prover: Prover, size: int) -> None:
        self.prover, self.theory = prover, prover.theory
        self.objects: Objects = {
            name: [z3.Const(f"{name}{n}", sort) for n in range(1, size + 1)]
            for name, sort in self.theory.sorts.items()
        }
        self.grounding = Grounding(self.theory.context, whole=True)
        for name, objects in self.objects.items():
            self.grounding.name([*objects, self.theory.nobody[name]])

    def model(self, failure: Failure) -> z3.ModelRef | None:
        """A case of the failure."""
        theory, before, taking = self.theory, self.prover.before, failure.taking
        says = theory.counted(before)
        if failure.denied is not None:
            says.append(failure.denied)
        if taking:
            says.append(taking.when)
        if failure.assumes:
            says += [clause.says(theory, before) for clause in self.prover.clauses]
        else:
            says.append(theory.first(before))
        grounded = [self.grounding.ground(one) for one in says]
        solver = self.prover.solver([*grounded, *self._closed(before), *self._counted(before)])
        if taking:
            named = taking.objects.items()
            solver.add([self._among(machine_of(role), at) for role, at in named])
        return self._plain(solver) if solver.check() == z3.sat else None

    def _plain(self, solver: z3.Solver) -> z3.ModelRef:
        """A case in which as little as possible is out of the ordinary."""
        for wish in self._wishes():
            if solver.check(wish) == z3.sat:
                solver.add(wish)
        solver.check()
        return solver.model()

    def _wishes(self) -> Iterator[z3.BoolRef]:
        theory, before = self.theory, self.prover.before
        for machine in theory.model.machines:
            plain = ABSENT if machine in self.objects else theory.model.initial(machine)
            for at in self.objects.get(machine, [None]):
                yield theory.value(before, machine, STATE, at) == theory.states[machine][plain]
        for machine in theory.model.machines:
            for at in self.objects.get(machine, [None]):
                for mark in theory.model.marks[machine]:
                    yield z3.Not(theory.value(before, machine, mark, at))
                for link in theory.model.links_of(machine):
                    nobody = theory.nobody[link.target]
                    yield theory.value(before, machine, link.name, at) == nobody

    def _among(self, machine: str, at: z3.ExprRef) -> z3.BoolRef:
        return z3.Or([at == one for one in self.objects[machine]])

    def _closed(self, before: Moment) -> Iterator[z3.BoolRef]:
        """These are different objects, and no link leads to another."""
        theory = self.theory
        for machine, objects in self.objects.items():
            yield z3.Distinct(*objects, theory.nobody[machine])
        for link in theory.model.links:
            for at in self.objects.get(link.machine, [None]):
                target = theory.value(before, link.machine, link.name, at)
                nobody = target == theory.nobody[link.target]
                yield z3.Or(nobody, self._among(link.target, target))

    def _counted(self, before: Moment) -> Iterator[z3.BoolRef]:
        """Every number is what it counts."""
        theory = self.theory
        for key, facts in theory.counts.items():
            holders = []
            for machine in dict.fromkeys(fact.machine for fact in facts):
                mine = [fact for fact in facts if fact.machine == machine]
                at_all = self.objects.get(machine, [None])
                holders += [theory.has(before, mine, at) for at in at_all]
            yield before[key] == theory.sum(holders)
        queue = theory.model.queue
        if queue:
            queued = [z3.Select(before[QUEUE], at) for at in self.objects[queue]]
            yield before[LENGTH] == theory.sum(queued)

    # --- in words ---------------------------------------------------------------------------

    def told(self, model: z3.ModelRef, failure: Failure) -> Iterator[str]:
        """Every object that there is, before and after."""
        taking, theory = failure.taking, self.theory
        if taking:
            chosen = [f"{r} is {self._name(model, at)}" for r, at in taking.objects.items()]
            if chosen:
                yield f"the step's {', '.join(chosen)}"
        for machine in theory.model.machines:
            for at in self.objects.get(machine, [None]):
                before = self._words(model, self.prover.before, machine, at)
                after = self._words(model, taking.after, machine, at) if taking else before
                if {before, after} != {ABSENT}:
                    name = machine if at is None else str(at)
                    yield f"{name}: {before}" + (f"  ->  {after}" if after != before else "")
        moments = [self.prover.before, *([taking.after] if taking else [])]
        balances = dict.fromkeys(str(model.eval(one[BALANCE], True)) for one in moments)
        yield f"accepted - settled: {'  ->  '.join(balances)}"

    def _name(self, model: z3.ModelRef, at: z3.ExprRef) -> str:
        for objects in self.objects.values():
            for one in objects:
                if one.sort() == at.sort() and z3.is_true(model.eval(one == at, True)):
                    return str(one)
        return "nobody"

    def _words(
        self, model: z3.ModelRef, moment: Moment, machine: str, at: z3.ExprRef | None
    ) -> str:
        theory = self.theory

        def value(what: str) -> z3.ExprRef:
            return model.eval(theory.value(moment, machine, what, at), True)

        state = value(STATE)
        words = [name for name, one in theory.states[machine].items() if one.eq(state)]
        words += [mark for mark in theory.model.marks[machine] if z3.is_true(value(mark))]
        for link in theory.model.links_of(machine):
            target = self._name(model, value(link.name))
            if target != "nobody":
                words.append(f"{link.name}={target}")
        queued = machine == theory.model.queue and model.eval(z3.Select(moment[QUEUE], at), True)
        if z3.is_true(queued):
            words.append("in the queue")
        return " ".join(words)
