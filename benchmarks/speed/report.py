"""What came of a run: kept as JSON, printed as tables, and drawn as Markdown.

A cell is the median of its rounds. A ratio is the median of the rounds' own ratios, since both
halves of a pair saw the same minute of the machine; above 1, Interlock is the better one.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gauntlet.contenders import TOP
from benchmarks.speed.contenders import COMPILED, THREADS, Contender
from benchmarks.speed.scenarios import POOL, Round, Scenario

KEPT = TOP / "benchmarks" / "results" / "speed.json"
US = POOL
OURS = (US, COMPILED)
IN_BRACKETS = "in brackets, what Interlock does of that, interpreted and compiled"
NOT_MEASURED = (
    "It does not measure: more than one process or core, TLS, HTTP/2, a network (all is loopback), "
    "an application that works, or any of these on other settings. wrk opens as many connections "
    "as it is told and waits for each answer, so overload is the gauntlet's business, not this one."
)
Run = dict[str, Any]
Found = dict[str, dict[str, list[Round]]]
"""By scenario and contender: its rounds."""


def conditions(contenders: Sequence[Contender], cores: int, seconds: int, rounds: int) -> Run:
    """Where and when it was measured, and whom."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores,
        "threads": THREADS,
        "seconds": seconds,
        "rounds": rounds,
        "load": round(os.getloadavg()[0], 1),
        "contenders": [
            {"name": one.name, "version": one.version(), "setting": one.setting}
            for one in contenders
        ],
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "unknown"
    names = (line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line)
    return next(names, "unknown")


def kept(found: Found, scenarios: Sequence[Scenario], at: Run) -> Run:
    """The run as data."""
    return {
        "conditions": at,
        "scenarios": [
            {"name": one.name, "asks": one.asks, "unit": one.unit, "results": _short(found, one)}
            for one in scenarios
            if one.name in found
        ],
    }


def _short(found: Found, scenario: Scenario) -> dict[str, list[Round]]:
    return {
        name: [
            {key: round(value, 4) if isinstance(value, float) else value for key, value in one}
            for one in (each.items() for each in rounds)
        ]
        for name, rounds in found[scenario.name].items()
    }


def median(rounds: Sequence[Round], figure: str) -> float | None:
    """Of the rounds that have this figure; None where none has."""
    values = [float(one[figure]) for one in rounds if figure in one]
    return statistics.median(values) if values else None


def ratio(ours: Sequence[Round], theirs: Sequence[Round], figure: str) -> float | None:
    """Ours in theirs, pair by pair; None where no pair has both."""
    pairs = [
        float(one[figure]) / float(other[figure])
        for one, other in zip(ours, theirs, strict=False)
        if one.get(figure) and other.get(figure)
    ]
    if not pairs:
        return None
    middle = statistics.median(pairs)
    return 1 / middle if figure == "cost" else middle


def times(scenario: Run, name: str, figure: str) -> str:
    """What Interlock does of another's figure: ×2.00 is twice as many, and as good. Where it was
    measured compiled as well, that too; of ours, compiled in interpreted is told.
    """
    results = scenario["results"]
    ours = () if name == US else (COMPILED,) if name == COMPILED else OURS
    theirs = results[US] if name == COMPILED and US in results else results.get(name, [])
    ratios = (ratio(results.get(one, []), theirs, figure) for one in ours)
    return ", ".join(f"×{one:.2f}" for one in ratios if one is not None)


def troubles(rounds: Sequence[Round]) -> str:
    """What went wrong in any of them, each once."""
    told = [str(one[key]) for one in rounds for key in ("failure", "trouble") if one.get(key)]
    return "; ".join(dict.fromkeys(told))


def main_figure(rounds: Sequence[Round]) -> str:
    """Which figure a scenario is about: `rate`, or `cost`."""
    return "cost" if any("cost" in one for one in rounds) else "rate"


def about(at: Run) -> str:
    """The conditions, in a sentence."""
    return (
        f"Measured on {at['date']}, Python {at['python']}, {at['system']}, {at['processor']}, "
        f"{at['cores']} cores, the server on one and the load on the other, loopback; "
        f"{at['threads']} threads; rounds in turns: {at['rounds']}, of {at['seconds']} s, their "
        f"medians. Load average of the machine at the beginning: {at['load']}."
    )


def versions(at: Run) -> str:
    """Who was measured."""
    told = []
    for one in at["contenders"]:
        version = "not installed" if one["version"] is None else one["version"]
        setting = f"({one['setting']})" if one["setting"] else ""
        told.append(" ".join(filter(None, (one["name"], version, setting))))
    return ", ".join(told)


def printed(run: Run) -> str:
    """The run for a terminal: a table a scenario."""
    at = run["conditions"]
    lines = [about(at), versions(at)]
    for scenario in run["scenarios"]:
        lines += ["", f"{scenario['asks']} [{scenario['name']}]", *_rows(scenario)]
    return "\n".join([*lines, "", NOT_MEASURED])


def _rows(scenario: Run) -> Iterator[str]:
    unit, results = scenario["unit"], scenario["results"]
    yield f"  {'':<20}{unit:>12}{'a cpu-second':>14}{'p99 ms':>10}   Interlock does, and compiled"
    for name, rounds in results.items():
        figure = main_figure(rounds)
        cells = [_number(median(rounds, figure)), _number(median(rounds, "per_processor_second"))]
        both = (times(scenario, name, one) for one in (figure, "per_processor_second"))
        line = f"  {name:<20}{cells[0]:>12}{cells[1]:>14}{_number(median(rounds, 'p99_ms')):>10}"
        notes = ["; ".join(filter(None, both)), _beside(rounds), _trouble(rounds)]
        yield f"{line}   {'  '.join(filter(None, notes))}".rstrip()


def _beside(rounds: Sequence[Round]) -> str:
    held, used = median(rounds, "bytes_a_connection"), median(rounds, "processor_ms")
    told = [
        "" if held is None else f"{held:,.0f} B a connection",
        "" if used is None else f"{used:,.0f} ms of processor time",
    ]
    return "  ".join(filter(None, told))


def _trouble(rounds: Sequence[Round]) -> str:
    told = troubles(rounds)
    return f"! {told}" if told else ""


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(run: Run, figure: str = "rate") -> str:
    """A figure of each scenario in Markdown, and what Interlock does of it beside each: `times`."""
    names = [one["name"] for one in run["conditions"]["contenders"]]
    scenarios = [one for one in run["scenarios"] if _has(one, figure)]
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for scenario in scenarios:
        cells = (_cell(scenario, name, figure) for name in names)
        unit = f", {scenario['unit']}" if figure == "rate" else ""
        lines.append(f"| {scenario['asks']}{unit} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _has(scenario: Run, figure: str) -> bool:
    named = ("rate", "cost") if figure == "rate" else (figure,)
    one_of_us = scenario["results"].get(US, [])
    return any(one in each for each in one_of_us for one in named)


def _cell(scenario: Run, name: str, figure: str) -> str:
    rounds = scenario["results"].get(name)
    if not rounds:
        return ""
    figure = main_figure(rounds) if figure == "rate" else figure
    value = median(rounds, figure)
    told = troubles(rounds)
    if value is None:
        return f"failed: {told}".replace("|", "\\|").replace("\n", " ")
    text = _number(value)
    if in_brackets := times(scenario, name, figure):
        text += f" ({in_brackets})"
    return f"{text} ⚠" if told else text


def others(run: Run) -> str:
    """What was measured of somebody who is no server, a line each."""
    servers = {one["name"] for one in run["conditions"]["contenders"]}
    lines = [
        f"- {scenario['asks']}: {name}, {_cell(scenario, name, 'rate')} {scenario['unit']}"
        for scenario in run["scenarios"]
        for name in scenario["results"]
        if name not in servers
    ]
    return "\n".join(lines) + "\n"


def notes(run: Run) -> str:
    """Each trouble that a table marks, in a line of its own."""
    lines = [
        f"- {scenario['asks']}, {name}: {told}"
        for scenario in run["scenarios"]
        for name, rounds in scenario["results"].items()
        if (told := troubles(rounds).replace("\n", " "))
    ]
    return "\n".join(lines) + "\n" if lines else "Nothing went wrong.\n"


def read(path: Path) -> Run:
    """A run that `write` kept."""
    run: Run = json.loads(path.read_text(encoding="utf-8"))
    return run


def write(path: Path, run: Run) -> None:
    """Keeps a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(run, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
