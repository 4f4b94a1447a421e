"""The composed model in Promela, for SPIN: a second tool, which nobody here wrote.

A state is the same bytes as the explorer's (`statemachine.layout`), with names: so both must find
as many states. Each way to take a move, with its objects, is one guarded step. Conditions are the
explorer's own, as `Words` writes them, turned from Python's syntax tree into Promela's.

For safety one process chooses among all steps, and another asserts what always holds. For what
comes in the end each fair step with its objects is a process of its own, so that SPIN's weak
fairness, which is of processes, is that of the spec; outsiders are one process that may also do
nothing. `one_owner`, `moves` and `can` ask what could be done, and are left to the explorer, as is
persistence.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from statemachine.compiling import Words, roles_of
from statemachine.composed import Composed, Move, always_of
from statemachine.composition import (
    Can,
    Condition,
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
from statemachine.layout import Layout
from statemachine.model import Equal, Given, LeadsTo, NeverTogether, Place
from statemachine.naming import Names

Bound = Mapping[str, int]
"""For each variable of an expression, the offset of its object."""

OPERATORS: Mapping[type[ast.AST], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.GtE: ">=",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.Add: "+",
    ast.BitAnd: "&",
    ast.And: "&&",
    ast.Or: "||",
}

IDLING = "  :: d_step { s[0] < 255 -> skip }"
"""What outsiders do when they do nothing: a guard that always holds, for SPIN refuses a loop with
none."""


def expression(text: str, bound: Bound) -> str:
    """A condition of `Words` in Promela, with the variables' values in their places."""
    return _turned(ast.parse(text, mode="eval").body, bound)


def _turned(node: ast.expr, bound: Bound) -> str:
    if isinstance(node, ast.BoolOp):
        joined = f" {OPERATORS[type(node.op)]} ".join(_turned(one, bound) for one in node.values)
        return f"({joined})"
    if isinstance(node, ast.UnaryOp):
        return f"!({_turned(node.operand, bound)})"
    if isinstance(node, ast.BinOp):
        left, right = _turned(node.left, bound), _turned(node.right, bound)
        return f"({left} {OPERATORS[type(node.op)]} {right})"
    if isinstance(node, ast.Compare):
        return _compared(node, bound)
    if isinstance(node, ast.Subscript):
        return f"s[{_place(node.slice, bound)}]"
    return str(_place(node, bound))


def _compared(node: ast.Compare, bound: Bound) -> str:
    left, (right,) = _turned(node.left, bound), node.comparators
    if not isinstance(node.ops[0], ast.In):
        return f"({left} {OPERATORS[type(node.ops[0])]} {_turned(right, bound)})"
    if isinstance(right, ast.Tuple):
        among = [_turned(one, bound) for one in right.elts]
    else:
        assert isinstance(right, ast.Subscript)
        assert isinstance(right.slice, ast.Slice)
        span = right.slice
        assert span.lower is not None
        assert span.upper is not None
        among = [f"s[{n}]" for n in range(_place(span.lower, bound), _place(span.upper, bound))]
    return f"({' || '.join(f'{left} == {one}' for one in among)})"


def _place(node: ast.expr, bound: Bound) -> int:
    """A number: a constant, a variable's value, or a sum of two."""
    if isinstance(node, ast.Constant):
        return int(node.value) if isinstance(node.value, int) else 0
    if isinstance(node, ast.Name):
        return bound[node.id]
    assert isinstance(node, ast.BinOp)
    return _place(node.left, bound) + _place(node.right, bound)


class Writer:
    """Writes one model. `safety` and `liveness` are whole files."""

    def __init__(self, model: Composed) -> None:
        self.model = model
        self.layout = Layout(model)
        self.words = Words(model, self.layout)

    def safety(self) -> str:
        """One process that takes all steps, and one that asserts what holds in every state."""
        steps = [line for move in self.model.moves for _, line in self._ways(move)]
        watch = "active proctype watch() { end: do :: d_step { check() } od }"
        return "\n".join(
            [*self._head(), *self._check(), watch, "active proctype system() {", "end: do", *steps,
             "  od", "}", ""]
        )  # fmt: skip

    def liveness(self) -> str:
        """A process for each fair step with its objects, one for outsiders, and what must come."""
        fair: dict[tuple[str, tuple[int, ...]], list[str]] = {}
        world = []
        for move in self.model.moves:
            for bound, line in self._ways(move):
                if move.fair:
                    objects = tuple(bound[self.words.variable(role)] for role in move.roles)
                    fair.setdefault((move.step.id, objects), []).append(line)
                else:
                    world.append(line)
        lines = list(self._head())
        for number, ((step, _), ways) in enumerate(fair.items()):
            lines += [f"active proctype f{number}_{step}() {{", "end: do", *ways, "  od", "}"]
        lines += ["active proctype world() {", "end: do", *world, IDLING, "  od", "}"]
        return "\n".join([*lines, *self._claims(), ""])

    def claims(self) -> dict[str, str]:
        """For each claim of `liveness`, the property that it is a part of."""
        return {name: one.id for one, name, _ in self._each_claim()}

    # --- parts ------------------------------------------------------------------------------

    def _head(self) -> Iterator[str]:
        yield f"/* {self.model.system.name}, bounds {self.model.bounds}: generated from spec/ */"
        yield f"byte s[{self.layout.length}] = {{ {', '.join(map(str, self.layout.initial()))} }};"
        for name, block in self.layout.blocks.items():
            yield f"/* {name}: {' '.join(map(str, block.offsets))}; states: {self._states(name)} */"
        yield "inline forget() {"
        yield from self._forget()
        yield "}"

    def _states(self, machine: str) -> str:
        return " ".join(f"{n}={x}" for n, x in enumerate(self.model.states[machine]))

    def _forget(self) -> Iterator[str]:
        names = Names(self.model, self.layout)
        for condition, offsets in names.forgotten():
            clear = "; ".join(f"s[{n}] = 0" for n in offsets)
            test = expression(condition.replace("t[", "s["), {})
            yield f"  if :: {test} -> {clear} :: else -> skip fi;"
        yield "  skip"

    def _check(self) -> Iterator[str]:
        yield "inline check() {"
        for one in always_of(self.model):
            for text in self._asserted(one):
                yield f"  assert({text}); /* {one.id} */"
        yield "  skip"
        yield "}"

    def _asserted(self, one: object) -> Iterator[str]:
        if isinstance(one, Equal):
            yield f"({self._number(one.left)}) == ({self._number(one.right)})"
        elif isinstance(one, NeverTogether):
            together = " && ".join(f"({self._number([x])}) > 0" for x in one.places)
            yield f"!({together})"
        elif isinstance(one, Given):
            for hold in one.hold:
                conditions = [*one.given, hold]
                if not any(isinstance(x, Can) for x in conditions):
                    yield from self._given(one.given, hold)

    def _given(self, given: Sequence[Condition], hold: Condition) -> Iterator[str]:
        found = {role for x in (*given, hold) for role in roles_of(self.model, x)}
        for bound in self._bindings(sorted(found)):
            there = [f"s[{at}] != 0" for at in bound.values()]
            asked = [expression(self.words.condition(x, "s"), bound) for x in given]
            holds = expression(self.words.condition(hold, "s"), bound)
            yield f"!({' && '.join([*there, *asked]) or '1'}) || {holds}"

    def _number(self, places: Iterable[Place]) -> str:
        return " + ".join(
            f"(s[{at}] == {self.layout.state(place.machine, place.state)})"
            for place in places
            for at in self.layout.blocks[place.machine].offsets
        )

    # --- moves ------------------------------------------------------------------------------

    def _bindings(self, roles: Sequence[str]) -> Iterator[dict[str, int]]:
        """Each choice of objects for the roles, two of one machine being different ones."""
        offsets = [self.layout.machine_at(role).offsets for role in roles]
        for chosen in itertools.product(*offsets):
            if len(set(chosen)) == len(chosen):
                names = (self.words.variable(role) for role in roles)
                yield dict(zip(names, chosen, strict=True))

    def _ways(self, move: Move) -> Iterator[tuple[dict[str, int], str]]:
        """Each way to take a move: the objects, and one guarded step."""
        for bound in self._bindings([*move.roles, *move.makes]):
            guards = [f"s[{bound[self.words.variable(role)]}] != 0" for role in move.roles]
            for role in move.makes:
                guards += self._first_absent(role, bound)
            if move.costs:
                spent = self.layout.spent[move.costs]
                guards.append(f"s[{spent}] < {self.model.limits[move.costs]}")
            guards += [expression(self.words.condition(x, "s"), bound) for x in move.when]
            body = [*self._entered(move, bound)]
            body += [line for x in move.do for line in self._effect(x, bound)]
            for then in move.then:
                test = expression(self.words.all_of(then.when, "s"), bound)
                done = "; ".join(line for x in then.do for line in self._effect(x, bound))
                body.append(f"if :: {test} -> {done} :: else -> skip fi")
            body.append("forget()")
            guard = " && ".join(guards) or "1"
            yield bound, f"  :: d_step {{ {guard} -> {'; '.join(body)} }} /* {move.id} */"

    def _first_absent(self, role: str, bound: Bound) -> list[str]:
        """The object is absent, and all before it are not: which one it is never matters."""
        at, offsets = bound[self.words.variable(role)], self.layout.machine_at(role).offsets
        return [f"s[{at}] == 0", *(f"s[{n}] != 0" for n in offsets if n < at)]

    def _entered(self, move: Move, bound: Bound) -> Iterator[str]:
        for role in move.makes:
            machine = machine_of(role)
            state = self.layout.state(machine, self.model.initial(machine))
            yield f"s[{bound[self.words.variable(role)]}] = {state}"
        if move.costs:
            yield f"s[{self.layout.spent[move.costs]}]++"

    def _at(self, role: str, bound: Bound) -> int:
        variable = self.words.variable(role)
        return int(variable) if variable.isdigit() else bound[variable]

    def _effect(self, one: Effect, bound: Bound) -> list[str]:
        first, end = self.layout.queue, self.layout.queue_end
        if isinstance(one, Goto):
            state = self.layout.state(machine_of(one.role), one.state)
            tally = {1: ["s[0]++"], -1: ["s[0]--"]}.get(one.tally, [])
            return [f"s[{self._at(one.role, bound)}] = {state}", *tally]
        if isinstance(one, SetMark):
            bit = self.layout.bit(machine_of(one.role), one.mark)
            return [_marked(self._at(one.role, bound), bit, one.value)]
        if isinstance(one, UnmarkAll):
            bit = self.layout.bit(one.machine, one.mark)
            return [_marked(at, bit, value=False) for at in self.layout.blocks[one.machine].offsets]
        if isinstance(one, SetLink):
            link = self._at(one.role, bound) + self.layout.link(machine_of(one.role), one.link)
            return [f"s[{link}] = {self._at(one.target, bound) if one.target else 0}"]
        if isinstance(one, WithdrawAll):
            assert self.model.queue is not None
            state = self.layout.state(self.model.queue, one.state)
            offsets = self.layout.blocks[self.model.queue].offsets
            return [
                f"if {each} :: else -> skip fi"
                for n in range(first, end)
                for each in [
                    " ".join(f":: s[{n}] == {x} -> s[{x}] = {state}; s[{n}] = 0" for x in offsets)
                ]
            ]
        return self._queued(one, bound)

    def _queued(self, one: Effect, bound: Bound) -> list[str]:
        first, end = self.layout.queue, self.layout.queue_end
        if isinstance(one, Push):
            at, nested = self._at(one.role, bound), "assert(false)"
            for n in reversed(range(first, end)):
                nested = f"if :: s[{n}] == 0 -> s[{n}] = {at} :: else -> {nested} fi"
            return [nested]
        if isinstance(one, Pop):
            return _shifted(first, end)
        assert isinstance(one, Remove)
        at, nested = self._at(one.role, bound), "assert(false)"
        for n in reversed(range(first, end)):
            nested = f"if :: s[{n}] == {at} -> {'; '.join(_shifted(n, end))} :: else -> {nested} fi"
        return [nested]

    # --- what must come ---------------------------------------------------------------------

    def _claims(self) -> Iterator[str]:
        for _, name, formula in self._each_claim():
            yield f"ltl {name} {{ {formula} }}"

    def _each_claim(self) -> Iterator[tuple[LeadsTo, str, str]]:
        """For each object that a `leads_to` speaks of: its property, name and formula."""
        for one in self.model.properties:
            if isinstance(one, LeadsTo):
                machine, layout = one.source.machine, self.layout
                waiting = [layout.state(machine, x) for x in on_the_way(self.model, one)]
                others = [x for x in one.targets if x.machine != machine]
                elsewhere = [
                    f"{self._number([x])}" for x in others if x.machine in self.model.single
                ]
                for number, at in enumerate(layout.blocks[machine].offsets, 1):
                    left = " && ".join(f"s[{at}] != {x}" for x in waiting)
                    came = " || ".join([f"({left})", *elsewhere])
                    source = f"s[{at}] == {layout.state(machine, one.source.state)}"
                    yield one, f"{one.id}_{number}", f"[] (({source}) -> <> ({came}))"


def on_the_way(model: Composed, one: LeadsTo) -> list[str]:
    """States of the machine between where it leads from and where it leads to, in order."""
    machine = model.system.machines[one.source.machine]
    goals = {place.state for place in one.targets if place.machine == machine.name}
    reached, grew = {one.source.state}, True
    while grew:
        more = {a.target for a in machine.arrows if a.source in reached} - goals - reached
        reached |= more
        grew = bool(more)
    return [name for name in machine.states if name in reached]


def _marked(at: int, bit: int, value: bool) -> str:
    return f"s[{at + 1}] = s[{at + 1}] {f'| {bit}' if value else f'& {255 - bit}'}"


def _shifted(first: int, end: int) -> list[str]:
    """Whoever is behind `first` in the queue moves up by one."""
    return [*(f"s[{n}] = s[{n + 1}]" for n in range(first, end - 1)), f"s[{end - 1}] = 0"]
