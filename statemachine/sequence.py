"""A story as a sequence diagram: Mermaid's text, and SVG that needs no tool."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from statemachine.story import Line, Story

COLUMN, ROW, TOP, LEFT = 200, 46, 70, 110
STYLE = (
    "text{font:12px sans-serif;fill:#1a1a1a}.who{font-weight:bold}.life{stroke:#999;"
    "stroke-dasharray:4 4}.step{stroke:#1a1a1a;fill:none}.note{fill:#555;font-size:11px}"
    "@media(prefers-color-scheme:dark){text{fill:#eee}.step{stroke:#eee}.note{fill:#bbb}}"
)

HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
    ' orient="auto"><path d="M0 0 8 4 0 8z" fill="#777"/></marker></defs>'
)


def participants(story: Story) -> list[str]:
    """Everybody who acts or is changed: those who act first, each in the order of appearance."""
    acting = dict.fromkeys(line.who for line in story.lines)
    changed = dict.fromkeys(name for line in story.lines for name in line.changes)
    return [*acting, *(name for name in changed if name not in acting)]


def _target(line: Line) -> str:
    """Whom the step is about: the first that it changes besides who takes it."""
    return next((name for name in line.changes if name != line.who), line.who)


def _label(line: Line) -> str:
    return f"{line.number}. {line.step}" + (f" ({' '.join(line.arrows)})" if line.arrows else "")


def mermaid(story: Story) -> str:
    """The story as a Mermaid sequence diagram."""
    return "\n".join(_mermaid(story)) + "\n"


def _mermaid(story: Story) -> Iterator[str]:
    yield "sequenceDiagram"
    for name in participants(story):
        yield f"    participant {name}"
    for line in story.lines:
        if line.number == story.loop:
            yield "    loop for ever"
        yield f"    {line.who}->>{_target(line)}: {_label(line)}"
        for name, words in line.changes.items():
            yield f"    Note over {name}: {words}"
    if story.loop is not None and story.loop <= len(story.lines):
        yield "    end"


def svg(story: Story) -> str:
    """The story as an SVG image."""
    names = participants(story)
    at = {name: LEFT + COLUMN * number for number, name in enumerate(names)}
    width = LEFT * 2 + COLUMN * max(len(names) - 1, 1)
    height = TOP + ROW * (len(story.lines) + 1)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(f'{story.title}: {story.says}')}</title>",
            f"<style>{STYLE}</style>",
            HEAD,
            *(line for name in names for line in _life(name, at[name], height)),
            *(text for line in story.lines for text in _arrow(line, at, story.loop)),
            "</svg>",
            "",
        ]
    )


def _life(name: str, x: int, height: int) -> Iterator[str]:
    yield f'<text class="who" x="{x}" y="30" text-anchor="middle">{escape(name)}</text>'
    yield f'<line class="life" x1="{x}" y1="40" x2="{x}" y2="{height - 10}"/>'


def _arrow(line: Line, at: dict[str, int], loop: int | None) -> Iterator[str]:
    y = TOP + ROW * (line.number - 1)
    start, end = at[line.who], at[_target(line)]
    if line.number == loop:
        wide = LEFT + max(at.values())
        yield f'<line class="step" x1="10" y1="{y - 16}" x2="{wide}" y2="{y - 16}"/>'
        yield f'<text class="note" x="12" y="{y - 4}">round and round from here</text>'
    path = f"M{start} {y}H{end}" if start != end else f"M{start} {y}h24v10h-24"
    yield f'<path class="step" d="{path}" marker-end="url(#head)"/>'
    middle = (start + end) // 2 if start != end else start + 28
    anchor = "middle" if start != end else "start"
    yield f'<text x="{middle}" y="{y - 5}" text-anchor="{anchor}">{escape(_label(line))}</text>'
    for name, words in line.changes.items():
        place = f'x="{at[name]}" y="{y + 20}" text-anchor="middle"'
        yield f'<text class="note" {place}>{escape(words)}</text>'
