"""Mutants of the spec: what may be wrong with one row of one machine's table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from statemachine import Arrow, MachineSpec, System
from tests.mutants.mutant import Mutant, read

DELETED = "deleted"
KINDS = (DELETED, "guard", "target", "source", "effect", "sync", "environment")


def mutants(system: System, names: Sequence[str] = ()) -> list[Mutant]:
    """All of them, or those of some arrows, by id, and of some machines' arrows."""
    return [
        mutant
        for machine in system.machines.values()
        for arrow in machine.arrows
        if not names or arrow.id in names or machine.name in names
        for mutant in of_row(system, machine, arrow)
    ]


def of_row(system: System, machine: MachineSpec, arrow: Arrow) -> list[Mutant]:
    """All mutants of one row, its deletion first."""
    path = f"spec/{machine.file}"
    text = read(path)
    start, end = _row(text, arrow)
    row = text[start:end].decode()
    number = text.count(b"\n", 0, start) + 1
    found = [
        Mutant(
            area="spec",
            name=f"{arrow.id} {what}",
            kind=kind,
            path=path,
            start=start,
            end=end,
            new=new.encode(),
            lines=(number, number),
            subject=(machine.name, arrow.id),
        )
        for kind, what, new in _changes(row, system, machine, arrow)
    ]
    return [*found, *(_exchanged(text, path, arrow, other) for other in _others(machine, arrow))]


def _others(machine: MachineSpec, arrow: Arrow) -> list[Arrow]:
    """The rows below that take the guard's other answer, of the same event or of another one."""
    below = machine.arrows[machine.arrows.index(arrow) + 1 :]
    return [
        other
        for other in below
        if other.source == arrow.source
        and (
            (arrow.when and arrow.when == other.unless)
            or (arrow.unless and arrow.unless == other.when)
        )
    ]


def _exchanged(text: bytes, path: str, arrow: Arrow, other: Arrow) -> Mutant:
    """Both rows take the other answer: the table is as sound as it was, and says the contrary."""
    start, end = _row(text, arrow)
    second, end_of_second = _row(text, other)
    rows = [text[start:end].decode(), text[second:end_of_second].decode()]
    turned = [_turned(row, one) for row, one in zip(rows, (arrow, other), strict=True)]
    number = text.count(b"\n", 0, start) + 1
    return Mutant(
        area="spec",
        name=f"{arrow.id} guard exchanged with {other.id}",
        kind="guard",
        path=path,
        start=start,
        end=end_of_second,
        new=turned[0].encode() + text[end:second] + turned[1].encode(),
        lines=(number, number),
        subject=(arrow.machine, arrow.id),
    )


def _turned(row: str, arrow: Arrow) -> str:
    key, other = ("when", "unless") if arrow.when else ("unless", "when")
    return row.replace(f' {key} = "', f' {other} = "')


def _row(text: bytes, arrow: Arrow) -> tuple[int, int]:
    """Where the row stands: one line, its end included."""
    found = re.findall(rb'^ *\{ id = "%s",.*\n' % arrow.id.encode(), text, re.MULTILINE)
    assert len(found) == 1, f"{arrow.id} is not one line of {arrow.machine}.toml"
    start = text.index(found[0])
    return start, start + len(found[0])


def _changes(
    row: str, system: System, machine: MachineSpec, arrow: Arrow
) -> Iterator[tuple[str, str, str]]:
    yield DELETED, "deleted", ""
    for key, other in (("when", "unless"), ("unless", "when")):
        if word := getattr(arrow, key):
            yield "guard", f"without its {key}", _without(row, key)
            yield "guard", f"{other} {word}", _turned(row, arrow)
    for key, present in (("to", arrow.target), ("from", arrow.source)):
        kind = "target" if key == "to" else "source"
        for state in machine.states:
            if state != present:
                new = row.replace(f' {key} = "{present}"', f' {key} = "{state}"')
                yield kind, f"{key} {state}", new
    if arrow.do:
        yield "effect", "without its effect", _without(row, "do")
    yield from _steps(row, system, arrow)
    turned = _without(row, "environment")
    if not arrow.environment:
        turned = row.replace(' why = "', ' environment = true, why = "')
    yield "environment", "environment turned", turned


def _steps(row: str, system: System, arrow: Arrow) -> Iterator[tuple[str, str, str]]:
    """Out of its joint step, or into another one."""
    if arrow.sync is None:
        return
    yield "sync", "without its step", _without(row, "sync")
    for joint in system.joints:
        if joint.id != arrow.sync:
            new = row.replace(f' sync = "{arrow.sync}"', f' sync = "{joint.id}"')
            yield "sync", f"sync {joint.id}", new


def _without(row: str, key: str) -> str:
    return re.sub(rf' {key} = ("[^"]*"|true|false),', "", row, count=1)
