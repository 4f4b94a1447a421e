"""Mutants of the spec, and of the engine by hand: each is one change."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachine import Arrow, load_system
from tests.mutants import handwritten, on_spec, rows
from tests.mutants.mutant import TOP, Mutant

SYSTEM = load_system()
EVERY = rows.mutants(SYSTEM)
BY_NAME = {one.name: one for one in EVERY}


def arrows_of(mutant: Mutant) -> dict[str, Arrow]:
    with on_spec.spec_with(mutant) as folder:
        return dict(load_system(folder).arrows)


def changed(mutant: Mutant) -> dict[str, tuple[Arrow, Arrow | None]]:
    found = arrows_of(mutant)
    return {
        name: (arrow, found.get(name))
        for name, arrow in SYSTEM.arrows.items()
        if found.get(name) != arrow
    }


def test_names_are_unique_and_every_row_has_its_deletion() -> None:
    assert len(BY_NAME) == len(EVERY)
    assert {one.kind for one in EVERY} == set(rows.KINDS)
    deleted = [one.subject[1] for one in EVERY if one.kind == rows.DELETED]
    assert deleted == list(SYSTEM.arrows)


@pytest.mark.parametrize("kind", rows.KINDS)
def test_one_row_is_changed_in_what_the_kind_says(kind: str) -> None:
    keys = {
        "guard": {"when", "unless"},
        "target": {"target"},
        "source": {"source"},
        "effect": {"do"},
        "sync": {"sync"},
        "environment": {"environment"},
    }
    mine = [one for one in EVERY if one.kind == kind]
    for mutant in mine[:: max(1, len(mine) // 4)]:
        ((name, (old, new)), *others) = changed(mutant).items()
        assert name == mutant.subject[1]
        assert len(others) == ("exchanged" in mutant.name)
        if kind == rows.DELETED:
            assert new is None
        else:
            differ = {key for key in Arrow._fields if getattr(old, key) != getattr(new, key)}
            assert differ
            assert differ <= keys[kind]


def test_guards_are_exchanged_between_two_rows() -> None:
    ((first, (old, new)), (second, (other_old, other_new))) = changed(
        BY_NAME["A2 guard exchanged with A3"]
    ).items()
    assert new is not None
    assert other_new is not None
    assert (first, old.when, new.unless) == ("A2", new.unless, old.when)
    assert (second, other_old.unless, other_new.when) == ("A3", old.when, old.when)


@pytest.mark.parametrize(
    "name", ["S1 deleted", "P2 deleted", "W4 without its step", "A2 to BROKEN"]
)
def test_the_static_checks_notice(name: str) -> None:
    with on_spec.spec_with(BY_NAME[name]) as folder:
        found = on_spec.found_by_check(folder)
    assert found is not None
    assert found.startswith("check: ")


def test_a_sound_copy_is_sound() -> None:
    with on_spec.spec_with(None) as folder:
        assert on_spec.found_by_check(folder) is None
        assert load_system(folder).arrows == SYSTEM.arrows


@pytest.mark.parametrize("machine", SYSTEM.machines)
def test_every_machine_has_tests(machine: str) -> None:
    names = on_spec.tests_of(machine)
    assert names
    assert [name for name in names if not (TOP / name).exists()] == []


def test_every_mutant_by_hand_fits() -> None:
    found = handwritten.mutants()
    assert len(found) >= 20
    assert len({one.name for one in found}) == len(found)


@pytest.mark.parametrize("old", ["no such text", "self"])
def test_a_mutant_by_hand_that_fits_nowhere_or_twice_fails(old: str, tmp_path: Path) -> None:
    file = tmp_path / "engine.toml"
    path = "statemachine/sealing.py"
    times = (TOP / path).read_text(encoding="utf-8").count(old)
    assert times != 1
    file.write_text(f'[[mutants]]\nname = "x"\npath = "{path}"\nold = "{old}"\nnew = ""\n')
    with pytest.raises(handwritten.Stale, match=f"x: its old text is {times} times in {path}"):
        handwritten.mutants(file)
