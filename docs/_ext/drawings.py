"""The diagrams, set into pages: one stylesheet for all, and links from each arrow to its row.

A drawing of html/diagrams/ has its colours from a stylesheet inside the file, which follows the
system. In a page they follow the reader's choice of light or dark, so that the sheet is taken out
of the drawing and its rules are written once, below the classes that the theme sets.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from statemachine.svg import ROOMS, Drawing, style

PICTURES: Final = "html/diagrams"
_STYLE: Final = re.compile(r"<style>.*?</style>\n?", re.DOTALL)
_COMMENT: Final = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_SIZE: Final = re.compile(r' width="([\d.]+)" height="([\d.]+)"')
_ARROW: Final = re.compile(
    r'(<g id="(?:arrow-)?(?P<id>[A-Z]\d+)" class="edge arrow[^>]*>)(?P<body>.*?)(?=</g>)', re.DOTALL
)
_ANY_ID: Final = re.compile(r' id="([^"]+)"')
_BOLD_ID: Final = re.compile(r"(<text [^>]*font-weight=\"bold\"[^>]*>)([A-Z]\d+)( ?)(</text>)")


def inline(top: Path, name: str, rows: str = "") -> str:
    """The drawing of a machine, or of the system, as a figure in a page.

    `rows` is the page with the arrows' rows, where that is another one.
    """
    text = (top / PICTURES / f"{name}.svg").read_text("utf-8")
    text = _COMMENT.sub("", _STYLE.sub("", text))
    size = _SIZE.search(text)
    assert size is not None, f"{name}.svg says how large it is"
    text = text.replace(size[0], f' style="width: {size[1]}px"', 1)
    # What is named once in a file may be there twice in a page.
    text = _ANY_ID.sub(lambda found: f' id="drawn-{name}-{found[1]}"', text)
    text = text.replace(
        'aria-labelledby="title description"',
        f'aria-labelledby="drawn-{name}-title drawn-{name}-description"',
    )
    text = _BOLD_ID.sub(rf'\1<a href="{rows}#\2">\2</a>\3\4', text)
    # An empty line would end the block of HTML.
    text = "\n".join(line for line in text.splitlines() if line.strip())
    return f'<figure class="drawn" tabindex="0" aria-label="Diagram: {name}">\n{text}\n</figure>\n'


def stylesheet() -> str:
    """The rules of every drawing, for both themes and for who leaves the choice to the system."""
    every = tuple((name, "") for name in [*ROOMS, "nobody"])
    text = style(Drawing("", "", "", {}, every))
    light, _, rest = text.partition("@media (prefers-color-scheme: dark) {\n")
    dark, _, shapes = rest.partition("\n}\n")
    light, dark = light.replace("color-scheme: light dark; ", ""), dark.strip()
    return "\n".join(
        [
            "/* Written by docs/_ext/drawings.py from the stylesheet of statemachine/svg.py. */",
            _below("body", light),
            _below('body[data-theme="dark"]', dark),
            "@media (prefers-color-scheme: dark) {",
            _below('body:not([data-theme="light"])', dark),
            "}",
            _below("body", shapes),
            "",
        ]
    )


def _below(theme: str, rules: str) -> str:
    """The same rules, for drawings only, and for that theme."""
    out = []
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", rules):
        names = [one.strip() for one in selectors.split(",")]
        inside = [f"{theme} .drawn" + ("" if one == ":root" else f" {one}") for one in names]
        out.append(f"{', '.join(inside)} {{{body}}}")
    return "\n".join(out)
