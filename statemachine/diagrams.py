"""Draws the spec: Mermaid pages in docs/states/, SVGs in html/diagrams/, and for the dashboard in
html/diagrams/live/, with one more in narrow/ for narrow screens.

The pages need nothing but this code. The SVGs are laid out by graphviz, and carry seals, so that
whether they are current can be told without it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from statemachine import dot, pages, svg
from statemachine.errors import StateMachineError
from statemachine.model import System

PAGES: Final = "docs/states"
PICTURES: Final = "html/diagrams"
LIVE: Final = "html/diagrams/live"
NARROW: Final = f"{LIVE}/narrow"
LAYOUT_SECONDS_MAX: Final = 60


class DrawingError(StateMachineError):
    """An SVG has to be redrawn and graphviz cannot do it."""


def texts(system: System) -> dict[str, str]:
    """The text of every Markdown page, by path below the project's folder."""
    machines = system.machines.items()
    return {
        f"{PAGES}/README.md": pages.index(system),
        **{f"{PAGES}/{name}.md": pages.page(m, system) for name, m in machines},
    }


def drawings(system: System) -> dict[str, svg.Drawing]:
    """What every SVG is drawn from, by path below the project's folder."""
    machines = system.machines.items()
    return {
        f"{PICTURES}/system.svg": dot.system_drawing(system),
        **{f"{PICTURES}/{name}.svg": dot.machine_drawing(m, system) for name, m in machines},
        **{f"{LIVE}/{name}.svg": dot.live_drawing(m, system) for name, m in machines},
        **{
            f"{NARROW}/{name}.svg": dot.live_drawing(m, system, narrow=True) for name, m in machines
        },
    }


def stale(system: System, root: Path | None = None) -> list[str]:
    """The drawings that are missing, out of date, or of no machine any more; needs no graphviz.

    `root` is the project's folder; without it, the one that holds the spec's.
    """
    root = root or Path(system.folder).parent
    wanted_pages, wanted_drawings = texts(system), drawings(system)
    names = [name for name, text in wanted_pages.items() if _text(root / name) != text]
    names += [
        name
        for name, drawing in wanted_drawings.items()
        if not svg.is_current(_text(root / name), drawing)
    ]
    present = [*(root / PAGES).glob("*.md"), *(root / PICTURES).rglob("*.svg")]
    found = {path.relative_to(root).as_posix() for path in present}
    return sorted({*names, *(found - wanted_pages.keys() - wanted_drawings.keys())})


def write(system: System, root: Path | None = None) -> list[str]:
    """Bring the drawings up to date; returns the names of those that changed.

    Raises DrawingError if an SVG is out of date and graphviz is not installed or fails.
    """
    root = root or Path(system.folder).parent
    names = stale(system, root)
    wanted, files = drawings(system), texts(system)
    # The SVGs come first: where graphviz is missing, nothing at all is written.
    files |= {name: _draw(name, wanted[name]) for name in names if name in wanted}
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in files:
            path.write_text(files[name], encoding="utf-8")
        else:
            path.unlink()
    return names


def _draw(name: str, drawing: svg.Drawing) -> str:
    program = shutil.which("dot")
    if program is None:
        raise DrawingError(
            f"{name} must be redrawn and graphviz is missing: apt-get install graphviz"
        )
    try:
        done = subprocess.run(  # noqa: S603 - graphviz, given our own text
            [program, "-Tsvg"],
            input=drawing.dot,
            capture_output=True,
            check=True,
            encoding="utf-8",
            timeout=LAYOUT_SECONDS_MAX,
        )
    except subprocess.CalledProcessError as error:
        raise DrawingError(f"{name}: graphviz says {error.stderr.strip()!r}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DrawingError(f"{name}: graphviz cannot be run: {error}") from None
    return svg.dress(done.stdout, drawing)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
