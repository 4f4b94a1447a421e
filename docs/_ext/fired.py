"""Where in the server's code each event is fired: found by reading the code, never by hand.

An event is a method, so that to fire it is to name it: `connection.taken()`, or handed on to be
called. Whose it is, where two machines have one of that name, the name before the dot says: a
machine's (`self._listener.opened`), or that of a class that is one (`self._lifecycle.cut`), or the
class that the code stands in (`self.broke`). Where none says so, every place that names it counts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from statemachine import System

ROOM: Final = "server"
LEFT_OUT: Final = ("simulation",)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of the code, and the function that it is in: `Exchange.run`."""

    file: str
    line: int
    function: str


Firings = Mapping[tuple[str, str], list[Place]]
"""By machine and event, in the order of files and lines."""


def firings(top: Path, system: System) -> Firings:
    """Every place of every event. Raises ValueError for an event that nobody fires."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in _files(top / ROOM)}
    words = _words(trees.values(), system)
    found: dict[tuple[str, str], list[Place]] = {
        (machine.name, event): []
        for machine in system.machines.values()
        for event in machine.events
    }
    named: dict[str, list[Place]] = {}
    for path, tree in trees.items():
        name = path.relative_to(top).as_posix()
        for machine, event, line, function in _uses(tree, words):
            place = Place(name, line, function)
            named.setdefault(event, []).append(place)
            if (machine, event) in found:
                found[machine, event].append(place)
    found = {key: places or named.get(key[1], []) for key, places in found.items()}
    nowhere = [f"{machine}.{event}" for (machine, event), places in found.items() if not places]
    if nowhere:
        raise ValueError(f"fired nowhere in {ROOM}/: {', '.join(nowhere)}")
    return {key: sorted(set(places)) for key, places in found.items()}


def _files(room: Path) -> Iterator[Path]:
    for path in sorted(room.rglob("*.py")):
        if not set(path.relative_to(room).parts) & set(LEFT_OUT):
            yield path


def _words(trees: Iterable[ast.Module], system: System) -> dict[str, set[str]]:
    """By the word that stands before a dot, the machines that it may mean."""
    words = {name: {name} for name in system.machines}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and (machine := _machine_of(node)):
                for word in (node.name.lower(), _last_word(node.name)):
                    words.setdefault(word, set()).add(machine)
    return words


def _machine_of(node: ast.ClassDef) -> str | None:
    """The machine whose generated class is a base of this one."""
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id.endswith("Machine"):
            return base.id.removesuffix("Machine").lower()
    return None


def _last_word(name: str) -> str:
    """`ResponseWriter` → `writer`."""
    start = max(place for place, letter in enumerate(name) if letter.isupper())
    return name[start:].lower()


def _uses(tree: ast.Module, words: Mapping[str, set[str]]) -> Iterator[tuple[str, str, int, str]]:
    """Each name behind a dot: the machines that the word before it may mean, line and function."""
    for node, owner, function in _walk(tree, None, ""):
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        before = ast.unparse(node.value).rpartition(".")[2].lstrip("_")
        machines = {owner} if before == "self" and owner else words.get(before, set())
        for machine in machines or {""}:
            yield machine, node.attr, node.lineno, function


def _walk(
    node: ast.AST, owner: str | None, function: str
) -> Iterator[tuple[ast.AST, str | None, str]]:
    """Every node, with the machine of the class around it and the function's name."""
    for child in ast.iter_child_nodes(node):
        inner, name = owner, function
        if isinstance(child, ast.ClassDef):
            inner, name = _machine_of(child), child.name
        elif isinstance(child, ast.FunctionDef):
            name = f"{function}.{child.name}" if function else child.name
        yield child, inner, name
        yield from _walk(child, inner, name)
