"""Links between the project's files, made links between the site's pages.

A document links to files as they lie in the project, so that it can be read in any checkout. On the
site the target is another page; a page that lists the file, if it is code or data; or a picture.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

LINK: Final = re.compile(
    r"(?P<shown>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^)\s]+)\)"
)
FENCE: Final = re.compile(r"^ *(```|~~~)")
ANCHOR: Final = re.compile(r'<a (?:id|name)="([^"]+)"')
LISTINGS: Final = "sources"
"""The folder of the pages that list code and data."""


class DeadLink(ValueError):
    """A link of a document leads nowhere."""


@dataclass(frozen=True, slots=True)
class Site:
    """What there is to link to, by its path in the project.

    `pages` names the page of each document, `anchors` are the ids that are written into it,
    `pictures` the address of each picture, `files` is whether the project has that file.
    """

    pages: Mapping[str, str]
    anchors: Mapping[str, frozenset[str]]
    pictures: Mapping[str, str]
    files: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Relinked:
    """A document's text for the site, and the files that it needs listed."""

    text: str
    listed: frozenset[str]


def relinked(text: str, source: str, page: str, site: Site) -> Relinked:
    """The text of the document `source`, as the page `page`. Raises DeadLink."""
    listed: set[str] = set()

    def one(found: re.Match[str]) -> str:
        return _link(found, source, page, site, listed)

    lines = [LINK.sub(one, part) if is_prose else part for is_prose, part in _parts(text)]
    return Relinked("".join(lines), frozenset(listed))


def _parts(text: str) -> Iterable[tuple[bool, str]]:
    """The text in pieces: prose, which may have links, and blocks of code, which have none."""
    prose, fenced, piece = True, "", ""
    for line in text.splitlines(keepends=True):
        found = FENCE.match(line)
        if found and (prose or line.strip() == fenced):
            if prose:
                yield True, piece
                piece, prose, fenced = line, False, found[1]
            else:
                yield False, piece + line
                piece, prose = "", True
            continue
        piece += line
    yield prose, piece


def _link(found: re.Match[str], source: str, page: str, site: Site, listed: set[str]) -> str:
    text, (target, _, fragment) = found["text"], found["target"].partition("#")
    if re.match(r"[a-z]+:", found["target"]) or not target:
        return found[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path in site.pages:
        other = relative(site.pages[path], page)
        if not fragment or fragment not in site.anchors[path]:
            # A heading, or a whole page: Sphinx finds it, or complains.
            return f"[{text}]({other}.md{'#' * bool(fragment)}{fragment})"
        return anchor(text, f"{other}.html#{fragment}")
    if path in site.pictures:
        address = relative(site.pictures[path], page)
        return image(text, address) if found["shown"] else anchor(text, address)
    if not site.files(path):
        raise DeadLink(f"{source}: {found['target']} leads nowhere")
    listed.add(path)
    return anchor(text, listing(path, page))


def anchor(text: str, address: str) -> str:
    """A link that Sphinx passes on as it is; `docs._ext.built` sees that it leads somewhere."""
    return f'<a class="reference internal" href="{address}">{text}</a>'


def image(text: str, address: str) -> str:
    """A picture in its place, with a text for those who do not see it."""
    return f'<img alt="{html.escape(" ".join(text.split()))}" src="{address}">'


def listing(path: str, page: str, line: int | None = None) -> str:
    """The address of the page that lists a file, as another page has it."""
    fragment = "" if line is None else f"#L-{line}"
    return f"{relative(f'{LISTINGS}/{path}', page)}.html{fragment}"


def relative(target: str, page: str) -> str:
    """The way from one page to another, both from the site's root."""
    return posixpath.relpath(target, posixpath.dirname(page) or ".")
