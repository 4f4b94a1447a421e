"""spec/schema.json says of a file's form what the loader says, and spec/README.md teaches it."""

from __future__ import annotations

import copy
import functools
import json
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import jsonschema
import pytest

from statemachine import (
    SpecError,
    check,
    composition_rows,
    load_machine,
    load_system,
    loader,
    spec_folder,
)
from statemachine.checks import DRIVERS, OUTSIDE
from statemachine.composed import compose
from statemachine.explore import Explorer
from statemachine.liveness import Liveness
from statemachine.proof import Prover

FOLDER = spec_folder()
FILES = sorted(path.name for path in FOLDER.glob("*.toml"))
SHARED = ("system.toml", "vocabulary.toml", "composition.toml", "invariants.toml")
KINDS = ("machine", "vocabulary", "system", "composition", "invariants")
REASONS = {("starts",), ("abstracted",), ("unmodelled",)}
"""Tables whose keys are names of the spec, and whose values are texts."""

ALIKE_MAX = hypothesis.settings().max_examples // 30
"""Of rows with the same keys so many are spoiled."""

SCHEMA = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
README = (FOLDER / "README.md").read_text(encoding="utf-8")

Table = dict[str, object]
EACH = pytest.mark.parametrize("name", FILES)


def read(name: str) -> Table:
    return copy.deepcopy(_read(name))


@functools.cache
def _read(name: str) -> Table:
    """The file; of rows that are many and alike, some.

    The loader looks at form alone: a system of one machine is as well-formed as the whole.
    """
    data = tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))
    if name == "composition.toml":
        data["steps"] = data["steps"][::40]
        for kind in ("abstracted", "links", "marks", "actors", "many", "rest"):
            data[kind] = few(data[kind], 2)
    if name == "system.toml":
        data["machines"] = ["readiness"]
        data["bounds"] = few(data["bounds"], 2)
        data["properties"] = data["properties"][::8]
    if name == "vocabulary.toml":
        data = {kind: few(words, 4) for kind, words in data.items()}
    return data


def few(table: Table, number: int) -> Table:
    return dict(list(table.items())[:number])


def kind_of(name: str) -> str:
    return name.removesuffix(".toml") if name in SHARED else "machine"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@EACH
def test_each_file_fits(name: str) -> None:
    data = tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))
    jsonschema.validate(data, SCHEMA, cls=jsonschema.Draft202012Validator)


@EACH
def test_a_file_is_of_one_kind(name: str) -> None:
    one_kind = {kind for kind in KINDS if fits_as(kind, read(name))}
    assert one_kind == {kind_of(name)}


def fits_as(kind: str, data: Table) -> bool:
    return _validator(kind).is_valid(data)


@functools.cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = {"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]}
    return jsonschema.Draft202012Validator(schema)


# --- schema and loader agree -------------------------------------------------------------------


@EACH
def test_unknown_keys_are_refused_by_both(name: str, tmp_path: Path) -> None:
    copy_spec(tmp_path)
    tables = [place for place, value in nodes(read(name)) if isinstance(value, dict)]
    tables = [place for place in tables if place not in REASONS]
    assert tables
    for place in tables:
        data = read(name)
        at(data, place)["nonsense"] = "x"
        assert not loads(tmp_path, name, data), f"the loader takes an unknown key in {place}"
        assert not fits_as(kind_of(name), data), f"the schema takes an unknown key in {place}"


@EACH
def test_both_agree_on_missing_keys_and_wrong_values(name: str, tmp_path: Path) -> None:
    copy_spec(tmp_path)
    seen = {True: 0, False: 0}
    for what, data in spoiled(name):
        answer = loads(tmp_path, name, data)
        seen[answer] += 1
        assert fits_as(kind_of(name), data) is answer, f"{what}: the loader says {answer}"
    assert seen[False]
    assert seen[True] or name in SHARED


def spoiled(name: str) -> Iterator[tuple[str, Table]]:
    """The file without each of its keys, and with each of its values made another: of rows that
    have the same keys, the first few, for neither side tells one from another.
    """
    table = read(name)
    seen: Counter[object] = Counter()
    for place, _ in nodes(table):
        if not place or isinstance(place[-1], int) or place[-1] == "states":
            continue
        alike = tuple("" if isinstance(one, int) else one for one in place)
        keys = frozenset(at(table, place[:-1]))
        seen[alike, keys] += 1
        if seen[alike, keys] > ALIKE_MAX:
            continue
        # Without one of its states a table is well-formed and its rows are not: the loader's part.
        if place[:-1] != ("states",):
            data = read(name)
            del at(data, place[:-1])[place[-1]]
            yield f"without {place}", data
        for value in (7, "", [7], True):
            data = read(name)
            at(data, place[:-1])[place[-1]] = value
            yield f"{place} is {value!r}", data


Place = tuple[str | int, ...]


def nodes(value: object, place: Place = ()) -> Iterator[tuple[Place, object]]:
    yield place, value
    children: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        # Rows alike are spoiled alike: the first, the last and one between stand for all.
        few = sorted({0, len(value) // 2, len(value) - 1}) if value else []
        children = [(number, value[number]) for number in few if isinstance(value[number], dict)]
    for key, child in children:
        yield from nodes(child, (*place, key))


def at(data: Table, place: Place) -> dict[str | int, object]:
    found: object = data
    for key in place:
        found = found[key]  # type: ignore[index]  # a path that `nodes` has walked
    return found  # type: ignore[return-value]


def copy_spec(folder: Path) -> None:
    """All files but the composition, which has a loader of its own."""
    for name in FILES:
        if name != "composition.toml":
            shutil.copy(FOLDER / name, folder / name)
    (folder / "system.toml").write_text(as_toml(read("system.toml")), encoding="utf-8")


def loads(folder: Path, name: str, data: Table) -> bool:
    path = folder / name
    text = as_toml(data)
    assert tomllib.loads(text) == data
    path.write_text(text, encoding="utf-8")
    load: Callable[[Path], object] = load_machine
    if name == "composition.toml":
        load = composition_rows.load_composition
    elif name == "invariants.toml":
        load = loader.load_invariants
    elif name in SHARED:
        load, path = load_system, folder
    try:
        load(path)
    except SpecError:
        return False
    return True


def as_toml(data: Table) -> str:
    return "".join(f"{key} = {toml(value)}\n" for key, value in data.items())


def toml(value: object) -> str:
    if isinstance(value, dict):
        entries = (f"{json.dumps(key)} = {toml(child)}" for key, child in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


# --- the page that teaches the language --------------------------------------------------------


def test_the_examples_are_a_sound_spec(tmp_path: Path) -> None:
    examples = re.findall(r"^```toml (\S+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(examples) == README.count("```toml") == 6
    for name, text in examples:
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert fits_as(kind_of(name), tomllib.loads(text))
    system = load_system(tmp_path)
    assert check(system) == []
    assert set(system.machines) == {"antenna", "contact"}
    assert system.ledger is not None
    model = compose(system, "quick")
    explored = Explorer(model).run()
    assert (explored.fault, explored.states) == (None, system.pinned["quick"])
    assert Liveness(model).fault() is None
    assert Prover(system).run().failures == ()
    states = [state for machine in system.machines.values() for state in machine.states.values()]
    assert {state.rate for state in states} - {None} == system.vocabulary.rates.keys() != set()


def test_every_key_is_taught() -> None:
    keys = {
        *loader.MACHINE_KEYS,
        *loader.ARROW_KEYS,
        *loader.STATE_KEYS,
        *loader.WORD_KEYS,
        *loader.SYSTEM_KEYS,
        *loader.JOINT_KEYS,
        *loader.LEDGER_KEYS,
        *loader.VOCABULARY_KEYS,
        *loader.INVARIANTS_KEYS,
        *loader.INVARIANT_KEYS,
        *loader.KINDS,
        *loader.ALWAYS,
        *composition_rows.FILE_KEYS,
        *composition_rows.STEP_KEYS,
        *composition_rows.ACTOR_KEYS,
        *composition_rows.LINK_KEYS,
        *composition_rows.QUEUE_STATES,
        *composition_rows.OUTSIDERS,
        *(key for keys in composition_rows.CONDITIONS for key in keys),
        *(key for keys in composition_rows.EFFECTS for key in keys),
        *DRIVERS,
        *OUTSIDE,
        "equal",
        "together",
        "arrow",
        "english",
    }
    taught = set(re.findall(r"`([a-z_]+)`", README))
    assert keys <= taught


def test_the_schema_has_every_key() -> None:
    definitions = SCHEMA["$defs"]
    for kind, keys in (
        ("machine", loader.MACHINE_KEYS),
        ("arrow", loader.ARROW_KEYS),
        ("state", loader.STATE_KEYS),
        ("system", loader.SYSTEM_KEYS),
        ("joint", loader.JOINT_KEYS),
        ("ledger", loader.LEDGER_KEYS),
        ("vocabulary", loader.VOCABULARY_KEYS),
        ("invariants", loader.INVARIANTS_KEYS),
        ("invariant", loader.INVARIANT_KEYS),
        ("composition", composition_rows.FILE_KEYS),
        ("step", composition_rows.STEP_KEYS),
    ):
        assert definitions[kind]["properties"].keys() == keys
    for kind in ("words", "effectWords"):
        words = definitions[kind]["additionalProperties"]
        assert words["properties"].keys() == loader.WORD_KEYS
    for kind, forms in (
        ("condition", composition_rows.CONDITIONS),
        ("effect", composition_rows.EFFECTS),
    ):
        assert {frozenset(one["required"]) for one in definitions[kind]["oneOf"]} == forms.keys()
    assert set(definitions["machine"]["properties"]["driven_by"]["enum"]) == DRIVERS
    kinds = {one["properties"]["kind"]["const"] for one in definitions["property"]["oneOf"]}
    assert kinds == loader.KINDS.keys()
