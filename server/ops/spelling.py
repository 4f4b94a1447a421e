"""A snapshot as JSON, for another process that makes a snapshot of it.

The two may be of different versions: what this code does not know is passed over, and what it needs
and does not find makes the whole no snapshot.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from server.ledger import Account
from server.ops.snapshot import Durations, Process, Snapshot, Streams, Workers

Value = TypeVar("Value")

APART: Final = ("several",)
"""What one process does not tell of itself."""


def told(one: Snapshot) -> dict[str, object]:
    """The snapshot of one process, as JSON has it."""
    found = _fields(one)
    for name in ("latency", "queueing", "application", "workers", "ledger", "streams", "process"):
        found[name] = _fields(getattr(one, name))
    # A key of two words is no key of JSON's.
    found["deadlines"] = [[*key, count] for key, count in one.deadlines.items()]
    found["answers"] = [[*key, count] for key, count in one.answers.items()]
    return found


def _fields(one: Snapshot | Durations | Workers | Account | Streams | Process) -> dict[str, object]:
    """Without copies of what is in them: `dataclasses.asdict` costs several times as much."""
    names = (field.name for field in dataclasses.fields(one))
    return {name: getattr(one, name) for name in names if name not in APART}


def understood(found: object) -> Snapshot:
    """The snapshot that was told. Raises ValueError for what is none."""
    try:
        return _made(Snapshot, found)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no snapshot: {type(error).__name__}: {error}") from None


def process_of(found: object) -> Process:
    """The same for the figures of a process alone. Raises ValueError."""
    try:
        return _made(Process, found)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no process: {type(error).__name__}: {error}") from None


def numbers(found: object) -> dict[str, int]:
    """Numbers by name. Raises TypeError for what is none."""
    return {str(key): _whole(count) for key, count in _object(found).items()}


def _made(kind: type[Value], found: object) -> Value:
    have, make = _object(found), _callable(kind)
    return make(
        **{
            one.name: _READ[str(one.type)](have[one.name])
            for one in dataclasses.fields(kind)  # type: ignore[arg-type] # it is a dataclass
            if one.name not in APART
        }
    )


def _callable(kind: type[Value]) -> Callable[..., Value]:
    return kind


def _object(found: object) -> Mapping[str, object]:
    if not isinstance(found, dict):
        raise TypeError(f"{found!r:.40} is no object")
    return found


def _list(found: object) -> list[object]:
    if not isinstance(found, (list, tuple)):
        raise TypeError(f"{found!r:.40} is no list")
    return list(found)


def _whole(found: object) -> int:
    if isinstance(found, bool) or not isinstance(found, int):
        raise TypeError(f"{found!r:.40} is no whole number")
    return found


def _number(found: object) -> float:
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise TypeError(f"{found!r:.40} is no number")
    return found


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError(f"{found!r:.40} is no text")
    return found


def _durations(found: object) -> Durations:
    one = _made(Durations, found)
    if len(one.counts) != len(one.bounds) + 1 or list(one.bounds) != sorted(one.bounds):
        raise TypeError("the buckets are none")
    return one


def _keyed(second: Callable[[object], object]) -> Callable[[object], dict[object, int]]:
    def read(found: object) -> dict[object, int]:
        rows = [_list(row) for row in _list(found)]
        if any(len(row) != 3 for row in rows):
            raise TypeError("a row is not of three")
        return {(_text(row[0]), second(row[1])): _whole(row[2]) for row in rows}

    return read


_READ: Final[Mapping[str, Callable[[object], object]]] = {
    "bool": bool,
    "int": _whole,
    "float": _number,
    "str": _text,
    "int | None": lambda found: None if found is None else _whole(found),
    "Bounds": lambda found: tuple(map(_number, _list(found))),
    "tuple[int, ...]": lambda found: tuple(map(_whole, _list(found))),
    "tuple[str, ...]": lambda found: tuple(map(_text, _list(found))),
    "Mapping[str, int]": numbers,
    "Mapping[str, Mapping[str, int]]": lambda found: {
        name: numbers(one) for name, one in _object(found).items()
    },
    "Mapping[tuple[str, str], int]": _keyed(_text),
    "Mapping[tuple[str, int], int]": _keyed(_whole),
    "Durations": _durations,
    "Workers": lambda found: _made(Workers, found),
    "Account": lambda found: _made(Account, found),
    "Streams": lambda found: _made(Streams, found),
    "Process": lambda found: _made(Process, found),
}
"""By the type of a field, as it is written there: what makes its value of what was told."""
