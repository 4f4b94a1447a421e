"""The pages of docs/states/: each machine's rules, diagram and tables, in Markdown.

The diagrams are Mermaid, which forges render; where nothing does, the tables say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from statemachine import mermaid
from statemachine.model import (
    Arrow,
    Equal,
    Given,
    Joint,
    LeadsTo,
    Ledger,
    MachineSpec,
    Moves,
    NeverTogether,
    OneOwner,
    Place,
    Property,
    Sometimes,
    State,
    System,
)
from statemachine.projection import machines_of
from statemachine.wording import said

NOTICE: Final = "<!-- Drawn from spec/{} by `python -m statemachine draw`; do not edit. -->"


def page(spec: MachineSpec, system: System) -> str:
    """One machine's page."""
    lines = [
        NOTICE.format(spec.file),
        "",
        f"# {spec.name}",
        "",
        prose(spec.means),
        "",
        (
            f"Spec: [`spec/{spec.file}`](../../spec/{spec.file})."
            f" Picture: [`{spec.name}.svg`](../../html/diagrams/{spec.name}.svg)."
            f" Events are fired by: {spec.driven_by}."
            f" [How to read this](README.md#how-to-read-a-diagram)."
        ),
        "",
        "## Diagram",
        "",
        "```mermaid",
        mermaid.diagram(spec),
        "```",
        "",
        "## Rules",
        "",
        *_opening(spec),
        "",
        "## States",
        "",
        *_states(spec),
        "",
        "## Arrows",
        "",
        *_arrows(spec, system),
        "",
    ]
    return "\n".join([*lines, *_company(spec, system)]) + "\n"


def prose(text: str) -> str:
    """Text of the spec as Markdown; what would be a tag, or end a table's cell, is escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")


def formal(one: Property) -> str:
    """A property as a checker reads it."""
    if isinstance(one, Equal):
        return f"always: {_counted(one.left)} = {_counted(one.right)}"
    if isinstance(one, NeverTogether):
        return f"never together: {_listed(one.places, 'and')}"
    if isinstance(one, LeadsTo):
        return f"`{one.source}` leads to {_listed(one.targets, 'or')}"
    if isinstance(one, Sometimes):
        return f"sometimes: {one.arrow} is taken"
    return _formal_of_all(one)


def _formal_of_all(one: Given | OneOwner | Moves) -> str:
    """Of those that speak of whole situations."""
    if isinstance(one, OneOwner):
        return f"always: one owner at most can move a {one.machine}"
    if isinstance(one, Moves):
        return "always: a step that awaits nobody can be taken, or the composition's `rest` holds"
    given = f"where {said(one.given)}: " if one.given else ""
    return f"always: {given}{said(one.hold)}"


def _counted(places: tuple[Place, ...]) -> str:
    return " + ".join(f"number in `{place}`" for place in places)


def _listed(places: tuple[Place, ...], word: str) -> str:
    return f" {word} ".join(f"`{place}`" for place in places)


def _opening(spec: MachineSpec) -> Iterator[str]:
    """The comment that opens the spec file: its drawing as it is, its rules as a list."""
    drawing, _, rules = spec.drawing.partition("Rules:\n")
    _, _, drawing = drawing.partition("\n")
    if rules.strip():
        yield from rules.strip().replace("<", "&lt;").splitlines()
        yield ""
    if drawing.strip():
        yield from ["As the spec file draws it:", "", "```text", *drawing.strip("\n").split("\n")]
        yield "```"


def _states(spec: MachineSpec) -> Iterator[str]:
    yield from _table(
        ["state", "means", "owner", "waits for", "deadline", "requires"],
        ([_named(spec, s), prose(s.means), *_waits(s), _conditions(s)] for s in _all(spec)),
    )


def _all(spec: MachineSpec) -> Iterable[State]:
    return spec.states.values()


def _named(spec: MachineSpec, state: State) -> str:
    marks = ["initial"] * (state.name == spec.initial) + ["final"] * (state.name in spec.final)
    return f"**{state.name}**" + (f" ({', '.join(marks)})" if marks else "")


def _waits(state: State) -> list[str]:
    limit = f"`{state.deadline}`" if state.deadline else ""
    if state.rate:
        limit += f", moved by `{state.rate}`"
    if state.deadline_of:
        limit = f"that of the [{state.deadline_of}]({state.deadline_of}.md)"
    if state.then:
        limit += f", then `{state.then}`"
    return [prose(state.owner or "nobody"), prose(state.waits_for or ""), limit]


def _conditions(state: State) -> str:
    wants = [f"`{state.requires}`"] if state.requires else []
    return ", ".join(wants + ([f"not `{state.forbids}`"] if state.forbids else []))


def _arrows(spec: MachineSpec, system: System) -> Iterator[str]:
    """The table of arrows; a column that none of them fills is left out."""
    terms = _terms(system.ledger)
    columns: list[tuple[str, list[str]]] = [
        ("id", [f'<a id="{a.id}"></a>{a.id}' for a in spec.arrows]),
        ("from", [a.source for a in spec.arrows]),
        ("event [guard] / effect", [f"`{a.label}`" for a in spec.arrows]),
        ("to", [a.target for a in spec.arrows]),
        ("why", [prose(a.why) for a in spec.arrows]),
        ("[ledger](README.md#ledger)", [terms.get(a.id, "") for a in spec.arrows]),
        ("joint step", [a.sync or "" for a in spec.arrows]),
        ("environment", ["the world's doing" if a.environment else "" for a in spec.arrows]),
    ]
    filled = [(head, cells) for head, cells in columns if any(cells)]
    rows = zip(*(cells for _, cells in filled), strict=True)
    yield from _table([head for head, _ in filled], map(list, rows))


def _terms(ledger: Ledger | None) -> dict[str, str]:
    """Under which term each arrow is counted."""
    if ledger is None:
        return {}
    settled = {arrow: term for term, arrows in ledger.settled.items() for arrow in arrows}
    return {**dict.fromkeys(ledger.accepted, "accepted"), **settled}


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _company(spec: MachineSpec, system: System) -> Iterator[str]:
    """What the machine does with others."""
    mine = {arrow.id for arrow in spec.arrows}
    joints = [j for j in system.joints if any(mine.intersection(group) for group in j.groups)]
    properties = [p for p in system.properties if spec.name in machines_of(p, system.arrows)]
    if joints:
        yield from ["## Joint steps", "", *_joints(joints, system), ""]
    if properties:
        yield from ["## Properties", "", *_properties(properties), ""]
    others = [f"[{name}]({name}.md)" for name in system.machines if name != spec.name]
    yield from ["## Other machines", "", f"[All of them](README.md), {', '.join(others)}."]


def _joints(joints: Iterable[Joint], system: System) -> Iterator[str]:
    arrows = system.arrows
    yield from _table(
        ["joint step", "under", "one arrow of each", "why"],
        (
            [
                f"**{j.id}**",
                prose(j.under),
                "; ".join(
                    " or ".join(_linked(arrows[name]) for name in group if name in arrows)
                    for group in j.groups
                ),
                prose(j.why),
            ]
            for j in joints
        ),
    )


def _linked(arrow: Arrow) -> str:
    return f"[{arrow.id}]({arrow.machine}.md#{arrow.id}) `{arrow.machine}.{arrow.event}`"


def _properties(properties: Iterable[Property]) -> Iterator[str]:
    yield from _table(
        ["property", "says", "checked as"],
        ([f"**{p.id}**", prose(p.english), formal(p)] for p in properties),
    )


# --- the index ---------------------------------------------------------------------------------

READING: Final = """\
## How to read a diagram

- A box is a state. Its colour is its owner: the one room whose thread may fire the object's events.
  States that are over have two rims, and nobody owns them.
- `≤ limit` in a box: the object waits there for somebody outside, at most so long. The limit is a
  field of `server.config.Config`; when it has passed, the event that the table names is fired.
- An arrow is a row of the spec's table: its id, its event, its `[guard]` and its `/ effect`. In
  the pictures, arrows between the same two states share a line. An event without an arrow in a
  state is refused with an error, never ignored.
- A dashed arrow (⚡ in Mermaid) is the world's doing: a peer that goes, a thread that dies. It may
  happen at any time, and nothing that is proved relies on it to happen.
- A joint step takes arrows of two machines as one, under one lock.
- Where the pictures are shown by a browser, a state or an arrow under the pointer says what it
  means.
"""


def _ledger(system: System, ledger: Ledger) -> Iterator[str]:
    """The equation that the ledger's check proves, and the arrows behind each term."""
    name = ledger.machine
    events = {arrow.id: arrow.event for arrow in system.machines[name].arrows}
    rows = {"accepted": ledger.accepted, **ledger.settled}
    yield from [
        "## Ledger",
        "",
        (
            f"What becomes of everything that a [{name}]({name}.md) accepts."
            " Each of these arrows is counted when it is taken, and at every moment"
        ),
        "",
        f"> **accepted = {' + '.join([*ledger.settled, 'open'])}**",
        "",
        *_table(
            ["term", "how often one of these arrows was taken"],
            (
                [f"**{term}**", ", ".join(f"[{a}]({name}.md#{a}) `{events[a]}`" for a in arrows)]
                for term, arrows in rows.items()
            ),
        ),
        "",
        (
            f"**open** is the number of objects in {', '.join(f'`{one}`' for one in ledger.open)}."
            " That the two sides are equal is checked without a run: see"
            " [the ledger](../../spec/README.md#the-ledger) in the spec language."
        ),
        "",
    ]


def index(system: System) -> str:
    """The page of the whole system."""
    bounds = sorted({key for bound in system.bounds.values() for key in bound})
    lines = [
        NOTICE.format("system.toml"),
        "",
        "# The state machines",
        "",
        (
            "Drawn from the [spec](../../spec/README.md), which also drives the code."
            " Picture of them all: [`system.svg`](../../html/diagrams/system.svg)."
        ),
        "",
        *_table(
            ["machine", "means", "states", "arrows", "fired by"],
            (
                [
                    f"[{m.name}]({m.name}.md)",
                    prose(m.means),
                    str(len(m.states)),
                    str(len(m.arrows)),
                    m.driven_by,
                ]
                for m in system.machines.values()
            ),
        ),
        "",
        READING,
        "## Joint steps",
        "",
        *_joints(system.joints, system),
        "",
        "## Properties",
        "",
        *_properties(system.properties),
        "",
        *(_ledger(system, system.ledger) if system.ledger else ()),
        "## Bounds",
        "",
        "How many of each an exploration of the whole system has.",
        "",
        *_table(
            ["bounds", *bounds],
            (
                [f"**{name}**", *(str(bound.get(key, "")) for key in bounds)]
                for name, bound in system.bounds.items()
            ),
        ),
    ]
    return "\n".join(lines) + "\n"
