"""The site's sources, as Sphinx reads them: every document, and what is made from code and spec."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docs._ext import commands, options
from docs._ext.contents import ELSEWHERE, INSIDE, inner_toctree, toctrees
from docs._ext.drawings import PICTURES, inline, stylesheet
from docs._ext.fired import firings
from docs._ext.linking import ANCHOR, Site, relinked
from docs._ext.machines import MERMAID, index_page, machine_page
from statemachine import System, load_system, mermaid

TOP: Final = Path(__file__).parents[2]
INDEX: Final = f"{INSIDE}README"
ROOMS: Final = ("benchmarks", "html", "server", "spec", "statemachine", "tests")
"""Where documents lie that are no part of docs/."""

UNBUILT: Final = ("_build", "_ext", "_static")
PLACED: Final = re.compile(r"<!-- placed: (?P<what>\w+)(?: (?P<name>\w+))? -->\n")

MADE: Final[Mapping[str, Callable[[Path, System], str]]] = {
    "reference/configuration": options.configuration,
    "reference/command-line": commands.command_line,
}
"""Pages that no document is: the site's names of them, and what makes them."""

IMAGES: Final = "docs/images"
"""Pictures that Sphinx copies as they are, to the site's root."""

CHARTS: Final = ("benchmarks/results/speed.svg",)
"""Pictures that lie elsewhere."""


@dataclass(frozen=True, slots=True)
class Staged:
    """All of it: the pages' texts by name, the files to list, and other files by path."""

    pages: Mapping[str, str]
    listed: tuple[str, ...]
    files: Mapping[str, str]


def documents(top: Path) -> dict[str, str]:
    """By its path in the project, the page of every document that the site has."""
    own = sorted(path for path in (top / "docs").rglob("*.md") if not _is_unbuilt(path, top))
    found = {path.relative_to(top).as_posix(): _page_of(path, top) for path in own}
    others = [*top.glob("*.md"), *(one for room in ROOMS for one in (top / room).rglob("*.md"))]
    names = sorted(path.relative_to(top).as_posix() for path in others)
    return found | {name: ELSEWHERE.get(name) or _slug(name) for name in names}


def _slug(name: str) -> str:
    """`tests/corpus/README.md` → `tests-corpus`."""
    return name.removesuffix(".md").removesuffix("/README").replace("/", "-").lower()


def _is_unbuilt(path: Path, top: Path) -> bool:
    return path.relative_to(top / "docs").parts[0] in UNBUILT


def _page_of(path: Path, top: Path) -> str:
    return path.relative_to(top / "docs").with_suffix("").as_posix()


def stage(top: Path = TOP, system: System | None = None) -> Staged:
    """Make the sources; the same project gives the same text, always.

    Raises DeadLink for a link that leads nowhere, options.Untold for a field of Config without a
    meaning, ValueError for an event that nobody fires.
    """
    system = system or load_system()
    sources = documents(top)
    texts = {source: (top / source).read_text("utf-8") for source in sources}
    made = {name: make(top, system) for name, make in MADE.items()}
    pages_of = sources | {f"docs/{name}.md": name for name in made}
    pictures = sorted((top / PICTURES).glob("*.svg"))
    site = Site(
        pages=pages_of,
        anchors={source: frozenset(ANCHOR.findall(texts.get(source, ""))) for source in pages_of},
        pictures={f"{PICTURES}/{one.name}": f"diagrams/{one.name}" for one in pictures}
        | {f"{IMAGES}/{one.name}": one.name for one in (top / IMAGES).glob("*.png")}
        | {chart: chart.rpartition("/")[2] for chart in CHARTS},
        files=lambda path: (top / path).is_file(),
    )
    linked = {source: relinked(texts[source], source, sources[source], site) for source in sources}
    pages = {sources[source]: one.text for source, one in linked.items()} | made
    fired = firings(top, system)
    for name, spec in system.machines.items():
        page = f"{INSIDE}{name}"
        pages[page] = machine_page(top, pages[page], spec, system, fired)
    index = index_page(top, pages[INDEX])
    pages[INDEX] = f"{index}\n{inner_toctree(system.machines)}\n"
    pages = {page: _placed(top, text, page, pages, system) for page, text in pages.items()}
    listed = {path.relative_to(top).as_posix() for path in _always_listed(top)}
    return Staged(
        pages=pages,
        listed=tuple(sorted(listed.union(*(one.listed for one in linked.values())))),
        files={
            "extra/_static/diagrams.css": stylesheet(),
            **{f"extra/diagrams/{one.name}": one.read_text("utf-8") for one in pictures},
            **{f"extra/{one.rpartition('/')[2]}": (top / one).read_text("utf-8") for one in CHARTS},
        },
    )


def _always_listed(top: Path) -> Iterator[Path]:
    """The code that pages lead into, and the spec."""
    yield from sorted((top / "server").rglob("*.py"))
    yield from sorted((top / "spec").glob("*.toml"))


def _placed(top: Path, text: str, page: str, pages: Mapping[str, str], system: System) -> str:
    """The text with its diagrams drawn, and what a comment asks for put in its place."""
    drawings = {
        f"```mermaid\n{mermaid.diagram(spec)}\n```\n": name
        for name, spec in system.machines.items()
    }

    def one(found: re.Match[str]) -> str:
        if found["what"] == "contents":
            return toctrees(pages) + "\n"
        return inline(top, found["name"], f"{_to_root(page)}states/{found['name']}.html")

    def drawn(found: re.Match[str]) -> str:
        # The diagrams that documents have are those of the machines, and each has a picture.
        name = drawings.get(found[0])
        if name is None:
            raise ValueError(f"{page}: a diagram is of no machine, or out of date: make draw")
        return inline(top, name, f"{_to_root(page)}states/{name}.html")

    return MERMAID.sub(drawn, PLACED.sub(one, text))


def _to_root(page: str) -> str:
    return "../" * page.count("/")


def write(staged: Staged, folder: Path) -> None:
    """Put the sources into `folder`, below `pages`, and other files beside; what is there and is
    still true is left untouched, so that Sphinx builds only what has changed.
    """
    wanted = {f"pages/{name}.md": text for name, text in staged.pages.items()} | {
        **staged.files,
        "listed.txt": "".join(f"{name}\n" for name in staged.listed),
    }
    for path in sorted(folder.glob("pages/**/*.md")):
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
