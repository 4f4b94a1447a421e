"""Does every link within the built site lead somewhere? Needs no network.

Exit status: 0 all do, 1 some do not, 2 there is no site.
"""

from __future__ import annotations

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """One page: where it leads to, and what in it can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by HTMLParser."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name == "id" or (name == "name" and tag == "a"):
                self.ids.add(value or "")


@cache
def page_at(path: Path) -> Page:
    """The page in a file."""
    return Page(path.read_text("utf-8"))


def dead_links(site: Path) -> list[str]:
    """Each link that leads nowhere, with the page that it is on."""
    links = ((path, one) for path in sorted(site.rglob("*.html")) for one in page_at(path).links)
    faults = ((path.relative_to(site), one, _fault(path, one)) for path, one in links)
    return sorted(f"{page}: {one}: {why}" for page, one, why in faults if why)


def _fault(path: Path, link: str) -> str:
    """Why a link of the page at `path` leads nowhere; nothing for one that does, or leads out."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not there.is_file():
        return "no such file"
    if not parts.fragment or there.suffix != ".html":
        return ""
    return "" if unquote(parts.fragment) in page_at(there).ids else "no such place"


def main(arguments: list[str]) -> int:
    """Print what is dead; returns the exit status."""
    site = Path(arguments[0])
    if not (site / "index.html").is_file():
        print(f"docs: {site} holds no site", file=sys.stderr)
        return 2
    dead = dead_links(site)
    for one in dead:
        print(f"docs: {one}", file=sys.stderr)
    links = sum(len(page_at(path).links) for path in site.rglob("*.html"))
    print(f"docs: {links} links, {len(dead)} of them dead")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
