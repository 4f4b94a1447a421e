"""The meter: what was answered, and how long that took. It counts, and tells nobody.

To note an answer is one append to a queue, and so one step of the interpreter: no count is lost,
and nobody waits for a lock. Every FOLD_NOTES answers whoever has noted one sorts them into the
histograms, if nobody else is at it: that is cheaper for many at once than for each. Whoever reads
does so first, so that a reading has every answer which was noted before it.

Threads: any, for everything.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from server.net.threads import Threading

BOUNDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the histograms' buckets, in seconds; behind the last is a bucket without one."""

NEVER: Final = -math.inf
"""The duration of what did not happen. One that did may come out a hair below zero."""

METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
OTHER: Final = "other"
"""In place of every other method, and of one that never came: a client must not choose how much is
remembered."""

FOLD_NOTES: Final = 256

Note = tuple[str, int, float, float, float]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many durations there were: `counts` by bucket, each without those of the others, and
    `seconds` all together.
    """

    counts: tuple[int, ...]
    seconds: float

    @property
    def count(self) -> int:
        """How many durations there were."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was metered by one moment.

    `answers` are by method and status. `latency` is from a request's first byte to its answer's
    last, `queueing` from its last byte to a worker, `application` the time in the handler until it
    has answered: what it makes while it is sent comes after that. The latter two are those of
    requests that a worker took.
    """

    answers: dict[tuple[str, int], int]
    latency: Histogram
    queueing: Histogram
    application: Histogram


class _Buckets:
    """A histogram that grows."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, durations: Iterable[float]) -> None:
        row = sorted(durations)
        row = row[bisect_right(row, NEVER) :]
        self.seconds += sum(row)
        below = 0
        for bucket, bound in enumerate(BOUNDS):
            there = bisect_right(row, bound, below)
            self.counts[bucket] += there - below
            below = there
        self.counts[-1] += len(row) - below

    def told(self) -> Histogram:
        return Histogram(tuple(self.counts), self.seconds)


class Meter:
    """Counts answers."""

    __slots__ = ("_answers", "_latency", "_lock", "_notes", "_queueing", "_working")

    def __init__(self, threading: Threading) -> None:
        self._lock = threading.Lock()
        self._notes: deque[Note] = deque()
        self._answers: dict[tuple[str, int], int] = {}
        self._latency, self._queueing, self._working = _Buckets(), _Buckets(), _Buckets()

    def note(self, method: str, status: int, latency: float, queued: float, worked: float) -> None:
        """An answer has ended, well or not. Durations are in seconds; `queued` is NEVER where no
        worker took the request, `worked` where no handler has answered it.
        """
        notes = self._notes
        notes.append((method, status, latency, queued, worked))
        if len(notes) >= FOLD_NOTES and self._lock.acquire(blocking=False):
            try:
                self._fold_locked()
            finally:
                self._lock.release()

    def read(self) -> Reading:
        """All that was noted so far."""
        with self._lock:
            self._fold_locked()
            return Reading(
                dict(self._answers),
                self._latency.told(),
                self._queueing.told(),
                self._working.told(),
            )

    def _fold_locked(self) -> None:
        take = self._notes.popleft
        taken = [take() for _ in range(len(self._notes))]
        if not taken:
            return
        methods, statuses, latencies, queued, worked = zip(*taken, strict=True)
        for (method, status), count in Counter(zip(methods, statuses, strict=True)).items():
            key = method if method in METHODS else OTHER, status
            self._answers[key] = self._answers.get(key, 0) + count
        self._latency.add(latencies)
        self._queueing.add(queued)
        self._working.add(worked)
