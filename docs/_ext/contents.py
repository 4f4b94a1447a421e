"""Which pages there are, where each comes from, and in which order the site lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

ELSEWHERE: Final[Mapping[str, str]] = {
    "README.md": "overview",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "benchmarks/README.md": "benchmarks",
    "spec/README.md": "spec-language",
    "tests/README.md": "where-tests-go",
}
"""Documents that are no part of docs/, and the names of their pages; others are named for where
they lie.
"""

CHAPTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Guides": (
        "guides/first-five-minutes",
        "guides/deploy",
        "guides/event-page",
        "guides/embed-in-tests",
        "guides/read-a-diagram",
        "guides/add-a-state",
    ),
    "Serve": ("events", "operations", "dashboard", "processes", "logging", "traces"),
    "Reference": (
        "reference/command-line",
        "reference/configuration",
        "reference/api",
        "conformance",
    ),
    "State machines": ("states/README", "spec-language"),
    "The proof": ("testing", "simulation", "mutants", "where-tests-go", "tests-corpus"),
    "The project": (
        "overview",
        "ARCHITECTURE",
        "benchmarks",
        "STYLE",
        "contributing",
        "changelog",
    ),
}
"""By caption, its pages in order. One that is not there is left out."""

REST: Final = "The project"
"""Where pages go that no chapter names."""

TITLES: Final[Mapping[str, str]] = {"overview": "Readme"}
"""What the lists call a page whose own title does not say what it is."""

INSIDE: Final = "states/"
"""Pages that one of a chapter's own lists: those of the machines, in states/README."""


def chapters(pages: Iterable[str]) -> dict[str, list[str]]:
    """By caption, the pages that there are; each page is in one chapter."""
    left = {name for name in pages if not name.startswith(INSIDE)} - {"index"}
    listed = {name for names in CHAPTERS.values() for name in names}
    found = {
        caption: [name for name in names if name in left or name.startswith(INSIDE)]
        for caption, names in CHAPTERS.items()
    }
    found[REST] += sorted(left - listed)
    return found


def toctrees(pages: Iterable[str]) -> str:
    """The index's hidden lists of pages, as MyST has them."""
    blocks = [
        "\n".join(
            ["```{toctree}", ":hidden:", f":caption: {caption}", "", *map(_entry, names), "```"]
        )
        for caption, names in chapters(pages).items()
        if names
    ]
    return "\n\n".join(blocks)


def _entry(name: str) -> str:
    return f"{TITLES[name]} <{name}>" if name in TITLES else name


def inner_toctree(names: Iterable[str]) -> str:
    """A page's own list of pages below it."""
    return "\n".join(["```{toctree}", ":hidden:", "", *names, "```"])
