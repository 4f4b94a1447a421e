"""Writes the typed classes in `statemachine/_generated/` from the spec.

mypy knows each event as a method and each state as an enum's member. The rows are no code: they are
read from the spec when a class is bound, or from the copy of them that is written beside the
classes, for as long as the spec's files are what they were then (see `tables`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap

from statemachine.model import MachineSpec, System, Word
from statemachine.tables import FOLDER, NAME, said_of, source_of
from statemachine.tracefile import digest

WIDTH = 96
NESTED_MAX = 4
"""So deep the parts of the tables' file have lines of their own: a row is one line."""


def generate(system: System) -> dict[str, str]:
    """The text of every generated file, by file name."""
    files = {f"{name}.py": _module(spec, system) for name, spec in system.machines.items()}
    files["__init__.py"] = _package(system)
    said = said_of(system, source_of(Path(system.folder)), digest(system))
    files[NAME] = "\n".join(_laid_out(said, NESTED_MAX)) + "\n"
    return files


def stale(system: System, folder: Path = FOLDER) -> list[str]:
    """The names of generated files that are missing, out of date, or no longer generated."""
    wanted = generate(system)
    present = {path.name: path for path in (*folder.glob("*.py"), *folder.glob("*.json"))}
    old = [
        name
        for name, text in wanted.items()
        if name not in present or present[name].read_text(encoding="utf-8") != text
    ]
    return sorted(old + [name for name in present if name not in wanted])


def write(system: System, folder: Path = FOLDER) -> list[str]:
    """Bring `folder` up to date; returns the names of the files that changed."""
    names = stale(system, folder)
    wanted = generate(system)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name in wanted:
            (folder / name).write_text(wanted[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return names


def _laid_out(value: object, depth: int) -> Iterator[str]:
    """Lines of JSON."""
    if depth and isinstance(value, dict):
        parts = [(f"{json.dumps(key)}: ", part) for key, part in value.items()]
    elif depth and isinstance(value, list):
        parts = [("", part) for part in value]
    else:
        yield json.dumps(value, ensure_ascii=False)
        return
    begin, end = "{}" if isinstance(value, dict) else "[]"
    yield begin
    for number, (name, part) in enumerate(parts, 1):
        *first, last = _laid_out(part, depth - 1)
        lines = [*first, last if number == len(parts) else f"{last},"]
        yield name + lines[0]
        yield from lines[1:]
    yield end


def class_name(machine: str) -> str:
    """`connection` → `Connection`: the stem of the generated names."""
    return machine.title().replace("_", "")


def _package(system: System) -> str:
    lines = ['"""Generated from spec/ by `python -m statemachine generate`; do not edit."""', ""]
    names = []
    for machine in sorted(system.machines):
        stem = class_name(machine)
        lines.append(f"from statemachine._generated.{machine} import {stem}Machine, {stem}State")
        names += [f"{stem}Machine", f"{stem}State"]
    lines += ["", "__all__ = [", *(f'    "{name}",' for name in sorted(names)), "]", ""]
    return "\n".join(lines)


def _module(spec: MachineSpec, system: System) -> str:
    stem = class_name(spec.name)
    lines = [
        f'"""Generated from spec/{spec.file} by `python -m statemachine generate`; do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        "import enum",
        "from typing import ClassVar, Final",
        "",
        "from statemachine.errors import Unbound",
        "from statemachine.model import Model, next_birth",
        "",
        "",
        f"class {stem}State(enum.Enum):",
        *_docstring(f"The states of machine {spec.name}.", 4),
        "",
    ]
    for state in spec.states.values():
        lines.append(f'    {state.name} = "{state.name}"')
        lines += _docstring(state.means, 4)
        lines.append("")
    lines += [
        # There is one object a member. Enum's own is a function in Python, asked at each look-up.
        "    __hash__ = object.__hash__",
        "",
        "",
        # Before Python 3.12 it costs as much as a call to look a member up.
        f"_INITIAL: Final = {stem}State.{spec.initial}",
        "",
        "",
        f"class {stem}Machine(Model):",
        *_docstring(spec.means, 4),
        "",
        '    __slots__ = ("birth", "state")',
        f'    machine_name: ClassVar[str] = "{spec.name}"',
        f"    State: ClassVar[type[{stem}State]] = {stem}State",
        f"    state: {stem}State",
        "",
        "    def __init__(self) -> None:",
        "        self.birth = next_birth()",
        "        self.state = _INITIAL",
    ]
    for event in spec.events:
        lines += _event(spec, event)
    words = system.vocabulary
    for word in _asked(spec, words.guards, words.conditions):
        lines += _word(word, "bool")
    for word in _asked(spec, words.effects):
        lines += _word(word, "None")
    lines += _marks(spec, system)
    return "\n".join(lines) + "\n"


def _event(spec: MachineSpec, event: str) -> Iterator[str]:
    yield ""
    yield f"    def {event}(self) -> None:"
    rows = [a for a in spec.arrows if a.event == event]
    text = [f"{a.id}: {a.source} → {a.target}{_guard(a.when, a.unless)}." for a in rows]
    if len(text) == 1:
        yield from _docstring(text[0], 8)
    else:
        yield f'        """{text[0]}'
        yield ""
        for line in text[1:]:
            yield f"        {line}"
        yield '        """'
    yield f'        raise Unbound(self, "{event}")'


def _guard(when: str | None, unless: str | None) -> str:
    if when:
        return f" when {when}"
    return f" unless {unless}" if unless else ""


def _asked(spec: MachineSpec, *kinds: Mapping[str, Word]) -> Iterator[Word]:
    for kind in kinds:
        for word in kind.values():
            if word.machine == spec.name:
                yield word


def _word(word: Word, answer: str) -> Iterator[str]:
    yield ""
    yield f"    def {word.python}(self) -> {answer}:"
    yield from _docstring(word.means, 8)
    yield f'        raise Unbound(self, "{word.python}")'


def _marks(spec: MachineSpec, system: System) -> Iterator[str]:
    """Marks the bodies that a class must replace, so that a binder can tell them from answers."""
    words = system.vocabulary
    names = [w.python for w in _asked(spec, words.guards, words.conditions, words.effects)]
    if names:
        yield ""
        yield "    declared_by_spec: ClassVar[frozenset[str]] = frozenset("
        row = "        {" + ", ".join(f'"{name}"' for name in names) + "}"
        if len(row) <= WIDTH:
            yield row
        else:
            yield from ("        {", *(f'            "{name}",' for name in names), "        }")
        yield "    )"


def _docstring(text: str, indent: int) -> list[str]:
    pad = " " * indent
    if len(text) + indent + 6 <= WIDTH:
        return [f'{pad}"""{text}"""']
    first, *rest = wrap(text, WIDTH - indent - 3)
    return [f'{pad}"""{first}', *(pad + line for line in rest), f'{pad}"""']
