"""The orders that the control socket takes, and the status that it tells in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from server.ops.control import NotDone, Order
from server.ops.pages import stacks
from server.ops.snapshot import Snapshot

WORKERS_MAX: Final = 10_000


class Commanded(Protocol):
    """The server that is ordered about. Threads: any, for all of it."""

    def snapshot(self) -> Snapshot:
        """What it is now."""
        ...

    def request_stop(self) -> None:
        """Drain and stop."""
        ...

    def resize(self, threads: int) -> bool:
        """Have so many workers. False: it is about to stop, or has none."""
        ...

    def dump(self, reason: str) -> Path | None:
        """Write the last arrows to a file; None if nothing was written."""
        ...


def orders_of(server: Commanded) -> Mapping[str, Order]:
    """The orders, by their first words, in the order in which they are told."""
    return {
        "status": lambda argument: _status(server, argument),
        "ready": lambda argument: _ready(server, argument),
        "drain": lambda argument: _drain(server, argument),
        "resize": lambda argument: _resize(server, argument),
        "threads": _threads,
        "trace": lambda argument: _trace(server, argument),
    }


def _status(server: Commanded, argument: str) -> str:
    _take_none(argument)
    return status_of(server.snapshot())


def _ready(server: Commanded, argument: str) -> str:
    _take_none(argument)
    now = server.snapshot()
    if not now.ready or now.faults:
        raise NotDone("\n".join(("not ready", *now.faults)))
    return "ready"


def _drain(server: Commanded, argument: str) -> str:
    _take_none(argument)
    server.request_stop()
    return "asked to drain"


def _resize(server: Commanded, argument: str) -> str:
    if not re.fullmatch(r"[0-9]{1,5}", argument) or not 0 < int(argument) <= WORKERS_MAX:
        raise NotDone(f"resize {argument}: expected a number of workers, 1 to {WORKERS_MAX}")
    if not server.resize(int(argument)):
        raise NotDone("the pool takes no jobs in any more")
    return f"workers: {int(argument)} from now on"


def _threads(argument: str) -> str:
    _take_none(argument)
    return stacks()


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
    """A snapshot in a few lines."""
    process, workers, ledger = now.process, now.workers, now.ledger
    settled = [f"{term.replace('_', '-')} {count}" for term, count in ledger.outcomes.items()]
    states = [f"{name} {_where(now, name)}" for name in ("server", "readiness", "listener", "pool")]
    late = f"{workers.late} late, {workers.quarantined} in quarantine, {workers.replaced} replaced"
    there = [f"{state} {count}" for state, count in now.occupancy["connection"].items() if count]
    few = f"{now.connections} of {now.connections_max}"
    up = f"up {now.uptime_seconds:.0f} s"
    lines = [
        f"interlock {now.version} on {now.url}, process {process.pid}, {up}",
        ", ".join(states),
        f"connections: {few}: {', '.join(there) or 'none'}",
        f"queue: {now.queued} of {now.queued_max}",
        f"workers: {workers.standing} of {workers.places}, {late}",
        f"ledger: accepted {ledger.accepted} = {' + '.join(settled)} + open {ledger.open}",
        *(f"not sound: {one}" for one in now.faults),
    ]
    return "\n".join(lines)


def _where(now: Snapshot, machine: str) -> str:
    return next((state for state, count in now.occupancy[machine].items() if count), "not there")
