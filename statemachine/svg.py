"""Dresses what graphviz draws: ids, words to hover over, colours for light and dark.

Graphviz gives positions and shapes. Its colours are taken away and a stylesheet inside the file
gives others, so that one file reads well on a light page and on a dark one. A file carries two
seals, of what it was drawn from and of what was drawn: whether it is up to date can be told
without graphviz, and does not depend on graphviz's version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

ROOMS: Final = {
    "main": ("#e4e7eb", "#59636e", "#2b3138", "#9aa5b1"),
    "reactor": ("#d9e8fb", "#1d5fae", "#14304f", "#6cabf0"),
    "queue": ("#fbeac6", "#8f6100", "#453307", "#e0ad3c"),
    "worker": ("#d8f0dc", "#207a3c", "#143d22", "#62c67e"),
    "pool": ("#ebe0f9", "#6b3fa8", "#34224f", "#b693ea"),
    "submitter": ("#fbdfe8", "#a83263", "#4c1a2f", "#ee85ac"),
    "connection": ("#d3f0f0", "#10706f", "#103b3c", "#4fc4c2"),
}
"""Of each owner: its light fill and line, and its dark fill and line."""

NOBODY: Final = ("#f6f8fa", "#6b7580", "#1b2027", "#8a95a1")
"""Of final states, and of owners that ROOMS does not know."""

SVG: Final = "http://www.w3.org/2000/svg"
MARGIN, SWATCH, LEGEND_TEXT = 12.0, 14.0, 11.0
_PAINT: Final = ("fill", "stroke", "font-family", "stroke-dasharray")
_SEALS: Final = re.compile(r"<!-- drawn from ([0-9a-f]{64}), drawing ([0-9a-f]{64}) -->\n")


@dataclass(frozen=True, slots=True)
class Drawing:
    """What one SVG is drawn from.

    `dot` is graphviz's text; `hints` the words to hover over, by element id; `legend` a class and
    a label for each colour that occurs.
    """

    title: str
    description: str
    dot: str
    hints: Mapping[str, str]
    legend: tuple[tuple[str, str], ...]


def room(owner: str | None) -> str:
    """The class of an owner's colour: its name, in letters that a stylesheet takes."""
    return re.sub(r"[^a-z0-9]+", "-", (owner or "nobody").lower()).strip("-")


def is_current(text: str, drawing: Drawing) -> bool:
    """Whether `text` was drawn from `drawing`, and has not been changed since."""
    found = _SEALS.search(text)
    return found is not None and found.groups() == (
        _source_seal(drawing),
        _seal(text.replace(found[0], "")),
    )


def dress(drawn: str, drawing: Drawing) -> str:
    """The finished SVG from graphviz's own."""
    ET.register_namespace("", SVG)
    root = ET.fromstring(drawn)  # noqa: S314 - graphviz wrote it, from our own text
    graph = root.find(f"{{{SVG}}}g[@class='graph']")
    assert graph is not None, "graphviz draws one graph a file"
    _take_paint_away(graph)
    _take_links_away(graph)
    _hint(graph, drawing.hints)
    width, height = (float(n) for n in root.attrib["viewBox"].split()[2:])
    legend = _legend(drawing, width, height)
    root.append(legend)
    width = max(width, float(legend.attrib.pop("data-width")))
    height += float(legend.attrib.pop("data-height"))
    root.attrib = {
        "viewBox": f"0 0 {width:g} {height:g}",
        "width": f"{width:g}",
        "height": f"{height:g}",
        "role": "img",
        "aria-labelledby": "title description",
    }
    for place, (tag, text) in enumerate(
        [("title", drawing.title), ("desc", drawing.description), ("style", style(drawing))]
    ):
        head = ET.Element(f"{{{SVG}}}{tag}")
        head.text = text
        if tag != "style":
            head.set("id", {"title": "title", "desc": "description"}[tag])
        head.tail = "\n"
        root.insert(place, head)
    body = ET.tostring(root, encoding="unicode") + "\n"
    return f"<!-- drawn from {_source_seal(drawing)}, drawing {_seal(body)} -->\n{body}"


def style(drawing: Drawing) -> str:
    """The stylesheet of one drawing: only the rooms that occur in it."""
    names = [name for name, _ in drawing.legend]
    light = [_room_rule(name, ROOMS.get(name, NOBODY)[:2]) for name in names]
    dark = [_room_rule(name, ROOMS.get(name, NOBODY)[2:]) for name in names]
    return "\n".join(
        [
            ":root { color-scheme: light dark; --page: #ffffff; --ink: #1c2329; --soft: #56616c;",
            f"  --line: #4b5661; --fill: {NOBODY[0]}; --edge: {NOBODY[1]}; }}",
            *light,
            "@media (prefers-color-scheme: dark) {",
            ":root { --page: #12161b; --ink: #e6eaee; --soft: #a5b0bb;",
            f"  --line: #97a3af; --fill: {NOBODY[2]}; --edge: {NOBODY[3]}; }}",
            *dark,
            "}",
            "text { font-family: Arial, Helvetica, 'Liberation Sans', sans-serif; fill: var(--ink)",
            "; }",
            ".node path, .node polygon, .node ellipse { fill: var(--fill); stroke: var(--edge);",
            "  stroke-width: 1.4; }",
            ".node.final path + path { fill: none; }",
            ".start ellipse { fill: var(--line); stroke: var(--line); }",
            ".cluster path, .cluster polygon { fill: none; stroke: var(--edge); }",
            ".cluster text { fill: var(--edge); }",
            ".edge path { fill: none; stroke: var(--line); stroke-width: 1.2; }",
            ".edge polygon { fill: var(--line); stroke: var(--line); }",
            ".edge text { stroke: var(--page); stroke-width: 4px; stroke-linejoin: round;",
            "  paint-order: stroke; }",
            ".environment path { stroke-dasharray: 5 4; }",
            ".waits path { stroke-dasharray: 1.5 4; stroke-linecap: round; }",
            ".joint ellipse, .joint polygon { fill: var(--page); stroke: var(--line); }",
            ".small, .legend text { fill: var(--soft); }",
            ".legend rect { fill: var(--fill); stroke: var(--edge); stroke-width: 1.4; }",
            ".legend line { stroke: var(--line); stroke-width: 1.4; stroke-dasharray: 5 4; }",
            ".arrow:hover path, .state:hover path { stroke-width: 2.6; }",
        ]
    )


def _room_rule(name: str, paint: tuple[str, ...]) -> str:
    return f".owner-{name} {{ --fill: {paint[0]}; --edge: {paint[1]}; }}"


def _take_paint_away(graph: ET.Element) -> None:
    # The first polygon is the page, which stays see-through.
    page = graph.find(f"{{{SVG}}}polygon")
    if page is not None:
        graph.remove(page)
    for element in graph.iter():
        for name in _PAINT:
            element.attrib.pop(name, None)
        if element.get("font-size") and float(element.attrib["font-size"]) < 11:
            element.set("class", "small")


def _take_links_away(graph: ET.Element) -> None:
    """What graphviz was told to link is a part of a label with an id: that is all that stays."""
    for edge in list(graph.iter(f"{{{SVG}}}g")):
        for part in edge.findall(f"{{{SVG}}}g"):
            link = part.find(f"{{{SVG}}}a")
            if link is not None:
                part[:] = [ET.Element(f"{{{SVG}}}title"), *link]
                part.set("id", part.attrib["id"].removeprefix("a_"))
                part.set("class", edge.attrib["class"].removeprefix("edge "))


def _hint(graph: ET.Element, hints: Mapping[str, str]) -> None:
    for group in graph.iter(f"{{{SVG}}}g"):
        title = group.find(f"{{{SVG}}}title")
        if title is None:
            continue
        if group.get("id") in hints:
            title.text = hints[group.attrib["id"]]
        else:
            group.remove(title)


def _legend(drawing: Drawing, width: float, height: float) -> ET.Element:
    """The colours' names in rows beneath the drawing; says how much room it took."""
    group = ET.Element(f"{{{SVG}}}g", {"class": "legend"})
    entries = [("owner-" + name, label) for name, label in drawing.legend]
    if "environment" in drawing.dot:
        entries.append(("environment", "the world's doing"))
    x, y, widest = MARGIN, height + MARGIN, 0.0
    for name, label in entries:
        needs = SWATCH + 6 + len(label) * LEGEND_TEXT * 0.55 + 16
        if x > MARGIN and x + needs > max(width, 320):
            x, y = MARGIN, y + 20
        one = ET.SubElement(group, f"{{{SVG}}}g", {"class": name})
        if name == "environment":
            mark = {"x1": f"{x:g}", "x2": f"{x + SWATCH + 4:g}", "y1": f"{y + 6:g}"}
            ET.SubElement(one, f"{{{SVG}}}line", {**mark, "y2": mark["y1"]})
        else:
            box = {"x": f"{x:g}", "y": f"{y:g}", "width": f"{SWATCH:g}", "height": "12", "rx": "3"}
            ET.SubElement(one, f"{{{SVG}}}rect", box)
        place = {"x": f"{x + SWATCH + 7:g}", "y": f"{y + 10:g}", "font-size": f"{LEGEND_TEXT:g}"}
        ET.SubElement(one, f"{{{SVG}}}text", place).text = label
        x += needs
        widest = max(widest, x)
    group.set("data-width", f"{widest:g}")
    group.set("data-height", f"{y - height + 24:g}")
    return group


def _source_seal(drawing: Drawing) -> str:
    return _seal(f"{drawing!r}\n{style(drawing)}")


def _seal(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
