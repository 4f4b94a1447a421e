"""The dashboard's feed: what the server is, some times a second, while anybody watches.

A frame is a full one, of counts since the start: so who misses some, or comes back, has lost
nothing. It is made once for all who watch, and published to a channel that keeps nobody waiting.
While nobody watches, nothing is made.

Threads: the main one, for `tick`; the reactor's, for `last`; any for the rest. Of several
processes a look takes until the others have answered: then the frame is published on the thread
that has heard them.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
from collections.abc import Callable, Iterable, Mapping
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

STILL_SECONDS: Final = 3.0
STILL_FRAME_SECONDS: Final = 1.0
"""Where nothing has changed for STILL_SECONDS, so that on the page every arrow has gone cold, there
is a look as often as before, but a frame only now and then, to show that the server is there. What
changes then is shown at once."""

LOST_SECONDS: Final = 2.0
"""A look that comes to nothing is followed by the next one after so long."""

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


class Watched(Protocol):
    """The server that is watched. Threads: any."""

    @property
    def system(self) -> System:
        """The spec that it runs."""
        ...

    def view(self, then: View) -> None:
        """Call `then` once, with what it is now and its workers, the oldest first: before this
        returns, or later on another thread, or if that cannot be had, never.
        """
        ...

    def phase(self) -> object:
        """Something that is another after each of its steps up or down the ladder."""
        ...


class Feed:
    """Publishes frames of `watched` to `hub`, in `channel`."""

    __slots__ = (
        "_changed",
        "_clock",
        "_due",
        "_hub",
        "_phase",
        "_seen",
        "_told",
        "_watched",
        "channel",
    )

    def __init__(self, watched: Watched, hub: Hub, clock: Clock) -> None:
        self.channel = f"{CHANNEL}-{secrets.token_hex(NAME_BYTES)}"
        self._watched = watched
        self._hub = hub
        self._clock = clock
        self._due = -math.inf
        self._phase: object = None
        # What was to be seen in the last look, since when, and when that was published last.
        self._seen: dict[str, object] = {}
        self._changed = self._told = -math.inf

    def tick(self) -> None:
        """Publish a frame, if anybody watches and it is time for one. Never raises."""
        if not self._hub.subscribers(self.channel):
            return
        began, phase = self._clock.monotonic(), self._watched.phase()
        # What everybody waits to see is shown at once.
        if began < self._due and phase == self._phase:
            return
        self._phase, self._due = phase, began + LOST_SECONDS
        self._look(began)

    def last(self) -> None:
        """Look once more, however long ago that was, if anybody watches: their streams are about to
        end. Never raises.
        """
        if self._hub.subscribers(self.channel):
            self._look(self._clock.monotonic())

    def _look(self, began: float) -> None:
        try:
            self._watched.view(lambda now, lanes: self._publish(began, now, lanes))
        except Exception:
            # Who calls this, the supervisor or the reactor, has the server to look after.
            LOG.exception("a frame of the dashboard could not be made")
            self._rest(began)

    def _publish(self, began: float, now: Snapshot, lanes: Iterable[Lane]) -> None:
        frame = _frame(self._watched.system, now, lanes)
        if self._is_wanted(began, frame):
            self._hub.publish(self.channel, _encoded(frame), event=EVENT)
        self._rest(began)

    def _is_wanted(self, began: float, frame: dict[str, object]) -> bool:
        if began < self._told:
            return False  # the last look has overtaken this one
        seen = {**frame, "at": None}
        if seen != self._seen:
            self._seen, self._changed = seen, began
        elif began - self._changed > STILL_SECONDS and began - self._told < STILL_FRAME_SECONDS:
            return False
        self._told = began
        return True

    def _rest(self, began: float) -> None:
        now = self._clock.monotonic()
        rest = min(REST * (now - began), REST_SECONDS_MAX)
        self._due = max(began + FRAME_SECONDS, now + rest)

    def page(self, _: Request) -> Response:
        """The response that is the feed: the newest frame, and each that comes after."""
        return Response(200, FIELDS, Events((self.channel,), "latest"), persists=False)


def frame_of(system: System, now: Snapshot, lanes: Iterable[Lane]) -> str:
    """What is to be seen now, as JSON. States and arrows are numbers in the order of the spec."""
    return _encoded(_frame(system, now, lanes))


def _encoded(frame: dict[str, object]) -> str:
    return json.dumps(frame, separators=(",", ":"))


def _frame(system: System, now: Snapshot, lanes: Iterable[Lane]) -> dict[str, object]:
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
