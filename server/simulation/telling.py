"""A life, told: as a timeline, or as a sequence diagram."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from server.simulation.life import Entry, Past
from server.simulation.plan import Plan, Visitor
from server.simulation.settings import OTHERWISE

CONNECTION: Final = re.compile(r"(connection#\d+) (\w+) connection\.\w+ --(\w+)--> (\w+)")
NOTED: Final = ("server#", "listener#", "job#", "worker#", "subscription#", "pipe#")
TEXT_CHARACTERS_MAX: Final = 70


def told_plan(plan: Plan) -> Iterator[str]:
    """What is to happen, a line each."""
    otherwise = OTHERWISE[plan.setting] if plan.setting < len(OTHERWISE) else {}
    settings = ", ".join(f"{name} {value}" for name, value in otherwise.items())
    yield f"life {plan.seed}: {plan.app} application, walk {plan.walk}"
    yield f"  settings: {settings or 'as usual'}"
    if plan.points:
        yield f"  points at the arrows of: {', '.join(plan.points)}"
    for one in plan.visitors:
        yield from _told_visitor(one)
    for deed in plan.deeds:
        yield f"  {deed.name}: {deed} (value {deed.value:g})"


def _told_visitor(one: Visitor) -> Iterator[str]:
    manners = [f"starts at {one.starts:g} s", f"{one.window} ahead", f"end: {one.end}"]
    if one.end in ("mute", "reset", "stop_reading", "reset_reading"):
        manners[-1] += f" at byte {one.at}"
    if one.piece_bytes:
        manners.append(f"pieces of {one.piece_bytes} bytes, {one.gap_seconds:g} s apart")
    if one.buffer_bytes:
        manners.append(
            f"buffer {one.buffer_bytes}, reads {one.sip_bytes} each {one.sip_seconds:g} s"
        )
    yield f"  {one.name}: {'; '.join(manners)}"
    for ask in one.asks:
        size = f", {len(ask.content)} bytes" if ask.content else ""
        yield f"    {ask.name}: {ask.method} {ask.target} ({ask.form}{size})"


def timeline(past: Past) -> Iterator[str]:
    """What happened, a line each: when, who, what."""
    for one in past.timeline:
        yield f"{one.seconds:9.3f}  {one.who:<10}  {one.what}"
    for line in past.lines:
        yield f"      log  {line.name}: {line.text}"
    yield f"{past.ended_at:9.3f}  the server is {past.state.name}, exit status {past.status}"
    if past.account is not None:
        yield f"           {past.account}"


def diagram(past: Past) -> Iterator[str]:
    """The same as a Mermaid sequence diagram: bytes, hand-overs of connections, and what befell."""
    yield "sequenceDiagram"
    for name in dict.fromkeys(one.who for one in past.timeline):
        yield f"    participant {name}"
    holders: dict[str, str] = {}
    at = -1.0
    for one in past.timeline:
        line = "\n".join(_drawn(one, holders))
        if line and one.seconds != at:
            at = one.seconds
            yield f"    Note over main: {at:.3f} s"
        if line:
            yield line


def _drawn(one: Entry, holders: dict[str, str]) -> Iterator[str]:
    found = CONNECTION.match(one.what)
    text = one.what.replace(";", ",").replace("#", "").replace(":", " ")[:TEXT_CHARACTERS_MAX]
    if found is not None:
        before = holders.get(found[1], "reactor")
        holders[found[1]] = one.who
        says = f"{found[1].replace('#', ' ')} {found[2]} {found[3]} → {found[4]}"
        yield f"    {before}->>{one.who}: {says}"
    elif one.who.startswith("client_"):
        yield f"    {one.who}->>reactor: {text}"
    elif one.who.startswith("fate") or one.what.startswith(NOTED):
        yield f"    Note over {one.who}: {text}"
