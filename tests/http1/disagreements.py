"""Where h11 and we read the same bytes otherwise: the rows of disagreements.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TABLE_FILE: Final = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Disagreement:
    """One way to disagree, and its verdict. disagreements.toml says what each part means."""

    by: str
    word: str
    right: str
    section: str
    why: str


TABLE: Final = tuple(
    Disagreement(**row) for row in tomllib.loads(TABLE_FILE.read_text())["disagreements"]
)
_ROWS: Final = tuple((row, re.compile(row.word, re.DOTALL)) for row in TABLE)


def verdict_on(by: str, word: str) -> Disagreement | None:
    """The row of a disagreement, None if none has it."""
    fitting = (row for row, pattern in _ROWS if row.by == by and pattern.fullmatch(word))
    return next(fitting, None)
