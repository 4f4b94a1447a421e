"""The dashboard's feed: what the server is, some times a second, while anybody watches.

A frame is a full one, of counts since the start: so who misses some, or comes back, has lost
nothing. It is made once for all who watch, and published to a channel that keeps nobody waiting.
While nobody watches, nothing is made.

Threads: the main one, for `tick`; any for the rest.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from server.clock import Clock
from server.events import Hub
from server.http1.messages import Events, Field, Request, Response
from server.ops.door import NO_STORE
from server.ops.snapshot import Snapshot
from statemachine import System

LOG = logging.getLogger("interlock.feed")

CHANNEL: Final = "interlock.feed"
"""How the name of the channel begins. The rest nobody can guess: an application may let its clients
name channels, and this one tells what others ask for."""

NAME_BYTES: Final = 8

EVENT: Final = "frame"

FRAME_SECONDS: Final = 0.2
"""From one frame to the next, at least."""

REST: Final = 10.0
REST_SECONDS_MAX: Final = 1.0
"""A frame is followed by so many times the time that it took, up to a second. With ten thousand
connections there are fewer frames, and not less time for requests."""

LANES_MAX: Final = 256
"""Workers that a frame tells of."""

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


class Watched(Protocol):
    """The server that is watched. Threads: any."""

    @property
    def system(self) -> System:
        """The spec that it runs."""
        ...

    def snapshot(self) -> Snapshot:
        """What it is now."""
        ...

    def lanes(self) -> Iterable[Lane]:
        """Its workers, the oldest first."""
        ...

    def phase(self) -> object:
        """Something that is another after each of its steps up or down the ladder."""
        ...


class Feed:
    """Publishes frames of `watched` to `hub`, in `channel`."""

    __slots__ = ("_clock", "_due", "_hub", "_phase", "_watched", "channel")

    def __init__(self, watched: Watched, hub: Hub, clock: Clock) -> None:
        self.channel = f"{CHANNEL}-{secrets.token_hex(NAME_BYTES)}"
        self._watched = watched
        self._hub = hub
        self._clock = clock
        self._due = -math.inf
        self._phase: object = None

    def tick(self) -> None:
        """Publish a frame, if anybody watches and it is time for one. Never raises."""
        if not self._hub.subscribers(self.channel):
            return
        began, phase = self._clock.monotonic(), self._watched.phase()
        # What everybody waits to see is shown at once.
        if began < self._due and phase == self._phase:
            return
        self._phase = phase
        try:
            self._hub.publish(self.channel, frame_of(self._watched), event=EVENT)
        except Exception:
            # The supervisor, which calls this, has the server to look after.
            LOG.exception("a frame of the dashboard could not be made")
        now = self._clock.monotonic()
        rest = min(REST * (now - began), REST_SECONDS_MAX)
        self._due = max(began + FRAME_SECONDS, now + rest)

    def page(self, _: Request) -> Response:
        """The response that is the feed: the newest frame, and each that comes after."""
        return Response(200, FIELDS, Events((self.channel,), "latest"), persists=False)


def frame_of(watched: Watched) -> str:
    """What is to be seen now, as JSON. States and arrows are numbers in the order of the spec."""
    frame = _frame(watched.system, watched.snapshot(), watched.lanes())
    return json.dumps(frame, separators=(",", ":"))


def _frame(system: System, now: Snapshot, lanes: Iterable[Lane]) -> dict[str, object]:
    machines = system.machines.items()
    only = {name: _only(now, name) for name in ("server", "readiness", "listener", "pool")}
    return {
        "at": round(now.uptime_seconds, 3),
        "version": now.version,
        "pid": now.process.pid,
        "phase": only["server"],
        "readiness": only["readiness"],
        "listener": only["listener"],
        "pool": only["pool"],
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
            "answered": now.ledger.answered,
            "shed": now.ledger.shed,
            "client_gone": now.ledger.client_gone,
            "forced": now.ledger.forced,
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


def _only(now: Snapshot, machine: str) -> str | None:
    """The state of the one object of a machine; None where there is none yet."""
    return next((state for state, count in now.occupancy[machine].items() if count), None)
