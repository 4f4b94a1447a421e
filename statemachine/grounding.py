"""Formulas without quantifiers, from such with.

z3 can be asked about quantifiers, and then may search for ever. So what is assumed is said of a few
named objects only: those of the step, those that a broken clause is about, and witnesses of what
exists. A formula that holds for all objects holds for these, so that a contradiction among them is
one; and whether there is one can always be decided.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import z3

from statemachine.joining import every_of, some_of


@dataclass(frozen=True, slots=True)
class Shape:
    """What a formula is made of, and whether a quantifier is among that. One that is `quantified`
    and has no children begins with one.
    """

    quantified: bool
    children: tuple[z3.ExprRef, ...] = ()


class Grounding:
    """Replaces quantifiers. `terms` are the named objects so far, by the name of their sort. If
    these are the `whole` of what there is, the formula says neither less nor more without them.
    """

    def __init__(self, context: z3.Context, *, whole: bool = False) -> None:
        self._context = context
        self._whole = whole
        self.terms: dict[str, list[z3.ExprRef]] = {}
        self._known: set[int] = set()
        self._shapes: dict[int, Shape] = {}
        self._kept: list[z3.ExprRef] = []
        self._numbers = Counter[str]()
        self._witness: str | None = None

    def name(self, objects: Iterable[z3.ExprRef]) -> None:
        """Say everything of these objects, too."""
        for one in objects:
            if one.get_id() not in self._known:
                self._known.add(one.get_id())
                self.terms.setdefault(one.sort().name(), []).append(one)

    def ground(self, formula: z3.BoolRef, witness: str | None = None) -> z3.BoolRef:
        """A formula without quantifiers that follows from this one.

        What exists is called after `witness`, and is to be named by the caller if more is to be
        said of it: `witnesses` has them. Without a name nothing is said of what exists. `expanded`
        tells whether the formula depends on the terms.
        """
        self._numbers, self._witness = Counter(), witness
        self.witnesses: list[z3.ExprRef] = []
        self.expanded = False
        return self._turn(formula, positive=True)

    def _turn(self, formula: z3.ExprRef, *, positive: bool) -> z3.ExprRef:
        shape = self._shape(formula)
        if not shape.quantified:
            return formula
        if not shape.children:
            universal = formula.is_forall()
            if self._whole or universal is positive:
                return self._all(formula, universal=universal, positive=positive)
            return self._one(formula, positive=positive)
        children, kind = shape.children, formula.decl().kind()
        if kind == z3.Z3_OP_NOT:
            return z3.Not(self._turn(children[0], positive=not positive))
        if kind == z3.Z3_OP_IMPLIES:
            children = (z3.Not(children[0]), children[1])
            parts = self._parts(children, alternatives=positive, positive=positive)
            return some_of(parts, self._context)
        assert kind in (z3.Z3_OP_AND, z3.Z3_OP_OR), f"quantifiers below {formula.decl()}"
        is_or = kind == z3.Z3_OP_OR
        parts = self._parts(children, alternatives=is_or is positive, positive=positive)
        return (some_of if is_or else every_of)(parts, self._context)

    def _parts(
        self, children: Iterable[z3.ExprRef], *, alternatives: bool, positive: bool
    ) -> list[z3.ExprRef]:
        """Each part, turned. Alternatives may be about the same witnesses, for one is enough."""
        before, most, parts = self._numbers, self._numbers, []
        for child in children:
            if alternatives:
                self._numbers = before.copy()
            parts.append(self._turn(child, positive=positive))
            most = most | self._numbers
        self._numbers = most
        return parts

    def _shape(self, formula: z3.ExprRef) -> Shape:
        key = formula.get_id()
        found = self._shapes.get(key)
        if found is None:
            # An id is only its formula's as long as that is kept.
            self._kept.append(formula)
            if _is_quantified(formula):
                found = Shape(quantified=True)
            else:
                children = tuple(formula.children())
                found = Shape(any(self._shape(one).quantified for one in children), children)
            self._shapes[key] = found
        return found

    def _all(self, formula: z3.QuantifierRef, *, universal: bool, positive: bool) -> z3.ExprRef:
        """What is said of all, or of one, said of the named ones."""
        self.expanded = True
        body = formula.body()
        nested = self._shape(body).quantified
        sorts = [formula.var_sort(number).name() for number in range(formula.num_vars())]
        found = []
        for chosen in itertools.product(*(self.terms.get(sort, []) for sort in sorts)):
            one = z3.substitute_vars(body, *reversed(chosen))
            found.append(self._turn(one, positive=positive) if nested else one)
        return (every_of if universal else some_of)(found, self._context)

    def _one(self, formula: z3.QuantifierRef, *, positive: bool) -> z3.ExprRef:
        """What is said of something, said of a witness."""
        if self._witness is None:
            return z3.BoolVal(positive, self._context)
        names = []
        for number in range(formula.num_vars()):
            sort = formula.var_sort(number)
            self._numbers[sort.name()] += 1
            names.append(z3.Const(f"{self._witness} {sort}{self._numbers[sort.name()]}", sort))
        self.witnesses += names
        nested = self._shape(formula.body()).quantified
        body = z3.substitute_vars(formula.body(), *reversed(names))
        return self._turn(body, positive=positive) if nested else body


def _is_quantified(formula: z3.ExprRef) -> bool:
    """Whether it says for all, or that there is. A function without a name says neither."""
    return z3.is_quantifier(formula) and not formula.is_lambda()


def constants_of(formula: z3.ExprRef) -> set[int]:
    """The ids of all constants in a formula, under its quantifiers, too."""
    found, seen, left = set[int](), set[int](), [formula]
    while left:
        one = left.pop()
        if one.get_id() in seen:
            continue
        seen.add(one.get_id())
        if z3.is_const(one):
            found.add(one.get_id())
        left += [one.body()] if z3.is_quantifier(one) else one.children()
    return found
