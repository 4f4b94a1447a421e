"""Reads `spec/`: TOML in, frozen values out.

Every error names the file, the row and what was expected. The loader checks form: keys, types,
names that must exist. What a well-formed spec may still get wrong is `checks`' part.
"""

from __future__ import annotations

import keyword
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from statemachine.errors import SpecError
from statemachine.model import (
    Arrow,
    Equal,
    Joint,
    LeadsTo,
    MachineSpec,
    NeverTogether,
    Place,
    Property,
    Sometimes,
    State,
    System,
    Vocabulary,
    Word,
)

Table = Mapping[str, object]

STATE_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*\Z")
EVENT_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")
ARROW_ID = re.compile(r"[A-Z]+[1-9][0-9]*\Z")
TAKEN_NAMES = frozenset({"state", "machine_name", "declared_by_spec"})
"""What a generated class has already: no event and no word may be called so."""

MACHINE_KEYS = frozenset(
    {"name", "means", "initial", "final", "driven_by", "transitions", "states"}
)
ARROW_KEYS = frozenset(
    {"id", "from", "on", "to", "when", "unless", "do", "sync", "environment", "why"}
)
STATE_KEYS = frozenset(
    {"means", "owner", "waits_for", "deadline", "deadline_of", "then", "requires", "forbids"}
)
WORD_KEYS = frozenset({"machine", "python", "means"})
SYSTEM_KEYS = frozenset({"name", "machines", "joint", "properties", "bounds"})
JOINT_KEYS = frozenset({"id", "under", "arrows", "why"})


def spec_folder() -> Path:
    """The folder with the spec that belongs to this code.

    In the wheel it is beside this file, in a checkout at the top. The environment's INTERLOCK_SPEC
    names another one: for tests, and for who tries a change of the spec before making it.
    """
    other = os.environ.get("INTERLOCK_SPEC")
    if other:
        return Path(other)
    installed = Path(__file__).parent / "_spec"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "spec"


def load_system(folder: Path | str | None = None) -> System:
    """Read a whole spec folder.

    Raises SpecError for a file that is missing, is not TOML, or breaks the spec language.
    """
    root = spec_folder() if folder is None else Path(folder)
    top = _read(root / "system.toml")
    row = _Row("system.toml", "", top)
    row.only(SYSTEM_KEYS)
    names = row.texts("machines")
    for name in names:
        if not EVENT_NAME.match(name):
            raise row.error(f"'machines' holds '{name}', expected a name in lower_snake_case")
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
    return System(
        name=row.text("name"),
        folder=str(root),
        machines=machines,
        vocabulary=vocabulary,
        joints=joints,
        properties=properties,
        bounds=_bounds(row.table("bounds")),
    )


def load_machine(path: Path) -> MachineSpec:
    """Read one machine's file. Raises SpecError."""
    top = _Row(path.name, "", _read(path))
    top.only(MACHINE_KEYS)
    name = top.text("name")
    if name != path.stem:
        raise SpecError(
            path.name, "name", f"is '{name}', expected '{path.stem}', the file's own name"
        )
    states = {r.place_name: _state(r) for r in top.table("states").children("state")}
    rows = [_arrow(r, name) for r in top.tables("transitions")]
    _refuse_repeated(path.name, "arrow id", [(arrow.id, arrow.event) for arrow in rows])
    known = _listed(states)
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


class _Row:
    """One TOML table with its place in the file, so that every error can name it."""

    def __init__(self, file: str, place: str, data: Table, place_name: str = "") -> None:
        self.file = file
        self.place = place
        self.data = data
        self.place_name = place_name

    def error(self, expectation: str) -> SpecError:
        return SpecError(self.file, self.place, expectation)

    def only(self, allowed: frozenset[str]) -> None:
        for key in self.data:
            if key not in allowed:
                raise self.error(f"unknown key '{key}', expected one of {_listed(allowed)}")

    def text(self, key: str) -> str:
        value = self.optional_text(key)
        if value is None:
            raise self.error(f"key '{key}' is missing, expected a text")
        return value

    def optional_text(self, key: str) -> str | None:
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"'{key}' is {value!r}, expected a text that is not empty")
        return value

    def flag(self, key: str) -> bool:
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"'{key}' is {value!r}, expected true or false")
        return value

    def named(self, key: str, pattern: re.Pattern[str], form: str) -> str:
        value = self.text(key)
        if not pattern.match(value):
            raise self.error(f"'{key}' is '{value}', expected {form}")
        if keyword.iskeyword(value) or value in TAKEN_NAMES:
            raise self.error(f"'{key}' is '{value}', expected a name that is not taken")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.data.get(key)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.error(f"'{key}' is {value!r}, expected a list of texts")
        return tuple(value)

    def table(self, key: str) -> _Row:
        value = self.data.get(key)
        if not isinstance(value, dict):
            raise self.error(f"'{key}' is {value!r}, expected a table")
        return _Row(self.file, f"table {key}", value)

    def tables(self, key: str) -> list[_Row]:
        value = self.data.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
            raise self.error(f"'{key}' is missing or empty, expected a list of rows")
        return [
            _Row(self.file, f"row {entry.get('id', f'{number} of {key}')}", entry)
            for number, entry in enumerate(value, 1)
        ]

    def children(self, kind: str) -> list[_Row]:
        rows = []
        for key, value in self.data.items():
            if not isinstance(value, dict):
                raise self.error(f"'{key}' is {value!r}, expected a table")
            rows.append(_Row(self.file, f"{kind} {key}", value, key))
        return rows


def _read(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(path.name, "", f"no such file in {path.parent}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(path.name, "", f"cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(path.name, "", f"not TOML: {error}") from None


def _drawing(path: Path) -> str:
    """The comment that opens a file: the machine's drawing and its rules."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[2:] if line.startswith("# ") else line[1:])
    return "\n".join(lines)


def _arrow(row: _Row, machine: str) -> Arrow:
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


def _state(row: _Row) -> State:
    row.only(STATE_KEYS)
    if not STATE_NAME.match(row.place_name):
        raise row.error("a state's name is in UPPER_SNAKE_CASE")
    return State(
        name=row.place_name,
        means=row.text("means"),
        owner=row.optional_text("owner"),
        waits_for=row.optional_text("waits_for"),
        deadline=row.optional_text("deadline"),
        deadline_of=row.optional_text("deadline_of"),
        then=row.optional_text("then"),
        requires=row.optional_text("requires"),
        forbids=row.optional_text("forbids"),
    )


def _vocabulary(path: Path) -> Vocabulary:
    top = _Row(path.name, "", _read(path))
    top.only(frozenset({"guards", "effects", "conditions", "deadlines"}))
    deadlines = {}
    for row in top.table("deadlines").children("deadline"):
        row.only(frozenset({"means"}))
        deadlines[row.place_name] = row.text("means")
    return Vocabulary(
        guards=_words(top, "guards"),
        effects=_words(top, "effects"),
        conditions=_words(top, "conditions"),
        deadlines=deadlines,
    )


def _words(top: _Row, kind: str) -> dict[str, Word]:
    words = {}
    for row in top.table(kind).children(kind[:-1]):
        row.only(WORD_KEYS)
        words[row.place_name] = Word(
            name=row.place_name,
            machine=row.text("machine"),
            python=row.named("python", EVENT_NAME, "a method's name in lower_snake_case"),
            means=row.text("means"),
        )
    return words


def _joint(row: _Row) -> Joint:
    row.only(JOINT_KEYS)
    groups = row.data.get("arrows")
    if not isinstance(groups, list) or len(groups) < 2:
        raise row.error(f"'arrows' is {groups!r}, expected a list of at least two arrow ids")
    return Joint(
        id=row.text("id"),
        under=row.text("under"),
        groups=tuple(_group(row, group) for group in groups),
        why=row.text("why"),
    )


def _group(row: _Row, group: object) -> tuple[str, ...]:
    if isinstance(group, str):
        return (group,)
    if isinstance(group, list) and group and all(isinstance(entry, str) for entry in group):
        return tuple(group)
    raise row.error(f"'arrows' holds {group!r}, expected an arrow id or a list of alternatives")


def _places(row: _Row, names: object) -> tuple[Place, ...]:
    if not isinstance(names, list) or not names:
        raise row.error(f"{names!r} is not a list of places, expected some like 'worker.BUSY'")
    return tuple(_place(row, name) for name in names)


def _place(row: _Row, name: object) -> Place:
    parts = name.split(".") if isinstance(name, str) else []
    if len(parts) != 2:
        raise row.error(f"{name!r} is not a place, expected one like 'worker.BUSY'")
    return Place(parts[0], parts[1])


def _equal(row: _Row) -> Property:
    row.only(frozenset({"id", "kind", "english", "equal"}))
    sides = row.data.get("equal")
    if not isinstance(sides, list) or len(sides) != 2:
        raise row.error(f"'equal' is {sides!r}, expected two lists of places")
    return Equal(
        row.text("id"), row.text("english"), _places(row, sides[0]), _places(row, sides[1])
    )


def _never(row: _Row) -> Property:
    row.only(frozenset({"id", "kind", "english", "together"}))
    return NeverTogether(
        row.text("id"), row.text("english"), _places(row, row.data.get("together"))
    )


def _leads_to(row: _Row) -> Property:
    row.only(frozenset({"id", "kind", "english", "from", "to"}))
    source = _place(row, row.data.get("from"))
    return LeadsTo(row.text("id"), row.text("english"), source, _places(row, row.data.get("to")))


def _sometimes(row: _Row) -> Property:
    row.only(frozenset({"id", "kind", "english", "arrow"}))
    return Sometimes(row.text("id"), row.text("english"), row.text("arrow"))


KINDS: dict[str, Callable[[_Row], Property]] = {
    "always": _equal,
    "never": _never,
    "leads_to": _leads_to,
    "sometimes": _sometimes,
}


def _property(row: _Row) -> Property:
    kind = row.text("kind")
    if kind not in KINDS:
        raise row.error(f"'kind' is '{kind}', expected one of {_listed(KINDS)}")
    return KINDS[kind](row)


def _bounds(row: _Row) -> dict[str, dict[str, int]]:
    bounds: dict[str, dict[str, int]] = {}
    for child in row.children("bounds"):
        bounds[child.place_name] = {}
        for key, value in child.data.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise child.error(f"'{key}' is {value!r}, expected a whole number, 0 or more")
            bounds[child.place_name][key] = value
    return bounds


def _refuse_repeated(file: str, what: str, entries: Iterable[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for name, owner in entries:
        if name in seen:
            raise SpecError(
                file, f"row {name}", f"{what} '{name}' is used twice ({seen[name]}, {owner})"
            )
        seen[name] = owner


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
