"""The oracle: all that must be true of a life that has been played, whatever befell it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from server.net.timers import TICK_SECONDS
from server.server import sound_system
from server.simulation.application import (
    EVENT_KINDS,
    FILE_KINDS,
    content_of,
    expected_status,
    is_cut,
)
from server.simulation.event_oracle import faults_of_events
from server.simulation.guest import Guest
from server.simulation.life import Past
from server.simulation.plan import Ask
from server.simulation.replies import Malformed, Reply
from server.supervisor import TURN_SECONDS_MAX, WATCH_SECONDS
from statemachine._generated import ServerState

GRACEFUL: Final = frozenset({"C4", "C5", "C22", "C24", "C48"})
"""Arrows after which nothing that was decided may be missing, if the client read on."""

IDLE_ENDS: Final = frozenset({"C4", "C5", "C48"})
"""Of these, the ones that end a connection of which nothing more is owed."""

CUT: Final = frozenset(
    {
        *("C6", "C7", "C10", "C14", "C15", "C18", "C19", "C20", "C21", "C23", "C28", "C29"),
        *("C30", "C31", "C33", "C36", "C37", "C38", "C41", "C42", "C43", "C44", "C45", "C46"),
    }
)
"""Arrows after which the last response may be incomplete."""

ANSWERS: Final = {"C2": "refused", "C3": "late", "C8": "served", "C9": "shed"}
"""Arrows that decide on an answer, and on which."""

EXPECTED: Final = {
    "refused": (400, 599, True),
    "late": (408, 408, True),
    "shed": (503, 503, False),
    "revoked": (500, 500, True),
}
"""Least and greatest status of each of these, and whether it is the last response."""


def faults_of(past: Past) -> list[str]:
    """What is wrong with this life, a line each; none if it is well."""
    faults = [*past.faults, *past.judge.faults, *past.street.table.faults]
    if past.start_error:
        faults += _start_faults(past)
    elif past.status is None:
        faults.append("the server did not come to its end")
    else:
        faults += [*_status_faults(past), *_ledger_faults(past), *_time_faults(past)]
    if not past.faults:
        faults += _leftovers(past)
        for guest in past.guests:
            faults += [f"client {guest.plan.number}: {one}" for one in _guest_faults(past, guest)]
    return [*faults, *_log_faults(past)]


# --- the server -------------------------------------------------------------------------------


def _start_faults(past: Past) -> Iterator[str]:
    if past.state is not ServerState.FAILED:
        yield f"the start failed ({past.start_error}), and the server is {past.state.name}"
    if not past.done:
        yield f"the start failed without a reason: {past.start_error}"


def _status_faults(past: Past) -> Iterator[str]:
    by_state = {ServerState.STOPPED: 0, ServerState.FORCED: 1}
    if by_state.get(past.state) != past.status:
        yield f"exit status {past.status} of a server that is {past.state.name}"
    arrows = past.taken
    forced = [one for one in ("S4", "S6", "S7", "S8", "S11", "S12") if one in arrows]
    if bool(forced) is not (past.status == 1):
        yield f"exit status {past.status}, and the server was forced by {forced or 'nothing'}"
    second = len(past.stops) > 1
    if ("S6" in arrows or "S11" in arrows) and not second:
        yield "forced by a second stop, which nobody asked for"
    if ("S4" in arrows or "S8" in arrows or "S12" in arrows) and not past.causes & REACTOR_DIES:
        yield "the reactor died"
    if past.status == 0:
        stuck = [one for one in past.running if not one.startswith("worker_")]
        if stuck:
            yield f"stopped, and {', '.join(stuck)} still runs"


REACTOR_DIES: Final = {"strike_reactor", "no_room"}


def _ledger_faults(past: Past) -> Iterator[str]:
    assert past.account is not None
    assert past.later is not None
    arrows = past.taken
    spec = sound_system().ledger
    assert spec is not None
    for when, account in (("at the exit", past.account), ("in the end", past.later)):
        if account.imbalance:
            yield f"{when} the ledger does not balance: {account}"
    if past.account.open:
        yield f"at the exit requests are open: {past.account}"
    if past.status == 0:
        for term, ids in spec.settled.items():
            counted = sum(arrows.get(one, 0) for one in ids)
            if counted != getattr(past.account, term):
                yield f"{counted} requests were {term}, and the ledger says {past.account}"
    # A reactor that has not seen the end of a forced stop yet may accept one more, and cut it.
    accepted = sum(arrows.get(one, 0) for one in spec.accepted)
    if past.account.accepted > accepted or (not past.status and past.account.accepted < accepted):
        yield f"{arrows.get('C1', 0)} requests were accepted, and the ledger says {past.account}"


def _time_faults(past: Past) -> Iterator[str]:
    config, arrows = past.config, past.taken
    yield from past.watch.late
    if not past.stops or "S4" in arrows:
        return
    most = config.lame_duck_seconds + config.drain_seconds_max + config.cut_seconds_max
    most += 3 * WATCH_SECONDS + TICK_SECONDS + past.watch.leapt
    if "S8" in arrows or "S12" in arrows:
        most += TURN_SECONDS_MAX
    lasted = past.ended_at - past.stops[0]
    if lasted > most:
        yield f"it took {lasted:.3f} seconds to stop, at most {most:.3f} were given"


def _leftovers(past: Past) -> Iterator[str]:
    table, selector = past.street.table, past.street.selector
    # Who is torn out between taking and noting down has its hands full: that is beyond what is
    # promised, and no thread of the system's is ever torn out of a lock.
    files = past.street.disk.files if past.plan.strikes else {}
    left = sorted(table.open - files.keys())
    if left:
        yield f"descriptors are left open: {left}"
    if not past.plan.strikes and past.held_bytes != (0, 0):
        yield f"the reservoir still holds {past.held_bytes}"
    if selector is not None and any(selector.armed.values()):
        yield f"the selector still watches {selector.armed}"
    for record in past.judge.records("connection"):
        if record.state != "CLOSED":
            yield f"connection#{record.serial} is left {record.state}"


def _log_faults(past: Past) -> Iterator[str]:
    causes = past.causes
    for line in past.lines:
        if line.level >= logging.ERROR and not line.is_explained(causes):
            yield f"{line.name} says: {line.text}"


# --- the clients ------------------------------------------------------------------------------


def _guest_faults(past: Past, guest: Guest) -> Iterator[str]:
    if guest.fault:
        yield f"read no response: {guest.fault}"
        return
    trail = past.trails.get(guest.end, [])
    answers = _answers(trail)
    replies = guest.reader.finals
    if len(replies) > len(answers):
        yield f"read {len(replies)} responses, where {len(answers)} were decided on: {trail}"
        return
    for number, (reply, answer) in enumerate(zip(replies, answers, strict=False)):
        ask = guest.plan.asks[number] if number < len(guest.plan.asks) else None
        if ask is None:
            yield f"read {reply.status}, and had asked for nothing"
            continue
        yield from _reply_faults(past, guest, (ask, answer), reply)
        if reply.head.closes and number < len(replies) - 1:
            yield f"read more after the last response, to {ask.target}"
    if past.faults:
        return
    yield from _end_faults(past, guest, trail, answers)


def _answers(trail: list[str]) -> list[str]:
    """What was decided on, request by request."""
    answers: list[str] = []
    for arrow in trail:
        if arrow in ANSWERS:
            answers.append(ANSWERS[arrow])
        elif arrow == "C32":
            answers[-1] = "revoked"
    return answers


def _reply_faults(past: Past, guest: Guest, of: tuple[Ask, str], reply: Reply) -> Iterator[str]:
    (ask, answer), status = of, reply.status
    if answer in EXPECTED:
        least, most, closes = EXPECTED[answer]
        if not least <= status <= most or (closes and not reply.head.closes):
            yield f"{ask.method} {ask.target} was {answer}, and answered {status}"
        if answer == "shed" and b"retry-after" not in reply.head.fields:
            yield f"{ask.method} {ask.target} was shed, and not told when to come again"
    elif ask.raw:
        yield f"{ask.kind} is no request, and was answered {status}"
    elif status == 500 and _may_fail(past, ask):
        pass
    elif ask.path:
        if ask.statuses and status not in ask.statuses:
            yield f"{ask.method} {ask.target} was answered {status}, expected {ask.statuses}"
    elif status != expected_status(ask):
        yield f"{ask.method} {ask.target} was answered {status}, expected {expected_status(ask)}"
    elif status == 200:
        yield from _content_faults(past, guest, ask, reply)


def _may_fail(past: Past, ask: Ask) -> bool:
    """Whether the handler may have been kept from its answer."""
    causes = past.causes
    return "strike_worker" in causes or ("no_descriptors" in causes and ask.kind in FILE_KINDS)


def _content_faults(past: Past, guest: Guest, ask: Ask, reply: Reply) -> Iterator[str]:
    # Where only the end of the connection says where the content ends, a forced stop, which breaks
    # the sockets that workers hold, looks like one.
    delimited = {b"content-length", b"transfer-encoding"} & reply.head.fields.keys()
    is_whole = reply.is_whole and (bool(delimited) or not guest.end.aborted)
    if ask.kind in EVENT_KINDS:
        yield from faults_of_events(past.stage, ask, reply.content, is_whole=is_whole)
        return
    expected = content_of(ask.target, ask.kind, ask.size, ask.content)
    if is_cut(ask) and is_whole:
        yield f"{ask.target} got a whole answer, which was to be cut"
    if ask.method == "HEAD":
        if reply.content:
            yield f"{ask.target} got content for HEAD"
    elif reply.content != expected[: None if is_whole else len(reply.content)]:
        yield f"{ask.target} got {reply.content[:60]!r}, expected {expected[:60]!r}"


def _end_faults(past: Past, guest: Guest, trail: list[str], answers: list[str]) -> Iterator[str]:
    """What follows the last whole response, and what is missing."""
    number = len(guest.reader.finals)
    try:
        rest = guest.reader.rest(guest.read_so_far())
    except Malformed as error:
        yield f"read what begins no response: {error}"
        return
    if rest is not None and rest.status >= 200:
        if number >= len(answers):
            yield f"read {rest.head.status}, which nobody had decided on"
        elif number < len(guest.plan.asks):
            asked = guest.plan.asks[number]
            yield from _reply_faults(past, guest, (asked, answers[number]), rest)
    if guest.saw_end and not (guest.has_reset or guest.has_left):
        yield from _missing(guest, trail, answers, rest)


def _missing(
    guest: Guest, trail: list[str], answers: list[str], rest: Reply | None
) -> Iterator[str]:
    """What a client that has read to the end did not get."""
    last, number = trail[-1] if trail else "", len(guest.reader.finals)
    whole = not guest.end.was_reset
    if rest is not None and last not in CUT:
        yield f"read a part of a response after {last}: {trail}"
    if last in GRACEFUL and whole and number != len(answers):
        yield f"read {number} of {len(answers)} responses, and saw the end: {trail}"
    if last in IDLE_ENDS and whole:
        yield from _forgotten(guest, answers)


def _forgotten(guest: Guest, answers: list[str]) -> Iterator[str]:
    """Requests that came whole, and that nobody answered."""
    came = sum(one <= guest.end.read_bytes for one in guest.ends)
    if came > len(answers):
        yield f"{came} requests came, and {len(answers)} were answered"
