"""The snapshot: what one server is at one moment, as a value. Metrics, health, the control socket
and the dashboard all read this, and nothing else. Of several processes it is their sum, and has
each one's own beside it (`server.ops.several`).

It is taken on the thread that asks, without a lock, while the server goes on. So each figure was
true at some moment while it was taken, and together they are as true as two glances of one pair of
eyes: a request may be counted as accepted and not be among the open ones yet. The ledger's terms
are the exception: they hold together (`server.ledger.Ledger.live`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server.ledger import Account

Bounds = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Durations:
    """A histogram: `counts` has one number more than `bounds`, each bucket's own; in seconds."""

    bounds: Bounds
    counts: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Workers:
    """Numbers of threads: see `server.net.crew.Census`.

    Of the `places`, `standing` have a worker that is not late. `replaced` dead ones have had a
    successor, `revoked` have had their job taken away, and are in quarantine or have been.
    """

    places: int
    standing: int
    late: int
    quarantined: int
    stand_ins_max: int
    replaced: int
    revoked: int


@dataclass(frozen=True, slots=True)
class Streams:
    """Event streams: who subscribes now, and how often somebody was told of a gap, or was cut."""

    channels: int
    subscribers: int
    memory_bytes: int
    gaps: int
    cut: int


@dataclass(frozen=True, slots=True)
class Process:
    """The process. What its system does not tell is None.

    `started_at` is in POSIX seconds, `cpu_seconds` of all its threads.
    """

    pid: int
    threads: int
    cpu_seconds: float
    started_at: float
    resident_bytes: int | None
    descriptors: int | None
    descriptors_max: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """One of several processes: `number` is its own, `place` whose it has, `state` how its parent
    sees it (spec/process.toml). `now` is None where it `was_asked` and did not answer in time, or
    was not asked, because it does not serve yet, or any more.
    """

    number: int
    place: int
    state: str
    was_asked: bool
    now: Snapshot | None


@dataclass(frozen=True, slots=True)
class Several:
    """Several processes and their parent, whose state it is (spec/fleet.toml). Each of the `places`
    should have a process that serves.
    """

    state: str
    places: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One server at one moment, or all processes of one.

    `taken_at` is in POSIX seconds. `occupancy` says by machine and state how many objects are in
    it; final states are left out, but of the machines of which there is one. `arrows` are counts
    since the start, by id. `answers` are by method and status: `other` is every method that RFC
    9110 does not know. `deadlines` are how often a limit has passed, by machine and state. `faults`
    are properties of the spec that do not hold, in English. `accepted` are connections.

    Where there are several processes, counts are those of all that have ever been, numbers those of
    all that are. `process` is their parent, but its `cpu_seconds` are those of all.
    """

    taken_at: float
    uptime_seconds: float
    version: str
    url: str
    ready: bool
    occupancy: Mapping[str, Mapping[str, int]]
    arrows: Mapping[str, int]
    deadlines: Mapping[tuple[str, str], int]
    faults: tuple[str, ...]
    accepted: int
    connections: int
    connections_max: int
    queued: int
    queued_max: int
    in_flight: int
    answers: Mapping[tuple[str, int], int]
    latency: Durations
    queueing: Durations
    application: Durations
    workers: Workers
    ledger: Account
    streams: Streams
    held_memory_bytes: int
    held_file_bytes: int
    process: Process
    several: Several | None = None

    def answered(self) -> dict[tuple[str, str], int]:
        """Answers by method and class of the status: `("GET", "2xx")`."""
        found: dict[tuple[str, str], int] = {}
        for (method, status), count in self.answers.items():
            key = method, f"{status // 100}xx"
            found[key] = found.get(key, 0) + count
        return found
