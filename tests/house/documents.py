"""The documents, as tests read them; and those of their parts that are drawn from the spec.

    python -m tests.house.documents        bring the drawn parts up to date

A drawn part stands between two comments: `drawn:` with its name, and `end`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from statemachine import System, load_system
from tests.house.source import TOP, tracked

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


PARTS: dict[str, Callable[[System], str]] = {
    "diagram of connection": diagram_of_connection,
    "states of connection": states_of_connection,
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
