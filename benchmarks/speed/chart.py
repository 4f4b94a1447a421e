"""The kept run as bars, in SVG: a panel a scenario, each to a scale of its own."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from benchmarks.speed import report
from benchmarks.speed.report import Run, main_figure, median, troubles

WIDTH, COLUMNS = 960, 2
PANEL_WIDTH = WIDTH // COLUMNS
NAME_WIDTH, VALUE_WIDTH, BAR_HEIGHT, HEAD_HEIGHT, GAP = 130, 110, 18, 30, 14
OURS, THEIRS, INK, PAPER = "#1d5fae", "#b6bfc8", "#1c2329", "#ffffff"
FONT = "font-family='system-ui, sans-serif' font-size='12'"


def drawn(run: Run) -> str:
    """The picture."""
    heights = [0] * COLUMNS
    parts: list[str] = []
    for scenario in run["scenarios"]:
        column = heights.index(min(heights))
        panel = list(_panel(scenario, column * PANEL_WIDTH, heights[column]))
        parts += panel
        heights[column] += HEAD_HEIGHT + BAR_HEIGHT * len(scenario["results"]) + GAP
    height = max(heights, default=0)
    at = run["conditions"]
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' {FONT} "
        f"fill='{INK}' role='img'>\n<title>Interlock beside others, {escape(at['date'])}</title>\n"
        f"<rect width='{WIDTH}' height='{height}' fill='{PAPER}'/>\n"
    )
    return head + "\n".join(parts) + "\n</svg>\n"


def _panel(scenario: Run, left: int, top: int) -> Iterator[str]:
    figures = {
        name: (median(rounds, main_figure(rounds)), troubles(rounds))
        for name, rounds in scenario["results"].items()
    }
    most = max((value for value, _ in figures.values() if value), default=1.0)
    less = ", less is better" if scenario["unit"] == "ms" else ""
    title = escape(f"{scenario['asks']} ({scenario['unit']}{less})")
    yield f"<text x='{left + 8}' y='{top + 20}' font-weight='600'>{title}</text>"
    room = PANEL_WIDTH - NAME_WIDTH - VALUE_WIDTH
    for number, (name, (value, trouble)) in enumerate(figures.items()):
        y = top + HEAD_HEIGHT + BAR_HEIGHT * number
        x = left + NAME_WIDTH
        length = round(room * value / most, 1) if value else 0
        colour = OURS if name in report.OURS else THEIRS
        text = "failed" if value is None else f"{value:,.0f}" + (" ⚠" if trouble else "")
        yield f"<text x='{x - 6}' y='{y + 12}' text-anchor='end'>{escape(name)}</text>"
        yield f"<rect x='{x}' y='{y}' width='{length}' height='{BAR_HEIGHT - 4}' fill='{colour}'/>"
        yield f"<text x='{x + length + 5}' y='{y + 12}'>{text}</text>"
