"""Conditions, effects and moves of a composed model, as straight-line Python.

The text is built from the model alone: names come from the spec, which the loader has held to
`[a-z0-9_]`, and numbers from the layout. An object is a variable that holds its offset; `s` is the
state before a move and `t` the one after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from statemachine.composed import Composed, Move
from statemachine.composition import (
    Balances,
    Can,
    Condition,
    Count,
    Effect,
    Fact,
    First,
    Goto,
    Is,
    Linked,
    Nobody,
    Pop,
    Push,
    Queued,
    QueueIs,
    Remove,
    SetLink,
    SetMark,
    Unless,
    UnmarkAll,
    WithdrawAll,
    machine_of,
)
from statemachine.layout import BALANCED, Layout
from statemachine.projection import roles_in

INDENT = "    "


class Words:
    """Turns conditions and effects into text."""

    def __init__(self, model: Composed, layout: Layout) -> None:
        self.model = model
        self.layout = layout

    def variable(self, role: str) -> str:
        """What stands for a role's object: a single one's offset, or a variable."""
        if machine_of(role) in self.model.single:
            return str(self.layout.blocks[role].offsets[0])
        return f"b_{role}"

    # --- conditions -------------------------------------------------------------------------

    def all_of(self, conditions: Iterable[Condition], state: str) -> str:
        """An expression that says whether all hold in `state`."""
        return " and ".join(self.condition(one, state) for one in conditions) or "True"

    def condition(self, one: Condition, state: str) -> str:
        """An expression that says whether it holds in `state`."""
        turn: Callable[..., str] = getattr(self, CONDITION_METHODS[type(one)])
        return turn(one, state)

    def _is(self, one: Is, state: str) -> str:
        text = self._has(one.facts, self.variable(one.facts[0].role), state)
        return f"not {text}" if one.negated else text

    def _has(self, facts: Sequence[Fact], at: str, state: str) -> str:
        """Whether the object at an offset has one of the facts."""
        machine = facts[0].machine
        states = [self.layout.state(machine, one.name) for one in facts if one.is_state]
        bits = sum(self.layout.bit(machine, one.name) for one in facts if not one.is_state)
        found = []
        if len(states) == 1:
            found.append(f"{state}[{at}] == {states[0]}")
        elif states:
            found.append(f"{state}[{at}] in {tuple(states)}")
        if bits:
            found.append(f"{state}[{_plus(at, 1)}] & {bits} != 0")
        return f"({' or '.join(found)})"

    def _linked(self, one: Linked, state: str) -> str:
        target = self.variable(one.target) if one.target else "0"
        return f"({self.link(one.role, one.link, state)} {'!=' if one.negated else '=='} {target})"

    def link(self, role: str, link: str, state: str) -> str:
        """Where the role's link is in `state`."""
        return f"{state}[{_plus(self.variable(role), self.layout.link(machine_of(role), link))}]"

    def _queue(self, one: QueueIs, state: str) -> str:
        first, places = self.layout.queue, self.layout.queue_end - self.layout.queue
        limit = self.model.limit("queue")
        full = f"{state}[{first + limit - 1}] != 0" if 0 < limit <= places else str(limit == 0)
        over = f"{state}[{first + limit}] != 0" if limit < places else "False"
        return {
            "empty": f"({state}[{first}] == 0)",
            "not_empty": f"({state}[{first}] != 0)",
            "full": f"({full})",
            "has_room": f"(not ({full}))",
            "within": f"(not ({over}))",
        }[one.how]

    def _first(self, one: First, state: str) -> str:
        return f"({state}[{self.layout.queue}] == {self.variable(one.role)})"

    def _queued(self, one: Queued, state: str) -> str:
        span = f"{state}[{self.layout.queue}:{self.layout.queue_end}]"
        return f"({self.variable(one.role)} in {span})"

    def _count(self, one: Count, state: str) -> str:
        most = sum(self.model.limit(term) for term in one.terms)
        return f"({self._number(one.facts, state)} {'>=' if one.at_least else '<='} {most})"

    def _number(self, facts: Sequence[Fact], state: str) -> str:
        terms = [self._has(group, str(at), state) for group, at in self._holders(facts)]
        return " + ".join(terms) or "0"

    def _holders(self, facts: Sequence[Fact]) -> Iterator[tuple[list[Fact], int]]:
        """Each object that could have one of the facts, with those of its machine."""
        for machine in dict.fromkeys(fact.machine for fact in facts):
            for at in self.layout.blocks[machine].offsets:
                yield [fact for fact in facts if fact.machine == machine], at

    def _nobody(self, one: Nobody, state: str) -> str:
        found = []
        for group, at in self._holders(one.facts):
            text = self._has(group, str(at), state)
            if one.link and one.target:
                link = at + self.layout.link(group[0].machine, one.link)
                text = f"({state}[{link}] == {self.variable(one.target)} and {text})"
            found.append(text)
        return f"(not ({' or '.join(found) or 'False'}))"

    def _balances(self, _: Balances, state: str) -> str:
        return f"({state}[0] == {BALANCED} + {self._number(tuple(self.model.open), state)})"

    def _unless(self, one: Unless, state: str) -> str:
        return f"(not ({self.all_of(one.conditions, state)}))"

    def _can(self, one: Can, state: str) -> str:
        return f"can_{one.step}({state})"

    # --- effects ----------------------------------------------------------------------------

    def effect(self, one: Effect) -> list[str]:
        """Statements that do it to `t`."""
        turn: Callable[..., list[str]] = getattr(self, EFFECT_METHODS[type(one)])
        return turn(one)

    def _goto(self, one: Goto) -> list[str]:
        state = self.layout.state(machine_of(one.role), one.state)
        tally = [f"t[0] += {one.tally}"] if one.tally else []
        return [f"t[{self.variable(one.role)}] = {state}", *tally]

    def _set_mark(self, one: SetMark) -> list[str]:
        return [self._marked(self.variable(one.role), machine_of(one.role), one.mark, one.value)]

    def _marked(self, at: str, machine: str, mark: str, value: bool) -> str:
        bit = self.layout.bit(machine, mark)
        return f"t[{_plus(at, 1)}] {f'|= {bit}' if value else f'&= {255 - bit}'}"

    def _unmark_all(self, one: UnmarkAll) -> list[str]:
        offsets = self.layout.blocks[one.machine].offsets
        return [self._marked(str(at), one.machine, one.mark, False) for at in offsets]

    def _set_link(self, one: SetLink) -> list[str]:
        target = self.variable(one.target) if one.target else "0"
        return [f"{self.link(one.role, one.link, 't')} = {target}"]

    def _push(self, one: Push) -> list[str]:
        # A place for each object: only one that is in it already finds none, which is told as the
        # fault that it is.
        first, end = self.layout.queue, self.layout.queue_end
        return [f"t[t.index(0, {first}, {end})] = {self.variable(one.role)}"]

    def _pop(self, _: Pop) -> list[str]:
        first, end = self.layout.queue, self.layout.queue_end
        return [f"t[{first}:{end}] = t[{first + 1}:{end}] + b'\\0'"]

    def _remove(self, one: Remove) -> list[str]:
        first, end = self.layout.queue, self.layout.queue_end
        return [
            f"q = t.index({self.variable(one.role)}, {first}, {end})",
            f"t[q:{end}] = t[q + 1:{end}] + b'\\0'",
        ]

    def _withdraw_all(self, one: WithdrawAll) -> list[str]:
        first, end = self.layout.queue, self.layout.queue_end
        assert self.model.queue is not None
        state = self.layout.state(self.model.queue, one.state)
        return [
            f"for q in range({first}, {end}):",
            f"{INDENT}if t[q]:",
            f"{INDENT * 2}t[t[q]] = {state}",
            f"{INDENT * 2}t[q] = 0",
        ]


CONDITION_METHODS: dict[type[Condition], str] = {
    Is: "_is",
    Linked: "_linked",
    QueueIs: "_queue",
    First: "_first",
    Queued: "_queued",
    Count: "_count",
    Nobody: "_nobody",
    Balances: "_balances",
    Unless: "_unless",
    Can: "_can",
}

EFFECT_METHODS: dict[type[Effect], str] = {
    Goto: "_goto",
    SetMark: "_set_mark",
    UnmarkAll: "_unmark_all",
    SetLink: "_set_link",
    Push: "_push",
    Pop: "_pop",
    Remove: "_remove",
    WithdrawAll: "_withdraw_all",
}


def _plus(at: str, more: int) -> str:
    """An offset and some bytes more."""
    return str(int(at) + more) if at.isdigit() else f"{at} + {more}"


class Nest:
    """Lines of Python, nested: each `open` goes one level deeper."""

    def __init__(self, level: int) -> None:
        self.lines: list[str] = []
        self.level = level

    def put(self, *lines: str) -> None:
        """Add lines at the present level."""
        self.lines += [INDENT * self.level + line for line in lines]

    def open(self, line: str) -> None:
        """Add a line that begins a block, and go into it."""
        self.put(line)
        self.level += 1


def bind(
    words: Words, nest: Nest, roles: Sequence[str], when: Sequence[Condition], bound: Iterable[str]
) -> None:
    """Open blocks in which every role is bound, in every way in which the conditions hold."""
    known, left, waiting = set(bound), [role for role in roles if role not in bound], list(when)
    while True:
        ready = [one for one in waiting if roles_of(words.model, one) <= known]
        waiting = [one for one in waiting if one not in ready]
        if ready:
            nest.open(f"if {words.all_of(ready, 's')}:")
        if not left:
            return
        role, source, by = _next(words, left, waiting, known)
        left.remove(role)
        waiting = [one for one in waiting if one is not by]
        variable = words.variable(role)
        if source:
            nest.put(f"{variable} = {source}")
            nest.open(f"if {variable}:")
        else:
            nest.open(f"for {variable} in {words.layout.machine_at(role).offsets}:")
            others = [x for x in known if machine_of(x) == machine_of(role)]
            apart = "".join(f" and {variable} != {words.variable(x)}" for x in others)
            nest.open(f"if s[{variable}]{apart}:")
        known.add(role)


def roles_of(model: Composed, one: Condition) -> set[str]:
    """The roles that must be bound before a condition can be asked."""
    return {role for role in roles_in([one]) if machine_of(role) in model.many}


def _next(
    words: Words, left: Sequence[str], waiting: Sequence[Condition], known: set[str]
) -> tuple[str, str | None, Condition | None]:
    """The role to bind next: one that a link or the queue leads to, if any; else the first.

    With it the text of its offset, and the condition that this fulfils.
    """
    for one in waiting:
        if isinstance(one, First) and one.role in left:
            return one.role, f"s[{words.layout.queue}]", one
        if isinstance(one, Linked) and not one.negated and one.role in known:
            # Two roles of one machine are two objects: a link may not lead to one that is taken.
            alone = not any(machine_of(x) == machine_of(one.target or "") for x in known)
            if one.target in left and alone:
                return str(one.target), words.link(one.role, one.link, "s"), one
    return left[0], None, None


def apply(words: Words, nest: Nest, move: Move) -> None:
    """Open the block in which `t` is the state after the move."""
    for role in move.makes:
        variable = words.variable(role)
        offsets = words.layout.machine_at(role).offsets
        nest.put(f"{variable} = next((x for x in {offsets} if not s[x]), 0)")
        nest.open(f"if {variable}:")
    nest.put("t = bytearray(s)")
    for role in move.makes:
        initial = words.layout.state(machine_of(role), words.model.initial(machine_of(role)))
        nest.put(f"t[{words.variable(role)}] = {initial}")
    if move.costs:
        nest.put(f"t[{words.layout.spent[move.costs]}] += 1")
    for one in move.do:
        nest.put(*words.effect(one))
