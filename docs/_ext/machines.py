"""A machine's page: what `statemachine draw` writes, with its picture, its words and its places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from docs._ext.drawings import inline
from docs._ext.fired import Firings, Place
from docs._ext.linking import anchor, listing
from statemachine import MachineSpec, System
from statemachine.model import Word
from statemachine.pages import prose

MERMAID: Final = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)
_BEFORE: Final = re.compile(r"^## (?:Joint steps|Properties|Other machines)$", re.MULTILINE)


def machine_page(top: Path, text: str, spec: MachineSpec, system: System, fired: Firings) -> str:
    """The text of docs/states/NAME.md, for the site."""
    page = f"states/{spec.name}"
    text = MERMAID.sub(lambda _: inline(top, spec.name), text, count=1)
    more = "\n".join([*_words(spec, system), *_fired(spec, fired, page)])
    place = _BEFORE.search(text)
    assert place is not None, "every page ends with the other machines"
    return text[: place.start()] + more + "\n" + text[place.start() :]


def index_page(top: Path, text: str) -> str:
    """The text of docs/states/README.md, with the picture of all machines."""
    head, _, rest = text.partition("\n## ")
    return f"{head}\n{inline(top, 'system', 'README.html')}\n## {rest}"


def _words(spec: MachineSpec, system: System) -> Iterator[str]:
    """The guards and effects of the machine, with their meanings."""
    words = system.vocabulary
    kinds: tuple[tuple[str, Mapping[str, Word]], ...] = (
        ("guard", words.guards),
        ("effect", words.effects),
        ("condition", words.conditions),
    )
    mine = [
        (kind, word)
        for kind, table in kinds
        for word in table.values()
        if word.machine == spec.name
    ]
    if not mine:
        return
    yield from ["## Guards and effects", ""]
    yield from ["| word | is a | means | concerns |", "|---|---|---|---|"]
    for kind, word in mine:
        where = _concerned(spec, kind, word.name)
        yield f"| `{word.name}` | {kind} | {prose(word.means)} | {where} |"
    yield ""


def _concerned(spec: MachineSpec, kind: str, name: str) -> str:
    if kind == "condition":
        states = [s.name for s in spec.states.values() if name in (s.requires, s.forbids)]
        return ", ".join(f"`{state}`" for state in states)
    arrows = [a.id for a in spec.arrows if name in (a.when, a.unless, a.do)]
    return ", ".join(anchor(one, f"#{one}") for one in arrows)


def _fired(spec: MachineSpec, fired: Firings, page: str) -> Iterator[str]:
    """Where each event is fired."""
    yield from [
        "## Where events are fired",
        "",
        "Found by reading the code: each place that calls the event, or hands it on to be called.",
        "",
        "| event | arrows | fired in |",
        "|---|---|---|",
    ]
    for event in spec.events:
        arrows = ", ".join(anchor(a.id, f"#{a.id}") for a in spec.arrows if a.event == event)
        places = "<br>".join(_place(one, page) for one in fired[spec.name, event])
        yield f"| `{event}` | {arrows} | {places} |"
    yield ""


def _place(one: Place, page: str) -> str:
    short = one.file.removeprefix("server/")
    return anchor(f"<code>{one.function}</code>", listing(one.file, page, one.line)) + (
        f" in {short}, line {one.line}"
    )
