"""The reference of configuration, from the fields of Config."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from docs._ext.linking import anchor
from server.config import CHOICES, Config, option
from statemachine import System

CONFIG: Final = "server/config.py"
TITLES: Final = {
    "": "What is served, and where",
    "How many.": "How many",
    "How large.": "How large",
    "How fast.": "How fast",
    "How long.": "How long",
}
"""By the comment above them in Config: a group of fields, and its heading."""

UNITS: Final = (
    ("_bytes_per_second_min", "bytes per second"),
    ("_bytes_max", "bytes"),
    ("_seconds_max", "seconds"),
    ("_seconds", "seconds"),
)
"""The unit is the last word of a name."""


class Untold(ValueError):
    """A field of Config that nothing explains."""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One field, as the reference shows it. `precedent` is what other servers do."""

    name: str
    group: str
    unit: str
    default: str
    means: str
    precedent: str


def rows(top: Path, fields: tuple[dataclasses.Field[object], ...] | None = None) -> list[Row]:
    """Every field of Config, in its order. Raises Untold for one without a meaning."""
    notes = _notes((top / CONFIG).read_text("utf-8"))
    found = []
    for one in dataclasses.fields(Config) if fields is None else fields:
        means = str(one.metadata.get("means", "")).strip()
        if not means:
            raise Untold(f"Config.{one.name} has no text that says what it means")
        group, precedent = notes.get(one.name, ("", ""))
        found.append(Row(one.name, group, unit(one), _default(one), means, precedent))
    return found


def unit(one: dataclasses.Field[object]) -> str:
    """In what the field is counted, or what it may be."""
    for ending, name in UNITS:
        if one.name.endswith(ending):
            return name
    if one.name in CHOICES:
        return " or ".join(f"`{word}`" for word in CHOICES[one.name])
    return {"int": "whole number", "float": "number", "Path": "folder", "str": "text"}.get(
        str(one.type), "`/PREFIX=DIR`, repeated"
    )


def _default(one: dataclasses.Field[object]) -> str:
    if "shown" in one.metadata:
        return str(one.metadata["shown"])
    value = getattr(Config(), one.name)
    if value in ((), ""):
        return "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    large = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
    if one.name.endswith("_bytes_max") and isinstance(value, int):
        size, name = next(((s, n) for s, n in large if value and value % s == 0), (1, ""))
        return f"`{text}`" + (f" ({value // size} {name})" if name else "")
    return f"`{text}`"


def _notes(text: str) -> dict[str, tuple[str, str]]:
    """By field: the comment that heads its group, and the one at its end."""
    lines = text.splitlines()
    (body,) = (
        node.body
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and node.name == "Config"
    )
    group, notes, seen = "", {}, body[0].lineno
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            for line in lines[seen : node.lineno - 1]:
                if found := re.fullmatch(r" {4}# (.+)", line):
                    group = found[1]
            seen = node.end_lineno or node.lineno
            trailing = re.search(r"\)  # (?!noqa)(.+)$", lines[seen - 1])
            notes[node.target.id] = (group, trailing[1] if trailing else "")
    return notes


def configuration(top: Path, system: System) -> str:
    """The page of Config's fields."""
    lines = [
        "# Configuration",
        "",
        (
            "Every limit and default is a field of `server.config.Config`, and every field is an "
            "option: `head_bytes_max` is `--head-bytes-max` on the command line, "
            "`Config(head_bytes_max=…)` or `serve(application, head_bytes_max=…)` in a program. "
            "The last word of a name is its unit. A value that cannot be used, or two that "
            "contradict each other, is a `ConfigError` of one line; the command line prints it and "
            "ends with status 2."
        ),
        "",
        (
            "*Precedent* is what other servers have as their default. This page is written from "
            "the source; `python -m server --help` says the same."
        ),
        "",
    ]
    states = _limited(system)
    group = None
    for row in rows(top):
        if row.group != group:
            group = row.group
            lines += [f"## {TITLES.get(group, group.rstrip('.'))}", ""]
        lines += [*_entry(row, states.get(row.name, [])), ""]
    return "\n".join(lines)


def _entry(row: Row, states: list[tuple[str, str]]) -> Iterator[str]:
    label = "Unit" if row.unit in dict(UNITS).values() else "Value"
    facts = [f"Field: `{row.name}`", f"Default: {row.default}", f"{label}: {row.unit}"]
    if row.precedent:
        facts.append(f"Precedent: {row.precedent}")
    yield f"### `{option(row.name)}`"
    yield ""
    yield f"{_sentence(row.means)}"
    yield ""
    yield '<p class="facts">' + " <span>·</span> ".join(_code(one) for one in facts) + "</p>"
    if states:
        named = ", ".join(
            anchor(f"<code>{machine}.{state}</code>", f"../states/{machine}.html#states")
            for machine, state in states
        )
        yield ""
        yield f'<p class="facts">Bounds the state {named}</p>'


def _sentence(means: str) -> str:
    return with_options(means[0].upper() + means[1:]) + "."


def with_options(text: str) -> str:
    """The text, with each option that it names as code."""
    return re.sub(r"(?<!`)(--[a-z][a-z-]+)", r"`\1`", text)


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def _limited(system: System) -> dict[str, list[tuple[str, str]]]:
    """By limit or rate: the states that it bounds."""
    found: dict[str, list[tuple[str, str]]] = {}
    for machine in system.machines.values():
        for state in machine.states.values():
            for name in (state.deadline, state.rate):
                if name:
                    found.setdefault(name, []).append((machine.name, state.name))
    return found
