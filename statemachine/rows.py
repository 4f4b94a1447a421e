"""One table of a TOML file, whose every error names the file, the row and what was expected."""

from __future__ import annotations

import keyword
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from statemachine.errors import SpecError, listed

Table = Mapping[str, object]

EVENT_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")
TAKEN_NAMES = frozenset({"state", "machine_name", "declared_by_spec"})
"""What a generated class has already: no event and no word may be called so."""


class Row:
    """One TOML table with its place in the file, so that every error can name it.

    Each method raises SpecError for a value that is not of the kind it asks for.
    """

    def __init__(self, file: str, place: str, data: Table, place_name: str = "") -> None:
        self.file = file
        self.place = place
        self.data = data
        self.place_name = place_name

    def error(self, expectation: str) -> SpecError:
        """What is wrong here, to be raised."""
        return SpecError(self.file, self.place, expectation)

    def only(self, allowed: frozenset[str]) -> None:
        """Refuse every key that is not one of these."""
        for key in self.data:
            if key not in allowed:
                raise self.error(f"unknown key '{key}', expected one of {listed(allowed)}")

    def text(self, key: str) -> str:
        """A text that must be there, and not be blank."""
        value = self.optional_text(key)
        if value is None:
            raise self.error(f"key '{key}' is missing, expected a text")
        return value

    def optional_text(self, key: str) -> str | None:
        """A text that is not blank, or None where the key is missing."""
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"'{key}' is {value!r}, expected a text that is not empty")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where the key is missing."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"'{key}' is {value!r}, expected true or false")
        return value

    def named(self, key: str, pattern: re.Pattern[str], form: str) -> str:
        """A text of that pattern, which `form` describes, and no name that is taken."""
        value = self.text(key)
        if not pattern.match(value):
            raise self.error(f"'{key}' is '{value}', expected {form}")
        if keyword.iskeyword(value) or value in TAKEN_NAMES:
            raise self.error(f"'{key}' is '{value}', expected a name that is not taken")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, which may be empty."""
        value = self.data.get(key)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.error(f"'{key}' is {value!r}, expected a list of texts")
        return tuple(value)

    def table(self, key: str) -> Row:
        """A table within this one."""
        value = self.data.get(key)
        if not isinstance(value, dict):
            raise self.error(f"'{key}' is {value!r}, expected a table")
        return Row(self.file, f"table {key}", value)

    def tables(self, key: str) -> list[Row]:
        """A list of tables, one at least, each named by its id or its number."""
        value = self.data.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
            raise self.error(f"'{key}' is missing or empty, expected a list of rows")
        return [
            Row(self.file, f"row {entry.get('id', f'{number} of {key}')}", entry)
            for number, entry in enumerate(value, 1)
        ]

    def children(self, kind: str) -> list[Row]:
        """Every value of this table, each a table with its key for a name."""
        rows = []
        for key, value in self.data.items():
            if not isinstance(value, dict):
                raise self.error(f"'{key}' is {value!r}, expected a table")
            rows.append(Row(self.file, f"{kind} {key}", value, key))
        return rows


def read(path: Path) -> Table:
    """A whole file. Raises SpecError where there is none, or none of TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(path.name, "", f"no such file in {path.parent}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(path.name, "", f"cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(path.name, "", f"not TOML: {error}") from None
