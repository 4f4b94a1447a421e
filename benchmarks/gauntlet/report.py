"""What came of a run: kept as JSON, and shown as the table of the README."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gauntlet.contenders import THREADS, Contender
from benchmarks.gauntlet.row import Options, Question, Result, Verdict

MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.NOT_APPLICABLE: ""}
NOT_MEASURED = (
    "It does not measure: speed, more than one process, TLS, HTTP/2, a proxy in front, a network "
    "that loses or delays, or how any of these do with other settings than their own defaults."
)


@dataclass(frozen=True)
class Cell:
    """What one contender did in answer to one question. `run` is 1, with `--twice` also 2."""

    question: Question
    contender: str
    result: Result
    run: int = 1


def conditions(contenders: Iterable[Contender], options: Options) -> dict[str, Any]:
    """Where and when it was measured, and what."""
    date = datetime.now(UTC).date().isoformat()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "threads": THREADS,
        "options": asdict(options),
        "contenders": [
            {"name": one.name, "version": one.version(), "setting": one.setting, "date": date}
            for one in contenders
        ],
    }


def kept(cells: Iterable[Cell], at: dict[str, Any]) -> dict[str, Any]:
    """The run as data, for `--json`; `table` takes it."""
    rows: dict[str, dict[str, Any]] = {}
    for cell in cells:
        question = cell.question
        entry = {"name": question.name, "asks": question.asks, "judged": question.judged}
        row = rows.setdefault(question.name, {**entry, "results": {}})
        result: dict[str, Any] = {
            "run": cell.run,
            "verdict": cell.result.verdict.value,
            "text": cell.result.text,
        }
        if cell.result.figures:
            result["figures"] = {name: _short(n) for name, n in cell.result.figures.items()}
        row["results"].setdefault(cell.contender, []).append(result)
    return {"conditions": at, "rows": list(rows.values())}


def _short(figure: float | str) -> float | str:
    return round(figure, 3) if isinstance(figure, float) else figure


def merged(old: dict[str, Any], new: dict[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """A kept run in which what was run again is replaced; the rest stays, with its date.

    `order` are the names of today's questions, as the table has them; others are dropped.
    """
    rows = {row["name"]: row for row in old["rows"]}
    for row in new["rows"]:
        results = rows.get(row["name"], {}).get("results", {}) | row["results"]
        rows[row["name"]] = {**row, "results": results}
    contenders = {one["name"]: one for run in (old, new) for one in run["conditions"]["contenders"]}
    at = {**new["conditions"], "contenders": list(contenders.values())}
    return {"conditions": at, "rows": [rows[name] for name in order if name in rows]}


def table(run: dict[str, Any]) -> str:
    """A kept run in Markdown: the conditions, a row a question, and what it does not measure."""
    at = run["conditions"]
    names = [one["name"] for one in at["contenders"]]
    heads = [_head(one) for one in at["contenders"]]
    dates = " and ".join(sorted({one["date"] for one in at["contenders"]}))
    measured = (
        f"Measured on {dates}, Python {at['python']}, {at['system']}, {at['cores']} cores, "
        f"loopback; one process, {at['threads']} threads, each on its own defaults. "
        f"{NOT_MEASURED}"
    )
    lines = [
        measured,
        "",
        f"| test | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
    ]
    for row in run["rows"]:
        cells = [_cell(row["results"].get(name, [])) for name in names]
        lines.append(f"| {row['asks']} | {' | '.join(cells)} |")
    passed = [f"{name} {_passed(run, name)}" for name in names]
    lines += ["", f"Rows passed of {len(run['rows'])}: {', '.join(passed)}."]
    return "\n".join(lines) + "\n"


def _head(contender: dict[str, Any]) -> str:
    version = contender["version"] or "not installed"
    setting = f", {contender['setting']}" if contender["setting"] else ""
    return f"{contender['name']} {version}{setting}"


def _cell(results: list[dict[str, Any]]) -> str:
    """Runs that say the same are said once."""
    texts = [f"{MARKS[Verdict(one['verdict'])]} {one['text']}".strip() for one in results]
    return "<br>".join(dict.fromkeys(texts)).replace("|", "\\|") or "not run"


def _passed(run: dict[str, Any], name: str) -> int:
    """Rows that a contender passed each time."""
    verdicts = ([one["verdict"] for one in row["results"].get(name, [])] for row in run["rows"])
    return sum(1 for those in verdicts if those and set(those) == {Verdict.PASS.value})


def failed(cells: Iterable[Cell], contender: str) -> list[str]:
    """The names of the questions that it failed at least once."""
    names = [c.question.name for c in cells if c.contender == contender and _fails(c)]
    return list(dict.fromkeys(names))


def _fails(cell: Cell) -> bool:
    return cell.result.verdict is Verdict.FAIL


def read(path: Path) -> dict[str, Any]:
    """A run that `write` kept."""
    run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return run


def write(path: Path, run: dict[str, Any]) -> None:
    """Keeps a run."""
    text = json.dumps(run, indent=1, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
