"""The tables that were generated say what the spec says, and are for no other spec."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from statemachine import generate, load_system, spec_folder, tables
from statemachine.model import Equal, NeverTogether, System
from statemachine.tables import FOLDER, NAME
from statemachine.tracefile import digest
from tests.spec.lamp import load_lamp

COMPOSED = {"composition", "invariants", "bounds", "pinned"}
"""What is for a composed model alone."""


def left(system: System) -> System:
    """What a server needs of a system."""
    words = system.vocabulary
    plain = {
        kind: {
            name: word._replace(conditions=(), effects=())
            for name, word in getattr(words, kind).items()
        }
        for kind in ("guards", "effects", "conditions")
    }
    watched = [one for one in system.properties if isinstance(one, Equal)]
    never = [one for one in system.properties if isinstance(one, NeverTogether)]
    return System(
        name=system.name,
        folder=system.folder,
        machines=system.machines,
        vocabulary=words._replace(**plain),
        joints=system.joints,
        properties=(*watched, *never),
        bounds={},
        ledger=system.ledger,
    )


def written(system: System, generated: Path) -> Path:
    generate.write(system, generated)
    return generated


def test_they_are_the_spec_s() -> None:
    loaded, found = load_system(), tables()
    assert found == left(loaded)
    assert found.arrows == loaded.arrows
    assert list(found.machines) == list(loaded.machines)
    for name, machine in loaded.machines.items():
        assert list(found.machines[name].states) == list(machine.states)
    assert digest(found) == digest(loaded)


def test_every_value_is_of_the_kind_that_the_loader_gives() -> None:
    """A list in place of a tuple would be equal to none, and could be changed."""
    found = tables()
    assert found is not None
    assert repr(found) == repr(left(load_system()))


def test_a_system_without_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "spec").mkdir()
    lamp = load_lamp(tmp_path / "spec")
    assert lamp.ledger is None
    generated = written(lamp, tmp_path / "_generated")
    assert tables(tmp_path / "spec", generated) == left(lamp)


@pytest.mark.parametrize("file", sorted(one.name for one in spec_folder().glob("*.toml")))
def test_a_byte_more_in_any_file_and_there_are_none(tmp_path: Path, file: str) -> None:
    folder = shutil.copytree(spec_folder(), tmp_path / "spec")
    assert tables(folder) is not None
    with (folder / file).open("ab") as stream:
        stream.write(b"#")
    assert tables(folder) is None


def test_a_byte_for_another_and_there_are_none(tmp_path: Path) -> None:
    folder = shutil.copytree(spec_folder(), tmp_path / "spec")
    text = (folder / "pipe.toml").read_bytes()
    (folder / "pipe.toml").write_bytes(text.replace(b"E1", b"E9"))
    assert tables(folder) is None


def test_a_file_more_or_less_and_there_are_none(tmp_path: Path) -> None:
    folder = shutil.copytree(spec_folder(), tmp_path / "spec")
    (folder / "more.toml").touch()
    assert tables(folder) is None
    (folder / "more.toml").unlink()
    (folder / "pipe.toml").rename(folder / "tube.toml")
    assert tables(folder) is None
    assert tables(tmp_path / "nowhere") is None


@pytest.mark.parametrize("damage", ["gone", "cut", "text"])
def test_without_a_whole_file_there_are_none(tmp_path: Path, damage: str) -> None:
    generated = shutil.copytree(FOLDER, tmp_path / "_generated")
    file = generated / NAME
    whole = file.read_bytes()
    assert tables(generated=generated) is not None
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[:-9] if damage == "cut" else b"\xff\xfe")
    assert tables(generated=generated) is None
