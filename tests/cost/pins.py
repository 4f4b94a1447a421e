"""What costs are pinned at, in pins.toml; how a cost that has moved is told."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.cost.measure import Cost

PLACE = Path(__file__).with_name("pins.toml")
SLACK = 0.9
"""A cost that has fallen below this share of its pin wants a nearer pin, which holds it there."""
COMMAND = "python -m tests.cost"
PLAY = {"idle_bytes": 32}
"""So much more is no rise: how full a dictionary happens to be when it is shared out."""
HEAD = f"""\
# What a request costs at most, by Python version and scene; tests/cost/measure.py says what is
# counted. Written by `{COMMAND}` (or `make costs`), which replaces the figures of
# the Python that runs it. A commit that raises one says why.
"""
Pins = dict[str, dict[str, Cost]]


def read() -> Pins:
    """All pins, by Python version."""
    pins: Pins = tomllib.loads(PLACE.read_text(encoding="utf-8"))
    return pins


def written(pins: Pins) -> str:
    """The file's text."""
    parts = [HEAD]
    for version, scenes in sorted(pins.items()):
        for scene, cost in scenes.items():
            lines = [f"{name} = {figure:g}" for name, figure in cost.items()]
            parts.append("\n".join([f'["{version}".{scene}]', *lines, ""]))
    return "\n".join(parts)


def moved(cost: Cost, pinned: Cost) -> list[str]:
    """A line for each figure that is above its pin, or far below it."""
    told = []
    for name, figure in cost.items():
        pin = pinned.get(name, 0.0)
        if figure > pin + PLAY.get(name, 0):
            told.append(f"{name}: {figure:g}, pinned at most {pin:g}")
        elif figure < pin * SLACK:
            told.append(f"{name}: {figure:g}, far below its pin of {pin:g}")
    return told
