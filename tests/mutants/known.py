"""Survivors that are known, each with its reason: tests/mutants/known.toml.

An entry names one mutant, or with `every` all whose names fit, where a star stands for anything.
`equivalent = true` says that nothing could tell the mutant from the original; the others are holes
that are left open, and counted as such.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant

FILE = Path(__file__).parent / "known.toml"


@dataclass(frozen=True, slots=True)
class Entry:
    """`pattern` is for whole names."""

    said: str
    pattern: re.Pattern[str]
    equivalent: bool
    reason: str

    def means(self, mutant: Mutant) -> bool:
        return self.pattern.fullmatch(f"{mutant.area}: {mutant.name}") is not None


class Wrong(Exception):
    """An entry that cannot be: the message is one line."""


def entries(file: Path = FILE) -> list[Entry]:
    """All of the file's. Raises Wrong for one that lacks something, or says it twice."""
    tables = tomllib.loads(file.read_text(encoding="utf-8")).get("survivors", [])
    found = [_entry(file, number, table) for number, table in enumerate(tables, 1)]
    said = [entry.said for entry in found]
    for name in said:
        if said.count(name) > 1:
            raise Wrong(f"{file.name}: '{name}' is listed twice")
    return found


def _entry(file: Path, number: int, table: dict[str, object]) -> Entry:
    where = f"{file.name}: entry {number}"
    if unknown := table.keys() - {"mutant", "every", "equivalent", "reason"}:
        raise Wrong(f"{where}: unknown key '{min(unknown)}'")
    one, every, reason = table.get("mutant"), table.get("every"), table.get("reason")
    said = one if every is None else every
    if not isinstance(said, str) or (one is not None and every is not None):
        raise Wrong(f"{where}: expected either 'mutant' or 'every', a text")
    if not isinstance(reason, str) or not reason.strip():
        raise Wrong(f"{where}: expected a 'reason'")
    equivalent = table.get("equivalent", False)
    if not isinstance(equivalent, bool):
        raise Wrong(f"{where}: 'equivalent' is {equivalent!r}, expected true or false")
    parts = said.split("*") if every is not None else [said]
    pattern = ".*".join(re.escape(part) for part in parts)
    return Entry(said, re.compile(pattern, re.DOTALL), equivalent, reason)


def entry_of(mutant: Mutant, known: Iterable[Entry]) -> Entry | None:
    """The entry that means the mutant, if any."""
    return next((entry for entry in known if entry.means(mutant)), None)


def stale(known: Iterable[Entry], mutants: Iterable[Mutant], areas: set[str]) -> list[str]:
    """Entries of these areas that mean no mutant any more: the text that they speak of is gone."""
    there = list(mutants)
    return [
        entry.said
        for entry in known
        if entry.said.split(":")[0] in areas and not any(entry.means(one) for one in there)
    ]
