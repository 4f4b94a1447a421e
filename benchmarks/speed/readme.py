"""Draws the kept run: the tables of both READMEs, and the chart beside the run.

    python -m benchmarks.speed --json benchmarks/results/speed.json
    python -m benchmarks.speed.readme

What is drawn stands between two comments, `measured: speed` and `end`. It has no other source than
the kept run, and a test holds it to that.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.gauntlet.contenders import TOP
from benchmarks.speed import chart, report

CHART = report.KEPT.with_suffix(".svg")
PLACE = re.compile(r"(?<=<!-- measured: speed -->\n).*?(?=<!-- end -->)", re.DOTALL)
IN_SHORT = ("hello-1", "hello-64", "hello-1000", "close", "static-small", "post-10k", "mixed")


def up_to_date(text: str, drawn: str) -> str:
    """A README's text with this in its place. Raises ValueError where there is none."""
    text, count = PLACE.subn(lambda _: f"\n{drawn}\n", text)
    if count != 1:
        raise ValueError(f"{count} places for the tables, not one")
    return text


def short(run: report.Run) -> str:
    """For the project's README: some scenarios, by processor time, which neighbours shake least."""
    some = [one for one in run["scenarios"] if one["name"] in IN_SHORT]
    conditions = f"{report.about(run['conditions'])} Requests per second of processor time"
    legend = f"{report.IN_BRACKETS}: ×2.00 is twice as many"
    table = report.table({**run, "scenarios": some}, "per_processor_second")
    return f"{conditions}; {legend}.\n\n{table}"


def whole(run: report.Run) -> str:
    """For the benchmarks' README."""
    at = run["conditions"]
    parts = (
        f"{report.about(at)} {report.versions(at)}. {report.NOT_MEASURED}\n",
        f"A second, as the clock on the wall has it; {report.IN_BRACKETS}:\n",
        report.table(run),
        report.others(run),
        "A second of the server's processor time:\n",
        report.table(run, "per_processor_second"),
        "The 99th percentile, ms (in brackets, Interlock's in theirs: less is better):\n",
        report.table(run, "p99_ms"),
        "Resident bytes for each idle connection (the same):\n",
        report.table(run, "bytes_a_connection"),
        "What went wrong (⚠):\n",
        report.notes(run),
    )
    return "\n".join(parts)


def drawings(run: report.Run) -> dict[Path, str]:
    """What each file should be."""
    mine, top = TOP / "benchmarks" / "README.md", TOP / "README.md"
    return {
        mine: up_to_date(mine.read_text(encoding="utf-8"), whole(run)),
        top: up_to_date(top.read_text(encoding="utf-8"), short(run)),
        CHART: chart.drawn(run),
    }


def main() -> None:
    """Rewrites what is out of date."""
    for path, text in drawings(report.read(report.KEPT)).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(TOP)}")


if __name__ == "__main__":
    main()
