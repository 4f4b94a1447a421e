"""Puts the table of the kept run into the README.

    python -m benchmarks.gauntlet --json benchmarks/results/gauntlet.json
    python -m benchmarks.gauntlet.readme

The table stands between two comments: `measured: gauntlet`, and `end`. It has no other source than
the kept run, and a test holds it to that.
"""

from __future__ import annotations

import re

from benchmarks.gauntlet import report
from benchmarks.gauntlet.contenders import TOP

KEPT = TOP / "benchmarks" / "results" / "gauntlet.json"
README = TOP / "README.md"
PLACE = re.compile(r"(?<=<!-- measured: gauntlet -->\n).*?(?=<!-- end -->)", re.DOTALL)


def up_to_date(text: str, table: str) -> str:
    """The README's text with this table in its place. Raises ValueError where there is none."""
    text, count = PLACE.subn(lambda _: f"\n{table}\n", text)
    if count != 1:
        raise ValueError(f"{count} places for the table, not one")
    return text


def main() -> None:
    """Rewrites the README if it is out of date."""
    old = README.read_text(encoding="utf-8")
    new = up_to_date(old, report.table(report.read(KEPT)))
    if new != old:
        README.write_text(new, encoding="utf-8")
        print("wrote README.md")


if __name__ == "__main__":
    main()
