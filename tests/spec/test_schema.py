"""spec/schema.json says of a file's form what the loader says, and spec/README.md teaches it."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

from statemachine import SpecError, check, load_machine, load_system, loader, spec_folder
from statemachine.checks import DRIVERS, OUTSIDE

FOLDER = spec_folder()
FILES = sorted(path.name for path in FOLDER.glob("*.toml"))
SHARED = ("system.toml", "vocabulary.toml")
SCHEMA = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
README = (FOLDER / "README.md").read_text(encoding="utf-8")

Table = dict[str, object]
EACH = pytest.mark.parametrize("name", FILES)


def read(name: str) -> Table:
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))


def kind_of(name: str) -> str:
    return name.removesuffix(".toml") if name in SHARED else "machine"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@EACH
def test_each_file_fits(name: str) -> None:
    jsonschema.validate(read(name), SCHEMA, cls=jsonschema.Draft202012Validator)


@EACH
def test_a_file_is_of_one_kind(name: str) -> None:
    one_kind = {kind for kind in ("machine", "vocabulary", "system") if fits_as(kind, read(name))}
    assert one_kind == {kind_of(name)}


def fits_as(kind: str, data: Table) -> bool:
    schema = {"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]}
    return jsonschema.Draft202012Validator(schema).is_valid(data)


# --- schema and loader agree -------------------------------------------------------------------


@EACH
def test_unknown_keys_are_refused_by_both(name: str, tmp_path: Path) -> None:
    copy_spec(tmp_path)
    tables = [place for place, value in nodes(read(name)) if isinstance(value, dict)]
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
    """The file without each of its keys, and with each of its values made another."""
    for place, _ in nodes(read(name)):
        if not place or isinstance(place[-1], int) or place[-1] == "states":
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
        few = sorted({0, len(value) // 2, len(value) - 1} - {-1})
        children = [(number, value[number]) for number in few if isinstance(value[number], dict)]
    for key, child in children:
        yield from nodes(child, (*place, key))


def at(data: Table, place: Place) -> dict[str | int, object]:
    found: object = data
    for key in place:
        found = found[key]  # type: ignore[index]  # a path that `nodes` has walked
    return found  # type: ignore[return-value]


def copy_spec(folder: Path) -> None:
    for name in FILES:
        shutil.copy(FOLDER / name, folder / name)


def loads(folder: Path, name: str, data: Table) -> bool:
    path = folder / name
    text = "".join(f"{key} = {toml(value)}\n" for key, value in data.items())
    assert tomllib.loads(text) == data
    path.write_text(text, encoding="utf-8")
    load: Callable[[Path], object] = load_machine
    if name in SHARED:
        load, path = load_system, folder
    try:
        load(path)
    except SpecError:
        return False
    return True


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


# --- the page that teaches the language --------------------------------------------------------


def test_the_examples_are_a_sound_spec(tmp_path: Path) -> None:
    examples = re.findall(r"^```toml (\S+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(examples) == README.count("```toml") == 4
    for name, text in examples:
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert fits_as(kind_of(name), tomllib.loads(text))
    system = load_system(tmp_path)
    assert check(system) == []
    assert set(system.machines) == {"antenna", "contact"}


def test_every_key_is_taught() -> None:
    keys = {
        *loader.MACHINE_KEYS,
        *loader.ARROW_KEYS,
        *loader.STATE_KEYS,
        *loader.WORD_KEYS,
        *loader.SYSTEM_KEYS,
        *loader.JOINT_KEYS,
        *loader.KINDS,
        *DRIVERS,
        *OUTSIDE,
        "equal",
        "together",
        "arrow",
        "english",
        *("guards", "effects", "conditions", "deadlines"),
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
    ):
        assert definitions[kind]["properties"].keys() == keys
    assert set(definitions["machine"]["properties"]["driven_by"]["enum"]) == DRIVERS
    kinds = {one["properties"]["kind"]["const"] for one in definitions["property"]["oneOf"]}
    assert kinds == loader.KINDS.keys()
