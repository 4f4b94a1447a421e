"""A machine as a Mermaid state diagram, which forges render within Markdown."""

from __future__ import annotations

from statemachine.model import MachineSpec
from statemachine.svg import NOBODY, ROOMS, room


def diagram(spec: MachineSpec) -> str:
    """One machine as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    owners: dict[str, list[str]] = {}
    for state in spec.states.values():
        owners.setdefault(room(state.owner), []).append(state.name)
        lines.append(f"    {state.name} : {label(state.name)}")
        limit = state.deadline or (f"the {state.deadline_of}'s" if state.deadline_of else None)
        if limit:
            lines.append(f"    {state.name} : ≤ {label(limit)}")
    lines.append(f"    [*] --> {spec.initial}")
    for arrow in spec.arrows:
        world = " ⚡" if arrow.environment else ""
        lines.append(
            f"    {arrow.source} --> {arrow.target} : {label(f'{arrow.id} {arrow.label}')}{world}"
        )
    lines += [f"    {name} --> [*]" for name in spec.final]
    for owner, names in owners.items():
        fill, line = ROOMS.get(owner, NOBODY)[:2]
        lines.append(
            f"    classDef owner_{owner.replace('-', '_')} fill:{fill},stroke:{line},color:#1c2329"
        )
        lines.append(f"    class {','.join(names)} owner_{owner.replace('-', '_')}")
    return "\n".join(lines)


def label(text: str) -> str:
    """Text that Mermaid takes as a label: what has a meaning in its grammar becomes an entity."""
    marks = {'"': "#quot;", "#": "#35;", ":": "#58;", ";": "#59;", "<": "#lt;", ">": "#gt;"}
    marks |= {"{": "#123;", "}": "#125;", "%": "#37;", "\n": " "}
    return "".join(marks.get(mark, mark) for mark in text)
