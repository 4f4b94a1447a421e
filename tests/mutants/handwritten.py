"""Mutants that were written by hand: of what the engine means, each with what it gets wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.mutants.mutant import Mutant, read

FILE = Path(__file__).parent / "engine.toml"


class Stale(Exception):
    """A mutant's old text is not in its file, or is there more than once."""


def mutants(file: Path = FILE) -> list[Mutant]:
    """All of the file's. Raises Stale for one that fits nowhere, or in two places."""
    entries = tomllib.loads(file.read_text(encoding="utf-8"))["mutants"]
    return [_mutant(**entry) for entry in entries]


def _mutant(name: str, path: str, old: str, new: str) -> Mutant:
    text, before = read(path), old.encode()
    if text.count(before) != 1:
        times = text.count(before)
        raise Stale(f"engine.toml: {name}: its old text is {times} times in {path}, expected once")
    start = text.index(before)
    padding = b"\n" * (before.count(b"\n") - new.count("\n"))
    first = text.count(b"\n", 0, start) + 1
    return Mutant(
        area="engine",
        name=name,
        kind="engine",
        path=path,
        start=start,
        end=start + len(before),
        new=new.encode() + padding,
        lines=(first, first + before.count(b"\n")),
        hot=True,
    )
