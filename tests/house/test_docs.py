"""The documents keep their promises: examples run, links lead somewhere, nothing is out of date."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from docs._ext.staging import MADE
from server.cli import make_parser
from statemachine import load_system
from statemachine.model import Equal, NeverTogether, Property
from statemachine.proof import BEYOND
from tests.house.documents import DRAWN, PARTS, RUNGS, blocks, documents, up_to_date
from tests.house.source import TOP

SYSTEM = load_system()
PROSE = [path for path in documents() if "states" not in path.parts]
EXAMPLES = [
    pytest.param(text, id=f"{path.relative_to(TOP)}-{number}")
    for path in PROSE
    for number, text in enumerate(blocks(path, "python"), 1)
]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
RANGE = re.compile(r"\b(?P<letters>[A-Z]+)(?P<first>\d+)-(?P=letters)(?P<last>\d+)\b")

each = pytest.mark.parametrize("path", documents(), ids=lambda p: str(p.relative_to(TOP)))


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_run(example: str, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(example, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "error", file],
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TOP), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


@each
def test_consoles_are_well_formed(path: Path) -> None:
    """A console shows commands, each after `$ `, that a shell could split."""
    for text in blocks(path, "console"):
        commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        assert text.startswith("$ ")
        assert all(shlex.split(command) for command in commands)


@each
def test_make_commands_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"(?:`|^\$ )make ((?:[a-z-]+ ?)+)", text, re.MULTILINE)
    assert {target for names in named for target in names.split()} <= targets


def _anchor(heading: str) -> str:
    """A heading's fragment, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _anchors(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {*(_anchor(one) for one in headings), *re.findall(r'<a (?:id|name)="([^"]+)"', text)}


@each
def test_links_lead_somewhere(path: Path) -> None:
    for found in LINK.finditer(path.read_text(encoding="utf-8")):
        target, _, fragment = found["target"].partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        there = path.parent / target if target else path
        made = os.path.relpath(there, TOP / "docs").removesuffix(".md") in MADE
        assert there.exists() or made, f"{found['target']} leads nowhere"
        if fragment and there.suffix == ".md" and not made:
            assert fragment in _anchors(there), f"{found['target']}: no such heading"


@each
def test_drawn_parts_are_up_to_date(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == up_to_date(text), "run python -m tests.house.documents"


def test_the_drawn_parts_are_where_they_should_be() -> None:
    drawn = {found["name"] for path in PROSE for found in DRAWN.finditer(path.read_text("utf-8"))}
    assert drawn == PARTS.keys()


def test_options_of_the_readme_exist() -> None:
    text = (TOP / "README.md").read_text(encoding="utf-8")
    known = {option for action in make_parser()._actions for option in action.option_strings}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert len(named) > 10
    assert named - known == set()


def test_defaults_of_the_readme_are_true() -> None:
    text = (TOP / "README.md").read_text(encoding="utf-8")
    helps = {action.option_strings[-1]: action.help or "" for action in make_parser()._actions}
    rows = re.findall(r"^\| `(--[a-z-]+)` \| `?([^`|]+?)`? \|", text, re.MULTILINE)
    assert len(rows) > 10
    for option, default in rows:
        if option != "--root":
            assert f"(default: {default})" in helps[option], option


def _rows_named(text: str) -> set[str]:
    """Every id of the ranges under `Spec rows added`, less those under `Spec rows removed`."""
    named: dict[str, set[str]] = {"added": set(), "removed": set()}
    for kind, section in re.findall(
        r"^### Spec rows (added|removed)$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL
    ):
        for found in RANGE.finditer(section):
            numbers = range(int(found["first"]), int(found["last"]) + 1)
            named[kind] |= {f"{found['letters']}{number}" for number in numbers}
    return named["added"] - named["removed"]


def test_the_change_log_names_every_row_of_the_spec() -> None:
    assert _rows_named((TOP / "CHANGELOG.md").read_text(encoding="utf-8")) == SYSTEM.arrows.keys()


def test_the_change_log_s_ranges_are_read() -> None:
    text = "### Spec rows added\n\n- a: A1-A3\n\n### Spec rows removed\n\n- a: A2-A2\n\n## older\n"
    assert _rows_named(text) == {"A1", "A3"}


def test_the_table_of_rungs_says_what_the_prover_and_the_monitor_do() -> None:
    proved = {kind for kind, rungs in RUNGS.items() if rungs[2]}
    assert proved == set(get_args(Property)) - set(get_args(BEYOND))
    judged = {kind for kind, rungs in RUNGS.items() if rungs[3] == "yes"}
    assert judged == {Equal, NeverTogether}, "statemachine/trace.py and ground.py judge these"
