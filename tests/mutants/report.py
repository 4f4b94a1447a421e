"""What a campaign found: told, written down, and drawn into docs/mutants.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutants.campaign import Verdict
from tests.mutants.known import Entry, entries, entry_of
from tests.mutants.mutant import Mutant

SCORES = Path(__file__).parent / "scores.json"


@dataclass(frozen=True, slots=True)
class Score:
    """One row of the table. `listed` are survivors that are known and no equivalents."""

    area: str
    mutants: int
    tried: int
    killed: int
    equivalent: int
    survived: int
    date: str
    command: str
    python: str

    @property
    def percent(self) -> float:
        """Killed, of those tried that are not equivalent."""
        real = self.tried - self.equivalent
        return 100.0 * self.killed / real if real else 100.0


def row_of(mutant: Mutant) -> str:
    """The row of the table to which a mutant belongs."""
    return f"spec: {mutant.kind}" if mutant.area == "spec" else mutant.area


def scores(
    verdicts: Sequence[Verdict], every: Iterable[Mutant], known: Sequence[Entry], **told: str
) -> list[Score]:
    """A score for each area. `told` are the date, the command and the version of Python."""
    there = Counter(row_of(one) for one in every)
    found = []
    for area in there:
        mine = [one for one in verdicts if row_of(one.mutant) == area]
        left = [one for one in mine if one.outcome != "killed"]
        excused = [entry_of(one.mutant, known) for one in left]
        equivalent = sum(entry is not None and entry.equivalent for entry in excused)
        if mine:
            found.append(
                Score(
                    area=area,
                    mutants=there[area],
                    tried=len(mine),
                    killed=len(mine) - len(left),
                    equivalent=equivalent,
                    survived=len(left) - equivalent,
                    **told,
                )
            )
    return found


def faults(verdicts: Sequence[Verdict], known: Sequence[Entry]) -> list[str]:
    """Survivors that nobody knows of, and entries of mutants that are noticed by now."""
    told = []
    for one in verdicts:
        entry = entry_of(one.mutant, known)
        name = f"{one.mutant.area}: {one.mutant.name}"
        if one.outcome != "killed" and entry is None:
            told.append(f"SURVIVED {name} ({one.mutant.path}:{one.mutant.lines[0]}; {one.by})")
        # An entry for a whole class of mutants may have some that are noticed.
        if one.outcome == "killed" and entry is not None and entry.said == name:
            told.append(f"STALE {name}: known.toml lists it as a survivor, and {one.by} kills it")
    return told


def merged(new: Iterable[Score], file: Path = SCORES) -> None:
    """Write the scores down, in place of older ones of the same areas."""
    by_area = {one.area: one for one in (*recorded(file), *new)}
    text = json.dumps([asdict(one) for one in by_area.values()], indent=2)
    file.write_text(text + "\n", encoding="utf-8")


def recorded(file: Path = SCORES) -> list[Score]:
    """The scores that were written down last."""
    if not file.is_file():
        return []
    return [Score(**one) for one in json.loads(file.read_text(encoding="utf-8"))]


def table(rows: Iterable[Score]) -> str:
    """The scores as Markdown."""
    lines = [
        "| area | mutants | tried | killed | equivalent | survived | score | date | command |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.area} | {one.mutants} | {one.tried} | {one.killed} | {one.equivalent} "
        f"| {one.survived} | {one.percent:.1f} % | {one.date} | `{one.command}` |"
        for one in rows
    ]
    return "\n".join(lines)


def survivors() -> str:
    """The holes that are left open, as Markdown: those of the data file that are no equivalents."""
    lines = ["| survivor | why it is left |", "|---|---|"]
    lines += [
        f"| `{entry.said.replace('|', chr(92) + '|')}` | {entry.reason} |"
        for entry in entries()
        if not entry.equivalent
    ]
    return "\n".join(lines)
