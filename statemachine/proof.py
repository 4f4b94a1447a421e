"""Proves, for any number of objects, what always holds of the composed model.

The proof is by induction. Each clause (see `clauses`) holds of the first state; and if all clauses
hold before a step, each holds after it. What the properties ask that is no clause follows from the
clauses. Every formula is made from spec/: there is no second model.

An *obligation* is one clause after one way to take one step. Where the step changes nothing on
which the clause depends, the clause is *framed*: it holds as it did, and z3 is not asked. The
others of a step are asked together, and one by one only if they do not all hold. A step that no
state allows fulfils them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

import z3

from statemachine.clauses import (
    Clause,
    asks_can,
    clause_of,
    clauses_of,
    counts_of,
    owner_clauses,
)
from statemachine.composed import Composed, compose
from statemachine.composition import Fact
from statemachine.doing import Demand
from statemachine.errors import SpecError
from statemachine.grounding import Grounding, constants_of
from statemachine.model import Given, LeadsTo, Moves, OneOwner, Property, Sometimes, System
from statemachine.smt import Key, Moment, Theory
from statemachine.taking import Taking, takings

BOUNDS = "any number"
FAILURES_MAX = 20
"""After so many failures a proof ends: more of them tell nothing new."""

Denied = tuple[Clause, z3.BoolRef]
"""A clause, and that it does not hold, of the state before a step and without quantifiers."""

Progress = Callable[[int, int], None]
"""Called with the steps that are done, and all of them."""


@dataclass(frozen=True)
class Failure:
    """An obligation that is not fulfilled. `verdict` is "refuted", where z3 knows of a case, or
    "unknown", where it does not know in time. `taking` is the step, None for what has none; and
    `denied` says, of the state before it, what must not be so. `assumes` is false for the first
    state, of which nothing is known but that it is the first.
    """

    step: str
    clause: str
    english: str
    verdict: str
    taking: Taking | None = None
    denied: z3.BoolRef | None = None
    assumes: bool = True


@dataclass(frozen=True)
class Proof:
    """What came of it. `asked` obligations were put to z3, `framed` ones were not, and `failures`
    are those of `asked` that it did not prove. `beyond` are the properties that no induction over
    states can prove. `complete` is false where it ended after too many failures. `seconds` are the
    processor's.
    """

    model: Composed
    takings: int
    clauses: int
    asked: int
    framed: int
    seconds: float
    failures: tuple[Failure, ...]
    beyond: tuple[Property, ...]
    complete: bool


def unbounded(system: System) -> Composed:
    """The whole composed model, in which nothing is left out and no number matters."""
    composition = system.composition
    if composition is None:
        raise SpecError(
            "composition.toml", "", f"no such file in {system.folder}: nothing says who acts when"
        )
    names = [*composition.machines, *composition.starts.values()]
    names += [step.costs for step in composition.steps if step.costs]
    every = replace(system, bounds={BOUNDS: dict.fromkeys(names, 1)})
    return compose(every, BOUNDS)


class Prover:
    """One proof. `seconds` bounds what z3 may take for one obligation, `effort` by z3's own measure
    of its work, which is the same on every computer. With `framing` false nothing is framed. Of
    `steps`, if they are given, only those are asked about, BEGINNING and ANY_MOMENT among them: the
    rest is not proved then.
    """

    def __init__(
        self,
        system: System,
        *,
        seconds: float = 2.0,
        effort: int | None = None,
        framing: bool = True,
        steps: Collection[str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._began = time.process_time()
        self.model = unbounded(system)
        self.clauses = clauses_of(self.model)
        self.theory = Theory(self.model, *_counted(self.model, self.clauses))
        self.before = self.theory.moment("before")
        self.takings = tuple(takings(self.theory, self.before, steps))
        self._seconds = seconds
        self._effort = effort
        self._framing = framing
        self._progress = progress
        self._chosen = steps
        self._said: dict[str, z3.BoolRef] = {}
        self._read: dict[str, frozenset[Key]] = {}
        self._asked = self._framed = 0
        self._failures: list[Failure] = []

    def _wanted(self, step: str) -> bool:
        return self._chosen is None or step in self._chosen

    def run(self) -> Proof:
        """Prove what can be proved."""
        if self._wanted(BEGINNING):
            self._first()
        if self.takings:
            self._steps()
        if self._wanted(ANY_MOMENT):
            self._follows()
        return Proof(
            model=self.model,
            takings=len(self.takings),
            clauses=len(self.clauses),
            asked=self._asked,
            framed=self._framed,
            seconds=time.process_time() - self._began,
            failures=tuple(self._failures),
            beyond=tuple(x for x in self.model.properties if isinstance(x, BEYOND)),
            complete=len(self._failures) < FAILURES_MAX,
        )

    # --- asking -----------------------------------------------------------------------------

    def solver(self, hypotheses: Iterable[z3.BoolRef]) -> z3.Solver:
        """One that knows these formulas without quantifiers."""
        solver = z3.SimpleSolver(ctx=self.theory.context)
        # Without quantifiers all is relevant: to keep account of what is costs a third of the time.
        solver.set("relevancy", 0)
        solver.set("timeout", max(1, int(self._seconds * 1000)))
        if self._effort is not None:
            solver.set("rlimit", self._effort)
        solver.add([z3.simplify(one) for one in hypotheses])
        return solver

    def _ask(
        self,
        solver: z3.Solver,
        step: str,
        denied: list[Denied],
        taking: Taking | None = None,
    ) -> None:
        """All at once whether one of the clauses can be denied; if so, which."""
        self._asked += len(denied)
        changes = self._changes(taking)
        any_of_them = z3.substitute(self.theory.either([x for _, x in denied]), *changes)
        if not denied or solver.check(any_of_them) == z3.unsat:
            return
        for clause, broken in denied:
            answer = solver.check(z3.substitute(broken, *changes))
            if answer != z3.unsat and len(self._failures) < FAILURES_MAX:
                verdict = "refuted" if answer == z3.sat else "unknown"
                says = clause.says(self.theory, taking.after if taking else self.before)
                failure = Failure(
                    step,
                    clause.id,
                    clause.english,
                    verdict,
                    taking,
                    z3.Not(says),
                    assumes=step != BEGINNING,
                )
                self._failures.append(failure)

    def framed(self, clause: Clause, taking: Taking) -> bool:
        """Whether the step changes nothing of which the clause speaks."""
        return self._framing and not self._reads(clause) & taking.writes

    def _before(self, clause: Clause) -> z3.BoolRef:
        """That the clause holds before a step."""
        if clause.id not in self._said:
            self._said[clause.id] = clause.says(self.theory, self.before)
        return self._said[clause.id]

    def _reads(self, clause: Clause) -> frozenset[Key]:
        """The keys of which the clause speaks: whose constants are in its formula."""
        if clause.id not in self._read:
            found = constants_of(self._before(clause))
            keys = [key for key, value in self.before.values.items() if value.get_id() in found]
            self._read[clause.id] = frozenset(keys)
        return self._read[clause.id]

    def _changes(self, taking: Taking | None) -> list[tuple[z3.ExprRef, z3.ExprRef]]:
        """What stands for the state after a step, where a formula speaks of the one before."""
        if taking is None:
            return []
        return [(self.before[key], taking.after[key]) for key in taking.writes]

    # --- the induction ----------------------------------------------------------------------

    def _first(self) -> None:
        """The first state: there is one, and all clauses hold of it."""
        grounding = Grounding(self.theory.context)
        denials = self._denials(grounding, self.clauses)
        grounding.name(self.theory.nobody.values())
        first = self.theory.first(self.before)
        numbers = self.theory.counted(self.before)
        solver = self.solver([grounding.ground(one) for one in (first, *numbers)])
        if solver.check() != z3.sat:
            says = "There is a first state."
            self._failures.append(Failure(BEGINNING, "first", says, "unknown"))
        self._ask(solver, BEGINNING, self._denied(grounding, self.clauses, denials))

    def _opened(
        self, grounding: Grounding, formulas: Iterable[z3.BoolRef], witness: str
    ) -> list[z3.BoolRef]:
        """The formulas, whose witnesses are named now. Those that do not depend on what else is
        named have lost their quantifiers already.
        """
        found = []
        for one in formulas:
            ground = grounding.ground(one, witness)
            grounding.name(grounding.witnesses)
            found.append(one if grounding.expanded else z3.simplify(ground))
        return found

    def _denials(self, grounding: Grounding, clauses: Iterable[Clause]) -> list[z3.BoolRef]:
        """That a clause does not hold, for each, opened."""
        return self._opened(grounding, [z3.Not(self._before(one)) for one in clauses], SOME)

    def _denied(
        self, grounding: Grounding, clauses: Iterable[Clause], denials: Iterable[z3.BoolRef]
    ) -> list[Denied]:
        """The same, when all is named of which something is to be said."""
        ground = [grounding.ground(one, SOME) for one in denials]
        return list(zip(clauses, ground, strict=True))

    def _assumed(self, grounding: Grounding) -> list[z3.BoolRef]:
        """All clauses, of what is named; and of the witnesses of what they say exists."""
        said = [(clause.id, self._before(clause)) for clause in self.clauses]
        first, witnesses = [], list[z3.ExprRef]()
        for name, one in said:
            formula = grounding.ground(one, name)
            if grounding.witnesses:
                first.append(formula)
                witnesses += grounding.witnesses
        grounding.name(witnesses)
        numbers = self.theory.counted(self.before)
        return first + [grounding.ground(one) for one in (*numbers, *(x for _, x in said))]

    def _steps(self) -> None:
        """Each clause after each step."""
        grounding = Grounding(self.theory.context)
        for taking in self.takings:
            grounding.name(taking.objects.values())
        denials = self._denials(grounding, self.clauses)
        conditions = self._opened(grounding, [taking.when for taking in self.takings], FOUND)
        solver = self.solver(self._assumed(grounding))
        solver.check()  # Or what is assumed would be read anew for each step, after its push.
        denied = self._denied(grounding, self.clauses, denials)
        for number, (taking, when) in enumerate(zip(self.takings, conditions, strict=True)):
            if self._progress:
                self._progress(number, len(self.takings))
            if len(self._failures) >= FAILURES_MAX:
                return
            solver.push()
            solver.add(grounding.ground(when, FOUND))
            live = [x for x in denied if not self.framed(x[0], taking)]
            self._framed += len(denied) - len(live)
            self._ask(solver, taking.id, live, taking)
            self._demanded(solver, grounding, taking)
            solver.pop()

    def _demanded(self, solver: z3.Solver, grounding: Grounding, taking: Taking) -> None:
        """What the model takes for granted in the middle of a step."""
        for demand in taking.demands:

            def says(_: Theory, __: Moment, demand: Demand = demand) -> z3.BoolRef:
                return demand.says

            clause = Clause(demand.id, demand.english, says)
            denied = grounding.ground(z3.Not(demand.says), SOME)
            self._ask(solver, taking.id, [(clause, denied)], replace(taking, after=taking.before))

    # --- what follows -----------------------------------------------------------------------

    def following(self) -> list[Clause]:
        """What the properties ask of single states that is no clause, but follows from them all."""
        asked = [
            clause_of(self.model, one)
            for one in self.model.properties
            if isinstance(one, Given) and asks_can(one)
        ]
        owned = [one for one in self.model.properties if isinstance(one, OneOwner)]
        return asked + [clause for one in owned for clause in owner_clauses(self.model, one)]

    def _follows(self) -> None:
        grounding = Grounding(self.theory.context)
        clauses = self.following()
        denials = self._denials(grounding, clauses)
        solver = self.solver(self._assumed(grounding))
        for clause, broken in self._denied(grounding, clauses, denials):
            self._ask(solver, ANY_MOMENT, [(clause, broken)])


BEGINNING, ANY_MOMENT = "the beginning", "any moment"
"""The steps of what has none."""

SOME, FOUND = "some", "found"
"""What witnesses are called: of a clause that does not hold, and of a step's conditions."""

BEYOND = LeadsTo | Sometimes | Moves
"""What no induction over single states can prove."""


def _counted(
    model: Composed, clauses: Iterable[Clause]
) -> tuple[list[tuple[Fact, ...]], list[tuple[Fact, ...]]]:
    """The facts whose numbers are kept from state to state, and those that are asked only before
    a step.
    """
    follows = [follow for move in model.moves for follow in move.then]
    kept = [facts for clause in clauses for facts in clause.counts]
    kept += [facts for one in follows for x in one.when for facts in counts_of(model, x)]
    asked = [facts for one in model.moves for x in one.when for facts in counts_of(model, x)]
    return kept, asked
