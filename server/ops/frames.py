"""What a frame of the dashboard's feed holds, as JSON. Threads: any."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from server.http1.messages import Field
from server.ops.door import NO_STORE
from server.ops.snapshot import Snapshot
from statemachine import System

LANES_MAX: Final = 256
"""Workers that a frame tells of."""

TOLD_FIRST: Final[Mapping[str, tuple[str, ...]]] = {
    "readiness": ("OVERCOMMITTED", "READY"),
    "listener": ("PAUSED", "FULL", "ACCEPTING"),
    "pool": ("BROKEN", "SERVING"),
}
"""Of several processes that are in several states, what an operator must know first."""

PHASES: Final[Mapping[str, str]] = {
    "ROLLING": "SERVING",
    "FAILING": "DRAINING",
    "DAMAGED": "STOPPED",
}
"""What a state of the parent is on the server's ladder, where that has no rung of this name."""

FIELDS: Final[tuple[Field, ...]] = (
    ("Content-Type", "text/event-stream"),
    NO_STORE,
    ("X-Accel-Buffering", "no"),
)


@dataclass(frozen=True, slots=True)
class Lane:
    """One worker: its state's name, and the request that it has, since so many seconds."""

    name: str
    state: str
    request: str | None
    seconds: float


View = Callable[[Snapshot, Iterable[Lane]], None]


def frame_of(system: System, now: Snapshot, lanes: Iterable[Lane]) -> str:
    """What is to be seen now, as JSON. States and arrows are numbers in the order of the spec."""
    return encoded(frame(system, now, lanes))


def encoded(frame: dict[str, object]) -> str:
    """A frame as JSON."""
    return json.dumps(frame, separators=(",", ":"))


def frame(system: System, now: Snapshot, lanes: Iterable[Lane]) -> dict[str, object]:
    """The same as values."""
    machines = system.machines.items()
    return {
        "at": round(now.uptime_seconds, 3),
        "version": now.version,
        "pid": now.process.pid,
        "phase": _phase(now),
        "readiness": _readiness(now),
        "listener": _first(now, "listener"),
        "pool": _first(now, "pool"),
        "processes": _processes(now),
        "places": now.several and now.several.places,
        "faults": now.faults,
        "states": {
            name: [now.occupancy[name].get(state, 0) for state in one.states]
            for name, one in machines
        },
        "taken": {
            name: [now.arrows.get(arrow.id, 0) for arrow in one.arrows] for name, one in machines
        },
        "bounds": now.latency.bounds,
        "latency": now.latency.counts,
        "queueing": now.queueing.counts,
        "queue": {"jobs": now.queued, "max": now.queued_max},
        "connections": {"open": now.connections, "max": now.connections_max},
        "ledger": {
            "accepted": now.ledger.accepted,
            **now.ledger.outcomes,
            "open": now.ledger.open,
        },
        "workers": [
            {
                "name": one.name,
                "state": one.state,
                "request": one.request,
                "seconds": round(one.seconds, 4),
            }
            for one, _ in zip(lanes, range(LANES_MAX), strict=False)
        ],
    }


def _first(now: Snapshot, machine: str) -> str | None:
    """The state of the one object of a machine; None where there is none yet. Where each of several
    processes has one, the first of those that are there, in the order of TOLD_FIRST.
    """
    states = now.occupancy[machine]
    told = [*TOLD_FIRST.get(machine, ()), *states]
    return next((state for state in told if states.get(state)), None)


def _phase(now: Snapshot) -> str | None:
    """The rung of the server's ladder; of several processes, the one that their parent is on."""
    several = now.several
    return _first(now, "server") if several is None else PHASES.get(several.state, several.state)


def _readiness(now: Snapshot) -> str | None:
    """READY where more work should be sent. Of several processes it takes all of them."""
    state = _first(now, "readiness")
    return "INCOMPLETE" if now.several and not now.ready and state == "READY" else state


def _processes(now: Snapshot) -> list[dict[str, object]] | None:
    """Each of several processes in a few words; None where there is one."""
    if now.several is None:
        return None
    return [
        {
            "number": one.number,
            "state": one.state,
            "silent": one.was_asked and one.now is None,
            "pid": one.now and one.now.process.pid,
            "open": one.now and one.now.connections,
        }
        for one in now.several.parts
    ]
