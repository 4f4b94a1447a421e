"""A mutant: one change to one file, small enough to be read as a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

TOP = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Mutant:
    """`name` tells it from every other one, and stays the same while the mutated text does.

    `path` is the file, from the top of the project; bytes `start` to `end` of it become `new`, and
    `lines` are those whose execution may tell. `hot`: it lies in a function's body, so that the
    function's code can be exchanged. `subject` are the names by which whoever uses it may be found,
    where no line of it is run by a test: a constant's, or a row's machine and id.
    """

    area: str
    name: str
    kind: str
    path: str
    start: int
    end: int
    new: bytes
    lines: tuple[int, int]
    hot: bool = False
    subject: tuple[str, ...] = ()

    def applied(self, text: bytes) -> bytes:
        """The whole text of the mutated file."""
        return text[: self.start] + self.new + text[self.end :]


def read(path: str) -> bytes:
    """A file's text, by its path from the top of the project."""
    return (TOP / path).read_bytes()


def numbered(mutants: Iterable[Mutant]) -> list[Mutant]:
    """The mutants, those of one name told apart by a number."""
    seen: Counter[str] = Counter()
    told = []
    for one in mutants:
        seen[one.name] += 1
        told.append(
            replace(one, name=f"{one.name} #{seen[one.name]}") if seen[one.name] > 1 else one
        )
    return told
