"""Reads `spec/`: TOML in, frozen values out.

Every error names the file, the row and what was expected. The loader checks form: keys, types,
names that must exist. What a well-formed spec may still get wrong is `checks`' part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from statemachine.composition_rows import conditions, effects, group, load_composition
from statemachine.errors import SpecError, listed
from statemachine.model import (
    Arrow,
    Equal,
    Given,
    Joint,
    LeadsTo,
    Ledger,
    MachineSpec,
    Moves,
    NeverTogether,
    OneOwner,
    Place,
    Property,
    Sometimes,
    State,
    System,
    Vocabulary,
    Word,
)
from statemachine.rows import EVENT_NAME, Row, read
from statemachine.tables import spec_folder

STATE_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*\Z")
ARROW_ID = re.compile(r"[A-Z]+[1-9][0-9]*\Z")

MACHINE_KEYS = frozenset(
    {"name", "means", "initial", "final", "driven_by", "transitions", "states"}
)
ARROW_KEYS = frozenset(
    {"id", "from", "on", "to", "when", "unless", "do", "sync", "environment", "why"}
)
STATE_KEYS = frozenset(
    {"means", "owner", "waits_for", "deadline", "rate", "deadline_of", "then"}
    | {"requires", "forbids"}
)
VOCABULARY_KEYS = frozenset({"guards", "effects", "conditions", "deadlines", "rates"})
WORD_KEYS = frozenset({"machine", "python", "means", "model", "free"})
SYSTEM_KEYS = frozenset({"name", "machines", "joint", "properties", "bounds", "ledger", "pinned"})
LEDGER_KEYS = frozenset({"machine", "open", "accepted", "settled"})
INVARIANTS_KEYS = frozenset({"invariants"})
INVARIANT_KEYS = frozenset({"id", "english", "given", "hold"})
JOINT_KEYS = frozenset({"id", "under", "arrows", "why"})


def load_system(folder: Path | str | None = None) -> System:
    """Read a whole spec folder.

    Raises SpecError for a file that is missing, is not TOML, or breaks the spec language.
    """
    root = spec_folder() if folder is None else Path(folder)
    top = read(root / "system.toml")
    row = Row("system.toml", "", top)
    row.only(SYSTEM_KEYS)
    names = row.texts("machines")
    for name in names:
        if not EVENT_NAME.match(name):
            raise row.error(f"'machines' holds '{name}', expected a name in lower_snake_case")
        if not (root / f"{name}.toml").exists():
            raise row.error(f"'machines' holds '{name}', expected a file {name}.toml in {root}")
    _refuse_repeated("system.toml", "machine", [(name, "machines") for name in names])
    vocabulary = _vocabulary(root / "vocabulary.toml")
    machines = {name: load_machine(root / f"{name}.toml") for name in names}
    _refuse_repeated(
        "system.toml", "arrow id", [(a.id, a.machine) for m in machines.values() for a in m.arrows]
    )
    joints = tuple(_joint(r) for r in row.tables("joint"))
    properties = tuple(_property(r) for r in row.tables("properties"))
    _refuse_repeated("system.toml", "id", [(one.id, one.english) for one in properties])
    _refuse_repeated("system.toml", "id", [(one.id, one.why) for one in joints])
    composition, invariants = root / "composition.toml", root / "invariants.toml"
    return System(
        name=row.text("name"),
        folder=str(root),
        machines=machines,
        vocabulary=vocabulary,
        joints=joints,
        properties=properties,
        bounds=_bounds(row.table("bounds")),
        ledger=_ledger(row.table("ledger")) if "ledger" in row.data else None,
        composition=load_composition(composition) if composition.exists() else None,
        pinned=_numbers(row.table("pinned")) if "pinned" in row.data else {},
        invariants=load_invariants(invariants) if invariants.exists() else (),
    )


def load_invariants(path: Path) -> tuple[Given, ...]:
    """Read the clauses that a proof needs beside the properties. Raises SpecError."""
    top = Row(path.name, "", read(path))
    top.only(INVARIANTS_KEYS)
    rows = top.tables("invariants")
    for row in rows:
        row.only(INVARIANT_KEYS)
    found = tuple(_given(row) for row in rows)
    _refuse_repeated(path.name, "id", [(one.id, one.english) for one in found])
    return found


def load_machine(path: Path) -> MachineSpec:
    """Read one machine's file. Raises SpecError."""
    top = Row(path.name, "", read(path))
    top.only(MACHINE_KEYS)
    name = top.text("name")
    if name != path.stem:
        raise SpecError(
            path.name, "name", f"is '{name}', expected '{path.stem}', the file's own name"
        )
    states = {r.place_name: _state(r) for r in top.table("states").children("state")}
    rows = [_arrow(r, name) for r in top.tables("transitions")]
    _refuse_repeated(path.name, "arrow id", [(arrow.id, arrow.event) for arrow in rows])
    known = listed(states)
    for arrow in rows:
        for key, value in (("from", arrow.source), ("to", arrow.target)):
            if value not in states:
                raise SpecError(
                    path.name, f"row {arrow.id}", f"'{key}' is '{value}', expected a state: {known}"
                )
    initial = top.text("initial")
    final = top.texts("final")
    for key, value in [("initial", initial), *(("final", value) for value in final)]:
        if value not in states:
            raise SpecError(path.name, key, f"is '{value}', expected a state: {known}")
    return MachineSpec(
        name=name,
        file=path.name,
        means=top.text("means"),
        drawing=_drawing(path),
        initial=initial,
        final=final,
        driven_by=top.text("driven_by"),
        arrows=tuple(rows),
        states=states,
    )


def _drawing(path: Path) -> str:
    """The comment that opens a file: the machine's drawing and its rules."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[2:] if line.startswith("# ") else line[1:])
    return "\n".join(lines)


def _arrow(row: Row, machine: str) -> Arrow:
    row.only(ARROW_KEYS)
    return Arrow(
        id=row.named("id", ARROW_ID, "capital letters and a number, like W3"),
        machine=machine,
        source=row.text("from"),
        event=row.named("on", EVENT_NAME, "a fact in lower_snake_case, like head_received"),
        target=row.text("to"),
        why=row.text("why"),
        when=row.optional_text("when"),
        unless=row.optional_text("unless"),
        do=row.optional_text("do"),
        sync=row.optional_text("sync"),
        environment=row.flag("environment"),
    )


def _state(row: Row) -> State:
    row.only(STATE_KEYS)
    if not STATE_NAME.match(row.place_name):
        raise row.error("a state's name is in UPPER_SNAKE_CASE")
    return State(
        name=row.place_name,
        means=row.text("means"),
        owner=row.optional_text("owner"),
        waits_for=row.optional_text("waits_for"),
        deadline=row.optional_text("deadline"),
        rate=row.optional_text("rate"),
        deadline_of=row.optional_text("deadline_of"),
        then=row.optional_text("then"),
        requires=row.optional_text("requires"),
        forbids=row.optional_text("forbids"),
    )


def _vocabulary(path: Path) -> Vocabulary:
    top = Row(path.name, "", read(path))
    top.only(VOCABULARY_KEYS)
    return Vocabulary(
        guards=_words(top, "guards"),
        effects=_words(top, "effects"),
        conditions=_words(top, "conditions"),
        deadlines=_limits(top.table("deadlines"), "deadline"),
        rates=_limits(top.table("rates"), "rate") if "rates" in top.data else {},
    )


def _limits(table: Row, kind: str) -> dict[str, str]:
    limits = {}
    for row in table.children(kind):
        row.only(frozenset({"means"}))
        limits[row.place_name] = row.text("means")
    return limits


def _words(top: Row, kind: str) -> dict[str, Word]:
    words = {}
    for row in top.table(kind).children(kind[:-1]):
        row.only(WORD_KEYS)
        words[row.place_name] = Word(
            name=row.place_name,
            machine=row.text("machine"),
            python=row.named("python", EVENT_NAME, "a method's name in lower_snake_case"),
            means=row.text("means"),
            conditions=() if kind == "effects" else conditions(row, "model"),
            effects=effects(row, "model") if kind == "effects" else (),
            free=row.flag("free"),
        )
        if "free" in row.data and "model" in row.data:
            raise row.error("has both 'free' and 'model', expected one of them")
    return words


def _joint(row: Row) -> Joint:
    row.only(JOINT_KEYS)
    groups = row.data.get("arrows")
    if not isinstance(groups, list) or len(groups) < 2:
        raise row.error(f"'arrows' is {groups!r}, expected a list of at least two arrow ids")
    return Joint(
        id=row.text("id"),
        under=row.text("under"),
        groups=tuple(group(row, one) for one in groups),
        why=row.text("why"),
    )


def _places(row: Row, names: object) -> tuple[Place, ...]:
    if not isinstance(names, list) or not names:
        raise row.error(f"{names!r} is not a list of places, expected some like 'worker.BUSY'")
    return tuple(_place(row, name) for name in names)


def _place(row: Row, name: object) -> Place:
    parts = name.split(".") if isinstance(name, str) else []
    if len(parts) != 2:
        raise row.error(f"{name!r} is not a place, expected one like 'worker.BUSY'")
    return Place(parts[0], parts[1])


def _always(row: Row) -> Property:
    """One of four kinds, by the key that says what always holds."""
    for key, read_kind in ALWAYS.items():
        if key in row.data:
            return read_kind(row)
    raise row.error(f"says nothing that always holds, expected one of {listed(ALWAYS)}")


def _given(row: Row) -> Given:
    row.only(frozenset({"id", "kind", "english", "given", "hold"}))
    given, hold = conditions(row, "given"), conditions(row, "hold")
    if not hold:
        raise row.error("'hold' is empty, expected conditions")
    return Given(row.text("id"), row.text("english"), given, hold)


def _one_owner(row: Row) -> Property:
    row.only(frozenset({"id", "kind", "english", "one_owner"}))
    return OneOwner(row.text("id"), row.text("english"), row.text("one_owner"))


def _moves(row: Row) -> Property:
    row.only(frozenset({"id", "kind", "english", "moves"}))
    if not row.flag("moves"):
        raise row.error("'moves' is false, expected true")
    return Moves(row.text("id"), row.text("english"))


def _equal(row: Row) -> Property:
    row.only(frozenset({"id", "kind", "english", "equal"}))
    sides = row.data.get("equal")
    if not isinstance(sides, list) or len(sides) != 2:
        raise row.error(f"'equal' is {sides!r}, expected two lists of places")
    return Equal(
        row.text("id"), row.text("english"), _places(row, sides[0]), _places(row, sides[1])
    )


def _never(row: Row) -> Property:
    row.only(frozenset({"id", "kind", "english", "together"}))
    return NeverTogether(
        row.text("id"), row.text("english"), _places(row, row.data.get("together"))
    )


def _leads_to(row: Row) -> Property:
    row.only(frozenset({"id", "kind", "english", "from", "to"}))
    source = _place(row, row.data.get("from"))
    return LeadsTo(row.text("id"), row.text("english"), source, _places(row, row.data.get("to")))


def _sometimes(row: Row) -> Property:
    row.only(frozenset({"id", "kind", "english", "arrow"}))
    return Sometimes(row.text("id"), row.text("english"), row.text("arrow"))


ALWAYS: dict[str, Callable[[Row], Property]] = {
    "equal": _equal,
    "hold": _given,
    "one_owner": _one_owner,
    "moves": _moves,
}

KINDS: dict[str, Callable[[Row], Property]] = {
    "always": _always,
    "never": _never,
    "leads_to": _leads_to,
    "sometimes": _sometimes,
}


def _property(row: Row) -> Property:
    kind = row.text("kind")
    if kind not in KINDS:
        raise row.error(f"'kind' is '{kind}', expected one of {listed(KINDS)}")
    return KINDS[kind](row)


def _bounds(row: Row) -> dict[str, dict[str, int]]:
    return {child.place_name: _numbers(child) for child in row.children("bounds")}


def _numbers(row: Row) -> dict[str, int]:
    for key, value in row.data.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise row.error(f"'{key}' is {value!r}, expected a whole number, 0 or more")
    return {key: value for key, value in row.data.items() if isinstance(value, int)}


def _ledger(row: Row) -> Ledger:
    row.only(LEDGER_KEYS)
    settled = row.table("settled")
    return Ledger(
        machine=row.text("machine"),
        open=row.texts("open"),
        accepted=row.texts("accepted"),
        settled={term: settled.texts(term) for term in settled.data},
    )


def _refuse_repeated(file: str, what: str, entries: Iterable[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for name, owner in entries:
        if name in seen:
            raise SpecError(
                file, f"row {name}", f"{what} '{name}' is used twice ({seen[name]}, {owner})"
            )
        seen[name] = owner
