"""Reads `composition.toml`, and the conditions that other files write in the same form.

The form is literal: a condition or an effect is a small table, told by its keys. Like the rest of
the loader, this checks form only; what a well-formed composition may still get wrong is
`composition_checks`' part. Every function raises SpecError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from statemachine.composition import (
    Actor,
    Balances,
    Can,
    Composition,
    Condition,
    Count,
    Effect,
    Fact,
    First,
    Is,
    Link,
    Linked,
    Make,
    Mark,
    Nobody,
    Pop,
    Push,
    Queued,
    QueueIs,
    Remove,
    SetLink,
    SetMark,
    Step,
    Unless,
    UnmarkAll,
    WithdrawAll,
)
from statemachine.errors import listed
from statemachine.rows import EVENT_NAME, Row, read

FILE_KEYS = frozenset(
    {"single", "many", "starts", "queue", "abstracted", "unmodelled"}
    | {"actors", "links", "marks", "steps", "rest"}
)
STEP_KEYS = frozenset(
    {"id", "by", "arrows", "when", "do", "then", "awaits", "costs", "certain", "persistent", "why"}
)
ACTOR_KEYS = frozenset({"owner", "means", "when"})
LINK_KEYS = frozenset({"to", "means"})
QUEUE_STATES = frozenset({"empty", "not_empty", "full", "has_room", "within"})
OUTSIDERS = frozenset({"peer", "handler", "kernel", "operator"})
NOBODY = "none"
FACT = re.compile(r"(?P<role>[a-z_]+[0-9]*)\.(?P<name>[A-Z][A-Z0-9_]*|[a-z][a-z0-9_]*)\Z")
ROLE = re.compile(r"[a-z_]+[0-9]*\Z")
T = TypeVar("T")


def load_composition(path: Path) -> Composition:
    """Read the file. Raises SpecError."""
    top = Row(path.name, "", read(path))
    top.only(FILE_KEYS)
    rest = top.table("rest") if "rest" in top.data else None
    return Composition(
        single=top.texts("single"),
        many=_text_lists(top.table("many")),
        starts=_texts(top.table("starts")) if "starts" in top.data else {},
        queue=top.text("queue"),
        abstracted=_texts(top.table("abstracted")) if "abstracted" in top.data else {},
        unmodelled=_texts(top.table("unmodelled")) if "unmodelled" in top.data else {},
        actors={row.place_name: _actor(row) for row in top.table("actors").children("actor")},
        links=tuple(_link(r) for r in top.table("links").children("link"))
        if "links" in top.data
        else (),
        marks=_marks(top.table("marks")) if "marks" in top.data else (),
        steps=tuple(_step(row) for row in top.tables("steps")),
        rest={key: conditions(rest, key) for key in rest.data} if rest else {},
    )


def _texts(row: Row) -> dict[str, str]:
    return {key: row.text(key) for key in row.data}


def _text_lists(row: Row) -> dict[str, tuple[str, ...]]:
    return {key: row.texts(key) for key in row.data}


def _actor(row: Row) -> Actor:
    row.only(ACTOR_KEYS)
    return Actor(row.place_name, row.text("owner"), row.text("means"), conditions(row, "when"))


def _link(row: Row) -> Link:
    row.only(LINK_KEYS)
    fact = _fact(row, row.place_name)
    return Link(fact.role, fact.name, row.text("to"), row.text("means"))


def _marks(table: Row) -> tuple[Mark, ...]:
    facts = {_fact(table, key): table.text(key) for key in table.data}
    for fact in facts:
        if fact.is_state:
            raise table.error(f"'{fact}' is no mark, expected one in lower_snake_case")
    return tuple(Mark(fact.role, fact.name, means) for fact, means in facts.items())


def _step(row: Row) -> Step:
    row.only(STEP_KEYS)
    row.named("id", EVENT_NAME, "a name in lower_snake_case, like take")
    awaits = row.optional_text("awaits")
    if awaits is not None and awaits not in OUTSIDERS:
        raise row.error(f"'awaits' is '{awaits}', expected one of {listed(OUTSIDERS)}")
    return Step(
        id=row.text("id"),
        by=row.optional_text("by"),
        arrows=_arrows(row),
        when=conditions(row, "when"),
        do=effects(row, "do"),
        then=row.texts("then") if "then" in row.data else (),
        why=row.text("why"),
        awaits=awaits,
        costs=row.optional_text("costs"),
        certain=row.optional_text("certain"),
        persistent=row.optional_text("persistent"),
    )


def _arrows(row: Row) -> tuple[tuple[str, ...], ...]:
    groups = row.data.get("arrows", [])
    if not isinstance(groups, list):
        raise row.error(f"'arrows' is {groups!r}, expected a list of arrow ids")
    return tuple(group(row, one) for one in groups)


def group(row: Row, value: object) -> tuple[str, ...]:
    """An arrow id, or a list of alternatives."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    raise row.error(f"'arrows' holds {value!r}, expected an arrow id or a list of alternatives")


# --- conditions ----------------------------------------------------------------------------------


def conditions(row: Row, key: str) -> tuple[Condition, ...]:
    """A list of conditions; none where the key is missing."""
    return tuple(_condition(one) for one in _literals(row, key))


def _literals(row: Row, key: str) -> list[Row]:
    value = row.data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) and one for one in value):
        raise row.error(f"'{key}' is {value!r}, expected a list of tables")
    return [Row(row.file, f"{row.place}, {key}", one) for one in value]


def _condition(row: Row) -> Condition:
    return _read(row, CONDITIONS, "condition")


def _is(row: Row) -> Condition:
    return Is(_facts(row, "is"))


def _is_not(row: Row) -> Condition:
    return Is(_facts(row, "is_not"), negated=True)


def _linked(row: Row) -> Condition:
    link = _fact(row, row.text("link"))
    return Linked(link.role, link.name, _target(row, "to"))


def _not_linked(row: Row) -> Condition:
    link = _fact(row, row.text("link"))
    return Linked(link.role, link.name, _target(row, "not_to"), negated=True)


def _queue(row: Row) -> Condition:
    how = row.text("queue")
    if how not in QUEUE_STATES:
        raise row.error(f"'queue' is '{how}', expected one of {listed(QUEUE_STATES)}")
    return QueueIs(how)


def _first(row: Row) -> Condition:
    return First(_role(row, "first"))


def _queued(row: Row) -> Condition:
    return Queued(_role(row, "queued"))


def _at_least(row: Row) -> Condition:
    return Count(_facts(row, "count"), _terms(row, "at_least"), at_least=True)


def _at_most(row: Row) -> Condition:
    return Count(_facts(row, "count"), _terms(row, "at_most"), at_least=False)


def _nobody(row: Row) -> Condition:
    return Nobody(_facts(row, "nobody"))


def _nobody_linked(row: Row) -> Condition:
    link = _fact(row, row.text("linked"))
    return Nobody(_facts(row, "nobody"), link.name, _role(row, "to"))


def _ledger(row: Row) -> Condition:
    if row.text("ledger") != "balances":
        raise row.error(f"'ledger' is '{row.text('ledger')}', expected 'balances'")
    return Balances()


def _unless(row: Row) -> Condition:
    inner = conditions(row, "unless")
    if not inner:
        raise row.error("'unless' is empty, expected conditions")
    return Unless(inner)


def _can(row: Row) -> Condition:
    return Can(row.text("can"))


CONDITIONS: dict[frozenset[str], Callable[[Row], Condition]] = {
    frozenset({"is"}): _is,
    frozenset({"is_not"}): _is_not,
    frozenset({"link", "to"}): _linked,
    frozenset({"link", "not_to"}): _not_linked,
    frozenset({"queue"}): _queue,
    frozenset({"first"}): _first,
    frozenset({"queued"}): _queued,
    frozenset({"count", "at_least"}): _at_least,
    frozenset({"count", "at_most"}): _at_most,
    frozenset({"nobody"}): _nobody,
    frozenset({"nobody", "linked", "to"}): _nobody_linked,
    frozenset({"ledger"}): _ledger,
    frozenset({"unless"}): _unless,
    frozenset({"can"}): _can,
}
"""Every form of a condition, by its keys."""


# --- effects -------------------------------------------------------------------------------------


def effects(row: Row, key: str) -> tuple[Effect, ...]:
    """A list of effects; none where the key is missing."""
    return tuple(_read(one, EFFECTS, "effect") for one in _literals(row, key))


def _set(row: Row) -> Effect:
    link = _fact(row, row.text("set"))
    return SetLink(link.role, link.name, _role(row, "to"))


def _clear(row: Row) -> Effect:
    link = _fact(row, row.text("clear"))
    return SetLink(link.role, link.name, None)


def _mark(row: Row) -> Effect:
    fact = _fact(row, row.text("mark"))
    return SetMark(fact.role, fact.name, value=True)


def _unmark(row: Row) -> Effect:
    fact = _fact(row, row.text("unmark"))
    return SetMark(fact.role, fact.name, value=False)


def _unmark_all(row: Row) -> Effect:
    fact = _fact(row, row.text("unmark_all"))
    return UnmarkAll(fact.role, fact.name)


EFFECTS: dict[frozenset[str], Callable[[Row], Effect]] = {
    frozenset({"push"}): lambda row: Push(_role(row, "push")),
    frozenset({"pop"}): lambda row: Pop(_role(row, "pop")),
    frozenset({"remove"}): lambda row: Remove(_role(row, "remove")),
    frozenset({"withdraw_all"}): lambda row: WithdrawAll(row.text("withdraw_all")),
    frozenset({"set", "to"}): _set,
    frozenset({"clear"}): _clear,
    frozenset({"mark"}): _mark,
    frozenset({"unmark"}): _unmark,
    frozenset({"unmark_all"}): _unmark_all,
    frozenset({"make"}): lambda row: Make(_role(row, "make")),
}
"""Every form of an effect, by its keys."""


# --- what they are made of -----------------------------------------------------------------------


def _read(row: Row, forms: dict[frozenset[str], Callable[[Row], T]], what: str) -> T:
    form = forms.get(frozenset(row.data))
    if form is None:
        known = "; ".join(sorted("+".join(sorted(keys)) for keys in forms))
        raise row.error(f"{dict(row.data)!r} is no {what}, expected the keys of one of: {known}")
    return form(row)


def _fact(row: Row, text: str) -> Fact:
    found = FACT.match(text)
    if not found:
        raise row.error(f"'{text}' is no fact, expected one like 'worker.IDLE' or 'worker.asleep'")
    return Fact(found["role"], found["name"])


def _facts(row: Row, key: str) -> tuple[Fact, ...]:
    names = row.texts(key)
    if not names:
        raise row.error(f"'{key}' is empty, expected facts like 'worker.IDLE'")
    return tuple(_fact(row, name) for name in names)


def _role(row: Row, key: str) -> str:
    role = row.text(key)
    if not ROLE.match(role):
        raise row.error(f"'{key}' is '{role}', expected a role like 'worker'")
    return role


def _target(row: Row, key: str) -> str | None:
    role = _role(row, key)
    return None if role == NOBODY else role


def _terms(row: Row, key: str) -> tuple[str | int, ...]:
    value = row.data.get(key)
    if not isinstance(value, list) or not value:
        raise row.error(f"'{key}' is {value!r}, expected a list of numbers and limits' names")
    for one in value:
        if isinstance(one, bool) or not isinstance(one, str | int):
            raise row.error(f"'{key}' holds {one!r}, expected a number or a limit's name")
    return tuple(value)
