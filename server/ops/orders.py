"""The orders that the control socket takes, and the status that it tells in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Protocol

from server.ops.control import NotDone, Order
from server.ops.several import unready
from server.ops.snapshot import Part, Snapshot

WORKERS_MAX: Final = 10_000


class Told(Protocol):
    """What is told of a server, or of all processes of one. Threads: any. Raises Unanswered."""

    def snapshot(self) -> Snapshot:
        """What it is now."""
        ...

    def stacks(self) -> str:
        """Where each thread is."""
        ...


class Commanded(Protocol):
    """The server that is ordered about. Threads: any, for all of it. Of several processes, what not
    all of them do raises NotDone.
    """

    def request_stop(self) -> None:
        """Drain and stop."""
        ...

    def resize(self, threads: int) -> bool:
        """Have so many workers. False: it is about to stop, or has none."""
        ...

    def dump(self, reason: str) -> object:
        """Write the last arrows to a file, whose name is returned; None if nothing was written."""
        ...


def orders_of(server: Commanded, told: Told) -> Mapping[str, Order]:
    """The orders, by their first words, in the order in which they are told."""
    return {
        "status": lambda argument: _status(told, argument),
        "ready": lambda argument: _ready(told, argument),
        "drain": lambda argument: _drain(server, argument),
        "resize": lambda argument: _resize(server, told, argument),
        "threads": lambda argument: _threads(told, argument),
        "trace": lambda argument: _trace(server, argument),
    }


def _status(told: Told, argument: str) -> str:
    _take_none(argument)
    return status_of(told.snapshot())


def _ready(told: Told, argument: str) -> str:
    _take_none(argument)
    now = told.snapshot()
    if now.faults or not now.ready:
        reasons = unready(now) if now.several else []
        raise NotDone("\n".join(("not ready", *now.faults, *reasons)))
    return "ready"


def _drain(server: Commanded, argument: str) -> str:
    _take_none(argument)
    server.request_stop()
    return "asked to drain"


def _resize(server: Commanded, told: Told, argument: str) -> str:
    if not re.fullmatch(r"[0-9]{1,5}", argument) or not 0 < int(argument) <= WORKERS_MAX:
        raise NotDone(f"resize {argument}: expected a number of workers, 1 to {WORKERS_MAX}")
    if not server.resize(int(argument)):
        raise NotDone("the pool takes no jobs in any more")
    each = " in each process" if told.snapshot().several else ""
    return f"workers: {int(argument)}{each} from now on"


def _threads(told: Told, argument: str) -> str:
    _take_none(argument)
    return told.stacks()


def _trace(server: Commanded, argument: str) -> str:
    if argument != "dump":
        raise NotDone(f"trace {argument}: expected trace dump")
    file = server.dump("asked for")
    if file is None:
        raise NotDone("nothing was written: the log says why")
    return str(file)


def _take_none(argument: str) -> None:
    if argument:
        raise NotDone(f"{argument!r} is too much: this order has no argument")


def status_of(now: Snapshot) -> str:
    """A snapshot in a few lines; each of several processes has one of its own."""
    workers, ledger = now.workers, now.ledger
    settled = [f"{term.replace('_', '-')} {count}" for term, count in ledger.outcomes.items()]
    late = f"{workers.late} late, {workers.quarantined} in quarantine, {workers.replaced} replaced"
    there = [f"{state} {count}" for state, count in now.occupancy["connection"].items() if count]
    few = f"{now.connections} of {now.connections_max}"
    up = f"up {now.uptime_seconds:.0f} s"
    lines = [
        f"interlock {now.version} on {now.url}, process {now.process.pid}, {up}",
        *_states(now),
        f"connections: {few}: {', '.join(there) or 'none'}",
        f"queue: {now.queued} of {now.queued_max}",
        f"workers: {workers.standing} of {workers.places}, {late}",
        f"ledger: accepted {ledger.accepted} = {' + '.join(settled)} + open {ledger.open}",
        *(f"not sound: {one}" for one in now.faults),
    ]
    return "\n".join(lines)


def _states(now: Snapshot) -> list[str]:
    if now.several is None:
        names = ("server", "readiness", "listener", "pool")
        return [", ".join(f"{name} {_where(now, name)}" for name in names)]
    serving = sum(one.state == "SERVING" for one in now.several.parts)
    return [
        f"fleet {now.several.state}, {serving} of {now.several.places} processes serve",
        *map(_line_of, now.several.parts),
        *(f"not ready: {one}" for one in unready(now)),
    ]


def _line_of(part: Part) -> str:
    who, now = f"process {part.number}: {part.state}", part.now
    if now is None:
        return f"{who}, does not answer" if part.was_asked else who
    return (
        f"{who}, pid {now.process.pid}, up {now.uptime_seconds:.0f} s, readiness"
        f" {_where(now, 'readiness')}, connections {now.connections}, queue {now.queued},"
        f" workers {now.workers.standing} of {now.workers.places}"
    )


def _where(now: Snapshot, machine: str) -> str:
    return next((state for state, count in now.occupancy[machine].items() if count), "not there")
