"""What is asked of an application of the user's: a file of requests, and lives drawn from it.

[[request]]
method = "POST"
target = "/cart"
fields = { Content-Type = "application/json" }
content = '{"item": 7}'
status = [200, 201]
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from server.errors import ConfigError
from server.simulation.plan import Ask, Draw, Plan, draw_plan
from server.simulation.settings import FOR_APPLICATIONS

KEYS: Final = {"method", "target", "fields", "content", "status"}
GENTLE: Final = frozenset(
    {"stop", "stop_twice", "no_descriptors", "bad_accept", "disk_full", "wall", "leap", "flood"}
)
"""What befalls the server, and not its threads or its application."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One request of a scenario."""

    method: str
    target: str
    fields: tuple[str, ...]
    content: bytes
    statuses: tuple[int, ...]


DEFAULT: Final = (
    Wish("GET", "/", (), b"", ()),
    Wish("HEAD", "/", (), b"", ()),
    Wish("POST", "/", ("Content-Type: text/plain",), b"x" * 100, ()),
)


def load_scenario(path: Path) -> tuple[Wish, ...]:
    """The requests in a file. Raises ConfigError: one line, which names the file and the row."""
    try:
        text = path.read_text(encoding="utf-8")
        rows = tomllib.loads(text).get("request")
    except OSError as error:
        raise ConfigError(f"--scenario {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--scenario {path} is no TOML: {error}") from None
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"--scenario {path} has no request, expected [[request]] tables")
    return tuple(_wish(f"--scenario {path}, request {n}", row) for n, row in enumerate(rows, 1))


def _wish(where: str, row: object) -> Wish:
    if not isinstance(row, dict):
        raise ConfigError(f"{where} is {row!r}, expected a table")
    if unknown := sorted(row.keys() - KEYS):
        raise ConfigError(f"{where} has {unknown[0]}, expected {', '.join(sorted(KEYS))}")
    target, method = row.get("target", "/"), row.get("method", "GET")
    if not isinstance(target, str) or not target.startswith("/") or not target.isascii():
        raise ConfigError(f"{where} has the target {target!r}, expected a path that begins with /")
    if not isinstance(method, str) or not method.isalpha():
        raise ConfigError(f"{where} has the method {method!r}, expected one like GET")
    fields = row.get("fields", {})
    if not isinstance(fields, dict) or not all(isinstance(one, str) for one in fields.values()):
        raise ConfigError(f"{where} has fields {fields!r}, expected a table of texts")
    content = row.get("content", "")
    if not isinstance(content, str):
        raise ConfigError(f"{where} has content {content!r}, expected a text")
    lines = tuple(f"{name}: {value}" for name, value in fields.items())
    return Wish(method, target, lines, content.encode(), _statuses(where, row.get("status", [])))


def _statuses(where: str, given: object) -> tuple[int, ...]:
    statuses = given if isinstance(given, list) else [given]
    if not all(isinstance(one, int) and 200 <= one <= 599 for one in statuses):
        raise ConfigError(f"{where} has the status {given!r}, expected numbers from 200 to 599")
    return tuple(statuses)


def draw_app_plan(seed: int, wishes: tuple[Wish, ...]) -> Plan:
    """The life of this seed for an application: the same clients and network, other requests."""
    plan, draw = draw_plan(seed), Draw(seed ^ 0xA99)
    deeds = tuple(one for one in plan.deeds if one.kind in GENTLE)
    visitors = tuple(
        replace(one, asks=tuple(_ask(ask, draw.of(wishes)) for ask in one.asks))
        for one in plan.visitors
    )
    return replace(plan, setting=FOR_APPLICATIONS, app="user", visitors=visitors, deeds=deeds)


def _ask(drawn: Ask, wish: Wish) -> Ask:
    form = drawn.form if drawn.form not in ("upgrade", "chunked", "expect-chunked") else "plain"
    if wish.content and drawn.number % 3 == 0:
        form = "chunked"
    return Ask(
        kind="app",
        number=drawn.number,
        method=wish.method,
        form=form,
        content=wish.content,
        path=wish.target,
        fields=wish.fields,
        statuses=wish.statuses,
    )
