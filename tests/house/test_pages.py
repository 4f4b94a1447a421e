"""html/ holds whole, quiet pages: nothing from elsewhere, nothing missing, every machine shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from server.config import html_folder
from statemachine import load_system

HTML = html_folder()
SYSTEM = load_system()
PAGES = sorted(HTML.rglob("*.html"))
EACH = pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)

ANSWERED: frozenset[str] = frozenset({"/sleep", "/no-such-page"})
"""Paths without a file: the handler that sleeps, and one that shows the missing page."""

VOID = frozenset({"br", "embed", "hr", "img", "input", "link", "meta", "source"})
LOADS = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}
LOADS |= {"object": "data", "embed": "src", "video": "src", "audio": "src", "use": "href"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


class Page(HTMLParser):
    """A page's elements in order, each with the text within it. Refuses tags that do not pair."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.declaration = ""
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {[one.tag for one in self._open]}"

    def handle_decl(self, decl: str) -> None:
        self.declaration = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        one = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(one)
        self.handle_data(one.attributes.get("alt", ""))
        if tag not in VOID:
            self._open.append(one)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        for one in self._open:
            one.words.append(data)

    def all(self, *tags: str) -> list[Element]:
        return [one for one in self.elements if one.tag in tags]

    def one(self, tag: str) -> Element:
        (found,) = self.all(tag)
        return found


def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_the_parser_refuses_what_does_not_pair() -> None:
    for broken in ("<p><b>x</p></b>", "<p>", "</p>", '<a id="x" id="y"></a>'):
        with pytest.raises(AssertionError):
            Page(broken)


@EACH
def test_a_page_is_whole(path: Path) -> None:
    here = page(path)
    assert here.declaration.lower() == "doctype html"
    assert here.one("html").attributes["lang"] == "en"
    assert here.one("title").text
    metas = {m.attributes.get("name"): m.attributes.get("content", "") for m in here.all("meta")}
    assert "width=device-width" in metas["viewport"]
    assert "user-scalable" not in metas["viewport"]
    assert any(m.attributes.get("charset") == "utf-8" for m in here.all("meta"))


@EACH
def test_a_page_can_be_walked_without_seeing_it(path: Path) -> None:
    here = page(path)
    assert len(here.all("main")) == len(here.all("h1")) == 1
    levels = [int(h.tag[1]) for h in here.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all("alt" in image.attributes for image in here.all("img"))
    for link in here.all("a"):
        assert link.attributes.get("href")
        assert link.text, "a link says where it leads"
    for labelled in here.elements:
        for name in labelled.attributes.get("aria-labelledby", "").split():
            assert name in ids(here)


def ids(here: Page) -> set[str]:
    found = [one.attributes["id"] for one in here.elements if "id" in one.attributes]
    assert len(set(found)) == len(found), "an id is used twice"
    return set(found)


@EACH
def test_links_lead_somewhere(path: Path) -> None:
    here = page(path)
    for one in here.elements:
        for name in ("href", "src", "data"):
            target = one.attributes.get(name)
            if target is None or (one.tag == "a" and target.startswith("https://www.rfc-editor.")):
                continue
            if target.startswith("#"):
                assert target[1:] in ids(here), target
                continue
            # 404.html is served at any path, and index.html at /sleep: a relative link would miss.
            assert re.match(r"/(?!/)", target), f"{target} is not root-absolute"
            place = re.split(r"[?#]", target)[0].removeprefix("/-")  # the operator's pages
            file = HTML / (place[1:] or "index.html")
            assert file.is_file() != (place in ANSWERED), target


@EACH
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    here = page(path)
    for one in here.elements:
        loaded = one.attributes.get(LOADS.get(one.tag, ""), "/")
        assert loaded.startswith("/"), f"<{one.tag}> loads {loaded}"
        assert not any(name.startswith("on") for name in one.attributes), (
            f"<{one.tag}> has a handler"
        )
        assert "srcset" not in one.attributes
        assert "style" not in one.attributes


@pytest.mark.parametrize("path", sorted(HTML.rglob("*.css")), ids=lambda p: p.name)
def test_a_stylesheet_loads_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "@import" not in text
    assert "url(" not in text
    if "uplot" in path.parts:  # another's, unchanged
        return
    assert "prefers-color-scheme: dark" in text or "color-scheme: light dark" in text
    assert ":focus-visible" in text


@pytest.mark.parametrize("path", sorted(HTML.rglob("*.svg")), ids=lambda p: p.name)
def test_a_picture_loads_nothing(path: Path) -> None:
    root = ET.parse(path).getroot()
    for element in root.iter():
        assert element.tag.rpartition("}")[2] not in {"script", "image", "foreignObject", "use"}
        assert not any("href" in name for name in element.attrib)
    assert root.attrib["role"] == "img"
    assert "url(" not in path.read_text(encoding="utf-8")


def test_the_first_page_shows_every_machine() -> None:
    here = page(HTML / "index.html")
    images = {i.attributes["src"]: i.attributes["alt"] for i in here.all("img")}
    captions = [caption.text for caption in here.all("figcaption")]
    assert "/diagrams/system.svg" in images
    for machine in SYSTEM.machines.values():
        alternative = images[f"/diagrams/{machine.name}.svg"]
        for state in machine.states:
            assert re.search(rf"\b{state}\b", alternative), f"{machine.name}: {state} is not named"
        assert f"{machine.name} {machine.means.replace('`', '')}" in captions
    shown = {src for src in images if src.startswith("/diagrams/")}
    assert shown == {f"/diagrams/{name}.svg" for name in ("system", *SYSTEM.machines)}


def test_the_walk_speaks_of_states_that_are() -> None:
    here = page(HTML / "index.html")
    walked = {one.text: one.attributes["class"] for one in here.all("span")}
    rooms = SYSTEM.machines["connection"].states
    assert walked.pop("ACCEPTING") == "state"
    assert "ACCEPTING" in SYSTEM.machines["listener"].states
    assert {name: f"state {rooms[name].owner}" for name in walked} == walked
    assert walked.keys() == rooms.keys() - set(SYSTEM.machines["connection"].final)


def test_the_first_page_offers_a_try() -> None:
    links = {link.attributes["href"] for link in page(HTML / "index.html").all("a")}
    assert "/sleep?seconds=1" in links


# --- contrast ----------------------------------------------------------------------------------

COLOURS = re.compile(r"--([a-z-]+): (#[0-9a-f]{6});")
STYLE = (HTML / "style.css").read_text(encoding="utf-8")
LIGHT, DARK = (dict(COLOURS.findall(part)) for part in STYLE.split("@media", 2)[:2])


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_words_stand_out(colours: dict[str, str]) -> None:
    assert colours.keys() == LIGHT.keys()
    for page_colour in ("page", "panel", "main", "reactor", "queue", "worker"):
        assert contrast(colours["ink"], colours[page_colour]) >= 4.5
    for ink in ("soft", "link"):
        assert contrast(colours[ink], colours["page"]) >= 4.5
    for edge in ("main-edge", "reactor-edge", "queue-edge", "worker-edge"):
        assert contrast(colours[edge], colours["page"]) >= 3


INSTRUMENT = (HTML / "dashboard.css").read_text(encoding="utf-8")
PAIRS = re.findall(
    r"^  --([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", INSTRUMENT, re.M
)


@pytest.mark.parametrize("side", [1, 2], ids=["light", "dark"])
def test_words_of_the_dashboard_stand_out(side: int) -> None:
    colours = {pair[0]: pair[side] for pair in reversed(PAIRS)}
    for ink in ("ink", "soft", "link", "signal", "good", "warn", "bad"):
        for ground in ("page", "panel"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, f"{ink} on {ground}"
    for ground in ("warn-fill", "bad-fill", "fill"):
        assert contrast(colours["ink"], colours[ground]) >= 4.5
    for edge in ("edge", "busy"):
        assert contrast(colours[edge], colours["panel"]) >= 3


def test_no_script_reads_words_as_markup() -> None:
    """Much that the dashboard shows comes from strangers."""
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function"
    for path in [HTML / "dashboard.js", *(HTML / "dashboard").glob("*.js")]:
        assert not re.search(markup, path.read_text(encoding="utf-8")), path.name


def test_no_code_lies_among_the_pages() -> None:
    assert not list(HTML.rglob("*.py"))
    assert {path.name for path in PAGES} >= {"index.html", "404.html"}
