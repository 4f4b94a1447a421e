"""The documents, as tests read them; and those of their parts that are drawn from data.

    python -m tests.house.documents        bring the drawn parts up to date

A drawn part stands between two comments: `drawn:` with its name, and `end`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from statemachine import System, load_system
from statemachine.model import (
    Equal,
    Given,
    LeadsTo,
    Moves,
    NeverTogether,
    OneOwner,
    Sometimes,
)
from tests.house.source import TOP, tracked
from tests.mutants import report

DRAWN = re.compile(r"(?<=<!-- drawn: )(?P<name>.+?) -->\n(?P<text>.*?)(?=<!-- end -->)", re.DOTALL)
BLOCK = re.compile(r"^(?P<pad> *)```(?P<kind>\w*)\n(?P<text>.*?)^ *```$", re.DOTALL | re.MULTILINE)


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    return sorted(path for path in tracked() if path.suffix == ".md")


def blocks(path: Path, kind: str) -> list[str]:
    """The code blocks of one kind."""
    text = path.read_text(encoding="utf-8")
    return [found["text"] for found in BLOCK.finditer(text) if found["kind"] == kind]


def diagram_of_connection(_: System) -> str:
    """The very diagram of docs/states/connection.md."""
    (mermaid,) = blocks(TOP / "docs/states/connection.md", "mermaid")
    return f"\n```mermaid\n{mermaid}```\n\n"


def states_of_connection(system: System) -> str:
    """A table of the states: owner, deadline, meaning."""
    lines = ["| state | owner | at most | means |", "|---|---|---|---|"]
    for state in system.machines["connection"].states.values():
        limit = f"`{state.deadline}`" if state.deadline else ""
        if state.deadline_of:
            limit = f"the {state.deadline_of}'s"
        lines.append(f"| {state.name} | {state.owner or 'nobody'} | {limit} | {state.means} |")
    return "\n" + "\n".join(lines) + "\n\n"


def scores_of_the_mutants(_: System) -> str:
    """What the last runs that were recorded have found."""
    return f"\n{report.table(report.recorded())}\n\n"


def survivors_of_the_mutants(_: System) -> str:
    """The holes that are left open."""
    return f"\n{report.survivors()}\n\n"


RUNGS: dict[type, tuple[str, str, str, str]] = {
    # explored, by SPIN, proved for any number, and judged while real code runs
    Equal: ("yes", "yes", "yes", "yes"),
    NeverTogether: ("yes", "yes", "yes", "yes"),
    Given: ("yes", "yes", "yes", ""),
    OneOwner: ("yes", "", "yes", "threads"),
    Moves: ("yes", "", "", ""),
    LeadsTo: ("small bounds", "small bounds", "", ""),
    Sometimes: ("yes", "", "", ""),
}
"""By kind of property, where it is judged. `tests/house/test_docs.py` holds this to the code."""


def properties_by_rung(system: System) -> str:
    """Each property, and which of the rungs judge it."""
    lines = [
        "| property | says | explored | SPIN | proved for any number | while real code runs |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{one.id}` | {one.english} | {' | '.join(RUNGS[type(one)])} |"
        for one in system.properties
    ]
    return "\n" + "\n".join(lines) + "\n\n"


PARTS: dict[str, Callable[[System], str]] = {
    "diagram of connection": diagram_of_connection,
    "states of connection": states_of_connection,
    "properties by rung": properties_by_rung,
    "scores of the mutants": scores_of_the_mutants,
    "survivors of the mutants": survivors_of_the_mutants,
}


def up_to_date(text: str) -> str:
    """A document's text, with its drawn parts as they should be. Raises KeyError for others."""
    system = load_system()
    return DRAWN.sub(lambda one: f"{one['name']} -->\n{PARTS[one['name']](system)}", text)


def main() -> None:
    """Rewrite what is out of date."""
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if (new := up_to_date(text)) != text:
            path.write_text(new, encoding="utf-8")
            print(f"wrote {path.relative_to(TOP)}")


if __name__ == "__main__":
    main()
