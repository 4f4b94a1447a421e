"""What graphviz is given: one machine's diagram, and the one of the whole system."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import pairwise
from typing import Final

from statemachine.model import Arrow, MachineSpec, State, System
from statemachine.svg import Drawing, room

HEAD: Final = [
    '  bgcolor="transparent"; fontname="Arial"; fontsize=12; pad=0.15;',
    '  node [fontname="Arial", fontsize=13, shape=box, style=rounded, margin="0.16,0.09"];',
    '  edge [fontname="Arial", fontsize=11, arrowsize=0.7];',
]

INDENT: Final = "&#160;" * 4


def machine_drawing(spec: MachineSpec, system: System) -> Drawing:
    """The diagram of one machine: each state a node, each row of its table an arrow.

    Rows between the same two states share one line, which has a label for each: a machine with
    many ways to end stays readable. The world's doing has a line of its own, which is dashed.
    """
    ways = _ways(spec)
    lines = [f"digraph {quoted(spec.name)} {{", "  rankdir=TB; nodesep=0.1; ranksep=0.45;", *HEAD]
    lines.append('  start [id="start", class="start", shape=point, width=0.12];')
    lines += [_node(spec, state) for state in spec.states.values()]
    lines.append(f'  start -> {quoted(spec.initial)} [id="initial"];')
    lines += [_way(arrows) for arrows in ways]
    lines.append("}")
    return Drawing(
        title=f"The state machine {spec.name}",
        description=f"{spec.means} {len(spec.states)} states, {len(spec.arrows)} arrows.",
        dot="\n".join(lines) + "\n",
        hints={
            **{f"state-{s.name}": state_hint(s, system) for s in spec.states.values()},
            **{f"arrow-{a.id}": arrow_hint(a) for a in spec.arrows},
            **{_way_id(arrows): "\n".join(map(arrow_hint, arrows)) for arrows in ways},
            "initial": f"Begins in {spec.initial}.",
        },
        legend=_legend(spec),
    )


def live_drawing(spec: MachineSpec, system: System, *, narrow: bool = False) -> Drawing:
    """The diagram of one machine as the dashboard shows it: no words but the states' names, each
    with a free line beneath for the number that is in it, so that all fits beside the instruments.
    A `narrow` one, for a phone, has one state in a row, and is read downwards.
    """
    ways = _ways(spec)
    apart = "nodesep=0.1; ranksep=0.45;" if narrow else "nodesep=0.3; ranksep=0.4;"
    size = 'margin="0.1,0.05", width=1.3' if narrow else 'margin="0.14,0.05", width=1.5'
    lines = [f"digraph {quoted(spec.name)} {{", f"  rankdir=TB; {apart}", *HEAD]
    lines.append(f"  node [fontsize=15, {size}, height=0.62];")
    lines.append('  start [id="start", class="start", shape=point, width=0.12, height=0.12];')
    for state in spec.states.values():
        # An empty row of a label has the height of its font, and no width.
        label = f'<b>{escape(state.name)}</b><br/><font point-size="17">&#160;</font>'
        lines.append(_box(spec, state, label))
    lines.append(f'  start -> {quoted(spec.initial)} [id="initial"];')
    lines += [_line(arrows) + "];" for arrows in ways]
    if narrow:
        lines += _rows(spec)
    lines.append("}")
    return Drawing(
        title=f"The state machine {spec.name}",
        description=f"{spec.means} {len(spec.states)} states, {len(spec.arrows)} arrows.",
        dot="\n".join(lines) + "\n",
        hints={
            **{f"state-{s.name}": state_hint(s, system) for s in spec.states.values()},
            **{_way_id(arrows): "\n".join(map(arrow_hint, arrows)) for arrows in ways},
            "initial": f"Begins in {spec.initial}.",
        },
        legend=_legend(spec),
    )


def _rows(spec: MachineSpec) -> Iterator[str]:
    """Lines that nobody sees, from each state to the next: so each comes to have a row of its own,
    in the order of the table, the final ones at the end.
    """
    names = sorted(spec.states, key=lambda name: name in spec.final)
    for name, other in pairwise(names):
        yield f"  {quoted(name)} -> {quoted(other)} [style=invis];"


def state_hint(state: State, system: System) -> str:
    """What a state means, whose it is and how long it may last, in one line."""
    text = f"{state.name}: {state.means}"
    if state.owner:
        text += f" Owner: {state.owner}."
    if state.waits_for:
        text += f" Waits for: {state.waits_for}."
    if state.deadline:
        means = system.vocabulary.deadlines.get(state.deadline, "")
        text += f" At most {state.deadline}: {means}"
    if state.rate:
        means = system.vocabulary.rates.get(state.rate, "")
        text += f" Moved by {state.rate}: {means}"
    if state.deadline_of:
        text += f" Its deadline is that of the {state.deadline_of}."
    return text


def arrow_hint(arrow: Arrow) -> str:
    """An arrow's row and its reason, in one line."""
    return f"{arrow.id}: {arrow.source} → {arrow.target} on {arrow.label}. {arrow.why}"


def quoted(text: str) -> str:
    """A quoted string of the DOT language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _node(spec: MachineSpec, state: State) -> str:
    label = f"<b>{escape(state.name)}</b>"
    limit = state.deadline or (f"the {state.deadline_of}'s" if state.deadline_of else None)
    if limit:
        label += f'<br/><font point-size="10">≤ {escape(limit)}</font>'
    return _box(spec, state, label)


def _box(spec: MachineSpec, state: State, label: str) -> str:
    classes = ["state", f"owner-{room(state.owner)}"]
    rim = ""
    if state.name == spec.initial:
        classes.append("initial")
    if state.name in spec.final:
        classes.append("final")
        rim = ", peripheries=2"
    return (
        f'  {quoted(state.name)} [id="state-{state.name}", class="{" ".join(classes)}"'
        f"{rim}, label=<{label}>];"
    )


def _ways(spec: MachineSpec) -> list[tuple[Arrow, ...]]:
    """The arrows that share a line, in the order of the table."""
    ways: dict[tuple[str, str, bool], list[Arrow]] = {}
    for arrow in spec.arrows:
        ways.setdefault((arrow.source, arrow.target, arrow.environment), []).append(arrow)
    return [tuple(arrows) for arrows in ways.values()]


def _way_id(arrows: tuple[Arrow, ...]) -> str:
    """One arrow's line is the arrow; of a line that several share, each label is one."""
    return ("way-" if arrows[1:] else "arrow-") + "-".join(arrow.id for arrow in arrows)


def _way(arrows: tuple[Arrow, ...]) -> str:
    first = arrows[0]
    label = _label(first)
    if arrows[1:]:
        # Only with a link does graphviz write a row's id down; `svg.dress` takes the link away.
        rows = (
            f'<tr><td align="left" balign="left" id="arrow-{a.id}" href="-">{_label(a)}</td></tr>'
            for a in arrows
        )
        plain = 'border="0" cellborder="0" cellspacing="0" cellpadding="0"'
        label = f"<table {plain}>{''.join(rows)}</table>"
    return _line(arrows) + f", label=<{label}>];"


def _line(arrows: tuple[Arrow, ...]) -> str:
    """A line of the DOT language but for its label and its end."""
    first = arrows[0]
    kind = "arrow environment" if first.environment else "arrow"
    return (
        f"  {quoted(first.source)} -> {quoted(first.target)} "
        f'[id="{_way_id(arrows)}", class="{kind}"'
    )


def _label(arrow: Arrow) -> str:
    # The blank in front keeps the words off the arrow's own line; more of them set what belongs to
    # the event off from the next arrow's.
    parts = [f"&#160;<b>{arrow.id}&#160;</b>{escape(arrow.event)}"]
    if arrow.when:
        parts.append(f"{INDENT}[{escape(arrow.when)}]")
    if arrow.unless:
        parts.append(f"{INDENT}[not {escape(arrow.unless)}]")
    if arrow.do:
        parts.append(f"{INDENT}/ {escape(arrow.do)}")
    return "".join(f'{part}&#160;<br align="left"/>' for part in parts)


def _legend(spec: MachineSpec) -> tuple[tuple[str, str], ...]:
    owners = dict.fromkeys(state.owner for state in spec.states.values() if state.owner)
    return (*((room(name), f"owner: {name}") for name in owners), ("nobody", "over"))


# --- the system --------------------------------------------------------------------------------


def system_drawing(system: System) -> Drawing:
    """The walk from room to room, and the machines with their joint steps."""
    walker = walking_machine(system)
    lines = [f"digraph {quoted(system.name)} {{", "  rankdir=LR; nodesep=0.3; ranksep=0.6;", *HEAD]
    lines += [*_machines(system), *_relations(system), *_joints(system), *_walk(walker), "}"]
    rooms = dict.fromkeys(state.owner for state in walker.states.values() if state.owner)
    return Drawing(
        title=f"The system {system.name}",
        description=(
            f"One {walker.name} walks from room to room; {len(system.machines)} machines, "
            f"and the {len(system.joints)} joint steps that bind them."
        ),
        dot="\n".join(lines) + "\n",
        hints={
            **{f"state-{s.name}": state_hint(s, system) for s in walker.states.values()},
            **{f"machine-{m.name}": f"{m.name}: {m.means}" for m in system.machines.values()},
            **{f"joint-{j.id}": f"{j.id}, under the {j.under}: {j.why}" for j in system.joints},
        },
        legend=tuple((room(name), f"owner: {name}") for name in rooms),
    )


def walking_machine(system: System) -> MachineSpec:
    """The machine whose objects change hands most: more of its arrows than of any other's lead
    from one owner to another.
    """
    return max(system.machines.values(), key=lambda m: sum(_changes_hands(m, a) for a in m.arrows))


def _changes_hands(spec: MachineSpec, arrow: Arrow) -> bool:
    before, after = spec.states[arrow.source].owner, spec.states[arrow.target].owner
    return before is not None and after is not None and before != after


def _walk(spec: MachineSpec) -> Iterator[str]:
    yield "  subgraph cluster_walk {"
    yield '  id="walk"; style="invis";'
    for owner in dict.fromkeys(state.owner for state in spec.states.values() if state.owner):
        yield f"  subgraph {quoted('cluster_' + owner)} {{"
        yield f'    id="room-{room(owner)}"; class="room owner-{room(owner)}";'
        yield f'    label={quoted(owner)}; style="rounded"; margin=12;'
        yield from (_node(spec, s) for s in spec.states.values() if s.owner == owner)
        yield "  }"
    yield from (_node(spec, s) for s in spec.states.values() if not s.owner)
    ends: dict[tuple[str, str], list[str]] = {}
    for arrow in spec.arrows:
        ends.setdefault((arrow.source, arrow.target), []).append(arrow.event)
    for (source, target), events in ends.items():
        # How a walk may be cut short is told by the machine's own diagram.
        text = "" if target in spec.final else "<br/>".join(dict.fromkeys(map(escape, events)))
        kind = "short" if target in spec.final else "walk"
        yield (
            f"  {quoted(source)} -> {quoted(target)} "
            f'[id="walk-{source}-{target}", class="{kind}", label=<{text}>];'
        )
    yield "  }"


def _machines(system: System) -> Iterator[str]:
    for spec in system.machines.values():
        size = f"{len(spec.states)} states, {len(spec.arrows)} arrows"
        label = f'<b>{escape(spec.name)}</b><br/><font point-size="10">{size}</font>'
        yield (
            f"  {quoted('machine ' + spec.name)} "
            f'[id="machine-{spec.name}", class="machine", label=<{label}>];'
        )


def _relations(system: System) -> Iterator[str]:
    """Whose states another machine's objects own, and for whom they wait."""
    for spec in system.machines.values():
        for word, names in (
            ("owned by", [state.owner for state in spec.states.values()]),
            ("waits for", [state.waits_for for state in spec.states.values()]),
        ):
            for name in dict.fromkeys(names):
                if name in system.machines and name != spec.name:
                    yield (
                        f"  {quoted('machine ' + spec.name)} -> {quoted(f'machine {name}')} "
                        f'[class="{word.split()[0]}", label={quoted(word)}];'
                    )


def _joints(system: System) -> Iterator[str]:
    arrows = system.arrows
    for joint in system.joints:
        here = quoted("joint " + joint.id)
        yield (
            f'  {here} [id={quoted("joint-" + joint.id)}, class="joint", shape=ellipse, style="", '
            f"label={quoted(joint.id)}];"
        )
        for number, group in enumerate(joint.groups):
            there = quoted("machine " + arrows[group[0]].machine)
            ends = f"{here} -> {there}" if number else f"{there} -> {here}"
            yield f'  {ends} [class="part", dir=none, label={quoted(" or ".join(group))}];'
