"""What a trace is: every arrow of every object of a process, in one order, and how that was kept.

Two forms say the same: `chunks` is compact, and written while a server runs; `lines` is for people
and for other programs. The rows are those of `noting`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from statemachine.errors import StateMachineError
from statemachine.model import Arrow, Place, System
from statemachine.noting import ARROWS_MAX, Row

VERSION: Final = 1


class TraceError(StateMachineError):
    """A file that is no trace, or a damaged one, or one of another spec.

    The message is one line: the file, the place (a byte or a line), and what was expected there.
    """

    def __init__(self, file: Path, place: str, says: str) -> None:
        super().__init__(f"{file}: {place}: {says}" if place else f"{file}: {says}")


class Header(NamedTuple):
    """What a trace says of itself. `arrows` are numbered by their places.

    `whole`: it begins with the process's first object. If not, objects may have moved before, and
    the first arrow of each says where it was. `about` is for people: who wrote it, when, and why.
    """

    spec: str
    arrows: tuple[str, ...]
    whole: bool
    about: Mapping[str, str] = MappingProxyType({})


class Ending(NamedTuple):
    """How a trace ends that was ended by its writer.

    `rows` is how many it has. `taken` is how often each arrow was taken, by a count of its own, and
    `living` the number of objects of some machines that had not come to a final state, by what the
    process found when it looked; None where it could not tell. `says` is for people.
    """

    rows: int
    taken: Mapping[str, int] | None = None
    living: Mapping[str, int] | None = None
    says: str = ""


@dataclass(slots=True)
class Trace:
    """A trace that is being read; `blocks` may be run through once.

    Each block is the number of its first row, and its rows. When the blocks are through, `ending`
    is how the writer ended it, or None, and then `cut` says how it ends instead.
    """

    file: Path
    header: Header
    blocks: Iterator[tuple[int, Iterable[Row]]]
    threads: dict[int, str] = field(default_factory=dict)
    ending: Ending | None = None
    cut: str = ""


def digest(system: System) -> str:
    """Sixteen digits for what the spec says; its words and its reasons do not count."""
    import hashlib  # noqa: PLC0415 - it loads a cryptographic library, and most lives end without

    if system.known_digest:
        return system.known_digest
    machines = [
        [name, one.initial, one.final, list(one.states), [_essence(arrow) for arrow in one.arrows]]
        for name, one in system.machines.items()
    ]
    joints = [[one.id, one.under, one.groups] for one in system.joints]
    properties = [
        {key: repr(_plain(value)) for key, value in one._asdict().items() if key != "english"}
        for one in system.properties
    ]
    ledger = system.ledger._asdict() if system.ledger else None
    said = json.dumps([machines, joints, properties, ledger], default=dict)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """A part of a property as values that Python itself knows."""
    if isinstance(value, Place):
        return value._asdict()
    if isinstance(value, tuple):
        return tuple(_plain(one) for one in value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _essence(arrow: Arrow) -> list[str | None]:
    moves = [arrow.id, arrow.source, arrow.event, arrow.target]
    return [*moves, arrow.when, arrow.unless, arrow.do, arrow.sync]


# --- as JSON objects, which both forms have for what is no row ---------------------------------


def header_said(header: Header) -> dict[str, object]:
    """A header as a JSON object."""
    return {
        "trace": VERSION,
        "spec": header.spec,
        "whole": header.whole,
        "about": dict(header.about),
        "arrows": list(header.arrows),
    }


def header_heard(file: Path, place: str, said: Mapping[str, object]) -> Header:
    """A header from its JSON object. Raises TraceError."""
    if said.get("trace") != VERSION:
        says = f"the trace's version is {said.get('trace')!r}, expected {VERSION}"
        raise TraceError(file, place, says)
    spec, whole, arrows, about = (said.get(key) for key in ("spec", "whole", "arrows", "about"))
    if (
        not isinstance(spec, str)
        or not isinstance(whole, bool)
        or not isinstance(arrows, list)
        or not all(isinstance(one, str) for one in arrows)
        or len(arrows) > ARROWS_MAX
        or not isinstance(about, dict)
    ):
        raise TraceError(file, place, "expected a trace's spec, whole, about and arrows")
    told = {str(key): str(value) for key, value in about.items()}
    return Header(spec, tuple(arrows), whole, told)


def ending_said(ending: Ending) -> dict[str, object]:
    """An ending as a JSON object."""
    taken, living = ending.taken, ending.living
    return {
        "rows": ending.rows,
        "taken": None if taken is None else dict(taken),
        "living": None if living is None else dict(living),
        "says": ending.says,
    }


def ending_heard(file: Path, place: str, said: Mapping[str, object]) -> Ending:
    """An ending from its JSON object. Raises TraceError."""
    rows, says = said.get("rows"), said.get("says")
    if not isinstance(rows, int) or not isinstance(says, str):
        raise TraceError(file, place, "expected the number of rows, and what the writer says")
    taken = _counts(file, place, said.get("taken"))
    return Ending(rows, taken, _counts(file, place, said.get("living")), says)


def threads_heard(file: Path, place: str, said: Mapping[str, object]) -> dict[int, str]:
    """Threads' names by ident, from a JSON object. Raises TraceError."""
    if not all(ident.isdecimal() for ident in said):
        raise TraceError(file, place, "expected threads' names by their idents")
    return {int(ident): str(name) for ident, name in said.items()}


def _counts(file: Path, place: str, said: object) -> dict[str, int] | None:
    if said is None:
        return None
    if not isinstance(said, dict) or not all(isinstance(one, int) for one in said.values()):
        raise TraceError(file, place, "expected numbers by name")
    return said
