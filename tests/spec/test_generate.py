"""The generated classes: current, reproducible, and the spec's events and states to the name."""

from __future__ import annotations

import ast
import enum
import subprocess
import sys
from pathlib import Path

import pytest

from statemachine import Unbound, _generated, generate, load_system
from statemachine.tables import NAME
from tests.spec.edits import Edit
from tests.spec.lamp import load_lamp

SYSTEM = load_system()


def test_the_committed_files_are_what_the_spec_generates() -> None:
    assert generate.stale(SYSTEM) == []


def test_generation_is_reproducible_whatever_the_hash_seed() -> None:
    program = (
        "from statemachine import load_system; from statemachine.generate import generate;"
        "print(sorted(generate(load_system()).items()))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {f"{sorted(generate.generate(SYSTEM).items())}\n"}


@pytest.mark.parametrize("name", list(SYSTEM.machines))
def test_a_class_has_its_machine_s_events_and_states(name: str) -> None:
    spec, stem = SYSTEM.machines[name], generate.class_name(name)
    model, states = getattr(_generated, f"{stem}Machine"), getattr(_generated, f"{stem}State")
    words = (SYSTEM.vocabulary.guards, SYSTEM.vocabulary.effects, SYSTEM.vocabulary.conditions)
    asked = {word.python for kind in words for word in kind.values() if word.machine == name}
    methods = {key for key in vars(model) if callable(getattr(model, key)) and key[0].islower()}
    assert methods == {*spec.events, *asked}
    assert [state.name for state in states] == list(spec.states)
    assert (model.machine_name, model.State) == (name, states)
    assert getattr(model, "declared_by_spec", frozenset()) == asked
    assert model().state is states[spec.initial]
    assert not hasattr(model(), "__dict__")
    for method in methods:
        with pytest.raises(Unbound, match=rf"{stem}Machine\.{method} is declared by the spec"):
            getattr(model(), method)()


@pytest.mark.parametrize("name", list(SYSTEM.machines))
def test_each_event_s_docstring_lists_its_rows(name: str) -> None:
    model = getattr(_generated, f"{generate.class_name(name)}Machine")
    for arrow in SYSTEM.machines[name].arrows:
        text = " ".join((getattr(model, arrow.event).__doc__ or "").split())
        guard = f" when {arrow.when}" if arrow.when else ""
        guard += f" unless {arrow.unless}" if arrow.unless else ""
        assert f"{arrow.id}: {arrow.source} → {arrow.target}{guard}." in text


CHANGES: list[tuple[Edit, str]] = [
    (("lamp.toml", 'on = "fell"', 'on = "fell", do = "glow"'), "lamp.py"),
    (("lamp.toml", 'on = "switched", to = "LIT"', 'on = "lit", to = "LIT"'), "lamp.py"),
    (("lamp.toml", 'means = "No light."', 'means = "No light at all."'), "lamp.py"),
    (("lamp.toml", 'initial = "DARK"', 'initial = "LIT"'), "lamp.py"),
    (("vocabulary.toml", 'means = "Begin to glow."', 'means = "Glow."'), "lamp.py"),
    (("hand.toml", "[states]\n", '[states]\nAWAY = { means = "Gone." }\n'), "hand.py"),
]


@pytest.mark.parametrize(("edit", "file"), CHANGES, ids=[edit[2].strip() for edit, _ in CHANGES])
def test_a_changed_spec_changes_its_own_file_alone(edit: Edit, file: str, tmp_path: Path) -> None:
    (tmp_path / "spec").mkdir()
    before = generate.generate(load_lamp(tmp_path / "spec"))
    after = generate.generate(load_lamp(tmp_path / "spec", edit))
    changed = {name for name in before if before[name] != after[name]}
    # An effect on a row is read from the table when a class is bound: the class stays as it is.
    assert changed == {NAME} | (set() if "do = " in edit[2] else {file})


def test_every_other_file_is_a_module_and_a_class_of_its_own(tmp_path: Path) -> None:
    files = generate.generate(load_lamp(tmp_path))
    del files[NAME]
    for name, text in files.items():
        tree = ast.parse(text)
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        stem = name.removesuffix(".py").title()
        assert classes == ([] if name == "__init__.py" else [f"{stem}State", f"{stem}Machine"])
        assert max(map(len, text.splitlines())) <= 100
        names: dict[str, object] = {"__name__": name}
        if classes:
            exec(compile(tree, name, "exec"), names)
            states = names[f"{stem}State"]
            assert isinstance(states, type)
            assert issubclass(states, enum.Enum)


def test_write_brings_a_folder_up_to_date_and_says_what_changed(tmp_path: Path) -> None:
    (tmp_path / "spec").mkdir()
    system, folder = load_lamp(tmp_path / "spec"), tmp_path / "out"
    everything = ["__init__.py", "hand.py", "lamp.py", NAME]
    assert generate.stale(system, folder) == everything
    assert generate.write(system, folder) == everything
    assert generate.stale(system, folder) == generate.write(system, folder) == []
    (folder / "lamp.py").write_text("old", encoding="utf-8")
    (folder / "hand.py").unlink()
    (folder / "gone.py").write_text("of a machine that is no more", encoding="utf-8")
    assert generate.write(system, folder) == ["gone.py", "hand.py", "lamp.py"]
    assert sorted(path.name for path in folder.iterdir()) == everything
    assert generate.stale(system, folder) == []


def test_a_name_of_several_words_makes_a_class_s_name() -> None:
    assert generate.class_name("event_stream") == "EventStream"
